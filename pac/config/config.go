// Package config turns the TOML of `pac` into a validated Config.
package config

import (
	"net/netip"
	"time"

	"trunkline.example/shared/conf"
	"trunkline.example/shared/conf/tables"
	"trunkline.example/shared/line"
)

// Config is what `pac` runs with. It is not changed after Load.
type Config struct {
	Name     string // host name told to PNSes (RFC 2637 section 2.1), at most 64 octets
	Timers   Timers
	Refused  RefusedPolicy
	PNS      []PNS
	Drivers  []Driver
	Hunts    []Hunt
	Routes   []Route
	Dialout  Dialout
	SelfTest SelfTest
	Admin    tables.Admin
	Records  tables.Records
	Log      tables.Log
}

// Timers bound the waits of a call.
type Timers struct {
	Reply     time.Duration // for Incoming-Call-Reply while the line rings, per PNS
	Connect   time.Duration // from the answer to the modem's CONNECT
	Hangup    time.Duration // from hang-up to the line being idle, before it is reported
	Echo      time.Duration // silence on a control connection before Echo-Request; the same again for the reply
	WANErrors time.Duration // least time between two WAN-Error-Notify messages of a call (RFC 2637 section 2.14: 60 s)
	Reconnect time.Duration // first wait before a lost PNS is called again; doubles up to a minute
	Shutdown  time.Duration // what an orderly stop may take
	Report    time.Duration // how long the end of a call may be held back for what the modem says about it; 0: not at all
}

// RefusedPolicy is what happens to a caller that no PNS takes. The call is never answered in either case.
type RefusedPolicy string

// The policies.
const (
	RefusedRingOut RefusedPolicy = "ring-out" // the caller hears it ring until he gives up
	RefusedBusy    RefusedPolicy = "busy"     // the line is told to reject, where it can
)

// PNS is a network server that calls are relayed to.
type PNS struct {
	Name    string
	Address netip.AddrPort // TCP; GRE goes to the same address
	Local   netip.Addr     // address to call from; invalid: the system chooses
	Weight  int            // its share of calls against others on routes ordered by load, 1 to MaxWeight
	PerCall bool           // each call has a control connection of its own
}

// What calls do with control connections to a PNS.
const (
	ConnectionShared  = "shared"
	ConnectionPerCall = "per-call"
)

// MaxWeight is the largest PNS.Weight.
const MaxWeight = 1000

// Driver is one instance of a line driver.
type Driver struct {
	Name    string // of the section
	Kind    string // name of the driver, as `pac drivers` lists it
	Process bool   // in a process of its own
	Confine bool   // that can open no files but those it needs, where the kernel can see to that
	// Paths are files and directories that it needs besides, and may change and run.
	Paths []string
	// Command is the executable of a driver that does not ship with pac, by its absolute path, and its arguments; empty for one that does.
	Command []string
	Section line.Section
	Options map[string]any // what is in Section, as data
}

// Hunt is a group of lines that share a called number.
type Hunt struct {
	Name   string
	Number string   // called number reported for calls on its lines that do not tell it themselves
	Lines  []string // patterns of line names (path.Match)
}

// Route sends calls that match to PNSes. Empty patterns match everything. In called and caller numbers, `*` and `?` are wild
// cards as in path.Match.
type Route struct {
	Called string
	Caller string
	Line   string // pattern of line names
	Hunt   string // name of a hunt group
	Hours  conf.Hours
	// Withheld: only callers that asked for their number not to be shown.
	Withheld bool
	PNS      []string
	Order    Order
	Refuse   bool // matching callers are refused
}

// Order is the order in which the PNSes of a route are asked.
type Order string

// The orders.
const (
	OrderListed Order = "listed" // as the route names them: the first is used, the others stand by
	OrderLoad   Order = "load"   // the one with the fewest calls for its weight first
)
