package tunnel

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// source is the control message (IP_PKTINFO) that names the source address of a packet of a socket of all addresses.
type source struct {
	header unix.Cmsghdr
	info   unix.Inet4Pktinfo
}

// attach makes it part of a message.
func (c *source) attach(h *unix.Msghdr) {
	c.header.Level, c.header.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
	c.header.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
	h.Control = (*byte)(unsafe.Pointer(c))
	h.SetControllen(unix.CmsgSpace(unix.SizeofInet4Pktinfo))
}

// set names the address; one that is not IPv4 leaves the choice to the system.
func (c *source) set(local netip.Addr) {
	c.info.Spec_dst = [4]byte{}
	if local = local.Unmap(); local.Is4() {
		c.info.Spec_dst = local.As4()
	}
}

// destination is that of an IPv4 packet that has been looked at.
func destination(ip []byte) netip.Addr { return netip.AddrFrom4([4]byte(ip[16:20])) }

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
