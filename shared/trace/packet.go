package trace

import (
	"encoding/binary"
	"net/netip"

	"trunkline.example/shared/gre"
)

const (
	protocolTCP = 6

	ipv4Header = 20
	ipv6Header = 40
	tcpHeader  = 20
	hops       = 64

	tcpWindow = 0xffff
	tcpPush   = 0x18 // PSH and ACK
)

// appendIP appends an IP header as a packet with so many octets behind it may have had (RFC 791 section 3.1, RFC 8200 section 3): the sockets do
// not tell the true one.
func appendIP(dst []byte, from, to netip.Addr, protocol byte, length int, id uint16) []byte {
	be := binary.BigEndian
	if !from.Is4() {
		b := be.AppendUint32(dst, 6<<28)
		b = be.AppendUint16(b, uint16(length))
		b = append(b, protocol, hops)
		source, destination := from.As16(), to.As16()
		return append(append(b, source[:]...), destination[:]...)
	}
	b := append(dst, 0x45, 0)
	b = be.AppendUint16(b, uint16(ipv4Header+length))
	b = be.AppendUint16(b, id)
	b = append(b, 0, 0, hops, protocol, 0, 0)
	source, destination := from.As4(), to.As4()
	b = append(append(b, source[:]...), destination[:]...)
	header := b[len(dst):]
	be.PutUint16(header[10:], checksum(0, header))
	return b
}

// appendGRE appends a GRE packet in IP.
func appendGRE(dst []byte, from, to netip.Addr, packet []byte, id uint16) []byte {
	return append(appendIP(dst, from, to, gre.IPProtocol, len(packet), id), packet...)
}

// appendTCP appends a TCP segment in IP (RFC 9293 section 3.1).
func appendTCP(dst []byte, from, to netip.AddrPort, sequence, ack uint32, data []byte, id uint16) []byte {
	be := binary.BigEndian
	length := tcpHeader + len(data)
	b := appendIP(dst, from.Addr(), to.Addr(), protocolTCP, length, id)
	start := len(b)
	b = be.AppendUint16(b, from.Port())
	b = be.AppendUint16(b, to.Port())
	b = be.AppendUint32(b, sequence)
	b = be.AppendUint32(b, ack)
	b = append(b, tcpHeader/4<<4, tcpPush)
	b = be.AppendUint16(b, tcpWindow)
	b = append(b, 0, 0, 0, 0)
	b = append(b, data...)
	pseudo := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
	pseudo = be.AppendUint32(pseudo, uint32(length))
	pseudo = be.AppendUint32(pseudo, protocolTCP)
	be.PutUint16(b[start+16:], checksum(sum(0, pseudo), b[start:]))
	return b
}

// checksum is the Internet checksum (RFC 1071).
func checksum(begin uint32, b []byte) uint16 {
	s := sum(begin, b)
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

func sum(s uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) > 0 {
		s += uint32(b[0]) << 8
	}
	return s
}

// appendText appends text in the form in which Wireshark hands it to a dissector by name: tags of two octets and a length of two octets, in
// which a name's is a multiple of four, up to a tag of 0.
func appendText(dst []byte, text string) []byte {
	const dissectorTag, dissector = 12, "syslog\x00\x00"
	b := binary.BigEndian.AppendUint16(dst, dissectorTag)
	b = binary.BigEndian.AppendUint16(b, uint16(len(dissector)))
	b = append(b, dissector...)
	return append(append(b, 0, 0, 0, 0), text...)
}
