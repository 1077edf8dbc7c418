package at

import (
	"bytes"
	"time"
)

const (
	// ringsApart is the least time between a ring and the next one, not counting the bursts of one ring.
	ringsApart = 1500 * time.Millisecond
	// maxLines is how many lines may be told of callers.
	maxLines = 80
)

// Rung finds in what is taken for a call's data that the modem tells of a caller: the end of the call has been missed, as something came behind its text. It counts
// when a ring is told again after a while and there was nothing else in between but what a modem says: a user's data is more than that. The zero value is ready.
type Rung struct {
	begun bool   // line is all that has come since the end of the one before
	line  []byte // that has not come to its end
	first time.Time
	lines []string
}

// Feed takes octets from the line, and says whether the modem is known to ring.
func (r *Rung) Feed(now time.Time, b []byte) (rings bool) {
	for len(b) > 0 {
		if !r.begun {
			end := bytes.IndexByte(b, '\n')
			if end < 0 {
				return false
			}
			r.begun, b = true, b[end+1:]
			continue
		}
		c := b[0]
		b = b[1:]
		switch {
		case c == '\r' || c == '\n':
			if len(r.line) > 0 {
				rings = r.take(now, string(r.line)) || rings
				r.line = r.line[:0]
			}
		case c < ' ' || c >= 0x7f || len(r.line) >= maxFollower:
			r.forget()
		default:
			r.line = append(r.line, c)
		}
	}
	return rings
}

// take notes a whole line.
func (r *Rung) take(now time.Time, text string) (again bool) {
	switch kind := Classify(text); {
	case kind == Ring:
		if r.first.IsZero() {
			r.first, r.lines = now, append(r.lines, text)
		}
		return now.Sub(r.first) >= ringsApart
	case kind == Caller && len(r.lines) < maxLines:
		r.lines = append(r.lines, text)
	case kind != NoCarrier && (kind == Caller || !idles(kind)):
		r.forget()
	}
	return false
}

// Lines are the ring and what was told of its caller.
func (r *Rung) Lines() []string { return r.lines }

// forget begins anew: there was something else.
func (r *Rung) forget() { *r = Rung{line: r.line[:0]} }
