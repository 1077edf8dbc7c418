package plan

import (
	"slices"
	"strings"
	"time"
)

// Dial takes a line off hook, if it is not yet, and dials digits. A line that
// rings answers its call by that, as a telephone would; a connected line's
// digits go nowhere. On ISDN a slash and a subaddress may follow the digits.
func (w *Switch) Dial(now time.Time, line int, digits string) {
	l := &w.s.Lines[line]
	switch l.Phase {
	case Ringing:
		w.Answer(now, line)
		return
	case Idle, OffHook:
	default:
		return
	}
	number, subaddress, _ := strings.Cut(digits, "/")
	l.Phase, l.Number, l.Subaddress, l.Verdict = Dialing, Digits(number), Digits(subaddress), 0
	if l.Fault == FaultDead {
		l.Verdict, l.Cause, l.Due = NoDialTone, CauseNoCircuit, now.Add(w.cfg.Timing.NoDialTone)
		return
	}
	l.Due = now.Add(w.cfg.Timing.Setup)
}

// Answer takes a line off hook: a ringing one is connected to its caller.
func (w *Switch) Answer(now time.Time, line int) {
	l := &w.s.Lines[line]
	switch l.Phase {
	case Idle:
		l.Phase = OffHook
	case Ringing:
		caller := l.Other
		for _, i := range []int{line, caller} {
			s := &w.s.Lines[i]
			s.Phase, s.Due, s.GiveUp, s.RingNext, s.Bursts = Talking, time.Time{}, time.Time{}, time.Time{}, 0
		}
		w.do(Answered{Caller: caller, Callee: line})
	}
}

// OnHook hangs a line up.
func (w *Switch) OnHook(now time.Time, line int) {
	l := &w.s.Lines[line]
	phase, other := l.Phase, l.Other
	if phase == Ringing || phase == Idle {
		return // it is on hook
	}
	w.reset(line)
	if other < 0 {
		return
	}
	switch o := &w.s.Lines[other]; phase {
	case Calling:
		w.reset(other)
		w.do(RingEnd{Line: other})
	case Talking:
		o.Phase, o.Other = Released, -1
		w.do(Cleared{Line: other})
	}
}

// Cut ends the call of a line as the exchange: a talking pair hears silence, a
// ringing line stops and its caller hears the intercept.
func (w *Switch) Cut(now time.Time, line int) {
	l := &w.s.Lines[line]
	other := l.Other
	switch l.Phase {
	case Talking:
		for _, i := range []int{line, other} {
			w.s.Lines[i].Phase, w.s.Lines[i].Other = Released, -1
			w.do(Cleared{Line: i})
		}
	case Calling:
		w.stopRinging(line)
	case Ringing:
		w.stopRinging(other)
	}
}

// SetFault sets or clears the fault of a line. A line that goes dead loses its
// call.
func (w *Switch) SetFault(now time.Time, line int, f Fault) {
	w.s.Lines[line].Fault = f
	if f == FaultDead {
		w.Cut(now, line)
	}
}

// Tick does what is due.
func (w *Switch) Tick(now time.Time) {
	for i := range w.s.Lines {
		l := &w.s.Lines[i]
		if due(l.Due, now) {
			l.Due = time.Time{}
			w.resolve(now, i)
		}
		if due(l.GiveUp, now) {
			w.stopRinging(i)
		}
		if due(l.RingNext, now) {
			l.RingNext = l.RingNext.Add(w.cfg.Timing.RingEvery)
			if l.WaitsFor > 0 {
				w.wait(now, i)
			} else {
				w.ring(i)
			}
		}
	}
}

func due(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }

// reset puts a line on hook; its fault stays.
func (w *Switch) reset(line int) {
	w.s.Lines[line] = LineState{Other: -1, Fault: w.s.Lines[line].Fault}
}

// stopRinging ends the call that a calling line makes before it is answered.
func (w *Switch) stopRinging(caller int) {
	if callee := w.s.Lines[caller].Other; callee >= 0 {
		w.reset(callee)
		w.do(RingEnd{Line: callee})
	}
	w.hear(caller, Intercept, CauseNoAnswer)
}

// hear ends the attempt of a line with a tone.
func (w *Switch) hear(line int, t Tone, cause uint8) {
	l := &w.s.Lines[line]
	fault := l.Fault
	*l = LineState{Phase: OffHook, Other: -1, Fault: fault, Number: l.Number}
	w.do(Hears{Line: line, Tone: t, Cause: cause})
}

