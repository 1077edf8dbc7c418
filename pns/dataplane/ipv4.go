package dataplane

import (
	"encoding/binary"
	"net/netip"
)

// IPv4 (RFC 791), TCP (RFC 9293) and ICMP (RFC 792) as far as the data plane looks into packets.
const (
	ipv4HeaderMin = 20
	protocolICMP  = 1
	protocolTCP   = 6
	protocolUDP   = 17

	flagDontFragment = 0x4000
	flagMore         = 0x2000
	fragmentOffset   = 0x1fff

	tcpHeaderMin = 20
	tcpFlagSYN   = 0x02
	tcpOptionEnd = 0
	tcpOptionNop = 1
	tcpOptionMSS = 2

	icmpUnreachable  = 3
	icmpNoHost       = 1
	icmpFragNeeded   = 4
	icmpHeader       = 8
	icmpQuoted       = 8 // octets of the offending packet beyond its IP header (RFC 792)
	icmpTTL          = 64
	defaultTCPMSS    = 536
	minimumIPv4MTU   = 68 // RFC 791 section 3.2
	minimumFragment  = 8
	ipv4OptionCopied = 0x80
)

// address is an IPv4 address as a number; the keys of the tables are made of it.
type address uint32

func addressOf(a netip.Addr) address {
	b := a.Unmap().As4()
	return address(binary.BigEndian.Uint32(b[:]))
}

func (a address) addr() netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(a))
	return netip.AddrFrom4(b)
}

// unroutable tells of a destination that no packet of a session may have: this network, loopback, multicast, reserved and broadcast.
func (a address) unroutable() bool {
	return a>>24 == 0 || a>>24 == 127 || a >= 0xe0000000
}

// packet is an IPv4 packet whose header has been checked by parseIPv4.
type packet []byte

// parseIPv4 checks version and lengths and cuts off what follows the total length (padding of the link).
func parseIPv4(b []byte) (packet, bool) {
	if len(b) < ipv4HeaderMin || b[0]>>4 != 4 {
		return nil, false
	}
	header, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < ipv4HeaderMin || total < header || total > len(b) {
		return nil, false
	}
	return b[:total], true
}

func (p packet) headerLen() int       { return int(p[0]&0xf) * 4 }
func (p packet) source() address      { return address(binary.BigEndian.Uint32(p[12:])) }
func (p packet) destination() address { return address(binary.BigEndian.Uint32(p[16:])) }
func (p packet) protocol() byte       { return p[9] }
func (p packet) fragment() uint16     { return binary.BigEndian.Uint16(p[6:]) }
func (p packet) dontFragment() bool   { return p.fragment()&flagDontFragment != 0 }
func (p packet) payload() []byte      { return p[p.headerLen():] }

// synMSS returns the TCP header of a SYN segment and where in it the maximum segment size option has its value, or 0.
// Only the first fragment holds a TCP header.
func (p packet) synMSS() (tcp []byte, at int) {
	if p.protocol() != protocolTCP || p.fragment()&fragmentOffset != 0 {
		return nil, 0
	}
	tcp = p.payload()
	if len(tcp) < tcpHeaderMin || tcp[13]&tcpFlagSYN == 0 {
		return nil, 0
	}
	header := int(tcp[12]>>4) * 4
	if header < tcpHeaderMin || header > len(tcp) {
		return nil, 0
	}
	for i := tcpHeaderMin; i < header; {
		switch tcp[i] {
		case tcpOptionEnd:
			return tcp, 0
		case tcpOptionNop:
			i++
			continue
		}
		if i+1 >= header || tcp[i+1] < 2 || i+int(tcp[i+1]) > header {
			return tcp, 0
		}
		if tcp[i] == tcpOptionMSS && tcp[i+1] == 4 {
			return tcp, i + 2
		}
		i += int(tcp[i+1])
	}
	return tcp, 0
}

// clampMSS lowers the maximum segment size of a TCP SYN to what a packet of mtu octets can hold (RFC 879) and reports
// whether it did. It never raises one, and never goes below what everybody must accept.
func (p packet) clampMSS(mtu int) bool {
	tcp, at := p.synMSS()
	if at == 0 {
		return false
	}
	most := max(mtu-ipv4HeaderMin-tcpHeaderMin, minimumIPv4MTU-ipv4HeaderMin-tcpHeaderMin)
	old := binary.BigEndian.Uint16(tcp[at:])
	if int(old) <= most {
		return false
	}
	// The option may stand at an odd offset, where its octets belong to two words of the checksum: then they count swapped.
	was, now := old, uint16(most)
	binary.BigEndian.PutUint16(tcp[at:], now)
	if at&1 == 1 {
		was, now = was<<8|was>>8, now<<8|now>>8
	}
	updateChecksum(tcp[16:18], was, now)
	return true
}

// updateChecksum corrects an Internet checksum for one changed word (RFC 1624, equation 3).
func updateChecksum(field []byte, was, now uint16) {
	sum := uint32(^binary.BigEndian.Uint16(field)) + uint32(^was) + uint32(now)
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(field, ^uint16(sum))
}

