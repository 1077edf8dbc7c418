// Package netns makes network namespaces for tests: a bridge, taps for guests, and sockets opened inside. It needs root.
package netns

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Space is a network namespace with a name, known to `ip netns`. It goes when the test ends.
type Space struct {
	Name string
	t    testing.TB
}

var count atomic.Int32

// New makes a namespace with its loopback up and IPv6 off.
func New(t testing.TB) *Space {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	s := &Space{Name: fmt.Sprintf("trunkline-%d-%d", os.Getpid(), count.Add(1)), t: t}
	run(t, "ip", "netns", "add", s.Name)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", s.Name).Run() })
	s.Run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
	s.Run("ip", "link", "set", "lo", "up")
	return s
}

// IPv6 switches IPv6 on, with the addresses that a test gives only, which are of use at once (not tested for duplicates). It is for interfaces that are made
// afterwards, and the loopback.
func (s *Space) IPv6() {
	s.t.Helper()
	s.Run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0",
		"net.ipv6.conf.default.addr_gen_mode=1")
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// Run runs a command in the namespace to its end and returns what it printed; a failure ends the test.
func (s *Space) Run(name string, args ...string) string {
	s.t.Helper()
	return run(s.t, "ip", append([]string{"netns", "exec", s.Name, name}, args...)...)
}

// Command is a command to be started in the namespace. Its network namespace is joined by `ip netns exec`, which the command then replaces:
// the process that starts is the command itself. It dies with the test process.
func (s *Space) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", s.Name, name}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// Bridge makes a bridge of this name with the address (CIDR; none if empty) and joins the taps to it.
func (s *Space) Bridge(name, address string, taps ...string) {
	s.t.Helper()
	s.Run("ip", "link", "add", name, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
	if address != "" {
		s.Run("ip", "addr", "add", address, "dev", name)
	}
	s.Run("ip", "link", "set", name, "up")
	for _, tap := range taps {
		s.Run("ip", "tuntap", "add", "dev", tap, "mode", "tap")
		s.Run("ip", "link", "set", tap, "master", name, "up")
	}
}

// Veth joins two namespaces by a pair of devices with these addresses (CIDR).
func (s *Space) Veth(device, address string, other *Space, otherDevice, otherAddress string) {
	s.t.Helper()
	s.Run("ip", "link", "add", device, "type", "veth", "peer", "name", otherDevice, "netns", other.Name)
	for _, end := range []struct {
		space           *Space
		device, address string
	}{{s, device, address}, {other, otherDevice, otherAddress}} {
		end.space.Run("ip", "addr", "add", end.address, "dev", end.device)
		end.space.Run("ip", "link", "set", end.device, "up")
	}
}

// Do runs f on a thread that is in the namespace. Sockets that f opens stay there.
func (s *Space) Do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		fd, err := unix.Open("/run/netns/"+s.Name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			done <- err
			return
		}
		defer unix.Close(fd)
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("setns: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// Listen opens a TCP listener in the namespace; it is closed when the test ends.
func (s *Space) Listen(address string) net.Listener {
	s.t.Helper()
	var l net.Listener
	err := s.Do(func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		s.t.Fatalf("listen on %s in %s: %v", address, s.Name, err)
	}
	s.t.Cleanup(func() { _ = l.Close() })
	return l
}
