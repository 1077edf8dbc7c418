package modem

import "time"

// escapeSilence is the silence around +++ that makes it the escape sequence,
// less a margin: S12 is a second.
const escapeSilence = 800 * time.Millisecond

// escapeGuard finds what the modem would take for the escape sequence in the
// data of a user: +++ between two silences. It is broken in two by another
// silence, which modems do not take for one.
type escapeGuard struct {
	last   time.Time // when data were last sent
	pluses int       // sent since the silence; -1: other data too
}

// next returns how much of p may be sent now, and whether a silence must follow
// it.
func (g *escapeGuard) next(now time.Time, p []byte) (n int, pause bool) {
	if now.Sub(g.last) >= escapeSilence {
		g.pluses = 0
	}
	g.last = now
	for _, c := range p {
		if c != '+' {
			g.pluses = -1
			return len(p), false
		}
	}
	if g.pluses < 0 {
		return len(p), false
	}
	if g.pluses += len(p); g.pluses != 3 {
		return len(p), false
	}
	return len(p) - 1, true
}
