package sim

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/pptp/fsm"
)

const partialMaximum = 4096 // octets of messages not complete that a machine may keep

// call is what an owner knows of a call.
type call struct {
	own  uint16
	flow *flow
	up   bool
}

// node is one end of a control connection with its owner.
type node struct {
	w          *world
	host, peer *host
	pipe       *pipe
	side       int
	originator bool
	c          *control.Connection
	calls      map[uint16]*call
	tap        pptp.Framer // of what it sends
	ended      bool        // ConnectionEnded has come
	closed     bool        // Close has been performed, or the host is dead
	armed      time.Time
}

func newNode(h, peer *host, p *pipe, side int) *node {
	n := &node{w: h.w, host: h, peer: peer, pipe: p, side: side, originator: side == 0, calls: map[uint16]*call{}}
	ids := h.pool.For(control.Pair{Ours: h.addr, Theirs: peer.addr})
	n.c = control.New(h.w.now, control.Config{
		Originator: n.originator, Approve: !n.originator,
		Self:    control.Identity{HostName: h.name, VendorName: "simulation", MaximumChannels: 100},
		CallIDs: ledger{h, peer, ids, h.books},
		Limits:  control.Limits{Calls: 40, HalfOpen: 30, MessagesPerSecond: 1000, Burst: 10000},
	})
	h.nodes = append(h.nodes, n)
	h.w.nodes = append(h.w.nodes, n)
	if side == 1 {
		n.begin()
	}
	return n
}

// begin performs the first actions.
func (n *node) begin() { n.step(func() {}) }

func (n *node) String() string { return fmt.Sprintf("%v-%v/%d", n.host, n.peer, n.side) }

func (w *world) forget(n *node) {
	w.nodes = slices.DeleteFunc(slices.Clone(w.nodes), func(o *node) bool { return o == n })
}

// step gives the machine an event and performs what it asks for.
func (n *node) step(do func()) {
	if n.closed {
		return
	}
	if d := n.c.Deadline(); !d.IsZero() && d.Before(n.w.now) {
		n.w.fail("%v: the deadline of %v has passed by %v", n, n.c.Status(), n.w.now.Sub(d))
	}
	do()
	for _, a := range n.c.Actions() {
		if n.closed {
			n.w.fail("%v: %T after Close", n, a)
		}
		n.perform(a)
	}
	n.check()
	n.arm()
}

// arm schedules the machine's deadline.
func (n *node) arm() {
	d := n.c.Deadline()
	if n.closed || d.IsZero() || !n.armed.IsZero() && !d.Before(n.armed) {
		return
	}
	n.armed = d
	n.w.at(d, func() {
		if n.closed || !n.armed.Equal(d) {
			return
		}
		n.armed = time.Time{}
		if n.w.broken == forgetTick && n.w.chance(0.1) {
			return
		}
		n.step(func() { n.c.Tick(n.w.now) })
	})
}

// check looks at what must be true after every step.
func (n *node) check() {
	s := n.c.State()
	if s.Control == fsm.StateClosed {
		if !n.closed || len(s.Calls) > 0 || len(n.calls) > 0 && n.w.broken != forgetEnd {
			n.w.fail("%v: closed with %d calls, its owner knows %d", n, len(s.Calls), len(n.calls))
		}
		return
	}
	due := n.c.Deadline()
	if due.IsZero() {
		n.w.fail("%v: no deadline in %v", n, s.Control)
	}
	alive := 0
	for _, c := range s.Calls {
		wait := fsm.WaitOf(fsm.CallMachine(c.Call.Role, c.Call.Direction), c.Call.State)
		if wait != fsm.TimerNone && (c.Due.IsZero() || due.After(c.Due)) {
			n.w.fail("%v: call %d waits in %v without a deadline", n, c.Call.Own(), c.Call.State)
		}
		if !c.Reported {
			alive++
		}
		if !c.Reported && n.calls[c.Call.Own()] == nil {
			n.w.fail("%v: call %d is leaked: its owner does not know it", n, c.Call.Own())
		}
	}
	if alive != len(n.calls) {
		n.w.fail("%v: %d calls, its owner knows %d", n, alive, len(n.calls))
	}
	if len(s.Partial) > partialMaximum {
		n.w.fail("%v: %d octets are kept", n, len(s.Partial))
	}
}

