package line

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

func TestErrorsCrossAProcessBoundary(t *testing.T) {
	for _, sentinel := range []error{ErrNoCall, ErrBusy, ErrDown, ErrNotConnected, ErrStalled, ErrClosed, ErrUnsupported, ErrInvalid,
		ErrConfiguration, ErrDriver, io.EOF, context.Canceled, context.DeadlineExceeded} {
		for _, err := range []error{sentinel, fmt.Errorf("line 7: %w", sentinel)} {
			back := MakeError(CodeOf(err))
			if !errors.Is(back, sentinel) {
				t.Errorf("%v became %v", err, back)
			}
			if again := MakeError(CodeOf(back)); again.Error() != back.Error() {
				t.Errorf("%q became %q the second time", back, again)
			}
		}
	}
	if err := MakeError(CodeOf(errors.New("odd"))); err.Error() != "line: failed: odd" {
		t.Error(err)
	}
	if errors.Is(ErrBusy, ErrDown) {
		t.Error("different codes are equal")
	}
}

func TestNamesRoundTrip(t *testing.T) {
	for c := range CauseCode(30) {
		var back CauseCode
		text, _ := c.MarshalText()
		if err := back.UnmarshalText(text); err != nil || back != c {
			t.Errorf("cause %d: %q, %v", c, text, err)
		}
	}
	for s := range State(10) {
		var back State
		text, _ := s.MarshalText()
		if err := back.UnmarshalText(text); err != nil || back != s {
			t.Errorf("state %d: %q, %v", s, text, err)
		}
	}
	var c CauseCode
	if c.UnmarshalText([]byte("nonsense")) == nil || c.UnmarshalText([]byte("cause-999")) == nil || c.UnmarshalText(nil) == nil {
		t.Error("nonsense was accepted")
	}
	if got := (Cause{Code: CauseBusy, Q850: 17, Text: "BUSY"}).String(); got != "busy (Q.850 17): BUSY" {
		t.Error(got)
	}
}

func TestQueueHoldsEveryLifecycleEvent(t *testing.T) {
	q := NewQueue()
	now := time.Unix(0, 0)
	calls := 0
	for q.Admit() {
		calls++
		for _, body := range []Body{Ringing{}, Answering{}, Connected{}, Progress{}, CountersChanged{}, Lost{}, Idle{}} {
			if !q.Send(now, Call(calls), body) && !body.Kind().Droppable() {
				t.Fatalf("call %d: %v dropped", calls, body.Kind())
			}
		}
	}
	if q.Send(now, 0, Progress{}) {
		t.Error("a droppable event took the reserve")
	}
	if !q.Send(now, 0, Down{}) || !q.Send(now, 0, Down{Cause: Cause{Code: CauseShutdown}}) {
		t.Error("no room for the end of the line")
	}
	if calls < 5 || q.Dropped() == 0 {
		t.Errorf("%d calls, %d dropped", calls, q.Dropped())
	}
	q.Close()
	q.Close()
	if q.Send(now, 0, Up{}) || q.Admit() {
		t.Error("sent after close")
	}
	var last uint64
	var status Status
	_ = status.Apply(Event{Sequence: 0, Body: Up{}})
	for e := range q.Events() {
		if e.Sequence <= last {
			t.Fatalf("sequence %d after %d", e.Sequence, last)
		}
		last = e.Sequence
		if err := status.Apply(e); err != nil && e.Body.Kind() != KindDown {
			t.Error(err)
		}
	}
	if status.State != StateClosed {
		t.Error(status.State)
	}
}

func TestQueueOverflowIsCounted(t *testing.T) {
	q := NewQueue()
	for range EventCapacity {
		q.Send(time.Time{}, 0, Down{})
	}
	if q.Send(time.Time{}, 0, Down{}) || q.Dropped() != 1 {
		t.Error("an overflow was not counted")
	}
}
