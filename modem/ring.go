package modem

import (
	"time"

	"trunkline.example/modem/at"
	"trunkline.example/shared/line"
)

// ring is what the modem has told of a call that rings.
type ring struct {
	first   time.Time // of the first RING; zero: it does not ring
	last    time.Time
	count   int
	cadence string
	bursts  at.Cadence
	id      at.CallerID
	counted bool      // the modem was asked how often it has rung
	told    bool      // the last ring was told by its cadence
	heardID time.Time // last line of caller identification
	burstAt time.Time // last line of the cadence
	stopped bool      // the modem said that the caller gave up
	beat    beat
}

// idSettle is how long after a number the name may follow.
const idSettle = 300 * time.Millisecond

// sameRing is the longest time between the report of a burst and its RING.
const sameRing = 1500 * time.Millisecond

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
	if r.count == 0 || text == "" || !r.told || now.Sub(r.last) > sameRing {
		r.count++
		r.beat.add(now, r.last)
	}
	r.told = text == ""
	r.last = now
	info := at.ParseRing(text)
	if info.Cadence != "" {
		r.cadence = info.Cadence
	}
	if info.From != "" {
		r.id.Number = info.From
	}
	if info.To != "" {
		r.id.Dialed, r.id.Subaddress = info.To, info.Sub
	}
}

// caller notes a line of caller identification, or of the ring's cadence: a
// modem that tells the cadence may leave RING out.
func (r *ring) caller(now time.Time, text string, timeout time.Duration) {
	if mine, rings := r.bursts.Add(text); mine {
		r.burstAt = now
		if rings && now.Sub(r.last) > sameRing {
			bursts := r.bursts
			r.add(now, "", timeout)
			r.bursts, r.burstAt = bursts, now
		}
		return
	}
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
// known, if nothing more happens; the zero time if it has yet to ring.
func (r *ring) reportAt(c *Config, callerID bool) time.Time {
	at := r.first.Add(c.CallerIDWait)
	switch {
	case r.count < c.Rings:
		return time.Time{}
	case !callerID || r.count > 1 || r.id.Complete():
		at = r.last
	case r.id.Known():
		at = r.heardID.Add(idSettle)
	}
	if settled := r.burstAt.Add(sameRing); r.count == 1 && len(c.RingNumbers) > 0 && settled.After(at) && !r.burstAt.IsZero() {
		return settled // more bursts may follow
	}
	return at
}

// report returns the event of the call that rings.
func (r *ring) report(c *Config) line.Ringing {
	e := line.Ringing{Dialed: r.id.Dialed, Subaddress: r.id.Subaddress, Dialing: r.id.Number, Name: r.id.Name, Withheld: r.id.Withheld, Cadence: r.cadence,
		Bearer: c.Dialect.Bearers, Since: r.first}
	if e.Cadence == "" {
		e.Cadence = r.bursts.String()
	}
	if e.Dialed == "" {
		e.Dialed = c.RingNumbers[e.Cadence]
	}
	if e.Dialed == "" {
		e.Dialed = c.Number
	}
	return e
}
