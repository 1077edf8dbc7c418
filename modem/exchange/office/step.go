package office

import (
	"encoding/binary"
	"slices"
	"time"

	"trunkline.example/modem/exchange/circuit"
	"trunkline.example/modem/exchange/hayes"
	"trunkline.example/modem/exchange/plan"
)

// lastWords is how long octets that are on their way when one side hangs up may
// still take.
const lastWords = time.Second

// step does all that can be done now.
func (o *Office) step(now time.Time) {
	o.now = now
	o.sw.Tick(now)
	for _, m := range o.modems {
		m.Tick(now)
	}
	o.strike(now)
	for moved := true; moved; {
		moved = false
		for i := range o.lines {
			moved = o.feed(now, i) || moved
		}
		moved = o.settle(now) || moved
		for _, c := range slices.Clone(o.calls) {
			moved = o.advance(now, c) || moved
		}
	}
	for i := range o.lines {
		o.dropClient(now, i)
	}
}

// touch does all that can be done now about one line, after something happened
// to it, and about the other line of its call. It is step for when octets move,
// and costs the same however many lines there are.
func (o *Office) touch(now time.Time, line int) {
	o.now = now
	both := [2]int{line, line}
	if c := o.callOf[line]; c != nil {
		both[1] = c.Caller + c.Callee - line
	}
	for moved := true; moved; {
		moved = false
		for _, i := range both {
			o.modems[i].Tick(now)
			moved = o.feed(now, i) || moved
			if o.modems[i].HasActions() { // more than octets
				o.step(now)
				return
			}
		}
		if c := o.callOf[line]; c != nil {
			moved = o.advance(now, c) || moved
		}
	}
	o.dropClient(now, line)
}

// dropClient reports a client that is to be hung up as soon as it has read all.
func (o *Office) dropClient(now time.Time, line int) {
	l := &o.lines[line]
	if l.DropAt.IsZero() || o.modems[line].OutputWaiting() > 0 && l.DropAt.After(now) {
		return
	}
	l.DropAt = time.Time{}
	if l.Attached {
		o.do(DropClient{Line: line})
	}
}

// feed offers a modem what its client has sent.
func (o *Office) feed(now time.Time, line int) bool {
	l := &o.lines[line]
	if len(l.Pending) == 0 {
		return false
	}
	n := o.modems[line].Input(now, l.Pending)
	l.Pending = l.Pending[:copy(l.Pending, l.Pending[n:])]
	return n > 0
}

// settle carries effects between modems and the switch until none is left.
func (o *Office) settle(now time.Time) bool {
	moved := false
	for again := true; again; {
		again = false
		for i, m := range o.modems {
			for _, a := range m.Actions() {
				again = true
				o.fromModem(now, i, a)
			}
		}
		for _, a := range o.sw.Actions() {
			again = true
			o.fromSwitch(now, a)
		}
		moved = moved || again
	}
	return moved
}

func (o *Office) fromModem(now time.Time, line int, a hayes.Action) {
	switch a := a.(type) {
	case hayes.Dial:
		o.sw.Dial(now, line, a.Digits)
	case hayes.Answer:
		o.sw.Answer(now, line)
	case hayes.HangUp:
		o.sw.OnHook(now, line)
		if c := o.callOf[line]; c != nil {
			o.leave(now, c, line)
		}
	case hayes.CarrierOff:
		if a.DropsClient && o.lines[line].Attached {
			o.lines[line].DropAt = now.Add(dropGrace)
		}
	}
}

func (o *Office) fromSwitch(now time.Time, a plan.Action) {
	switch a := a.(type) {
	case plan.Ring:
		if a.Burst == 1 {
			o.do(CallRinging{Caller: a.From, Callee: a.Line, Dialed: a.Caller.Dialed})
		}
		o.modems[a.Line].Ring(now, a.Burst, hayes.Caller(a.Caller))
	case plan.RingEnd:
		o.modems[a.Line].RingEnd(now)
	case plan.Hears:
		o.modems[a.Line].Refused(now, tones[a.Tone], a.Cause)
	case plan.Waiting:
		o.click(now, a.Line)
	case plan.Answered:
		o.train(now, a)
	case plan.Cleared:
		if c := o.callOf[a.Line]; c != nil && (o.cut || c.Up.IsZero()) {
			o.finish(now, c)
			o.modems[a.Line].Lose(now, false)
		} else if c == nil {
			o.modems[a.Line].Lose(now, false)
		}
	}
}

var tones = map[plan.Tone]hayes.Tone{
	plan.NoDialTone: hayes.NoDialTone, plan.Ringback: hayes.Ringback, plan.Busy: hayes.Busy, plan.Reorder: hayes.Busy, plan.Intercept: hayes.Intercept,
}

// train begins a call.
func (o *Office) train(now time.Time, a plan.Answered) {
	t := o.cfg.Training
	d := max(t.Digital, 0)
	if !o.cfg.Lines[a.Caller].Digital() {
		d = time.Duration(float64(max(t.Time, 0)) * (1 + max(t.Spread, 0)*(2*o.float()-1)))
	}
	c := &call{CallState: CallState{
		Caller: a.Caller, Callee: a.Callee, Dialed: o.sw.Line(a.Caller).Number, Began: now, TrainedAt: now.Add(d),
	}}
	o.calls = append(o.calls, c)
	o.callOf[a.Caller], o.callOf[a.Callee] = c, c
}

