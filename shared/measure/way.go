package measure

import "time"

// Way is one direction of the traffic.
type Way struct {
	Sent             uint64  `json:"sent"`     // packets, where that is known
	Received         uint64  `json:"received"` // packets that are known to have arrived
	Lost             uint64  `json:"lost"`
	LostShare        float64 `json:"lost_share"`
	Damaged          uint64  `json:"damaged,omitempty"`
	PacketsPerSecond float64 `json:"packets_per_second"` // received
	Mbps             float64 `json:"mbit_per_second"`    // received
	Jitter           float64 `json:"jitter_ms"`          // mean difference between the delays of two packets in a row
}

// Count is what is counted of one direction. The zero value has counted nothing.
type Count struct {
	Sent, Received, Lost, Damaged uint64        // packets
	Octets                        uint64        // received
	Jitter                        time.Duration // sum of the differences between the delays of packets in a row
	Jitters                       uint64        // how many differences
}

// Merge adds what another one has counted.
func (c *Count) Merge(o Count) {
	c.Sent, c.Received, c.Lost, c.Damaged = c.Sent+o.Sent, c.Received+o.Received, c.Lost+o.Lost, c.Damaged+o.Damaged
	c.Octets, c.Jitter, c.Jitters = c.Octets+o.Octets, c.Jitter+o.Jitter, c.Jitters+o.Jitters
}

// Way sums up what was counted in so many seconds.
func (c *Count) Way(seconds float64) Way {
	w := Way{Sent: c.Sent, Received: c.Received, Lost: c.Lost, Damaged: c.Damaged,
		PacketsPerSecond: float64(c.Received) / seconds, Mbps: float64(c.Octets) * 8 / 1e6 / seconds}
	if all := c.Received + c.Lost; all > 0 {
		w.LostShare = float64(c.Lost) / float64(all)
	}
	if c.Jitters > 0 {
		w.Jitter = float64(c.Jitter) / 1e6 / float64(c.Jitters)
	}
	return w
}

// Transit notes the delays of packets in a row. The zero value has seen none.
type Transit struct {
	last time.Duration // of the packet before
	has  bool
}

// Add counts a packet of so many octets in c, and how much later or earlier it came than the one before would have.
func (t *Transit) Add(c *Count, octets int, delay time.Duration) {
	c.Received++
	c.Octets += uint64(octets)
	if t.has {
		c.Jitter += (delay - t.last).Abs()
		c.Jitters++
	}
	t.last, t.has = delay, true
}