// perform does what the machine asks for.
func (n *node) perform(a control.Action) {
	if send, ok := a.(control.Send); !ok {
		n.w.note("%v: %T%+v", n, a, a)
	} else {
		n.send(send.Bytes)
		return
	}
	switch a := a.(type) {
	case control.StartRequested:
		n.w.after(n.w.between(0, 30*time.Millisecond), n.decide)
	case control.Established:
		n.live()
	case control.ConnectionEnded:
		n.over(a)
	case control.Close:
		n.closed = true
		n.host.nodes = slices.DeleteFunc(n.host.nodes, func(o *node) bool { return o == n })
		n.w.forget(n)
		n.pipe.close(n.side, nil)
		if n.w.broken == keepAfterClose {
			n.send([]byte{0})
		}
	case control.Misbehaved:
		// Both ends behave; what crosses the end of its call, meets a limit or does not come in time is all that may be out of place.
		switch a.What {
		case control.FaultUnknownCall, control.FaultReplyToNothing, control.FaultTooManyCalls, control.FaultHalfMessage, control.FaultNoStart:
		default:
			n.w.fail("%v: %+v", n, a)
		}
	default:
		n.performCall(a)
	}
}

// over is the end of the connection.
func (n *node) over(a control.ConnectionEnded) {
	if n.ended {
		n.w.fail("%v: ended twice", n)
	}
	n.ended = true
	switch a.Why {
	case control.EndSilent:
		n.w.stats.echoes++
	case control.EndStoppedByPeer:
		n.w.stats.stops++
	case control.EndLostFraming, control.EndFlooded, control.EndRefusedByPeer, control.EndRefusedByUs:
		n.w.fail("%v: ended by %v: %v", n, a.Why, a.Err)
	}
}

// send writes to TCP, and looks at what is written.
func (n *node) send(octets []byte) {
	if n.closed {
		n.w.fail("%v: %d octets are sent after Close", n, len(octets))
	}
	n.tap.Feed(octets)
	for {
		octets, ok, err := n.tap.Next()
		if err != nil {
			n.w.fail("%v: sends %v", n, err)
		}
		if !ok {
			break
		}
		m, err := pptp.Decode(octets)
		if err != nil {
			n.w.fail("%v: sends %v", n, err)
		}
		n.checkSent(m)
	}
	n.pipe.write(n.side, octets)
}

// checkSent sees to it that nothing but a farewell is sent about a call that has ended.
func (n *node) checkSent(m pptp.Message) {
	if n.ended {
		n.w.fail("%v: %v is sent after the end", n, m.Type())
	}
	switch m := m.(type) {
	case *pptp.IncomingCallConnected:
		n.checkLive(m, fsm.RolePAC, m.PNSCallID)
	case *pptp.WANErrorNotify:
		n.checkLive(m, fsm.RolePAC, m.PNSCallID)
	case *pptp.SetLinkInfo:
		n.checkLive(m, fsm.RolePNS, m.PACCallID)
	}
}

func (n *node) checkLive(m pptp.Message, role fsm.Role, theirs uint16) {
	for _, c := range n.c.Calls() {
		if id, known := c.Theirs(); known && id == theirs && c.Role == role {
			return
		}
	}
	n.w.fail("%v: %v is sent about call %d, which has ended", n, m.Type(), theirs)
}

// decide answers a Start request, by the collision rule if both ends have opened.
func (n *node) decide() {
	if n.closed {
		return
	}
	if mine := n.host.opening(n.peer); mine != nil {
		won, ok := control.Wins(n.host.addr, n.peer.addr)
		if !ok {
			n.w.fail("%v: addresses %v and %v decide nothing", n, n.host.addr, n.peer.addr)
		}
		n.w.stats.collisions++
		if won {
			return // the loser closes it
		}
		mine.step(func() { mine.c.Abandon(n.w.now, nil) })
	}
	n.step(func() { n.must(n.c.ApproveStart(n.w.now), control.ErrWrongState) })
}

// stop ends the connection in an orderly way.
func (n *node) stop() {
	if n != nil {
		n.step(func() { n.c.Stop(n.w.now, pptp.StopShutdown) })
	}
}

// live lets calls come and go as long as the connection is up.
func (n *node) live() {
	if n.closed || n.w.calm() {
		return
	}
	if n.c.Status() == fsm.StateEstablished {
		n.ring()
		n.w.after(n.w.between(5*time.Second, 90*time.Second), n.live)
	}
}

// serialOf reads the number by which both ends know a call.
func (n *node) serialOf(c control.Call) uint32 {
	serial, err := strconv.ParseUint(c.DialedNumber, 10, 32)
	if err != nil {
		n.w.fail("%v: call %d: %v", n, c.Own(), err)
	}
	return uint32(serial)
}