// resolve finds what a dialed number leads to.
func (w *Switch) resolve(now time.Time, caller int) {
	l := &w.s.Lines[caller]
	if l.Verdict != 0 {
		w.hear(caller, l.Verdict, l.Cause)
		return
	}
	n := l.Number
	if n == "" {
		l.Phase = OffHook // dial tone goes on: nothing was dialed
		return
	}
	switch n {
	case w.cfg.Busy:
		w.hear(caller, Busy, CauseBusy)
		return
	case w.cfg.Reorder:
		w.hear(caller, Reorder, CauseNoCircuit)
		return
	case w.cfg.NoAnswer:
		l.Phase, l.GiveUp = Calling, now.Add(w.cfg.Timing.RingLimit)
		w.do(Hears{Line: caller, Tone: Ringback})
		return
	}
	lines, cause := w.targets(n, w.cfg.Lines[caller].Digital)
	if cause != 0 {
		l.Verdict, l.Cause, l.Due = Intercept, cause, now.Add(w.cfg.Timing.Intercept)
		return
	}
	dead := true
	for _, callee := range lines {
		c := &w.s.Lines[callee]
		if c.Fault == FaultNone && c.Phase == Idle {
			w.start(now, caller, callee)
			return
		}
		dead = dead && c.Fault == FaultDead
	}
	if dead {
		l.Verdict, l.Cause, l.Due = Intercept, CauseOutOfOrder, now.Add(w.cfg.Timing.Intercept)
		return
	}
	for _, callee := range lines {
		if w.cfg.Lines[callee].CallWaiting && !w.cfg.Lines[callee].Digital && w.s.Lines[callee].Phase == Talking && !w.awaited(callee) {
			l.Phase, l.WaitsFor = Calling, callee+1
			l.GiveUp, l.RingNext = now.Add(w.cfg.Timing.RingLimit), now.Add(w.cfg.Timing.RingEvery)
			w.do(Hears{Line: caller, Tone: Ringback})
			w.do(Waiting{Line: callee})
			return
		}
	}
	w.hear(caller, Busy, CauseBusy)
}

// awaited tells whether a caller waits for a line already.
func (w *Switch) awaited(line int) bool {
	for _, l := range w.s.Lines {
		if l.WaitsFor == line+1 {
			return true
		}
	}
	return false
}

// wait goes on with a caller who waits: the line he wants rings once it is on
// hook, else it hears him again.
func (w *Switch) wait(now time.Time, caller int) {
	l := &w.s.Lines[caller]
	switch callee := l.WaitsFor - 1; w.s.Lines[callee].Phase {
	case Talking:
		w.do(Waiting{Line: callee})
	case Idle:
		if w.s.Lines[callee].Fault == FaultNone {
			l.WaitsFor, l.RingNext = 0, time.Time{}
			w.start(now, caller, callee)
		}
	}
}

// targets returns the lines behind a number that take calls of the bearer, or
// why there are none.
func (w *Switch) targets(number string, digital bool) (lines []int, cause uint8) {
	for _, i := range w.owners(number) {
		if w.cfg.Lines[i].Digital == digital {
			lines = append(lines, i)
			continue
		}
		cause = CauseIncompatible
		if digital {
			cause = CauseNoBearer
		}
	}
	switch {
	case lines != nil:
		return lines, 0
	case cause == 0:
		return nil, CauseUnassigned
	}
	return nil, cause
}

// owners returns the lines behind a number.
func (w *Switch) owners(number string) []int {
	for i, l := range w.cfg.Lines {
		if l.Number == number || slices.Contains(l.Numbers, number) {
			return []int{i}
		}
	}
	for _, h := range w.cfg.Hunts {
		if h.Number == number {
			return h.Lines
		}
	}
	return nil
}

// start makes callee ring for caller.
func (w *Switch) start(now time.Time, caller, callee int) {
	l, c := &w.s.Lines[caller], &w.s.Lines[callee]
	l.Phase, l.Other, l.GiveUp = Calling, callee, now.Add(w.cfg.Timing.RingLimit)
	c.Phase, c.Other, c.Bursts, c.RingNext = Ringing, caller, 0, now.Add(w.cfg.Timing.RingEvery)
	w.do(Hears{Line: caller, Tone: Ringback})
	w.ring(callee)
}

// ring gives one burst.
func (w *Switch) ring(callee int) {
	c := &w.s.Lines[callee]
	c.Bursts++
	caller := w.cfg.Lines[c.Other]
	told := Caller{Number: caller.Number, Name: caller.Name, Dialed: w.s.Lines[c.Other].Number, Subaddress: w.s.Lines[c.Other].Subaddress}
	if caller.Withhold {
		told.Number, told.Name = Withheld, ""
	}
	w.do(Ring{Line: callee, From: c.Other, Burst: c.Bursts, Caller: told})
}
