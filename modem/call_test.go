package modem

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"trunkline.example/modem/port"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

// ring makes the modem ring and returns what is reported.
func (h *host) ring(from linetest.Caller) line.Ringing {
	h.Helper()
	h.must(h.sim.Ring(h.Context(), from))
	return want[line.Ringing](h)
}

// connect brings a call up.
func (h *host) connect() line.Connected {
	h.Helper()
	h.ring(linetest.Caller{Number: "5551234", Name: "X"})
	h.must(h.line.Answer(h.Context(), h.status.Call))
	want[line.Answering](h)
	return want[line.Connected](h)
}

func (h *host) read(text string) {
	h.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(h.line, got); err != nil || string(got) != text {
		h.Errorf("read %q, %v", got, err)
	}
}

func TestConnectedReportsTheTruth(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		c := h.connect()
		if c.RxSpeed != 31200 || c.TxSpeed != 31200 || !c.SpeedKnown || c.DTESpeed != 115200 || c.Modulation != "V.34" || c.ErrorControl != "LAPM" ||
			c.Compression != "V.42bis" || c.Raw != "CONNECT 31200/ARQ/V34/LAPM/V42BIS" || c.Bearer != line.BearerAnalog || c.Framing != line.FramingAsync {
			t.Errorf("%+v", c)
		}
		for _, command := range []string{"&F", "E0Q0V1X4", "S0=0S7=75", "S2=128", "&C1&D2", "+IFC=2,2", "+VCID=1"} {
			if !h.sim.did(command) {
				t.Errorf("the modem was not told %q", command)
			}
		}
	})
}

func TestReportsBeforeConnect(t *testing.T) {
	inBubble(t, rig{keys: "assumed_speed = 28800"}, func(h *host) {
		h.sim.set(func() { h.sim.connect = "+MCR: V34\r\n\r\n+MRR: 31200,33600\r\n\r\n+ER: LAPM\r\n\r\nCONNECT 115200" })
		if c := h.connect(); c.TxSpeed != 31200 || c.RxSpeed != 33600 || c.ErrorControl != "LAPM" {
			t.Errorf("%+v", c)
		}
		h.must(h.sim.HangUp(h.Context()))
		want[line.Lost](h)
		want[line.Idle](h)
		h.sim.set(func() { h.sim.connect = "CONNECT" })
		if c := h.connect(); c.SpeedKnown || c.TxSpeed != 28800 || c.RxSpeed != 28800 {
			t.Errorf("%+v", c)
		}
	})
}

func TestOKBeforeConnect(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.sim.on("A", func(s *sim) bool {
			s.say("OK")
			return false
		})
		h.connect()
	})
}

func TestDataRightAfterConnect(t *testing.T) {
	for _, end := range []string{"\r\n", "\r"} {
		inBubble(t, rig{}, func(h *host) {
			h.sim.raw("A", "\r\nCONNECT 33600"+end+"~\xff}#\xc0!\r")
			h.connect()
			h.read("~\xff}#\xc0!\r")
		})
	}
}

func TestEchoThatCannotBeSwitchedOff(t *testing.T) {
	inBubble(t, rig{before: func(h *host) { h.sim.raw("E0Q0V1X4", "\r\nOK\r\n") }}, func(h *host) {
		if h.status.Equipment != "Sim 33600" {
			t.Errorf("equipment %q", h.status.Equipment)
		}
		h.connect()
	})
}

func TestCallerIdentification(t *testing.T) {
	for _, c := range []struct {
		name   string
		from   linetest.Caller
		lines  []string      // instead of the sim's
		after  time.Duration // from the first RING to the report, at most
		least  time.Duration
		number string
		caller string
		absent bool
	}{
		{name: "number and name", from: linetest.Caller{Number: "5551234", Name: "BOB"}, after: 100 * time.Millisecond, number: "5551234", caller: "BOB"},
		{name: "number only", from: linetest.Caller{Number: "5551234"}, least: idSettle, after: idSettle + 100*time.Millisecond, number: "5551234"},
		{name: "nothing", least: 4 * time.Second, after: 4100 * time.Millisecond},
		{name: "withheld", lines: []string{"RING", "NMBR = P", "NAME = P"}, after: 100 * time.Millisecond, absent: true},
		{name: "before the first ring", lines: []string{"NMBR=5551234", "NAME=", "RING"}, after: 100 * time.Millisecond, number: "5551234"},
		{name: "in the ring line", lines: []string{"RING;5551234;5550199", "RING"}, after: 100 * time.Millisecond, number: "5551234"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, rig{}, func(h *host) {
				start := time.Now()
				if c.lines != nil {
					h.sim.set(func() { h.sim.say(c.lines...) })
				} else {
					h.must(h.sim.Ring(h.Context(), c.from))
				}
				r := want[line.Ringing](h)
				took := time.Since(start)
				if r.Dialing != c.number || r.Name != c.caller || r.Withheld != c.absent || took < c.least || took > c.after {
					t.Errorf("%+v after %v", r, took)
				}
				if r.Dialed != "5550100" && r.Dialed != "5550199" {
					t.Errorf("dialed %q", r.Dialed)
				}
			})
		})
	}
}

