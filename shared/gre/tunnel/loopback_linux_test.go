package tunnel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/gre"
)

// inNamespace runs f on a thread in a network namespace of its own with the loopback interface up. Sockets opened by f
// stay there.
func inNamespace(t testing.TB, f func(loopback)) {
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
		l := loopback{t}
		l.up()
		f(l)
	}()
	<-done
	if t.Failed() {
		t.FailNow()
	}
}

// loopback is the interface lo of the namespace.
type loopback struct{ t testing.TB }

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

func (l loopback) up() { l.ioctl(unix.SIOCSIFFLAGS, unix.IFF_UP|unix.IFF_RUNNING) }

func (l loopback) mtu(n int) { l.ioctl(unix.SIOCSIFMTU, uint32(n)) }

func (l loopback) fail(v ...any) { l.t.Helper(); l.t.Error(v...) }

func (l loopback) listen(cfg Config) *Socket {
	l.t.Helper()
	s, err := Listen(cfg)
	if err != nil {
		l.t.Error(err)
		runtime.Goexit()
	}
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
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	if err != nil {
		l.fail(err)
		return
	}
	defer unix.Close(fd)
	source, destination := to.As4(), from.As4()
	quoted := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, gre.IPProtocol, 0, 0}
	binary.BigEndian.PutUint16(quoted[2:], uint16(20+len(about)))
	quoted = append(append(append(quoted, source[:]...), destination[:]...), about...)
	message := append([]byte{3, code, 0, 0, 0, 0, 0, 0}, quoted...)
	var sum uint32
	for i := 0; i+1 < len(message); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(message[i:]))
	}
	for sum > 0xFFFF {
		sum = sum>>16 + sum&0xFFFF
	}
	binary.BigEndian.PutUint16(message[2:], ^uint16(sum))
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: destination}), unix.Sendto(fd, message, 0, &unix.SockaddrInet4{Addr: source})); err != nil {
		l.fail(err)
	}
}
