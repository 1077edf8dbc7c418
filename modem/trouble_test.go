package modem

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"trunkline.example/modem/port"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

func TestNumericResultsAtTheStart(t *testing.T) {
	inBubble(t, rig{before: func(h *host) { h.sim.raw("", "0\r") }}, func(h *host) {
		h.sim.set(func() { delete(h.sim.hooks, "") })
		h.connect()
	})
}

func TestModemForgetsItsSettingsWhenIdle(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.sim.set(func() {
			h.sim.seen, h.sim.echo, h.sim.cid = nil, true, false
			h.sim.later(0, "2\r")
		})
		want[line.Ringing](h)
		if !h.sim.did("E0Q0V1X4") {
			t.Error("the modem was not initialised again")
		}
	})
}

func TestModemStuckAtAnotherSpeed(t *testing.T) {
	inBubble(t, rig{before: func(h *host) {
		h.sim.on("", func(s *sim) bool {
			switch speed := h.device.State().Speed; {
			case speed == 9600 && !s.contains("&F"), speed == 115200 && s.contains("&F"):
				return false
			}
			s.later(s.reply, "\x81\xfe\x03\r\xf8")
			return true
		})
	}}, func(h *host) { h.connect() })
}

// contains is did for hooks, which hold the lock.
func (s *sim) contains(command string) bool {
	for _, c := range s.seen {
		if c == command {
			return true
		}
	}
	return false
}

func TestModemLeftInDataStateWithoutDTR(t *testing.T) {
	inBubble(t, rig{virtual: true, before: func(h *host) {
		h.sim.state, h.sim.offHook, h.sim.carrier = simData, true, true
		escaping(h.sim)
	}}, func(h *host) { h.connect() })
}

// escaping makes a modem in data state obey the escape sequence.
func escaping(s *sim) {
	s.escape = true
}

func TestSilentModem(t *testing.T) {
	inBubble(t, rig{down: true, before: func(h *host) { h.sim.silent = true }}, func(h *host) {
		start := time.Now()
		d := want[line.Down](h)
		if took := time.Since(start); d.Cause.Code != line.CauseUnresponsive || d.Cause.Text == "" || d.Retry != time.Minute || took > time.Minute {
			t.Errorf("%+v after %v", d, took)
		}
		if _, err := h.line.Dial(h.Context(), line.DialRequest{Number: "5"}); !errors.Is(err, line.ErrDown) {
			t.Error(err)
		}
		for _, retry := range []time.Duration{2, 5, 10, 30, 30} {
			if d := want[line.Down](h); d.Retry != retry*time.Minute {
				t.Errorf("%v instead of %v minutes", d.Retry, retry)
			}
		}
		h.sim.set(func() { h.sim.silent = false })
		want[line.Up](h)
		h.connect()
	})
}

func TestModemCrashesWhenIdle(t *testing.T) {
	inBubble(t, rig{keys: `probe_interval = "10m"`}, func(h *host) {
		h.quiet(time.Hour)
		h.sim.set(func() { h.sim.silent = true })
		if d := want[line.Down](h); d.Retry != 0 || d.Cause.Code != line.CauseUnresponsive {
			t.Errorf("%+v", d)
		}
		h.sim.set(func() { h.sim.silent = false })
		want[line.Up](h)
		h.connect()
	})
}

func TestDeviceMissing(t *testing.T) {
	for _, missing := range []error{fs.ErrNotExist, port.ErrBusy} {
		synctest.Test(t, func(t *testing.T) {
			h := &host{T: t}
			tries := 0
			lines, err := New(Options{Logger: testLogger(t), Open: func(context.Context, port.Options) (port.Port, error) {
				tries++
				return nil, missing
			}}).Open(t.Context(), section(""))
			h.must(err)
			h.line = lines[0]
			for _, retry := range []time.Duration{1, 2, 5, 10, 30, 30} {
				if d := want[line.Down](h); d.Retry != retry*time.Second || d.Cause.Code != line.CauseDevice {
					t.Errorf("%+v", d)
				}
			}
			if tries < 12 {
				t.Errorf("tried %d times", tries)
			}
			h.must(h.line.Shutdown(t.Context()))
			for range h.line.Events() {
			}
		})
	}
}