func TestNoWaitWithoutCallerIdentification(t *testing.T) {
	inBubble(t, rig{before: func(h *host) { h.sim.noCallerID = true }}, func(h *host) {
		start := time.Now()
		h.ring(linetest.Caller{Number: "5551234"})
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("reported after %v", took)
		}
	})
}

func TestSecondRingEndsTheWait(t *testing.T) {
	inBubble(t, rig{keys: `caller_id_wait = "30s"`}, func(h *host) {
		start := time.Now()
		h.ring(linetest.Caller{})
		if took := time.Since(start); took < 6*time.Second || took > 7*time.Second {
			t.Errorf("reported after %v", took)
		}
	})
}

func TestRingTooShortToReport(t *testing.T) {
	inBubble(t, rig{keys: "caller_id_wait = \"30s\""}, func(h *host) {
		h.sim.set(func() { h.sim.say("RING") })
		h.quiet(time.Minute)
		if r := h.ring(linetest.Caller{Number: "5551234", Name: "X"}); r.Dialing != "5551234" {
			t.Errorf("%+v", r)
		}
		if h.status.Call != 1 {
			t.Errorf("call %d", h.status.Call)
		}
	})
}

func TestRingDuringInitialisation(t *testing.T) {
	inBubble(t, rig{before: func(h *host) {
		h.sim.on("&C1&D2", func(s *sim) bool {
			s.say("RING", "NMBR = 5551234", "NAME = EARLY BIRD")
			return false
		})
	}}, func(h *host) {
		if r := want[line.Ringing](h); r.Dialing != "5551234" || r.Name != "EARLY BIRD" {
			t.Errorf("%+v", r)
		}
	})
}

func TestRung(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.ring(linetest.Caller{Number: "5551234", Name: "X"})
		start := time.Now()
		h.sim.set(func() { h.sim.ringing = false; h.sim.say("RUNG") })
		if s := want[line.RingingStopped](h); s.Cause.Code != line.CauseCallerGaveUp || time.Since(start) > time.Second {
			t.Errorf("%v after %v", s.Cause, time.Since(start))
		}
		want[line.Idle](h)
	})
}

func TestAnswerFails(t *testing.T) {
	for said, code := range map[string]line.CauseCode{"NO CARRIER": line.CauseNoCarrier, "{{x~NO CARRIER": line.CauseNoCarrier, "FAX": line.CauseNotData,
		"+FCON": line.CauseNotData, "ERROR": line.CauseUnknown, "": line.CauseTimeout} {
		inBubble(t, rig{}, func(h *host) {
			h.ring(linetest.Caller{Number: "5551234", Name: "X"})
			start := time.Now()
			h.sim.on("A", func(s *sim) bool {
				s.ringing = false
				if said == "" {
					s.state = simHandshake
				} else {
					s.say(said)
				}
				return true
			})
			h.must(h.line.Answer(h.Context(), h.status.Call))
			want[line.Answering](h)
			if l := want[line.Lost](h); l.Cause.Code != code {
				t.Errorf("%q: cause %v", said, l.Cause)
			}
			if took := time.Since(start); said == "" && (took < 75*time.Second || took > 85*time.Second) {
				t.Errorf("timed out after %v", took)
			}
			want[line.Idle](h)
			h.sim.set(func() { delete(h.sim.hooks, "A") })
			h.connect()
		})
	}
}

func TestModemAnswersByItself(t *testing.T) {
	for _, virtual := range []bool{false, true} {
		inBubble(t, rig{virtual: virtual}, func(h *host) {
			h.sim.set(func() { h.sim.offHook, h.sim.carrier, h.sim.state = true, true, simData; h.sim.say("CONNECT 33600") })
			h.must(h.sim.Released(h.Context()))
			h.connect()
		})
	}
}

