package dataplane

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
)

// ErrRouteInUse: another call carries what goes to the prefixes.
var ErrRouteInUse = errors.New("another call has the route")

// Route is a set of prefixes behind the far end of a call. There is one for each remote site, whether a call to it is up or not; the
// call that is up carries the packets. Its methods are safe for concurrent use.
type Route struct {
	plane *Plane
	spans []span
	entry atomic.Pointer[Entry] // the call that is up

	unreachable atomic.Uint64
}

// reach is one prefix of a route.
type reach struct {
	span
	route *Route
}

// RouteCounters count what had nowhere to go.
type RouteCounters struct {
	Unreachable uint64 `json:"unreachable"` // packets while no call was up
}

// AddRoute makes a route, for as long as the plane lives. Its prefixes must not overlap with those of another one.
func (p *Plane) AddRoute(prefixes []netip.Prefix) (*Route, error) {
	r := &Route{plane: p}
	for _, prefix := range prefixes {
		r.spans = append(r.spans, spanOf(prefix))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.Clone(*p.reaches.Load())
	for i, s := range r.spans {
		at, _ := slices.BinarySearchFunc(all, s.first, func(r reach, a address) int { return compare(r.first, a) })
		if at > 0 && all[at-1].last >= s.first || at < len(all) && all[at].first <= s.last {
			return nil, fmt.Errorf("route to %v: overlaps with another one", prefixes[i])
		}
		all = slices.Insert(all, at, reach{s, r})
	}
	p.reaches.Store(&all)
	return r, nil
}

func compare(a, b address) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// routeTo returns the route to an address, or nil.
func (p *Plane) routeTo(a address) *Route {
	all := *p.reaches.Load()
	low, high := 0, len(all) // the last that begins at or before a
	for low < high {
		if middle := (low + high) / 2; all[middle].first <= a {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low > 0 && a <= all[low-1].last {
		return all[low-1].route
	}
	return nil
}

// has tells whether an address lies behind the site.
func (r *Route) has(a address) bool {
	for _, s := range r.spans {
		if a >= s.first && a <= s.last {
			return true
		}
	}
	return false
}

// attach makes a call carry the route's packets; it reports whether no other one does.
func (r *Route) attach(e *Entry) bool { return r.entry.CompareAndSwap(nil, e) }

func (r *Route) detach(e *Entry) { r.entry.CompareAndSwap(e, nil) }

// Counters returns a copy of the counters.
func (r *Route) Counters() RouteCounters { return RouteCounters{Unreachable: r.unreachable.Load()} }