func TestDeviceUnpluggedWhenIdle(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.device.HangUp(true)
		h.quiet(2 * time.Second)
		h.device.Plug() // soon enough
		h.connect()
		h.must(h.line.Hangup(h.Context(), h.status.Call))
		want[line.Lost](h)
		want[line.Idle](h)
		h.device.HangUp(true)
		if d := want[line.Down](h); d.Cause.Code != line.CauseDevice {
			t.Errorf("%+v", d)
		}
		h.device.Plug()
		want[line.Up](h)
		h.connect()
	})
}

func TestDeviceUnpluggedInACall(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.connect()
		h.device.HangUp(true)
		h.sim.set(func() { h.sim.state, h.sim.offHook = simCommand, false })
		if l := want[line.Lost](h); l.Cause.Code != line.CauseDevice {
			t.Errorf("%+v", l)
		}
		if d := want[line.Down](h); d.Cause.Code != line.CauseDevice {
			t.Errorf("%+v", d)
		}
		h.device.Plug()
		want[line.Up](h)
		h.connect()
	})
}

func TestDeviceUnpluggedWhileRingingAndAnswering(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.ring(linetest.Caller{Number: "5551234", Name: "X"})
		h.sim.set(func() { h.sim.ringing = false })
		h.device.HangUp(false)
		if s := want[line.RingingStopped](h); s.Cause.Code != line.CauseDevice {
			t.Errorf("%+v", s)
		}
		want[line.Idle](h)
		h.ring(linetest.Caller{Number: "5551234", Name: "X"})
		h.sim.on("A", func(s *sim) bool {
			s.ringing = false
			h.device.HangUp(false)
			return true
		})
		h.must(h.line.Answer(h.Context(), h.status.Call))
		want[line.Answering](h)
		if l := want[line.Lost](h); l.Cause.Code != line.CauseDevice {
			t.Errorf("%+v", l)
		}
		want[line.Idle](h)
	})
}

func TestDialPromisedButDeviceGone(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.sim.set(func() { h.sim.silent = true })
		h.device.HangUp(true)
		h.quiet(time.Second) // the driver is looking for the device
		call, err := h.line.Dial(h.Context(), line.DialRequest{Number: "5"})
		h.must(err)
		want[line.Dialing](h)
		if f := want[line.DialFailed](h); f.Cause.Code != line.CauseDevice || h.status.Call != call {
			t.Errorf("%+v of call %d", f, h.status.Call)
		}
		want[line.Down](h)
	})
}

// Hanging up by every means in turn.
func TestHangUpLadder(t *testing.T) {
	for _, c := range []struct {
		name    string
		keys    string
		virtual bool
		deaf    bool // DTR does not hang up
		b0      bool // speed 0 does
		unknown bool // whether DTR hangs up cannot be told when it is opened
		says    string
		limit   time.Duration
		opened  int
	}{
		{name: "DTR", limit: 3 * time.Second, opened: 1, says: "S2=128"},
		{name: "DTR, learned from the call", unknown: true, limit: 3 * time.Second, opened: 1, says: "S2=43"},
		{name: "pseudo-terminal: B0", virtual: true, b0: true, limit: 3 * time.Second, opened: 2, says: "S2=128"},
		{name: "pseudo-terminal: B0, learned from the call", keys: `escape = "off"`, virtual: true, b0: true, unknown: true, limit: 4 * time.Second, opened: 2,
			says: "S2=128"},
		{name: "pseudo-terminal: close", virtual: true, limit: 4 * time.Second, opened: 3, says: "S2=128"},
		{name: "pseudo-terminal: escape", virtual: true, unknown: true, deaf: true, limit: 6 * time.Second, opened: 2, says: "S2=43"},
		{name: "deaf to DTR: escape", deaf: true, limit: 20 * time.Second, opened: 2, says: "S2=43"},
		{name: "deaf to DTR: recovery", keys: `escape = "off"`, deaf: true, limit: 60 * time.Second, opened: 3, says: "S2=128"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, rig{virtual: c.virtual, keys: c.keys, before: func(h *host) {
				h.sim.deaf, h.sim.noProof, h.sim.escape = c.deaf, c.unknown, true
				if c.b0 {
					h.device.SetB0()
				}
			}}, func(h *host) {
				if !h.sim.did(c.says) {
					t.Errorf("not told %s: %q", c.says, h.sim.seen)
				}
				h.connect()
				start := time.Now()
				h.must(h.line.Hangup(h.Context(), h.status.Call))
				want[line.Lost](h)
				if took := time.Since(start); took > time.Second {
					t.Errorf("the host was told after %v", took)
				}
				want[line.Idle](h)
				if took := time.Since(start); took > c.limit {
					t.Errorf("took %v", took)
				}
				h.must(h.sim.Released(h.Context()))
				if got := h.device.State().Opened; got != c.opened {
					t.Errorf("opened %d times", got)
				}
				if c.unknown && !c.deaf && !h.sim.did("S2=128") {
					t.Error("the escape sequence works still, although DTR does")
				}
				h.connect()
			})
		})
	}
}

