// Package callstats is the text that Trunkline's PACs put into the Call Statistics field of Call-Disconnect-Notify (RFC 2637 section
// 2.13): key=value pairs with single spaces between them, at most 128 octets. The RFC defines no format; docs/statistics.md describes
// this one.
package callstats

import (
	"strconv"
	"strings"
)

// Length is the size of the Call Statistics field in octets.
const Length = 128

// Statistics are what the text can say of a call. In the text, in is received from the client and out sent to it.
type Statistics struct {
	Cause     string // why the line ended the call, a short word; empty: the call had no line
	Connected bool   // the call was connected: only then the rest means something
	Seconds   uint64 // from connected to the end

	OctetsIn, OctetsOut uint64 // with their framing on an asynchronous line
	FramesIn, FramesOut uint64 // PPP frames
	FCSErrors           uint64 // frames received with a bad checksum
	Dropped             uint64 // frames to the line for which there was no room
	Lost                uint64 // GRE packets that never came
	SpeedIn, SpeedOut   uint32 // of the line in bit/s; 0: there is none
}

// counter is one key with its place.
type counter struct {
	key   string
	place *uint64
}

// counters are the keys of a connected call in the order in which they are written.
func (s *Statistics) counters() []counter {
	return []counter{
		{"s", &s.Seconds}, {"rx", &s.OctetsIn}, {"tx", &s.OctetsOut}, {"rxf", &s.FramesIn}, {"txf", &s.FramesOut},
		{"fcs", &s.FCSErrors}, {"drop", &s.Dropped}, {"lost", &s.Lost},
	}
}

// String is the text. A pair that would not fit is left out with all that follow it; the speed stands before the counters that are
// least missed.
func (s Statistics) String() string {
	var b strings.Builder
	full := false
	add := func(key, value string) {
		size := len(key) + 1 + len(value)
		if b.Len() > 0 {
			size++
		}
		if full = full || b.Len()+size > Length; full {
			return
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(key + "=" + value)
	}
	if s.Cause != "" {
		add("cause", s.Cause)
	}
	if !s.Connected {
		return b.String()
	}
	for _, c := range s.counters() {
		add(c.key, strconv.FormatUint(*c.place, 10))
		if c.key == "txf" && s.SpeedOut > 0 {
			add("speed", strconv.FormatUint(uint64(s.SpeedIn), 10)+"/"+strconv.FormatUint(uint64(s.SpeedOut), 10))
		}
	}
	return b.String()
}

// Parse reads the text. Unknown keys are skipped: later versions may have more. ok is false where it is not of this form, as the
// texts of other vendors; nothing of it is used then.
func Parse(text string) (s Statistics, ok bool) {
	known := false
	for field := range strings.SplitSeq(text, " ") {
		key, value, found := strings.Cut(field, "=")
		if !found || key == "" || value == "" {
			return Statistics{}, false
		}
		is, err := s.set(key, value)
		if err != nil {
			return Statistics{}, false
		}
		known = known || is
	}
	if !known {
		return Statistics{}, false
	}
	return s, true
}

// set takes one pair, if its key is known.
func (s *Statistics) set(key, value string) (known bool, err error) {
	switch key {
	case "cause":
		s.Cause = value
		return true, nil
	case "speed":
		in, out, _ := strings.Cut(value, "/")
		if s.SpeedIn, err = speed(in); err == nil {
			s.SpeedOut, err = speed(out)
		}
		return true, err
	}
	for _, c := range s.counters() {
		if c.key == key {
			s.Connected = true
			*c.place, err = strconv.ParseUint(value, 10, 64)
			return true, err
		}
	}
	return false, nil
}

func speed(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err
}
