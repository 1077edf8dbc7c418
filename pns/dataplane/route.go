package dataplane

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrRouteInUse: another call carries what goes to the prefixes.
var ErrRouteInUse = errors.New("another call has the route")

// Route is a set of prefixes behind the far end of a call. There is one for each remote site, whether a call to it is up or not: the
// call that is up carries the packets. And there is one for each client that has networks behind it, as long as it is there. Its methods are safe for concurrent use.
type Route struct {
	plane    *Plane
	prefixes []netip.Prefix
	demand   func()
	owner    atomic.Pointer[Entry] // the call that is up
	entry    atomic.Pointer[Entry] // the same, once packets may be sent through it

	mu      sync.Mutex
	holding bool
	waiting [][]byte // packets, each with headroom

	held, overflown, unreachable atomic.Uint64
	complained                   atomic.Int64 // when a packet was answered last, nanoseconds since the plane's beginning
}

// waitingMost is how many packets of a route wait for a call: the first of some conversations. Later ones are sent again by whoever
// misses them.
const waitingMost = 32

// RouteCounters count what had nowhere to go.
type RouteCounters struct {
	Held        uint64 `json:"held"`        // packets that have waited for a call
	Overflown   uint64 `json:"overflown"`   // dropped since too many were waiting
	Unreachable uint64 `json:"unreachable"` // dropped since no call was up, or came up in the end
}

// AddRoute makes a route. None of its prefixes may be another one's; of those that hold an address the longest counts. demand is called for
// each packet that waits for a call; it must not block.
func (p *Plane) AddRoute(prefixes []netip.Prefix, demand func()) (*Route, error) {
	r := &Route{plane: p, demand: demand}
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.routes.Load()
	for _, prefix := range prefixes {
		prefix = prefix.Masked()
		if _, used := all.Get(prefix); used {
			return nil, fmt.Errorf("%w: %v", ErrRouteInUse, prefix)
		}
		all = all.InsertPersist(prefix, r)
		r.prefixes = append(r.prefixes, prefix)
	}
	p.routes.Store(all)
	return r, nil
}

// removeRoute ends a route.
func (p *Plane) removeRoute(r *Route) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.routes.Load()
	for _, prefix := range r.prefixes {
		if of, _ := all.Get(prefix); of == r {
			all = all.DeletePersist(prefix)
		}
	}
	p.routes.Store(all)
}

// routeTo returns the route to an address, or nil.
func (p *Plane) routeTo(a address) *Route {
	r, _ := p.routes.Load().Lookup(a.addr())
	return r
}

// has tells whether an address lies behind the site.
func (r *Route) has(a address) bool {
	of := a.addr()
	return slices.ContainsFunc(r.prefixes, func(p netip.Prefix) bool { return p.Contains(of) })
}

// Hold says whether packets wait while no call is up, or are dropped, those that wait already as well.
func (r *Route) Hold(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.holding = on; on {
		return
	}
	g := r.plane.newEgress(0)
	g.now = time.Now()
	for _, buf := range r.waiting {
		r.unreachable.Add(1)
		g.complain(buf[headroom:], icmpNoHost, 0)
	}
	r.waiting = nil
	g.toTUN(nil)
}

// complaints is how many packets of a route are answered by ICMP in a second, as by a router: whoever sends more knows it by then.
const complaints = 100

// mayComplain says whether a packet may be answered.
func (r *Route) mayComplain(now time.Time) bool {
	at, last := now.Sub(r.plane.started).Nanoseconds(), r.complained.Load()
	return (last == 0 || at-last >= int64(time.Second/complaints)) && r.complained.CompareAndSwap(last, at)
}

// Waiting is how many packets wait for a call.
func (r *Route) Waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting)
}

// keep holds a copy of a packet for the call that is to come; false: it does not. A call that has come up meanwhile is returned instead.
func (r *Route) keep(ip packet) (e *Entry, kept bool) {
	r.mu.Lock()
	e = r.entry.Load()
	demand := e == nil && r.holding
	switch {
	case e != nil:
	case !r.holding:
		r.unreachable.Add(1)
	case len(r.waiting) >= waitingMost:
		r.overflown.Add(1)
	default:
		kept = true
		r.held.Add(1)
		r.waiting = append(r.waiting, append(make([]byte, headroom, headroom+len(ip)), ip...))
	}
	r.mu.Unlock()
	if demand {
		r.demand()
	}
	return e, kept
}

// claim makes a call the one that carries the route's packets; it reports whether no other one is.
func (r *Route) claim(e *Entry) bool { return r.owner.CompareAndSwap(nil, e) }

// ready tells that the call can carry packets. Where packets wait, they do so until the far end is known to take them: it may open its
// end of the network a moment later than we ours.
func (r *Route) ready(e *Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.holding {
		r.entry.Store(e)
	}
}

// carry sends what waits, and from now on all else, through the call.
func (r *Route) carry(e *Entry) {
	r.mu.Lock()
	if r.owner.Load() != e {
		r.mu.Unlock()
		return
	}
	r.entry.Store(e)
	waiting := r.waiting
	r.waiting = nil
	r.mu.Unlock()
	if len(waiting) == 0 {
		return
	}
	g := r.plane.newEgress(0)
	g.now = time.Now()
	for _, buf := range waiting {
		g.send(e, buf, headroom, len(buf))
	}
	g.flush()
	g.toTUN(nil)
}

// detach ends what claim and carry began.
func (r *Route) detach(e *Entry) {
	r.entry.CompareAndSwap(e, nil)
	r.owner.CompareAndSwap(e, nil)
}

// Counters returns a copy of the counters.
func (r *Route) Counters() RouteCounters {
	return RouteCounters{Held: r.held.Load(), Overflown: r.overflown.Load(), Unreachable: r.unreachable.Load()}
}
