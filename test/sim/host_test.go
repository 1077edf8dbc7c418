package sim

import (
	"encoding/binary"
	"net/netip"
	"time"

	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/pptp/fsm"
)

const lowBits = 9 // 128 Call IDs for each pair of hosts, so that they come round again

// key is how a host finds the flow of a GRE packet.
type key struct {
	from *host
	own  uint16
}

// host is a PAC or a PNS with all its connections.
type host struct {
	w     *world
	name  string
	addr  netip.Addr
	low   uint16 // of its Call IDs: those of PACs and PNSes never meet, so that no guess about a misnamed call can be wrong
	pool  *control.Pool
	up    bool
	nodes []*node
	flows map[key]*flow
	books map[key]time.Time // of its ledgers
}

func newHost(w *world, name string, addr netip.Addr, low uint16) *host {
	h := &host{w: w, name: name, addr: addr, low: low}
	h.rise()
	return h
}

func (h *host) String() string { return h.name }

// rise starts a host that knows nothing of what was before.
func (h *host) rise() {
	cfg := control.PoolConfig{Quarantine: rest, LowBits: lowBits, Low: h.low}
	if h.w.broken == reuseEarly {
		cfg.Quarantine = time.Nanosecond
		cfg.LowBits, cfg.Low = 12, h.low
	}
	binary.BigEndian.PutUint64(cfg.Seed[:], h.w.random.Uint64())
	pool, err := control.NewPool(cfg)
	if err != nil {
		h.w.fail("%v: %v", h, err)
	}
	h.pool, h.up, h.flows, h.books = pool, true, map[key]*flow{}, map[key]time.Time{}
}

// die takes a host away without a word, and brings it back when everybody has noticed.
func (h *host) die() {
	h.w.note("%v dies", h)
	h.w.stats.deaths++
	h.up = false
	for _, n := range h.nodes {
		n.closed = true
		h.w.forget(n)
		for _, c := range n.calls {
			c.flow.ended = true
		}
	}
	h.nodes, h.flows = nil, nil
	h.w.after(rest+h.w.between(0, time.Minute), h.rise)
}

// connections counts those that h has opened to a host.
func (h *host) connections(to *host) (n int) {
	for _, c := range h.nodes {
		if c.peer == to && c.originator {
			n++
		}
	}
	return n
}

// open opens a control connection to a host, which may be dead, and decides what will become of it.
func (h *host) open(to *host) {
	if !h.up || h.w.calm() {
		return
	}
	w := h.w
	w.stats.connections++
	p := &pipe{w: w, delay: w.between(time.Millisecond, 60*time.Millisecond)}
	p.last[0] = w.now.Add(p.delay) // nothing comes before the connection itself
	p.ends[0] = newNode(h, to, p, 0)
	w.after(p.delay, func() {
		if to.up && p.fate == whole {
			p.ends[1] = newNode(to, h, p, 1)
		}
	})
	p.ends[0].begin()
	switch {
	case w.chance(0.15):
		w.after(w.between(0, busy), func() { p.cut(reset) })
	case w.chance(0.1):
		w.after(w.between(0, busy), func() { p.cut(silent) })
	case w.chance(0.3):
		w.after(w.between(time.Second, busy), func() { p.ends[w.random.IntN(2)].stop() })
	}
}

// opening returns the connection that h has opened to a host and that waits for the reply to its Start.
func (h *host) opening(to *host) *node {
	for _, n := range h.nodes {
		if n.peer == to && n.originator && n.c.Status() == fsm.StateWaitCtlReply {
			return n
		}
	}
	return nil
}

// ledger watches over an Allocator. It keeps books of its own.
type ledger struct {
	h     *host
	peer  *host
	ids   control.Allocator
	books map[key]time.Time // until when a Call ID is not free; zero: it is in use
}

func (l ledger) Allocate(now time.Time) (uint16, bool) {
	id, ok := l.ids.Allocate(now)
	if !ok {
		return id, ok
	}
	until, taken := l.books[key{l.peer, id}]
	switch {
	case taken && until.IsZero():
		l.h.w.fail("%v: Call ID %d is given to two calls", l.h, id)
	case taken && now.Before(until):
		if free := 1<<(16-lowBits) - l.taken(now); free > 0 {
			l.h.w.fail("%v: Call ID %d is reused in its quarantine, with %d free", l.h, id, free)
		}
	}
	l.books[key{l.peer, id}] = time.Time{}
	return id, ok
}

// taken counts the Call IDs in use and in quarantine.
func (l ledger) taken(now time.Time) (n int) {
	for k, until := range l.books {
		if k.from == l.peer && (until.IsZero() || now.Before(until)) {
			n++
		}
	}
	return n
}

func (l ledger) Release(now time.Time, id uint16) {
	if until, taken := l.books[key{l.peer, id}]; !taken || !until.IsZero() {
		l.h.w.fail("%v: Call ID %d is released and was not in use", l.h, id)
	}
	l.books[key{l.peer, id}] = now.Add(rest)
	l.ids.Release(now, id)
}
