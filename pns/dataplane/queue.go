package dataplane

import (
	"encoding/binary"
	"sync"
)

// queue holds the IP packets of a call while the window of its peer is full. They wait before they are encrypted and numbered, so
// that interactive ones can still go first. The zero value is empty. The entry's out lock guards it.
//
// Within a flow (addresses, protocol and ports) packets keep their order.
type queue struct {
	interactive, bulk []*waiting // the oldest first
	favoured          int        // interactive packets taken in a row while bulk was waiting
}

// waiting is a packet in a buffer of its own, with room for headers in front of it.
type waiting struct {
	buf  [scratchSize]byte
	size int
}

func (w *waiting) packet() packet { return packet(w.buf[headroom : headroom+w.size]) }

// waitingPool has the buffers of all calls: few calls have packets waiting at a time.
var waitingPool = sync.Pool{New: func() any { return new(waiting) }}

const (
	// interactiveSize in octets is what keystrokes, name queries, acknowledgements and pings stay below.
	interactiveSize = 160
	// favour is how many interactive packets go before one of bulk does.
	favour = 8
)

func (q *queue) empty() bool { return len(q.interactive)+len(q.bulk) == 0 }

func (q *queue) len() int { return len(q.interactive) + len(q.bulk) }

// push keeps a copy of a packet, if fewer than limit of its kind are waiting.
func (q *queue) push(ip packet, limit int) bool {
	list := &q.bulk
	if ip.interactive() && !follows(ip, q.bulk) {
		list = &q.interactive
	}
	if len(*list) >= limit || len(ip) > scratchSize-headroom {
		return false
	}
	w := waitingPool.Get().(*waiting)
	w.size = copy(w.buf[headroom:], ip)
	*list = append(*list, w)
	return true
}

// follows tells whether a packet of the same flow is waiting in a list.
func follows(ip packet, list []*waiting) bool {
	for _, w := range list {
		if ip.sameFlow(w.packet()) {
			return true
		}
	}
	return false
}

// pop takes the packet that is to go next; nil when there is none. The caller puts it back into waitingPool.
func (q *queue) pop() *waiting {
	list := &q.interactive
	switch {
	case q.empty():
		return nil
	case len(q.interactive) == 0, len(q.bulk) > 0 && q.favoured >= favour && !follows(q.bulk[0].packet(), q.interactive):
		list, q.favoured = &q.bulk, 0
	case len(q.bulk) > 0:
		q.favoured++
	}
	w := (*list)[0]
	n := copy(*list, (*list)[1:]) // short, and a slow line's
	(*list)[n] = nil
	*list = (*list)[:n]
	return w
}

// clear drops all packets and returns how many there were.
func (q *queue) clear() (dropped uint64) {
	for w := q.pop(); w != nil; w = q.pop() {
		waitingPool.Put(w)
		dropped++
	}
	*q = queue{}
	return dropped
}

// interactive tells a packet that somebody is likely to wait for: a short one, or one that is marked so, by a class of CS4 or above
// (RFC 2474, RFC 4594: telephony and the like) or by the older "low delay" (RFC 1349).
func (p packet) interactive() bool {
	const lowDelay, fromCS4 = 0x10, 0x80
	tos := p[1]
	return p.fragment()&(fragmentOffset|flagMore) == 0 && (len(p) <= interactiveSize || tos >= fromCS4 || tos&^3 == lowDelay)
}

// sameFlow tells whether two packets belong to one TCP connection or one exchange of datagrams. Of other protocols none do: their
// packets stand for themselves.
func (p packet) sameFlow(o packet) bool {
	if p.protocol() != o.protocol() || p.protocol() != protocolTCP && p.protocol() != protocolUDP ||
		p.source() != o.source() || p.destination() != o.destination() || (p.fragment()|o.fragment())&fragmentOffset != 0 {
		return false
	}
	a, b := p.payload(), o.payload()
	return len(a) >= 4 && len(b) >= 4 && binary.BigEndian.Uint32(a) == binary.BigEndian.Uint32(b)
}
