package modem

import (
	"context"
	"errors"
	"testing"
	"time"

	"trunkline.example/shared/line"
)

// A user's data never hang the modem up, even where the escape sequence is the only way to.
func TestEscapeSequenceInTheData(t *testing.T) {
	for _, c := range []struct {
		name   string
		writes []string
		pause  time.Duration // before each of them
		within time.Duration // until the far end has all of it
	}{
		{"alone", []string{"+++"}, 3 * time.Second, 6 * time.Second},
		{"one by one", []string{"+", "+", "+"}, 100 * time.Millisecond, 4 * time.Second},
		{"in two", []string{"+", "++"}, 500 * time.Millisecond, 4 * time.Second},
		{"twice", []string{"+++", "+++"}, 3 * time.Second, 12 * time.Second},
		{"within others", []string{"a+++b", "+++"}, 10 * time.Millisecond, time.Second},
		{"four", []string{"++++"}, 3 * time.Second, 4 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, rig{before: func(h *host) { h.sim.deaf, h.sim.noProof = true, true; h.sim.guarded = true }}, func(h *host) {
				h.connect()
				start, text := time.Now(), ""
				for _, w := range c.writes {
					h.quiet(c.pause)
					n, err := h.line.Write([]byte(w))
					if n != len(w) || err != nil {
						t.Error(n, err)
					}
					text += w
				}
				ctx, cancel := context.WithTimeout(h.Context(), time.Minute)
				defer cancel()
				got, err := h.sim.Receive(ctx, len(text))
				h.must(err)
				if took := time.Since(start); string(got) != text || took > c.within {
					t.Errorf("%q after %v", got, took)
				}
				h.quiet(5 * time.Second)
				if h.status.State != line.StateConnected {
					t.Error(h.status.State)
				}
				h.sim.set(func() {
					if h.sim.state != simData {
						t.Error("the modem has left data state")
					}
				})
			})
		})
	}
}

func TestHangUpDuringTheSilence(t *testing.T) {
	inBubble(t, rig{before: func(h *host) { h.sim.noProof = true }}, func(h *host) {
		h.connect()
		h.quiet(3 * time.Second)
		written := make(chan error, 1)
		go func() {
			_, err := h.line.Write([]byte("+++"))
			written <- err
		}()
		h.quiet(100 * time.Millisecond)
		start := time.Now()
		h.must(h.line.Hangup(h.Context(), h.status.Call))
		want[line.Lost](h)
		if err := <-written; !errors.Is(err, line.ErrNotConnected) || time.Since(start) > 100*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		want[line.Idle](h)
	})
}
