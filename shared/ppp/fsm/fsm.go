// Package fsm is the option negotiation automaton of RFC 1661 section 4, the codec of
// its packets and options (sections 5 and 6), and a Machine that runs the automaton for
// one control protocol: LCP and every NCP.
//
// What the options mean is left to a Negotiator, the one thing in which the control
// protocols differ. Codes above 7 are handed to the protocol that knows them.
//
// A Machine is owned by one goroutine, holds no clock and does no I/O: it appends
// what is to be done to a list that Actions drains.
package fsm

import (
	"fmt"
	"time"
)

// Timers are the parameters of RFC 1661 section 4.6. Zero values take the defaults.
type Timers struct {
	Restart      time.Duration // of the restart timer; default 3 s
	MaxConfigure int           // Configure-Requests sent without an answer; default 10
	MaxTerminate int           // Terminate-Requests sent without an answer; default 2
	MaxFailure   int           // Configure-Naks, sent or received, before an option is rejected; default 5
}

// Defaults of RFC 1661 section 4.6.
const (
	DefaultRestart      = 3 * time.Second
	DefaultMaxConfigure = 10
	DefaultMaxTerminate = 2
	DefaultMaxFailure   = 5
)

// WithDefaults fills in what is not set.
func (t Timers) WithDefaults() Timers {
	if t.Restart <= 0 {
		t.Restart = DefaultRestart
	}
	if t.MaxConfigure <= 0 {
		t.MaxConfigure = DefaultMaxConfigure
	}
	if t.MaxTerminate <= 0 {
		t.MaxTerminate = DefaultMaxTerminate
	}
	if t.MaxFailure <= 0 {
		t.MaxFailure = DefaultMaxFailure
	}
	return t
}

// Verdict is what a Negotiator says of one option.
type Verdict uint8

// The verdicts on an option of the peer's Configure-Request.
const (
	Ack    Verdict = iota // recognised, and the value is acceptable
	Nak                   // recognised, but another value is wanted
	Reject                // not recognised, or not negotiable
)

// Ruling is a verdict, with the option wanted instead if it is Nak.
type Ruling struct {
	Verdict Verdict
	Wanted  Option
}

// Negotiator knows the options of one control protocol. The machine calls it in the
// middle of a step; it only looks up and changes its own data.
type Negotiator interface {
	// Request appends the options of the next Configure-Request to dst.
	Request(dst []byte) []byte
	// Begin announces a new Configure-Request of the peer: what former ones
	// asked for no longer holds.
	Begin()
	// Judge rules on one option of that request. Option types come once each;
	// a second option of a type is rejected unasked.
	Judge(o Option) Ruling
	// Missing appends options that the request lacked and that the peer should
	// ask for. They are sent in a Configure-Nak.
	Missing(dst []byte) []byte
	// Naked takes an option of a Configure-Nak: a value the peer would like
	// better, or an option it would like to see.
	Naked(o Option)
	// Rejected takes an option of our request that the peer rejected, or on
	// which no agreement is in sight (Max-Failure Naks received).
	Rejected(o Option)
}

// Config describes a Machine.
type Config struct {
	Name       string // of the protocol, for Summary: "LCP"
	Timers     Timers
	Extensions []Code // codes above 7 that the protocol knows
	// Patient: a request is not repeated before the restart timer asks for it. A repeated
	// one that reaches a peer already open takes its layer down for a moment; pppd gives
	// the whole link up when that layer is CCP and MPPE is required ("MPPE disabled").
	Patient bool
}

// Data is everything a Machine has to remember, as plain data.
type Data struct {
	State        State
	RestartCount int       // transmissions left
	RestartAt    time.Time // the restart timer runs out, if State is one in which it runs
	Identifier   uint8     // last used in a packet of our own making
	RequestID    uint8     // of the last Configure-Request
	Request      []byte    // its options
	RequestedAt  time.Time // when it was last sent
	Answered     bool      // it was answered
	Refused      bool      // a Terminate-Ack came since it was sent: the peer was not ready
	NaksSent     int       // since our last Configure-Ack
	NaksReceived int       // since the lower layer came up or the last opening
	Heard        bool      // a packet came since the lower layer came up
	Farewell     string    // text for Terminate-Requests
	ReplyMax     int       // most octets of a Code-Reject; 0 = 1500
	Discarded    uint64    // packets dropped as malformed, out of place or repeated
}

// Machine runs the automaton for one control protocol.
type Machine struct {
	cfg     *Config
	neg     Negotiator
	d       Data
	actions []Action
}

// Action is something the owner has to do, in the order given.
type Action interface{ action() }

// Send asks for a packet to be sent under the protocol's number.
type Send struct{ Packet []byte }

// LayerUp: negotiation is complete (tlu).
type LayerUp struct{}

// LayerDown: negotiation is no longer complete (tld).
type LayerDown struct{}

// LayerStarted: the lower layer is needed (tls).
type LayerStarted struct{}

// LayerFinished: the lower layer is no longer needed (tlf). Why says how it came.
type LayerFinished struct{ Why Finish }

// Terminating: a Terminate-Request of the peer was received, with the text in it.
// Former is the state in which it came.
type Terminating struct {
	Text   string
	Former State
}

// CodeRejected: the peer does not know a code of ours. Codes 1 to 7 nobody can do
// without: the machine ends then.
type CodeRejected struct{ Code Code }

func (Send) action()          {}
func (LayerUp) action()       {}
func (LayerDown) action()     {}
func (LayerStarted) action()  {}
func (LayerFinished) action() {}
func (Terminating) action()   {}
func (CodeRejected) action()  {}

// Finish is how a layer came to its end.
type Finish uint8

// The ways to LayerFinished.
const (
	FinishClosed    Finish = iota // closed by us, and the peer agreed
	FinishPeer                    // terminated by the peer
	FinishSilent                  // Configure-Requests went unanswered
	FinishUnsettled               // there were answers, but no agreement
	FinishRejected                // the peer rejected a code we cannot do without
)

var finishNames = [...]string{"closed", "terminated by the peer", "no answer", "no agreement", "rejected by the peer"}

// String says it for people.
func (f Finish) String() string {
	if int(f) < len(finishNames) {
		return finishNames[f]
	}
	return fmt.Sprintf("finish %d", uint8(f))
}

// New returns a Machine in state Initial. The Config is kept, must not change any more, and may be that of many.
func New(cfg *Config, neg Negotiator) *Machine {
	return Restore(cfg, neg, Data{})
}

// Restore goes on where Data left off.
func Restore(cfg *Config, neg Negotiator, d Data) *Machine {
	if filled := cfg.Timers.WithDefaults(); filled != cfg.Timers {
		own := *cfg
		own.Timers = filled
		cfg = &own
	}
	return &Machine{cfg: cfg, neg: neg, d: d.clone()}
}

func (d Data) clone() Data {
	if d.Request != nil {
		d.Request = append(make([]byte, 0, len(d.Request)), d.Request...)
	}
	return d
}

// Data returns a copy of everything the machine knows. Actions must have been
// drained.
func (m *Machine) Data() Data { return m.d.clone() }

// Rest is what is left to remember of a machine that is Opened and has nothing under way; Data makes the rest of it.
type Rest struct{ Identifier uint8 }

// Rest returns it, and whether the machine is at rest: what comes next finds a machine restored from it in the same state as this one,
// but for what Discarded counts. Actions must have been drained.
func (m *Machine) Rest() (r Rest, ok bool) {
	return Rest{m.d.Identifier}, m.d.State == Opened && m.d.Answered && m.d.Farewell == "" && m.d.ReplyMax == 0 && len(m.actions) == 0
}

// Data returns the data of a machine at rest. The way to Opened leads by an answered request, and restores the restart counter.
func (r Rest) Data(t Timers) Data {
	return Data{State: Opened, RestartCount: t.WithDefaults().MaxConfigure, Identifier: r.Identifier, RequestID: r.Identifier, Answered: true, Heard: true}
}

// State is the state of the automaton.
func (m *Machine) State() State { return m.d.State }

// Requested are the options of our last Configure-Request, not to be changed.
func (m *Machine) Requested() []byte { return m.d.Request }

// Discarded counts packets dropped as malformed, out of place or repeated.
func (m *Machine) Discarded() uint64 { return m.d.Discarded }

// NextIdentifier takes an identifier for a packet of our own making.
func (m *Machine) NextIdentifier() uint8 {
	m.d.Identifier++
	return m.d.Identifier
}

// Transmit sends a packet of the protocol's own, with an extension code.
func (m *Machine) Transmit(p Packet) { m.send(p) }

// SetReplyMax sets the most octets that a Code-Reject may have: the peer's MRU.
func (m *Machine) SetReplyMax(n int) { m.d.ReplyMax = n }

// Actions hands over what is to be done, and forgets it.
func (m *Machine) Actions() []Action {
	a := m.actions
	m.actions = nil
	return a
}

// Summary describes the machine for people: "LCP Req-Sent".
func (m *Machine) Summary() string { return m.cfg.Name + " " + m.d.State.String() }
