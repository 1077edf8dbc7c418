package pns

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"trunkline.example/pns/config"
)

// Refusal is why a connection or a call was not let in.
type Refusal uint8

// The refusals.
const (
	RefusedNone              Refusal = iota
	RefusedStopping                  // the server is stopping
	RefusedDraining                  // the operator has it take no new calls
	RefusedConnections               // limit of control connections
	RefusedSourceConnections         // limit of control connections of one address
	RefusedSourceMessages            // limit of control messages of one address
	RefusedBanned                    // the address has failed to log in too often
	RefusedSessions                  // limit of calls
	RefusedHalfOpen                  // limit of calls that are not yet authenticated
	RefusedSourceHalfOpen            // limit of those of one address
	RefusedCallID                    // no Call ID is free, or the data plane has it in use
	RefusedBearer                    // an Incoming-Call-Request of somebody who is no configured PAC
	RefusedOriginated                // a call on a control connection that we have opened ourselves
	RefusedLocal                     // something failed on this machine
	refusals
)

var refusalTexts = [refusals]string{
	"none", "the server is stopping", "the server takes no new calls at present", "too many control connections", "too many control connections of this address", "too many control messages of this address",
	"banned after failed logins", "too many calls", "too many calls not yet authenticated", "too many calls of this address not yet authenticated",
	"no Call ID is free", "not a configured PAC", "the control connection is for our own calls only", "local failure",
}

// refusalNames are the names of the counters.
var refusalNames = [refusals]string{
	"none", "stopping", "draining", "connections", "source-connections", "source-messages", "banned", "sessions", "half-open", "source-half-open", "call-id", "not-a-pac", "originated", "local",
}

// String is the reason for people.
func (r Refusal) String() string {
	if r < refusals {
		return refusalTexts[r]
	}
	return fmt.Sprintf("refusal %d", uint8(r))
}

// admission counts what there is and says whether one more is too much. Safe for concurrent use.
type admission struct {
	mu          sync.Mutex
	limits      config.Limits
	stopping    bool
	draining    bool
	connections int
	calls       int
	halfOpen    int
	sources     map[netip.Addr]*source // by sourceOf

	refused [refusals]atomic.Uint64
}

// sourceOf is what stands for an address where the limits per source, the bans and the probes look: itself if it is IPv4; for IPv6
// the first address of its /64, out of which one host takes as many addresses as it likes (RFC 8981).
func sourceOf(addr netip.Addr) netip.Addr {
	if addr.Is4() {
		return addr
	}
	network, _ := addr.Prefix(sourceBits) // fails for IPv4 only
	return network.Addr().WithZone(addr.Zone())
}

const sourceBits = 64

// sourceText renders what sourceOf returns for people.
func sourceText(source netip.Addr) string {
	if source.Is4() {
		return source.String()
	}
	return fmt.Sprintf("%v/%d", source, sourceBits)
}

// source is what one remote address has.
type source struct {
	connections int
	halfOpen    int
	members     []*conn   // its control connections on all shards; the shards own what is in them
	probed      time.Time // when they were last probed
	waiting     bool      // a round of probes is to come
}

// probeRound is how far apart the rounds are in which the control connections of one address are probed. Each new connection asks for
// one, and behind one NAT there may be hundreds.
const probeRound = 2 * time.Second

func newAdmission(l config.Limits) *admission {
	return &admission{limits: l, sources: make(map[netip.Addr]*source)}
}

// setLimits changes the limits for what comes.
func (a *admission) setLimits(l config.Limits) {
	a.mu.Lock()
	a.limits = l
	a.mu.Unlock()
}

// stop refuses everything from now on.
func (a *admission) stop() {
	a.mu.Lock()
	a.stopping = true
	a.mu.Unlock()
}

// drain refuses new calls, or no longer. Control connections are let in all the same: a PAC shall find us alive when that is over.
func (a *admission) drain(draining bool) {
	a.mu.Lock()
	a.draining = draining
	a.mu.Unlock()
}

func over(count, limit int) bool { return limit > 0 && count >= limit }

// refuse counts a refusal and hands it back.
func (a *admission) refuse(r Refusal) Refusal {
	a.refused[r].Add(1)
	return r
}

