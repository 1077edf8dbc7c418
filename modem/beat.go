package modem

import (
	"slices"
	"time"
)

const (
	// sameBurst is the longest time from one ring to the next of the same burst: a distinctive ring has up to three in a row, and some modems say RING
	// twice.
	sameBurst = 1500 * time.Millisecond
	// beatKept is how many pauses are compared at most.
	beatKept = 8
	// beatSlack is by how much pauses may differ that are the same, at least; of long ones it is an eighth.
	beatSlack = 400 * time.Millisecond
)

// beat is the time that the rings of one call keep: from the beginning of a burst to that of the next one. Exchanges keep it to some milliseconds. Who
// tells us of it does not: a ring that comes late, because somebody was busy, is followed by one that comes early. The zero value knows nothing.
type beat struct {
	burst  time.Time       // the first ring of the last burst
	pauses []time.Duration // until one has come twice
	late   time.Duration   // the last pause, if it was too long; else 0
}

// same says whether two pauses are.
func same(a, b time.Duration) bool { return (a - b).Abs() <= slack(b) }

// slack is by how much a ring may be early or late after a pause.
func slack(pause time.Duration) time.Duration { return max(pause/8, beatSlack) }

// add notes a ring; last is when it rang before.
func (b *beat) add(now, last time.Time) {
	if !b.burst.IsZero() && now.Sub(last) <= sameBurst {
		return
	}
	pause, usual := now.Sub(b.burst), b.usual()
	switch {
	case b.burst.IsZero(), b.late != 0:
		b.late = 0
	case usual == 0:
		if len(b.pauses) < beatKept {
			b.pauses = append(b.pauses, pause)
		}
	case pause > usual && !b.keeps(pause):
		b.late = pause
	}
	b.burst = now
}

// steady says whether there were three bursts at least.
func (b *beat) steady() bool { return len(b.pauses) >= 2 }

// usual is the longest pause that has come twice; 0: none has.
func (b *beat) usual() (longest time.Duration) {
	for i, p := range b.pauses {
		if slices.ContainsFunc(b.pauses[:i], func(o time.Duration) bool { return same(p, o) }) {
			longest = max(longest, p)
		}
	}
	return longest
}

// keeps says whether a pause is one that was before, or so many of it that the rings between were not told.
func (b *beat) keeps(pause time.Duration) bool {
	return slices.ContainsFunc(b.pauses, func(p time.Duration) bool { return (pause - max(pause.Round(p), p)).Abs() <= slack(p) })
}

// broken says whether a ring at this moment is another call's: it comes earlier than it should, and does not make up for one that came late. One that
// comes late says nothing; the next one tells.
func (b *beat) broken(now, last time.Time) bool {
	usual := b.usual()
	if usual == 0 || now.Sub(last) <= sameBurst {
		return false
	}
	pause := now.Sub(b.burst)
	if b.late == 0 {
		return pause < usual && !b.keeps(pause)
	}
	return !slices.ContainsFunc(b.pauses, func(p time.Duration) bool {
		return slices.ContainsFunc(b.pauses, func(q time.Duration) bool { return (b.late + pause - p - q).Abs() <= slack(max(p, q)) })
	})
}
