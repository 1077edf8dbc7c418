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
