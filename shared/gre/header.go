package gre

import (
	"encoding/binary"
	"errors"
)

const (
	// IPProtocol is the protocol number of GRE in the IP header.
	IPProtocol = 47
	// ProtocolType is the protocol type of PPP in enhanced GRE (RFC 2637 section 4.1).
	ProtocolType = 0x880B

	// MinHeader and MaxHeader bound the length of a header in octets: 8, and 4 more each for the sequence number and
	// for the acknowledgement number.
	MinHeader = 8
	MaxHeader = 16

	// MaxPayload is the longest payload that the 16-bit length field can name.
	MaxPayload = 0xFFFF
	// UserDataMTU is the size of the largest PPP packet a tunnel must carry (RFC 2637 section 4): without IP and GRE headers.
	UserDataMTU = 1532
)

// Bits of the first 16 bits of the header (RFC 2637 section 4.1).
const (
	flagSequence = 0x1000
	flagAck      = 0x0080
	// fixedBits are all the others: checksum, routing, key, strict source route, recursion, flags and version.
	fixedBits = 0xEF7F
	// fixedValue: key present, version 1, nothing else.
	fixedValue = 0x2001
)

var (
	// ErrShort: the packet ends within the header.
	ErrShort = errors.New("gre: packet shorter than its header")
	// ErrFlags: the bits that must be fixed (checksum, routing, key, strict source route, recursion, flags, version 1) are not.
	ErrFlags = errors.New("gre: not an enhanced GRE header (flags or version)")
	// ErrProtocolType: the protocol type is not 0x880B.
	ErrProtocolType = errors.New("gre: protocol type is not PPP")
	// ErrPayloadLength: the payload length field names more octets than there are.
	ErrPayloadLength = errors.New("gre: payload length beyond the end of the packet")
)

// Header is the enhanced GRE header (RFC 2637 section 4.1).
type Header struct {
	// PayloadLength is the number of octets after the header, 0 in a packet that only acknowledges.
	PayloadLength uint16
	// CallID was assigned by the receiver of this packet (the low half of the Key field).
	CallID uint16
	// HasSequence says that Sequence is present, as it is in each packet with a payload.
	HasSequence bool
	// HasAck says that Ack is present.
	HasAck bool
	// Sequence counts the packets with payload of one direction of a call, modulo 2^32.
	Sequence uint32
	// Ack is the highest Sequence that the sender of this packet has received.
	Ack uint32
}

// Parse decodes the header at the beginning of b and returns it with the payload, which aliases b. Octets beyond the
// payload length (padding of the link) are cut off. Errors are one of the sentinels of this package, unwrapped, so that
// refusing a packet costs nothing.
func Parse(b []byte) (h Header, payload []byte, err error) {
	if len(b) < MinHeader {
		return Header{}, nil, ErrShort
	}
	flags := binary.BigEndian.Uint16(b)
	if flags&fixedBits != fixedValue {
		return Header{}, nil, ErrFlags
	}
	if binary.BigEndian.Uint16(b[2:]) != ProtocolType {
		return Header{}, nil, ErrProtocolType
	}
	h.PayloadLength = binary.BigEndian.Uint16(b[4:])
	h.CallID = binary.BigEndian.Uint16(b[6:])
	h.HasSequence = flags&flagSequence != 0
	h.HasAck = flags&flagAck != 0
	length := h.Len()
	if len(b) < length {
		return Header{}, nil, ErrShort
	}
	if h.HasSequence {
		h.Sequence = binary.BigEndian.Uint32(b[8:])
	}
	if h.HasAck {
		h.Ack = binary.BigEndian.Uint32(b[length-4:])
	}
	end := length + int(h.PayloadLength)
	if end > len(b) {
		return Header{}, nil, ErrPayloadLength
	}
	return h, b[length:end:end], nil
}

// Len returns the encoded length of the header in octets: 8, 12 or 16.
func (h Header) Len() int {
	n := MinHeader
	if h.HasSequence {
		n += 4
	}
	if h.HasAck {
		n += 4
	}
	return n
}

// Append appends the encoded header to dst. The caller appends PayloadLength octets of payload.
func (h Header) Append(dst []byte) []byte {
	var b [MaxHeader]byte
	return append(dst, b[:h.Put(b[:])]...)
}

// Put encodes the header into the first Len octets of b, which must be that long, and returns Len. With room in front of
// a payload this prepends: h.Put(b[start-h.Len():start]).
func (h Header) Put(b []byte) int {
	n := h.Len()
	_ = b[n-1]
	flags := uint16(fixedValue)
	if h.HasSequence {
		flags |= flagSequence
		binary.BigEndian.PutUint32(b[8:], h.Sequence)
	}
	if h.HasAck {
		flags |= flagAck
		binary.BigEndian.PutUint32(b[n-4:], h.Ack)
	}
	binary.BigEndian.PutUint16(b, flags)
	binary.BigEndian.PutUint16(b[2:], ProtocolType)
	binary.BigEndian.PutUint16(b[4:], h.PayloadLength)
	binary.BigEndian.PutUint16(b[6:], h.CallID)
	return n
}

// Before reports whether sequence number a comes before b, modulo 2^32: half of the numbers lie before any other one.
func Before(a, b uint32) bool { return int32(a-b) < 0 }

// Ack is an acknowledgement on its way from a Receiver to a Sender: a sequence number, or none at all. The zero value is
// none. As a plain 64-bit number it can travel through an atomic.Uint64 between two goroutines.
type Ack uint64

const ackPresent = 1 << 32

// AckOf returns the acknowledgement of everything up to and including sequence.
func AckOf(sequence uint32) Ack { return ackPresent | Ack(sequence) }

// Sequence returns the number acknowledged; ok is false when there is none.
func (a Ack) Sequence() (sequence uint32, ok bool) { return uint32(a), a&ackPresent != 0 }
