package pns

import (
	"net/netip"
	"testing"
	"time"

	"trunkline.example/pns/config"
)

// Many clients behind one address that call at the same time must not have each other probed over and over.
func TestProbesComeInRounds(t *testing.T) {
	a := newAdmission(config.Limits{})
	began := time.Unix(1000, 0)
	source := netip.MustParseAddr("192.0.2.1")
	admit := func(addr netip.Addr) (others []*conn) {
		t.Helper()
		others, refused := a.connection(&conn{remote: netip.AddrPortFrom(addr, 1)}, false)
		if refused != RefusedNone {
			t.Fatal(refused)
		}
		return others
	}
	if others := admit(source); len(others) != 0 {
		t.Fatalf("a first connection has %d others", len(others))
	}
	for i, step := range []struct {
		after  time.Duration
		putOff bool // the round that was put off comes due, instead of a connection
		probed int
		later  time.Duration
	}{
		{after: time.Second, probed: 1}, // the common case: a client that has lost its connection comes back
		{after: 2 * time.Second, later: time.Second},
		{after: 2500 * time.Millisecond}, // the round to come is for this one too
		{after: 3 * time.Second, putOff: true, probed: 4},
		{after: 3 * time.Second, putOff: true}, // nothing is put off any more
		{after: 4 * time.Second, later: time.Second},
		{after: 5 * time.Second, putOff: true, probed: 5},
		{after: 7 * time.Second, probed: 5},
	} {
		now, probed, later := began.Add(step.after), 0, time.Duration(0)
		if step.putOff {
			probed = len(a.putOffProbes(now, source))
		} else {
			others, due := admit(source), false
			if due, later = a.askProbes(now, source); due {
				probed = len(others)
			}
		}
		if probed != step.probed || later != step.later {
			t.Errorf("step %d: %d are probed, later %v; want %d, %v", i, probed, later, step.probed, step.later)
		}
	}
	stranger := netip.MustParseAddr("192.0.2.3")
	if due, later := a.askProbes(began, stranger); due || later != 0 || a.putOffProbes(began, stranger) != nil {
		t.Error("an address without connections is probed")
	}
}
