package control

import "sync/atomic"

// FaultCounters count faults by kind. They are safe for concurrent use; the zero value is ready.
type FaultCounters struct{ n [faults]atomic.Uint64 }

// Add counts one fault.
func (f *FaultCounters) Add(what Fault) {
	if what < faults {
		f.n[what].Add(1)
	}
}

// Counts returns the counters by name; those at zero are left out.
func (f *FaultCounters) Counts() map[string]uint64 {
	out := make(map[string]uint64)
	for what := range f.n {
		if n := f.n[what].Load(); n > 0 {
			out[Fault(what).String()] = n
		}
	}
	return out
}
