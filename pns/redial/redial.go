// Package redial decides when a remote site is called: when an operator says so, when there is something to carry, or always; and how
// long to wait after a call that has failed. It is a pure machine: it knows neither how calls are made nor what they carry.
//
//	Idle --order, traffic, pause over--> Calling --up--> Up
//	  ^                                     |             |
//	  +---------------over------------------+----over-----+   hang up: --> Ending --over--> Idle
package redial

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Mode says when the site is called.
type Mode uint8

// The modes.
const (
	Manual     Mode = iota // when ordered
	Persistent             // always
	OnDemand               // when there is something to carry, unless the pause after a failure lasts, or when ordered
)

// Config describes one site. It is not changed after New.
type Config struct {
	Mode      Mode
	Retry     time.Duration // pause after the first failure; it doubles with each more
	RetryMost time.Duration // at most this
	Seed      [32]byte      // of the jitter, from a cryptographic source
}

// steady is how long a call must have been up to count as no failure if the far end or the line ends it.
const steady = time.Minute

// Phase is where a site stands.
type Phase uint8

// The phases.
const (
	Idle    Phase = iota // no call, and none being made
	Calling              // a call is being made
	Up                   // it is up
	Ending               // it has been told to end
)

// String is the phase's name.
func (p Phase) String() string {
	names := [...]string{"idle", "calling", "up", "ending"}
	if int(p) < len(names) {
		return names[p]
	}
	return fmt.Sprintf("phase %d", uint8(p))
}

// End says how a call has ended.
type End uint8

// The ends.
const (
	Lost    End = iota // it failed, or the far end or the line ended it
	Wanted             // we ended it: an operator, or nothing was carried for too long
	Refused            // the far end does not want us: trying again soon is of no use, and may lock the account
)

// Action is an effect that the owner performs.
type Action uint8

// The actions.
const (
	Call   Action = iota + 1 // make a call; Up or Over follows
	HangUp                   // end the call; Over follows
)

// State is a Machine as plain data.
type State struct {
	Phase    Phase
	Since    time.Time // of the phase
	Failures int       // in a row
	RetryAt  time.Time // end of the pause: when a persistent site is called again, and when traffic counts again
	Again    bool      // ordered while the call before was ending
	Off      bool      // hung up by an operator: not called before it is ordered
	Random   []byte    // of math/rand/v2.ChaCha8
}

// Machine is the policy for one site. Not safe for concurrent use.
type Machine struct {
	cfg     Config
	s       State
	random  *rand.ChaCha8
	actions []Action
}

// New makes a machine without a call. A persistent site is called at once.
func New(now time.Time, cfg Config) *Machine {
	m := &Machine{cfg: cfg, random: rand.NewChaCha8(cfg.Seed), s: State{Since: now}}
	if cfg.Mode == Persistent {
		m.call(now)
	}
	return m
}

// Resume makes a machine whose call is up.
func Resume(now time.Time, cfg Config) *Machine {
	return &Machine{cfg: cfg, random: rand.NewChaCha8(cfg.Seed), s: State{Phase: Up, Since: now}}
}

// Restore goes on where State left off, under the same Config.
func Restore(cfg Config, s State) (*Machine, error) {
	m := &Machine{cfg: cfg, random: rand.NewChaCha8(cfg.Seed), s: s}
	if err := m.random.UnmarshalBinary(s.Random); err != nil {
		return nil, fmt.Errorf("redial: random state: %w", err)
	}
	return m, nil
}

// State returns a copy of everything the machine knows. Actions must have been drained.
func (m *Machine) State() State {
	s := m.s
	s.Random, _ = m.random.MarshalBinary() // cannot fail
	return s
}

// Actions drains the effects, in order.
func (m *Machine) Actions() []Action {
	a := m.actions
	m.actions = nil
	return a
}

func (m *Machine) enter(now time.Time, p Phase) { m.s.Phase, m.s.Since = p, now }

func (m *Machine) call(now time.Time) {
	m.s.RetryAt, m.s.Again = time.Time{}, false
	m.enter(now, Calling)
	m.actions = append(m.actions, Call)
}

// Order has the site called now, whatever pause there is. If it is being called, or up, nothing more happens.
func (m *Machine) Order(now time.Time) {
	m.s.Off = false
	switch m.s.Phase {
	case Idle:
		m.call(now)
	case Ending:
		m.s.Again = true
	case Calling, Up:
	}
}

// Traffic tells that there is something to carry, and no call to carry it.
func (m *Machine) Traffic(now time.Time) {
	if m.Wants() && m.s.Phase == Idle {
		m.call(now)
	}
}

// Wants tells whether what cannot be carried at this moment should wait: there will be a call.
func (m *Machine) Wants() bool {
	switch {
	case m.cfg.Mode != OnDemand || m.s.Off:
		return false
	case m.s.Phase == Idle:
		return m.s.RetryAt.IsZero()
	}
	return true
}

// HangUp ends the call, if there is one. The site is not called again before it is ordered, whatever there is to carry.
func (m *Machine) HangUp(now time.Time) {
	m.s.Off, m.s.Again, m.s.RetryAt = true, false, time.Time{}
	if m.s.Phase == Calling || m.s.Phase == Up {
		m.enter(now, Ending)
		m.actions = append(m.actions, HangUp)
	}
}

// Up tells that the call is up.
func (m *Machine) Up(now time.Time) {
	if m.s.Phase == Calling {
		m.enter(now, Up)
	}
}

// Over tells that the call has ended, or could not be made.
func (m *Machine) Over(now time.Time, how End) {
	if m.s.Phase == Idle {
		return
	}
	good := how == Wanted || m.s.Phase == Ending || m.s.Phase == Up && now.Sub(m.s.Since) >= steady
	again := m.s.Again
	m.enter(now, Idle)
	m.s.Again = false
	switch {
	case good:
		m.s.Failures = 0
	case how == Refused:
		m.s.Failures++
		m.pause(now, m.cfg.RetryMost)
	default:
		m.s.Failures++
		m.pause(now, m.backoff())
	}
	switch {
	case again:
		m.call(now)
	case m.s.Off || m.cfg.Mode == Manual:
		m.s.RetryAt = time.Time{}
	case good && m.cfg.Mode == Persistent:
		m.pause(now, m.cfg.Retry)
	}
}

// backoff is the pause after so many failures, without jitter.
func (m *Machine) backoff() time.Duration {
	d := m.cfg.Retry
	for i := 1; i < m.s.Failures && d < m.cfg.RetryMost; i++ {
		d *= 2
	}
	return min(d, m.cfg.RetryMost)
}

// pause puts the next call off by that time, less a part of it by chance, so that many sites do not call at one moment when their server is
// back.
func (m *Machine) pause(now time.Time, d time.Duration) {
	part := time.Duration(m.random.Uint64() % uint64(max(d/4, 1)))
	m.s.RetryAt = now.Add(d - part)
}

// Deadline is when Tick wants to be called next; zero is never.
func (m *Machine) Deadline() time.Time {
	if m.s.Phase != Idle {
		return time.Time{}
	}
	return m.s.RetryAt
}

// Tick ends the pause when it is over, and calls a persistent site; early calls do nothing.
func (m *Machine) Tick(now time.Time) {
	switch at := m.Deadline(); {
	case at.IsZero() || now.Before(at):
	case m.cfg.Mode == Persistent:
		m.call(now)
	default:
		m.s.RetryAt = time.Time{}
	}
}
