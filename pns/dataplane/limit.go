package dataplane

import "time"

// Limit is how much of IP packets, headers included, a session may carry in one direction.
type Limit struct {
	Rate  int64         // bits per second; 0: no limit
	Burst time.Duration // of the rate that may be carried at once after a pause
}

// bucket keeps a direction of a session to its Limit. What does not fit is dropped, before it is encrypted and numbered. The zero value limits
// nothing. The entry's lock of that direction guards it.
//
// It is a token bucket, reckoned in time: each packet takes as long as the rate has it take, and may begin so long before that time as the
// burst is.
type bucket struct {
	perOctet int64 // nanoseconds, times 1<<bucketShift; 0: no limit
	burst    time.Duration
	free     time.Time // when all that was carried has taken its time
}

const bucketShift = 10

func newBucket(l Limit) bucket {
	if l.Rate == 0 {
		return bucket{}
	}
	return bucket{perOctet: max(int64(8*time.Second<<bucketShift/time.Duration(l.Rate)), 1), burst: l.Burst}
}

// take tells whether a packet of so many octets may go now.
func (b *bucket) take(now time.Time, octets int) bool {
	if b.perOctet == 0 {
		return true
	}
	if b.free.Before(now) {
		b.free = now
	} else if b.free.Sub(now) > b.burst {
		return false
	}
	b.free = b.free.Add(time.Duration(int64(octets) * b.perOctet >> bucketShift))
	return true
}
