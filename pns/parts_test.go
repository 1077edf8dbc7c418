package pns

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/pns/config"
)

func TestBans(t *testing.T) {
	now := time.Unix(1000, 0)
	guesser, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	b := newBans(config.Ban{Failures: 3, Window: time.Minute, Time: time.Hour})
	fail := func(at time.Duration, addr netip.Addr, want bool) {
		t.Helper()
		if got := b.failed(now.Add(at), addr); got != want {
			t.Fatalf("failure of %v after %v: banned %v", addr, at, got)
		}
	}
	banned := func(at time.Duration, addr netip.Addr) bool {
		_, yes := b.banned(now.Add(at), addr)
		return yes
	}
	fail(0, guesser, false)
	fail(30*time.Second, guesser, false)
	fail(2*time.Minute, guesser, false) // the first two are forgotten
	fail(2*time.Minute, other, false)
	fail(2*time.Minute, guesser, false)
	b.succeeded(other)
	fail(2*time.Minute, guesser, true)
	if !banned(2*time.Minute, guesser) || banned(2*time.Minute, other) {
		t.Fatal("the wrong one is banned")
	}
	fail(3*time.Minute, guesser, false) // a second ban does not prolong the first
	if list := b.list(now.Add(3 * time.Minute)); len(list) != 1 || !list[guesser].Equal(now.Add(2*time.Minute+time.Hour)) {
		t.Fatalf("banned %v", list)
	}
	if banned(2*time.Minute+time.Hour, guesser) {
		t.Fatal("banned for ever")
	}
	fail(2*time.Hour, guesser, false)
	b.setRule(config.Ban{})
	for range 10 {
		fail(2*time.Hour, guesser, false)
	}
}

// The memory of failures is bounded: those who fail from many addresses push each other out, and nobody who is honest.
func TestBansAreBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	b := newBans(config.Ban{Failures: 3, Window: time.Minute, Time: time.Hour})
	for i := range uint32(banEntries + 100) {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], i)
		b.failed(now, netip.AddrFrom4(a))
	}
	if len(b.entries) > banEntries {
		t.Fatalf("%d entries", len(b.entries))
	}
	b.failed(now.Add(time.Hour), netip.MustParseAddr("192.0.2.1"))
	if len(b.entries) > 1 && len(b.entries) >= banEntries {
		t.Fatalf("%d entries after all are out of date", len(b.entries))
	}
}

func TestMailbox(t *testing.T) {
	woken := 0
	m := mailbox{wake: func() { woken++ }}
	var done []int
	for i := range 3 {
		if !m.post(func() { done = append(done, i) }) {
			t.Fatal("not taken")
		}
	}
	for range frameLimit {
		if !m.offer(inboundFrame{}) {
			t.Fatal("no room")
		}
	}
	if m.offer(inboundFrame{}) || m.dropped.Load() != 1 || woken != 1 {
		t.Fatalf("%d dropped, woken %d times", m.dropped.Load(), woken)
	}
	requests, frames := m.take(nil, nil)
	for _, f := range requests {
		f()
	}
	if len(done) != 3 || done[0] != 0 || done[2] != 2 || len(frames) != frameLimit {
		t.Fatalf("%v, %d frames", done, len(frames))
	}
	if requests, frames = m.take(requests, frames); len(requests)+len(frames) != 0 {
		t.Fatal("taken twice")
	}
	m.post(func() {})
	if len(m.close()) != 1 || m.post(func() {}) || m.offer(inboundFrame{}) {
		t.Fatal("open after close")
	}
}

func TestLogins(t *testing.T) {
	var l logins
	a, b, c := &call{}, &call{}, &call{}
	claim := func(k *call, limit int, replace, want bool, evicted ...*call) {
		t.Helper()
		evict, ok := l.claim("alice", k, limit, replace)
		if ok != want || len(evict) != len(evicted) || len(evict) > 0 && evict[0] != evicted[0] {
			t.Fatalf("%v, %d to go", ok, len(evict))
		}
	}
	claim(a, 0, false, true)
	claim(b, 2, false, true)
	claim(c, 2, false, false)
	claim(c, 2, true, true, a)
	l.release("alice", a)
	l.release("alice", a)
	l.release("bob", a)
	claim(a, 1, true, true, b, c)
	for _, k := range []*call{a, b, c} {
		l.release("alice", k)
	}
	if len(l.byUser) != 0 {
		t.Fatalf("left %v", l.byUser)
	}
}

// A login that finds no room is refused at once, and the shard is not held up.
func TestLoginDeskIsBounded(t *testing.T) {
	d := newLoginDesk(nil)
	for range loginQueue {
		if !d.submit(job{}) {
			t.Fatal("no room")
		}
	}
	if d.submit(job{}) || d.refusedBusy.Load() != 1 {
		t.Fatal("more than the queue holds")
	}
}

func TestErrands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newErrands()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			e.run(ctx)
			close(done)
		}()
		var order []int
		for i := range 100 {
			e.do(func() { order = append(order, i) })
		}
		synctest.Wait()
		if len(order) != 100 || order[0] != 0 || order[99] != 99 {
			t.Fatalf("%v", order)
		}
		cancel()
		<-done
	})
}

func TestAdmissionOfCalls(t *testing.T) {
	a := newAdmission(config.Limits{Sessions: 3, HalfOpen: 2, HalfOpenPerSource: 1})
	x, y := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	admit := func(addr netip.Addr, known bool, want Refusal) {
		t.Helper()
		if got := a.call(addr, known); got != want {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	admit(x, false, RefusedNone)
	admit(x, false, RefusedSourceHalfOpen)
	admit(x, true, RefusedNone)
	admit(y, false, RefusedHalfOpen)
	a.callOpen(x)
	admit(y, false, RefusedNone)
	admit(y, false, RefusedSessions)
	a.callOpen(x)
	a.callOpen(y)
	for range 3 {
		a.callGone()
	}
	if o := a.occupancy(); o != (occupancy{}) {
		t.Fatalf("left %+v", o)
	}
	a.stop()
	admit(x, true, RefusedStopping)
	for name, want := range map[string]uint64{"stopping": 1, "sessions": 1, "half-open": 1, "source-half-open": 1} {
		if got := a.refusedCounts()[name]; got != want {
			t.Errorf("%s: %d", name, got)
		}
	}
}