// checksum is the Internet checksum of b (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint64
	for len(b) >= 4 {
		sum += uint64(binary.BigEndian.Uint32(b))
		b = b[4:]
	}
	if len(b) >= 2 {
		sum += uint64(binary.BigEndian.Uint16(b)) << 16
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 24
	}
	for sum>>32 != 0 {
		sum = sum>>32 + sum&0xffffffff
	}
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum)
}

// putIPv4 writes a header of 20 octets with its checksum at the start of b.
func putIPv4(b []byte, total int, protocol byte, src, dst address) {
	clear(b[:ipv4HeaderMin])
	b[0] = 4<<4 | ipv4HeaderMin/4
	binary.BigEndian.PutUint16(b[2:], uint16(total))
	b[8] = icmpTTL
	b[9] = protocol
	binary.BigEndian.PutUint32(b[12:], uint32(src))
	binary.BigEndian.PutUint32(b[16:], uint32(dst))
	binary.BigEndian.PutUint16(b[10:], checksum(b[:ipv4HeaderMin]))
}

// mayComplain tells whether an ICMP error about p may be sent at all (RFC 1122 section 3.2.2): not about an ICMP error,
// not about a later fragment, not to or from an address that is not one host's.
func (p packet) mayComplain() bool {
	if p.fragment()&fragmentOffset != 0 || p.source().unroutable() || p.destination().unroutable() {
		return false
	}
	if p.protocol() == protocolICMP {
		icmp := p.payload()
		return len(icmp) > 0 && (icmp[0] == 8 || icmp[0] == 0 || icmp[0] >= 13 && icmp[0] <= 18)
	}
	return true
}

// appendUnreachable appends the ICMP message "destination unreachable" about p, from the router at address from (RFC 792); with
// icmpFragNeeded mtu is that of the next hop (RFC 1191).
func appendUnreachable(dst []byte, p packet, from address, code byte, mtu int) []byte {
	quoted := p[:min(len(p), p.headerLen()+icmpQuoted)]
	total := ipv4HeaderMin + icmpHeader + len(quoted)
	start := len(dst)
	var head [ipv4HeaderMin + icmpHeader]byte
	dst = append(dst, head[:]...)
	dst = append(dst, quoted...)
	b := dst[start:]
	putIPv4(b, total, protocolICMP, from, p.source())
	icmp := b[ipv4HeaderMin:]
	icmp[0], icmp[1] = icmpUnreachable, code
	binary.BigEndian.PutUint16(icmp[6:], uint16(mtu))
	binary.BigEndian.PutUint16(icmp[2:], checksum(icmp))
	return dst
}

// fragmenter cuts one packet into fragments of at most mtu octets (RFC 791 section 2.3). The first keeps all options, the
// others only those with the copy bit.
type fragmenter struct {
	whole  packet
	mtu    int
	offset int    // of the next fragment, in octets of the payload
	later  []byte // header of the fragments after the first
	store  [60]byte
}

func (f *fragmenter) start(p packet, mtu int) {
	f.whole, f.mtu, f.offset = p, max(mtu, minimumIPv4MTU), 0
	f.later = f.store[:0]
	f.later = append(f.later, p[:ipv4HeaderMin]...)
	options := p[ipv4HeaderMin:p.headerLen()]
	for len(options) > 0 {
		switch {
		case options[0] == 0:
			options = nil
			continue
		case options[0] == 1:
			options = options[1:]
			continue
		case len(options) < 2 || options[1] < 2 || int(options[1]) > len(options):
			options = nil
			continue
		}
		if options[0]&ipv4OptionCopied != 0 {
			f.later = append(f.later, options[:options[1]]...)
		}
		options = options[options[1]:]
	}
	for len(f.later)%4 != 0 {
		f.later = append(f.later, 0)
	}
	f.later[0] = 4<<4 | byte(len(f.later)/4)
}

// next writes the next fragment to dst, which must hold mtu octets, and returns its length; 0 when there is no more.
func (f *fragmenter) next(dst []byte) int {
	payload := f.whole.payload()
	if f.offset >= len(payload) {
		return 0
	}
	header := f.later
	if f.offset == 0 {
		header = f.whole[:f.whole.headerLen()]
	}
	size, more := len(payload)-f.offset, f.whole.fragment()&flagMore
	if room := (f.mtu - len(header)) &^ (minimumFragment - 1); size > f.mtu-len(header) {
		size, more = room, flagMore
	}
	n := copy(dst, header)
	n += copy(dst[n:], payload[f.offset:f.offset+size])
	binary.BigEndian.PutUint16(dst[2:], uint16(n))
	at := f.whole.fragment()&fragmentOffset + uint16(f.offset/minimumFragment)
	binary.BigEndian.PutUint16(dst[6:], f.whole.fragment()&flagDontFragment|more|at)
	dst[10], dst[11] = 0, 0
	binary.BigEndian.PutUint16(dst[10:], checksum(dst[:len(header)]))
	f.offset += size
	return n
}

// decrementTTL does what a router does to a packet it passes on; false means that it may go no further.
func (p packet) decrementTTL() bool {
	if p[8] <= 1 {
		return false
	}
	was := binary.BigEndian.Uint16(p[8:])
	p[8]--
	updateChecksum(p[10:12], was, binary.BigEndian.Uint16(p[8:]))
	return true
}
