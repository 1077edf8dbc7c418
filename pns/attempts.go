package pns

import (
	"net/netip"
	"sync"
	"time"
)

// attemptRest is how long a call that has ended without a login still counts as half open for its address.
const attemptRest = 5 * time.Second

// attempts remembers which addresses have had calls lately that ended without a login. The limit of half-open calls of one address
// alone bounds how many a stranger has at a time, not how many one after the other: each costs a line in the log and a record on the
// disk. Safe for concurrent use; its memory is bounded by that very limit.
type attempts struct {
	rest time.Duration // attemptRest

	mu    sync.Mutex
	count map[netip.Addr]int // by sourceOf
	queue []attempt          // from head on, the earliest first
	head  int
}

type attempt struct {
	from  netip.Addr
	until time.Time
}

// failed tells of a call that has ended without a login.
func (a *attempts) failed(now time.Time, from netip.Addr) {
	from = sourceOf(from)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget(now)
	if a.count == nil {
		a.count = make(map[netip.Addr]int)
	}
	a.count[from]++
	a.queue = append(a.queue, attempt{from, now.Add(a.rest)})
}

// recent is how many calls of an address have ended so lately.
func (a *attempts) recent(now time.Time, from netip.Addr) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget(now)
	return a.count[sourceOf(from)]
}

// forget drops what is over.
func (a *attempts) forget(now time.Time) {
	for ; a.head < len(a.queue) && !now.Before(a.queue[a.head].until); a.head++ {
		from := a.queue[a.head].from
		if a.count[from]--; a.count[from] == 0 {
			delete(a.count, from)
		}
	}
	if a.head > len(a.queue)/2 {
		a.queue = append(a.queue[:0], a.queue[a.head:]...)
		a.head = 0
	}
}
