package lineplugin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"

	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

// What this test's binary is when it is started with one of these words.
var roles = map[string]func(args []string){
	"serve-fake":        func([]string) { Serve(fakeLine()) },
	"serve-environment": func([]string) { Serve(environment{fakeLine()}) },
	"serve-privileges":  func([]string) { Serve(privileges{fakeLine()}) },
	"serve-curious":     func(args []string) { Serve(curious{fakeLine(), args}) },
	"serve-noise":       func([]string) { Serve(noisy{fakeLine(), os.Stderr}) },
	"serve-once":        func(args []string) { Serve(&onceOpened{Fake: fakeLine(), mark: args[0]}) },
	"hang":              func([]string) { select {} },
	"chatter":           func([]string) { fmt.Println(strings.Repeat("chatter", 1000)) },
	"host":              host,
	"connect":           connect,
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if role := roles[os.Args[1]]; role != nil {
			role(os.Args[2:])
			return
		}
	}
	os.Exit(m.Run())
}

func fakeLine() *linetest.Fake { return linetest.NewFake(line.Identity{Name: "one"}) }

// environment tells what it finds in its environment as its version.
type environment struct{ *linetest.Fake }

func (e environment) Info() line.Info {
	info := e.Fake.Info()
	info.Version = strings.Join(os.Environ(), "\n")
	return info
}

// noisy writes much more to its outputs than anybody wants to read.
type noisy struct {
	*linetest.Fake
	log *os.File
}

func (n noisy) Open(ctx context.Context, s line.Section) ([]line.Line, error) {
	go func() {
		for i := 0; ; i++ {
			fmt.Fprintf(n.log, `{"@level":"warn","@message":"noise %d"}`+"\n", i)
			fmt.Fprintln(os.Stdout, strings.Repeat("noise", 1000))
		}
	}()
	return n.Fake.Open(ctx, s)
}

// onceOpened hangs in its second Open, even if that happens in another process.
type onceOpened struct {
	*linetest.Fake
	mark string
}

func (o *onceOpened) Open(ctx context.Context, s line.Section) ([]line.Line, error) {
	if err := os.Mkdir(o.mark, 0o700); err != nil {
		select {}
	}
	return o.Fake.Open(ctx, s)
}

// host loads a driver, which may be confined, tells its process and waits to be killed.
func host(args []string) {
	command, err := Self("fake", "serve-fake")
	if err != nil {
		panic(err)
	}
	command.Confine = len(args) > 0
	d, err := Load(context.Background(), command, zap.NewNop())
	if err != nil {
		panic(err)
	}
	if _, err := d.Open(context.Background(), line.Section{Name: "fake"}); err != nil {
		panic(err)
	}
	fmt.Println(d.Status().PID)
	select {}
}

// connect says Hello on a socket and prints what came of it.
func connect(args []string) {
	conn, err := dialPlain(args[0])
	if err == nil {
		_, err = newClient(context.Background(), conn)
	}
	fmt.Println("outcome:", err)
}

// supervised starts this binary in a role and opens its line.
func supervised(t *testing.T, log *zap.Logger, role ...string) (*Driver, line.Line) {
	t.Helper()
	command, err := Self("fake", role...)
	if err != nil {
		t.Fatal(err)
	}
	return supervise(t, log, command)
}

// supervise starts a command and opens its line.
func supervise(t *testing.T, log *zap.Logger, command Command) (*Driver, line.Line) {
	t.Helper()
	d, err := Load(t.Context(), command, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	lines, err := d.Open(t.Context(), line.Section{Name: "fake"})
	if err != nil {
		t.Fatal(err)
	}
	if e := <-lines[0].Events(); e.Body.Kind() != line.KindUp {
		t.Fatalf("first event %v", e.Body.Kind())
	}
	return d, lines[0]
}

// within fails the test if f takes longer.
func within(t *testing.T, limit time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("%s took more than %v", what, limit)
	}
}

func send(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// gone waits until a process has ended.
func gone(t *testing.T, pid int) {
	t.Helper()
	within(t, 20*time.Second, fmt.Sprintf("the end of process %d", pid), func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for syscall.Kill(pid, 0) == nil {
			<-tick.C
		}
	})
}

func TestStoppedDriverIsKilledAndStartedAgain(t *testing.T) {
	d, l := supervised(t, zaptest.NewLogger(t), "serve-fake")
	pid := d.Status().PID
	send(t, pid, syscall.SIGSTOP)
	within(t, 30*time.Second, "the return of the line", func() {
		if down, ok := (<-l.Events()).Body.(line.Down); !ok || down.Cause.Code != line.CauseDriver {
			t.Errorf("the line's driver hangs: %+v", down)
		}
		if e := <-l.Events(); e.Body.Kind() != line.KindUp {
			t.Errorf("after the restart: %v", e.Body.Kind())
		}
	})
	gone(t, pid)
}

func TestStoppedDriverIsClosed(t *testing.T) {
	d, _ := supervised(t, zaptest.NewLogger(t), "serve-fake")
	pid := d.Status().PID
	send(t, pid, syscall.SIGSTOP)
	within(t, 10*time.Second, "Close", func() { _ = d.Close() })
	gone(t, pid)
}

func TestDriverThatNeverSaysAWordIsGivenUp(t *testing.T) {
	command, err := Self("fake", "hang")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	within(t, 5*time.Second, "Load", func() {
		if _, err := Load(ctx, command, zaptest.NewLogger(t)); !errors.Is(err, line.ErrDriver) {
			t.Errorf("error %v", err)
		}
	})
}

