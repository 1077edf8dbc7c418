package sim

import (
	"errors"
	"strconv"
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/pptp/fsm"
)

// must fails unless err is nil or one of those that a busy owner may meet.
func (n *node) must(err error, may ...error) {
	if err == nil {
		return
	}
	for _, e := range may {
		if errors.Is(err, e) {
			return
		}
	}
	n.w.fail("%v: %v", n, err)
}

// late are the errors of a command whose call may have ended or turned meanwhile.
var late = []error{control.ErrUnknownCall, control.ErrWrongState}

// soon gives a command to a call after some time, if the connection still is.
func (n *node) soon(low, high time.Duration, do func()) {
	n.w.after(n.w.between(low, high), func() { n.step(do) })
}

// ring begins a call: as PAC an incoming one, as PNS an outgoing one.
func (n *node) ring() {
	w := n.w
	w.serial++
	number := strconv.FormatUint(uint64(w.serial), 10)
	n.step(func() {
		var own uint16
		var err error
		role := fsm.RolePAC
		if w.chance(0.6) {
			own, err = n.c.OfferIncoming(w.now, control.IncomingOffer{CallSerialNumber: uint16(w.serial), DialedNumber: number, DialingNumber: "5551234"})
		} else {
			role = fsm.RolePNS
			own, err = n.c.RequestOutgoing(w.now, control.OutgoingRequest{
				CallSerialNumber: uint16(w.serial), PhoneNumber: number, Window: n.window(), MinimumBPS: 300, MaximumBPS: 64000})
		}
		if err != nil {
			n.must(err, control.ErrTooManyCalls, control.ErrNoCallID)
			return
		}
		w.stats.calls++
		n.know(own, flowName{w.serial, role == fsm.RolePAC})
		if w.chance(0.1) { // the caller gives up, whatever the call's state
			n.soon(0, 3*time.Second, func() { n.hangUp(own) })
		}
	})
}

// know enters a call that has begun.
func (n *node) know(own uint16, name flowName) {
	f := newFlow(n.host, n.peer, name)
	if n.host.flows[key{n.peer, own}] != nil {
		n.w.fail("%v: Call ID %d is in use already", n, own)
	}
	n.calls[own] = &call{own: own, flow: f}
	n.host.flows[key{n.peer, own}] = f
	if n.w.broken == forgetCall && n.w.chance(0.02) {
		delete(n.calls, own)
	}
}

func (n *node) window() uint16 { return uint16(n.w.random.IntN(9)) }

// hangUp ends a call in the way its role has.
func (n *node) hangUp(own uint16) {
	n.must(n.c.EndCall(n.w.now, own, control.Disconnect{Statistics: "simulated"}), late...)
}

// performCall is the owner's part in a call.
func (n *node) performCall(a control.Action) {
	switch a := a.(type) {
	case control.IncomingOffered:
		n.know(a.Call.Own(), flowName{n.serialOf(a.Call), false})
		n.answerIncoming(a.Call.Own())
	case control.OutgoingRequested:
		n.know(a.Call.Own(), flowName{n.serialOf(a.Call), true})
		n.answerOutgoing(a.Call.Own())
	case control.IncomingAccepted:
		n.connect(a.Call.Own())
	case control.IncomingConnected:
		n.talk(a.Call)
	case control.OutgoingConnected:
		n.talk(a.Call)
	case control.ClearRequested:
		if own := a.Call.Own(); !n.w.chance(0.05) { // else the modem is stuck
			n.soon(0, 3*time.Second, func() { n.hangUp(own) })
		}
	case control.CallEnded:
		n.bury(a)
	}
}

// answerIncoming is the PNS's decision: yes, no, or none.
func (n *node) answerIncoming(own uint16) {
	answer := control.IncomingAnswer{Window: n.window()}
	switch {
	case n.w.chance(0.05):
		return
	case n.w.chance(0.15):
		answer.Result = pptp.IncomingDoNotAccept
	}
	high := time.Second
	if n.w.chance(0.1) {
		high = 40 * time.Second // later than the machine waits
	}
	n.soon(0, high, func() { n.must(n.c.AnswerIncoming(n.w.now, own, answer), late...) })
}

