package pns

import (
	"testing"
	"time"

	"trunkline.example/pns/aaa"
	"trunkline.example/pns/config"
	"trunkline.example/pns/filter"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/ppp/peer"
)

// A session is kept to the rates of the policy, but for those that the user has of his own, also by the process that takes it over.
func TestSessionRates(t *testing.T) {
	change := func(cfg *config.Config) {
		p := &cfg.Listeners[0].Policy
		p.RateIn, p.RateOut, p.RateBurst = 8000, 8000, time.Millisecond // one packet of a thousand octets a second
	}
	old := newWorld(t, gretest.Config{}, change)
	old.startEcho()
	old.setUser("free", user{password: "x", rates: aaa.Rates{In: aaa.Rate{Own: true}, Out: aaa.Rate{Own: true}}})
	old.setUser("listener", user{password: "x", rates: aaa.Rates{In: aaa.Rate{Own: true}}})
	limited, free, listener := old.dial(dialer{}), old.dial(dialer{user: "free", password: "x"}), old.dial(dialer{user: "listener", password: "x"})
	for _, c := range []*client{limited, free, listener} {
		await[link.NetworkUp](c)
	}
	judge := func(w *world) {
		t.Helper()
		for _, c := range []*client{limited, free, listener} {
			c.w = w
			c.do(func(now time.Time) {
				if _, err := c.peer.Start(now, peer.Probe{Destination: farAway, Size: 1000, Count: 4, Window: 4, Timeout: 300 * time.Millisecond}); err != nil {
					c.tell(err)
				}
			})
			if d := await[peer.Done](c); (d.Statistics.Lost == 0) != (c == free) {
				t.Errorf("client %v: %+v", c == free, d.Statistics)
			}
		}
		for _, s := range w.sessions() {
			if in, out := s.Data.LimitedIn > 0, s.Data.LimitedOut > 0; in != (s.User == "alice") || out != (s.User == "listener") {
				t.Errorf("%s: %d packets from the client over the limit, %d to it", s.User, s.Data.LimitedIn, s.Data.LimitedOut)
			}
		}
	}
	judge(old)
	snapshot, descriptors := old.handOver()
	w := buildWorld(t, old.net, change)
	if err := w.server.Restore(time.Now(), snapshot, descriptors); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.startEcho()
	judge(w)
	w.stop()
}

// A session has the filter of the policy, or the user's own; a name that nobody knows opens nothing.
func TestSessionFilters(t *testing.T) {
	deaf := filter.Filter{Name: "deaf", Drop: true}
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) {
		cfg.Filters = []filter.Filter{deaf, {Name: "open"}}
		cfg.Listeners[0].Policy.Filter = "deaf"
	})
	w.startEcho()
	w.setUser("open", user{password: "x", filter: aaa.Filter{Own: true, Name: "open"}})
	w.setUser("none", user{password: "x", filter: aaa.Filter{Own: true}})
	w.setUser("unknown", user{password: "x", filter: aaa.Filter{Own: true, Name: "gone"}})
	for _, name := range []string{"open", "none"} {
		c := w.dial(dialer{user: name, password: "x"})
		await[link.NetworkUp](c)
		c.ping(farAway, 100, 3)
	}
	c := w.dial(dialer{})
	await[link.NetworkUp](c)
	c.do(func(now time.Time) {
		if _, err := c.peer.Start(now, peer.Probe{Destination: farAway, Count: 3, Timeout: 300 * time.Millisecond}); err != nil {
			c.tell(err)
		}
	})
	if d := await[peer.Done](c); d.Statistics.Received != 0 {
		t.Errorf("through a filter that drops all: %+v", d.Statistics)
	}
	for _, s := range w.sessions() {
		if n := s.Data.FilteredIn; (n == 3) != (s.User == "alice") {
			t.Errorf("%s: %d packets filtered", s.User, n)
		}
	}
	unknown := w.dial(dialer{user: "unknown", password: "x"})
	await[link.Ended](unknown)
	if r := w.records.next(t); r.Cause != "auth-failed" {
		t.Errorf("record %+v", r)
	}
	next := *w.cfg // as a call sees it that began with the old one
	next.Filters = nil
	w.server.Reload(&next)
	late := w.dial(dialer{})
	await[link.Ended](late)
	if r := w.records.next(t); r.Cause != "configuration" || r.Reason != "filter is not configured" {
		t.Errorf("record %+v", r)
	}
}
