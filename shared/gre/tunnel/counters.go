package tunnel

import "sync/atomic"

// counters are Counters that several goroutines add to.
type counters struct {
	received, receivedOctets, malformed, truncated atomic.Uint64
	sent, sentOctets                               atomic.Uint64
	sendFull, sendRefused, sendTooBig, sendFailed  atomic.Uint64
	pathErrors, pathErrorsLost                     atomic.Uint64
}

func (c *counters) load() Counters {
	return Counters{
		Received: c.received.Load(), ReceivedOctets: c.receivedOctets.Load(),
		Malformed: c.malformed.Load(), Truncated: c.truncated.Load(),
		Sent: c.sent.Load(), SentOctets: c.sentOctets.Load(),
		SendFull: c.sendFull.Load(), SendRefused: c.sendRefused.Load(),
		SendTooBig: c.sendTooBig.Load(), SendFailed: c.sendFailed.Load(),
		PathErrors: c.pathErrors.Load(), PathErrorsLost: c.pathErrorsLost.Load(),
	}
}
