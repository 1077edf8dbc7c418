// Package session is the slow path of one PPP session of the network server: the link machine with what surrounds it (frames
// that come before the call is connected, limits of time, facts for lists and records). It is a pure machine like the link itself, owned
// by one shard; the data path lies in pns/dataplane.
package session

import (
	"fmt"
	"net/netip"
	"time"

	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/link"
)

// heldFrames is how many frames are kept that come before Up. GRE may overtake the control message that connects the
// call (quirk of several peers); a Configure-Request and its first repetitions are all that can have been sent.
const heldFrames = 4

// idleLooks is how often in its idle time a session is looked at: it ends so much later at most than that time after its last packet.
const idleLooks = 8

// Config describes one session. It is not changed after New.
type Config struct {
	Link        link.Config
	SessionTime time.Duration // the session ends this long after authentication; 0 = never
	IdleTime    time.Duration // it ends after this long without data either way; 0 = never
}

// Plan is a Config made ready for use, by any number of sessions.
type Plan struct {
	link                  *link.Plan
	sessionTime, idleTime time.Duration
}

// NewPlan makes the Config ready. The seed in it is not used.
func NewPlan(cfg Config) *Plan {
	return &Plan{link.NewPlan(cfg.Link), cfg.SessionTime, cfg.IdleTime}
}

// Traffic is what the data plane has carried for the session so far, in packets.
type Traffic struct{ Received, Sent uint64 }

// Facts is what is known of a session, for lists and records. Times are zero until the event has happened.
type Facts struct {
	Started       time.Time
	LinkUp        time.Time // LCP opened first
	Authenticated time.Time
	NetworkUp     time.Time // IPCP opened first, encryption settled

	Phase          link.Phase
	User           string        // who logged in; before that, who tries to
	Authentication auth.Protocol // agreed or in use
	LocalAddress   netip.Addr
	PeerAddress    netip.Addr
	MRU, MTU       uint16
	Encrypted      bool
	KeyBits        uint16
	Up             bool        // data may flow at this moment
	Ended          link.Reason // Code is CodeNone until the session has ended
}

// Counters counts what the session dropped before its link existed.
type Counters struct {
	Held        uint64 // frames that came before the call was connected
	HeldDropped uint64 // of those, more than are kept
}

// State is a Session as plain data.
type State struct {
	Link link.State
	Own  OwnState
}

// OwnState is what a Session knows besides its link.
type OwnState struct {
	Facts    Facts
	Counters Counters
	Up       bool      // PPP has started
	UpAt     time.Time // when it starts even if the peer has said nothing; zero: the call is not connected yet
	Held     [][]byte  // frames that came before the call was connected

	Traffic    Traffic   // when last looked at
	Looked     time.Time // when that was
	LastActive time.Time // when Traffic was last seen to have grown
	Closing    bool
}

// Session is one PPP session. Not safe for concurrent use.
type Session struct {
	plan *Plan
	link *link.Link
	s    OwnState
}

// New makes a session whose call is not connected yet.
func New(now time.Time, cfg Config) *Session { return NewPlan(cfg).New(now, cfg.Link.Seed) }

// New makes a session whose call is not connected yet; seed is what that of a link.Config is.
func (p *Plan) New(now time.Time, seed [32]byte) *Session {
	return &Session{plan: p, link: p.link.New(now, seed), s: OwnState{Facts: Facts{Started: now}}}
}

// Renew makes a session under another Plan that takes the place of one whose call is not connected yet, with its frames.
func (p *Plan) Renew(old *Session, now time.Time, seed [32]byte) *Session {
	s := p.New(now, seed)
	s.s.Facts.Started, s.s.Held, s.s.Counters = old.s.Facts.Started, old.s.Held, old.s.Counters
	return s
}

// Restore goes on where State left off, under the same Config but for the seed.
func Restore(cfg Config, s State) (*Session, error) { return NewPlan(cfg).Restore(s) }

// Restore goes on where State left off, under the same Plan.
func (p *Plan) Restore(s State) (*Session, error) {
	l, err := p.link.Restore(s.Link)
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	own := s.Own
	own.Held = cloneFrames(own.Held)
	return &Session{plan: p, link: l, s: own}, nil
}

// State returns a deep copy of everything the session knows. Actions must have been drained.
func (s *Session) State() State {
	own := s.s
	own.Held = cloneFrames(own.Held)
	return State{Link: s.link.State(), Own: own}
}

func cloneFrames(frames [][]byte) [][]byte {
	if len(frames) == 0 {
		return nil
	}
	out := make([][]byte, len(frames))
	for i, f := range frames {
		out[i] = append([]byte(nil), f...)
	}
	return out
}

// Connected tells that the call is connected. PPP starts at once, with the frames that came too early; but with patience only with
// the peer's first frame, or after that time. A peer that hears of its call by a message of ours may not be listening yet, and would
// miss our first Configure-Request: the next one comes after a whole restart period.
func (s *Session) Connected(now time.Time, patience time.Duration) {
	if s.s.Up || !s.s.UpAt.IsZero() {
		return
	}
	s.s.UpAt = now.Add(patience)
	if patience <= 0 || len(s.s.Held) > 0 {
		s.up(now)
	}
}

func (s *Session) up(now time.Time) {
	s.s.Up = true
	s.link.Up(now)
	held := s.s.Held
	s.s.Held = nil
	for _, f := range held {
		s.link.Receive(now, f)
	}
}

// Down tells that the call is gone: the session ends at once.
func (s *Session) Down(now time.Time) { s.link.Down(now) }

