package office

import (
	"fmt"
	"time"

	"trunkline.example/modem/exchange/circuit"
	"trunkline.example/modem/exchange/hayes"
	"trunkline.example/modem/exchange/plan"
)

// recentCalls is how many ended calls are remembered.
const recentCalls = 64

// Direction is a direction of a line's calls.
type Direction uint8

// The directions.
const (
	Receives Direction = iota + 1 // what the line's client receives
	Sends                         // what it sends
)

// Line returns the index of a line by its name or number.
func (o *Office) Line(name string) (int, error) {
	for i, l := range o.cfg.Lines {
		if l.Name == name || l.Number == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%w: %q", ErrNoLine, name)
}

// Impair sets lasting damage to one direction of a line's calls, or only of the
// present one. The zero Impairment ends it. The damages of the two lines of a
// call add up.
func (o *Office) Impair(now time.Time, line int, d Direction, i circuit.Impairment, callOnly bool) error {
	if err := checkImpairment(i); err != nil {
		return err
	}
	c := o.callOf[line]
	if callOnly && (c == nil || c.Up.IsZero()) {
		return fmt.Errorf("%w: %s", ErrNoCall, o.cfg.Lines[line].Name)
	}
	switch d {
	case Receives:
		o.lines[line].Receives = Damage{Impairment: i, CallOnly: callOnly}
	case Sends:
		o.lines[line].Sends = Damage{Impairment: i, CallOnly: callOnly}
	default:
		return fmt.Errorf("impairment: unknown direction %d", d)
	}
	if c != nil && !c.Up.IsZero() {
		o.applyDamage(c)
	}
	o.step(now)
	return nil
}

// applyDamage tells the circuits of a call what its lines do to them.
func (o *Office) applyDamage(c *call) {
	for i, w := range c.circuits {
		w.Impair(both(o.lines[c.side(i)].Sends.Impairment, o.lines[c.side(1-i)].Receives.Impairment))
	}
}

// both adds two damages.
func both(a, b circuit.Impairment) circuit.Impairment {
	return circuit.Impairment{
		BitErrorRate:     min(a.BitErrorRate+b.BitErrorRate, 1),
		DropRate:         min(a.DropRate+b.DropRate, 1),
		FrameErrorRate:   min(a.FrameErrorRate+b.FrameErrorRate, 1),
		FrameAbortRate:   min(a.FrameAbortRate+b.FrameAbortRate, 1),
		Burst:            max(a.Burst, b.Burst),
		PassErrorControl: a.PassErrorControl || b.PassErrorControl,
	}
}

// Inject does damage once to one direction of the call of a line.
func (o *Office) Inject(now time.Time, line int, d Direction, i circuit.Injection) error {
	if i.FlipBits < 0 || i.DropOctets < 0 || i.DamageFrames < 0 || i.AbortFrames < 0 || i.Every < 0 || i.Garbage < 0 || i.Garbage > 1<<16 || i.Pause < 0 {
		return fmt.Errorf("injection %+v: nothing may be negative, garbage at most 65536 octets", i)
	}
	c := o.callOf[line]
	if c == nil || c.Up.IsZero() {
		return fmt.Errorf("%w: %s", ErrNoCall, o.cfg.Lines[line].Name)
	}
	w := c.toward(line)
	switch d {
	case Receives:
	case Sends:
		w = 1 - w
	default:
		return fmt.Errorf("injection: unknown direction %d", d)
	}
	c.circuits[w].Inject(now, i)
	o.step(now)
	return nil
}

// Cut ends the call of a line as if its wire were cut: without goodbye, so that
// both modems notice after their S10. A call that rings ends, too.
func (o *Office) Cut(now time.Time, line int) error {
	if p := o.sw.Line(line).Phase; p != plan.Talking && p != plan.Calling && p != plan.Ringing {
		return fmt.Errorf("%w: %s", ErrNoCall, o.cfg.Lines[line].Name)
	}
	o.cut = true
	o.sw.Cut(now, line)
	o.settle(now)
	o.cut = false
	o.step(now)
	return nil
}

// SetFault sets or clears the fault of a line.
func (o *Office) SetFault(now time.Time, line int, f plan.Fault) {
	o.cut = true
	o.sw.SetFault(now, line, f)
	o.settle(now)
	o.cut = false
	o.step(now)
}

// SetFaultAll sets or clears the fault of every line: the exchange is down.
func (o *Office) SetFaultAll(now time.Time, f plan.Fault) {
	for i := range o.lines {
		o.SetFault(now, i, f)
	}
}

// LineStatus is one line for people and tests.
type LineStatus struct {
	Name     string           `json:"name"`
	Number   string           `json:"number"`
	Attached bool             `json:"attached"` // a client has its port open
	DTR      bool             `json:"dtr"`
	Serial   int              `json:"serial"` // the serial speed, bits per second
	Modem    string           `json:"modem"`  // phase of the modem
	Line     string           `json:"line"`   // phase of the line
	Fault    string           `json:"fault"`
	Calls    int              `json:"calls"`    // that were up
	Received circuit.Counters `json:"received"` // octets toward its client, all calls
	Sent     circuit.Counters `json:"sent"`
	Dropped  uint64           `json:"dropped"` // octets for a client that reads none
}

// CallStatus is one call, present or past.
type CallStatus struct {
	Caller       string            `json:"caller"` // names of lines
	Callee       string            `json:"callee"`
	Dialed       string            `json:"dialed"`
	Began        time.Time         `json:"began"`            // answered
	Up           time.Time         `json:"up"`               // connected; zero: not yet, or never
	Ended        time.Time         `json:"ended"`            // zero: not yet
	Link         hayes.Link        `json:"link"`             // the caller's view
	Forward      circuit.Counters  `json:"forward"`          // caller to callee
	Backward     circuit.Counters  `json:"backward"`         // callee to caller
	ForwardOwed  circuit.Injection `json:"forward_pending"`  // damage asked for and not done yet
	BackwardOwed circuit.Injection `json:"backward_pending"` // damage asked for and not done yet
}

// Status is a snapshot of the office.
type Status struct {
	Lines  []LineStatus `json:"lines"`
	Calls  []CallStatus `json:"calls"`
	Recent []CallStatus `json:"recent"` // ended ones, oldest first, at most 64
}

// Status returns a snapshot.
func (o *Office) Status(now time.Time) Status {
	s := Status{Calls: []CallStatus{}, Recent: append([]CallStatus{}, o.recent...)}
	for i, m := range o.modems {
		ms, sl, l := m.State(), o.sw.Line(i), o.lines[i]
		st := LineStatus{
			Name: o.cfg.Lines[i].Name, Number: o.cfg.Lines[i].Number, Attached: l.Attached, DTR: ms.DTR, Serial: ms.Speed,
			Modem: ms.Phase.String(), Line: sl.Phase.String(), Fault: sl.Fault.String(), Calls: l.Calls,
			Received: l.Received, Sent: l.Sent, Dropped: ms.Dropped,
		}
		if c := o.callOf[i]; c != nil && !c.Up.IsZero() {
			st.Received.Add(c.circuits[c.toward(i)].Counters())
			st.Sent.Add(c.circuits[1-c.toward(i)].Counters())
		}
		s.Lines = append(s.Lines, st)
	}
	for _, c := range o.calls {
		s.Calls = append(s.Calls, o.callStatus(now, c))
	}
	return s
}

// callStatus describes a call.
func (o *Office) callStatus(_ time.Time, c *call) CallStatus {
	s := CallStatus{
		Caller: o.cfg.Lines[c.Caller].Name, Callee: o.cfg.Lines[c.Callee].Name, Dialed: c.Dialed,
		Began: c.Began, Up: c.Up, Link: c.Links[0],
	}
	if !c.Up.IsZero() {
		s.Forward, s.Backward = c.circuits[0].Counters(), c.circuits[1].Counters()
		s.ForwardOwed, s.BackwardOwed = c.circuits[0].Outstanding(), c.circuits[1].Outstanding()
	}
	return s
}
