package measure

import (
	"math/bits"
	"time"
)

const (
	// finePart is how many steps there are between a power of two and the next: values are told to within 1/64.
	finePart = 64
	// mostSteps covers durations up to 2^41 ns, more than half an hour.
	mostSteps = (41 - 6 + 1) * finePart
)

// Histogram counts durations. The zero value is empty.
type Histogram struct {
	counts [mostSteps]uint64
	n      uint64
	most   time.Duration
}

// step is where a duration is counted.
func step(d time.Duration) int {
	v := uint64(max(d, 0))
	shift := max(bits.Len64(v)-7, 0)
	return min(shift*finePart+int(v>>shift), mostSteps-1)
}

// least is the smallest duration that is counted in a step.
func least(step int) time.Duration {
	if step < 2*finePart {
		return time.Duration(step)
	}
	shift := step/finePart - 1
	return time.Duration(step-shift*finePart) << shift
}

// Add counts a duration.
func (h *Histogram) Add(d time.Duration) {
	h.counts[step(d)]++
	h.n++
	h.most = max(h.most, d)
}

// Merge adds what another one has counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.n += o.n
	h.most = max(h.most, o.most)
}

// Count is how many durations were counted.
func (h *Histogram) Count() uint64 { return h.n }

// quantile is the duration that the share q of all does not exceed.
func (h *Histogram) quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.n))
	for i, c := range h.counts {
		if rank < c {
			return min(least(i+1)-1, h.most)
		}
		rank -= c
	}
	return h.most
}

// Latency sums durations up, in milliseconds.
type Latency struct {
	Count  uint64  `json:"count"`
	Median float64 `json:"median_ms"`
	P90    float64 `json:"p90_ms"`
	P99    float64 `json:"p99_ms"`
	Max    float64 `json:"max_ms"`
}

// Latency sums the histogram up.
func (h *Histogram) Latency() Latency {
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	return Latency{Count: h.n, Median: ms(h.quantile(0.5)), P90: ms(h.quantile(0.9)), P99: ms(h.quantile(0.99)), Max: ms(h.most)}
}