func TestModemAnswersByItselfWhileRinging(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.ring(linetest.Caller{Number: "5551234", Name: "X"})
		h.sim.set(func() { h.sim.ringing, h.sim.state = false, simData; h.sim.say("CONNECT 33600") })
		want[line.RingingStopped](h)
		want[line.Idle](h)
		h.connect()
	})
}

func TestDialing(t *testing.T) {
	inBubble(t, rig{keys: `dial = "pulse"`}, func(h *host) {
		_, err := h.line.Dial(h.Context(), line.DialRequest{Number: "1 (212) 555-0100"})
		h.must(err)
		h.sim.on("DP12125550100", func(s *sim) bool {
			s.say("RINGING")
			s.say("DELAYED")
			return true
		})
		if d := want[line.Dialing](h); d.Number != "1 (212) 555-0100" {
			t.Errorf("%+v", d)
		}
		if p, ok := h.next().Body.(line.Progress); !ok || p.Text != "RINGING" {
			t.Errorf("%+v", p)
		}
		if f := want[line.DialFailed](h); f.Cause.Code != line.CauseNotAllowed || f.Cause.Text != "DELAYED" {
			t.Errorf("%+v", f)
		}
		want[line.Idle](h)
	})
}

func TestDialRequestsNobodyCanCarryOut(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		for _, r := range []line.DialRequest{{Number: "555;H"}, {Number: "5", Bearer: line.BearerDigital}, {Number: "5", Framing: line.FramingSync},
			{Number: "5", MinimumBPS: 2, MaximumBPS: 1}} {
			if _, err := h.line.Dial(h.Context(), r); !errors.Is(err, line.ErrInvalid) {
				t.Errorf("%+v: %v", r, err)
			}
		}
		ctx, cancel := context.WithCancel(h.Context())
		cancel()
		if _, err := h.line.Dial(ctx, line.DialRequest{Number: "5"}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestSpeedOutsideTheBounds(t *testing.T) {
	for _, r := range []line.DialRequest{{MinimumBPS: 33600}, {MaximumBPS: 28800}} {
		inBubble(t, rig{}, func(h *host) {
			r.Number = "5550199"
			_, err := h.line.Dial(h.Context(), r)
			h.must(err)
			want[line.Dialing](h)
			if f := want[line.DialFailed](h); f.Cause.Code != line.CauseNotAllowed {
				t.Errorf("%+v", f)
			}
			h.must(h.sim.Released(h.Context()))
			want[line.Idle](h)
			r.MinimumBPS, r.MaximumBPS = 2400, 56000
			_, err = h.line.Dial(h.Context(), r)
			h.must(err)
			want[line.Dialing](h)
			want[line.Connected](h)
		})
	}
}

// A modem that can be slowed is, for that call alone.
func TestSpeedIsBoundedForOneCall(t *testing.T) {
	const bound = "+MS=V32B,1,0,14400,0,14400"
	inBubble(t, rig{keys: `profile = "generic"`}, func(h *host) {
		h.sim.on(bound, func(s *sim) bool {
			s.connect = "CONNECT 14400"
			s.say("OK")
			return true
		})
		h.sim.on("&F", func(s *sim) bool {
			s.connect = "CONNECT 31200"
			return false
		})
		for _, r := range []line.DialRequest{{MaximumBPS: 16000}, {MaximumBPS: 56000}} {
			h.sim.set(func() { h.sim.seen = nil })
			r.Number = "5550199"
			call, err := h.line.Dial(h.Context(), r)
			h.must(err)
			want[line.Dialing](h)
			if c := want[line.Connected](h); (c.TxSpeed == 14400) != (r.MaximumBPS == 16000) {
				t.Errorf("at most %d: connected at %d", r.MaximumBPS, c.TxSpeed)
			}
			h.must(h.line.Hangup(h.Context(), call))
			want[line.Lost](h)
			want[line.Idle](h)
			if h.sim.did(bound) != (r.MaximumBPS == 16000) {
				t.Errorf("at most %d: the modem was told %q", r.MaximumBPS, h.sim.seen)
			}
		}
	})
}

func TestGlare(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.sim.set(func() { h.sim.say("RING") })
		h.quiet(100 * time.Millisecond)
		if _, err := h.line.Dial(h.Context(), line.DialRequest{Number: "5"}); !errors.Is(err, line.ErrBusy) {
			t.Error(err)
		}
		want[line.Ringing](h)
	})
}

