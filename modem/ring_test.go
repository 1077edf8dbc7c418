package modem

import (
	"strings"
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
// The end of a call is missed where no carrier signal tells of it and noise comes behind the text, but not for longer than until the next caller has rung twice.
func TestNextCallerRingsWhereTheEndWasMissed(t *testing.T) {
	inBubble(t, rig{virtual: true}, func(h *host) {
		h.connect()
		h.must(h.device.Send(h.Context(), []byte("\r\nNO CARRIER\r\n~")))
		h.sim.set(func() { h.sim.state, h.sim.offHook, h.sim.carrier = simCommand, false, false })
		h.quiet(5 * time.Second)
		begun := time.Now()
		h.must(h.sim.Ring(h.Context(), linetest.Caller{Number: "5559876"}))
		if lost := want[line.Lost](h); lost.Cause.Code != line.CauseCarrierLost || !strings.Contains(lost.Cause.Text, "missed") {
			t.Errorf("%+v", lost)
		}
		want[line.Idle](h)
		if r := want[line.Ringing](h); r.Dialing != "5559876" || time.Since(begun) > 10*time.Second {
			t.Errorf("after %v %+v", time.Since(begun), r)
		}
		h.must(h.line.Answer(h.Context(), h.status.Call))
		want[line.Answering](h)
		want[line.Connected](h)
	})
}

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
// rings or by his number, and the line takes him, though its modem takes ATH for a refusal.
func TestAnotherCallerRingsWhereOneWasRefused(t *testing.T) {
	named, next := linetest.Caller{Number: "5551234", Name: "FIRST"}, linetest.Caller{Number: "5559876"}
	for _, c := range []struct {
		first, next linetest.Caller
		after       time.Duration // since the last ring of the call that was refused
		left        bool          // to ring, without a word of the host
	}{
		{linetest.Caller{}, linetest.Caller{}, 2500 * time.Millisecond, false},
		{linetest.Caller{}, linetest.Caller{}, 7500 * time.Millisecond, false},
		{linetest.Caller{}, next, 7500 * time.Millisecond, false},
		{named, next, 6 * time.Second, false},
		{linetest.Caller{}, linetest.Caller{}, 2500 * time.Millisecond, true},
		{linetest.Caller{}, next, 6 * time.Second, true},
		{named, next, 6 * time.Second, true},
	} {
		inBubble(t, rig{}, func(h *host) {
			for _, command := range []string{"H", "H0"} {
				h.sim.on(command, func(s *sim) bool { s.ringing = false; return false })
			}
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
			if r := want[line.Ringing](h); r.Dialing != c.next.Number || r.Name != c.next.Name || time.Since(begun) > 12*time.Second {
				t.Errorf("%+v: after %v %+v", c, time.Since(begun), r)
			}
			h.must(h.line.Answer(h.Context(), h.status.Call))
			want[line.Answering](h)
			want[line.Connected](h)
		})
	}
}

// ringing is what a modem says, and how long after what it has said before.
type ringing struct {
	after time.Duration
	says  []string
}

// bursts are so many of the same.
func bursts(n int, burst ...ringing) (all []ringing) {
	for range n {
		all = append(all, burst...)
	}
	return all
}

// One call stays one, whatever its rhythm, however unevenly its rings are told, and in however many ways its caller is.
func TestOneCallRingsOn(t *testing.T) {
	ring := []string{"RING"}
	for name, says := range map[string][]ringing{
		"bursts of three":         bursts(5, ringing{800 * time.Millisecond, ring}, ringing{800 * time.Millisecond, ring}, ringing{4400 * time.Millisecond, ring}),
		"RING twice":              bursts(4, ringing{25 * time.Millisecond, ring}, ringing{5 * time.Second, ring}, ringing{50 * time.Millisecond, ring}, ringing{5 * time.Second, ring}),
		"held up":                 append(bursts(4, ringing{5 * time.Second, ring}), bursts(3, ringing{8 * time.Second, ring}, ringing{2 * time.Second, ring})...),
		"one is not told":         append(bursts(6, ringing{3 * time.Second, ring}), bursts(2, ringing{6 * time.Second, ring}, ringing{3 * time.Second, ring})...),
		"long pauses and longer":  bursts(5, ringing{2 * time.Second, ring}, ringing{4 * time.Second, ring}),
		"the number in full":      {{100 * time.Millisecond, []string{"NMBR = 5551234"}}, {5 * time.Second, []string{"RING", `+CLIP: "+31305551234",145`}}, {5 * time.Second, []string{"RING 0305551234"}}},
		"the number after a ring": {{5 * time.Second, []string{"RING", "NMBR = 5551234"}}, {5 * time.Second, ring}, {5 * time.Second, ring}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, rig{keys: `caller_id_wait = "0s"`}, func(h *host) {
				h.sim.set(func() { h.sim.say("RING") })
				want[line.Ringing](h)
				for _, r := range says {
					h.quiet(r.after - h.sim.reply)
					h.sim.set(func() { h.sim.say(r.says...) })
				}
				h.quiet(9 * time.Second)
				if s := want[line.RingingStopped](h); s.Cause.Code != line.CauseCallerGaveUp {
					t.Errorf("%+v", s)
				}
				want[line.Idle](h)
			})
		})
	}
}

// A ring between the host's answer and ATA is of the call that is answered: when that fails, nobody rings.
func TestRingsOnceMoreWhenAnswered(t *testing.T) {
	inBubble(t, rig{keys: "command_gap = \"300ms\"\nring_timeout = \"20s\""}, func(h *host) {
		h.sim.on("A", func(s *sim) bool { s.ringing = false; s.say("NO CARRIER"); return true })
		h.ring(linetest.Caller{Number: "5551234", Name: "X"})
		h.must(h.line.Answer(h.Context(), h.status.Call))
		want[line.Answering](h)
		h.sim.set(func() { h.sim.say("RING") })
		want[line.Lost](h)
		want[line.Idle](h)
		h.quiet(30 * time.Second)
	})
}
