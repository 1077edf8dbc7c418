package linetest

import (
	"context"
	"fmt"
	"io"
	"time"

	"trunkline.example/shared/line"
)

// Identity implements line.Line.
func (l *FakeLine) Identity() line.Identity { return l.identity }

// Events implements line.Line.
func (l *FakeLine) Events() <-chan line.Event { return l.queue.Events() }

// command runs f under the lock if the call is in one of the states.
func (l *FakeLine) command(ctx context.Context, call line.Call, f func(), states ...line.State) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.status.State == line.StateClosed {
		return line.ErrClosed
	}
	for _, s := range states {
		if l.status.State == s && l.status.Call == call {
			f()
			l.announce()
			return nil
		}
	}
	return line.ErrNoCall
}

// Answer implements line.Line.
func (l *FakeLine) Answer(ctx context.Context, call line.Call) error {
	return l.command(ctx, call, func() {
		l.begin()
		l.send(call, line.Answering{})
		if l.failing.Code != line.CauseUnknown {
			l.end(l.failing)
			return
		}
		if !l.training {
			l.connect()
		}
	}, line.StateRinging)
}

// Reject implements line.Line.
func (l *FakeLine) Reject(ctx context.Context, call line.Call, cause line.Cause) error {
	return l.command(ctx, call, func() {
		l.rejected = cause
		l.end(line.Cause{Code: line.CauseRejected, Q850: cause.Q850, Text: cause.Text})
	}, line.StateRinging)
}

// Hangup implements line.Line.
func (l *FakeLine) Hangup(ctx context.Context, call line.Call) error {
	return l.command(ctx, call, func() { l.end(line.Cause{Code: line.CauseHangup}) },
		line.StateRinging, line.StateAnswering, line.StateDialing, line.StateConnected)
}

// Dial implements line.Line.
func (l *FakeLine) Dial(ctx context.Context, request line.DialRequest) (line.Call, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.status.State == line.StateClosed:
		return 0, line.ErrClosed
	case !fakeNumber(request.Number):
		return 0, line.ErrInvalid
	case l.status.State == line.StateDown:
		return 0, line.ErrDown
	case l.status.State != line.StateIdle || !l.queue.Admit():
		return 0, errFakeBusy
	}
	l.begin()
	l.sequence++
	call := l.sequence
	l.send(call, line.Dialing{Number: request.Number})
	l.dialed = append(l.dialed, request.Number)
	switch l.outcome {
	case OutcomeConnect:
		l.connect()
	case OutcomeUnanswered:
	default:
		l.end(line.Cause{Code: outcomeCauses[l.outcome]})
	}
	l.announce()
	return call, nil
}

// Service implements line.Line: it takes no time.
func (l *FakeLine) Service(ctx context.Context, service line.Service) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.status.State == line.StateClosed:
		return line.ErrClosed
	case !service.Known():
		return line.ErrInvalid
	case l.status.Call != 0:
		return errFakeBusy
	}
	l.send(0, line.Down{Cause: line.Cause{Code: line.CauseMaintenance, Text: service.String()}})
	if service != line.ServiceBusyOut {
		l.send(0, line.Up{Equipment: l.status.Equipment})
	}
	l.announce()
	return nil
}

var outcomeCauses = map[Outcome]line.CauseCode{
	OutcomeBusy: line.CauseBusy, OutcomeNoAnswer: line.CauseNoAnswer, OutcomeNoCarrier: line.CauseNoCarrier, OutcomeNoDialtone: line.CauseNoDialtone,
}

// Shutdown implements line.Line.
func (l *FakeLine) Shutdown(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.status.State == line.StateClosed {
		return nil
	}
	cause := line.Cause{Code: line.CauseShutdown}
	l.held = true
	l.end(cause)
	l.send(0, line.Down{Cause: cause})
	l.queue.Close()
	l.announce()
	return ctx.Err()
}

