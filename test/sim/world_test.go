// Package sim is a deterministic simulation: many PACs, PNSes and callers, made of the pure machines of shared/pptp/control and shared/gre,
// in a virtual clock and over a hostile network, all from one seed. Invariants are checked at every step and after quiet.
package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"
)

const (
	lastEvents = 40                // shown of a failing seed
	busy       = 10 * time.Minute  // calls begin
	ending     = 5 * time.Minute   // calls end; then every connection is stopped
	quiet      = 10 * time.Minute  // what has not ended by then has leaked
	eventLimit = 3_000_000         // a machine that asks to be woken for ever
	rest       = 150 * time.Second // quarantine of Call IDs and a dead host's absence: longer than Echo takes to notice a silent peer
)

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// sabotage breaks one thing on purpose, to prove that an invariant bites.
type sabotage string

const (
	soundly           sabotage = ""
	deliverTwice      sabotage = "the application is given a payload twice"
	deliverCorrupted  sabotage = "the network changes a payload"
	forgetEnd         sabotage = "the owner forgets the end of a call"
	forgetCall        sabotage = "the owner forgets a call that goes on"
	forgetTick        sabotage = "the owner does not tick a connection"
	reuseEarly        sabotage = "a Call ID is reused at once"
	sendAfterEnd      sabotage = "a call's packets are sent after its end"
	loseOctets        sabotage = "TCP loses octets"
	miscount          sabotage = "a packet is numbered and not counted"
	keepAfterClose    sabotage = "octets are sent after Close"
	queueWithoutBound sabotage = "the queue before the window has no bound"
)

// violation is a broken invariant; the simulation panics with it.
type violation string

// event is something that happens at an instant.
type event struct {
	at time.Time
	n  uint64 // order among those of one instant
	do func()
}

type agenda []event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at.Before(a[j].at) || a[i].at.Equal(a[j].at) && a[i].n < a[j].n
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(event)) }
func (a *agenda) Pop() any {
	last := len(*a) - 1
	e := (*a)[last]
	(*a)[last] = event{}
	*a = (*a)[:last]
	return e
}

// world is one simulation.
type world struct {
	random *rand.Rand
	broken sabotage
	now    time.Time
	agenda agenda
	n      uint64
	log    [lastEvents]string
	logged int

	hosts  []*host
	pacs   []*host
	pnses  []*host
	nodes  []*node // ends of connections that are not over
	serial uint32  // of the last call
	flows  map[flowName]*flow
	stats  stats
}

// stats say what a simulation went through.
type stats struct {
	connections, collisions, echoes, stops, cuts, deaths   int
	calls, established, refused, timedOut, broke           int
	sent, delivered, lost, duplicates, reordered, restarts uint64
}

func (s *stats) add(o stats) {
	s.connections += o.connections
	s.collisions += o.collisions
	s.echoes += o.echoes
	s.stops += o.stops
	s.cuts += o.cuts
	s.deaths += o.deaths
	s.calls += o.calls
	s.established += o.established
	s.refused += o.refused
	s.timedOut += o.timedOut
	s.broke += o.broke
	s.sent += o.sent
	s.delivered += o.delivered
	s.lost += o.lost
	s.duplicates += o.duplicates
	s.reordered += o.reordered
	s.restarts += o.restarts
}

// simulate plays one seed and returns what happened, with a description of the invariant that broke, if one did.
func simulate(seed uint64, broken sabotage) (s stats, failure string) {
	w := &world{random: rand.New(rand.NewPCG(seed, 2637)), broken: broken, now: epoch, flows: map[flowName]*flow{}}
	defer func() {
		switch r := recover().(type) {
		case nil:
			return
		case violation:
			failure = string(r)
		default:
			failure = fmt.Sprintf("panic: %v\n%s", r, debug.Stack())
		}
		failure = fmt.Sprintf("seed %d after %v: %s\nthe last events:\n%s", seed, w.now.Sub(epoch), failure, w.last())
	}()
	w.populate()
	w.run(epoch.Add(busy + ending))
	for _, n := range w.nodes {
		w.after(w.between(0, 10*time.Second), n.stop)
	}
	w.run(epoch.Add(busy + ending + quiet))
	w.checkQuiet()
	return w.stats, ""
}

// run plays the agenda up to an instant.
func (w *world) run(until time.Time) {
	for len(w.agenda) > 0 && !w.agenda[0].at.After(until) {
		e := heap.Pop(&w.agenda).(event)
		w.now = e.at
		e.do()
		if w.n > eventLimit {
			w.fail("%d events: something goes round in circles", w.n)
		}
	}
	w.now = until
}

func (w *world) at(t time.Time, do func()) {
	w.n++
	heap.Push(&w.agenda, event{t, w.n, do})
}

func (w *world) after(d time.Duration, do func()) { w.at(w.now.Add(d), do) }

// calm says that no new call or connection is begun any more.
func (w *world) calm() bool { return w.now.Sub(epoch) >= busy }

func (w *world) note(format string, args ...any) {
	w.log[w.logged%lastEvents] = fmt.Sprintf("%12v ", w.now.Sub(epoch)) + fmt.Sprintf(format, args...)
	w.logged++
}

func (w *world) last() string {
	var b strings.Builder
	for i := max(0, w.logged-lastEvents); i < w.logged; i++ {
		b.WriteString(w.log[i%lastEvents] + "\n")
	}
	return b.String()
}

func (w *world) fail(format string, args ...any) { panic(violation(fmt.Sprintf(format, args...))) }

func (w *world) chance(p float64) bool { return w.random.Float64() < p }

func (w *world) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.random.Int64N(int64(high-low)))
}

// populate makes the hosts and what will happen to them.
func (w *world) populate() {
	for i := range 2 + w.random.IntN(2) {
		w.pacs = append(w.pacs, newHost(w, fmt.Sprintf("pac%d", i), netip.AddrFrom4([4]byte{10, byte(w.random.IntN(3)), 1, byte(i)}), 1))
	}
	for i := range 1 + w.random.IntN(2) {
		w.pnses = append(w.pnses, newHost(w, fmt.Sprintf("pns%d", i), netip.AddrFrom4([4]byte{10, 1, 2, byte(i)}), 3))
	}
	w.hosts = append(append(w.hosts, w.pacs...), w.pnses...)
	for _, a := range w.pacs {
		for _, b := range w.pnses {
			w.after(w.between(0, time.Second), func() { w.meet(a, b) })
		}
	}
	for _, h := range w.hosts {
		if w.chance(0.2) {
			w.after(w.between(time.Minute, busy), h.die)
		}
	}
}

// meet connects two hosts, now and then both to each other at once, and does so again as long as calls begin.
func (w *world) meet(a, b *host) {
	if w.calm() {
		return
	}
	if a.up && b.up && a.connections(b)+b.connections(a) < 3 {
		if w.chance(0.5) {
			a, b = b, a
		}
		a.open(b)
		if w.chance(0.3) {
			w.after(w.between(0, 80*time.Millisecond), func() { b.open(a) })
		}
	}
	w.after(w.between(20*time.Second, 3*time.Minute), func() { w.meet(a, b) })
}
