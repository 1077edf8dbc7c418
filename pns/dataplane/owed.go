package dataplane

import (
	"sync"
	"time"
)

// owedTicker looks after the calls that have an acknowledgement to send, or packets waiting for earlier ones or for the peer's window. One
// ticker serves all of them, and it runs only while there are any.
type owedTicker struct {
	plane *Plane
	mu    sync.Mutex
	list  []*Entry
	wake  chan struct{}
	quit  chan struct{}
	once  sync.Once
}

func (t *owedTicker) init(p *Plane) {
	t.plane, t.wake, t.quit = p, make(chan struct{}, 1), make(chan struct{})
}

func (t *owedTicker) stop() { t.once.Do(func() { close(t.quit) }) }

// add lists entries whose listed flag the caller has just set.
func (t *owedTicker) add(entries []*Entry) {
	t.mu.Lock()
	t.list = append(t.list, entries...)
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *owedTicker) run() {
	g := newIngress(t.plane, 0)
	var round []*Entry
	timer := time.NewTimer(ackTick)
	timer.Stop()
	for {
		select {
		case <-t.quit:
			return
		case <-t.wake:
		}
		for {
			timer.Reset(ackTick)
			select {
			case <-t.quit:
				timer.Stop()
				return
			case <-timer.C:
			}
			t.mu.Lock()
			round, t.list = append(round[:0], t.list...), t.list[:0]
			t.mu.Unlock()
			if len(round) == 0 {
				break
			}
			t.look(g, round)
			clear(round)
		}
	}
}

// look visits the entries once; those that still have something to come are listed again.
func (t *owedTicker) look(g *ingress, round []*Entry) {
	g.begin(time.Now())
	for _, e := range round {
		if e.removed.Load() {
			continue
		}
		e.listed.Store(false) // leave lists it again if there is a reason
		g.enter(e)
		if at := e.in.receiver.Deadline(); !at.IsZero() && !g.now.Before(at) {
			e.in.receiver.Tick(g.now)
			for f, ok := e.in.receiver.Next(); ok; f, ok = e.in.receiver.Next() {
				buf := g.borrow(len(f.Payload))
				copy(buf[headroom:], f.Payload)
				g.frame(e, f, buf, headroom)
			}
		}
		if len(e.in.early) > 0 && e.net.Load() != nil {
			g.replay(e)
		}
		g.out.service(e)
		g.leave()
	}
	g.flush()
}
