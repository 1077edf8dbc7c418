package modem

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"trunkline.example/plugins/lineplugin"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

// A call on a modem goes on while its driver has no host: the carrier stays, what the caller sends waits, and the next host goes on
// with it; a call that ended meanwhile is found ended.
func TestCallOutlivesTheHost(t *testing.T) {
	f := onTerminal(t)
	dir, err := os.MkdirTemp("/tmp", "keep") // a short name: it is a socket's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	command, err := lineplugin.Self("modem", serveArgument)
	if err != nil {
		t.Fatal(err)
	}
	command.Keep = lineplugin.Keep{Dir: filepath.Join(dir, "driver"), For: time.Minute}
	host := func() (*lineplugin.Driver, line.Line, line.Status) {
		t.Helper()
		d, err := lineplugin.Load(t.Context(), command, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		lines, err := d.Open(t.Context(), f.Section)
		if err != nil {
			t.Fatal(err)
		}
		var s line.Status
		if err := s.Apply(<-lines[0].Events()); err != nil {
			t.Fatal(err)
		}
		return d, lines[0], s
	}
	until := func(l line.Line, s *line.Status, state line.State) {
		t.Helper()
		for s.State != state {
			if err := s.Apply(<-l.Events()); err != nil {
				t.Fatal(err)
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	first, l, s := host()
	must(f.Far.Ring(t.Context(), linetest.Caller{Number: "5551234"}))
	until(l, &s, line.StateRinging)
	must(l.Answer(t.Context(), s.Call))
	until(l, &s, line.StateConnected)
	must(f.Far.Connected(t.Context()))
	call, pid := s.Call, first.Status().PID
	must(first.Leave())

	words := bytes.Repeat([]byte("while nobody listened. "), 100)
	sent := make(chan error, 1)
	go func() { sent <- f.Far.Send(t.Context(), words) }()
	second, l, s := host()
	if s.State != line.StateConnected || s.Call != call || s.Ringing.Dialing != "5551234" || second.Status().PID != pid {
		t.Fatalf("process %d, was %d; the line is %+v", second.Status().PID, pid, s)
	}
	got := make([]byte, len(words))
	if _, err := io.ReadFull(l, got); err != nil || !bytes.Equal(got, words) {
		t.Fatalf("read %q, %v", got, err)
	}
	must(<-sent)
	if _, err := l.Write(words); err != nil {
		t.Fatal(err)
	}
	if got, err = f.Far.Receive(t.Context(), len(words)); err != nil || !bytes.Equal(got, words) {
		t.Fatalf("received %q, %v", got, err)
	}
	must(second.Leave())

	must(f.Far.HangUp(t.Context()))
	must(f.Far.Released(t.Context()))
	_, l, s = host()
	until(l, &s, line.StateIdle)
	if s.Cause.Code != line.CauseCarrierLost {
		t.Errorf("the call ended by %v", s.Cause)
	}
	must(l.Shutdown(t.Context()))
}