// Read implements line.Line.
func (l *FakeLine) Read(p []byte) (int, error) {
	var n int
	var err error
	_ = l.await(context.Background(), func() bool {
		switch {
		case l.status.State == line.StateClosed:
			err = line.ErrClosed
		case !l.readable:
			err = line.ErrNotConnected
		case len(l.toHost) > 0:
			n = copy(p, l.toHost)
			l.toHost = l.toHost[n:]
		case l.status.State != line.StateConnected:
			err = io.EOF
		default:
			return false
		}
		return true
	})
	return n, err
}

// Write implements line.Line.
func (l *FakeLine) Write(p []byte) (int, error) {
	var n int
	var err error
	call := l.Status().Call
	_ = l.await(context.Background(), func() bool {
		switch {
		case l.status.State == line.StateClosed:
			err = line.ErrClosed
			return true
		case l.status.State != line.StateConnected || l.status.Call != call:
			err = line.ErrNotConnected
			return true
		}
		k := min(len(p)-n, FakeBuffer-len(l.toFar))
		if k > 0 {
			l.toFar = append(l.toFar, p[n:n+k]...)
			n += k
			l.counters.TxOctets += uint64(k)
			l.announce()
		}
		return n == len(p)
	})
	return n, err
}

// Ring implements FarEnd.
func (l *FakeLine) Ring(ctx context.Context, from Caller) error {
	return l.await(ctx, func() bool {
		if l.status.State != line.StateIdle || !l.queue.Admit() {
			return false
		}
		l.sequence++
		l.readable = false
		l.send(l.sequence, line.Ringing{Dialed: from.Dialed, Dialing: from.Number, Name: from.Name, Bearer: l.connected.Bearer, Since: time.Now()})
		return true
	})
}

// GiveUp implements FarEnd.
func (l *FakeLine) GiveUp(context.Context) error {
	l.change(func() {
		if l.status.State == line.StateRinging {
			l.end(line.Cause{Code: line.CauseCallerGaveUp})
		}
	})
	return nil
}

// Plan implements FarEnd.
func (l *FakeLine) Plan(_ context.Context, outcome Outcome) error {
	l.change(func() { l.outcome = outcome })
	return nil
}

// Dialed implements FarEnd.
func (l *FakeLine) Dialed(ctx context.Context) (number string, err error) {
	err = l.await(ctx, func() bool {
		if len(l.dialed) == 0 {
			return false
		}
		number, l.dialed = l.dialed[0], l.dialed[1:]
		return true
	})
	return number, err
}

// Connected implements FarEnd.
func (l *FakeLine) Connected(ctx context.Context) error {
	return l.await(ctx, func() bool { return l.farUp })
}

// Send implements FarEnd.
func (l *FakeLine) Send(ctx context.Context, data []byte) error {
	up := true
	err := l.await(ctx, func() bool {
		if up = l.farUp; !up {
			return true
		}
		k := min(len(data), FakeBuffer-len(l.toHost))
		if k > 0 {
			l.toHost = append(l.toHost, data[:k]...)
			l.counters.RxOctets += uint64(k)
			data = data[k:]
			l.announce()
		}
		return len(data) == 0
	})
	if err == nil && !up {
		err = fmt.Errorf("fake line: %w", line.ErrNotConnected)
	}
	return err
}

// Receive implements FarEnd.
func (l *FakeLine) Receive(ctx context.Context, n int) ([]byte, error) {
	var got []byte
	up := true
	err := l.await(ctx, func() bool {
		if up = l.farUp; !up {
			return true
		}
		k := min(n-len(got), len(l.toFar))
		if k > 0 {
			got = append(got, l.toFar[:k]...)
			l.toFar = l.toFar[k:]
			l.announce()
		}
		return len(got) == n
	})
	if err == nil && !up && len(got) < n {
		err = fmt.Errorf("fake line: %w", line.ErrNotConnected)
	}
	return got, err
}

// HangUp implements FarEnd.
func (l *FakeLine) HangUp(context.Context) error {
	l.change(func() { l.end(line.Cause{Code: line.CauseCarrierLost}) })
	return nil
}

// Released implements FarEnd.
func (l *FakeLine) Released(ctx context.Context) error {
	return l.await(ctx, func() bool { return !l.farUp })
}
