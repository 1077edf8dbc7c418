package tuntest

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/pns/tun"
)

func buffers(n, size int) ([][]byte, []int) {
	bufs := make([][]byte, n)
	for i := range bufs {
		bufs[i] = make([]byte, size)
	}
	return bufs, make([]int, n)
}

func TestReadTakesWhatWaits(t *testing.T) {
	d := New("tun0", 1400, 8)
	for _, p := range []string{"one", "a packet that is longer than the buffer", "two", "three"} {
		if err := d.Inject([]byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	bufs, sizes := buffers(2, 20)
	n, err := d.Read(bufs, sizes, 10)
	if err != nil || n != 2 || string(bufs[0][10:10+sizes[0]]) != "one" || string(bufs[1][10:10+sizes[1]]) != "two" {
		t.Fatalf("read %d, %v: %q %q", n, err, bufs[0], bufs[1])
	}
	if n, err = d.Read(bufs, sizes, 10); err != nil || n != 1 || string(bufs[0][10:10+sizes[0]]) != "three" {
		t.Fatalf("read %d, %v: %q", n, err, bufs[0])
	}
	if c := d.Counters(); c.ReadDropped != 1 {
		t.Errorf("counters %+v", c)
	}
}

func TestWrite(t *testing.T) {
	d := New("tun0", 1400, 2)
	packet := func(s string) []byte { return append(bytes.Repeat([]byte{1}, tun.Headroom), s...) }
	refused := errors.New("no")
	d.Refuse(func(p []byte) error {
		if string(p) == "bad" {
			return refused
		}
		return nil
	})
	n, err := d.Write([][]byte{packet("one"), packet("bad"), packet("two"), packet("three")}, tun.Headroom)
	if n != 3 || !errors.Is(err, refused) {
		t.Fatalf("write %d, %v", n, err)
	}
	if a, b := string(<-d.Sent()), string(<-d.Sent()); a != "one" || b != "two" {
		t.Errorf("sent %q and %q", a, b)
	}
	if d.Overflown() != 1 || d.Counters().WriteRefused != 1 {
		t.Errorf("overflown %d, counters %+v", d.Overflown(), d.Counters())
	}
	if _, err := d.Write([][]byte{packet("x")}, tun.Headroom-1); err == nil {
		t.Error("too small an offset was accepted")
	}
}

func TestCloseEndsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New("tun0", 1400, 1)
		go func() {
			time.Sleep(time.Hour)
			_ = d.Close()
			_ = d.Close()
		}()
		bufs, sizes := buffers(1, 20)
		if _, err := d.Read(bufs, sizes, 10); !errors.Is(err, os.ErrClosed) {
			t.Errorf("read: %v", err)
		}
		if _, err := d.Write([][]byte{make([]byte, 20)}, 10); !errors.Is(err, os.ErrClosed) {
			t.Errorf("write: %v", err)
		}
		if err := d.Inject([]byte("x")); err == nil {
			if err = d.TryInject([]byte("x")); !errors.Is(err, os.ErrClosed) {
				t.Errorf("inject: %v", err)
			}
		}
	})
}

func TestQueues(t *testing.T) {
	d := NewQueues("tun0", 1400, 8, 3)
	bufs, sizes := buffers(2, 20)
	for number, q := range d.Queues() {
		if err := d.InjectInto(number, []byte{byte(number)}); err != nil {
			t.Fatal(err)
		}
		if n, err := q.Read(bufs, sizes, 10); err != nil || n != 1 || sizes[0] != 1 || bufs[0][10] != byte(number) {
			t.Errorf("queue %d: read %d, %v: %v", number, n, err, bufs[0])
		}
	}
	if n := len(d.Queues()); n != 3 || d.Shared() != nil {
		t.Errorf("%d queues, %v", n, d.Shared())
	}
}
