package exchange

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/modem/exchange/office"
)

// limit bounds every wait of a test with real terminals.
const limit = 20 * time.Second

// quick is a lab with short times, since these tests run in real time.
func quick(dir string, answering, phones int) Config {
	cfg := Lab(dir, answering, phones)
	cfg.Office.Training = office.Training{Time: 20 * time.Millisecond}
	cfg.Office.Timing.Intercept = 50 * time.Millisecond
	cfg.Office.Timing.NoDialTone = 50 * time.Millisecond
	cfg.Office.Timing.Setup = 10 * time.Millisecond
	return cfg
}

// running starts an exchange in a directory of its own and stops it at the end.
func running(t testing.TB, cfg Config) *Exchange {
	t.Helper()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- e.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-over; err != nil {
			t.Error(err)
		}
		left, err := os.ReadDir(cfg.Dir)
		if err == nil && len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	select {
	case <-e.Ready():
	case err := <-over:
		t.Fatal(err)
	}
	return e
}

// open opens a line's terminal as a program that knows serial ports would.
func open(t testing.TB, dir, line string) (*person, *os.File) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, line), os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	return &person{t: t, name: line, conn: f}, f
}

// hungUp reads a port to its end. The last words are there for a moment only: on a busy machine the port may be hung up before they are read.
func hungUp(t *testing.T, port *os.File) {
	t.Helper()
	last, err := io.ReadAll(port)
	if words := strings.TrimSpace(string(last)); err != nil && !errors.Is(err, unix.EIO) || words != "" && words != "NO CARRIER" {
		t.Fatalf("read %q, %v from a port that was hung up", last, err)
	}
}

