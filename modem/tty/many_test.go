package tty

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/modem/port"
)

// A process with more descriptors than select(2) can name opens and uses ports all the same.
func TestManyDescriptors(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < 1200 {
		limit.Cur = min(limit.Max, 2048)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Fd() > 1100 {
			break
		}
	}
	master, name := pair(t)
	p, err := Open(t.Context(), port.Options{Device: name, Speed: 115200, FlowControl: true})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.SetSpeed(57600); err != nil {
		t.Error(err)
	}
	if err := p.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Error(err)
	}
	if _, err := p.Write([]byte("AT\r")); err != nil {
		t.Error(err)
	}
	got := make([]byte, 3)
	if _, err := master.Read(got); err != nil || string(got) != "AT\r" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := master.Write([]byte("OK\r")); err != nil {
		t.Error(err)
	}
	if n, err := p.Read(got); err != nil || string(got[:n]) != "OK\r" {
		t.Errorf("%q, %v", got, err)
	}
}
