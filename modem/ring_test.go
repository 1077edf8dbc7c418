package modem

import (
	"testing"
	"time"

	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

func TestAnsweredAfterSomeRings(t *testing.T) {
	inBubble(t, rig{keys: "rings = 3"}, func(h *host) {
		start := time.Now()
		h.ring(linetest.Caller{Number: "5551234", Name: "X"})
		if took := time.Since(start); took < 12*time.Second || took > 13*time.Second {
			t.Errorf("reported after %v", took)
		}
	})
}

func TestDistinctiveRing(t *testing.T) {
	for _, c := range []struct {
		name            string
		lines           []string
		cadence, dialed string
	}{
		{"named by the modem", []string{"RING B"}, "B", "5550102"},
		{"named, with a gap", []string{"RING 3"}, "3", "5550100"},
		{"bursts and no RING", []string{"DROF=0", "DRON=8", "DROF=4", "DRON=8"}, "SS", "5550103"},
		{"bursts and RING", []string{"DROF=0", "DRON=8", "RING", "DROF=4", "DRON=8"}, "SS", "5550103"},
		{"plain", []string{"DROF=0", "DRON=20", "RING"}, "", "5550101"},
	} {
		t.Run(c.name, func(t *testing.T) {
			const keys = `ring_numbers = { B = "5550102", SS = "5550103", "" = "5550101" }`
			inBubble(t, rig{keys: keys}, func(h *host) {
				if !h.sim.did("+VDR=1,0") {
					t.Error("the modem was not told to tell the cadence")
				}
				h.sim.set(func() { h.sim.say(c.lines...) })
				if r := want[line.Ringing](h); r.Cadence != c.cadence || r.Dialed != c.dialed {
					t.Errorf("%+v", r)
				}
				start := time.Now()
				if s := want[line.RingingStopped](h); s.Cause.Code != line.CauseCallerGaveUp || time.Since(start) > 10*time.Second {
					t.Errorf("%+v after %v", s, time.Since(start))
				}
			})
		})
	}
}

// The next caller rings, and is identified, before the end of the call before has been believed: neither keeps the line in a dead call, and both are told.
func TestNextCallerRingsAtOnce(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.connect()
		h.must(h.sim.HangUp(h.Context()))
		ended := time.Now()
		h.must(h.sim.Ring(h.Context(), linetest.Caller{Number: "5559876", Name: "NEXT"}))
		if lost := want[line.Lost](h); lost.Cause.Code != line.CauseCarrierLost {
			t.Errorf("%+v", lost)
		}
		want[line.Idle](h)
		r := want[line.Ringing](h)
		if r.Dialing != "5559876" || r.Name != "NEXT" || time.Since(ended) > 3*time.Second {
			t.Errorf("after %v %+v", time.Since(ended), r)
		}
		h.must(h.line.Answer(h.Context(), h.status.Call))
		want[line.Answering](h)
		want[line.Connected](h)
	})
}

// A call that nobody wants rings on until its caller gives up. The next one may ring before there was any silence: he is another one, by when he
// rings or by his number, and the line takes him.
func TestAnotherCallerRingsWhereOneWasRefused(t *testing.T) {
	for _, c := range []struct {
		first, next linetest.Caller
		after       time.Duration // since the last ring of the call that was refused
		left        bool          // to ring, without a word of the host
	}{
		{linetest.Caller{}, linetest.Caller{}, 2500 * time.Millisecond, false},
		{linetest.Caller{}, linetest.Caller{Number: "5559876"}, 7500 * time.Millisecond, false},
		{linetest.Caller{Number: "5551234"}, linetest.Caller{Number: "5559876"}, 6 * time.Second, false},
		{linetest.Caller{}, linetest.Caller{}, 2500 * time.Millisecond, true},
		{linetest.Caller{Number: "5551234"}, linetest.Caller{Number: "5559876"}, 6 * time.Second, true},
	} {
		inBubble(t, rig{}, func(h *host) {
			h.ring(c.first)
			if !c.left {
				h.must(h.line.Reject(h.Context(), h.status.Call, line.Cause{}))
				want[line.RingingStopped](h)
			}
			h.quiet(14 * time.Second) // it rings on
			h.must(h.sim.Await(h.Context(), func() bool { return h.sim.rings == 5 }))
			h.must(h.sim.GiveUp(h.Context()))
			h.quiet(c.after)
			h.must(h.sim.Ring(h.Context(), c.next))
			begun := time.Now()
			if c.left {
				if r := want[line.RingingStopped](h); r.Cause.Code != line.CauseCallerGaveUp {
					t.Errorf("%+v: %+v", c, r)
				}
			}
			want[line.Idle](h)
			if r := want[line.Ringing](h); r.Dialing != c.next.Number || time.Since(begun) > 12*time.Second {
				t.Errorf("%+v: after %v %+v", c, time.Since(begun), r)
			}
			h.must(h.line.Answer(h.Context(), h.status.Call))
			want[line.Answering](h)
			want[line.Connected](h)
		})
	}
}

// The rings of one call never look like another one, whatever their rhythm and however unevenly they are told.
func TestBeat(t *testing.T) {
	for _, pauses := range [][]time.Duration{{6000}, {5000, 5300, 4800}, {1200, 4800}, {800, 800, 4400}} {
		var r ring
		now := time.Unix(1000, 0)
		for i := range 20 {
			if i > len(pauses) && r.offBeat(now) {
				t.Errorf("%v: ring %d is taken for another call's", pauses, i+1)
			}
			r.add(now, "RING", 10*time.Second)
			now = now.Add(pauses[i%len(pauses)] * time.Millisecond)
		}
		if len(r.gaps) > gapsKept {
			t.Errorf("%d pauses are kept", len(r.gaps))
		}
		if late := r.last.Add(3 * time.Second); !r.offBeat(late) {
			t.Errorf("%v: a ring after 3 s is taken for one of them", pauses)
		}
	}
}
