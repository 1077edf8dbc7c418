// Package plan is the switch of the exchange: it knows the numbers, rings
// lines, connects and clears calls. It hears only what a telephone exchange
// hears: lines going off hook and on hook, and digits.
//
//	caller: idle -Dial-> dialing -> (calling | tone) -OnHook-> idle
//	callee: idle -> ringing -Answer-> talking -OnHook-> idle
//	calling and ringing become talking together; talking becomes released when the other side hangs up
//
// The package is pure: inputs take the present time, effects are drained by
// Actions. A Switch is owned by one goroutine.
package plan

import (
	"fmt"
	"time"

	"trunkline.example/modem/exchange/pace"
)

// Config is the number plan.
type Config struct {
	Lines    []Line
	Hunts    []Hunt
	Busy     string // number that is always busy; empty: none
	NoAnswer string // number that rings and that nobody answers; empty: none
	Reorder  string // number that the network has no way to; empty: none
	Timing   Timing
}

// Line is a subscriber's line; its index in Config.Lines is its name here.
type Line struct {
	Number  string   // its own number
	Name    string   // the subscriber's name as told with calls; may be empty
	Digital bool     // ISDN with a terminal adapter: makes and takes digital calls only; other lines, analog ones
	Numbers []string // further numbers of its own

	Withhold    bool // number and name are not told
	CallWaiting bool // a caller while it talks rings on, and is heard in the call
}

// Hunt is a number that rings the first free of some lines.
type Hunt struct {
	Number string
	Lines  []int // tried in this order
}

// Timing of the exchange; zero values give the default named.
type Timing struct {
	Setup      time.Duration // last digit to the first ring or tone; 200 ms
	RingEvery  time.Duration // from ring to ring; 6 s
	RingLimit  time.Duration // a call that nobody answers is given up; 3 minutes
	Intercept  time.Duration // an unassigned number: how long until the caller hears so; 3 s
	NoDialTone time.Duration // how long a caller listens for the dial tone of a dead line; 1 s
}

// DefaultTiming is the timing unless told otherwise.
var DefaultTiming = Timing{
	Setup: 200 * time.Millisecond, RingEvery: 6 * time.Second, RingLimit: 3 * time.Minute, Intercept: 3 * time.Second, NoDialTone: time.Second,
}

func (t Timing) withDefaults() Timing {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&t.Setup, DefaultTiming.Setup)
	def(&t.RingEvery, DefaultTiming.RingEvery)
	def(&t.RingLimit, DefaultTiming.RingLimit)
	def(&t.Intercept, DefaultTiming.Intercept)
	def(&t.NoDialTone, DefaultTiming.NoDialTone)
	return t
}

// Fault of a line.
type Fault uint8

// The faults.
const (
	FaultNone    Fault = iota
	FaultDead          // no dial tone, cannot be reached
	FaultBusyOut       // callers find it busy; it can call
)

// String names the fault as the admin API does.
func (f Fault) String() string {
	switch f {
	case FaultNone:
		return "none"
	case FaultDead:
		return "dead"
	case FaultBusyOut:
		return "busy_out"
	}
	return fmt.Sprintf("fault(%d)", uint8(f))
}

// Phase of a line.
type Phase uint8

// The phases.
const (
	Idle     Phase = iota
	OffHook        // off hook, hearing a tone or nothing
	Dialing        // has dialed, the exchange is looking the number up
	Calling        // hears the other side ring
	Ringing        // rings
	Talking        // connected
	Released       // the other side hung up, this one is still off hook
)

