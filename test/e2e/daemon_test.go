// Package e2e calls both daemons with real peers: pppd, chat, wvdial and pptp in user-mode-linux guests, tshark as the
// judge of what crosses the wire. It needs root and Debian's packages (test/setup installs them).
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"trunkline.example/test/daemon"
	"trunkline.example/test/netns"
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
	if err := daemon.Build(bin, true); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// startDaemon starts pac or pns in the namespace and waits until it says that it is ready.
func startDaemon(t testing.TB, space *netns.Space, name string, args ...string) *daemon.Daemon {
	t.Helper()
	return daemon.Run(t, daemon.Options{
		Space: space, Program: filepath.Join(bin, name), Args: args, Describe: func() string { return state(t, space, name, args) },
	})
}

// state is what tells where packets were left: a daemon's own counters, and those, the interfaces and the routes of its namespace.
func state(t testing.TB, space *netns.Space, name string, args []string) string {
	var text strings.Builder
	tell := func(out []byte, err error) {
		text.Write(out)
		if err != nil {
			fmt.Fprintln(&text, err)
		}
	}
	for i, arg := range args[:max(len(args)-1, 0)] {
		if arg == "--config" {
			out, err := cli(t, "", name, "status", "--json", "--admin", filepath.Join(filepath.Dir(args[i+1]), name+".sock"))
			tell([]byte(out), err)
		}
	}
	for _, command := range [][]string{{"ip", "-s", "address"}, {"ip", "route", "show", "table", "all"}, {"nft", "list", "ruleset"}, {"nstat", "-as"}} {
		tell(space.Command(context.Background(), command[0], command[1:]...).CombinedOutput())
	}
	return text.String()
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
