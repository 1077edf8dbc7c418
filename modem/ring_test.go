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
