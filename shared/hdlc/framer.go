package hdlc

import "time"

const (
	flag    = 0x7E // begins and ends a frame
	escape  = 0x7D // the next octet is complemented in bit 5
	flipBit = 0x20

	address = 0xFF // all stations
	control = 0x03 // unnumbered information

	// DefaultACCM is the map before anything was negotiated: all control characters are escaped (RFC 1662 section 7.1).
	DefaultACCM = 0xFFFFFFFF

	// flagInterval is how long after a closing flag the next frame may do without an opening one; later there may have been
	// noise in between (RFC 1662 section 4.3 asks for an opening flag after about a second).
	flagInterval = time.Second
)

// FramerState is a Framer as plain data.
type FramerState struct {
	// SendACCM is the map of the octets below 0x20 to be escaped: bit n for octet n.
	SendACCM uint32
	// Flagged is when the last closing flag was sent; the zero time is never.
	Flagged time.Time
	// Frames and Octets count what was framed and the octets that made on the line.
	Frames, Octets uint64
}

// Framer is the sending direction of one line. It is not safe for concurrent use.
type Framer struct{ s FramerState }

// NewFramer returns a Framer with the default map.
func NewFramer() *Framer { return RestoreFramer(FramerState{SendACCM: DefaultACCM}) }

// RestoreFramer returns a Framer that goes on where State left off.
func RestoreFramer(s FramerState) *Framer { return &Framer{s} }

// State returns a copy of everything the Framer knows.
func (f *Framer) State() FramerState { return f.s }

// SetSendACCM sets the map for all frames from now on.
func (f *Framer) SetSendACCM(accm uint32) { f.s.SendACCM = accm }

// Append appends one frame as octets for the line to dst; frame is as for AppendFrame. The opening flag is left out when the
// closing flag of the frame before serves.
func (f *Framer) Append(now time.Time, dst, frame []byte) []byte {
	start := len(dst)
	if f.s.Flagged.IsZero() || now.Sub(f.s.Flagged) >= flagInterval {
		dst = append(dst, flag)
	}
	dst = appendBody(dst, frame, f.s.SendACCM)
	f.s.Flagged = now
	f.s.Frames++
	f.s.Octets += uint64(len(dst) - start)
	return dst
}

// AppendFrame appends one frame as octets for the line to dst, with both flags. frame is a PPP packet from address and
// control, or from the protocol where they were left out, to the end of the information. sendACCM is ignored for LCP packets with
// codes 1 to 7: they are sent with the default map and with address and control, so that they can be read whatever
// was negotiated (RFC 1662 section 7, RFC 1661 section 5).
func AppendFrame(dst, frame []byte, sendACCM uint32) []byte {
	return appendBody(append(dst, flag), frame, sendACCM)
}

// MaxEncoded returns how many octets a frame of n octets has on the line at most.
func MaxEncoded(n int) int { return 2*(n+2+fcsLength) + 2 }

// appendBody appends everything but the opening flag.
func appendBody(dst, frame []byte, accm uint32) []byte {
	fcs := uint16(FCSInit)
	if basic, bare := lcpConfiguration(frame); basic {
		accm = DefaultACCM
		if bare {
			header := [...]byte{address, control}
			dst, fcs = appendEscaped(dst, header[:], accm), FCS(fcs, header[:])
		}
	}
	dst = appendEscaped(dst, frame, accm)
	fcs = ^FCS(fcs, frame)
	trailer := [fcsLength]byte{byte(fcs), byte(fcs >> 8)}
	dst = appendEscaped(dst, trailer[:], accm)
	return append(dst, flag)
}

func appendEscaped(dst, b []byte, accm uint32) []byte {
	start := 0
	for i, c := range b {
		if c == flag || c == escape || c < 0x20 && accm>>c&1 == 1 {
			dst = append(append(dst, b[start:i]...), escape, c^flipBit)
			start = i + 1
		}
	}
	return append(dst, b[start:]...)
}

// lcpConfiguration says whether a frame is an LCP packet with a code from Configure-Request (1) to Code-Reject (7), and
// whether it lacks address and control. An LCP packet always has a protocol field of two octets.
func lcpConfiguration(frame []byte) (yes, bare bool) {
	bare = true
	if len(frame) >= 2 && frame[0] == address && frame[1] == control {
		frame, bare = frame[2:], false
	}
	const protocolHigh, protocolLow = 0xC0, 0x21
	yes = len(frame) >= 3 && frame[0] == protocolHigh && frame[1] == protocolLow && frame[2] >= 1 && frame[2] <= 7
	return yes, bare
}
