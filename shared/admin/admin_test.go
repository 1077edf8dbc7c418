package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"trunkline.example/shared/trace"
)

// serve starts a server with the endpoints of the tests.
func serve(t *testing.T, o ServerOptions) (*Server, *Client) {
	t.Helper()
	if o.Socket == "" {
		o.Socket = filepath.Join(t.TempDir(), "run", "pns.sock")
	}
	s := NewServer(o)
	s.Get("/things/{name}", func(_ context.Context, r *Request) (any, error) {
		switch name := r.Path("name"); name {
		case "absent":
			return nil, NotFound("no thing %q", name)
		case "broken":
			return nil, fmt.Errorf("disk: %w", fs.ErrPermission)
		default:
			return map[string]any{"name": name, "all": r.Query.Get("all"), "pid": r.Peer.PID, "uid": r.Peer.UID}, nil
		}
	})
	s.Post("/things", func(_ context.Context, r *Request) (any, error) {
		in := struct{ Name string }{Name: "default"}
		if err := r.Decode(&in); err != nil {
			return nil, err
		}
		return in, nil
	})
	s.Stream("/events", func(ctx context.Context, r *Request, send func(any) error) error {
		if r.Query.Get("fail") == "first" {
			return Conflict("nothing to see")
		}
		for i := range 3 {
			if err := send(map[string]int{"n": i}); err != nil {
				return err
			}
		}
		switch r.Query.Get("fail") {
		case "last":
			return Conflict("it broke")
		case "never":
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	s.Traced(new(trace.Hub), func(context.Context, TraceRequest) (*trace.Trace, error) { return nil, NotFound("there is no call") })
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(o.Socket); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket is left: %v", err)
		}
	})
	return s, NewClient("pns", o.Socket)
}

