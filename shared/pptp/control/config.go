package control

import (
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// Identity is what one end says of itself in the Start messages.
type Identity struct {
	HostName            string // at most 64 octets
	VendorName          string // at most 64 octets
	FirmwareRevision    uint16
	FramingCapabilities pptp.FramingType
	BearerCapabilities  pptp.BearerType
	MaximumChannels     uint16 // sessions a PAC supports; a PNS says 0
}

// Timers are the waiting times; zero fields mean the defaults.
type Timers = fsm.Timers

// Limits bound what one control connection can ask of us. Zero fields mean the
// defaults.
type Limits struct {
	// Calls is how many calls of both roles may exist at once. Default 1024.
	Calls int
	// HalfOpen is how many of them may be on their way to established. Default
	// 256.
	HalfOpen int
	// MessagesPerSecond is the lasting rate of received messages, Burst how
	// many may come at once. A peer that exceeds them is cut off: dropping
	// single messages would leave calls half set up. Defaults 100 and 1000.
	MessagesPerSecond int
	Burst             int
}

func (l Limits) withDefaults() Limits {
	set := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	set(&l.Calls, 1024)
	set(&l.HalfOpen, 256)
	set(&l.MessagesPerSecond, 100)
	set(&l.Burst, 1000)
	return l
}

// Allocator hands out the Call IDs that we assign. They must be unique among
// all control connections between one pair of addresses, since GRE knows only
// addresses and Call IDs. Pool is an implementation.
type Allocator interface {
	// Allocate returns a Call ID that is not in use, ok false if there is none.
	Allocate(now time.Time) (id uint16, ok bool)
	// Release gives an ID back. It must not come out of Allocate again while
	// late packets of the old call may still arrive.
	Release(now time.Time, id uint16)
}

// Config is what a Connection needs to know. It is plain data but for CallIDs.
type Config struct {
	// Originator is true if we opened the TCP connection.
	Originator bool
	// Approve makes a receiver ask its owner (StartRequested) before it accepts
	// the control connection. Without it every Start request with a supported
	// version is accepted.
	Approve bool
	// Trace adds a Trace action for every message sent and received.
	Trace   bool
	Self    Identity
	CallIDs Allocator
	Timers  Timers
	Limits  Limits
}

// Plan is a Config made ready for use, by any number of connections.
type Plan Config

// NewPlan fills in the defaults. The Config's CallIDs are not used: those of a connection belong to its pair of addresses.
func NewPlan(cfg Config) *Plan {
	cfg.Limits, cfg.CallIDs = cfg.Limits.withDefaults(), nil
	return (*Plan)(&cfg)
}
