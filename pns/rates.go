package pns

import (
	"net/netip"
	"sync"
	"time"
)

// rateSeconds is how many seconds' worth of messages one address may send at once.
const rateSeconds = 10

// rates bounds how many control messages the connections of one address send together. Safe for concurrent use; it forgets an address
// once that may send as much again as one that was never seen.
type rates struct {
	mu    sync.Mutex
	spent map[netip.Addr]spending // by sourceOf
	swept time.Time
}

// spending is what an address has used up of its allowance, as of an instant: it shrinks by the allowed rate.
type spending struct {
	messages float64
	at       time.Time
}

// take says whether an address may send n more messages if perSecond may last; 0 is no limit.
func (r *rates) take(now time.Time, from netip.Addr, n uint64, perSecond int) bool {
	if perSecond <= 0 {
		return true
	}
	from = sourceOf(from)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(now, perSecond)
	s := r.spent[from].left(now, perSecond)
	if s.messages+float64(n) > float64(rateSeconds*perSecond) {
		return false
	}
	s.messages += float64(n)
	if r.spent == nil {
		r.spent = make(map[netip.Addr]spending)
	}
	r.spent[from] = s
	return true
}

// left is what is still used up.
func (s spending) left(now time.Time, perSecond int) spending {
	if d := now.Sub(s.at); d > 0 {
		return spending{max(0, s.messages-d.Seconds()*float64(perSecond)), now}
	}
	return s
}

// sweep forgets, now and then, who has nothing used up.
func (r *rates) sweep(now time.Time, perSecond int) {
	if now.Sub(r.swept) < rateSeconds*time.Second {
		return
	}
	r.swept = now
	for from, s := range r.spent {
		if s.left(now, perSecond).messages == 0 {
			delete(r.spent, from)
		}
	}
}
