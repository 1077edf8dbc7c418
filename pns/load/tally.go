package load

import "sync/atomic"

// tally is what a shard counts and others look at while it runs.
type tally struct {
	started, up, ended, failed, dropped atomic.Int64
	come, gone                          atomic.Int64  // beside them: came up, and went
	sent, received                      atomic.Uint64 // packets of the traffic
	sentOctets, receivedOctets          atomic.Uint64
	under                               atomic.Int64 // packets sent and not yet answered or given up
	drained                             atomic.Bool  // the shard knows that the traffic is over
}