// String names the phase.
func (p Phase) String() string {
	names := [...]string{"idle", "off_hook", "dialing", "calling", "ringing", "talking", "released"}
	if int(p) < len(names) {
		return names[p]
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// Tone is what a caller hears.
type Tone uint8

// The tones.
const (
	NoDialTone Tone = iota + 1 // silence instead of a dial tone
	Ringback
	Busy
	Intercept // unassigned number, dead line, or nobody answered within RingLimit
	Reorder   // the network has no way to the number
)

// Withheld is the number of a caller who does not want to be known.
const Withheld = "P"

// Caller is what the exchange tells with a call.
type Caller struct {
	Number     string // the calling line's number; Withheld
	Name       string // its subscriber; may be empty
	Dialed     string // what was dialed
	Subaddress string // of the called party, on ISDN; may be empty
}

// Action is an effect of the switch.
type Action interface{ action() }

// Ring is one burst of ringing on a line. Burst counts from 1.
type Ring struct {
	Line   int
	From   int // the line that calls; it may have given up when this is dealt with
	Burst  int
	Caller Caller
}

// RingEnd says that a line rings no more and that its call was not answered.
type RingEnd struct{ Line int }

// Causes of ITU-T Q.850 for what a caller hears.
const (
	CauseUnassigned   = 1  // nobody has the number
	CauseBusy         = 17 // all lines behind the number are busy
	CauseNoAnswer     = 18 // it has rung for RingLimit, or rings no more
	CauseOutOfOrder   = 27 // all lines behind the number are dead
	CauseNoCircuit    = 34 // the caller's own line is dead, or the network has no way to the number
	CauseNoBearer     = 65 // a digital call for an analog line
	CauseIncompatible = 88 // an analog call for a digital line
)

// Hears is a tone that a calling line hears from now on.
type Hears struct {
	Line  int
	Tone  Tone
	Cause uint8 // ITU-T Q.850; 0 of Ringback
}

// Answered says that two lines are connected.
type Answered struct{ Caller, Callee int }

// Waiting says that a connected line hears the call waiting tone: another
// caller has dialed it, or still waits.
type Waiting struct{ Line int }

// Cleared says that the other side of a connected line hung up.
type Cleared struct{ Line int }

func (Ring) action()     {}
func (RingEnd) action()  {}
func (Hears) action()    {}
func (Answered) action() {}
func (Waiting) action()  {}
func (Cleared) action()  {}

// LineState is what changes about a line.
type LineState struct {
	Phase      Phase
	Other      int // the line of the other side; -1: none
	Fault      Fault
	Number     string    // dialed
	Subaddress string    // dialed behind it
	Due        time.Time // when the exchange does the next thing for this line
	Verdict    Tone      // the tone due while dialing; 0: look the number up
	Cause      uint8     // of Verdict
	GiveUp     time.Time // calling: when the exchange stops ringing
	RingNext   time.Time // ringing: the next burst
	Bursts     int       // ringing: bursts so far
	WaitsFor   int       // calling: 1 and the line that talks to somebody else, which is told so each RingNext; 0: none
}

// State is all that changes.
type State struct{ Lines []LineState }

// Switch is the exchange's switch.
type Switch struct {
	cfg     Config
	s       State
	actions []Action
}

// New checks the plan and returns a switch with all lines idle.
func New(cfg Config) (*Switch, error) {
	cfg.Timing = cfg.Timing.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	w := &Switch{cfg: cfg, s: State{Lines: make([]LineState, len(cfg.Lines))}}
	for i := range w.s.Lines {
		w.s.Lines[i].Other = -1
	}
	return w, nil
}

// Restore goes on from a state.
func Restore(cfg Config, s State) (*Switch, error) {
	w, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if len(s.Lines) != len(cfg.Lines) {
		return nil, fmt.Errorf("plan: state has %d lines, the plan %d", len(s.Lines), len(cfg.Lines))
	}
	for i, l := range s.Lines {
		if l.Other < -1 || l.Other >= len(s.Lines) || l.WaitsFor < 0 || l.WaitsFor > len(s.Lines) {
			return nil, fmt.Errorf("plan: state: line %d is connected to line %d of %d", i, l.Other, len(s.Lines))
		}
	}
	w.s = w.stateOf(s)
	return w, nil
}

// State returns a copy of all that changes. Actions must have been drained.
func (w *Switch) State() State { return w.stateOf(w.s) }

func (*Switch) stateOf(s State) State {
	return State{Lines: append([]LineState(nil), s.Lines...)}
}

func (c Config) check() error {
	used := map[string]string{}
	claim := func(number, what string) error {
		if Digits(number) != number || number == "" {
			return fmt.Errorf("plan: number %q of %s: want digits, * and #", number, what)
		}
		if by, dup := used[number]; dup {
			return fmt.Errorf("plan: number %s of %s is that of %s already", number, what, by)
		}
		used[number] = what
		return nil
	}
	for i, l := range c.Lines {
		for _, n := range append([]string{l.Number}, l.Numbers...) {
			if err := claim(n, fmt.Sprintf("line %d", i)); err != nil {
				return err
			}
		}
	}
	for i, h := range c.Hunts {
		if err := claim(h.Number, fmt.Sprintf("hunt group %d", i)); err != nil {
			return err
		}
		if len(h.Lines) == 0 {
			return fmt.Errorf("plan: hunt group %s has no lines", h.Number)
		}
		for _, l := range h.Lines {
			if l < 0 || l >= len(c.Lines) {
				return fmt.Errorf("plan: hunt group %s: there is no line %d", h.Number, l)
			}
		}
	}
	for _, n := range []struct{ number, what string }{{c.Busy, "the busy number"}, {c.NoAnswer, "the number that nobody answers"}, {c.Reorder, "the number without a way"}} {
		if n.number == "" {
			continue
		}
		if err := claim(n.number, n.what); err != nil {
			return err
		}
	}
	return nil
}

// Digits returns what the exchange hears of a dial string: 0-9, *, #, A-D.
func Digits(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'd' {
			c -= 'a' - 'A'
		}
		if c >= '0' && c <= '9' || c == '*' || c == '#' || c >= 'A' && c <= 'D' {
			out = append(out, c)
		}
	}
	return string(out)
}

// Actions drains the effects in order.
func (w *Switch) Actions() []Action {
	a := w.actions
	w.actions = nil
	return a
}

func (w *Switch) do(a Action) { w.actions = append(w.actions, a) }

// Line returns the state of a line.
func (w *Switch) Line(i int) LineState { return w.s.Lines[i] }

// Deadline is the next instant the switch cares about; zero: none.
func (w *Switch) Deadline() time.Time {
	var d time.Time
	for i := range w.s.Lines {
		l := &w.s.Lines[i]
		d = pace.Earlier(d, l.Due)
		d = pace.Earlier(d, l.GiveUp)
		d = pace.Earlier(d, l.RingNext)
	}
	return d
}
