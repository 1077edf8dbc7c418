package modem

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/modem/at"
	"trunkline.example/modem/port"
)

// pieces is a port that gives what the test puts in.
type pieces struct {
	port.Port
	in  chan string
	err error // when in is closed
}

func (p *pieces) Read(b []byte) (int, error) {
	text, open := <-p.in
	if !open {
		return 0, p.err
	}
	return copy(b, text), nil
}

// inboxed is what the host can read now.
func inboxed(b *inbox) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := string(b.data[b.start:])
	b.data, b.start = b.data[:0], 0
	return text
}

// What was read before the call, in it and after it goes where it belongs, and in order; so does what the owner has not taken when the call begins.
func TestReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pieces{in: make(chan string), err: errors.New("gone")}
		r := newReader(p)
		p.in <- "before"
		if c := <-r.chunks; string(c.data) != "before" || c.err != nil {
			t.Errorf("the owner got %q, %v", c.data, c.err)
		}
		p.in <- "first "
		synctest.Wait() // the reader waits for the owner
		box, tok := newInbox(), new(at.Tokenizer)
		box.reset(nil)
		in := newIntake(box, tok)
		r.direct(in)
		for i := range 100 {
			p.in <- fmt.Sprint(i, " ")
		}
		p.in <- "last"
		synctest.Wait()
		want := "first "
		for i := range 100 {
			want += fmt.Sprint(i, " ")
		}
		if got := inboxed(box); got != want+"last" || in.total() != uint64(len(got)) {
			t.Errorf("the host got %q, %d octets", got, in.total())
		}
		in.end()
		p.in <- "after" // between the end and the turn
		synctest.Wait()
		r.direct(nil)
		if c := <-r.chunks; string(c.data) != "after" || inboxed(box) != "" {
			t.Errorf("the owner got %q", c.data)
		}
		r.direct(newIntake(box, tok))
		close(p.in)
		if err := <-r.failed; err != p.err {
			t.Errorf("the end of the port: %v", err)
		}
	})
}

// A host that does not read holds the reader back, until the call is over.
func TestReaderIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pieces{in: make(chan string)}
		r := newReader(p)
		box := newInbox()
		box.reset(nil)
		in := newIntake(box, new(at.Tokenizer))
		r.direct(in)
		fill := func() (octets int) {
			piece := string(make([]byte, 4096))
			for {
				select {
				case p.in <- piece:
					octets += len(piece)
				case <-time.After(time.Second):
					return octets
				}
			}
		}
		if n := fill(); n != inboxCapacity {
			t.Errorf("%d octets were read", n)
		}
		buffer := make([]byte, inboxCapacity)
		if n, err := box.read(buffer[:inboxCapacity/4]); n == 0 || err != nil {
			t.Error(n, err)
		}
		if n := fill(); n != 0 {
			t.Errorf("%d octets were read though there is not room again", n)
		}
		if n, err := box.read(buffer[:inboxCapacity/4]); n == 0 || err != nil {
			t.Error(n, err)
		}
		if n := fill(); n != inboxCapacity/2 {
			t.Errorf("%d octets were read when there was room", n)
		}
		in.end()
		r.direct(nil)
		p.in <- "x"
		if c := <-r.chunks; string(c.data) != "x" {
			t.Errorf("after the call the owner got %q", c.data)
		}
		close(r.stop)
		p.err = errors.New("closed")
		close(p.in)
	})
}

// Words that may be the modem's have the owner look in time, and are delivered if they are not.
func TestIntakeKicks(t *testing.T) {
	now := time.Unix(1000, 0)
	box := newInbox()
	box.reset(nil)
	in := newIntake(box, new(at.Tokenizer))
	in.feed(now, []byte("data"))
	select {
	case <-in.kick:
		t.Error("there is nothing to look at")
	default:
	}
	in.feed(now, []byte("\r\nNO CARRIER"))
	<-in.kick
	if due := in.deadline(); due != now.Add(textHold) {
		t.Errorf("to be looked at %v later", due.Sub(now))
	}
	in.feed(now, []byte("\r\n"))
	if said := in.tick(now.Add(textGuard)); said != "NO CARRIER" || inboxed(box) != "data" {
		t.Errorf("said %q", said)
	}
	in.flush()
	if got := inboxed(box); got != "\r\nNO CARRIER\r\n" {
		t.Errorf("delivered %q", got)
	}
}

// A modem that rings where a call should be is looked at as soon as that is known, and not after the caller's words, once its carrier shows.
func TestIntakeKicksWhenItRings(t *testing.T) {
	now := time.Unix(1000, 0)
	box := newInbox()
	box.reset(nil)
	in := newIntake(box, new(at.Tokenizer))
	in.feed(now, []byte("\r\nRING\r\n"))
	now = now.Add(6 * time.Second)
	if due := in.deadline(); !due.IsZero() && due.Before(now) && in.tick(now) != "" {
		t.Error("one ring is nothing")
	}
	in.feed(now, []byte("\r\nRING\r\n"))
	<-in.kick
	if due := in.deadline(); due.IsZero() || due.After(now) {
		t.Errorf("to be looked at %v", due)
	}
	if said := in.tick(now); said == "" {
		t.Error("nothing is told")
	}
	in.flush()
	if said := in.tick(now); said != "" {
		t.Errorf("still told: %q", said)
	}
}