// settings changes a terminal's settings from the client's side.
func settings(t testing.TB, f *os.File, change func(tio *unix.Termios)) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		tio, err := unix.IoctlGetTermios(int(fd), unix.TCGETS2)
		if err != nil {
			t.Fatal(err)
		}
		change(tio)
		if err := unix.IoctlSetTermios(int(fd), unix.TCSETS2, tio); err != nil {
			t.Fatal(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// clocal sets or clears CLOCAL.
func clocal(t testing.TB, f *os.File, on bool) {
	t.Helper()
	settings(t, f, func(tio *unix.Termios) {
		tio.Cflag &^= unix.CLOCAL
		if on {
			tio.Cflag |= unix.CLOCAL
		}
	})
}

// setSpeed sets the speed of the serial port; 0 drops DTR.
func setSpeed(t testing.TB, f *os.File, bps uint32) {
	t.Helper()
	settings(t, f, func(tio *unix.Termios) {
		tio.Cflag &^= unix.CBAUD
		if bps > 0 {
			tio.Cflag |= unix.BOTHER
		}
		tio.Ispeed, tio.Ospeed = bps, bps
	})
}

// status polls until the office is as wanted.
func status(t testing.TB, e *Exchange, what string, ok func(s office.Status) bool) office.Status {
	t.Helper()
	timeout := time.After(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := e.Status()
		if err != nil {
			t.Fatal(err)
		}
		if ok(s) {
			return s
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("%s does not come true: %+v", what, s)
		}
	}
}

func TestDirectoryOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "exchange")
	cfg := quick(dir, 2, 1)
	cfg.Office.Lines[1].Receive = office.Unlimited
	cfg.Ports = map[string]PortConfig{"line2": {NoSocket: true}, "phone1": {NoTerminal: true}}
	running(t, cfg)
	data, err := os.ReadFile(filepath.Join(dir, "directory.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d Directory
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	want := Directory{
		Lines: []DirectoryLine{
			{Name: "line1", Number: "1001", Port: at("line1"), Socket: at("line1.sock"), TTY: d.Lines[0].TTY, Speed: 33600},
			{Name: "line2", Number: "1002", Port: at("line2"), TTY: d.Lines[1].TTY, Speed: 0},
			{Name: "phone1", Number: "2001", Socket: at("phone1.sock"), Speed: 33600},
		},
		Hunts: []DirectoryHunt{{Number: "1000", Lines: []string{"line1", "line2"}}}, Listeners: []DirectoryListener{}, Busy: "3001", NoAnswer: "3002", Reorder: "3003",
	}
	if fmt.Sprint(d) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", d, want)
	}
	if to, err := os.Readlink(at("line1")); err != nil || to != d.Lines[0].TTY || !strings.HasPrefix(to, "/dev/pts/") {
		t.Errorf("line1 leads to %s, %v; the directory says %s", to, err, d.Lines[0].TTY)
	}
	// A second exchange keeps away.
	other, err := New(quick(dir, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another exchange") {
		t.Errorf("a second exchange: %v", err)
	}
	if _, err := os.Stat(at("directory.json")); err != nil {
		t.Error("the second exchange removed what is not its own:", err)
	}
}

// What a killed exchange left is replaced; other files are not touched.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/dev/pts/9999", filepath.Join(dir, "line1")); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "line1.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	t.Run("taken over", func(t *testing.T) {
		running(t, quick(dir, 1, 0))
		p, _ := open(t, dir, "line1")
		p.ask("AT", "OK\r\n")
	})
	mine := filepath.Join(dir, "line1")
	if err := os.WriteFile(mine, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := New(quick(dir, 1, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "in the way") {
		t.Errorf("a file in the way: %v", err)
	}
	if b, err := os.ReadFile(mine); err != nil || string(b) != "precious" {
		t.Error("it was touched:", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCallOverTerminals(t *testing.T) {
	dir := t.TempDir()
	e := running(t, quick(dir, 1, 1))
	pac, pacPort := open(t, dir, "line1")
	phone, phonePort := open(t, dir, "phone1")
	clocal(t, pacPort, true)
	clocal(t, phonePort, false)
	pac.ask("ATE0", "OK\r\n")
	phone.ask("ATE0", "OK\r\n")
	for i := range 3 {
		phone.say("ATDT1001\r")
		pac.hear("RING\r\n")
		pac.ask("ATA", "CONNECT 33600\r\n")
		phone.hear("CONNECT 33600\r\n")
		up, down := bytes.Repeat([]byte{0, 255, 17, 19, 13, 10, 127, 3}, 100), bytes.Repeat([]byte{26, 4, 0x7e, 0x7d, 13}, 100)
		phone.say(string(up) + "END")
		pac.say(string(down) + "END")
		if got := pac.hear("END"); got != string(up) {
			t.Errorf("call %d: the answerer got %d octets, or others", i, len(got))
		}
		if got := phone.hear("END"); got != string(down) {
			t.Errorf("call %d: the caller got %d octets, or others", i, len(got))
		}
		if i == 1 { // the caller's port is closed
			phonePort.Close()
			pac.hear("NO CARRIER\r\n")
			phone, phonePort = open(t, dir, "phone1")
			clocal(t, phonePort, false)
			phone.ask("AT", "OK\r\n")
			continue
		}
		// The answerer hangs up by B0, as a modem driver would.
		setSpeed(t, pacPort, 0)
		phone.hear("NO CARRIER\r\n")
		setSpeed(t, pacPort, 115200)
		if n, err := phonePort.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("call %d: the caller reads %d, %v after the carrier was lost, want end of file", i, n, err)
		}
		phonePort.Close()
		phone, phonePort = open(t, dir, "phone1")
		clocal(t, phonePort, false)
		if got := phone.ask("ATE0", "OK\r\n"); strings.Contains(got, "CARRIER") {
			t.Errorf("call %d: the next client reads what was left: %q", i, got)
		}
		pac.got = nil
	}
	status(t, e, "all idle", func(s office.Status) bool {
		return len(s.Recent) == 3 && s.Lines[0].Line == "idle" && s.Lines[1].Line == "idle"
	})
}

// A client that has hung up leaves nothing for the next one, and a line whose
// client ignores the carrier keeps it.
func TestStaleOutput(t *testing.T) {
	dir := t.TempDir()
	e := running(t, quick(dir, 1, 1))
	pac, port := open(t, dir, "line1")
	phone, _ := open(t, dir, "phone1")
	pac.ask("ATE0", "OK\r\n")
	phone.say("ATDT1001\r")
	pac.hear("RI") // the rest stays unread
	port.Close()
	status(t, e, "the port is closed", func(s office.Status) bool { return !s.Lines[0].Attached })
	pac, _ = open(t, dir, "line1")
	if got := pac.ask("ATS7?", "OK\r\n"); got != "\r\n050\r\n\r\n" {
		t.Errorf("the next client reads %q", got)
	}
	phone.say("x")
}

// Speeds of the terminal are those of the modem.
func TestSpeedOfTerminal(t *testing.T) {
	dir := t.TempDir()
	e := running(t, quick(dir, 1, 1))
	pac, port := open(t, dir, "line1")
	setSpeed(t, port, 19200)
	status(t, e, "19200", func(s office.Status) bool { return s.Lines[0].Serial == 19200 })
	pac.ask("ATE0W0S0=1", "OK\r\n")
	phone, _ := open(t, dir, "phone1")
	phone.say("ATDT1001\r")
	pac.hear("CONNECT 19200\r\n")
	phone.hear("CONNECT 33600\r\n")
}

func TestSockets(t *testing.T) {
	dir := t.TempDir()
	running(t, quick(dir, 1, 1))
	dial := func(line string) (*person, net.Conn) {
		c, err := net.Dial("unix", filepath.Join(dir, line+".sock"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
			t.Fatal(err)
		}
		return &person{t: t, name: line, conn: c}, c
	}
	pac, _ := open(t, dir, "line1")
	phone, conn := dial("phone1")
	phone.ask("ATE0", "OK\r\n")
	_, second := dial("phone1")
	if _, err := second.Read(make([]byte, 1)); err != io.EOF {
		t.Error("a second client is not turned away:", err)
	}
	pac.ask("ATS0=1", "OK\r\n")
	phone.ask("ATDT1000", "CONNECT 33600\r\n")
	pac.hear("CONNECT 33600\r\n")
	conn.Close() // DTR falls
	pac.hear("NO CARRIER\r\n")
	phone, conn = dial("phone1")
	phone.ask("ATDT1000", "CONNECT 33600\r\n")
	pac.hear("CONNECT 33600\r\n")
	pac.conn.(*os.File).Close()
	phone.hear("NO CARRIER\r\n")
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Error("the socket is not closed after NO CARRIER:", err)
	}
}

func TestUnplug(t *testing.T) {
	dir := t.TempDir()
	e := running(t, quick(dir, 1, 0))
	p, f := open(t, dir, "line1")
	p.ask("AT", "OK\r\n")
	before, err := os.Readlink(filepath.Join(dir, "line1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Unplug("line1"); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, unix.EIO) {
		t.Errorf("read %d, %v from an unplugged port", n, err)
	}
	timeout := time.Now().Add(limit)
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		if after, err := os.Readlink(filepath.Join(dir, "line1")); err == nil && after != before {
			break
		}
		if time.Now().After(timeout) {
			t.Fatal("no fresh port")
		}
	}
	p, _ = open(t, dir, "line1")
	p.ask("AT", "OK\r\n")
}

// Where terminals may not be hung up, a fresh one takes the place of the old.
func TestWithoutPrivilege(t *testing.T) {
	if os.Getenv("EXCHANGE_UNPRIVILEGED") == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestWithoutPrivilege$", "-test.v")
		cmd.Env = append(os.Environ(), "EXCHANGE_UNPRIVILEGED=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	t.Run("shared", func(t *testing.T) { testWithoutPrivilege(t, false) })
	t.Run("exclusive", func(t *testing.T) { testWithoutPrivilege(t, true) })
}

// testWithoutPrivilege loses a carrier; exclusive is for a client that keeps others from its terminal, the exchange too.
func testWithoutPrivilege(t *testing.T, exclusive bool) {
	dir := t.TempDir()
	e := running(t, quick(dir, 1, 1))
	pac, _ := open(t, dir, "line1")
	pac.ask("ATS0=1", "OK\r\n")
	phone, port := open(t, dir, "phone1")
	clocal(t, port, false)
	if exclusive {
		raw, err := port.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(raw.Control(func(fd uintptr) { err = unix.IoctlSetInt(int(fd), unix.TIOCEXCL, 0) }), err); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := os.Readlink(filepath.Join(dir, "phone1"))
	phone.ask("ATDT1001", "CONNECT 33600\r\n")
	if err := e.Cut("line1"); err != nil {
		t.Fatal(err)
	}
	hungUp(t, port)
	d, err := e.Directory()
	if err != nil {
		t.Fatal(err)
	}
	status(t, e, "a fresh terminal", func(office.Status) bool {
		d, err = e.Directory()
		return err == nil && d.Lines[1].TTY != before
	})
	if to, err := os.Readlink(filepath.Join(dir, "phone1")); err != nil || to != d.Lines[1].TTY {
		t.Errorf("the link leads to %s, %v; the directory says %s", to, err, d.Lines[1].TTY)
	}
	phone, _ = open(t, dir, "phone1")
	if got := phone.ask("ATE0", "OK\r\n"); strings.Contains(got, "CARRIER") {
		t.Errorf("the next client reads %q", got)
	}
}
