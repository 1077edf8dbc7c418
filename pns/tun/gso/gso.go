// Package gso cuts runs of IPv4 packets apart and puts them together, as the kernel's segmentation offload hands them over a TUN
// interface: many segments of one TCP connection, or datagrams of one UDP flow, as one packet of up to 64 KB behind a virtio
// header (Virtual I/O Device 1.2 section 5.1.6). Nothing here allocates for a packet.
package gso

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// HeaderLength is the length of a virtio header in octets, and MaxPacket that of the longest packet behind it.
const (
	HeaderLength = 10
	MaxPacket    = 65535
)

// ErrDamaged tells of a packet of the kernel's that is not what its virtio header says, or of a kind that was not asked for.
var ErrDamaged = errors.New("packet does not suit its virtio header")

// Of the virtio header.
const (
	flagNeedsChecksum = 1
	kindNone          = 0
	kindTCPv4         = 1
	kindUDP           = 5
)

// Of IPv4 (RFC 791), TCP (RFC 9293) and UDP (RFC 768).
const (
	ipHeader  = 20
	tcpHeader = 20
	udpHeader = 8
	maxHeader = ipHeader + 60

	protocolTCP = 6
	protocolUDP = 17

	flagDontFragment = 0x4000
	fragmented       = 0x3fff // more to come, or not the first

	tcpSequence     = 4 // where in the header
	tcpAcknowledged = 8
	tcpOffset       = 12
	tcpFlags        = 13
	tcpWindow       = 14
	tcpChecksum     = 16
	tcpUrgent       = 18
	udpLength       = 4
	udpChecksum     = 6
	tcpFIN          = 0x01
	tcpPSH          = 0x08
	tcpACK          = 0x10
	tcpCWR          = 0x80
	maxDatagrams    = 64 // in a run; kernels take no more
	sourceAndDest   = 12 // where in an IPv4 header the addresses begin
)

// virtio is a virtio header.
type virtio struct {
	flags, kind                                    uint8
	header, size, checksumStart, checksumFromStart uint16
}

func (v *virtio) decode(b []byte) {
	v.flags, v.kind = b[0], b[1]
	v.header, v.size = binary.NativeEndian.Uint16(b[2:]), binary.NativeEndian.Uint16(b[4:])
	v.checksumStart, v.checksumFromStart = binary.NativeEndian.Uint16(b[6:]), binary.NativeEndian.Uint16(b[8:])
}

func (v *virtio) put(b []byte) {
	b[0], b[1] = v.flags, v.kind
	binary.NativeEndian.PutUint16(b[2:], v.header)
	binary.NativeEndian.PutUint16(b[4:], v.size)
	binary.NativeEndian.PutUint16(b[6:], v.checksumStart)
	binary.NativeEndian.PutUint16(b[8:], v.checksumFromStart)
}

// sum adds octets to a sum of 16-bit words (RFC 1071); an odd number of them only at the end.
func sum(b []byte, s uint64) uint64 {
	var c uint64
	for len(b) >= 32 {
		s, c = bits.Add64(s, binary.BigEndian.Uint64(b), 0)
		s, c = bits.Add64(s, binary.BigEndian.Uint64(b[8:]), c)
		s, c = bits.Add64(s, binary.BigEndian.Uint64(b[16:]), c)
		s, c = bits.Add64(s, binary.BigEndian.Uint64(b[24:]), c)
		s += c
		b = b[32:]
	}
	s = s>>32 + s&0xffffffff
	for ; len(b) >= 4; b = b[4:] {
		s += uint64(binary.BigEndian.Uint32(b))
	}
	if len(b) >= 2 {
		s += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) > 0 {
		s += uint64(b[0]) << 8
	}
	return s
}

// fold makes 16 bits of a sum.
func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// pseudo is the sum of the pseudo-header of so many octets of TCP or UDP.
func pseudo(ip []byte, protocol byte, length int) uint64 {
	return sum(ip[sourceAndDest:ipHeader], uint64(protocol)+uint64(length))
}

// putIPChecksum makes an IPv4 header's checksum anew.
func putIPChecksum(header []byte) {
	header[10], header[11] = 0, 0
	binary.BigEndian.PutUint16(header[10:], ^fold(sum(header, 0)))
}
