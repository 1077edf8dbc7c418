// Package guest runs real clients (pppd, chat, wvdial, pptp) in user-mode-linux guests, because the kernels that tests run
// on seldom have PPP. A guest sees the host's files; what it writes stays in its memory, except below its exchange
// directory (/xchg in the guest). It needs root and Debian's package user-mode-linux, or for guests of several processors qemu-system-x86,
// cpio and a kernel of Debian's. The scripts uml-guest and qemu-guest beside this file do the work and can be used by hand, kernel finds the
// kernel; lib.sh has shell functions for scripts inside.
package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"trunkline.example/test/output"
)

// Config describes one guest.
type Config struct {
	Name     string            // host name in the guest; "guest" if empty
	NetNS    string            // host network namespace that holds the taps
	Taps     []string          // host tap devices; the guest's eth0, eth1, ...
	Serials  map[int]string    // guest ttySn = "unix:PATH" (listening socket) or the path of a host tty
	Exchange string            // host directory that is /xchg in the guest; a temporary one if empty
	Env      map[string]string // environment of the command
	Timeout  time.Duration     // 120 s if 0
	// Processors asks for so many of them, on Debian's own kernel in QEMU, in software: ten times slower than the host. Such a guest
	// has no Taps, Serials or NetNS. 0: user-mode-linux.
	Processors int
	Memory     int    // MiB, with Processors; 2048 if 0
	QEMU       string // more options of QEMU, with Processors; split at spaces
}

// Guest is one running guest.
type Guest struct {
	name string
	cmd  *exec.Cmd
	out  output.Buffer
	done chan struct{}
	err  error
}

// dir is where this package's scripts lie.
func dir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}

// Need skips the test where no guest can run, and says why.
func Need(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to boot a user-mode-linux guest")
	}
	if _, err := exec.LookPath("linux.uml"); err != nil {
		t.Skip("needs Debian's package user-mode-linux:", err)
	}
}

// need is Need for this guest.
func (c *Config) need(t testing.TB) {
	t.Helper()
	if c.Processors == 0 {
		Need(t)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs root to boot a guest in QEMU")
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("needs Debian's packages qemu-system-x86 and cpio:", err)
	}
	if err := exec.Command(filepath.Join(dir(), "kernel")).Run(); err != nil {
		t.Skipf("needs Debian's kernel (%s/kernel --fetch): %v", dir(), err)
	}
}

// Start boots a guest that runs the shell script (bash, with lib.sh read in and `set -eu`). The guest is killed when the test ends.
func Start(t testing.TB, c Config, script string) *Guest {
	t.Helper()
	c.need(t)
	if c.Name == "" {
		c.Name = "guest"
	}
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Minute
	}
	script = "set -eu; . " + filepath.Join(dir(), "lib.sh") + "\n" + script
	program, args := c.command()
	args = append(args, "--", "bash", "-c", script)

	ctx, cancel := context.WithCancel(context.Background())
	g := &Guest{name: c.Name, done: make(chan struct{})}
	g.cmd = exec.CommandContext(ctx, filepath.Join(dir(), program), args...)
	g.cmd.Cancel = func() error { return g.cmd.Process.Signal(os.Interrupt) }
	g.cmd.WaitDelay = 10 * time.Second
	g.cmd.Stdout, g.cmd.Stderr = &g.out, &g.out
	if err := g.cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	go func() {
		g.err = g.cmd.Wait()
		close(g.done)
	}()
	t.Cleanup(func() {
		cancel()
		<-g.done
		if t.Failed() {
			t.Logf("guest %s printed:\n%s", g.name, g.Output())
		}
	})
	return g
}

// command is the script that boots the guest, and its options.
func (c *Config) command() (program string, args []string) {
	args = []string{"--timeout", fmt.Sprint(int(c.Timeout.Seconds()))}
	if c.Exchange != "" {
		args = append(args, "--exchange", c.Exchange)
	}
	for k, v := range c.Env {
		args = append(args, "--env", k+"="+v)
	}
	if c.Processors > 0 {
		if c.Memory == 0 {
			c.Memory = 2048
		}
		return "qemu-guest", append(args, "--smp", fmt.Sprint(c.Processors), "--mem", fmt.Sprint(c.Memory), "--qemu", c.QEMU)
	}
	args = append(args, "--name", c.Name)
	if c.NetNS != "" {
		args = append(args, "--netns", c.NetNS)
	}
	for _, tap := range c.Taps {
		args = append(args, "--tap", tap)
	}
	for n, line := range c.Serials {
		args = append(args, "--serial", fmt.Sprintf("%d=%s", n, line))
	}
	return "uml-guest", args
}

// Run boots a guest, waits for its end and returns what it printed and its exit status.
func Run(t testing.TB, c Config, script string) (output string, status int) {
	t.Helper()
	g := Start(t, c, script)
	return g.Wait(t)
}

// Wait waits for the end and returns what the guest printed and its exit status.
func (g *Guest) Wait(t testing.TB) (output string, status int) {
	t.Helper()
	<-g.done
	var exit *exec.ExitError
	switch {
	case g.err == nil:
	case errors.As(g.err, &exit):
		status = exit.ExitCode()
	default:
		t.Fatalf("guest %s: %v", g.name, g.err)
	}
	return g.Output(), status
}

// Done is closed when the guest has ended.
func (g *Guest) Done() <-chan struct{} { return g.done }

// Output is what the guest has printed so far.
func (g *Guest) Output() string { return strings.ReplaceAll(g.out.String(), "\r", "") }

// Kill ends the guest at once, as a power cut would.
func (g *Guest) Kill() {
	_ = g.cmd.Process.Signal(os.Interrupt)
	<-g.done
}
