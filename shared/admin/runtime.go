package admin

import (
	"runtime/metrics"
	"time"
)

// Runtime is what a daemon's own process holds, as Go's runtime counts it. It is part of the status of both daemons and of the exchange: a
// daemon that has had thousands of calls and is quiet again must show about the same as after the first ones.
type Runtime struct {
	Uptime     float64 `json:"uptime"`     // seconds
	Goroutines uint64  `json:"goroutines"` // with those that answer this request
	HeapLive   uint64  `json:"heap_live"`  // octets that the last garbage collection found in use; 0 before the first one
	GCCycles   uint64  `json:"gc_cycles"`  // garbage collections since the start
}

// ReadRuntime reads the figures of this process, which has run since started. It stops nothing and forces no garbage collection.
func ReadRuntime(started time.Time) Runtime {
	samples := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/gc/heap/live:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(samples)
	return Runtime{
		Uptime: time.Since(started).Seconds(), Goroutines: samples[0].Value.Uint64(), HeapLive: samples[1].Value.Uint64(), GCCycles: samples[2].Value.Uint64(),
	}
}
