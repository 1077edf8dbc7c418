// Package link composes the protocols of one PPP link through the phases of RFC 1661
// section 3.2: LCP, then authentication, then CCP with MPPE and IPCP, as the server that
// authenticates its peer and gives it an address, or as the client that asks for one.
//
// A Link is a pure machine. It is owned by one goroutine, takes frames, commands and
// the time, and leaves its effects to be drained by Actions. Data frames (IPv4, MPPE)
// never pass through it: the owner sends them to its data plane once NetworkUp
// came, and hands everything else to Receive.
package link

import (
	"time"

	"trunkline.example/shared/ppp/auth"
)

// Link is one side of a PPP link.
type Link struct {
	cfg     Config
	s       State
	actions []Action
}

// State is a Link as plain data.
type State struct{ Phase Phase }

// New makes a link whose lower layer is still down.
func New(now time.Time, cfg Config) *Link { return &Link{cfg: cfg} }

// Restore goes on where State left off, under the same Config.
func Restore(cfg Config, s State) (*Link, error) { return &Link{cfg: cfg, s: s}, nil }

// State returns a deep copy of everything the link knows. Actions must have been
// drained.
func (l *Link) State() State { return l.s }

// Up tells that the lower layer carries frames: LCP starts.
func (l *Link) Up(now time.Time) {}

// Down tells that the lower layer is gone: the link ends at once.
func (l *Link) Down(now time.Time) {}

// Close ends the link orderly, by Terminate-Request. Ended follows when the peer has
// answered or has had its time to.
func (l *Link) Close(now time.Time, why Reason) {}

// Receive takes a frame; address, control and protocol may be compressed. It is not
// kept.
func (l *Link) Receive(now time.Time, frame []byte) {}

// Authenticated is the answer to an Authenticate action. One that is no longer wanted
// is ignored.
func (l *Link) Authenticated(now time.Time, v auth.Verdict) {}

// Heard tells that the peer is alive, as data from it arrived since the last call:
// Echo-Requests are put off, so that a busy line is never given up.
func (l *Link) Heard(now time.Time) {}

// Tick lets timers that are due run; early calls do nothing.
func (l *Link) Tick(now time.Time) {}

// Deadline is when Tick wants to be called next; zero is never.
func (l *Link) Deadline() time.Time { return time.Time{} }

// Actions drains the effects, in order.
func (l *Link) Actions() []Action {
	a := l.actions
	l.actions = nil
	return a
}

// Phase is where the link stands.
func (l *Link) Phase() Phase { return l.s.Phase }

// Counters returns a copy of the counters.
func (l *Link) Counters() Counters { return Counters{} }
