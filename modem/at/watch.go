package at

import (
	"bytes"
	"strings"
	"time"
)

// noCarrier is how a modem in V1 ends a call on a line without a carrier
// signal. A terminal adapter may say why before the line ends: /E0010, ;16.
const noCarrier = "\r\nNO CARRIER"

const (
	maxWhy      = 24   // that may follow noCarrier in its line
	maxFollower = 80   // of a line behind it
	maxSeen     = 1024 // with all lines behind it
)

// Watch finds the modem's own NO CARRIER at the end of a data stream. The text
// counts only when for Guard nothing follows it but what a modem says of the
// next caller, who may wait already (rings and caller identification), or to our data: the same
// text inside a user's data is followed by more. What may be part of it is held
// back, a part that is not completed for Hold not longer than that. The zero
// value of the other fields is ready.
type Watch struct {
	Guard time.Duration // that makes a whole text an end of the call
	Hold  time.Duration // longest time that a partial text is held back

	seen     []byte    // what may be the text, so far
	released int       // octets of seen that have been delivered already
	ended    time.Time // when its line came to an end
	deadline time.Time
}

// Feed takes octets from the line and returns those that are data for certain.
// The result may alias b.
func (w *Watch) Feed(now time.Time, b []byte) []byte {
	if len(w.seen) == 0 && bytes.IndexByte(b, '\r') < 0 {
		return b
	}
	var out []byte
	for _, c := range b {
		if !w.extends(c) {
			out = w.release(out)
			w.forget()
			if c != '\r' {
				out = append(out, c)
				continue
			}
		}
		w.seen = append(w.seen, c)
	}
	if w.ended.IsZero() && w.line() > 0 {
		w.ended = now
	}
	switch {
	case len(w.seen) == 0:
		w.deadline = time.Time{}
	case w.whole():
		w.deadline = w.ended.Add(w.Guard)
	default:
		w.deadline = now.Add(w.Hold)
	}
	return out
}

// extends says whether what has been seen and c may be the text, or its
// beginning.
func (w *Watch) extends(c byte) bool {
	n := len(w.seen)
	switch {
	case n < len(noCarrier):
		return c == noCarrier[n]
	case w.line() > 0:
		return w.follows(c)
	case w.seen[n-1] == '\r':
		return c == '\n'
	case c == '\r':
		return true
	case n == len(noCarrier):
		return strings.IndexByte("/;:( ", c) >= 0
	}
	return n < len(noCarrier)+maxWhy && c >= ' ' && c < 0x7f
}

// follows says whether c may be of a line of a modem without a call, behind the text.
func (w *Watch) follows(c byte) bool {
	begun := w.begun()
	text, ended := bytes.CutSuffix(begun, []byte{'\r'})
	switch {
	case len(w.seen) == w.line(): // a modem leaves a line free
		return c == '\r'
	case len(w.seen) >= maxSeen || len(begun) >= maxFollower:
		return false
	case ended:
		return c == '\n' && (len(text) == 0 || idles(Classify(string(text))))
	}
	return c == '\r' || c >= ' ' && c < 0x7f
}

// begun is the line that has not come to its end.
func (w *Watch) begun() []byte { return w.seen[bytes.LastIndexByte(w.seen, '\n')+1:] }

// idles says whether a line of a kind is what a modem without a call says: of a caller who waits for an answer, or to data that it takes for commands.
func idles(kind Kind) bool {
	switch kind {
	case Ring, Caller, RingStopped, OK, Error:
		return true
	}
	return false
}

// line is the length of the line that ends the call; 0: it has not come to its end.
func (w *Watch) line() int {
	if len(w.seen) <= len(noCarrier) {
		return 0
	}
	end := bytes.IndexByte(w.seen[len(noCarrier):], '\n')
	if end < 0 {
		return 0
	}
	return len(noCarrier) + end + 1
}

// whole says whether the whole text has been seen, and behind it only whole lines.
func (w *Watch) whole() bool { return w.line() > 0 && len(w.begun()) == 0 }

// release appends what has been held back.
func (w *Watch) release(out []byte) []byte {
	out = append(out, w.seen[w.released:]...)
	w.released = len(w.seen)
	return out
}

// Deadline returns when Tick wants to be called; zero for never.
func (w *Watch) Deadline() time.Time { return w.deadline }

// Tick returns data that is not held back any longer, or what the modem has
// said at the end of the call; "" if it has not. It does nothing before
// Deadline.
func (w *Watch) Tick(now time.Time) (data []byte, said string) {
	if w.deadline.IsZero() || now.Before(w.deadline) {
		return nil, ""
	}
	w.deadline = time.Time{}
	if w.whole() {
		return nil, w.text()
	}
	return w.release(nil), ""
}

// Followed returns the lines that came behind the text.
func (w *Watch) Followed() (lines []string) {
	if !w.whole() {
		return nil
	}
	for text := range strings.SplitSeq(string(w.seen[w.line():]), "\r\n") {
		if text != "" {
			lines = append(lines, text)
		}
	}
	return lines
}

// text is the text without the ends of its line.
func (w *Watch) text() string { return strings.TrimSpace(string(w.seen[:w.line()])) }

// End returns what is held back as data when the call has ended by other means:
// nothing if it was the whole text, which is then said.
func (w *Watch) End() (data []byte, said string) {
	if w.whole() {
		said, w.released = w.text(), len(w.seen)
	}
	return w.Flush(), said
}

// Flush returns what is held back as data: the text is not believed.
func (w *Watch) Flush() []byte {
	w.deadline = time.Time{}
	out := w.release(nil)
	w.forget()
	return out
}

// forget begins anew.
func (w *Watch) forget() { w.seen, w.released, w.ended = w.seen[:0], 0, time.Time{} }
