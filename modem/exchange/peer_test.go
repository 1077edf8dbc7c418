package exchange

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trunkline.example/modem/exchange/office"
)

// chat runs Debian's chat, as pppd's connect script does, on a terminal.
func chat(t *testing.T, port *os.File, script ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	args := append([]string{"-v", "-s", "-S", "-t", "10", "ABORT", "BUSY", "ABORT", "NO CARRIER", "ABORT", "NO ANSWER", "ABORT", "NO DIALTONE"}, script...)
	cmd := exec.CommandContext(ctx, "/usr/sbin/chat", args...)
	var log bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = port, port, &log
	err := cmd.Run()
	if ctx.Err() != nil || cmd.ProcessState == nil {
		t.Fatalf("chat: %v\n%s", err, log.String())
	}
	return cmd.ProcessState.ExitCode(), log.String()
}

// need skips a test whose real peer is not installed; make test installs it.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("NOT RUN: %s is not installed: %v", program, err)
	}
}

// blocking opens a line's terminal the way a shell's redirection does.
func blocking(t *testing.T, dir, line string) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, line), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Fd() // makes it blocking, as chat expects it
	t.Cleanup(func() { f.Close() })
	return f
}

// answerer answers each call on a line by hand, echoes what it is sent up to a
// full stop, and goes on until the exchange ends.
func answerer(t *testing.T, dir, line string) {
	t.Helper()
	pac, f := open(t, dir, line)
	clocal(t, f, true)
	pac.ask("ATE0+VCID=1", "OK\r\n")
	done := make(chan struct{})
	t.Cleanup(func() { f.Close(); <-done })
	pac.t = quiet{t} // the test may end at any point of the dialogue
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		for {
			pac.hear("NMBR=2001\r\n")
			pac.ask("ATA", "CONNECT 33600\r\n")
			pac.say(pac.hear(".") + ", heard\r\n")
			pac.hear("NO CARRIER\r\n")
		}
	}()
}

// quiet turns the failures of a dialogue that the end of a test interrupts into a panic.
type quiet struct{ testing.TB }

func (quiet) Helper()               {}
func (quiet) Fatalf(string, ...any) { panic("over") }

func TestChat(t *testing.T) {
	need(t, "/usr/sbin/chat")
	dir := t.TempDir()
	e := running(t, quick(dir, 1, 1))
	answerer(t, dir, "line1")
	for _, c := range []struct {
		name   string
		script []string
		exit   int
	}{
		{"call", []string{"", "ATZ", "OK", "ATDT1000", "CONNECT", `hello.\c`, "hello, heard", `\c`}, 0},
		{"hang-up by escape", []string{"", "ATE1S12=20", "OK", "ATDT1001", "33600", `again.\c`, "again, heard", `\d+++\c`, "OK", "ATH", "OK", `\c`}, 0},
		{"busy", []string{"", "ATZ", "OK", "ATDT3001", "CONNECT", ""}, 4},
		{"unassigned number", []string{"", "ATZ", "OK", "ATDT5551234", "CONNECT", ""}, 5},
		{"no answer", []string{"", "ATZ", "OK", "ATS7=1DT3002", "CONNECT", ""}, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			port := blocking(t, dir, "phone1")
			exit, log := chat(t, port, c.script...)
			if exit != c.exit {
				t.Errorf("exit %d, want %d\n%s", exit, c.exit, log)
			}
			port.Close() // hangs up
			status(t, e, "hung up", func(s office.Status) bool { return !s.Lines[1].Attached && len(s.Calls) == 0 })
		})
	}
}