func TestProgramThatIsNoDriverIsReportedBriefly(t *testing.T) {
	command, err := Self("fake", "chatter")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(t.Context(), command, zaptest.NewLogger(t)); !errors.Is(err, line.ErrDriver) || len(err.Error()) > 500 || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
}

func TestDriverThatHangsInOpenBlocksNobody(t *testing.T) {
	d, l := supervised(t, zaptest.NewLogger(t), "serve-once", filepath.Join(t.TempDir(), "opened"))
	send(t, d.Status().PID, syscall.SIGKILL)
	<-l.Events()
	within(t, 5*time.Second, "Status", func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range 100 { // for as long as the next process takes to come as far as Open
			if s := d.Status(); s.PID != 0 || s.Problem == "" {
				t.Errorf("status %+v", s)
			}
			<-tick.C
		}
	})
	within(t, 10*time.Second, "Close", func() { _ = d.Close() })
}

// A line that has been shut down while its driver was away stays shut down when that comes back.
func TestLineShutDownWhileItsDriverIsAway(t *testing.T) {
	d, l := supervised(t, zaptest.NewLogger(t), "serve-fake")
	send(t, d.Status().PID, syscall.SIGKILL)
	<-l.Events()
	if err := l.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for range l.Events() {
	}
	within(t, 20*time.Second, "the restart", func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for d.Status().Restarts == 0 {
			<-tick.C
		}
	})
	within(t, 10*time.Second, "Close", func() { _ = d.Close() })
}

func TestDriverSeesNothingOfTheHostsEnvironment(t *testing.T) {
	t.Setenv("SECRET", "in the environment")
	d, _ := supervised(t, zaptest.NewLogger(t), "serve-environment")
	for _, variable := range strings.Split(d.Info().Version, "\n") {
		name, _, _ := strings.Cut(variable, "=")
		switch {
		case strings.HasPrefix(name, "PLUGIN_"), name == handshake.MagicCookieKey, name == "PATH", name == "TMPDIR":
		default:
			t.Errorf("the driver sees %s", variable)
		}
	}
}

func TestNoisyDriverFloodsNothing(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	_, l := supervised(t, zap.New(core), "serve-noise")
	began := time.Now()
	within(t, 10*time.Second, "a hundred commands", func() {
		for range 100 {
			if err := l.Hangup(t.Context(), 1); !errors.Is(err, line.ErrNoCall) {
				t.Fatal(err)
			}
		}
	})
	if n, limit := logs.Len(), 20+childLines+childLines*int(time.Since(began)/childSpan); n > limit {
		t.Errorf("%d lines were logged", n)
	}
}

func TestNothingIsLeftOfAClosedDriver(t *testing.T) {
	t.Setenv("TMPDIR", shortDir(t))
	ignore := goleak.IgnoreCurrent()
	d, l := supervised(t, zap.NewNop(), "serve-fake")
	if err := l.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	pid := d.Status().PID
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Error("the process is still there")
	}
	if err := goleak.Find(ignore); err != nil {
		t.Error(err)
	}
	leftIn(t, os.TempDir())
}

// shortDir is a temporary directory whose name leaves room for that of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "lp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func leftIn(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// startHost starts a host with a driver in a directory of its own, and returns it and the driver's process.
func startHost(t *testing.T, dir string, args ...string) (host *exec.Cmd, driver int) {
	t.Helper()
	host = exec.Command(os.Args[0], append([]string{"host"}, args...)...)
	host.Env = append(os.Environ(), "TMPDIR="+dir)
	out, err := host.StdoutPipe()
	if err == nil {
		err = host.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = host.Process.Kill() })
	text, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(text, &driver); err != nil {
		t.Fatal(err)
	}
	return host, driver
}

func TestDriverEndsWithItsHost(t *testing.T) {
	for _, args := range [][]string{nil, {"confined"}} {
		dir := shortDir(t)
		host, driver := startHost(t, dir, args...)
		if err := host.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = host.Wait()
		gone(t, driver)
		leftIn(t, dir)
	}
}

func TestDirectoryOfKilledProcessesIsReclaimed(t *testing.T) {
	dir := shortDir(t)
	alive, _ := startHost(t, dir)
	held, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(held) != 1 {
		t.Fatal(held, err)
	}
	host, driver := startHost(t, dir)
	send(t, driver, syscall.SIGSTOP) // it cannot clear up
	_ = host.Process.Kill()
	_ = host.Wait()
	send(t, driver, syscall.SIGKILL)
	gone(t, driver)
	reclaimSocketDirs(dir, time.Now())
	if all, _ := filepath.Glob(filepath.Join(dir, "*")); len(all) != 2 {
		t.Errorf("a directory was removed before its owner may have taken the lock: %v", all)
	}
	reclaimSocketDirs(dir, time.Now().Add(time.Hour))
	if all, _ := filepath.Glob(filepath.Join(dir, "*")); len(all) != 1 || all[0] != held[0] {
		t.Errorf("there are %v, held is %v", all, held)
	}
	_ = alive.Process.Kill()
	_ = alive.Wait()
}

func TestOtherUserIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to become another user")
	}
	dir := shortDir(t)
	socket, program := filepath.Join(dir, "driver"), filepath.Join(dir, "test")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(program, data, 0o755), os.Chmod(dir, 0o755), os.Chmod(socket, 0o777)); err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(sameUser{}))
	register(server, fakeLine(), newHosts(0, nil))
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	defer func() {
		server.Stop()
		<-served
	}()
	as := func(uid uint32) string {
		cmd := exec.Command(program, "connect", socket)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if got := as(0); got != "outcome: <nil>" {
		t.Errorf("our own user: %s", got)
	}
	if got := as(65534); !strings.Contains(got, "driver is gone") {
		t.Errorf("another user: %s", got)
	}
}