// connection lets one more control connection in, or not; known exempts it from what one address may have. others are
// the connections that the address has already: a client that has lost its old one without a word, or several behind one NAT.
func (a *admission) connection(c *conn, known bool) (others []*conn, r Refusal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	addr := sourceOf(c.remote.Addr())
	s := a.sources[addr]
	switch {
	case a.stopping:
		return nil, a.refuse(RefusedStopping)
	case over(a.connections, a.limits.Connections):
		return nil, a.refuse(RefusedConnections)
	case s != nil && !known && over(s.connections, a.limits.ConnectionsPerSource):
		return nil, a.refuse(RefusedSourceConnections)
	}
	if s == nil {
		s = &source{}
		a.sources[addr] = s
	}
	others = append(others, s.members...)
	a.connections++
	s.connections++
	s.members = append(s.members, c)
	return others, RefusedNone
}

// askProbes asks for a round of probes of an address's connections, since there is a new one. It says whether the round is to be now,
// or, if later is not zero, after that time; it may also have been put off before.
func (a *admission) askProbes(now time.Time, addr netip.Addr) (due bool, later time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sources[sourceOf(addr)]
	if s == nil || s.waiting {
		return false, 0
	}
	if pause := s.probed.Add(probeRound).Sub(now); pause > 0 {
		s.waiting = true
		return false, pause
	}
	s.probed = now
	return true, 0
}

// putOffProbes begins the round that askProbes has put off, and returns the connections.
func (a *admission) putOffProbes(now time.Time, addr netip.Addr) []*conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sources[sourceOf(addr)]
	if s == nil || !s.waiting {
		return nil
	}
	s.probed, s.waiting = now, false
	return slices.Clone(s.members)
}

// connectionGone takes a connection out again.
func (a *admission) connectionGone(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	addr := sourceOf(c.remote.Addr())
	s := a.sources[addr]
	a.connections--
	s.connections--
	for i, m := range s.members {
		if m == c {
			last := len(s.members) - 1
			s.members[i] = s.members[last]
			s.members[last] = nil
			s.members = s.members[:last]
			break
		}
	}
	a.forget(addr, s)
}

// call lets one more call in, half open at first.
func (a *admission) call(addr netip.Addr, known bool) Refusal {
	addr = sourceOf(addr)
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sources[addr]
	switch {
	case a.stopping:
		return a.refuse(RefusedStopping)
	case a.draining:
		return a.refuse(RefusedDraining)
	case over(a.calls, a.limits.Sessions):
		return a.refuse(RefusedSessions)
	case over(a.halfOpen, a.limits.HalfOpen):
		return a.refuse(RefusedHalfOpen)
	case s != nil && !known && over(s.halfOpen, a.limits.HalfOpenPerSource):
		return a.refuse(RefusedSourceHalfOpen)
	}
	if s == nil {
		s = &source{}
		a.sources[addr] = s
	}
	a.calls++
	a.halfOpen++
	s.halfOpen++
	return RefusedNone
}

// callOpen tells that a call is half open no longer: it has logged in, or ended.
func (a *admission) callOpen(addr netip.Addr) {
	addr = sourceOf(addr)
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sources[addr]
	a.halfOpen--
	s.halfOpen--
	a.forget(addr, s)
}

// callGone takes a call out again, after callOpen.
func (a *admission) callGone() {
	a.mu.Lock()
	a.calls--
	a.mu.Unlock()
}

func (a *admission) forget(addr netip.Addr, s *source) {
	if s.connections == 0 && s.halfOpen == 0 {
		delete(a.sources, addr)
	}
}

// occupancy is how much there is now.
type occupancy struct {
	connections, calls, halfOpen, sources int
	draining                              bool
}

func (a *admission) occupancy() occupancy {
	a.mu.Lock()
	defer a.mu.Unlock()
	return occupancy{a.connections, a.calls, a.halfOpen, len(a.sources), a.draining}
}

// refusedCounts returns the counters by name; those at zero are left out.
func (a *admission) refusedCounts() map[string]uint64 {
	counts := make(map[string]uint64)
	for r := RefusedNone + 1; r < refusals; r++ {
		if n := a.refused[r].Load(); n > 0 {
			counts[refusalNames[r]] = n
		}
	}
	return counts
}
