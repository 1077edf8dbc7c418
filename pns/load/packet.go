package load

import (
	"encoding/binary"
	"math/bits"
)

// IPv4, ICMP echo and UDP (RFC 791, 792, 768), as far as the traffic needs them.
const (
	ipHeader        = 20
	icmpHeader      = 8
	udpHeader       = 8
	protocolICMP    = 1
	protocolUDP     = 17
	icmpEchoReply   = 0
	icmpEchoRequest = 8
	hops            = 64
)

// putIP writes the header of a packet that fills b.
func putIP(b []byte, protocol byte, identification uint16, from, to [4]byte) {
	b[0], b[1] = 0x45, 0
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	binary.BigEndian.PutUint16(b[4:], identification)
	b[6], b[7], b[8], b[9], b[10], b[11] = 0, 0, hops, protocol, 0, 0
	copy(b[12:], from[:])
	copy(b[16:], to[:])
	binary.BigEndian.PutUint16(b[10:], checksum(b[:ipHeader], 0))
}

// packet is an IPv4 packet that has been looked at.
type packet struct {
	from, to [4]byte
	protocol byte
	payload  []byte
}

// parseIP reads a packet; fragments, and what is no sound IPv4, are not ok.
func parseIP(b []byte) (p packet, ok bool) {
	if len(b) < ipHeader || b[0]>>4 != 4 {
		return p, false
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	const fragment = 0x3FFF
	if header < ipHeader || total < header || total > len(b) || binary.BigEndian.Uint16(b[6:])&fragment != 0 {
		return p, false
	}
	return packet{from: [4]byte(b[12:16]), to: [4]byte(b[16:20]), protocol: b[9], payload: b[header:total]}, true
}

// checksum is the Internet checksum (RFC 1071) over b, with sum already added; eight octets at a time.
func checksum(b []byte, sum uint64) uint16 {
	var carry uint64
	for ; len(b) >= 8; b = b[8:] {
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b), carry)
	}
	var rest [8]byte
	copy(rest[:], b)
	sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(rest[:]), carry)
	sum, carry = bits.Add64(sum, 0, carry)
	sum += carry
	for sum>>16 != 0 {
		sum = sum&0xFFFF + sum>>16
	}
	return ^uint16(sum)
}

// pseudo is the sum of the pseudo header that UDP's checksum covers.
func pseudo(from, to [4]byte, length int) uint64 {
	return uint64(binary.BigEndian.Uint32(from[:])) + uint64(binary.BigEndian.Uint32(to[:])) + protocolUDP + uint64(length)
}
