package hdlc

import (
	"errors"
	"fmt"
)

const (
	// DefaultMaxFrame is the longest frame a Deframer takes unless told otherwise, in octets without the FCS: the largest PPP packet that
	// a tunnel must carry (RFC 2637 section 4).
	DefaultMaxFrame = 1532
	// minFrame is the shortest that counts as a frame, with the FCS (RFC 1662 section 4.3).
	minFrame = 4
)

// ErrState: a state to restore from contradicts itself.
var ErrState = errors.New("hdlc: invalid state")

// DeframerCounters count since the beginning of the call. What stands between two flags is counted once: as
// Frames, FCSErrors, Aborts, Runts or Oversize; nothing between two flags is nothing.
type DeframerCounters struct {
	Frames      uint64 // good frames
	Octets      uint64 // in good frames, without FCS
	FCSErrors   uint64 // long enough, with a bad FCS: the CRC errors of WAN-Error-Notify
	Aborts      uint64 // ended by an escape and a flag: given up by the sender
	Runts       uint64 // fewer than 4 octets
	Oversize    uint64 // longer than the largest frame; discarded to the next flag
	Noise       uint64 // octets before the first flag, when they were not a good frame that lacked its first flag
	ControlDrop uint64 // octets removed because they were control characters of the receive ACCM
	Unescaped   uint64 // of Frames: good only when these octets were not removed: the far end already used a smaller map
}

// DeframerState is a Deframer as plain data.
type DeframerState struct {
	ReceiveACCM uint32 // octets below 0x20 that are removed when they come unescaped: bit n for octet n
	MaxFrame    int
	Synced      bool     // a flag has been seen
	Escaped     bool     // the last octet was an escape
	Overrun     bool     // the present frame is too long
	Strict      bool     // the present frame is too long with what the map removes, so that is removed for good
	Frame       []byte   // the present frame so far, with what the map would remove
	FCS         uint16   // of Frame without what the map would remove
	Removed     []uint16 // where in Frame octets stand that the map would remove
	Counters    DeframerCounters
}

// Deframer is the receiving direction of one line. It takes any split of the octets and finds the same frames in them. It holds
// one frame at most and resynchronises at each flag. It is not safe for concurrent use.
//
// Control characters of the receive ACCM that arrive unescaped are removed, as RFC 1662 section 4.2 wants. But the map of a
// PAC is late: the far end uses what LCP has agreed on at once, and Set-Link-Info comes by another way. So a frame that is bad
// without these octets and good with them is taken.
type Deframer struct{ s DeframerState }

// NewDeframer returns a Deframer with the default map. maxFrame is the longest frame in octets without FCS; 0 = DefaultMaxFrame,
// and never more than 65535.
func NewDeframer(maxFrame int) *Deframer {
	if maxFrame <= 0 {
		maxFrame = DefaultMaxFrame
	}
	maxFrame = min(maxFrame, 0xFFFF)
	return &Deframer{DeframerState{
		ReceiveACCM: DefaultACCM, MaxFrame: maxFrame, FCS: FCSInit,
		Frame: make([]byte, 0, maxFrame+fcsLength),
	}}
}

// RestoreDeframer returns a Deframer that goes on where State left off.
func RestoreDeframer(s DeframerState) (*Deframer, error) {
	d := NewDeframer(s.MaxFrame)
	if s.MaxFrame != d.s.MaxFrame || len(s.Frame) > cap(d.s.Frame) {
		return nil, fmt.Errorf("hdlc: %d octets of a frame of at most %d: %w", len(s.Frame), s.MaxFrame, ErrState)
	}
	for i, at := range s.Removed {
		if int(at) >= len(s.Frame) || i > 0 && at <= s.Removed[i-1] {
			return nil, fmt.Errorf("hdlc: removed octet %d of %d at %d: %w", i, len(s.Frame), at, ErrState)
		}
	}
	frame := append(d.s.Frame, s.Frame...)
	d.s = s
	d.s.Frame = frame
	d.s.Removed = append([]uint16(nil), s.Removed...)
	return d, nil
}

// State returns a copy of everything the Deframer knows.
func (d *Deframer) State() DeframerState {
	s := d.s
	s.Frame = append([]byte(nil), s.Frame...)
	s.Removed = append([]uint16(nil), s.Removed...)
	return s
}

// SetReceiveACCM sets the map for all octets from now on.
func (d *Deframer) SetReceiveACCM(accm uint32) { d.s.ReceiveACCM = accm }

// Counters returns the counters.
func (d *Deframer) Counters() DeframerCounters { return d.s.Counters }