// connect is the PAC's line after the PNS has accepted: it trains, or fails.
func (n *node) connect(own uint16) {
	if n.w.chance(0.05) {
		return // it trains for ever
	}
	n.soon(0, 20*time.Second, func() {
		if n.w.chance(0.1) {
			n.hangUp(own)
			return
		}
		err := n.c.ConfirmIncoming(n.w.now, own, control.LineConnected{ConnectSpeed: 33600, Window: n.window()})
		n.must(err, late...)
		if c, ok := n.c.Call(own); ok && err == nil {
			n.talk(c)
		}
	})
}

// answerOutgoing is the PAC's line that dials.
func (n *node) answerOutgoing(own uint16) {
	if n.w.chance(0.05) {
		return
	}
	high := 20 * time.Second
	if n.w.chance(0.05) {
		high = 100 * time.Second
	}
	n.soon(0, high, func() {
		answer := control.OutgoingAnswer{ConnectSpeed: 33600, Window: n.window()}
		if n.w.chance(0.2) {
			answer.Result = pptp.OutgoingBusy
		}
		err := n.c.AnswerOutgoing(n.w.now, own, answer)
		n.must(err, late...)
		if c, ok := n.c.Call(own); ok && err == nil && c.State == fsm.StateEstablished {
			n.talk(c)
		}
	})
}

// talk is an established call: data flows, the line is heard of, one end hangs up.
func (n *node) talk(c control.Call) {
	own := c.Own()
	known := n.calls[own]
	if known == nil || known.up {
		n.w.fail("%v: call %d is established, its owner knows %+v", n, own, known)
	}
	known.up = true
	n.w.stats.established++
	theirs, ok := c.Theirs()
	if !ok {
		n.w.fail("%v: call %d is established with nobody", n, own)
	}
	window := c.PACWindow
	if c.Role == fsm.RolePAC {
		window = c.PNSWindow
	}
	known.flow.start(theirs, window)
	n.soon(0, 10*time.Second, func() {
		if c.Role == fsm.RolePNS {
			n.must(n.c.SetLinkInfo(n.w.now, own, 0, 0xFFFFFFFF), late...)
			return
		}
		for i := range 3 {
			n.must(n.c.NotifyWANErrors(n.w.now, own, pptp.WANErrors{CRCErrors: uint32(i + 1)}), late...)
		}
	})
	n.soon(time.Second, 2*time.Minute, func() { n.hangUpIf(own, known) })
}

// hangUpIf ends a call unless its Call ID has come to name another.
func (n *node) hangUpIf(own uint16, known *call) {
	if n.calls[own] == known {
		n.hangUp(own)
	}
}

// bury is the end of a call.
func (n *node) bury(a control.CallEnded) {
	own := a.Call.Own()
	known := n.calls[own]
	if known == nil {
		n.w.fail("%v: the end of call %d, which its owner does not know", n, own)
	}
	switch a.Why.Cause {
	case control.CauseRefusedByPAC, control.CauseRefusedByPNS:
		n.w.stats.refused++
	case control.CauseTimedOut:
		n.w.stats.timedOut++
	case control.CauseConnectionLost, control.CauseConnectionStopped:
		n.w.stats.broke++
	}
	if n.w.broken == forgetEnd && n.w.chance(0.05) {
		return
	}
	delete(n.calls, own)
	delete(n.host.flows, key{n.peer, own})
	known.flow.end()
}

// checkQuiet looks for what is left when everything must have ended, and compares the ends of every call.
func (w *world) checkQuiet() {
	for _, n := range w.nodes {
		w.fail("%v: leaked in %v with %d calls", n, n.c.Status(), len(n.calls))
	}
	for _, h := range w.hosts {
		if len(h.flows) > 0 || len(h.nodes) > 0 {
			w.fail("%v: %d connections and %d flows are leaked", h, len(h.nodes), len(h.flows))
		}
		for _, p := range h.pool.State().Pairs {
			if len(p.InUse) > 0 {
				w.fail("%v: Call IDs %v are leaked", h, p.InUse)
			}
		}
	}
	for serial := range w.serial {
		for _, pac := range []bool{true, false} {
			f := w.flows[flowName{serial + 1, pac}]
			if f == nil {
				continue
			}
			if !f.ended {
				w.fail("call %d has not ended", serial+1)
			}
			f.checkCounters(w.flows[flowName{serial + 1, !pac}])
		}
	}
}
