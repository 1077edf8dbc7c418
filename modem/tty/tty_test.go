package tty

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/creack/pty"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"trunkline.example/modem/port"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair opens a pseudo-terminal through a symlink; the slave is closed again so
// that ours is the only descriptor.
func pair(t *testing.T) (master *os.File, link string) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	link = filepath.Join(t.TempDir(), "line1")
	if err := os.Symlink(slave.Name(), link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	t.Cleanup(func() { slave.Close() })
	return master, link
}

func opened(t *testing.T, link string, o port.Options) *Port {
	t.Helper()
	o.Device = link
	if o.Speed == 0 {
		o.Speed = 115200
	}
	p, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p.(*Port)
}

func everyOctet() []byte {
	var b []byte
	for i := range 512 {
		b = append(b, byte(i))
	}
	return b
}

func TestOctetsPassUnchanged(t *testing.T) {
	master, link := pair(t)
	p := opened(t, link, port.Options{FlowControl: true})
	want := everyOctet()
	for _, direction := range []struct {
		name string
		w    io.Writer
		r    io.Reader
	}{{"to the modem", p, master}, {"from the modem", master, p}} {
		if _, err := direction.w.Write(want); err != nil {
			t.Fatal(direction.name, err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(direction.r, got); err != nil {
			t.Fatal(direction.name, err)
		}
		if string(got) != string(want) {
			t.Errorf("%s: %x", direction.name, got)
		}
	}
}

func TestCloseFreesReadAndWrite(t *testing.T) {
	master, link := pair(t)
	p := opened(t, link, port.Options{})
	read, wrote := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := p.Read(make([]byte, 16))
		read <- err
	}()
	go func() {
		_, err := p.Write(make([]byte, 1<<20))
		wrote <- err
	}()
	for waiting := 0; waiting < 4000; runtime.Gosched() { // until the writer is well on its way
		var err error
		if waiting, err = unix.IoctlGetInt(int(master.Fd()), unix.TIOCINQ); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for name, ch := range map[string]chan error{"read": read, "write": wrote} {
		if err := <-ch; !errors.Is(err, port.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := p.Close(); err != nil {
		t.Error("second close:", err)
	}
	if _, err := p.Write([]byte("x")); !errors.Is(err, port.ErrClosed) {
		t.Error("write after close:", err)
	}
	if err := p.SetSpeed(9600); !errors.Is(err, port.ErrClosed) {
		t.Error("speed after close:", err)
	}
	if err := p.Discard(); !errors.Is(err, port.ErrClosed) {
		t.Error("discard after close:", err)
	}
}

func TestWriteDeadline(t *testing.T) {
	_, link := pair(t)
	p := opened(t, link, port.Options{})
	if err := p.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := p.Write(make([]byte, 1<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n == 1<<20 {
		t.Errorf("%d octets, %v", n, err)
	}
	if err := p.SetWriteDeadline(time.Time{}); err != nil {
		t.Error(err)
	}
}

func TestOtherSideGone(t *testing.T) {
	master, link := pair(t)
	slaveGone := opened(t, link, port.Options{})
	read := make(chan error, 1)
	go func() {
		_, err := slaveGone.Read(make([]byte, 16))
		read <- err
	}()
	master.Close()
	if err := <-read; !errors.Is(err, port.ErrGone) {
		t.Error("read:", err)
	}
	if _, err := slaveGone.Write([]byte("x")); !errors.Is(err, port.ErrGone) {
		t.Error("write:", err)
	}
	if _, err := slaveGone.Lines(); !errors.Is(err, port.ErrGone) && !errors.Is(err, port.ErrUnsupported) {
		t.Error("lines:", err)
	}
	if err := slaveGone.SetSpeed(9600); !errors.Is(err, port.ErrGone) {
		t.Error("speed:", err)
	}
	if err := slaveGone.Close(); err != nil {
		t.Error("close:", err)
	}
	if _, err := Open(t.Context(), port.Options{Device: link, Speed: 9600}); err == nil {
		t.Error("a dead pseudo-terminal was opened")
	}
}

func TestCloseHangsUp(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	p := opened(t, slave.Name(), port.Options{})
	slave.Close()
	hung := make(chan error, 1)
	go func() {
		_, err := master.Read(make([]byte, 1))
		hung <- err
	}()
	p.Close()
	if err := <-hung; !errors.Is(err, unix.EIO) {
		t.Errorf("the other side saw %v", err)
	}
}

func TestNoModemLinesOnAPseudoTerminal(t *testing.T) {
	_, link := pair(t)
	p := opened(t, link, port.Options{})
	if i := p.Info(); !i.Virtual || i.Device == link {
		t.Errorf("%+v", i)
	}
	_, lines := p.Lines()
	_, counters := p.Counters()
	for name, err := range map[string]error{"lines": lines, "counters": counters, "DTR": p.SetDTR(false), "break": p.SetBreak(true)} {
		if !errors.Is(err, port.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, err := p.Unsent(); err != nil || n != 0 {
		t.Error("unsent:", n, err)
	}
}

func TestSettings(t *testing.T) {
	master, link := pair(t)
	p := opened(t, link, port.Options{Speed: 57600, FlowControl: true})
	check := func(speed uint32) {
		t.Helper()
		s, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS2)
		if err != nil {
			t.Fatal(err)
		}
		if s.Cflag&unix.CRTSCTS == 0 || s.Cflag&unix.HUPCL == 0 || s.Cflag&unix.CLOCAL != 0 || s.Cflag&unix.CBAUD != speed || s.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 ||
			s.Iflag&(unix.IXON|unix.IXOFF|unix.ICRNL) != 0 {
			t.Errorf("termios %+v", s)
		}
	}
	check(unix.B57600)
	if err := p.SetSpeed(9600); err != nil {
		t.Fatal(err)
	}
	check(unix.B9600)
	for _, speed := range []int{0, 9600} {
		if err := p.SetSpeed(speed); err != nil {
			t.Fatal(err)
		}
		check(map[int]uint32{0: unix.B0, 9600: unix.B9600}[speed])
	}
}

func TestExclusive(t *testing.T) {
	_, link := pair(t)
	p := opened(t, link, port.Options{})
	if _, err := Open(t.Context(), port.Options{Device: link, Speed: 9600}); !errors.Is(err, port.ErrBusy) {
		t.Error("second open:", err)
	}
	p.Close()
	opened(t, link, port.Options{})
}

// A pseudo-terminal whose user was killed can be opened again by one who is not root: nothing marks it as in use but the lock.
func TestPseudoTerminalIsNotLeftExclusive(t *testing.T) {
	_, link := pair(t)
	p := opened(t, link, port.Options{})
	var exclusive int
	if err := p.control(func(fd int) (err error) {
		exclusive, err = unix.IoctlGetInt(fd, unix.TIOCGEXCL)
		return err
	}); err != nil || exclusive != 0 {
		t.Errorf("exclusive: %d, %v", exclusive, err)
	}
	if _, err := Open(t.Context(), port.Options{Device: link, Speed: 9600}); !errors.Is(err, port.ErrBusy) {
		t.Errorf("opened twice: %v", err)
	}
}

// Neither descriptor of the device, nor what the library has beside its own.
func TestNotForChildren(t *testing.T) {
	_, link := pair(t)
	before := map[int]bool{}
	for fd := range 256 {
		var s unix.Stat_t
		before[fd] = unix.Fstat(fd, &s) == nil
	}
	p := opened(t, link, port.Options{})
	var ours unix.Stat_t
	if err := unix.Stat(p.Info().Device, &ours); err != nil {
		t.Fatal(err)
	}
	found := 0
	for fd := range 256 {
		var s unix.Stat_t
		if before[fd] || unix.Fstat(fd, &s) != nil {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d, of mode %o, would be left to children", fd, s.Mode)
		}
		if s.Rdev == ours.Rdev {
			found++
		}
	}
	if found < 2 {
		t.Errorf("found %d descriptors", found)
	}
}

func TestSymlinkIsFollowedAnew(t *testing.T) {
	first, link := pair(t)
	p := opened(t, link, port.Options{})
	p.Close()
	first.Close()
	second, other := pair(t)
	if err := os.Rename(other, link); err != nil {
		t.Fatal(err)
	}
	p = opened(t, link, port.Options{})
	if _, err := p.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(second, got); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestNoSuchDevice(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(t.Context(), port.Options{Device: filepath.Join(dir, "none"), Speed: 9600}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t.Context(), port.Options{Device: file, Speed: 9600}, dir); err == nil {
		t.Error("a plain file was opened as a tty")
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLockFile(t *testing.T) {
	dir := t.TempDir()
	l, err := acquire(dir, "/dev/ttyS7")
	if err != nil || l == nil {
		t.Fatal(l, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "LCK..ttyS7"))
	if err != nil || string(text) != fmt.Sprintf("%10d\n", os.Getpid()) {
		t.Errorf("%q, %v", text, err)
	}
	if err := errors.Join(l.release(), l.release(), (*lockFile)(nil).release()); err != nil {
		t.Error(err)
	}
	path := filepath.Join(dir, "LCK..ttyS7")
	for name, c := range map[string]struct {
		text string
		busy bool
	}{
		"held by a living process": {strconv.Itoa(os.Getppid()), true},
		"left by a dead one":       {"  99999999\n", false},
		"ours, of an earlier life": {strconv.Itoa(os.Getpid()), false},
		"no lock file":             {"x", false},
		"hostile":                  {"-1", false},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		l, err := acquire(dir, "/dev/ttyS7")
		if c.busy != errors.Is(err, port.ErrBusy) || !c.busy && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := l.release(); err != nil {
			t.Error(err)
		}
		os.Remove(path)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if l, err := acquire(filepath.Join(dir, "none"), "/dev/ttyS7"); l != nil || err != nil {
		t.Error("no directory:", l, err)
	}
}

func TestOpeningErrors(t *testing.T) {
	for _, e := range []error{unix.EIO, unix.ENXIO, unix.ENODEV} {
		if !errors.Is(opening(e), port.ErrGone) || !errors.Is(failure(e), port.ErrGone) {
			t.Error(e)
		}
	}
	if !errors.Is(opening(unix.EBUSY), port.ErrBusy) || !errors.Is(failure(unix.ENOTTY), port.ErrUnsupported) || failure(nil) != nil {
		t.Error("mapping")
	}
	if count(-1) != 1<<32-1 {
		t.Error("counter sign")
	}
	if isPTY(unix.Mkdev(4, 64)) || !isPTY(unix.Mkdev(136, 1)) {
		t.Error("device numbers")
	}
}
