package modem

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

// drip is a wire whose modem says everything octet by octet, with newlines that nobody needs.
type drip struct{ cable }

func (d drip) send(ctx context.Context, b []byte) {
	if strings.HasPrefix(string(b), "\r\n") {
		b = append([]byte("\n\r\n"), b...)
	}
	for i := range b {
		timer := time.NewTimer(3 * time.Millisecond)
		<-timer.C
		d.cable.send(ctx, b[i:i+1])
	}
}

// wholeCall takes a call with data from beginning to end.
func (h *host) wholeCall() {
	h.Helper()
	if r := h.ring(linetest.Caller{Number: "5551234", Name: "X"}); r.Dialing != "5551234" {
		h.Errorf("%+v", r)
	}
	h.must(h.line.Answer(h.Context(), h.status.Call))
	want[line.Answering](h)
	want[line.Connected](h)
	h.quiet(time.Second) // the modem has ended its word
	h.must(h.sim.Send(h.Context(), []byte("~\xff}#\xc0!")))
	h.read("~\xff}#\xc0!")
	h.must(h.sim.HangUp(h.Context()))
	want[line.Lost](h)
	want[line.Idle](h)
}

// Modems and their surroundings that are known to misbehave. Each is one that a byte stream can show; the line comes up and takes calls
// nevertheless.
func TestMisbehaviour(t *testing.T) {
	for _, c := range []struct {
		name    string
		virtual bool
		before  func(h *host)
	}{
		{name: "results come split, with stray newlines", before: func(h *host) { h.sim.wire = drip{cable{h.device}} }},
		{name: "in data state, and obeys the second escape sequence only", virtual: true, before: func(h *host) {
			h.sim.state, h.sim.offHook, h.sim.carrier = simData, true, true
			h.sim.deaf = true
			h.sim.escapesIgnored, h.sim.escape = 1, true
		}},
		{name: "forgets caller identification with every other setting", before: func(h *host) {
			for _, command := range []string{"+FCLASS=0", "&C1&D2", "+IFC=2,2", "&F"} {
				h.sim.on(command, func(s *sim) bool {
					s.cid = false
					return false
				})
			}
		}},
		{name: "somebody else types to it, and its answers arrive here", before: func(h *host) {
			h.sim.on("", func(s *sim) bool {
				delete(s.hooks, "")
				s.later(s.reply, "AT+GCAP\r\r\n+GCAP: +CGSM\r\n\r\nOK\r\n")
				s.later(s.reply, "AT+GMI\r\r\nMaker\r\n\r\nOK\r\n")
				return false
			})
		}},
		{name: "the hub loses an answer", before: func(h *host) {
			h.sim.on("&C1&D2", func(s *sim) bool {
				delete(s.hooks, "&C1&D2")
				s.later(s.reply, "\r\nO")
				return true
			})
		}},
		{name: "the hub loses the beginning of a command", before: func(h *host) {
			h.sim.on("S0=0S7=75", func(s *sim) bool {
				delete(s.hooks, "S0=0S7=75")
				return true
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, rig{virtual: c.virtual, before: c.before}, func(h *host) {
				h.wholeCall()
				h.wholeCall()
			})
		})
	}
}

// A client that leaves at once after a good CONNECT is a call that was lost, and leaves the line free.
func TestCallerLeavesAtOnce(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.sim.on("A", func(s *sim) bool {
			s.ringing = false
			s.say("CONNECT 33600", "NO CARRIER")
			return true
		})
		h.connect()
		if lost := want[line.Lost](h); lost.Cause.Code != line.CauseCarrierLost {
			t.Errorf("%+v", lost)
		}
		want[line.Idle](h)
		h.sim.set(func() { delete(h.sim.hooks, "A") })
		h.wholeCall()
	})
}

// A retrain is a silence of any length: without a carrier signal too the line waits for the modem's word.
func TestLongSilence(t *testing.T) {
	inBubble(t, rig{virtual: true}, func(h *host) {
		h.connect()
		h.quiet(10 * time.Minute)
		h.must(h.sim.Send(h.Context(), []byte("back")))
		h.read("back")
	})
}

// A modem whose CTS is stuck takes no command: the line is down with a reason that names flow control, and comes back with the modem.
func TestStuckFlowControl(t *testing.T) {
	inBubble(t, rig{down: true, before: func(h *host) { h.device.Block(true) }}, func(h *host) {
		if d := want[line.Down](h); d.Cause.Code != line.CauseUnresponsive || !strings.Contains(d.Cause.Text, "flow control") {
			t.Errorf("%+v", d)
		}
		h.device.Block(false)
		want[line.Up](h)
		h.wholeCall()
	})
}

// An idle modem that was reset to another speed rings in garbage. It is asked at once, not at the next probe: one that learns the speed from
// the command is heard at its next ring, and one that does not is looked for at its speed.
func TestRingAtAnotherSpeed(t *testing.T) {
	for _, learns := range []bool{true, false} {
		inBubble(t, rig{}, func(h *host) {
			lost := true
			h.sim.on("", func(s *sim) bool {
				if learns || !lost || h.device.State().Speed == 9600 {
					lost = false
					return false
				}
				s.later(s.reply, "\x81\xfe\x03\r\xf8")
				return true
			})
			h.quiet(time.Minute)
			h.sim.set(func() { h.sim.later(0, "\xe6\x80\x06\x9e\xf8") })
			start := time.Now()
			if !learns {
				if d := want[line.Down](h); d.Retry != 0 {
					t.Errorf("%+v", d)
				}
				want[line.Up](h)
			}
			h.must(h.sim.Await(h.Context(), func() bool { return !lost }))
			if took := time.Since(start); took > time.Minute {
				t.Errorf("learns the speed %v: it was asked after %v", learns, took)
			}
			h.wholeCall()
		})
	}
}

// Noise that comes again soon is not asked about a second time, nor long afterwards when the modem has answered a probe since.
func TestNoiseIsAskedAboutOnce(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	inBubble(t, rig{logger: zap.New(core)}, func(h *host) {
		for range 2 {
			h.quiet(10 * time.Second)
			h.sim.set(func() { h.sim.later(0, "\xe6\x80\x06\x9e\xf8") })
		}
		h.quiet(time.Hour)
		if n := logs.FilterMessageSnippet("no text").Len(); n != 1 {
			t.Errorf("told %d times", n)
		}
	})
}
