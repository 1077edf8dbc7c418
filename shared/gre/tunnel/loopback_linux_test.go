package tunnel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"trunkline.example/shared/gre"
)

// loopback is the interface lo of a network namespace, and addresses of one family.
type loopback struct {
	t               testing.TB
	one, two, three netip.Addr // of lo
	alien, nowhere  netip.Addr // of the other family; without a route
	noHost, noGRE   byte       // ICMP codes of a destination unreachable message
	noGREErrno      error
}

var (
	loopback4 = loopback{
		one: netip.MustParseAddr("127.0.0.1"), two: netip.MustParseAddr("127.0.0.2"), three: netip.MustParseAddr("127.0.0.3"),
		alien: netip.MustParseAddr("2001:db8::1"), nowhere: netip.MustParseAddr("198.51.100.1"),
		noHost: 1, noGRE: 2, noGREErrno: unix.ENOPROTOOPT,
	}
	loopback6 = loopback{
		one: netip.MustParseAddr("fd00::1"), two: netip.MustParseAddr("fd00::2"), three: netip.MustParseAddr("fd00::3"),
		alien: netip.MustParseAddr("127.0.0.1"), nowhere: netip.MustParseAddr("2001:db8::1"),
		noHost: 3, noGRE: 4, noGREErrno: unix.ECONNREFUSED, // RFC 4443 section 3.1: address, port
	}
)

// inNamespace runs f once for each family of addresses, on a thread in a network namespace of its own with the loopback
// interface up. Sockets opened by f stay there.
func inNamespace(t *testing.T, f func(loopback)) {
	t.Helper()
	t.Run("IPv4", func(t *testing.T) { loopback4.run(t, f) })
	t.Run("IPv6", func(t *testing.T) { loopback6.run(t, f) })
}

// benchInNamespaces is inNamespace for a benchmark.
func benchInNamespaces(b *testing.B, f func(*testing.B, loopback)) {
	b.Run("IPv4", func(b *testing.B) { loopback4.run(b, func(l loopback) { f(b, l) }) })
	b.Run("IPv6", func(b *testing.B) { loopback6.run(b, func(l loopback) { f(b, l) }) })
}

func (l loopback) run(t testing.TB, f func(loopback)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT RUN: a raw GRE socket and a network namespace need root")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("new network namespace: %v", err)
			return
		}
		l.t = t
		l.up()
		f(l)
	}()
	<-done
	if t.Failed() {
		t.FailNow()
	}
}

// ioctl sets a field of struct ifreq, which begins with the name in 16 octets.
func (l loopback) ioctl(request uintptr, value uint32) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		l.t.Error(err)
		return
	}
	defer unix.Close(fd)
	var ifreq [40]byte
	copy(ifreq[:], "lo")
	binary.NativeEndian.PutUint32(ifreq[16:], value)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&ifreq))); errno != 0 {
		l.t.Errorf("ioctl %#x on lo: %v", request, errno)
	}
}

// up brings the interface up, with the IPv6 addresses; of IPv4, all of 127.0.0.0/8 is there by itself.
func (l loopback) up() {
	l.ioctl(unix.SIOCSIFFLAGS, unix.IFF_UP|unix.IFF_RUNNING)
	if l.one.Is4() {
		return
	}
	lo, err := netlink.LinkByName("lo")
	l.check(err)
	l.assign(lo, l.one, l.two, l.three)
}

// assign gives an interface IPv6 addresses, and waits until they are of use: the kernel makes their local routes a moment later.
func (l loopback) assign(link netlink.Link, addresses ...netip.Addr) {
	l.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for _, a := range addresses {
		l.check(netlink.AddrAdd(link, &netlink.Addr{Flags: unix.IFA_F_NODAD, IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(128, 128)}}))
		for end := time.Now().Add(10 * time.Second); ; <-tick.C {
			routes, err := netlink.RouteGetWithOptions(a.AsSlice(), &netlink.RouteGetOptions{Oif: link.Attrs().Name})
			if err == nil && routes[0].Type == unix.RTN_LOCAL {
				break
			}
			if time.Now().After(end) {
				l.check(fmt.Errorf("%v has no local route: %v, %w", a, routes, err))
			}
		}
	}
}

func (l loopback) mtu(n int) { l.ioctl(unix.SIOCSIFMTU, uint32(n)) }

func (l loopback) fail(v ...any) { l.t.Helper(); l.t.Error(v...) }

// check ends the test if there is an error.
func (l loopback) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Error(err)
		runtime.Goexit()
	}
}

func (l loopback) listen(cfg Config) *Socket {
	l.t.Helper()
	s, err := Listen(cfg)
	l.check(err)
	l.t.Cleanup(func() { _ = s.Close() })
	return s
}

// read reads until count packets have come.
func (l loopback) read(s *Socket, count int) [][]byte {
	l.t.Helper()
	var got [][]byte
	batch := NewBatch(MaxBatch)
	for len(got) < count {
		n, err := s.ReadBatch(batch)
		if err != nil {
			l.t.Error(err)
			return got
		}
		for _, p := range batch[:n] {
			got = append(got, bytes.Clone(p.Data))
		}
	}
	return got
}

// unreachable sends an ICMP destination unreachable message from one address to another about a GRE packet.
func (l loopback) unreachable(from, to netip.Addr, code byte, about []byte) {
	l.t.Helper()
	message := []byte{3, code, 0, 0, 0, 0, 0, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, gre.IPProtocol, 0, 0}
	domain, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if from.Is6() { // the kernel fills in the checksum
		message = []byte{1, code, 0, 0, 0, 0, 0, 0, 0x60, 0, 0, 0, 0, 0, gre.IPProtocol, 64}
		domain, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	message = slices.Concat(message, to.AsSlice(), from.AsSlice(), about)
	if from.Is6() {
		binary.BigEndian.PutUint16(message[12:], uint16(len(about)))
	} else {
		binary.BigEndian.PutUint16(message[10:], uint16(ipv4Header+len(about)))
		binary.BigEndian.PutUint16(message[2:], internetChecksum(message))
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW, protocol)
	if err != nil {
		l.fail(err)
		return
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, Sockaddr(fd, from, 0)), unix.Sendto(fd, message, 0, Sockaddr(fd, to, 0))); err != nil {
		l.fail(err)
	}
}

func internetChecksum(message []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(message); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(message[i:]))
	}
	for sum > 0xFFFF {
		sum = sum>>16 + sum&0xFFFF
	}
	return ^uint16(sum)
}

// pathMTU is what a TCP connection that has been accepted at local knows of the path to remote.
func (l loopback) pathMTU(local, remote netip.Addr) (int, error) {
	open := func(a netip.Addr, port int) int {
		fd, err := unix.Socket(familyOf(a).domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Bind(fd, Sockaddr(fd, a, port))
		}
		if err != nil {
			l.fail(err)
		}
		return fd
	}
	const port = 1723
	listener, client := open(local, port), open(remote, 0)
	defer unix.Close(listener)
	defer unix.Close(client)
	err := unix.Listen(listener, 1)
	if err == nil {
		err = unix.Connect(client, Sockaddr(client, local, port))
	}
	if err != nil {
		return 0, err
	}
	accepted, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return 0, err
	}
	defer unix.Close(accepted)
	return PathMTUOf(accepted)
}
