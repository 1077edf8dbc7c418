package office

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"trunkline.example/modem/exchange/circuit"
	"trunkline.example/modem/exchange/hayes"
	"trunkline.example/modem/exchange/pace"
	"trunkline.example/modem/exchange/plan"
)

// pendingLimit is how many octets of a client wait for its modem.
const pendingLimit = 1024

// dropGrace is how long octets for the client may delay DropClient.
const dropGrace = time.Second

// LineState is what changes about a line, apart from its modem and the switch.
type LineState struct {
	Attached bool
	Pending  []byte    // octets of the client that its modem has not taken yet
	DropAt   time.Time // DropClient is due as soon as the client has all octets, at the latest then
	Receives Damage    // lasting damage to what the line receives
	Sends    Damage    // and to what it sends
	Received circuit.Counters
	Sent     circuit.Counters // of ended calls, as Received
	Calls    int              // calls that were up
}

// Damage is lasting damage of one direction.
type Damage struct {
	Impairment circuit.Impairment
	CallOnly   bool // it ends with the present call
}

// CallState is a call from the answer on.
type CallState struct {
	Caller, Callee int
	Dialed         string
	Began          time.Time // answered
	Up             time.Time // connected; zero: training
	TrainedAt      time.Time // training: its end
	Ending         bool      // one side has hung up
	Last           int       // ending: the side that is still to be told
	TellAt         time.Time // ending: at the latest then
	RetrainAt      time.Time // the next retrain; zero: none
	LostAt         time.Time // when the carrier is lost; zero: never
	Links          [2]hayes.Link
	Configs        [2]circuit.Config // caller to callee, callee to caller
	Circuits       [2]circuit.State  // only in a State that was taken
}

// State is all that changes.
type State struct {
	Switch plan.State
	Modems []hayes.State
	Lines  []LineState
	Calls  []CallState
	Recent []CallStatus
	Random []byte
}

// call is a call with its circuits.
type call struct {
	CallState
	circuits [2]*circuit.Circuit // nil while training
}

// Office is the network.
type Office struct {
	cfg     Config
	sw      *plan.Switch
	modems  []*hayes.Modem
	lines   []LineState
	calls   []*call
	callOf  []*call // of each line; nil: none. A line that has hung up has left its call even if the other side is still to be told
	recent  []CallStatus
	rng     *rand.ChaCha8
	actions []Action
	now     time.Time // of the present step
	cut     bool      // the switch clears a call because the wire was cut
}

// New checks the configuration and returns an office with nobody attached.
func New(cfg Config) (*Office, error) {
	cfg = cfg.withDefaults()
	numbers, err := cfg.numbers()
	if err != nil {
		return nil, err
	}
	sw, err := plan.New(numbers)
	if err != nil {
		return nil, err
	}
	o := &Office{cfg: cfg, sw: sw, lines: make([]LineState, len(cfg.Lines)), callOf: make([]*call, len(cfg.Lines)), rng: rand.NewChaCha8(cfg.Seed)}
	for i, l := range cfg.Lines {
		if err := l.Trouble.check(); err != nil {
			return nil, fmt.Errorf("office: line %s: %w", l.Name, err)
		}
		o.modems = append(o.modems, hayes.New(l.Modem))
		o.lines[i].Receives.Impairment, o.lines[i].Sends.Impairment = l.Trouble.Receives, l.Trouble.Sends
	}
	return o, nil
}

// Restore goes on from a state.
func Restore(cfg Config, s State) (*Office, error) {
	o, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if len(s.Modems) != len(o.modems) || len(s.Lines) != len(o.lines) {
		return nil, fmt.Errorf("office: state has %d modems and %d lines, the configuration %d", len(s.Modems), len(s.Lines), len(o.lines))
	}
	numbers, err := o.cfg.numbers()
	if err != nil {
		return nil, err
	}
	if o.sw, err = plan.Restore(numbers, s.Switch); err != nil {
		return nil, err
	}
	for i, m := range s.Modems {
		if o.modems[i], err = hayes.Restore(o.cfg.Lines[i].Modem, m); err != nil {
			return nil, fmt.Errorf("office: line %s: %w", o.cfg.Lines[i].Name, err)
		}
	}
	if err := o.rng.UnmarshalBinary(s.Random); err != nil {
		return nil, fmt.Errorf("office: state of the generator: %w", err)
	}
	o.lines, o.recent = copyLines(s.Lines), slices.Clone(s.Recent)
	for _, cs := range s.Calls {
		c := &call{CallState: cs}
		if cs.Caller < 0 || cs.Caller >= len(o.lines) || cs.Callee < 0 || cs.Callee >= len(o.lines) {
			return nil, fmt.Errorf("office: state: call between lines %d and %d", cs.Caller, cs.Callee)
		}
		for i := range c.circuits {
			if cs.Up.IsZero() {
				break
			}
			if c.circuits[i], err = circuit.Restore(cs.Configs[i], cs.Circuits[i]); err != nil {
				return nil, err
			}
		}
		c.Circuits = [2]circuit.State{}
		o.calls = append(o.calls, c)
		for _, line := range []int{c.Caller, c.Callee} {
			if !c.Ending || c.Last == line {
				o.callOf[line] = c
			}
		}
	}
	return o, nil
}