// Close ends the session orderly; Ended follows when the peer has answered or had its time to.
func (s *Session) Close(now time.Time, why link.Reason) {
	s.s.Closing = true
	s.link.Close(now, why)
}

// Echo sends an LCP Echo-Request now.
func (s *Session) Echo(now time.Time) { s.link.Echo(now) }

// Receive takes a control frame. It is kept only if the call is not connected yet.
func (s *Session) Receive(now time.Time, frame []byte) {
	if !s.s.Up && !s.s.UpAt.IsZero() {
		s.up(now)
	}
	if s.s.Up {
		s.link.Receive(now, frame)
		return
	}
	s.s.Counters.Held++
	if len(s.s.Held) >= heldFrames {
		s.s.Counters.HeldDropped++
		return
	}
	s.s.Held = append(s.s.Held, append([]byte(nil), frame...))
}

// Authenticated takes the answer to an Authenticate action.
func (s *Session) Authenticated(now time.Time, v auth.Verdict) {
	if v.OK && v.User != "" {
		s.s.Facts.User = v.User
	}
	s.link.Authenticated(now, v)
	if v.OK && s.s.Facts.Authenticated.IsZero() {
		s.s.Facts.Authenticated, s.s.LastActive, s.s.Looked = now, now, now
	}
}

// restAfter is for how long a session has carried nothing that rests.
const restAfter = 10 * time.Second

// Tick lets timers that are due run. traffic is what the data plane has carried so far: it shows that the peer is alive,
// and when it was last used. It reports that nothing has been carried since the last look, some time ago.
func (s *Session) Tick(now time.Time, traffic Traffic) (rests bool) {
	rests = traffic == s.s.Traffic && now.Sub(s.s.Looked) >= restAfter
	if traffic.Received != s.s.Traffic.Received {
		s.link.Heard(now)
	}
	if traffic != s.s.Traffic {
		s.s.LastActive = now
	}
	s.s.Traffic, s.s.Looked = traffic, now
	if !s.s.Up && !s.s.UpAt.IsZero() && !now.Before(s.s.UpAt) {
		s.up(now)
	}
	switch {
	case s.s.Closing || s.s.Facts.Authenticated.IsZero():
	case s.over(now, s.s.Facts.Authenticated, s.plan.sessionTime):
		s.Close(now, link.Reason{Code: link.CodeSessionTimeout, By: link.Here, Text: fmt.Sprintf("session limit of %v reached", s.plan.sessionTime)})
	case s.over(now, s.s.LastActive, s.plan.idleTime):
		s.Close(now, link.Reason{Code: link.CodeIdle, By: link.Here, Text: fmt.Sprintf("no data for %v", s.plan.idleTime)})
	}
	s.link.Tick(now)
	return rests
}

func (s *Session) over(now, since time.Time, limit time.Duration) bool {
	return limit > 0 && !now.Before(since.Add(limit))
}

// Deadline is when Tick wants to be called next; zero is never.
func (s *Session) Deadline() time.Time {
	at := s.link.Deadline()
	if !s.s.Up && !s.s.UpAt.IsZero() {
		return earlier(at, s.s.UpAt)
	}
	if s.s.Closing || s.s.Facts.Authenticated.IsZero() || s.s.Facts.Ended.Code != link.CodeNone {
		return at
	}
	if s.plan.sessionTime > 0 {
		at = earlier(at, s.s.Facts.Authenticated.Add(s.plan.sessionTime))
	}
	if s.plan.idleTime > 0 {
		at = earlier(at, s.s.LastActive.Add(s.plan.idleTime))
		at = earlier(at, s.s.Looked.Add(s.plan.idleTime/idleLooks))
	}
	return at
}

// earlier is the earlier of two instants; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Actions drains the effects, in order. They are those of the link.
func (s *Session) Actions(now time.Time) []link.Action {
	actions := s.link.Actions()
	for _, a := range actions {
		s.note(now, a)
	}
	return actions
}

// note keeps the facts that an action tells.
func (s *Session) note(now time.Time, a link.Action) {
	f := &s.s.Facts
	switch a := a.(type) {
	case link.Authenticate:
		f.Authentication = a.Attempt.Protocol
		if f.Authenticated.IsZero() { // afterwards the session is of who has logged in, whatever name comes with a later attempt
			f.User = a.Attempt.User
		}
	case link.LinkUp:
		if f.LinkUp.IsZero() {
			f.LinkUp = now
		}
		f.MRU, f.Authentication = a.MRU, a.Authentication
	case link.NetworkUp:
		if f.NetworkUp.IsZero() {
			f.NetworkUp = now
		}
		if f.Authenticated.IsZero() { // as a client it is we who log in
			f.Authenticated, s.s.LastActive, s.s.Looked, f.User = now, now, now, a.User
		}
		f.LocalAddress, f.PeerAddress, f.MTU = a.LocalAddress, a.PeerAddress, a.MTU
		f.Encrypted, f.KeyBits, f.Up = a.Encryption != nil, 0, true
		if a.Encryption != nil {
			f.KeyBits = uint16(a.Encryption.KeyLength)
		}
	case link.NetworkDown:
		f.Up = false
	case link.Ended:
		f.Ended, f.Up = a.Reason, false
	}
}

// Facts returns what is known of the session.
func (s *Session) Facts() Facts {
	f := s.s.Facts
	f.Phase = s.link.Phase()
	return f
}

// Counters returns a copy of the session's and the link's counters.
func (s *Session) Counters() (Counters, link.Counters) { return s.s.Counters, s.link.Counters() }
