package lineplugin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"trunkline.example/shared/line"
)

func init() { roles["keeping-host"] = keepingHost }

// kept is the command of a driver that outlives its host.
func keptFake(dir string, wait time.Duration) Command {
	command, err := Self("fake", "serve-fake")
	if err != nil {
		panic(err)
	}
	command.Keep = Keep{Dir: dir, For: wait}
	return command
}

// keepingHost makes a call with a driver that is to outlive it, tells the driver's process and waits to be killed.
func keepingHost(args []string) {
	wait, err := time.ParseDuration(args[1])
	if err != nil {
		panic(err)
	}
	d, err := Load(context.Background(), keptFake(args[0], wait), zap.NewNop())
	if err != nil {
		panic(err)
	}
	lines, err := d.Open(context.Background(), line.Section{Name: "fake"})
	if err != nil {
		panic(err)
	}
	for e := range lines[0].Events() {
		switch e.Body.(type) {
		case line.Up:
			if _, err := lines[0].Dial(context.Background(), line.DialRequest{Number: "5550100"}); err != nil {
				panic(err)
			}
		case line.Connected:
			fmt.Println(d.Status().PID)
		}
	}
}

// killedHost is a host in a process of its own that has made a call and was killed; it returns the driver's process.
func killedHost(t *testing.T, dir string, wait time.Duration) (driver int) {
	t.Helper()
	host := exec.Command(os.Args[0], "keeping-host", dir, wait.String())
	host.Stderr = os.Stderr
	out, err := host.StdoutPipe()
	if err == nil {
		err = host.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		_, err = fmt.Sscan(text, &driver)
	}
	_ = host.Process.Kill()
	_ = host.Wait()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(driver, syscall.SIGKILL) })
	return driver
}

// takeOver loads the driver that waits in a directory, with its line.
func takeOver(t *testing.T, dir string, section line.Section) (*Driver, line.Line, line.Event) {
	t.Helper()
	d, err := Load(t.Context(), keptFake(dir, time.Minute), zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	lines, err := d.Open(t.Context(), section)
	if err != nil {
		t.Fatal(err)
	}
	return d, lines[0], <-lines[0].Events()
}

// The call of a line goes on in its driver's process when the host is killed, and the next host finds it as it is.
func TestDriverOutlivesItsHost(t *testing.T) {
	dir := filepath.Join(shortDir(t), "kept")
	pid := killedHost(t, dir, time.Minute)
	d, l, first := takeOver(t, dir, line.Section{Name: "fake"})
	recovered, ok := first.Body.(line.Recovered)
	if !ok || d.Status().PID != pid || recovered.Status.State != line.StateConnected || recovered.Status.Number != "5550100" || first.Call == 0 {
		t.Fatalf("process %d, was %d; first event %+v", d.Status().PID, pid, first)
	}
	if _, err := Load(t.Context(), keptFake(dir, time.Minute), zap.NewNop()); !errors.Is(err, line.ErrDriver) {
		t.Errorf("a second host at the same time: %v", err)
	}
	if n, err := l.Write([]byte("still there")); n != 11 || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
	if err := l.Hangup(t.Context(), first.Call); err != nil {
		t.Fatal(err)
	}
	for _, want := range []line.Kind{line.KindLost, line.KindIdle} {
		if e := <-l.Events(); e.Body.Kind() != want {
			t.Fatalf("event %v, want %v", e.Body.Kind(), want)
		}
	}
	if n, err := l.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read after the end: %d, %v", n, err)
	}
	call, err := l.Dial(t.Context(), line.DialRequest{Number: "1"})
	if err != nil || call <= first.Call {
		t.Errorf("the next call: %d, %v", call, err)
	}
	for e := range l.Events() {
		if e.Body.Kind() == line.KindConnected {
			break
		}
	}
	// A host that is told to stop while it takes over leaves all as it is.
	stopped, stop := context.WithCancel(t.Context())
	stop()
	// From this host to a third one, with courtesy.
	if err := d.Leave(); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(stopped, keptFake(dir, time.Minute), zap.NewNop()); !errors.Is(err, context.Canceled) {
		t.Errorf("a host without time: %v", err)
	}
	d, l, first = takeOver(t, dir, line.Section{Name: "fake"})
	if recovered, ok := first.Body.(line.Recovered); !ok || d.Status().PID != pid || recovered.Status.State != line.StateConnected || first.Call != call {
		t.Fatalf("after Leave: process %d, first event %+v", d.Status().PID, first)
	}
	if err := l.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	_ = d.Close()
	gone(t, pid)
	leftIn(t, dir)
}

// A driver that nobody takes over frees its lines and ends.
func TestAbandonedDriverEnds(t *testing.T) {
	dir := filepath.Join(shortDir(t), "kept")
	gone(t, killedHost(t, dir, 100*time.Millisecond))
	leftIn(t, dir)
	if _, _, first := takeOver(t, dir, line.Section{Name: "fake"}); first.Body.Kind() != line.KindUp {
		t.Errorf("the next host's first event: %v", first.Body.Kind())
	}
}

// With other lines configured, or an answer no more, the driver begins anew.
func TestKeptDriverThatIsOfNoUse(t *testing.T) {
	t.Run("other section", func(t *testing.T) {
		dir := filepath.Join(shortDir(t), "kept")
		pid := killedHost(t, dir, time.Minute)
		if d, _, first := takeOver(t, dir, line.Section{Name: "fake", Text: []byte("other = true")}); first.Body.Kind() != line.KindUp || d.Status().PID == pid {
			t.Errorf("process %d, was %d; first event %v", d.Status().PID, pid, first.Body.Kind())
		}
		gone(t, pid)
	})
	t.Run("killed", func(t *testing.T) {
		dir := filepath.Join(shortDir(t), "kept")
		pid := killedHost(t, dir, time.Minute)
		send(t, pid, syscall.SIGKILL)
		gone(t, pid)
		if d, _, first := takeOver(t, dir, line.Section{Name: "fake"}); first.Body.Kind() != line.KindUp || d.Status().PID == pid {
			t.Errorf("process %d, was %d; first event %v", d.Status().PID, pid, first.Body.Kind())
		}
	})
	t.Run("directory for all", func(t *testing.T) {
		dir := filepath.Join(shortDir(t), "kept")
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(t.Context(), keptFake(dir, time.Minute), zap.NewNop()); !errors.Is(err, line.ErrConfiguration) {
			t.Errorf("error %v", err)
		}
	})
}