// Next consumes octets of the line up to the end of the next good frame, and returns the frame, with address and control as they came,
// without flags, escapes and FCS; and what of b is left. frame is nil when b ended before a good frame did. It is
// valid until the next call.
//
//	for len(b) > 0 {
//		var frame []byte
//		if frame, b = d.Next(b); frame != nil {
//			...
//		}
//	}
func (d *Deframer) Next(b []byte) (frame, rest []byte) {
	for i := 0; i < len(b); i++ {
		if !d.s.Escaped {
			n := d.plain(b[i:])
			d.addAll(b[i : i+n])
			if i += n; i == len(b) {
				break
			}
		}
		c := b[i]
		if c == flag {
			if frame := d.end(); frame != nil {
				return frame, b[i+1:]
			}
			continue
		}
		if c < 0x20 && d.s.ReceiveACCM>>c&1 == 1 {
			d.s.Counters.ControlDrop++
			d.add(c, true)
			continue
		}
		switch {
		case d.s.Escaped:
			d.s.Escaped = false
			d.add(c^flipBit, false)
		case c == escape:
			d.s.Escaped = true
		default:
			d.add(c, false)
		}
	}
	return nil, nil
}

// plain is how many octets at the beginning of b stand for themselves.
func (d *Deframer) plain(b []byte) int {
	accm := d.s.ReceiveACCM
	for i, c := range b {
		if c == flag || c == escape || c < 0x20 && accm>>c&1 == 1 {
			return i
		}
	}
	return len(b)
}

// addAll appends octets that stand for themselves to the present frame.
func (d *Deframer) addAll(b []byte) {
	s := &d.s
	if !s.Synced || s.Overrun || len(s.Frame)+len(b) > s.MaxFrame+fcsLength {
		for _, c := range b {
			d.add(c, false)
		}
		return
	}
	s.FCS = FCS(s.FCS, b)
	s.Frame = append(s.Frame, b...)
}

// add appends an octet to the present frame; removed says that the receive ACCM would have it removed.
func (d *Deframer) add(c byte, removed bool) {
	s := &d.s
	if !s.Synced {
		s.Counters.Noise++
	}
	if s.Overrun || removed && s.Strict {
		return
	}
	if len(s.Frame) == s.MaxFrame+fcsLength {
		// With all its octets the frame is too long. It may still be good without those that are removed.
		if len(s.Removed) == 0 && !removed {
			s.Overrun = true
			return
		}
		d.compact()
		s.Strict = true
		if removed {
			return
		}
	}
	if removed {
		s.Removed = append(s.Removed, uint16(len(s.Frame)))
	} else {
		s.FCS = fcsOctet(s.FCS, c)
	}
	s.Frame = append(s.Frame, c)
}

// compact takes the removed octets out of the present frame.
func (d *Deframer) compact() {
	s := &d.s
	if len(s.Removed) == 0 {
		return
	}
	kept := int(s.Removed[0])
	for i, at := range s.Removed {
		end := len(s.Frame)
		if i+1 < len(s.Removed) {
			end = int(s.Removed[i+1])
		}
		kept += copy(s.Frame[kept:], s.Frame[int(at)+1:end])
	}
	s.Frame, s.Removed = s.Frame[:kept], s.Removed[:0]
}

// end closes the present frame at a flag and returns it if it is good.
func (d *Deframer) end() []byte {
	s := &d.s
	good := d.judge()
	s.Synced, s.Escaped, s.Overrun, s.Strict = true, false, false, false
	s.Frame, s.Removed, s.FCS = s.Frame[:0], s.Removed[:0], FCSInit
	return good
}

// judge counts the present frame and returns it, without FCS, if it is good.
func (d *Deframer) judge() []byte {
	s := &d.s
	kept := len(s.Frame) - len(s.Removed)
	switch {
	case s.Escaped:
		d.bad(&s.Counters.Aborts)
	case s.Overrun:
		d.bad(&s.Counters.Oversize)
	case kept >= minFrame && s.FCS == FCSGood:
		d.compact()
		return d.good()
	case len(s.Removed) > 0 && len(s.Frame) >= minFrame && FCS(FCSInit, s.Frame) == FCSGood:
		s.Counters.Unescaped++
		s.Counters.ControlDrop -= uint64(len(s.Removed))
		return d.good()
	case kept == 0:
	case kept < minFrame:
		d.bad(&s.Counters.Runts)
	default:
		d.bad(&s.Counters.FCSErrors)
	}
	return nil
}

// bad counts what is no frame, unless it came before the first flag: then it is noise, and counted as that already.
func (d *Deframer) bad(counter *uint64) {
	if d.s.Synced {
		*counter++
	}
}

func (d *Deframer) good() []byte {
	s := &d.s
	if !s.Synced {
		s.Counters.Noise = 0
	}
	frame := s.Frame[: len(s.Frame)-fcsLength : len(s.Frame)]
	s.Counters.Frames++
	s.Counters.Octets += uint64(len(frame))
	return frame
}
