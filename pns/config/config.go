// Package config is the configuration of the network server: a TOML file, or nothing, becomes a validated Config with
// secure defaults.
package config

import (
	"net/netip"
	"time"

	"trunkline.example/pns/addrpool"
	"trunkline.example/pns/filter"
	"trunkline.example/pns/hostnet"
	"trunkline.example/shared/conf/tables"
	"trunkline.example/shared/ppp/auth"
)

// DefaultFile is where `pns` looks when no file is named; it may be absent.
const DefaultFile = "/etc/trunkline/pns.toml"

// Config is what a network server runs with. It is immutable after loading: a reload makes a new one.
type Config struct {
	File      string // it was read from; empty when there was none
	Name      string // of this server: Host Name in control messages, and in CHAP challenges
	Listeners []Listener
	PACs      []PAC
	Sites     []Site
	Filters   []filter.Filter
	Pool      Pool
	Users     Users
	Limits    Limits
	Timers    Timers
	Network   Network
	Admin     tables.Admin
	Records   tables.Records
	Log       tables.Log
}

// Filter returns the packet filter of a name, or nil.
func (c *Config) Filter(name string) *filter.Filter {
	for i := range c.Filters {
		if c.Filters[i].Name == name {
			return &c.Filters[i]
		}
	}
	return nil
}

// Policy is what calls that arrive one way may and must do.
type Policy struct {
	Authentication []auth.Protocol // acceptable, strongest first; never empty
	Encryption     Encryption      // of the data
	DNS, WINS      []netip.Addr    // servers told to clients, at most two each
	MTU            int             // most that we send to the client in one packet, in octets: caps the peer's MRU
	SessionTime    time.Duration   // sessions end after this; 0 is never
	IdleTime       time.Duration   // sessions end after this long without data; 0 is never
	Filter         string          // that packets of a session must pass, unless the user has one of his own; "" is none
	RateIn         int64           // most bits per second of a session's IP packets from the client, unless the user has a limit of his own; 0 is none
	RateOut        int64           // most bits per second to the client, likewise
	RateBurst      time.Duration   // of these rates that may come at once after a pause
	SetLinkInfo    bool            // clients that speak PPTP are sent Set-Link-Info too
}

// Listener is a TCP address that control connections come in by.
type Listener struct {
	Name    string
	Address netip.AddrPort
	Policy  Policy
}

// PAC is an access concentrator that is known: calls through it have a policy of their own.
type PAC struct {
	Name      string         // in logs and records
	Addresses []netip.Prefix // its control connections come from one of these; never empty
	HostName  string         // and it must say this Host Name; empty for any
	Policy    Policy
}

// Pool is where clients' addresses come from.
type Pool struct {
	addrpool.Config                // Exclude holds the server's address
	Server          netip.Addr     // our end of each session's link
	Prefixes        []netip.Prefix // that cover the ranges: routed into the TUN interface
}

// Users is where users are known from.
type Users struct {
	File      string        // users file
	KeepNames bool          // a domain before the name is part of it (DOMAIN\user is not user)
	Ban       Ban           // of guessers
	Sessions  int           // sessions per user at a time; 0 is no limit
	Replace   bool          // a login over that limit ends the user's oldest session instead of being refused
	Timeout   time.Duration // to answer one attempt
}

// Ban keeps addresses out that fail to log in again and again.
type Ban struct {
	Failures int           // failures within Window that lead to a ban; 0 is never
	Window   time.Duration //
	Time     time.Duration // how long a ban lasts
}

// Limits keep one peer, or all of them, from using up the server. A limit of 0 is none.
type Limits struct {
	Connections          int // control connections
	ConnectionsPerSource int // of one address
	HalfOpen             int // calls that are not yet authenticated
	HalfOpenPerSource    int
	Sessions             int // calls in all
	CallsPerConnection   int
	MessagesPerSecond    int // control messages of one connection
	MessagesBurst        int // that it may send at once beyond that

	MessagesPerSecondPerSource int // control messages of one address, of which it may send those of ten seconds at once
}

// Timers of the control connection, the link and the daemon.
type Timers struct {
	Establish       time.Duration // a control connection must have exchanged its Start messages; a client, not a PAC, must have a call on it
	Echo            time.Duration // of silence before Echo-Request
	EchoReply       time.Duration // to answer it
	Reply           time.Duration // to answer any other control message
	Call            time.Duration // to place an outgoing call
	Probe           time.Duration // to answer the Echo-Request that a new connection of the same address causes
	Message         time.Duration // for the rest of a control message that has begun
	Restart         time.Duration // PPP restart timer
	Authentication  time.Duration // from LCP opened to a verdict
	Encryption      time.Duration // for CCP to settle after that
	LCPEcho         time.Duration // of silence on the link before LCP Echo-Request
	LCPEchoFailures int           // unanswered in a row that end the link
	Shutdown        time.Duration // for saying goodbye to all peers
}

// Network is the TUN interface and what the host's kernel is told of it.
type Network struct {
	hostnet.Config      // complete but for the name that the kernel gives the interface, if Interface has a "%d"
	NoOffload      bool // plain packets on the TUN interface
}
