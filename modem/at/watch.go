package at

import "time"

// noCarrier is how a modem in V1 ends a call on a line without a carrier
// signal.
const noCarrier = "\r\nNO CARRIER\r\n"

// Watch finds the modem's own NO CARRIER at the end of a data stream. The text
// counts only when nothing follows it for Guard: the same text inside a user's
// data is followed by more. What may be part of it is held back, a part that
// is not completed for Hold not longer than that. The zero value of the other
// fields is ready.
type Watch struct {
	Guard time.Duration // silence that makes a whole text an end of the call
	Hold  time.Duration // longest time that a partial text is held back

	matched  int // octets of noCarrier seen last
	released int // of these, already delivered
	deadline time.Time
}

// Feed takes octets from the line and returns those that are data for certain.
// The result may alias b.
func (w *Watch) Feed(now time.Time, b []byte) []byte {
	if w.matched == 0 && indexCR(b) < 0 {
		return b
	}
	var out []byte
	for _, c := range b {
		switch {
		case w.matched < len(noCarrier) && c == noCarrier[w.matched]:
			w.matched++
		case c == '\r':
			out = w.release(out)
			w.matched, w.released = 1, 0
		default:
			out = append(w.release(out), c)
			w.matched, w.released = 0, 0
		}
	}
	switch w.matched {
	case 0:
		w.deadline = time.Time{}
	case len(noCarrier):
		w.deadline = now.Add(w.Guard)
	default:
		w.deadline = now.Add(w.Hold)
	}
	return out
}

// release appends what has been held back.
func (w *Watch) release(out []byte) []byte {
	out = append(out, noCarrier[w.released:w.matched]...)
	w.released = w.matched
	return out
}

// Deadline returns when Tick wants to be called; zero for never.
func (w *Watch) Deadline() time.Time { return w.deadline }

// Tick returns data that is not held back any longer, or says that the modem
// has reported the end of the call. It does nothing before Deadline.
func (w *Watch) Tick(now time.Time) (data []byte, lost bool) {
	if w.deadline.IsZero() || now.Before(w.deadline) {
		return nil, false
	}
	w.deadline = time.Time{}
	if w.matched == len(noCarrier) {
		return nil, true
	}
	return w.release(nil), false
}

// End returns what is held back as data when the call has ended by other means:
// nothing if it was the whole text, and then said is true.
func (w *Watch) End() (data []byte, said bool) {
	if said = w.matched == len(noCarrier); said {
		w.released = w.matched
	}
	return w.Flush(), said
}

// Flush returns what is held back as data: the text is not believed.
func (w *Watch) Flush() []byte {
	w.deadline = time.Time{}
	out := w.release(nil)
	w.matched, w.released = 0, 0
	return out
}

func indexCR(b []byte) int {
	for i, c := range b {
		if c == '\r' {
			return i
		}
	}
	return -1
}
