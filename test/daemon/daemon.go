// Package daemon starts pac and pns, and other programs, in network namespaces of tests, waits until they are ready, and sees to it that they end
// well: in time, and without a race or a panic.
package daemon

import (
	"bytes"
	"context"
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

	"trunkline.example/test/netns"
	"trunkline.example/test/output"
)

// Options are what a program is started with.
type Options struct {
	Space    *netns.Space
	Program  string // path
	Args     []string
	Env      []string // beside that of the test
	Input    string
	Log      string        // the file that takes what it prints, which may become long; "": that is kept in memory
	Describe func() string // what a test that failed shows of a program that still runs; nil: nothing
	Kept     bool          // Log stays where people find it: such a test does not show it
}

// Daemon is a program that was started.
type Daemon struct {
	o      Options
	t      testing.TB
	name   string
	out    output.Buffer // without a file
	cmd    *exec.Cmd
	notify *net.UnixConn // for sd_notify
	done   chan struct{}
	err    error
}

const (
	readyLimit = 30 * time.Second
	stopLimit  = 20 * time.Second
)

// Build builds both programs into a directory, from the package of a test two levels below the module's root; with the race detector, or
// without.
func Build(dir string, race bool) error {
	args := []string{"build", "-o", dir + "/"}
	if race {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "./cmd/...")...)
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// Start starts a program. It is stopped when the test ends, which fails if the program does not stop, or has raced or panicked.
func Start(t testing.TB, o Options) *Daemon {
	t.Helper()
	d := &Daemon{o: o, t: t, name: filepath.Base(o.Program), done: make(chan struct{})}
	var err error
	if d.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "n"), Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	d.cmd = o.Space.Command(context.Background(), o.Program, o.Args...)
	d.cmd.Env = append(append(os.Environ(), "NOTIFY_SOCKET="+d.notify.LocalAddr().String()), o.Env...)
	if o.Input != "" {
		d.cmd.Stdin = strings.NewReader(o.Input)
	}
	if err := d.launch(); err != nil {
		_ = d.notify.Close()
		t.Fatal(err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.done)
	}()
	t.Cleanup(d.cleanup)
	return d
}

// launch starts the program. A file it writes to itself: nobody stands between, whom it would have to wait for.
func (d *Daemon) launch() error {
	var out io.Writer = &d.out
	if d.o.Log != "" {
		file, err := os.OpenFile(d.o.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer file.Close()
		out = file
	}
	d.cmd.Stdout, d.cmd.Stderr = out, out
	return d.cmd.Start()
}

// Run starts a daemon and waits until it is ready.
func Run(t testing.TB, o Options) *Daemon {
	t.Helper()
	d := Start(t, o)
	d.AwaitReady()
	return d
}

// AwaitReady waits until the daemon says that it is ready (sd_notify); the test fails otherwise.
func (d *Daemon) AwaitReady() {
	d.t.Helper()
	defer d.notify.Close()
	buf := make([]byte, 4096)
	for deadline := time.Now().Add(readyLimit); time.Now().Before(deadline); {
		_ = d.notify.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := d.notify.Read(buf)
		if err == nil && bytes.Contains(buf[:n], []byte("READY=1")) {
			return
		}
		select {
		case <-d.done:
			d.t.Fatalf("%s has ended: %v; it printed:\n%s", d.name, d.err, d.Log())
		default:
		}
	}
	d.t.Fatalf("%s is not ready within %v; it printed:\n%s", d.name, readyLimit, d.Log())
}

// Name is that of the program.
func (d *Daemon) Name() string { return d.name }

// Log is what it has printed so far.
func (d *Daemon) Log() string {
	if d.o.Log == "" {
		return d.out.String()
	}
	all, err := os.ReadFile(d.o.Log)
	if err != nil {
		return err.Error()
	}
	return string(all)
}

// PID is its own: `ip netns exec` has become it.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Done is closed when it has ended.
func (d *Daemon) Done() <-chan struct{} { return d.done }

// Err is how it has ended; nil is well. To be called after Done.
func (d *Daemon) Err() error {
	<-d.done
	return d.err
}

// Signal sends it a signal, unless it has ended.
func (d *Daemon) Signal(s os.Signal) { _ = d.cmd.Process.Signal(s) }

// Stop ends it in an orderly way (SIGTERM); the test fails if it does not end.
func (d *Daemon) Stop() {
	d.t.Helper()
	d.Signal(syscall.SIGTERM)
	d.AwaitEnd()
}

// AwaitEnd waits for the end of a program that was told to stop, by one signal: a second one would end it at once.
func (d *Daemon) AwaitEnd() {
	d.t.Helper()
	if !d.ends() {
		d.t.Fatalf("%s did not stop within %v of SIGTERM", d.name, stopLimit)
	}
}

func (d *Daemon) ends() bool {
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-d.done:
		return true
	case <-limit.C:
		return false
	}
}

// Kill ends it with SIGKILL.
func (d *Daemon) Kill() {
	_ = d.cmd.Process.Kill()
	<-d.done
}

func (d *Daemon) cleanup() {
	_ = d.notify.Close()
	select {
	case <-d.done:
	default:
		if d.t.Failed() && d.o.Describe != nil {
			d.t.Logf("%s at the end of the test:\n%s", d.name, d.o.Describe())
		}
	}
	d.Signal(syscall.SIGTERM)
	if !d.ends() {
		d.t.Errorf("%s did not stop within %v of SIGTERM", d.name, stopLimit)
		d.Kill()
	}
	log := d.Log()
	if strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") {
		d.t.Errorf("%s raced or panicked", d.name)
	}
	if d.t.Failed() && !d.o.Kept {
		d.t.Logf("%s printed:\n%s", d.name, log)
	}
}
