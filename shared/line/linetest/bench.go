package linetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"trunkline.example/shared/line"
)

// bench is one line on the test bench with its far end.
type bench struct {
	*testing.T
	ctx    context.Context
	far    FarEnd
	line   line.Line
	number string
	caps   line.Capabilities
	status line.Status
	closed bool // the event stream has ended
}

func newBench(t *testing.T, f Fixture) *bench {
	ctx, cancel := context.WithTimeout(t.Context(), 5*Wait)
	t.Cleanup(cancel)
	lines, err := f.Driver.Open(ctx, f.Section)
	if err != nil {
		t.Fatal("open:", err)
	}
	if len(lines) != 1 {
		t.Fatalf("the section opens %d lines, the suite wants 1", len(lines))
	}
	b := &bench{T: t, ctx: ctx, far: f.Far, line: lines[0], number: f.Number, caps: f.Driver.Info().Capabilities}
	id := b.line.Identity()
	if id.Name == "" || id.Bearers == 0 || id.Framings == 0 || id.MaximumBPS != 0 && id.MaximumBPS < id.MinimumBPS {
		t.Fatalf("incomplete identity: %+v", id)
	}
	expect[line.Up](b)
	return b
}

// next returns the next event that may not be dropped and checks its place.
func (b *bench) next() line.Event {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Wait)
	defer cancel()
	for {
		select {
		case e, ok := <-b.line.Events():
			if !ok {
				b.closed = true
				return line.Event{}
			}
			if err := b.status.Apply(e); err != nil {
				b.Fatal(err)
			}
			if e.At.IsZero() {
				b.Fatalf("%v has no time", e.Body.Kind())
			}
			if !e.Body.Kind().Droppable() {
				return e
			}
		case <-ctx.Done():
			b.Fatalf("no event within %v in state %v", Wait, b.status.State)
		}
	}
}

// expect returns the next event, which must be a T.
func expect[T line.Body](b *bench) T {
	b.Helper()
	e := b.next()
	if body, ok := e.Body.(T); ok {
		return body
	}
	var want T
	if e.Body == nil {
		b.Fatalf("the events ended instead of %v", want.Kind())
	}
	b.Fatalf("event %v %+v instead of %v", e.Body.Kind(), e.Body, want.Kind())
	return want
}

// must fails the test if a step failed.
func (b *bench) must(what string, err error) {
	b.Helper()
	if err != nil {
		b.Fatalf("%s: %v", what, err)
	}
}

// wants fails the test unless err is the sentinel.
func (b *bench) wants(what string, err, sentinel error) {
	b.Helper()
	if !errors.Is(err, sentinel) {
		b.Errorf("%s: error %v instead of %v", what, err, sentinel)
	}
}

// ring lets the far end call and returns the call's number.
func (b *bench) ring(from Caller) (line.Call, line.Ringing) {
	b.Helper()
	b.must("ring", b.far.Ring(b.ctx, from))
	r := expect[line.Ringing](b)
	if r.Since.IsZero() || !one(uint32(r.Bearer)) {
		b.Errorf("incomplete ringing event: %+v", r)
	}
	return b.status.Call, r
}

// connect brings an incoming call up.
func (b *bench) connect() line.Call {
	b.Helper()
	call, _ := b.ring(Caller{Number: "5551234"})
	b.answer(call)
	return call
}

func (b *bench) answer(call line.Call) line.Connected {
	b.Helper()
	b.must("answer", b.line.Answer(b.ctx, call))
	expect[line.Answering](b)
	c := expect[line.Connected](b)
	b.must("far end connected", b.far.Connected(b.ctx))
	if !one(uint32(c.Bearer)) || !one(uint32(c.Framing)) || c.RxSpeed == 0 || c.TxSpeed == 0 {
		b.Errorf("incomplete connected event: %+v", c)
	}
	return c
}

func one(bits uint32) bool { return bits != 0 && bits&(bits-1) == 0 }

// idle waits for the proof that the line is free, and checks that the host
// can neither read nor write.
func (b *bench) idle() {
	b.Helper()
	expect[line.Idle](b)
	_, err := b.line.Write([]byte("late"))
	b.wants("write on an idle line", err, line.ErrNotConnected)
}

// drained reads to the end of the call.
func (b *bench) drained(want []byte) {
	b.Helper()
	got, err := io.ReadAll(b.line)
	b.must("read to the end of the call", err)
	if !bytes.Equal(got, want) {
		b.Errorf("read %d octets after the end of the call, want %d: %q", len(got), len(want), clip(got))
	}
	n, err := b.line.Read(make([]byte, 1))
	if n != 0 || err != io.EOF {
		b.Errorf("second read at the end of the call: %d, %v", n, err)
	}
}

// toHost sends data from the far end and compares what the line delivers.
func (b *bench) toHost(data []byte) {
	b.Helper()
	sent := make(chan error, 1)
	go func() { sent <- b.far.Send(b.ctx, data) }()
	got := make([]byte, len(data))
	_, err := io.ReadFull(b.line, got)
	b.must("read", err)
	b.must("send", <-sent)
	b.same("read", got, data)
}

// fromHost writes data and compares what the far end receives.
func (b *bench) fromHost(data []byte) {
	b.Helper()
	written := make(chan error, 1)
	go func() {
		n, err := b.line.Write(data)
		if err == nil && n != len(data) {
			err = io.ErrShortWrite
		}
		written <- err
	}()
	got, err := b.far.Receive(b.ctx, len(data))
	b.must("receive", err)
	b.must("write", <-written)
	b.same("received", got, data)
}

func (b *bench) same(what string, got, want []byte) {
	b.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			b.Fatalf("%s: octet %d of %d is %02x instead of %02x", what, i, len(want), got[i], want[i])
		}
	}
	if len(got) != len(want) {
		b.Fatalf("%s: %d octets instead of %d", what, len(got), len(want))
	}
}

func clip(b []byte) []byte { return b[:min(len(b), 80)] }

// refused checks that what the capabilities exclude is refused.
func (b *bench) refused(caps line.Capabilities) {
	if !caps.Dial {
		_, err := b.line.Dial(b.ctx, line.DialRequest{Number: b.number})
		b.wants("dial", err, line.ErrUnsupported)
	}
	if !caps.Service {
		b.wants("service", b.line.Service(b.ctx, line.ServiceTest), line.ErrUnsupported)
	}
	if !caps.Answer {
		b.wants("answer", b.line.Answer(b.ctx, 1), line.ErrUnsupported)
	}
}

// finish shuts the line down, twice, and checks that nothing works any more.
func (b *bench) finish() {
	b.Helper()
	b.must("shutdown", b.line.Shutdown(b.ctx))
	for !b.closed {
		b.next()
	}
	if b.status.State != line.StateClosed {
		b.Errorf("the events end in state %v", b.status.State)
	}
	b.must("second shutdown", b.line.Shutdown(b.ctx))
	_, err := b.line.Write([]byte("x"))
	b.wants("write after shutdown", err, line.ErrClosed)
	_, err = b.line.Read(make([]byte, 1))
	b.wants("read after shutdown", err, line.ErrClosed)
	b.wants("hang-up after shutdown", b.line.Hangup(b.ctx, 1), line.ErrClosed)
	if b.caps.Service {
		b.wants("service after shutdown", b.line.Service(b.ctx, line.ServiceTest), line.ErrClosed)
	}
	if b.caps.Dial {
		_, err = b.line.Dial(b.ctx, line.DialRequest{Number: b.number})
		b.wants("dial after shutdown", err, line.ErrClosed)
	}
}
