package dataplane

import "encoding/binary"

// A far end that gives us an address knows us by that one only, and it may be another one in each call. Whoever is behind us knows the
// server's own. So the one is put for the other in packets that leave and come, as a NAT router would do (RFC 3022 section 4.1), and the
// host's routes, connections and firewall need not change with each call.

// Where in a packet the checksum stands that covers the addresses, from the transport header on.
const (
	protocolDCCP    = 33
	protocolUDPLite = 136

	checksumTCP  = 16
	checksumUDP  = 6
	checksumICMP = 2

	sourceAt      = 12
	destinationAt = 16
	ipChecksum    = 10
)

// translate puts an address in place of that at the offset in the IP header, and corrects the checksums that cover it. In an ICMP
// error it does the same to the quoted packet, in which our address stands on the other side.
func (p packet) translate(at int, to address) {
	from := address(binary.BigEndian.Uint32(p[at:]))
	p.readdress(at, to)
	if p.fragment()&fragmentOffset != 0 {
		return
	}
	body := p.payload()
	switch p.protocol() {
	case protocolTCP:
		correct(body, checksumTCP, from, to)
	case protocolUDP, protocolUDPLite:
		correctUDP(body, from, to)
	case protocolDCCP:
		correct(body, checksumUDP, from, to)
	case protocolICMP:
		translateQuoted(body, sourceAt+destinationAt-at, from, to)
	}
}

// readdress changes an address and the header's checksum.
func (p packet) readdress(at int, to address) {
	from := address(binary.BigEndian.Uint32(p[at:]))
	binary.BigEndian.PutUint32(p[at:], uint32(to))
	correct(p, ipChecksum, from, to)
}

// translateQuoted changes the packet that an ICMP error quotes. The ICMP checksum covers all of it (RFC 792).
func translateQuoted(icmp []byte, at int, from, to address) {
	if len(icmp) < icmpHeader+ipv4HeaderMin || !icmpQuotes(icmp[0]) {
		return
	}
	quoted := packet(icmp[icmpHeader:])
	header := quoted.headerLen()
	if quoted[0]>>4 != 4 || header < ipv4HeaderMin || header > len(quoted) || binary.BigEndian.Uint32(quoted[at:]) != uint32(from) {
		return
	}
	before := ^checksum(icmp)
	quoted.readdress(at, to)
	if quoted.fragment()&fragmentOffset == 0 {
		switch body := quoted[header:]; quoted.protocol() {
		case protocolTCP:
			correct(body, checksumTCP, from, to)
		case protocolUDP, protocolUDPLite:
			correctUDP(body, from, to)
		}
	}
	updateChecksum(icmp[checksumICMP:checksumICMP+2], before, ^checksum(icmp))
}

// icmpQuotes tells the types of ICMP messages that quote a packet: unreachable, source quench, redirect, time exceeded, bad parameter.
func icmpQuotes(kind byte) bool {
	switch kind {
	case icmpUnreachable, 4, 5, 11, 12:
		return true
	}
	return false
}

// correctUDP is correct for UDP, whose checksum of 0 means none.
func correctUDP(body []byte, from, to address) {
	if len(body) < checksumUDP+2 || binary.BigEndian.Uint16(body[checksumUDP:]) == 0 {
		return
	}
	correct(body, checksumUDP, from, to)
	if binary.BigEndian.Uint16(body[checksumUDP:]) == 0 {
		binary.BigEndian.PutUint16(body[checksumUDP:], 0xffff)
	}
}

// correct changes the checksum at an offset for one address in place of another, if it is there (a quoted packet may be cut off).
func correct(b []byte, at int, from, to address) {
	if at+2 > len(b) {
		return
	}
	updateChecksum(b[at:at+2], uint16(from>>16), uint16(to>>16))
	updateChecksum(b[at:at+2], uint16(from), uint16(to))
}
