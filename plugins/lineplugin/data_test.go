package lineplugin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"trunkline.example/plugins/lineplugin/linepb"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

// open returns the one line of a fake behind gRPC, and its far end; the line is up.
func open(t *testing.T) (line.Line, *linetest.FakeLine) {
	t.Helper()
	fake := fakeLine()
	lines, err := behind(t, fake).Open(t.Context(), line.Section{})
	if err != nil {
		t.Fatal(err)
	}
	return lines[0], fake.Lines()[0]
}

// expect returns the next event, which must be of that kind.
func expect(t *testing.T, l line.Line, kind line.Kind) line.Event {
	t.Helper()
	for e := range l.Events() {
		if e.Body.Kind() == line.KindCounters {
			continue
		}
		if e.Body.Kind() != kind {
			t.Fatalf("event %v, want %v", e.Body.Kind(), kind)
		}
		return e
	}
	t.Fatalf("the events ended before %v", kind)
	return line.Event{}
}

// connect brings a call up.
func call(t *testing.T, l line.Line, far *linetest.FakeLine) line.Call {
	t.Helper()
	if err := far.Ring(t.Context(), linetest.Caller{}); err != nil {
		t.Fatal(err)
	}
	number := expect(t, l, line.KindRinging).Call
	if err := l.Answer(t.Context(), number); err != nil {
		t.Fatal(err)
	}
	expect(t, l, line.KindAnswering)
	expect(t, l, line.KindConnected)
	return number
}

func TestBatchesAreBounded(t *testing.T) {
	b := newBatcher()
	const pieces, size = 1000, 4096
	for i := range pieces {
		b.add(&linepb.Data{Line: uint32(i), Octets: make([]byte, size)})
	}
	done, next := make(chan struct{}), uint32(0)
	err := b.run(done, func(batch *linepb.DataBatch) error {
		if n := proto.Size(batch); n > 2*batchOctets {
			t.Errorf("a batch of %d octets", n)
		}
		for _, d := range batch.GetData() {
			if d.GetLine() != next {
				t.Fatalf("piece %d comes after %d", d.GetLine(), next)
			}
			next++
		}
		if next == pieces {
			close(done)
		}
		return nil
	})
	if err != nil || next != pieces {
		t.Errorf("%d pieces, %v", next, err)
	}
}