func TestRequests(t *testing.T) {
	ctx := context.Background()
	core, logs := observer.New(zap.InfoLevel)
	_, c := serve(t, ServerOptions{Logger: zap.New(core)})
	var got struct {
		Name, All string
		PID, UID  int
	}
	if err := c.Get(ctx, "/things/lamp?all=yes", &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "lamp" || got.All != "yes" || got.PID != os.Getpid() || got.UID != os.Getuid() {
		t.Errorf("%+v", got)
	}
	var made struct{ Name string }
	if err := c.Post(ctx, "/things", map[string]string{"Name": "chair"}, &made); err != nil || made.Name != "chair" {
		t.Errorf("%+v, %v", made, err)
	}
	if err := c.Post(ctx, "/things", nil, &made); err != nil || made.Name != "default" {
		t.Errorf("without a body: %+v, %v", made, err)
	}
	if entries := logs.All(); len(entries) != 2 || entries[0].ContextMap()["request"] != "/things" {
		t.Errorf("what changes something must be logged, and nothing else: %v", entries)
	}
	for _, f := range []struct {
		call   func() error
		status int
		text   string
	}{
		{func() error { return c.Get(ctx, "/things/absent", nil) }, http.StatusNotFound, `no thing "absent"`},
		{func() error { return c.Get(ctx, "/things/broken", nil) }, http.StatusInternalServerError, "disk: permission denied"},
		{func() error { return c.Get(ctx, "/nothing", nil) }, http.StatusNotFound, "no such endpoint: GET /nothing"},
		{func() error { return c.Post(ctx, "/things/lamp", nil, nil) }, http.StatusNotFound, "no such endpoint: POST /things/lamp"},
		{func() error { return c.Post(ctx, "/things", map[string]int{"Nme": 1}, nil) }, http.StatusBadRequest, `request body: json: unknown field "Nme"`},
		{func() error { return c.Post(ctx, "/things", strings.Repeat("x", MaxBody), nil) }, http.StatusBadRequest, "request body"},
	} {
		err := f.call()
		var e *Error
		if !errors.As(err, &e) || e.Status != f.status || !strings.HasPrefix(e.Message, f.text) {
			t.Errorf("%v; want %d %s", err, f.status, f.text)
		}
	}
}

func TestStreams(t *testing.T) {
	ctx := context.Background()
	_, c := serve(t, ServerOptions{})
	read := func(ctx context.Context, fail string, each func(int) error) (int, error) {
		n := 0
		err := c.Stream(ctx, "/events?fail="+fail, func(line json.RawMessage) error {
			var v struct{ N int }
			if err := json.Unmarshal(line, &v); err != nil || v.N != n {
				t.Errorf("line %d: %s, %v", n, line, err)
			}
			n++
			return each(v.N)
		})
		return n, err
	}
	all := func(int) error { return nil }
	if n, err := read(ctx, "", all); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	var e *Error
	if n, err := read(ctx, "first", all); n != 0 || !errors.As(err, &e) || e.Status != http.StatusConflict {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := read(ctx, "last", all); n != 3 || !errors.As(err, &e) || e.Message != "it broke" {
		t.Errorf("%d, %v", n, err)
	}
	enough := errors.New("enough")
	if n, err := read(ctx, "never", func(n int) error {
		if n == 1 {
			return enough
		}
		return nil
	}); n != 2 || !errors.Is(err, enough) {
		t.Errorf("%d, %v", n, err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	if _, err := read(cancelled, "never", func(n int) error {
		if n == 2 {
			cancel()
		}
		return nil
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// A stream that never ends does not keep the server from stopping.
func TestShutdownEndsStreams(t *testing.T) {
	s, c := serve(t, ServerOptions{})
	began, ended := make(chan struct{}), make(chan error)
	go func() {
		ended <- c.Stream(context.Background(), "/events?fail=never", func(line json.RawMessage) error {
			if strings.Contains(string(line), "2") {
				close(began)
			}
			return nil
		})
	}()
	<-began
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	<-ended
	if err := c.Get(context.Background(), "/things/x", nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after Shutdown: %v", err)
	}
}

func TestSocketFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pns.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	_, c := serve(t, ServerOptions{Socket: path})
	if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := NewServer(ServerOptions{Socket: path}).Listen(); !errors.Is(err, ErrInUse) {
		t.Errorf("a second server: %v", err)
	}
	if err := c.Get(context.Background(), "/things/x", nil); err != nil {
		t.Errorf("after a second server was refused: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := NewServer(ServerOptions{Socket: file}).Listen(); err == nil {
		t.Error("an ordinary file was replaced")
	}
	if err := NewServer(ServerOptions{Socket: filepath.Join(dir, "g.sock"), Group: "no-such-group"}).Listen(); err == nil {
		t.Error("an unknown group was accepted")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "g.sock")); len(left) > 0 {
		t.Error("a socket is left after an error")
	}
	if err := NewClient("pns", filepath.Join(dir, "none")).Get(context.Background(), "/", nil); !errors.Is(err, ErrNotRunning) ||
		!strings.HasPrefix(err.Error(), "pns is not running: there is no socket ") {
		t.Error(err)
	}
}

// Who may call: root, the daemon's user, and the socket's group, also as a supplementary one.
func TestPermissions(t *testing.T) {
	if socket := os.Getenv("ADMIN_TEST_SOCKET"); socket != "" {
		c := NewClient("pns", socket)
		fmt.Println("outcome:", c.Get(context.Background(), "/things/x", nil))
		fmt.Println("secrets:", c.Octets(context.Background(), PathTrace, TraceRequest{ID: "x", Call: "1", Secrets: true}, io.Discard, nil))
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs root to become other users")
	}
	dir, err := os.MkdirTemp("/tmp", "admin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "test")
	if err := errors.Join(os.WriteFile(program, data, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	as := func(socket string, uid, gid uint32, groups ...uint32) (outcome, secrets string) {
		cmd := exec.Command(program, "-test.run=^TestPermissions$")
		cmd.Env = append(os.Environ(), "ADMIN_TEST_SOCKET="+socket)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		outcome, secrets, _ = strings.Cut(strings.TrimPrefix(string(out), "outcome: "), "\nsecrets: ")
		return outcome, secrets
	}
	closed, open := filepath.Join(dir, "closed"), filepath.Join(dir, "open")
	serve(t, ServerOptions{Socket: closed, Group: "4711"})
	serve(t, ServerOptions{Socket: open, Group: "4711", Mode: 0o666}) // even if the file lets everybody in
	many := make([]uint32, 100)
	for i := range many {
		many[i] = uint32(5000 + i)
	}
	for _, c := range []struct {
		socket string
		uid    uint32
		gid    uint32
		groups []uint32
		want   string
		secret string // of a trace with secrets
	}{
		{closed, 0, 0, nil, "<nil>", "there is no call"},
		{closed, 1234, 4711, nil, "<nil>", "secrets are shown to root"},
		{closed, 1234, 1234, append(many, 4711), "<nil>", "secrets are shown to root"},
		{closed, 1234, 1234, nil, "you may not use the socket", "you may not"},
		{open, 1234, 1234, many, "user 1234 may not use this socket", "user 1234 may not"},
		{open, 1234, 1234, []uint32{4711}, "<nil>", "secrets are shown to root"},
	} {
		got, secret := as(c.socket, c.uid, c.gid, c.groups...)
		if !strings.HasPrefix(got, c.want) || !strings.HasPrefix(secret, c.secret) {
			t.Errorf("user %d, group %d and %d more: %s, and secrets: %s; want %s, %s", c.uid, c.gid, len(c.groups), got, secret, c.want, c.secret)
		}
	}
}

// Whoever waits for an answer is told why there is none: he has given up, or the daemon has ended.
func TestNoAnswer(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	asked := make(chan net.Conn)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			asked <- nc
		}
	}()
	ctx, cancel := context.WithCancelCause(t.Context())
	type end struct {
		ends func()
		want string
	}
	// A connection may end before the request was written, in its midst, or after it.
	ends := slices.Repeat([]end{{func() {}, "pns has ended before it answered"}}, 300)
	for _, c := range append(ends, end{func() { cancel(errors.New("interrupt signal received")) }, "given up before pns answered: interrupt signal received"}) {
		answered := make(chan error, 1)
		go func() { answered <- NewClient("pns", socket).Post(ctx, "/things", nil, nil) }()
		nc := <-asked
		if c.ends(); ctx.Err() == nil {
			nc.Close()
		} else {
			defer nc.Close()
		}
		if err := <-answered; err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}
