package ptyport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func open(t *testing.T) *Port {
	t.Helper()
	p, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func client(t *testing.T, p *Port) *os.File {
	t.Helper()
	f, err := os.OpenFile(p.Path(), os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func wantHeld(t *testing.T, p *Port, want bool) {
	t.Helper()
	held, _, err := p.State()
	if err != nil || held != want {
		t.Fatalf("held: %v, %v, want %v", held, err, want)
	}
}

func readAll(t *testing.T, f *os.File, want string) {
	t.Helper()
	if err := f.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(want))
	if _, err := io.ReadFull(f, b); err != nil || string(b) != want {
		t.Fatalf("read %q, %v, want %q", b, err, want)
	}
}

func TestOpenAndClose(t *testing.T) {
	p := open(t)
	wantHeld(t, p, false)
	f := client(t, p)
	wantHeld(t, p, true)
	if s, err := p.Settings(); err != nil || s != (Settings{Speed: DefaultSpeed, Local: true}) {
		t.Fatalf("settings %+v, %v", s, err)
	}
	if _, err := p.Write([]byte("RING\r\n")); err != nil {
		t.Fatal(err)
	}
	readAll(t, f, "RING\r\n")
	if _, err := f.Write([]byte("AT\r")); err != nil {
		t.Fatal(err)
	}
	if _, readable, err := p.State(); err != nil || !readable {
		t.Fatal("nothing to read", err)
	}
	b := make([]byte, 10)
	if n, err := p.Read(b); err != nil || string(b[:n]) != "AT\r" {
		t.Fatalf("read %q, %v", b[:n], err)
	}
	f.Close()
	wantHeld(t, p, false)
	if _, err := p.Read(b); !errors.Is(err, unix.EIO) {
		t.Fatal("read after the client's close:", err)
	}
}

func TestSettings(t *testing.T) {
	p := open(t)
	f := client(t, p)
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []Settings{{Speed: 31200}, {Speed: 0, Local: true}, {Speed: 57600, Local: true}} {
		tio := &unix.Termios{Cflag: unix.CS8 | unix.BOTHER, Ispeed: uint32(want.Speed), Ospeed: uint32(want.Speed)}
		if want.Speed == 0 {
			tio.Cflag = unix.CS8 | unix.B0
		}
		if want.Local {
			tio.Cflag |= unix.CLOCAL
		}
		if err := raw.Control(func(fd uintptr) { err = unix.IoctlSetTermios(int(fd), unix.TCSETS2, tio) }); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if s, err := p.Settings(); err != nil || s != want {
			t.Fatalf("settings %+v, %v, want %+v", s, err, want)
		}
	}
}

// What one client left unread is not for the next one.
func TestResetFlushes(t *testing.T) {
	p := open(t)
	f := client(t, p)
	if _, err := p.Write([]byte("stale")); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := p.Reset(); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, p, false)
	f = client(t, p)
	if n, err := p.Unread(); err != nil || n != 0 {
		t.Fatal("unread:", n, err)
	}
	if _, err := p.Write([]byte("fresh")); err != nil {
		t.Fatal(err)
	}
	readAll(t, f, "fresh")
}

func TestHangUp(t *testing.T) {
	p := open(t)
	f := client(t, p)
	if _, err := p.Write([]byte("NO CARRIER\r\n")); err != nil {
		t.Fatal(err)
	}
	readAll(t, f, "NO CARRIER\r\n")
	if err := p.HangUp(); errors.Is(err, ErrNotPermitted) {
		t.Skip("NEEDS CAP_SYS_ADMIN: may not hang up terminals")
	} else if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("the client reads %d, %v after the hang-up, want end of file", n, err)
	}
	if _, err := f.Write([]byte("x")); !errors.Is(err, unix.EIO) {
		t.Fatal("the client writes after the hang-up:", err)
	}
	if _, readable, err := p.State(); err != nil || readable {
		t.Fatal("something to read after the hang-up:", err)
	}
	f.Close()
	wantHeld(t, p, false)
	f = client(t, p)
	wantHeld(t, p, true)
	if s, err := p.Settings(); err != nil || s != (Settings{Speed: DefaultSpeed, Local: true}) {
		t.Fatalf("settings after the hang-up %+v, %v", s, err)
	}
	if _, err := p.Write([]byte("OK")); err != nil {
		t.Fatal(err)
	}
	readAll(t, f, "OK")
}

// Close and deadlines free a reader: the master is never a blocking file.
func TestUnblock(t *testing.T) {
	p := open(t)
	client(t, p)
	if err := p.SetDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if err := p.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := p.Read(make([]byte, 1))
		done <- err
	}()
	p.Close()
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	w, err := NewWatch()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p, q := open(t), open(t)
	for id, port := range []*Port{p, q} {
		if err := w.Add(port, id); err != nil {
			t.Fatal(err)
		}
	}
	heard := func() (s string) {
		t.Helper()
		if err := w.Drain(func(id int, opened bool) { s += fmt.Sprint(id, opened, " ") }); err != nil {
			t.Fatal(err)
		}
		return s
	}
	if got := heard(); got != "" {
		t.Errorf("heard %q at first", got)
	}
	f := client(t, p)
	g := client(t, q)
	if err := w.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := heard(); got != "0 true 1 true " {
		t.Errorf("heard %q", got)
	}
	f.Close()
	f = client(t, p)
	if got := heard(); got != "0 false 0 true " {
		t.Errorf("heard %q of a quick close", got)
	}
	if _, err := p.Unread(); err != nil {
		t.Fatal(err)
	}
	if got := heard(); got != "0 true 0 false " {
		t.Errorf("heard %q of our own opening", got)
	}
	if err := p.HangUp(); err != nil && !errors.Is(err, ErrNotPermitted) {
		t.Fatal(err)
	}
	heard()
	f.Close()
	if got := heard(); got != "0 false " {
		t.Errorf("heard %q of a dead descriptor's close", got)
	}
	q.Close()
	g.Close()
	heard()
	if len(w.ids) != 1 {
		t.Errorf("%d terminals are watched", len(w.ids))
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Wait(ctx) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
