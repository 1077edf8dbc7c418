package modem

import (
	"testing"
	"time"

	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

// A call rings first, and its caller is told, while the device is closed to hang up the call before: what the modem has counted and kept
// makes up for it, and what cannot be known is not waited for.
func TestRingWhileTheDeviceIsClosed(t *testing.T) {
	last := linetest.Caller{Number: "5551234", Name: "X"} // see connect
	for _, c := range []struct {
		name          string
		next          linetest.Caller
		refuses       string
		number        string
		least, within time.Duration
	}{
		{"another caller", linetest.Caller{Number: "5559876", Name: "NEXT"}, "", "5559876", 6 * time.Second, 7 * time.Second},
		{"nobody is told", linetest.Caller{}, "", "", 6 * time.Second, 7 * time.Second},
		{"the same caller, or nobody", last, "", "", 6 * time.Second, 7 * time.Second},
		{"a modem that repeats nothing", linetest.Caller{Number: "5559876", Name: "NEXT"}, "+VRID=0", "", 6 * time.Second, 7 * time.Second},
		{"a modem that does not count", linetest.Caller{Number: "5559876", Name: "NEXT"}, "S1?", "", 10 * time.Second, 11 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, rig{virtual: true, before: func(h *host) {
				h.sim.told = linetest.Caller{Number: "5550000", Name: "BEFORE"}
				if c.refuses != "" {
					h.sim.hook(c.refuses, "ERROR")
				}
			}}, func(h *host) {
				h.connect()
				h.must(h.line.Hangup(h.Context(), h.status.Call))
				want[line.Lost](h)
				h.must(h.sim.Ring(h.Context(), c.next)) // the modem is on hook, and the device closed
				start := time.Now()
				want[line.Idle](h)
				r := want[line.Ringing](h)
				took := time.Since(start)
				if r.Dialing != c.number || (r.Name != "") != (c.number != "") || took < c.least || took > c.within {
					t.Errorf("after %v %+v", took, r)
				}
				h.must(h.line.Answer(h.Context(), h.status.Call))
				want[line.Answering](h)
				want[line.Connected](h)
			})
		})
	}
}

// The first call after the line has come up: a caller of long ago, whom the modem still knows, is not taken for the one who rings.
func TestCallerOfLongAgo(t *testing.T) {
	inBubble(t, rig{before: func(h *host) {
		h.sim.told = linetest.Caller{Number: "5550000", Name: "BEFORE"}
		h.sim.on("S1?", func(s *sim) bool {
			s.say("002", "OK")
			return true
		})
	}}, func(h *host) {
		if r := h.ring(linetest.Caller{}); r.Dialing != "" || r.Name != "" {
			t.Errorf("%+v", r)
		}
	})
}

// A line that has heard all along does not ask while it rings, and waits for the caller.
func TestNothingWasMissed(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.quiet(time.Minute)
		start := time.Now()
		h.ring(linetest.Caller{})
		if took := time.Since(start); took < 4*time.Second || h.sim.did("S1?") {
			t.Errorf("reported after %v: %q", took, h.sim.seen)
		}
	})
}

// What the modem says in one piece with the end of a command, when the line is about to be initialised again, is of the next call.
func TestRingWithTheEndOfACommand(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.connect()
		h.sim.raw("H", "\r\nOK\r\n\r\nRING\r\n\r\nNMBR = 5559876\r\n\r\nNAME = NEXT\r\n")
		h.must(h.line.Hangup(h.Context(), h.status.Call))
		want[line.Lost](h)
		want[line.Idle](h)
		if r := want[line.Ringing](h); r.Dialing != "5559876" || r.Name != "NEXT" {
			t.Errorf("%+v", r)
		}
	})
}
