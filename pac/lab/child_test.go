package lab

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// sh runs a shell script as a child.
func sh(t *testing.T, r *reaper, script string, more func(*command)) *child {
	t.Helper()
	c := command{name: "sh", path: "/bin/sh", args: []string{"-c", script}, limit: 5 * time.Second}
	if more != nil {
		more(&c)
	}
	k, err := r.spawn(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestChildren(t *testing.T) {
	if os.Getenv("LAB_CHILDREN") == "" { // in a process of its own, as the reaper waits for every child
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestChildren$")
		cmd.Env = append(os.Environ(), "LAB_CHILDREN=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	r, done := newReaper(), make(chan struct{})
	defer close(done)
	go r.run(done)
	ctx := context.Background()

	t.Run("lines and last words", func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		k := sh(t, r, `read x; echo "$x"; for i in 1 2 3 4 5 6 7 8 9; do echo $i >&2; done; exit 3`, func(c *command) {
			c.input = "hello\n"
			c.out = func(line []byte) { mu.Lock(); got = append(got, string(line)); mu.Unlock() }
		})
		<-k.done
		if len(got) != 1 || got[0] != "hello" {
			t.Errorf("standard output: %q", got)
		}
		if words := k.lastWords(); len(words) != tailLines || words[tailLines-1] != "9" {
			t.Errorf("last words: %q", words)
		}
		if err := k.death(); !strings.Contains(err.Error(), "sh: exit status 3; it said last:\n  ") {
			t.Error(err)
		}
	})
	t.Run("ends when asked", func(t *testing.T) {
		ready := make(chan struct{})
		k := sh(t, r, `trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done`, func(c *command) { c.out = func([]byte) { close(ready) } })
		<-ready
		if err := k.stop(); err != nil || !k.expected() {
			t.Errorf("%v, expected %v", err, k.expected())
		}
		if err := k.stop(); err != nil {
			t.Error("a second stop:", err)
		}
	})
	t.Run("does not end when asked", func(t *testing.T) {
		ready := make(chan struct{})
		k := sh(t, r, `trap '' TERM; echo up; while :; do sleep 0.01; done`, func(c *command) {
			c.out = func([]byte) { close(ready) }
			c.limit = 50 * time.Millisecond
		})
		<-ready
		if err := k.stop(); err == nil || !strings.Contains(err.Error(), "was killed") {
			t.Error(err)
		}
	})
	t.Run("killed", func(t *testing.T) {
		k := sh(t, r, `kill -9 $$`, nil)
		<-k.done
		if err := k.death(); !strings.Contains(err.Error(), "killed by SIGKILL; it said nothing") {
			t.Error(err)
		}
	})
	t.Run("a grandchild holds the pipe", func(t *testing.T) {
		k := sh(t, r, `sleep 60 & echo $!`, nil)
		<-k.done // though the grandchild lives
		pid, err := strconv.Atoi(k.lastWords()[0])
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
	})
	t.Run("ready", func(t *testing.T) {
		n, err := newNotifier(t.TempDir(), "x")
		if err != nil {
			t.Fatal(err)
		}
		k := sh(t, r, `exec sleep 60`, nil)
		sender, err := r.spawn(command{name: "notify", path: "/proc/self/exe", args: []string{"-test.run=^TestNotify$"}, env: []string{"LAB_NOTIFY=" + n.path}})
		if err != nil {
			t.Fatal(err)
		}
		if err := n.await(ctx, k); err != nil {
			t.Error(err)
		}
		<-sender.done
		_ = k.stop()
		n.close()
	})
	t.Run("dies before it is ready", func(t *testing.T) {
		n, err := newNotifier(t.TempDir(), "x")
		if err != nil {
			t.Fatal(err)
		}
		defer n.close()
		k := sh(t, r, `echo "no such file" >&2; exit 1`, nil)
		if err := n.await(ctx, k); err == nil || !strings.Contains(err.Error(), "exit status 1; it said last:\n  no such file") {
			t.Error(err)
		}
	})
	t.Run("the lab ends meanwhile", func(t *testing.T) {
		ending, cancel := context.WithCancelCause(ctx)
		cancel(asked{"interrupt"})
		k := sh(t, r, `exec sleep 60`, nil)
		if err := k.wait(ending); err == nil || !strings.Contains(err.Error(), "ended by interrupt") {
			t.Error(err)
		}
	})
}

// TestNotify is the other side of TestChildren's "ready".
func TestNotify(t *testing.T) {
	path := os.Getenv("LAB_NOTIFY")
	if path == "" {
		return
	}
	c, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("STATUS=nearly\nREADY=1")); err != nil {
		t.Fatal(err)
	}
}
