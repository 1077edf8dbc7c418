package at

import (
	"strconv"
	"strings"
)

// Cadence reads the ring cadence that V.253 modems report when told +VDR=1: DRON=n for a burst of n tenths of a second,
// DROF=n for the silence before it. The zero Cadence has heard nothing.
type Cadence struct {
	bursts []byte // of the cycle being heard, L or S
	whole  string // the last whole cycle
}

const (
	longBurst  = 9  // tenths of a second; more is a long burst
	cycleGap   = 15 // tenths of a second; as much ends a cycle
	maxBursts  = 8
	plainCycle = "L"
)

// Add reads a line and says whether it was one of the cadence, and whether a cycle begins with it: that is a ring.
func (c *Cadence) Add(text string) (mine, rings bool) {
	name, value, ok := strings.Cut(upperASCII(strings.TrimSpace(text)), "=")
	tenths, err := strconv.Atoi(strings.TrimSpace(value))
	if !ok || err != nil {
		return false, false
	}
	switch strings.TrimSpace(name) {
	case "DROF":
		if tenths == 0 { // it has been silent for long
			*c = Cadence{}
		}
		if tenths >= cycleGap && len(c.bursts) > 0 {
			c.whole, c.bursts = string(c.bursts), nil
		}
		return true, false
	case "DRON":
		burst := byte('S')
		if tenths > longBurst {
			burst = 'L'
		}
		if len(c.bursts) < maxBursts {
			c.bursts = append(c.bursts, burst)
		}
		return true, len(c.bursts) == 1
	}
	return false, false
}

// String returns the bursts of a cycle, L for a long one and S for a short one: "SS", "LSL"; empty for the plain ring
// of one long burst, and for none.
func (c *Cadence) String() string {
	s := c.whole
	if s == "" {
		s = string(c.bursts)
	}
	if s == plainCycle {
		return ""
	}
	return s
}
