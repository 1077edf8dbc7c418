// Package e2e calls both daemons with real peers: pppd, chat, wvdial and pptp in user-mode-linux guests, tshark as the
// judge of what crosses the wire. It needs root and Debian's packages (test/setup installs them).
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"trunkline.example/test/netns"
	"trunkline.example/test/output"
)

// bin is the directory with pac and pns, built by TestMain with the race detector.
var bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "trunkline-e2e-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	build := exec.Command("go", "build", "-race", "-o", dir+"/", "./cmd/...")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// daemon is a running pac or pns.
type daemon struct {
	t     testing.TB
	name  string
	space *netns.Space
	args  []string
	cmd   *exec.Cmd
	log   output.Buffer
	done  chan struct{}
	err   error
}

// startDaemon starts a daemon in the namespace and waits until it says that it is ready (sd_notify).
func startDaemon(t testing.TB, space *netns.Space, name string, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, name: name, space: space, args: args, done: make(chan struct{})}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "n"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	d.cmd = space.Command(context.Background(), filepath.Join(bin, name), args...)
	d.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify.LocalAddr().String())
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.done)
	}()
	t.Cleanup(d.cleanup)
	if err := awaitReady(notify, d.done); err != nil {
		t.Fatalf("%s did not become ready: %v; it printed:\n%s", name, err, d.log.String())
	}
	return d
}

// awaitReady waits for READY=1 on the notification socket.
func awaitReady(notify *net.UnixConn, ended <-chan struct{}) error {
	buf := make([]byte, 4096)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		_ = notify.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := notify.Read(buf)
		if err == nil && bytes.Contains(buf[:n], []byte("READY=1")) {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("it ended")
		default:
		}
	}
	return fmt.Errorf("not within 30 s")
}

// state is what tells where packets were left: the daemon's own counters, and those, the interfaces and the routes of its namespace.
func (d *daemon) state() string {
	var text strings.Builder
	tell := func(out []byte, err error) {
		text.Write(out)
		if err != nil {
			fmt.Fprintln(&text, err)
		}
	}
	for i, arg := range d.args[:max(len(d.args)-1, 0)] {
		if arg == "--config" {
			out, err := cli(d.t, "", d.name, "status", "--json", "--admin", filepath.Join(filepath.Dir(d.args[i+1]), d.name+".sock"))
			tell([]byte(out), err)
		}
	}
	for _, command := range [][]string{{"ip", "-s", "address"}, {"ip", "route", "show", "table", "all"}, {"nft", "list", "ruleset"}, {"nstat", "-as"}} {
		tell(d.space.Command(context.Background(), command[0], command[1:]...).CombinedOutput())
	}
	return text.String()
}

func (d *daemon) cleanup() {
	select {
	case <-d.done:
	default:
		if d.t.Failed() {
			d.t.Logf("%s at the end of the test:\n%s", d.name, d.state())
		}
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(20 * time.Second):
		d.t.Errorf("%s did not stop within 20 s of SIGTERM", d.name)
		_ = d.cmd.Process.Kill()
		<-d.done
	}
	log := d.log.String()
	if strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") {
		d.t.Errorf("%s raced or panicked", d.name)
	}
	if d.t.Failed() {
		d.t.Logf("%s printed:\n%s", d.name, log)
	}
}

// stop ends the daemon in an orderly way.
func (d *daemon) stop() {
	d.t.Helper()
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(20 * time.Second):
		d.t.Fatalf("%s did not stop within 20 s of SIGTERM", d.name)
	}
}

// kill ends the daemon with SIGKILL.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill()
	<-d.done
}

// await waits until the daemon's log has a line that matches, and returns the first one; the test fails otherwise.
func (d *daemon) await(pattern string, limit time.Duration) string {
	d.t.Helper()
	return await(d.t, d.name+"'s log", d.log.String, pattern, limit)
}

// await waits until the text has a line that matches the pattern.
func await(t testing.TB, what string, text func() string, pattern string, limit time.Duration) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	var found string
	eventually(t, fmt.Sprintf("%s has no line that matches %s", what, pattern), limit, func() bool {
		for _, line := range strings.Split(text(), "\n") {
			if re.MatchString(line) {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

// eventually polls until ok; it is how tests wait for other processes.
func eventually(t testing.TB, problem string, limit time.Duration, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s within %v", problem, limit)
		}
	}
}

// cli runs one of the two programs to its end, and returns what it printed.
func cli(t testing.TB, input, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // else the race detector has it rest for a second at its end
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// write puts a file into the directory and returns its path.
func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