func TestRejectByHook(t *testing.T) {
	inBubble(t, rig{keys: `reject = "hook"`}, func(h *host) {
		h.sim.on("H1", func(s *sim) bool {
			s.ringing = false
			return false
		})
		h.ring(linetest.Caller{Number: "5551234", Name: "X"})
		start := time.Now()
		h.must(h.line.Reject(h.Context(), h.status.Call, line.Cause{Text: "no PNS"}))
		if s := want[line.RingingStopped](h); s.Cause.Code != line.CauseRejected || s.Cause.Text != "no PNS" {
			t.Errorf("%+v", s)
		}
		want[line.Idle](h)
		if time.Since(start) > 5*time.Second {
			t.Errorf("took %v", time.Since(start))
		}
	})
}

func TestCarrierSignal(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.connect()
		h.quiet(time.Second) // DCD is seen to be on
		h.device.SetLines(lines(false))
		h.quiet(1500 * time.Millisecond) // a blink
		h.device.SetLines(lines(true))
		h.quiet(5 * time.Second)
		h.must(h.device.Send(h.Context(), []byte("\r\nNO CARRIER\r\n"))) // the caller's own words
		h.quiet(5 * time.Second)
		h.read("\r\nNO CARRIER\r\n")
		start := time.Now()
		h.device.SetLines(lines(false)) // no text comes with it
		h.sim.set(func() { h.sim.state, h.sim.offHook, h.sim.carrier = simCommand, false, false })
		if l := want[line.Lost](h); l.Cause.Code != line.CauseCarrierLost || l.Cause.Text != "DCD is off" {
			t.Errorf("%+v", l)
		}
		if took := time.Since(start); took < 2*time.Second || took > 2200*time.Millisecond {
			t.Errorf("noticed after %v", took)
		}
		want[line.Idle](h)
		h.connect()
	})
}

func TestStrappedCarrierSignal(t *testing.T) {
	inBubble(t, rig{before: func(h *host) { h.device.SetLines(lines(true)) }}, func(h *host) {
		h.connect()
		h.sim.set(func() { h.sim.state, h.sim.offHook, h.sim.carrier = simCommand, false, false; h.sim.say("NO CARRIER") })
		if l := want[line.Lost](h); l.Cause.Text != "NO CARRIER" {
			t.Errorf("%+v", l)
		}
		want[line.Idle](h)
	})
}

func TestErrorCounters(t *testing.T) {
	inBubble(t, rig{before: func(h *host) { h.device.Count(port.Counters{Framing: 1<<32 - 2}) }}, func(h *host) {
		h.connect()
		h.device.Count(port.Counters{Framing: 5, Overrun: 2, BufferOverrun: 3, Parity: 4, Break: 1})
		e := h.next()
		c, ok := e.Body.(line.CountersChanged)
		if !ok || c.Counters.FramingErrors != 5 || c.Counters.HardwareOverruns != 2 || c.Counters.BufferOverruns != 3 || c.Counters.ParityErrors != 4 || c.Counters.Breaks != 1 {
			t.Errorf("%+v", e.Body)
		}
		h.quiet(time.Minute)
		h.must(h.line.Hangup(h.Context(), h.status.Call))
		if l := want[line.Lost](h); l.Counters.FramingErrors != 5 {
			t.Errorf("%+v", l)
		}
		want[line.Idle](h)
	})
}

func TestStalledModem(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.connect()
		h.device.Block(true)
		start := time.Now()
		n, err := h.line.Write(make([]byte, 100))
		if n != 0 || !errors.Is(err, line.ErrStalled) || time.Since(start) != 10*time.Second {
			t.Errorf("%d, %v after %v", n, err, time.Since(start))
		}
		if c, ok := h.next().Body.(line.CountersChanged); !ok || c.Counters.Stalls != 1 {
			t.Errorf("%+v", c)
		}
		h.device.Block(false)
		if n, err := h.line.Write([]byte("better")); n != 6 || err != nil {
			t.Error(n, err)
		}
	})
}

func TestSlowHostHoldsTheModemBack(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.connect()
		data := make([]byte, 4*inboxCapacity)
		for i := range data {
			data[i] = byte(i * 7)
		}
		sent := make(chan error, 1)
		go func() { sent <- h.device.Send(h.Context(), data) }()
		h.quiet(time.Minute)
		select {
		case <-sent:
			t.Error("the driver took everything without a reader")
		default:
		}
		got := make([]byte, len(data))
		if _, err := io.ReadFull(h.line, got); err != nil || !slices.Equal(got, data) {
			t.Error("data differ", err)
		}
		h.must(<-sent)
	})
}