// advance does what is due in a call.
func (o *Office) advance(now time.Time, c *call) bool {
	switch {
	case !slices.Contains(o.calls, c): // it has ended in this very step
		return false
	case c.Up.IsZero():
		if c.TrainedAt.After(now) {
			return false
		}
		o.connect(now, c)
		return true
	case c.Ending:
		moved := o.carry(now, c, c.toward(c.Last))
		if c.circuits[c.toward(c.Last)].Empty() || !c.TellAt.After(now) {
			o.finish(now, c)
			o.modems[c.Last].Lose(now, true)
			return true
		}
		return moved
	}
	moved := o.carry(now, c, 0)
	return o.carry(now, c, 1) || moved
}

// toward returns the circuit that a line receives from.
func (c *call) toward(line int) int {
	if line == c.Callee {
		return 0
	}
	return 1
}

// carry moves octets along one circuit.
func (o *Office) carry(now time.Time, c *call, i int) bool {
	w := c.circuits[i]
	from, to := o.modems[c.side(i)], o.modems[c.side(1-i)]
	sent := 0
	if waiting := from.ToLine(); len(waiting) > 0 || !c.Ending {
		sent = w.Send(now, waiting)
		from.Sent(now, sent)
	}
	got := 0
	if arrived := w.Arrived(now); len(arrived) > 0 {
		got = to.FromLine(now, arrived)
		w.Take(got)
		w.Refuse(len(arrived) - got)
	}
	return sent > 0 || got > 0
}

// connect ends the training of a call.
func (o *Office) connect(now time.Time, c *call) {
	caller, callee := o.modems[c.Caller], o.modems[c.Callee]
	seeks, answers := caller.Training()
	seeks2, answers2 := callee.Training()
	links, agreed := o.negotiate(c)
	if !seeks || !seeks2 || answers || !answers2 || !agreed || !o.digital(c) && o.trainingFails(c) {
		o.finish(now, c)
		caller.Fail(now)
		callee.Fail(now)
		return
	}
	c.Up, c.Links = now, links
	latency := o.cfg.Latency + o.cfg.Lines[c.Caller].Latency + o.cfg.Lines[c.Callee].Latency
	for i := range c.circuits {
		c.Configs[i] = circuit.Config{
			Rate: links[i].Transmit, ErrorControl: links[i].ErrorControl, Latency: latency, Step: o.cfg.Step, Seed: o.seed(),
			Synchronous: o.digital(c),
		}
		c.circuits[i] = circuit.New(c.Configs[i])
	}
	o.applyDamage(c)
	o.beginTrouble(now, c)
	o.lines[c.Caller].Calls++
	o.lines[c.Callee].Calls++
	caller.Connect(now, links[0])
	callee.Connect(now, links[1])
	o.do(CallUp{Call: o.callStatus(now, c)})
}

// leave is one side of a call going on hook.
func (o *Office) leave(now time.Time, c *call, line int) {
	if c.Up.IsZero() || c.Ending {
		o.finish(now, c)
		return
	}
	o.callOf[line] = nil
	c.RetrainAt, c.LostAt = time.Time{}, time.Time{}
	c.Ending, c.Last, c.TellAt = true, c.Caller+c.Callee-line, now.Add(lastWords)
}

// finish removes a call and keeps what is to be remembered of it.
func (o *Office) finish(now time.Time, c *call) {
	i := slices.Index(o.calls, c)
	if i < 0 {
		return
	}
	s := o.callStatus(now, c)
	s.Ended = now
	o.calls = slices.Delete(o.calls, i, i+1)
	for _, line := range []int{c.Caller, c.Callee} {
		if o.callOf[line] == c {
			o.callOf[line] = nil
		}
	}
	if !c.Up.IsZero() {
		o.lines[c.Caller].Sent.Add(s.Forward)
		o.lines[c.Callee].Received.Add(s.Forward)
		o.lines[c.Callee].Sent.Add(s.Backward)
		o.lines[c.Caller].Received.Add(s.Backward)
	}
	for _, line := range []int{c.Caller, c.Callee} {
		for _, d := range []*Damage{&o.lines[line].Receives, &o.lines[line].Sends} {
			if d.CallOnly {
				*d = Damage{}
			}
		}
	}
	if o.recent = append(o.recent, s); len(o.recent) > recentCalls {
		o.recent = slices.Delete(o.recent, 0, 1)
	}
	o.do(CallEnded{Call: s})
}

// float draws from [0, 1).
func (o *Office) float() float64 { return float64(o.rng.Uint64()>>11) / (1 << 53) }

// seed draws the seed of a circuit.
func (o *Office) seed() (s [32]byte) {
	for i := 0; i < len(s); i += 8 {
		binary.LittleEndian.PutUint64(s[i:], o.rng.Uint64())
	}
	return s
}
