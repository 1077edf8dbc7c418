package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/test/netns"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// TestMain makes the test binary itself the program: with this variable set it runs as pns.
func TestMain(m *testing.M) {
	if os.Getenv("TRUNKLINE_TEST_AS_PNS") != "" {
		main()
	}
	os.Exit(m.Run())
}

// site is a network namespace with a configuration for a server in it.
type site struct {
	t     *testing.T
	space *netns.Space
	dir   string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, space: netns.New(t), dir: t.TempDir()}
	s.configure("0.0.0.0:1723", "")
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) configure(address, extra string) {
	s.t.Helper()
	text := fmt.Sprintf("[[listener]]\nname = \"test\"\naddress = %q\n[users]\nfile = %q\n[admin]\nsocket = %q\n[records]\nfile = %q\n%s",
		address, s.path("users.toml"), s.path("pns.sock"), s.path("calls.jsonl"), extra)
	if err := os.WriteFile(s.path("pns.toml"), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// server is a running pns, and what it has logged.
type server struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string
	log   []string
	ended chan error
}

func (s *site) command(args ...string) *exec.Cmd {
	cmd := s.space.Command(context.Background(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "TRUNKLINE_TEST_AS_PNS=1", "NOTIFY_SOCKET="+s.path("notify"))
	return cmd
}

func (s *site) start() *server {
	s.t.Helper()
	return s.launch(s.command("run", "-c", s.path("pns.toml")))
}

func (s *site) launch(cmd *exec.Cmd) *server {
	s.t.Helper()
	p := &server{t: s.t, cmd: cmd, lines: make(chan string, 1000), ended: make(chan error, 1)}
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for in := bufio.NewScanner(r); in.Scan(); {
			p.lines <- in.Text()
		}
	}()
	go func() {
		err := p.cmd.Wait()
		w.Close()
		p.ended <- err
	}()
	s.t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// says waits for a line with the text.
func (p *server) says(text string) {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("ended without saying %q:\n%s", text, strings.Join(p.log, "\n"))
			}
			if p.log = append(p.log, line); strings.Contains(line, text) {
				return
			}
		case <-deadline:
			p.t.Fatalf("did not say %q:\n%s", text, strings.Join(p.log, "\n"))
		}
	}
}

func (p *server) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// status waits for the end.
func (p *server) status() int {
	p.t.Helper()
	select {
	case err := <-p.ended:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		return 0
	case <-time.After(patience):
		p.t.Fatalf("does not end:\n%s", strings.Join(p.log, "\n"))
	}
	return -1
}

func (s *site) interfaces() string { return s.space.Run("ip", "-o", "addr") }

func TestRun(t *testing.T) {
	s := newSite(t)
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path("notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	notified := func(want string) {
		t.Helper()
		buf := make([]byte, 100)
		notify.SetReadDeadline(time.Now().Add(patience))
		if n, err := notify.Read(buf); err != nil || string(buf[:n]) != want {
			t.Fatalf("notified %q, %v; want %q", buf[:n], err, want)
		}
	}
	p := s.start()
	p.says("nobody can log in yet")
	p.says("ready")
	notified("READY=1")
	if all := s.interfaces(); !strings.Contains(all, "trunk0") || !strings.Contains(all, "10.97.0.1") {
		t.Fatalf("interfaces:\n%s", all)
	}
	for _, args := range [][]string{{"sessions", "--json", "--admin=" + s.path("pns.sock")}, {"status", "--admin=" + s.path("pns.sock")}} {
		if out, status := execute(t, "", args...); status != 0 {
			t.Fatalf("%v: status %d, %s", args, status, out)
		}
	}
	if out, status := execute(t, "", "kick", "nobody", "--admin="+s.path("pns.sock")); status != 1 || !strings.Contains(out, "no session") {
		t.Fatalf("status %d, %s", status, out)
	}

	s.configure("0.0.0.0:1723", "[network]\nmtu = 1300\n[log]\nlevel = \"debug\"\n")
	p.signal(syscall.SIGHUP)
	p.says("network")
	p.says("configuration reloaded")
	s.configure("0.0.0.0:1723", "[netwerk]\n")
	p.signal(syscall.SIGHUP)
	p.says("the configuration stays as it was")
	if out, status := execute(t, "secret\n", "user", "add", "alice", "--file", s.path("users.toml")); status != 0 {
		t.Fatal(out)
	}
	p.says("users reloaded")

	p.signal(syscall.SIGTERM)
	p.says("stopping")
	notified("STOPPING=1")
	if status := p.status(); status != 0 {
		t.Fatalf("exit status %d", status)
	}
	if all := s.interfaces(); strings.Contains(all, "trunk0") {
		t.Fatalf("the interface is still there:\n%s", all)
	}
	if rules := s.space.Run("nft", "list", "ruleset"); strings.Contains(rules, "trunkline") {
		t.Fatalf("rules are still there:\n%s", rules)
	}
	if _, err := os.Stat(s.path("pns.sock")); err == nil {
		t.Fatal("the socket is still there")
	}
}