// State returns a copy of all that changes. Actions must have been drained.
func (o *Office) State() State {
	s := State{Switch: o.sw.State(), Lines: copyLines(o.lines), Recent: slices.Clone(o.recent)}
	for _, m := range o.modems {
		s.Modems = append(s.Modems, m.State())
	}
	for _, c := range o.calls {
		cs := c.CallState
		for i, w := range c.circuits {
			if w != nil {
				cs.Circuits[i] = w.State()
			}
		}
		s.Calls = append(s.Calls, cs)
	}
	s.Random, _ = o.rng.MarshalBinary() // never fails
	return s
}

func copyLines(from []LineState) []LineState {
	lines := slices.Clone(from)
	for i := range lines {
		lines[i].Pending = slices.Clone(lines[i].Pending)
	}
	return lines
}

// Config returns the configuration with its defaults filled in.
func (o *Office) Config() Config { return o.cfg }

// Actions drains the effects in order.
func (o *Office) Actions() []Action {
	a := o.actions
	o.actions = nil
	return a
}

func (o *Office) do(a Action) { o.actions = append(o.actions, a) }

// Attach says that a client has opened a line's port, whose serial speed is
// bps; zero keeps the speed. What was left for another client is gone.
func (o *Office) Attach(now time.Time, line, bps int) {
	l, m := &o.lines[line], o.modems[line]
	m.SettleDTR(now)
	m.Attended()
	l.Attached, l.Pending, l.DropAt = true, l.Pending[:0], time.Time{}
	m.ClearOutput()
	m.SetSpeed(bps)
	m.SetDTR(now, true)
	o.step(now)
}

// AttachCall says that a client has come whose connection is a call to a number:
// its modem dials at once, and DropClient follows when there is no call any more.
func (o *Office) AttachCall(now time.Time, line int, number string) {
	o.Attach(now, line, 0)
	o.modems[line].Originate(now, number)
	o.step(now)
}

// Free reports whether a line has neither a client nor a call.
func (o *Office) Free(line int) bool {
	return !o.lines[line].Attached && o.sw.Line(line).Phase == plan.Idle && o.modems[line].Phase() == hayes.Command
}

// Signals returns the lines of a serial port as a modem drives them now.
func (o *Office) Signals(line int) hayes.Signals { return o.modems[line].Signals() }

// Detach says that the client has closed the port. Octets it wrote before
// still count.
func (o *Office) Detach(now time.Time, line int) {
	o.lines[line].Attached, o.lines[line].DropAt = false, time.Time{}
	o.modems[line].ClearOutput()
	o.modems[line].SetDTR(now, false)
	o.step(now)
}

// SetSerial says what the client made of its port: its speed in bits per
// second, and DTR, which speed 0 (B0) drops.
func (o *Office) SetSerial(now time.Time, line, bps int) {
	o.modems[line].SetSpeed(bps)
	o.modems[line].SetDTR(now, bps > 0 && o.lines[line].Attached)
	o.step(now)
}

// Room returns how many octets Input takes at present.
func (o *Office) Room(line int) int { return pendingLimit - len(o.lines[line].Pending) }

// Input gives octets of the client to the modem and returns how many it took,
// at most Room.
func (o *Office) Input(now time.Time, line int, data []byte) int {
	n := min(len(data), o.Room(line))
	o.lines[line].Pending = append(o.lines[line].Pending, data[:n]...)
	o.touch(now, line)
	return n
}

// Output moves octets for the client to p and returns how many. It is called
// whenever the client can take some.
func (o *Office) Output(now time.Time, line int, p []byte) int {
	n := o.modems[line].Output(now, p)
	if n > 0 {
		o.touch(now, line)
	}
	return n
}

// OutputAt is when Output has something for a line's client, if nothing else
// happens; zero: it has not.
func (o *Office) OutputAt(line int) time.Time { return o.modems[line].OutputAt() }

// OutputWaiting returns how many octets wait for the client.
func (o *Office) OutputWaiting(line int) int { return o.modems[line].OutputWaiting() }

// Tick does what is due.
func (o *Office) Tick(now time.Time) { o.step(now) }

// Deadline is the next instant the office cares about, apart from OutputAt;
// zero: none.
func (o *Office) Deadline() time.Time {
	d := o.sw.Deadline()
	for i, m := range o.modems {
		d = pace.Earlier(d, m.Deadline())
		d = pace.Earlier(d, o.lines[i].DropAt)
		if len(o.lines[i].Pending) > 0 {
			d = pace.Earlier(d, m.InputAt())
		}
	}
	for _, c := range o.calls {
		d = pace.Earlier(d, c.TellAt)
		if c.Up.IsZero() {
			d = pace.Earlier(d, c.TrainedAt)
			continue
		}
		d = pace.Earlier(pace.Earlier(d, c.RetrainAt), c.LostAt)
		for i, w := range c.circuits {
			d = pace.Earlier(d, w.Deadline(o.now, len(o.modems[c.side(i)].ToLine())))
		}
	}
	return d
}

// side returns the line that sends on a circuit.
func (c *call) side(circuit int) int {
	if circuit == 0 {
		return c.Caller
	}
	return c.Callee
}
