package pns

import (
	"net/netip"
	"testing"
	"time"

	"trunkline.example/pns/config"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
)

func TestAttempts(t *testing.T) {
	a := attempts{rest: attemptRest}
	x, y := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	now := time.Unix(1000, 0)
	for range 1000 {
		a.failed(now, x)
		now = now.Add(attemptRest / 10)
		if n := a.recent(now, x); n > 10 {
			t.Fatalf("%d attempts in %v", n, attemptRest)
		}
	}
	if cap(a.queue) > 64 || a.recent(now, y) != 0 {
		t.Errorf("%d attempts are remembered, of another address %d", cap(a.queue), a.recent(now, y))
	}
	a.failed(now, y)
	if now = now.Add(attemptRest); a.recent(now, x)+a.recent(now, y)+len(a.count) != 0 {
		t.Errorf("left: %v", a.count)
	}
}

// A stranger that makes one call after the other, and never logs in, is refused before it fills the disk with records; who logs in
// is not, and a PAC's callers are not counted.
func TestStrangersCallsInARow(t *testing.T) {
	const limit = 8
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) {
		pacAt(cfg, "127.77.0.0/16")
		cfg.Limits.HalfOpenPerSource = limit
	})
	w.server.attempts.rest = time.Hour // however busy the machine is
	const stranger = "127.66.3.1"
	for i := range limit {
		c := w.dial(dialer{from: stranger, user: "alice", password: "wrong"}) // it may come so far before it is killed
		await[control.OutgoingConnected](c)
		c.kill()
		if r := w.records.next(t); r.Cause == "" {
			t.Fatalf("call %d: %+v", i, r)
		}
	}
	c := w.dial(dialer{from: stranger})
	if e := await[control.CallEnded](c); e.Why.Outgoing != pptp.OutgoingGeneralError || e.Why.Error != pptp.ErrorNoResource {
		t.Errorf("call %d: %v", limit+1, e.Why)
	}
	for range limit + 1 {
		c := w.dial(dialer{from: "127.66.3.2"})
		await[link.NetworkUp](c)
		c.kill()
		w.records.next(t)
	}
	for range limit + 1 {
		c := w.dial(dialer{from: "127.77.3.1", pac: true})
		await[control.IncomingAccepted](c)
		c.kill()
		w.records.next(t)
	}
}