// Each thing that can be wrong at the start is named, and leaves nothing behind.
func TestStartErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(s *site) *exec.Cmd
		says    string
	}{
		{"port in use", func(s *site) *exec.Cmd {
			s.space.Listen("0.0.0.0:1723")
			return nil
		}, "another program listens on 0.0.0.0:1723"},
		{"no such address", func(s *site) *exec.Cmd {
			s.configure("192.0.2.99:1723", "")
			return nil
		}, "has no address 192.0.2.99"},
		{"address used by another PPTP program", func(s *site) *exec.Cmd {
			s.configure("127.0.0.1:1723", "")
			var conn tunnel.Conn
			if err := s.space.Do(func() (err error) {
				conn, err = tunnel.Listen(tunnel.Config{Local: netip.MustParseAddr("127.0.0.1")})
				return err
			}); err != nil {
				s.t.Fatal(err)
			}
			s.t.Cleanup(func() { _ = conn.Close() })
			return nil
		}, "127.0.0.1 and 127.0.0.2"},
		{"interface in use", func(s *site) *exec.Cmd {
			s.space.Run("ip", "link", "add", "trunk0", "type", "bridge")
			return nil
		}, "trunk0"},
		{"not permitted", func(s *site) *exec.Cmd {
			// Root without capabilities: what an ordinary user has, but for the files.
			run := s.command()
			cmd := exec.Command(run.Path, append(run.Args[1:len(run.Args)-1], "setpriv", "--bounding-set=-all", "--inh-caps=-all",
				os.Args[0], "run", "-c", s.path("pns.toml"))...)
			cmd.Env = run.Env
			return cmd
		}, "CAP_NET_ADMIN"},
		{"users readable by all", func(s *site) *exec.Cmd {
			if err := os.WriteFile(s.path("users.toml"), nil, 0o644); err != nil {
				s.t.Fatal(err)
			}
			return nil
		}, "users.toml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			p := (*server)(nil)
			if cmd := c.prepare(s); cmd != nil {
				p = s.launch(cmd)
			} else {
				p = s.start()
			}
			p.says(c.says)
			if status := p.status(); status != 1 {
				t.Errorf("exit status %d", status)
			}
			if rules := s.space.Run("nft", "list", "ruleset"); strings.Contains(rules, "trunkline") {
				t.Errorf("rules are left:\n%s", rules)
			}
			if c.name != "interface in use" && strings.Contains(s.interfaces(), "trunk0") {
				t.Error("the interface is left")
			}
		})
	}
}

// A server whose interface is taken away says so and ends, for somebody to start it anew.
func TestInterfaceDeleted(t *testing.T) {
	s := newSite(t)
	p := s.start()
	p.says("ready")
	s.space.Run("ip", "link", "del", "trunk0")
	p.says("TUN interface trunk0 has gone")
	if status := p.status(); status != 1 {
		t.Errorf("exit status %d", status)
	}
	if rules := s.space.Run("nft", "list", "ruleset"); strings.Contains(rules, "trunkline") {
		t.Errorf("rules are left:\n%s", rules)
	}
}

func TestSecondServer(t *testing.T) {
	s := newSite(t)
	first := s.start()
	first.says("ready")
	second := s.start()
	second.says("running already")
	if status := second.status(); status != 1 {
		t.Errorf("exit status %d", status)
	}
	if out, status := execute(t, "", "sessions", "--admin="+s.path("pns.sock")); status != 0 {
		t.Errorf("the first server has lost its socket: %s", out)
	}
	if all := s.interfaces(); !strings.Contains(all, "10.97.0.1") {
		t.Errorf("the first server has lost its address:\n%s", all)
	}
	first.signal(syscall.SIGINT)
	if status := first.status(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}
