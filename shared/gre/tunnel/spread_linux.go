package tunnel

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// source is the control message (IP_PKTINFO, IPV6_PKTINFO) that names our address of a packet of a socket of all addresses: the source
// of one to be sent, the destination of one over IPv6 that was received.
type source struct {
	header unix.Cmsghdr
	info   [24]byte // unix.Inet4Pktinfo or unix.Inet6Pktinfo, and what alignment adds
}

const (
	infoSource = 4                           // unix.Inet4Pktinfo.Spec_dst
	infoIndex  = unix.SizeofInet6Pktinfo - 4 // unix.Inet6Pktinfo.Ifindex
)

// attach makes it part of a message to be sent.
func (c *source) attach(f *family, h *unix.Msghdr) {
	c.header.Level, c.header.Type = int32(f.level), int32(f.info)
	c.header.SetLen(unix.CmsgLen(f.infoSize))
	c.receive(h)
	h.SetControllen(unix.CmsgSpace(f.infoSize))
}

// receive makes it the place for what comes with a message.
func (c *source) receive(h *unix.Msghdr) {
	h.Control = (*byte)(unsafe.Pointer(c))
	h.SetControllen(int(unsafe.Sizeof(*c)))
}

// set names the address; one that is not of the socket's family leaves the choice to the system.
func (c *source) set(f *family, local netip.Addr) {
	clear(c.info[:])
	switch local = local.Unmap(); {
	case !local.IsValid() || familyOf(local) != f:
	case f == &ipv4:
		a := local.As4()
		copy(c.info[infoSource:], a[:])
	default:
		a := local.As16()
		copy(c.info[:], a[:])
	}
}

// destination is that of packet i of the batch just received, which lies in b; invalid if the system does not say.
func (s *Socket) destination(i int, b []byte) netip.Addr {
	if s.family == &ipv4 {
		return netip.AddrFrom4([4]byte(b[16:20]))
	}
	c := &s.rx.ours[i]
	if s.rx.messages[i].header.Controllen < uint64(unix.CmsgLen(unix.SizeofInet6Pktinfo)) || c.header.Level != int32(ipv6.level) || c.header.Type != int32(ipv6.info) {
		return netip.Addr{}
	}
	a := netip.AddrFrom16([16]byte(c.info[:16]))
	if a.IsLinkLocalUnicast() {
		a = a.WithZone(s.zoneName(binary.NativeEndian.Uint32(c.info[infoIndex:])))
	}
	return a
}

// spread lets a socket of all addresses of IPv6 know whom a packet is for, and send from addresses that the host has by a route only. IPv4
// wants neither.
func (f *family) spread(fd int) error {
	if f == &ipv4 {
		return nil
	}
	if err := unix.SetsockoptInt(fd, f.level, unix.IPV6_RECVPKTINFO, 1); err != nil {
		return fmt.Errorf("have destinations told: %w", err)
	}
	if err := unix.SetsockoptInt(fd, f.level, unix.IPV6_FREEBIND, 1); err != nil {
		return fmt.Errorf("send from any address: %w", err)
	}
	return nil
}

// TryReadBatch is ReadBatch without waiting: it returns 0 when there is nothing, or nothing sound.
func (s *Socket) TryReadBatch(batch []Packet) (int, error) {
	if len(batch) == 0 {
		return 0, nil
	}
	s.rx.prepare(batch)
	s.rx.tried = true // whoever asks was woken
	if err := s.raw.Control(s.rx.try); err != nil {
		return 0, s.failed(err)
	}
	return s.finish(batch)
}

// SyscallConn gives access to the descriptor, for an event loop that waits for it itself and then calls TryReadBatch.
func (s *Socket) SyscallConn() (syscall.RawConn, error) { return s.raw, nil }
