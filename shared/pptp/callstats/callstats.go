// Package callstats is the text that Trunkline's PACs put into the Call Statistics field of Call-Disconnect-Notify (RFC 2637 section
// 2.13): key=value pairs with single spaces between them, at most 128 octets. The RFC defines no format; docs/statistics.md describes
// this one.
package callstats

import (
	"strconv"
	"strings"

	"trunkline.example/shared/linkreport"
)

// Length is the size of the Call Statistics field in octets.
const Length = 128

// Statistics are what the text can say of a call. In the text, in is received from the client and out sent to it.
type Statistics struct {
	Cause     string // why the line ended the call, a short word; empty: the call had no line
	Connected bool   // the call was connected: only then the rest means something
	Seconds   uint64 // from connected to the end
	Ago       uint64 // how long before the text was sent the call ended, in ms; 0: just now

	OctetsIn, OctetsOut uint64 // with their framing on an asynchronous line
	FramesIn, FramesOut uint64 // PPP frames
	FCSErrors           uint64 // frames received with a bad checksum
	Dropped             uint64 // frames to the line for which there was no room
	Lost                uint64 // GRE packets that never came
	SpeedIn, SpeedOut   uint32 // of the line in bit/s; 0: there is none

	Link linkreport.Link // what the modem said of the call
}

// item is one key with the place of its value, which is a *uint64, *uint32, *string or *speeds.
type item struct {
	key   string
	place any
	maybe bool // it is left out if it says nothing
}

// speeds are two of them, which have one key.
type speeds struct{ in, out *uint32 }

// items are the keys of a connected call in the order in which they are written.
func (s *Statistics) items() []item {
	return []item{
		{"s", &s.Seconds, false}, {"ago", &s.Ago, true}, {"rx", &s.OctetsIn, false}, {"tx", &s.OctetsOut, false}, {"rxf", &s.FramesIn, false},
		{"txf", &s.FramesOut, false}, {"speed", speeds{&s.SpeedIn, &s.SpeedOut}, true}, {"fcs", &s.FCSErrors, false},
		{"why", &s.Link.Reason, true}, {"last", speeds{&s.Link.SpeedIn, &s.Link.SpeedOut}, true}, {"retrain", &s.Link.Retrains, true},
		{"resent", &s.Link.Resent, true}, {"rtt", &s.Link.RoundTrip, true}, {"drop", &s.Dropped, false}, {"lost", &s.Lost, false},
	}
}

// text is the value, and whether it says something.
func (i item) text() (value string, says bool) {
	number := func(n uint64) (string, bool) { return strconv.FormatUint(n, 10), n > 0 }
	switch p := i.place.(type) {
	case *uint64:
		return number(*p)
	case *uint32:
		return number(uint64(*p))
	case speeds:
		value, says = number(uint64(*p.out))
		return strconv.FormatUint(uint64(*p.in), 10) + "/" + value, says
	case *string:
		return *p, *p != ""
	}
	return "", false
}

// set reads the value.
func (i item) set(value string) (err error) {
	switch p := i.place.(type) {
	case *uint64:
		*p, err = strconv.ParseUint(value, 10, 64)
	case *uint32:
		*p, err = small(value)
	case speeds:
		in, out, _ := strings.Cut(value, "/")
		if *p.in, err = small(in); err == nil {
			*p.out, err = small(out)
		}
	case *string:
		*p = value
	}
	return err
}

// String is the text. A pair that would not fit is left out with all that follow it: the counters that are least missed stand last.
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
	if s.Link.SpeedIn == s.SpeedIn && s.Link.SpeedOut == s.SpeedOut { // that is no news
		s.Link.SpeedIn, s.Link.SpeedOut = 0, 0
	}
	for _, i := range s.items() {
		if value, says := i.text(); says || !i.maybe {
			add(i.key, value)
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
	if key == "cause" {
		s.Cause = value
		return true, nil
	}
	for _, i := range s.items() {
		if i.key == key {
			s.Connected = s.Connected || !i.maybe
			return true, i.set(value)
		}
	}
	return false, nil
}

func small(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err
}