// wvdialconf is what wvdial's users run first. It only looks at ports below
// /dev with the names of serial ports, so it gets a /dev of its own.
func TestWvdialconf(t *testing.T) {
	need(t, "wvdialconf")
	dir := t.TempDir()
	running(t, quick(dir, 0, 1))
	conf := filepath.Join(t.TempDir(), "wvdial.conf")
	const script = `
set -e
mount -t tmpfs none "$OWN"
mkdir "$OWN/pts"; mount --bind /dev/pts "$OWN/pts"
for n in null zero ptmx tty; do touch "$OWN/$n"; mount --bind "/dev/$n" "$OWN/$n"; done
ln -s "$PORT" "$OWN/ttyACM0"
mount --rbind "$OWN" /dev
exec wvdialconf "$CONF"`
	port, err := os.Readlink(filepath.Join(dir, "phone1"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "-m", "sh", "-c", script)
	if os.Getuid() != 0 {
		cmd = exec.CommandContext(ctx, "unshare", "-rm", "sh", "-c", script)
	}
	cmd.Env = append(os.Environ(), "OWN="+t.TempDir(), "PORT="+port, "CONF="+conf)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found, err := os.ReadFile(conf)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"Modem = /dev/ttyACM0", "Baud = 230400", "Init1 = ATZ", "Init2 = ATQ0 V1 E1 S0=0 &C1 &D2 +FCLASS=0", "ISDN = 0"} {
		if !strings.Contains(string(found), want+"\n") {
			t.Errorf("wvdialconf does not find %q:\n%s\n%s", want, found, out)
		}
	}
}

func TestWvdial(t *testing.T) {
	need(t, "wvdial")
	dir := t.TempDir()
	running(t, quick(dir, 0, 1))
	for _, c := range []struct{ number, want string }{{"3001", "The line is busy."}, {"3002", "No Answer"}} {
		conf := filepath.Join(t.TempDir(), "wvdial.conf")
		text := fmt.Sprintf(`[Dialer Defaults]
Modem = %s
Baud = 115200
Init1 = ATZ
Init2 = ATQ0 V1 E1 S0=0 &C1 &D2 +FCLASS=0 S7=2
Carrier Check = no
Dial Attempts = 1
Phone = %s
Username = u
Password = p
`, filepath.Join(dir, "phone1"), c.number)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out := wvdial(t, conf, c.want)
		if !strings.Contains(out, c.want) {
			t.Errorf("%s: wvdial does not say %q:\n%s", c.number, c.want, out)
		}
	}
}

// wvdial runs it until it says something or ends; at a busy number it would go
// on dialing for ever. It returns what it said. In one run of five, wvdial 1.61
// fails an assertion about its own stacks, and is run again.
func wvdial(t *testing.T, conf, until string) (said string) {
	t.Helper()
	for range 10 {
		if said = wvdialOnce(t, conf, until); !strings.Contains(said, "WVTASK_MAGIC") {
			break
		}
	}
	return said
}

func wvdialOnce(t *testing.T, conf, until string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "wvdial", "-C", conf)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var said bytes.Buffer
	for b := make([]byte, 1024); !strings.Contains(said.String(), until); {
		n, err := r.Read(b)
		said.Write(b[:n])
		if err != nil {
			break
		}
	}
	cancel()
	_ = cmd.Wait() // killed, or its own failure, which the output shows
	return said.String()
}

// socat bridges a line to a guest machine's serial port, from the terminal or the
// socket; the guest's hang-up is socat's end.
func TestSocat(t *testing.T) {
	need(t, "socat")
	dir := t.TempDir()
	e := running(t, quick(dir, 1, 1))
	pac, f := open(t, dir, "line1")
	clocal(t, f, true)
	pac.ask("ATE0S0=1", "OK\r\n")
	for _, address := range []string{"UNIX-CONNECT:" + filepath.Join(dir, "phone1.sock"), filepath.Join(dir, "phone1") + ",rawer,b115200"} {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		cmd := exec.CommandContext(ctx, "socat", "-", address)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		guest := &person{t: t, name: address, conn: struct {
			io.Reader
			io.Writer
		}{out, in}}
		guest.ask("ATE0", "OK\r\n")
		guest.ask("ATDT1000", "CONNECT 33600\r\n")
		pac.hear("CONNECT 33600\r\n")
		guest.say("up\x00\xff\x11!")
		if got := pac.hear("!"); got != "up\x00\xff\x11" {
			t.Errorf("%s: %q arrived", address, got)
		}
		pac.say("down\x00\xff\x13!")
		if got := guest.hear("!"); got != "down\x00\xff\x13" {
			t.Errorf("%s: %q arrived", address, got)
		}
		cancel()
		_ = cmd.Wait() // killed
		pac.hear("NO CARRIER\r\n")
		status(t, e, "hung up", func(s office.Status) bool { return !s.Lines[1].Attached && len(s.Calls) == 0 })
	}
}