func TestWriteOfAnyLength(t *testing.T) {
	l, far := open(t)
	expect(t, l, line.KindUp)
	call(t, l, far)
	if n, err := l.Write(nil); n != 0 || err != nil {
		t.Errorf("a write of nothing: %d, %v", n, err)
	}
	data := bytes.Repeat([]byte("0123456789"), 600_000)
	wrote := make(chan error, 1)
	go func() {
		n, err := l.Write(data)
		if n != len(data) {
			t.Errorf("%d octets were taken", n)
		}
		wrote <- err
	}()
	got, err := far.Receive(t.Context(), len(data))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("received %d octets, %v", len(got), err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// A host that does not read events loses none of them, holds up nobody and can still shut its line down.
func TestHostThatDoesNotRead(t *testing.T) {
	fake := linetest.NewFake(line.Identity{Name: "deaf"}, line.Identity{Name: "served"})
	i := behind(t, fake)
	lines, err := i.Open(t.Context(), line.Section{})
	if err != nil {
		t.Fatal(err)
	}
	far := fake.Lines()[0]
	rung := 0
	for misses := 0; misses < 10; { // until the line takes no call any more
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		err := far.Ring(ctx, linetest.Caller{})
		cancel()
		if err != nil { // the fake does not notice that its queue is read
			misses++
			continue
		}
		rung, misses = rung+1, 0
		if err := far.GiveUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, lines[1], line.KindUp)
	call(t, lines[1], fake.Lines()[1])
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	within(t, 10*time.Second, "Shutdown", func() { _ = lines[0].Shutdown(ctx) })
	within(t, 10*time.Second, "Close", i.Close)
	var status line.Status
	calls := 0
	for e := range lines[0].Events() {
		if err := status.Apply(e); err != nil {
			t.Error(err)
		}
		if e.Body.Kind() == line.KindRinging {
			calls++
		}
	}
	if status.State != line.StateClosed || calls < (line.EventCapacity-lastEvents)/3 || calls > rung {
		t.Errorf("at the end %+v after %d of %d calls", status, calls, rung)
	}
}

// A driver whose process was exchanged while a write waited for its answer has never heard of it.
func TestWriteIsFreedByTheLossOfItsDriver(t *testing.T) {
	p := newProxy(line.Identity{})
	first, second := &client{out: newBatcher()}, &client{out: newBatcher()}
	p.attach(first, 0)
	p.event(first, line.Event{Call: 1, Body: line.Connected{}})
	wrote := make(chan error, 1)
	go func() {
		_, err := p.Write([]byte("x"))
		wrote <- err
	}()
	<-first.out.wake
	p.mu.Lock()
	p.client = second
	p.change.Broadcast()
	p.mu.Unlock()
	within(t, 5*time.Second, "Write", func() {
		if err := <-wrote; !errors.Is(err, line.ErrNotConnected) {
			t.Error(err)
		}
	})
}

// sluggish is a line whose Read and Write are slow to notice the end of their call.
type sluggish struct {
	*linetest.FakeLine
	t       *testing.T
	entered chan string
	leave   chan struct{}
	busy    chan struct{} // holds one element for each Read and Write under way
}

func (s *sluggish) slow(what string) {
	s.busy <- struct{}{}
	s.entered <- what
	<-s.leave
	<-s.busy
}

func (s *sluggish) Read([]byte) (int, error) {
	s.slow("read")
	return 0, io.EOF
}

func (s *sluggish) Write([]byte) (int, error) {
	s.slow("write")
	return 0, line.ErrNotConnected
}

func (s *sluggish) Answer(ctx context.Context, number line.Call) error {
	if n := len(s.busy); n > 0 {
		s.t.Errorf("the next call is answered while %d of the last one are still busy", n)
	}
	return s.FakeLine.Answer(ctx, number)
}

type sluggishDriver struct {
	*linetest.Fake
	line *sluggish
}

func (d sluggishDriver) Open(ctx context.Context, s line.Section) ([]line.Line, error) {
	_, err := d.Fake.Open(ctx, s)
	return []line.Line{d.line}, err
}

// What reads and writes for one call has ended before the next one is answered: no octet can go astray.
func TestNextCallWaitsForTheLastOnesReaderAndWriter(t *testing.T) {
	fake := fakeLine()
	s := &sluggish{FakeLine: fake.Lines()[0], t: t, entered: make(chan string, 2), leave: make(chan struct{}), busy: make(chan struct{}, 4)}
	lines, err := behind(t, sluggishDriver{fake, s}).Open(t.Context(), line.Section{})
	if err != nil {
		t.Fatal(err)
	}
	l := lines[0]
	expect(t, l, line.KindUp)
	call(t, l, s.FakeLine)
	<-s.entered
	go func() { _, _ = l.Write([]byte("x")) }()
	<-s.entered
	if err := s.HangUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, l, line.KindLost)
	expect(t, l, line.KindIdle)
	if err := s.Ring(t.Context(), linetest.Caller{}); err != nil {
		t.Fatal(err)
	}
	second := expect(t, l, line.KindRinging).Call
	impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := l.Answer(impatient, second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Answer while the last call is busy: %v", err)
	}
	close(s.leave)
	// The first Answer may still be carried out where it was given up in that very moment; then this one comes too late.
	if err := l.Answer(t.Context(), second); err != nil && !errors.Is(err, line.ErrNoCall) {
		t.Error(err)
	}
	expect(t, l, line.KindAnswering)
}

// Each Read of a synchronous call is one frame, also on a line that can do both.
func TestFramesStayWhole(t *testing.T) {
	p := newProxy(line.Identity{Framings: line.FramingAsync | line.FramingSync})
	c := &client{out: newBatcher()}
	p.attach(c, 0)
	p.event(c, line.Event{Call: 1, Body: line.Connected{Framing: line.FramingSync}})
	p.data(&linepb.Data{Call: 1, Octets: []byte("too long a frame")})
	p.data(&linepb.Data{Call: 1, Octets: []byte("short")})
	buf := make([]byte, 8)
	if n, err := p.Read(buf); n != 0 || !errors.Is(err, line.ErrInvalid) {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if n, err := p.Read(buf); string(buf[:n]) != "short" || err != nil {
		t.Errorf("%q, %v", buf[:n], err)
	}
}
