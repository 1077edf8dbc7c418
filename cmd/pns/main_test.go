package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"trunkline.example/pns"
	"trunkline.example/pns/config"
	"trunkline.example/pns/dataplane"
	"trunkline.example/shared/command"
)

// execute runs the CLI as main does and returns what it prints and its exit status.
func execute(t *testing.T, stdin string, args ...string) (out string, status int) {
	t.Helper()
	cmd := root()
	var stdout bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&stdout)
	cmd.SetErr(&stdout)
	err := cmd.ExecuteContext(context.Background())
	status = exitStatus(&stdout, err)
	return stdout.String(), status
}

// Ctrl-C at the question for a password ends the command, and the terminal echoes again.
func TestInterruptedPassword(t *testing.T) {
	far, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	defer terminal.Close()
	before, err := term.GetState(int(terminal.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "users.toml")
	cmd := root()
	cmd.SetArgs([]string{"user", "add", "alice", "--file", file})
	cmd.SetIn(terminal)
	cmd.SetErr(terminal)
	ctx, interrupt := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	if _, err := io.ReadFull(far, make([]byte, len("Password: "))); err != nil {
		t.Fatal(err)
	}
	for { // until the echo is off
		now, err := term.GetState(int(terminal.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(now, before) {
			break
		}
	}
	interrupt()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "interrupted") {
			t.Errorf("error %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("still asking")
	}
	if now, err := term.GetState(int(terminal.Fd())); err != nil || !reflect.DeepEqual(now, before) {
		t.Errorf("the terminal is not as it was: %v", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a users file: %v", err)
	}
}

func TestUsers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.toml")
	at := "--file=" + file
	for _, step := range []struct {
		name   string
		stdin  string
		args   []string
		status int
		says   string
	}{
		{"list of none", "", []string{"user", "list", at}, 0, "no users"},
		{"add", "Passw0rd\n", []string{"user", "add", "alice", at}, 0, "alice"},
		{"add without a final newline", "x", []string{"user", "add", "bob", at, "--hash", "--address=10.1.2.3", "--sessions=2", "--encryption=required", "--authentication=ms-chapv2"}, 0, "bob"},
		{"again", "y\n", []string{"user", "add", "alice", at}, 1, "--replace"},
		{"replace", "y\n", []string{"user", "add", "alice", at, "--replace"}, 0, "alice"},
		{"no password", "\n", []string{"user", "add", "carol", at}, 1, "empty"},
		{"endless password", strings.Repeat("x", 5000), []string{"user", "add", "carol", at}, 1, "more than"},
		{"password as an argument", "", []string{"user", "add", "carol", "secret", at}, 2, "arg"},
		{"bad address", "x\n", []string{"user", "add", "carol", at, "--address=10.1.2"}, 2, "IPv4"},
		{"IPv6 address", "x\n", []string{"user", "add", "carol", at, "--address=::1"}, 2, "IPv4"},
		{"bad encryption", "x\n", []string{"user", "add", "carol", at, "--encryption=some"}, 2, "some"},
		{"bad protocol", "x\n", []string{"user", "add", "carol", at, "--authentication=chap"}, 2, "chap"},
		{"negative sessions", "x\n", []string{"user", "add", "carol", at, "--sessions=-1"}, 2, "negative"},
		{"unknown flag", "", []string{"user", "list", "--color"}, 2, "color"},
		{"nothing to do", "", []string{"user"}, 2, "add|del|list"},
		{"unknown command", "", []string{"sesions"}, 2, `"sessions"`},
		{"unknown command of users", "", []string{"user", "ad", "x"}, 2, `"user ad"`},
		{"encryption in the words of the file", "x\n", []string{"user", "add", "dora", at, "--encryption=preferred"}, 0, "dora"},
		{"which the list uses too", "", []string{"user", "list", at}, 0, "preferred"},
		{"rates and filter", "x\n", []string{"user", "add", "eve", at, "--rate-in=1000kbit/s", "--rate-out=0", "--filter="}, 0, "eve"},
		{"are listed", "", []string{"user", "list", at}, 0, "1Mbit/s"},
		{"as JSON", "", []string{"user", "list", "--json", at}, 0, `"filter": ""`},
		{"bad rate", "x\n", []string{"user", "add", "carol", at, "--rate-out=5"}, 2, "--rate-out: \"5\" is not a rate"},
		{"gone as well", "", []string{"user", "del", "eve", at}, 0, ""},
		{"and it is gone", "", []string{"user", "del", "dora", at}, 0, ""},
		{"list", "", []string{"user", "list", at}, 0, "10.1.2.3"},
		{"delete", "", []string{"user", "del", "alice", at}, 0, ""},
		{"delete again", "", []string{"user", "del", "alice", at}, 1, "no such user"},
	} {
		out, status := execute(t, step.stdin, step.args...)
		if status != step.status || !strings.Contains(out, step.says) {
			t.Fatalf("%s: status %d, %q; want %d, %q", step.name, status, out, step.status, step.says)
		}
	}
	out, _ := execute(t, "", "user", "list", "--json", at)
	var rows []userRow
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 1 || rows[0].Name != "bob" || rows[0].Sessions != 2 || rows[0].Encryption != "required" {
		t.Fatalf("%s: %v", out, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), `"x"`) {
		t.Fatalf("a password in clear in spite of --hash:\n%s%v", text, err)
	}
}

func TestUsersFileOfTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	users, conf := filepath.Join(dir, "u.toml"), filepath.Join(dir, "pns.toml")
	if err := os.WriteFile(conf, []byte("[users]\nfile = \""+users+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, status := execute(t, "x\n", "user", "add", "alice", "-c", conf); status != 0 {
		t.Fatal(out)
	}
	if _, err := os.Stat(users); err != nil {
		t.Fatal(err)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.toml"), filepath.Join(dir, "bad.toml")
	for file, text := range map[string]string{good: "[network]\nmtu = 1300\n", bad: "[network]\nmtuu = 1300\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, status := execute(t, "", "check", good); status != 0 || !strings.Contains(out, "mtu = 1300") {
		t.Fatalf("status %d: %s", status, out)
	}
	if out, status := execute(t, "", "check", bad); status != 2 || !strings.Contains(out, "bad.toml:2") || !strings.Contains(out, `"mtu"`) {
		t.Fatalf("status %d: %s", status, out)
	}
	if out, status := execute(t, "", "run", "-c", bad); status != 2 {
		t.Fatalf("status %d: %s", status, out)
	}
}

func TestServerNotRunning(t *testing.T) {
	socket := "--admin=" + filepath.Join(t.TempDir(), "pns.sock")
	for _, args := range [][]string{{"sessions", socket}, {"status", socket}, {"kick", "alice", socket}, {"call", "1", "--pac", "x", socket}, {"call", "branch", socket}, {"sites", socket}, {"hangup", "branch", socket}, {"drain", socket}, {"lines", socket}} {
		if out, status := execute(t, "", args...); status != 1 || !strings.Contains(out, "is not running") {
			t.Errorf("%v: status %d, %s", args, status, out)
		}
	}
	if _, status := execute(t, "", "kick", socket); status != 2 {
		t.Errorf("kick of nobody: status %d", status)
	}
	if out, status := execute(t, "", "call", "1", "--subaddress=7", socket); status != 2 || !strings.Contains(out, "--pac is missing") {
		t.Errorf("call through nobody: status %d, %s", status, out)
	}
}

func TestVersion(t *testing.T) {
	if out, status := execute(t, "", "version"); status != 0 || out != "pns development\n" {
		t.Fatalf("status %d, %q", status, out)
	}
}

func TestExitStatus(t *testing.T) {
	if exitStatus(io.Discard, nil) != 0 || exitStatus(io.Discard, errors.New("x")) != 1 || exitStatus(io.Discard, command.Usage(errors.New("x"))) != 2 {
		t.Fatal("the documented exit statuses do not hold")
	}
}

func TestKickTarget(t *testing.T) {
	for arg, want := range map[string]pns.Kick{
		"7": {Session: 7}, "alice": {User: "alice"}, "user:7": {User: "7"}, "0": {User: "0"}, "user:": {User: "user:"}, "-3": {User: "-3"},
	} {
		if got := kickTarget(arg); got != want {
			t.Errorf("%q: %+v", arg, got)
		}
	}
}

func TestTables(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	sessions := []pns.SessionInfo{
		{ID: 1, User: "alice", Address: "10.97.0.2", Phase: "up", Peer: "198.51.100.7:40000", Listener: "0.0.0.0:1723", Started: now.Add(-2 * time.Hour),
			Connected: now.Add(-90 * time.Second), Authentication: "MS-CHAPv2", Encryption: "MPPE-128 stateless", MTU: 1396, Link: pns.LinkCounters{EchoMillis: 1.26},
			Data: dataplane.Counters{OctetsIn: 12_345, OctetsOut: 7, Lost: 3}},
		{ID: 12, Phase: "authenticate", Peer: "192.0.2.7:1723", PAC: "modems", Started: now.Add(-4 * time.Second)},
	}
	const want = "ID  USER   ADDRESS    PHASE         FROM                BY              FOR     IN  OUT\n" +
		" 1  alice  10.97.0.2  up            198.51.100.7:40000  0.0.0.0:1723  1m30s  12.3k    7\n" +
		"12  -      -          authenticate  192.0.2.7:1723      modems           4s      0    0\n"
	var b strings.Builder
	if err := sessionTable(sessions, false, now).Write(&b); err != nil || b.String() != want {
		t.Errorf("got\n%s want\n%s", b.String(), want)
	}
	b.Reset()
	if err := sessionTable(sessions, true, now).Write(&b); err != nil || !strings.Contains(b.String(), "MPPE-128 stateless") || !strings.Contains(b.String(), "echo 1.3 ms") || !strings.Contains(b.String(), "echo unknown") {
		t.Errorf("got\n%s", b.String())
	}
	b.Reset()
	sites := []pns.SiteInfo{
		{Name: "branch", Dial: "persistent", Server: "vpn.example.net:1723", Phase: "up", Since: now.Add(-time.Minute), Session: 7, Address: "10.55.0.2", FarEnd: "10.55.0.1", Calls: 3,
			Routes: []string{"192.0.2.0/24"}},
		{Name: "village", Dial: "on-demand", PAC: "modems", Number: "5550199", Phase: "idle", Since: now.Add(-time.Hour), Failures: 2, RetryAt: now.Add(9 * time.Second),
			LastEnd: "busy", Routes: []string{}, Forwarded: dataplane.RouteCounters{Held: 4, Overflown: 1, Unreachable: 2}},
	}
	const wantSites = "SITE     DIAL        BY                    PHASE    FOR  SESSION  OUR ADDRESS  ITS ADDRESS  CALLS  FAILURES  AGAIN IN  WAITED  DROPPED  ROUTES        LAST END\n" +
		"branch   persistent  vpn.example.net:1723  up     1m00s        7  10.55.0.2    10.55.0.1        3         0         -       0        0  192.0.2.0/24  -\n" +
		"village  on-demand   modems: 5550199       idle   1h00m        -  -            -                0         2        9s       4        3  -             busy\n"
	if err := siteTable(sites, now).Write(&b); err != nil || b.String() != wantSites {
		t.Errorf("got\n%s want\n%s", b.String(), wantSites)
	}
	b.Reset()
	status := pns.Status{Started: now.Add(-time.Minute), Listeners: map[string]string{"x": "0.0.0.0:1723"}, Refused: map[string]uint64{"banned": 3},
		Banned: map[string]time.Time{"192.0.2.1": now.Add(time.Minute)}, Faults: map[string]uint64{"wrong state": 1}, Plane: dataplane.PlaneCounters{WriteFailed: 8642}}
	if err := statusTable(status, now).Write(&b); err != nil || !strings.Contains(b.String(), "refused: banned") || !strings.Contains(b.String(), "for 1m00s") || !strings.Contains(b.String(), "8642") {
		t.Errorf("got\n%s", b.String())
	}
}

// A reload leaves the listeners that are open as they are, with the new policies.
func TestKeepListeners(t *testing.T) {
	now, next := config.Default(), config.Default()
	now.Listeners = []config.Listener{{Name: "a"}, {Name: "b"}}
	next.Listeners = []config.Listener{{Name: "b", Policy: config.Policy{MTU: 1000}}, {Name: "c"}}
	kept := keepListeners(now, next)
	if len(kept) != 2 || kept[0].Name != "a" || kept[0].Policy.MTU != 0 || kept[1].Policy.MTU != 1000 || now.Listeners[1].Policy.MTU != 0 {
		t.Fatalf("%+v", kept)
	}
}
