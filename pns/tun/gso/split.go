package gso

import "encoding/binary"

// Splitter cuts a packet of the kernel's into those it stands for. The zero value has none.
type Splitter struct {
	header  [maxHeader + 40]byte // of IP and transport, of the next packet; IP may have options
	length  int                  // of it
	ip      int                  // of it
	payload []byte               // of the packets still to come
	size    int                  // octets of it in each packet
	tcp     bool
	whole   []byte // a packet that stands for itself
}

// Start takes what was read: a virtio header and a packet. It stays in use until Next has returned 0. What was left of an
// earlier one is forgotten. The error is ErrDamaged.
func (s *Splitter) Start(b []byte) error {
	s.whole, s.payload = nil, nil
	if len(b) <= HeaderLength {
		return ErrDamaged
	}
	var v virtio
	v.decode(b)
	packet := b[HeaderLength:]
	switch {
	case v.kind != kindNone:
		return s.cut(&v, packet)
	case v.flags&flagNeedsChecksum == 0:
	case !complete(&v, packet):
		return ErrDamaged
	}
	s.whole = packet
	return nil
}

// complete makes the checksum that the kernel has left to us: the field has the pseudo-header's.
func complete(v *virtio, packet []byte) bool {
	start, field := int(v.checksumStart), int(v.checksumStart)+int(v.checksumFromStart)
	if field+2 > len(packet) {
		return false
	}
	putChecksum(packet[field:], fold(sum(packet[start:], 0)))
	return true
}

// putChecksum writes the complement of a sum, which is never 0: UDP means by that that there is none.
func putChecksum(field []byte, s uint16) {
	if s != 0xffff {
		s = ^s
	}
	binary.BigEndian.PutUint16(field, s)
}

// cut prepares the headers of a run. Where the transport's begins the virtio header says, its length that header itself: the
// virtio header's may be too long if the packet was forwarded.
func (s *Splitter) cut(v *virtio, packet []byte) error {
	s.ip = int(v.checksumStart)
	if len(packet) < ipHeader || packet[0]>>4 != 4 || int(packet[0]&0xf)*4 != s.ip || s.ip < ipHeader || v.size == 0 {
		return ErrDamaged
	}
	switch {
	case v.kind == kindTCPv4 && packet[9] == protocolTCP && len(packet) >= s.ip+tcpHeader:
		s.tcp, s.length = true, s.ip+int(packet[s.ip+tcpOffset]>>4)*4
		if s.length < s.ip+tcpHeader {
			return ErrDamaged
		}
	case v.kind == kindUDP && packet[9] == protocolUDP:
		s.tcp, s.length = false, s.ip+udpHeader
	default:
		return ErrDamaged
	}
	if len(packet) <= s.length {
		return ErrDamaged
	}
	copy(s.header[:], packet[:s.length])
	s.payload, s.size = packet[s.length:], int(v.size)
	return nil
}

// Next writes the next packet to buf and returns its length in octets, 0 when there is none any more. A packet that is longer than buf
// is passed over: its length is returned, but nothing is written.
func (s *Splitter) Next(buf []byte) int {
	if s.whole != nil {
		n := len(s.whole)
		if n <= len(buf) {
			copy(buf, s.whole)
		}
		s.whole = nil
		return n
	}
	if len(s.payload) == 0 {
		return 0
	}
	part := s.payload[:min(s.size, len(s.payload))]
	s.payload = s.payload[len(part):]
	n := s.length + len(part)
	if n <= len(buf) {
		copy(buf, s.header[:s.length])
		copy(buf[s.length:], part)
		s.finish(buf[:n])
	}
	s.advance(len(part))
	return n
}

// finish makes lengths and checksums of one packet, and takes off flags that are the last one's.
func (s *Splitter) finish(packet []byte) {
	binary.BigEndian.PutUint16(packet[2:], uint16(len(packet)))
	putIPChecksum(packet[:s.ip])
	transport, field := packet[s.ip:], udpChecksum
	if s.tcp {
		field = tcpChecksum
		if len(s.payload) > 0 {
			transport[tcpFlags] &^= tcpFIN | tcpPSH
		}
	} else {
		binary.BigEndian.PutUint16(transport[udpLength:], uint16(len(transport)))
	}
	transport[field], transport[field+1] = 0, 0
	putChecksum(transport[field:], fold(sum(transport, pseudo(packet, packet[9], len(transport)))))
}

// advance makes the header that of the next packet.
func (s *Splitter) advance(octets int) {
	id := s.header[4:6]
	binary.BigEndian.PutUint16(id, binary.BigEndian.Uint16(id)+1)
	if !s.tcp {
		return
	}
	sequence := s.header[s.ip+tcpSequence:]
	binary.BigEndian.PutUint32(sequence, binary.BigEndian.Uint32(sequence)+uint32(octets))
	s.header[s.ip+tcpFlags] &^= tcpCWR
}
