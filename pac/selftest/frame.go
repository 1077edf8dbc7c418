package selftest

import (
	"bytes"
	"encoding/binary"
	"math"
	"time"
)

const (
	// frameLength is the length of a test frame, in octets without framing.
	frameLength = 128
	// headLength is what precedes the pattern.
	headLength = 20
)

// prefix begins every test frame: the address and control octets of PPP, which no terminal adapter changes, and a protocol number that
// nobody uses (RFC 1661 section 2: 4*** to 7*** is for protocols without a network control protocol).
var prefix = [4]byte{0xff, 0x03, 0x5e, 0x1f}

// frame is a test frame.
type frame struct {
	token   uint32 // of the test: other calls have others
	caller  bool   // the caller's
	counted bool   // not one of those that only look whether the other end is there
	number  uint32 // from 1
	seen    uint32 // number of the last frame that came from the other end; 0: none did
	held    time.Duration
}

// append appends a frame. After its head it has all octets in a row from its number on, control characters and flags among them.
func (f frame) append(dst []byte) []byte {
	dst = append(dst, prefix[:]...)
	dst = binary.BigEndian.AppendUint32(dst, f.token)
	var flags uint16
	if f.caller {
		flags |= 1
	}
	if f.counted {
		flags |= 2
	}
	dst = binary.BigEndian.AppendUint16(dst, flags)
	dst = binary.BigEndian.AppendUint32(dst, f.number)
	dst = binary.BigEndian.AppendUint32(dst, f.seen)
	dst = binary.BigEndian.AppendUint16(dst, uint16(min(f.held.Milliseconds(), math.MaxUint16)))
	for i := headLength; i < frameLength; i++ {
		dst = append(dst, byte(f.number)+byte(i))
	}
	return dst
}

// parse reads a frame; it is false if anything of it is not as append writes it.
func parse(octets []byte) (f frame, ok bool) {
	if len(octets) != frameLength {
		return f, false
	}
	head := octets[len(prefix):]
	flags := binary.BigEndian.Uint16(head[4:])
	f = frame{
		token: binary.BigEndian.Uint32(head), caller: flags&1 != 0, counted: flags&2 != 0,
		number: binary.BigEndian.Uint32(head[6:]), seen: binary.BigEndian.Uint32(head[10:]),
		held: time.Duration(binary.BigEndian.Uint16(head[14:])) * time.Millisecond,
	}
	return f, bytes.Equal(octets, f.append(nil))
}

// isLCP says whether a frame of somebody else is one of the Link Control Protocol, with or without the address and control octets: PPP
// begins with those.
func isLCP(octets []byte) bool {
	octets = bytes.TrimPrefix(octets, prefix[:2])
	return len(octets) >= 6 && octets[0] == 0xc0 && octets[1] == 0x21
}
