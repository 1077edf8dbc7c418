package peer

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

// IPv4, ICMP and UDP (RFC 791, 792, 768), as far as a host that echoes needs them.
const (
	ipHeader      = 20
	icmpHeader    = 8
	udpHeader     = 8
	protocolICMP  = 1
	protocolUDP   = 17
	moreFragments = 0x2000
	offsetMask    = 0x1FFF
	firstHops     = 64 // time to live that is sent

	icmpEchoReply   = 0
	icmpUnreachable = 3
	icmpEchoRequest = 8
	icmpPort        = 3 // code of unreachable
)

// ip is an IPv4 packet. payload aliases what it was parsed from.
type ip struct {
	source, destination netip.Addr
	protocol, hops      byte
	identification      uint16
	offset              int // of this fragment, in octets
	more                bool
	payload             []byte
}

// parseIP reads a packet; octets beyond its length are padding.
func parseIP(b []byte) (ip, bool) {
	if len(b) < ipHeader || b[0]>>4 != 4 {
		return ip{}, false
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < ipHeader || total < header || total > len(b) || checksum(b[:header], 0) != 0 {
		return ip{}, false
	}
	fragment := binary.BigEndian.Uint16(b[6:])
	p := ip{
		source: netip.AddrFrom4([4]byte(b[12:])), destination: netip.AddrFrom4([4]byte(b[16:])),
		protocol: b[9], hops: b[8], identification: binary.BigEndian.Uint16(b[4:]),
		offset: int(fragment&offsetMask) * 8, more: fragment&moreFragments != 0, payload: b[header:total],
	}
	return p, p.offset+len(p.payload) <= 0xFFFF-ipHeader
}

// append appends the packet with a header of its own.
func (p ip) append(dst []byte) []byte {
	at := len(dst)
	fragment := uint16(p.offset / 8)
	if p.more {
		fragment |= moreFragments
	}
	source, destination := p.source.As4(), p.destination.As4()
	dst = append(dst, 0x45, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(ipHeader+len(p.payload)))
	dst = binary.BigEndian.AppendUint16(dst, p.identification)
	dst = binary.BigEndian.AppendUint16(dst, fragment)
	dst = append(dst, p.hops, p.protocol, 0, 0)
	dst = append(dst, source[:]...)
	dst = append(dst, destination[:]...)
	binary.BigEndian.PutUint16(dst[at+10:], checksum(dst[at:], 0))
	return append(dst, p.payload...)
}

// checksum is the Internet checksum over b, with sum already added (RFC 1071).
func checksum(b []byte, sum uint32) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xFFFF + sum>>16
	}
	return ^uint16(sum)
}

// pseudo is the sum of the pseudo header that UDP's checksum covers.
func pseudo(source, destination netip.Addr, protocol byte, length int) uint32 {
	s, d := source.As4(), destination.As4()
	return uint32(binary.BigEndian.Uint16(s[:])) + uint32(binary.BigEndian.Uint16(s[2:])) +
		uint32(binary.BigEndian.Uint16(d[:])) + uint32(binary.BigEndian.Uint16(d[2:])) + uint32(protocol) + uint32(length)
}

// sendIP sends a payload, in fragments if it does not fit.
func (p *Peer) sendIP(destination netip.Addr, protocol byte, payload []byte) {
	n := p.s.Network
	if n == nil {
		p.s.Counters.QueueDropped++
		return
	}
	packet := ip{source: n.LocalAddress, destination: destination, protocol: protocol, hops: firstHops, identification: p.s.Identification}
	p.s.Identification++
	room := max(int(n.MTU)-ipHeader, 8)
	for {
		if len(payload) <= room {
			packet.more, packet.payload = false, payload
			p.queue(packet.append(nil))
			return
		}
		cut := room &^ 7
		packet.more, packet.payload = true, payload[:cut]
		p.queue(packet.append(nil))
		packet.offset += cut
		payload = payload[cut:]
	}
}

// receiveIP takes a packet off the link.
func (p *Peer) receiveIP(now time.Time, b []byte) {
	packet, ok := parseIP(b)
	if !ok {
		p.s.Counters.Malformed++
		return
	}
	p.s.Counters.ReceivedPackets++
	p.s.Counters.ReceivedOctets += uint64(len(packet.payload) + ipHeader)
	if packet.destination != p.s.Network.LocalAddress || !packet.source.IsValid() || packet.source.IsMulticast() || packet.source.IsUnspecified() {
		p.s.Counters.Foreign++
		return
	}
	if packet.offset != 0 || packet.more {
		if packet.payload, ok = p.reassemble(now, packet); !ok {
			return
		}
	}
	switch packet.protocol {
	case protocolICMP:
		p.icmp(now, packet)
	case protocolUDP:
		p.udp(now, packet, b[:min(len(b), int(b[0]&15)*4+udpHeader)])
	}
}

// icmp answers echo requests and takes replies and errors.
func (p *Peer) icmp(now time.Time, packet ip) {
	m := packet.payload
	if len(m) < icmpHeader || checksum(m, 0) != 0 {
		p.s.Counters.Malformed++
		return
	}
	switch m[0] {
	case icmpEchoRequest:
		if !p.cfg.Silent {
			p.s.Counters.EchoesAnswered++
			p.sendICMP(packet.source, icmpEchoReply, 0, [4]byte(m[4:]), m[icmpHeader:])
		}
	case icmpEchoReply:
		id, sequence := binary.BigEndian.Uint16(m[4:]), binary.BigEndian.Uint16(m[6:])
		p.replied(now, ICMPEcho, id, uint32(sequence), packet, m[icmpHeader:])
	case icmpUnreachable:
		p.unreachable(now, m[1], m[icmpHeader:])
	}
}

func (p *Peer) sendICMP(to netip.Addr, kind, code byte, rest [4]byte, data []byte) {
	m := make([]byte, icmpHeader, icmpHeader+len(data))
	m[0], m[1] = kind, code
	copy(m[4:], rest[:])
	m = append(m, data...)
	binary.BigEndian.PutUint16(m[2:], checksum(m, 0))
	p.sendIP(to, protocolICMP, m)
}

const portEcho = 7 // RFC 862

// udp echoes, delivers to a probe or to the owner, or says that nobody is there.
// quote is the start of the packet it came in, for the last case.
func (p *Peer) udp(now time.Time, packet ip, quote []byte) {
	m := packet.payload
	if len(m) < udpHeader {
		p.s.Counters.Malformed++
		return
	}
	from, to := binary.BigEndian.Uint16(m), binary.BigEndian.Uint16(m[2:])
	length := int(binary.BigEndian.Uint16(m[4:]))
	summed := binary.BigEndian.Uint16(m[6:]) != 0
	if length < udpHeader || length > len(m) || summed && checksum(m[:length], pseudo(packet.source, packet.destination, protocolUDP, length)) != 0 {
		p.s.Counters.Malformed++
		return
	}
	payload := m[udpHeader:length]
	switch {
	case to == portEcho && !p.cfg.Silent && from != portEcho: // never echo an echo
		p.s.Counters.EchoesAnswered++
		p.sendUDP(portEcho, netip.AddrPortFrom(packet.source, from), payload)
	case p.probeOfPort(to) != nil:
		if len(payload) < sequenceLength {
			p.s.Counters.Malformed++
			return
		}
		p.replied(now, UDPEcho, to-firstPort, binary.BigEndian.Uint32(payload), packet, payload)
	case slices.Contains(p.cfg.Ports, to):
		p.act(Datagram{netip.AddrPortFrom(packet.source, from), netip.AddrPortFrom(packet.destination, to), slices.Clone(payload)})
	default:
		p.s.Counters.Unreachable++
		if !p.cfg.Silent && packet.offset == 0 && !packet.more {
			p.sendICMP(packet.source, icmpUnreachable, icmpPort, [4]byte{}, quote)
		}
	}
}

// SendUDP sends a datagram, in fragments if need be. Errors: ErrDown, and ErrProbe for a
// payload above MaxSize or an address that is not IPv4.
func (p *Peer) SendUDP(_ time.Time, from uint16, to netip.AddrPort, payload []byte) error {
	switch {
	case p.s.Network == nil:
		return ErrDown
	case !to.Addr().Is4() || len(payload) > MaxSize:
		return ErrProbe
	}
	p.sendUDP(from, to, payload)
	return nil
}

func (p *Peer) sendUDP(from uint16, to netip.AddrPort, payload []byte) {
	if p.s.Network == nil {
		p.s.Counters.QueueDropped++
		return
	}
	length := udpHeader + len(payload)
	m := make([]byte, 0, length)
	m = binary.BigEndian.AppendUint16(m, from)
	m = binary.BigEndian.AppendUint16(m, to.Port())
	m = binary.BigEndian.AppendUint16(m, uint16(length))
	m = append(m, 0, 0)
	m = append(m, payload...)
	sum := checksum(m, pseudo(p.s.Network.LocalAddress, to.Addr(), protocolUDP, length))
	if sum == 0 {
		sum = 0xFFFF // zero would mean that there is none
	}
	binary.BigEndian.PutUint16(m[6:], sum)
	p.sendIP(to.Addr(), protocolUDP, m)
}