func TestSettingThatIsRefused(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	inBubble(t, rig{logger: zap.New(core), keys: `init = ["ATX3&Q9S10=30", "AT*BAD"]`, before: func(h *host) {
		for _, c := range []string{"X3&Q9S10=30", "&Q9", "*BAD", "+FCLASS=0", "+IFC=2,2"} {
			h.sim.hook(c, "ERROR")
		}
	}}, func(h *host) {
		for _, c := range []string{"X3", "S10=30", "&K3"} {
			if !h.sim.did(c) {
				t.Errorf("%s was not given", c)
			}
		}
		h.connect()
		h.must(h.sim.HangUp(h.Context()))
		want[line.Lost](h)
		want[line.Idle](h)
	})
	var named []string
	for _, e := range logs.FilterMessage("modem refuses a setting").All() {
		named = append(named, e.ContextMap()["command"].(string))
	}
	if got := strings.Join(named, " "); got != "AT&Q9 AT*BAD" {
		t.Errorf("named %q", got)
	}
}

func TestModemThatRefusesTheBase(t *testing.T) {
	inBubble(t, rig{down: true, before: func(h *host) { h.sim.hook("E0Q0V1X4", "ERROR") }}, func(h *host) {
		if d := want[line.Down](h); !strings.Contains(d.Cause.Text, "E0Q0V1X4") {
			t.Errorf("%+v", d)
		}
	})
}

func TestLateAnswers(t *testing.T) { // each of them would be taken for that to the next command
	inBubble(t, rig{before: func(h *host) {
		h.sim.on("", func(s *sim) bool {
			s.later(700*time.Millisecond, "\r\nOK\r\n")
			return true
		})
		h.sim.hook("X9", "ERROR")
	}, keys: `init = ["ATX9"]`}, func(h *host) {
		h.sim.set(func() { delete(h.sim.hooks, "") })
		h.connect()
	})
}

func TestNobodyReadsTheEvents(t *testing.T) {
	inBubble(t, rig{keys: "ring_timeout = \"3s\"\ncaller_id_wait = \"0s\""}, func(h *host) {
		for range 100 {
			h.sim.set(func() { h.sim.say("RING") })
			timer := time.NewTimer(20 * time.Second)
			<-timer.C
		}
		calls := 0
		for len(h.line.Events()) > 0 {
			if h.next().Body.Kind() == line.KindRinging {
				calls++
			}
		}
		if calls < 10 || calls > 40 {
			t.Errorf("%d calls were reported", calls)
		}
		h.sim.set(func() { h.sim.say("RING") })
		want[line.Ringing](h)
	})
}

func TestShutdownThatTakesTooLong(t *testing.T) {
	inBubble(t, rig{down: true, before: func(h *host) { h.sim.silent = true }}, func(h *host) {
		ctx, cancel := context.WithTimeout(h.Context(), 0)
		defer cancel()
		start := time.Now()
		if err := h.line.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
	inBubble(t, rig{}, func(h *host) { // in a call, with no time to drop DTR
		h.connect()
		ctx, cancel := context.WithTimeout(h.Context(), 10*time.Millisecond)
		defer cancel()
		if err := h.line.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		h.must(h.sim.Released(h.Context()))
	})
}

func TestCommandsWhileTheOwnerIsBusy(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.connect()
		call := h.status.Call
		h.must(h.line.Hangup(h.Context(), call))
		if err := h.line.Hangup(h.Context(), call); !errors.Is(err, line.ErrNoCall) {
			t.Error(err)
		}
		want[line.Lost](h)
		if _, err := h.line.Dial(h.Context(), line.DialRequest{Number: "5"}); !errors.Is(err, line.ErrBusy) {
			t.Error(err)
		}
		want[line.Idle](h)
	})
}

