// Package trace records calls while they are under way, as a pcapng file that Wireshark opens: control messages (as TCP segments made up for
// them), GRE packets (in IP headers made up for them), the frames on the serial side of a line, and what happens to calls and lines, as
// comments. Secrets are blanked unless they are asked for.
//
// A daemon has one Hub. Whatever passes is offered to it, and costs one atomic load while no trace runs. A Trace takes what it is about,
// copies it into a queue with a bound, and writes it out in Run. What finds no room is counted, and the file says so: nobody ever waits for
// a trace.
package trace

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Limit is how many traces may run in a daemon at once.
const Limit = 4

var (
	// ErrTooMany is returned by Start when Limit traces run.
	ErrTooMany = errors.New("as many traces run already as may at once")
	// ErrInUse is returned by Start for the identifier of a trace that runs.
	ErrInUse = errors.New("there is a trace of this identifier already")
)

// About says whom something concerns. What does not apply, or is not known yet, is zero.
type About struct {
	Remote netip.Addr // the other end of the control connection
	Line   string
	Call   string // the daemon's own identifier of the call
}

// Scope is what a trace is about. One of its fields is set, and has to be equal.
type Scope struct {
	Peer netip.Addr // everything with this end
	Line string     // all calls of this line
	Call string     // this call; the trace ends with it
}

func (s Scope) takes(a About) bool {
	switch {
	case s.Peer.IsValid():
		return a.Remote == s.Peer
	case s.Call != "":
		return a.Call == s.Call
	}
	return s.Line != "" && a.Line == s.Line
}

// Hub has the traces that run. Its methods are safe for concurrent use, also on a nil Hub, which has none and starts none.
type Hub struct {
	running atomic.Pointer[[]*Trace] // nil while there is none
	mu      sync.Mutex               // of those who change it
}

// On tells whether any trace runs. Everything that costs anything is behind it.
func (h *Hub) On() bool { return h != nil && h.running.Load() != nil }

// each calls f for every trace.
func (h *Hub) each(f func(*Trace)) {
	if !h.On() {
		return
	}
	if all := h.running.Load(); all != nil {
		for _, t := range *all {
			f(t)
		}
	}
}

// Start begins a trace, which collects from now on. Its Run or its Cancel must be called.
func (h *Hub) Start(now time.Time, id string, s Scope, o Options) (*Trace, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*Trace
	h.each(func(t *Trace) { all = append(all, t) })
	if len(all) >= Limit {
		return nil, ErrTooMany
	}
	for _, t := range all {
		if t.id == id {
			return nil, ErrInUse
		}
	}
	t := newTrace(now, h, id, s, o)
	all = append(all, t)
	h.running.Store(&all)
	return t, nil
}

// Stop ends the trace of that identifier, and says whether there was one.
func (h *Hub) Stop(id, why string) (found bool) {
	h.each(func(t *Trace) {
		if t.id == id {
			found = true
			t.stop(why)
		}
	})
	return found
}

// remove takes a trace out that has ended.
func (h *Hub) remove(ended *Trace) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*Trace
	h.each(func(t *Trace) {
		if t != ended {
			all = append(all, t)
		}
	})
	if len(all) == 0 {
		h.running.Store(nil)
		return
	}
	h.running.Store(&all)
}

// Begin tells that there is a call on a control connection. It must have returned before a message about the call is sent.
func (h *Hub) Begin(now time.Time, l Leg) { h.each(func(t *Trace) { t.Begin(now, l) }) }

// End tells that a control connection knows a call no more.
func (h *Hub) End(now time.Time, connection uint64, own uint16) {
	h.each(func(t *Trace) { t.end(now, connection, own) })
}

// Over tells that a call is over, whatever legs it had. A trace of the call ends a moment later.
func (h *Hub) Over(now time.Time, a About, why string) {
	h.each(func(t *Trace) {
		if t.scope.takes(a) {
			t.event(now, a, "the call is over: "+why)
			t.over(now, why)
		}
	})
}

// GRE offers a packet, from the GRE header on. It is not kept.
func (h *Hub) GRE(now time.Time, local, remote netip.Addr, sent bool, packet []byte) {
	h.each(func(t *Trace) { t.gre(now, local, remote, sent, packet) })
}

// Control offers octets of a control connection, split in any way. They are not kept.
func (h *Hub) Control(now time.Time, c Connection, sent bool, octets []byte) {
	h.each(func(t *Trace) { t.control(now, c, sent, octets) })
}

// Closed tells that a control connection is closed.
func (h *Hub) Closed(now time.Time, c Connection) { h.each(func(t *Trace) { t.closed(now, c) }) }

// Frame offers a frame that a line has received (from the far end of its call) or sent, without flags and FCS. It is not kept.
func (h *Hub) Frame(now time.Time, a About, sent bool, frame []byte) {
	h.each(func(t *Trace) {
		if t.scope.takes(a) {
			t.frame(now, a.Line, sent, frame)
		}
	})
}

// Event offers what has happened to a line or a call, in words.
func (h *Hub) Event(now time.Time, a About, text string) {
	h.each(func(t *Trace) {
		if t.scope.takes(a) {
			t.event(now, a, text)
		}
	})
}
