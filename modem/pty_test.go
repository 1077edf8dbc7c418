package modem

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

// terminal is a pseudo-terminal behind a symlink as a wire. When the host
// closes it, and when the carrier is lost, a fresh one takes its place.
type terminal struct {
	t    *testing.T
	link string

	mu     sync.Mutex
	master *os.File
	slave  *os.File // held until the host has the terminal open
}

func newTerminal(t *testing.T) *terminal {
	w := &terminal{t: t, link: filepath.Join(t.TempDir(), "line1")}
	w.replace(nil)
	return w
}

// replace publishes a fresh terminal, unless that has been done already.
func (w *terminal) replace(old *os.File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.master != old {
		return
	}
	master, slave, err := pty.Open()
	if err != nil {
		w.t.Error(err)
		return
	}
	// The package's file blocks; one that does not can be closed while it is read.
	fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		w.t.Error(err)
		return
	}
	master.Close()
	temporary := w.link + ".new"
	if err := os.Symlink(slave.Name(), temporary); err != nil {
		w.t.Error(err)
	}
	if err := os.Rename(temporary, w.link); err != nil {
		w.t.Error(err)
	}
	w.release()
	w.master, w.slave = os.NewFile(uintptr(fd), "ptmx"), slave
}

func (w *terminal) release() {
	for _, f := range []*os.File{w.master, w.slave} {
		if f != nil {
			f.Close()
		}
	}
}

func (w *terminal) current() *os.File {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.master
}

func (w *terminal) input(ctx context.Context, take func([]byte), drop func()) {
	stop := context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.release()
	})
	defer stop()
	for ctx.Err() == nil {
		master := w.current()
		buffer := make([]byte, 4096)
		n, err := master.Read(buffer)
		if n > 0 {
			w.mu.Lock()
			if w.slave != nil && w.master == master {
				w.slave.Close() // from now on we see the host close it
				w.slave = nil
			}
			w.mu.Unlock()
			take(buffer[:n])
		}
		if err != nil && ctx.Err() == nil && w.current() == master {
			drop()
			w.replace(master)
		}
	}
}

func (w *terminal) send(_ context.Context, b []byte) { _, _ = w.current().Write(b) }

func (w *terminal) carrier(on bool) {
	if !on {
		w.replace(w.current())
	}
}

// quickly are settings that leave out the patience that real modems need.
const quickly = `
command_gap = "0s"
reset_pause = "0s"
dtr_low = "50ms"
ring_timeout = "2s"
caller_id_wait = "500ms"
`

func onTerminal(t *testing.T) linetest.Fixture {
	w := newTerminal(t)
	s := newSim(t, w)
	s.reply, s.train, s.pulse = time.Millisecond, 10*time.Millisecond, 100*time.Millisecond
	s.run(t)
	text := quickly + "[[line]]\nname = \"one\"\ndevice = \"" + w.link + "\"\n"
	return linetest.Fixture{Driver: New(Options{Logger: testLogger(t)}), Section: line.Section{Text: []byte(text)}, Far: s}
}

func TestConformanceOnPseudoTerminals(t *testing.T) {
	for _, c := range linetest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			c.Run(t, onTerminal)
		})
	}
}