// TestRandomTrouble throws everything at a line in random order and checks
// that its story stays a lawful one and that it works in the end.
func TestRandomTrouble(t *testing.T) {
	for round := range 60 {
		seed := rand.Uint64()
		if round == 0 {
			seed = 1
		}
		inBubble(t, rig{virtual: round%2 == 0, logger: zap.NewNop(), keys: "caller_id_wait = \"1s\"\nring_timeout = \"7s\""}, func(h *host) {
			h.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 0))
			h.sim.set(func() { h.sim.escape = true })
			for range 40 {
				h.trouble(r)
				timer := time.NewTimer(time.Duration(r.IntN(4000)) * time.Millisecond)
				for waiting := true; waiting; {
					select {
					case e := <-h.line.Events():
						h.apply(e)
					case <-timer.C:
						waiting = false
					}
				}
			}
			h.device.Plug()
			h.device.Block(false)
			h.sim.set(func() { h.sim.silent, h.sim.ringing, h.sim.outcome = false, false, linetest.OutcomeConnect })
			deadline := time.Now().Add(2 * time.Hour)
			for quiet := 0; quiet < 3; { // until it has come to rest
				if h.status.State != line.StateIdle && h.status.State != line.StateDown {
					_ = h.line.Hangup(h.Context(), h.status.Call)
				}
				select {
				case e := <-h.line.Events():
					h.apply(e)
				case <-time.After(time.Minute):
					if h.status.State == line.StateIdle {
						quiet++
					}
				}
				if time.Now().After(deadline) {
					h.Fatalf("seed %d: the line is still %v", seed, h.status.State)
				}
			}
			h.connect()
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// trouble does one random thing.
func (h *host) trouble(r *rand.Rand) {
	ctx := h.Context()
	call := h.status.Call
	switch r.IntN(14) {
	case 0, 1:
		h.sim.Step(func() {
			if h.sim.state == simCommand {
				h.sim.ringing, h.sim.rings, h.sim.caller = true, 0, linetest.Caller{Number: "5551234"}
				h.sim.timer.Reset(0)
			}
		})
	case 2:
		_ = h.sim.GiveUp(ctx)
	case 3, 4:
		_ = h.line.Answer(ctx, call)
	case 5:
		_ = h.line.Reject(ctx, call, line.Cause{})
	case 6:
		_ = h.line.Hangup(ctx, call)
	case 7:
		h.sim.Step(func() { h.sim.outcome = linetest.Outcome(r.IntN(6)) })
		_, _ = h.line.Dial(ctx, line.DialRequest{Number: "5"})
	case 8:
		_ = h.sim.HangUp(ctx)
	case 9:
		h.device.HangUp(r.IntN(2) == 0)
		h.sim.Step(func() { h.sim.hangUp() })
	case 10:
		h.device.Plug()
		h.device.Block(r.IntN(3) == 0)
	case 11:
		noise := make([]byte, r.IntN(100))
		for i := range noise {
			noise[i] = byte(r.Uint32())
		}
		_ = h.device.Send(ctx, append(noise, []string{"\r\nNO CARRIER\r\n", "\r\nRING\r\n", "\r\nOK\r\n", "\r\nERROR\r\n", "\r"}[r.IntN(5)]...))
	case 12:
		h.sim.set(func() { h.sim.silent = r.IntN(3) == 0 })
	case 13:
		_, _ = h.line.Write([]byte("some data"))
	}
}

// The value of a register is no result, however few digits it has: 2 would be a RING.
func TestRegisterWithoutZeros(t *testing.T) {
	for _, value := range []string{"0", "2", "4"} {
		inBubble(t, rig{before: func(h *host) { h.sim.hook("S8?", value, "OK") }}, func(h *host) {
			if !h.sim.did("S2=128") {
				t.Errorf("%s: DTR is not proved to hang up", value)
			}
			h.quiet(time.Minute)
		})
	}
}

// What is left of a call when it is hung up may look like a RING of a modem that answers by numbers: the line is not kept from dialling by it.
func TestRemainsOfACallAreNoRing(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.connect()
		h.must(h.line.Hangup(h.Context(), h.status.Call))
		want[line.Lost](h)
		h.must(h.device.Send(h.Context(), []byte("\x93\r2\r")))
		want[line.Idle](h)
		if _, err := h.line.Dial(h.Context(), line.DialRequest{Number: "5"}); err != nil {
			t.Error(err)
		}
		if want[line.Dialing](h); h.status.State != line.StateDialing {
			t.Errorf("%+v", h.status)
		}
	})
}
