package modem

import (
	"time"

	"trunkline.example/modem/at"
)

// ring is what the modem has told of a call that rings.
type ring struct {
	first   time.Time // of the first RING; zero: it does not ring
	last    time.Time
	count   int
	cadence string
	id      at.CallerID
	heardID time.Time // last line of caller identification
	stopped bool      // the modem said that the caller gave up
}

// idSettle is how long after a number the name may follow.
const idSettle = 300 * time.Millisecond

// add notes a RING line.
func (r *ring) add(now time.Time, text string, timeout time.Duration) {
	if !r.first.IsZero() && now.Sub(r.last) >= timeout {
		r.reset()
	}
	if r.first.IsZero() {
		if now.Sub(r.heardID) > timeout { // of an earlier call
			r.id = at.CallerID{}
		}
		r.first = now
	}
	r.last = now
	r.count++
	info := at.ParseRing(text)
	if info.Cadence != "" {
		r.cadence = info.Cadence
	}
	if info.From != "" {
		r.id.Number = info.From
	}
	if info.To != "" {
		r.id.Dialed = info.To
	}
}

// caller notes a line of caller identification.
func (r *ring) caller(now time.Time, text string) {
	if r.id.Add(text) {
		r.heardID = now
	}
}

// reset forgets the call.
func (r *ring) reset() { *r = ring{} }

// active says whether it rings.
func (r *ring) active(timeout time.Duration) bool {
	return !r.first.IsZero() && !r.stopped && time.Since(r.last) < timeout
}

// reportAt returns when all that can be expected to be known of the call is
// known, if nothing more happens.
func (r *ring) reportAt(callerID bool, wait time.Duration) time.Time {
	switch {
	case !callerID || r.count > 1 || r.id.Complete():
		return r.last
	case r.id.Known():
		return r.heardID.Add(idSettle)
	}
	return r.first.Add(wait)
}
