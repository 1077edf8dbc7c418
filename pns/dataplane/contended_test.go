package dataplane

import "testing"

// Whoever is sending on a call, with its lock held for a whole batch, holds up nothing that comes in on it: acknowledgements that are due
// go later, with the sender's next packets or by the ticker.
func TestNothingThatComesInWaitsForASender(t *testing.T) {
	r := newRig(t, 1, true)
	e := r.entries[0]
	r.takeIn(r.arriving(1, 1400))
	r.sendOut(r.leaving(1, 1400), 1400) // with the first acknowledgement
	r.plane.ticker.list = nil
	e.listed.Store(false)

	const packets = 4 * ReceiveWindow
	e.out.Lock()
	r.takeIn(r.arriving(packets, 1400)) // would never return
	if e.out.count.acks != 0 || r.sink.written != packets+1 {
		t.Errorf("%d acknowledgements, %d packets for the TUN", e.out.count.acks, r.sink.written)
	}
	look := func() (listed int) {
		round := append([]*Entry(nil), r.plane.ticker.list...)
		r.plane.ticker.list = nil
		r.in.begin(r.now)
		for _, e := range round {
			e.listed.Store(false)
			r.in.enter(e)
			r.in.out.service(e)
			r.in.leave()
		}
		r.in.flush()
		return len(r.plane.ticker.list)
	}
	for range 3 {
		r.now = r.now.Add(4 * ackDelay)
		if look() != 1 {
			t.Fatal("the ticker has forgotten the call")
		}
	}
	e.out.Unlock()
	for range 3 {
		r.now = r.now.Add(4 * ackDelay)
		look()
	}
	if len(r.plane.ticker.list) != 0 || e.Counters().AcksOut != 1 {
		t.Errorf("the ticker has %v, %+v", r.plane.ticker.list, e.Counters())
	}
}
