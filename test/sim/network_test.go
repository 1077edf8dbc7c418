package sim

import (
	"errors"
	"time"

	"trunkline.example/shared/gre"
)

var errReset = errors.New("connection reset")

// pipe is a TCP connection: octets come in order, split and delayed, or not at all.
type pipe struct {
	w     *world
	ends  [2]*node
	last  [2]time.Time // when the latest octets of ends[i] arrive
	fate  fate
	delay time.Duration
}

// fate is what became of a TCP connection.
type fate uint8

const (
	whole  fate = iota
	reset       // both ends are told
	silent      // nobody is told and nothing arrives
)

// write carries octets to the other end.
func (p *pipe) write(from int, octets []byte) {
	if p.fate != whole {
		return
	}
	for len(octets) > 0 {
		n := len(octets)
		if p.w.chance(0.3) {
			n = 1 + p.w.random.IntN(n)
		}
		piece := octets[:n]
		octets = octets[n:]
		if p.w.broken == loseOctets && p.w.chance(0.02) {
			piece = piece[1:]
		}
		p.deliver(from, func(to *node) { to.step(func() { to.c.Receive(p.w.now, piece) }) })
	}
}

// close tells the other end that no more octets come.
func (p *pipe) close(from int, err error) {
	if p.fate == reset && err == nil {
		return
	}
	p.deliver(from, func(to *node) { to.step(func() { to.c.TransportClosed(p.w.now, err) }) })
}

// deliver lets something happen at the other end after all before it.
func (p *pipe) deliver(from int, do func(to *node)) {
	at := p.w.now.Add(p.w.between(p.delay/2, 2*p.delay))
	if at.Before(p.last[from]) {
		at = p.last[from]
	}
	p.last[from] = at
	how := p.fate // octets travel in a whole connection only, the word of a reset in one that is reset
	p.w.at(at, func() {
		if to := p.ends[1-from]; to != nil && !to.closed && p.fate == how && how != silent {
			do(to)
		}
	})
}

// cut ends a TCP connection: with a word to both ends or without.
func (p *pipe) cut(how fate) {
	if p.fate != whole {
		return
	}
	p.w.note("%v: TCP is cut, fate %d", p.ends[0], how)
	p.w.stats.cuts++
	p.fate = how
	if how == reset {
		p.close(0, errReset)
		p.close(1, errReset)
	}
}

// packet is GRE on its way.
type packet struct {
	from, to *host
	octets   []byte
}

// throw gives a packet to the network, which may lose it, duplicate it, and let others overtake it.
func (w *world) throw(p packet) {
	if w.chance(0.03) {
		return
	}
	copies := 1
	if w.chance(0.02) {
		copies = 2
	}
	for range copies {
		delay := w.between(5*time.Millisecond, 20*time.Millisecond)
		if w.chance(0.05) {
			delay = w.between(10*time.Millisecond, 300*time.Millisecond)
		}
		w.after(delay, func() { w.catch(p) })
	}
}

// catch is the arrival of a packet.
func (w *world) catch(p packet) {
	if !p.to.up {
		return
	}
	octets := append([]byte(nil), p.octets...)
	if w.broken == deliverCorrupted && len(octets) > gre.MaxHeader && w.chance(0.01) {
		octets[len(octets)-1] ^= 0x55
	}
	h, payload, err := gre.Parse(octets)
	if err != nil {
		w.fail("%v: a packet of ours: %v", p.to, err)
	}
	if f := p.to.flows[key{p.from, h.CallID}]; f != nil {
		f.arrive(h, payload)
	}
}
