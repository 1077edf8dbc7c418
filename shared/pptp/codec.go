package pptp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What can be wrong with a message. They come wrapped with the message, field,
// offset and value; use errors.Is.
var (
	// ErrTruncated: fewer octets than the message's Length says.
	ErrTruncated = errors.New("message is cut short")
	// ErrBadLength: the Length field is out of range, too short for the
	// message type, or not the number of octets given.
	ErrBadLength = errors.New("bad length")
	// ErrBadMessageType: the PPTP Message Type is not 1 (control).
	ErrBadMessageType = errors.New("bad PPTP message type")
	// ErrBadMagic: the magic cookie is wrong, the stream is out of step.
	ErrBadMagic = errors.New("bad magic cookie")
	// ErrUnknownType: the Control Message Type is none of the fifteen. The
	// framing is intact, so the message can be skipped.
	ErrUnknownType = errors.New("unknown control message type")
)

// Message is one control message. Its implementations are pointers to the
// structs of this package.
type Message interface {
	// Type returns the Control Message Type.
	Type() MessageType
	// Append appends the encoded message, header included, to dst.
	Append(dst []byte) []byte
	// Summary returns one line for people, without a newline. It contains
	// telephone numbers if the message does.
	Summary() string
}

// Offsets of the header's fields.
const (
	offsetLength      = 0
	offsetPPTPType    = 2
	offsetMagic       = 4
	offsetControlType = 8
	offsetReserved0   = 10
)

// checkHeader judges as much of a header as b holds, in the order of the
// stream, so that the verdict on a stream does not depend on how it was split.
// It returns the message's length, or 0 while fewer than two octets are there.
//
// A message longer than its type needs passes. RFC 2637 does not say what to
// do with it; pptp-linux accepts it, MPD and accel-ppp close. Nothing is lost
// by accepting: the fields all lie at known offsets, the Length field still
// says where the next message starts, and the cookie there proves it. A
// shorter one cannot be read and closes the connection.
func checkHeader(b []byte) (length int, err error) {
	if len(b) < offsetPPTPType {
		return 0, nil
	}
	length = int(binary.BigEndian.Uint16(b[offsetLength:]))
	if length < HeaderLength || length > MaximumLength {
		return 0, fmt.Errorf("%w: Length at offset 0 is %d, want %d..%d", ErrBadLength, length, HeaderLength, MaximumLength)
	}
	if len(b) < offsetMagic {
		return length, nil
	}
	if t := binary.BigEndian.Uint16(b[offsetPPTPType:]); t != ControlMessage {
		return 0, fmt.Errorf("%w: PPTP Message Type at offset 2 is %d, want %d", ErrBadMessageType, t, ControlMessage)
	}
	if len(b) < offsetControlType {
		return length, nil
	}
	if m := binary.BigEndian.Uint32(b[offsetMagic:]); m != MagicCookie {
		return 0, fmt.Errorf("%w: Magic Cookie at offset 4 is 0x%08x", ErrBadMagic, m)
	}
	if len(b) < offsetReserved0 {
		return length, nil
	}
	t := MessageType(binary.BigEndian.Uint16(b[offsetControlType:]))
	if length < t.Length() {
		return 0, fmt.Errorf("%w: %v: Length at offset 0 is %d, want %d", ErrBadLength, t, length, t.Length())
	}
	return length, nil
}

// Decode decodes one whole message, as the Framer delivers it. The result
// keeps nothing of msg. Octets beyond the length of the message type are
// ignored (checkHeader says why). Errors wrap one of the sentinels; after
// ErrUnknownType the stream can go on, after the others it cannot.
func Decode(msg []byte) (Message, error) {
	if len(msg) < HeaderLength {
		return nil, fmt.Errorf("%w: header has %d of %d octets", ErrTruncated, len(msg), HeaderLength)
	}
	length, err := checkHeader(msg)
	switch {
	case err != nil:
		return nil, err
	case len(msg) < length:
		return nil, fmt.Errorf("%w: %d octets, Length at offset 0 is %d", ErrTruncated, len(msg), length)
	case len(msg) > length:
		return nil, fmt.Errorf("%w: %d octets, Length at offset 0 is %d", ErrBadLength, len(msg), length)
	}
	t := MessageType(binary.BigEndian.Uint16(msg[offsetControlType:]))
	if !t.Known() {
		return nil, fmt.Errorf("%w: Control Message Type at offset 8 is %d", ErrUnknownType, uint16(t))
	}
	m := layouts[t].empty()
	m.decode(reader{b: msg, off: offsetReserved0})
	return m, nil
}

// appendHeader appends the header of a message of type t.
func appendHeader(dst []byte, t MessageType, reserved0 uint16) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(t.Length()))
	dst = binary.BigEndian.AppendUint16(dst, ControlMessage)
	dst = binary.BigEndian.AppendUint32(dst, MagicCookie)
	dst = binary.BigEndian.AppendUint16(dst, uint16(t))
	return binary.BigEndian.AppendUint16(dst, reserved0)
}

// reader takes the fields off a message one after the other. Decode has
// checked that all of them are there.
type reader struct {
	b   []byte
	off int
}

func (r *reader) u8() uint8 {
	v := r.b[r.off]
	r.off++
	return v
}

func (r *reader) u16() uint16 {
	v := binary.BigEndian.Uint16(r.b[r.off:])
	r.off += 2
	return v
}

func (r *reader) u32() uint32 {
	v := binary.BigEndian.Uint32(r.b[r.off:])
	r.off += 4
	return v
}

func (r *reader) text(dst []byte) { r.off += copy(dst, r.b[r.off:]) }

// Short forms for the Append methods.
func put16(dst []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(dst, v) }
func put32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }
