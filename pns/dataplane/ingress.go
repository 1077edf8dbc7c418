package dataplane

import (
	"time"
	"unsafe"

	"trunkline.example/pns/filter"
	"trunkline.example/pns/tun"
	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/mppe"
)

// ingress takes GRE packets in and IP packets out to the TUN, one batch at a time. It belongs to one goroutine.
//
// The way of a packet: receive (look-up, order) -> frame (PPP) -> open (MPPE) -> forward (checks) -> toTUN, or egress for another client.
// Buffers stay in use until flush.
type ingress struct {
	plane *Plane
	now   time.Time
	out   egress

	current *Entry // whose in lock is held
	owing   []*Entry

	tun [][]byte // packets for the TUN, at offset tun.Headroom

	scratch [][]byte // buffers of scratchSize, for packets that do not lie in the batch
	used    int      // of scratch
}

const (
	readBatch = 64
	// sampleInterval is how often the round trip to a client is measured.
	sampleInterval = time.Second
	scratchSize    = headroom + tunnel.BufferSize
)

// newIngress makes an ingress that writes to the TUN's queue of that number, or another one if there are fewer.
func newIngress(p *Plane, number int) *ingress {
	return &ingress{plane: p, out: p.newEgress(number), tun: make([][]byte, 0, readBatch)}
}

// readSocket is the goroutine of one GRE socket.
func (p *Plane) readSocket(s *socket) {
	g := newIngress(p, s.index)
	batch := tunnel.NewBatch(readBatch)
	for {
		n, err := s.conn.ReadBatch(batch)
		if err != nil {
			if p.ended("GRE on "+s.conn.Local().String(), err) {
				return
			}
			time.Sleep(readPause)
			continue
		}
		g.begin(time.Now())
		if p.traces.On() { // before packets are decrypted in place
			p.trace(g.now, s, false, batch[:n])
		}
		for i := range batch[:n] {
			g.receive(s, &batch[i])
		}
		g.flush()
	}
}

// readPause keeps a socket that only gives errors from taking the whole CPU.
const readPause = 10 * time.Millisecond

func (g *ingress) begin(now time.Time) { g.now, g.out.now = now, now }

// receive takes one GRE packet.
func (g *ingress) receive(s *socket, p *tunnel.Packet) {
	h, payload, err := gre.Parse(p.Data)
	if err != nil {
		g.plane.malformed.Add(1)
		return
	}
	e := s.calls.get(g.plane.callKey(p.Remote, h.CallID))
	if e == nil || e.call.Remote != p.Remote { // a key may stand for several IPv6 addresses
		if s.inUse[h.CallID].Load() > 0 {
			g.plane.foreign.Add(1)
		} else {
			g.plane.unknown.Add(1)
		}
		return
	}
	g.enter(e)
	if h.HasAck {
		g.acknowledged(e, h.Ack)
	}
	e.in.receiver.Receive(g.now, h, payload)
	for f, ok := e.in.receiver.Next(); ok; f, ok = e.in.receiver.Next() {
		if unsafe.SliceData(f.Payload) == unsafe.SliceData(payload) {
			g.frame(e, f, p.Buffer, offsetIn(p.Buffer, f.Payload)) // in place
			continue
		}
		buf := g.borrow(len(f.Payload))
		copy(buf[headroom:], f.Payload)
		g.frame(e, f, buf, headroom)
	}
}

// offsetIn is where in buf the slice part of it begins.
func offsetIn(buf, part []byte) int {
	return int(uintptr(unsafe.Pointer(unsafe.SliceData(part))) - uintptr(unsafe.Pointer(unsafe.SliceData(buf))))
}

// borrow returns a buffer with headroom in front of n octets; it is given back by flush.
func (g *ingress) borrow(n int) []byte {
	if headroom+n > scratchSize {
		return make([]byte, headroom+n) // a held packet longer than a receive buffer cannot be; not worth keeping
	}
	if g.used == len(g.scratch) {
		g.scratch = append(g.scratch, make([]byte, scratchSize))
	}
	g.used++
	return g.scratch[g.used-1]
}

// enter makes e the entry whose in lock is held. Consecutive packets of one call take it once.
func (g *ingress) enter(e *Entry) {
	if g.current == e {
		return
	}
	g.leave()
	if !e.in.TryLock() {
		g.out.flush() // whoever has it may wait for an out lock of ours
		e.in.Lock()
	}
	g.current = e
}

// leave ends a run of packets of one call: the acknowledgement it owes is noted.
func (g *ingress) leave() {
	e := g.current
	if e == nil {
		return
	}
	g.current = nil
	ack := e.in.receiver.Ack()
	holds := !e.in.receiver.Deadline().IsZero()
	e.in.Unlock()
	owes := ack != gre.Ack(e.acked.Load())
	if owes {
		e.owed.Store(uint64(ack))
	}
	if (owes || holds) && !e.listed.Load() && e.listed.CompareAndSwap(false, true) {
		g.owing = append(g.owing, e)
	}
	if owes && g.urgent(e, ack) {
		g.out.acknowledge(e)
	}
}

// urgent tells that half of the window that we advertise is not acknowledged.
func (g *ingress) urgent(e *Entry, ack gre.Ack) bool {
	now, _ := ack.Sequence()
	last, ok := gre.Ack(e.acked.Load()).Sequence()
	return ok && now-last >= ReceiveWindow/2
}

// acknowledged passes on what the peer has received: always where its window is kept, else now and then, for the round trip.
func (g *ingress) acknowledged(e *Entry, ack uint32) {
	if !e.call.Enforce {
		if g.now.Sub(e.in.sampled) < sampleInterval || !g.out.try(e) {
			return
		}
		e.in.sampled = g.now
	}
	g.out.take(e)
	e.out.sender.Acknowledged(g.now, ack)
	g.out.drain(e)
}

// frame takes one PPP frame, which is buf[start:start+len(f.Payload)].
func (g *ingress) frame(e *Entry, f gre.Frame, buf []byte, start int) {
	e.in.lost += min(f.Lost, ^uint32(0)-e.in.lost)
	end := start + len(f.Payload)
	protocol, info, err := ppp.Split(buf[start:end])
	if err != nil {
		e.in.count.malformed++
		return
	}
	nw := e.net.Load()
	if protocol == ppp.IPv4 || protocol == mppe.Protocol {
		if nw == nil {
			g.early(e, buf[start:end])
			return
		}
		if len(e.in.early) > 0 {
			g.replay(e)
		}
	}
	switch protocol {
	case ppp.IPv4:
		switch {
		case nw.Encryption != nil:
			e.in.count.unencrypted++
		default:
			g.forward(e, nw, buf, end-len(info), end)
		}
	case mppe.Protocol:
		g.open(e, nw, buf, end-len(info), end)
	default:
		g.control(e, buf[start:end])
	}
}

// early holds a data frame that has come before the network is open, if it belongs to that.
func (g *ingress) early(e *Entry, frame []byte) {
	if e.in.opened || len(e.in.early) >= earlyFrames {
		e.in.count.early++
		return
	}
	e.in.early = append(e.in.early, append([]byte(nil), frame...))
}

// replay takes what early has held, now that the network is open.
func (g *ingress) replay(e *Entry) {
	held := e.in.early
	e.in.early = nil
	for _, frame := range held {
		buf := g.borrow(len(frame))
		copy(buf[headroom:], frame)
		g.frame(e, gre.Frame{Payload: buf[headroom : headroom+len(frame)]}, buf, headroom)
	}
}

// open decrypts the MPPE packet buf[start:end] in place.
func (g *ingress) open(e *Entry, nw *network, buf []byte, start, end int) {
	if e.in.opener == nil { // nothing was agreed on
		e.in.count.undecrypted++
		return
	}
	if end-start < mppe.HeaderLength {
		e.in.count.undecrypted++
		return
	}
	inner := start + mppe.HeaderLength
	lost := e.in.lost
	e.in.lost = 0
	plain, err := e.in.opener.Open(&g.out.work, buf[inner:inner], buf[start:end], lost)
	if err != nil {
		e.in.count.undecrypted++
		return
	}
	protocol, info, err := ppp.Split(plain)
	switch {
	case err != nil:
		e.in.count.malformed++
	case protocol == ppp.IPv4:
		g.forward(e, nw, buf, end-len(info), end)
	default:
		// What else is encrypted nobody has agreed on; the link says so to the peer.
		g.control(e, plain)
	}
}

// control hands a frame that is no data to the owner.
func (g *ingress) control(e *Entry, frame []byte) {
	e.in.count.frames++
	if e.removed.Load() || !e.call.Inbox.Deliver(append([]byte(nil), frame...)) {
		e.in.count.inboxDropped++
	}
}

// forward checks the IP packet buf[start:end] of a client and sends it on.
func (g *ingress) forward(e *Entry, nw *network, buf []byte, start, end int) {
	count := &e.in.count
	ip, ok := parseIPv4(buf[start:end])
	switch {
	case !ok:
		count.malformed++
		return
	case !nw.from(ip.source()):
		count.forged++
		return
	case ip.destination().unroutable():
		count.unroutable++
		return
	case nw.Filter != nil && !nw.Filter.Passes(filter.In, ip):
		count.filtered++
		return
	case !e.in.bucket.take(g.now, len(ip)):
		count.limited++
		return
	}
	if nw.own != 0 && ip.destination() == nw.own {
		ip.translate(destinationAt, g.plane.server)
	}
	if ip.clampMSS(e.mtu(nw)) {
		count.segments++
	}
	if g.plane.isClient(ip.destination()) {
		g.across(e, ip, buf, start)
		return
	}
	e.packets.Add(1)
	count.octets += uint64(len(ip))
	buf, start = g.roomFor(ip, buf, start, tun.Headroom)
	g.tun = append(g.tun, buf[start-tun.Headroom:start+len(ip)])
}

// roomFor returns the packet in a buffer with at least that much room in front of it. The socket's own buffers always have what the TUN
// needs, and those of an IPv4 socket, in which an IP header comes first, what another client needs.
func (g *ingress) roomFor(ip packet, buf []byte, start, room int) ([]byte, int) {
	if start >= room {
		return buf, start
	}
	fresh := g.borrow(len(ip))
	copy(fresh[headroom:], ip)
	return fresh, headroom
}

// across sends a packet from one client to another one, if that is allowed.
func (g *ingress) across(e *Entry, ip packet, buf []byte, start int) {
	to := g.plane.addresses.get(uint64(ip.destination()))
	switch {
	case g.plane.isolation.Load():
		e.in.count.isolated++
	case to == nil:
		e.in.count.unroutable++
	case !ip.decrementTTL():
		e.in.count.expired++
	default:
		e.packets.Add(1)
		e.in.count.octets += uint64(len(ip))
		buf, start = g.roomFor(ip, buf, start, sendOverhead)
		g.out.send(to, buf, start, start+len(ip))
	}
}

// flush sends everything that has come together, and lets go of all locks and buffers.
func (g *ingress) flush() {
	g.leave()
	g.out.flush()
	g.out.toTUN(g.tun)
	clear(g.tun)
	g.tun = g.tun[:0]
	g.used = 0
	if len(g.owing) > 0 {
		g.plane.ticker.add(g.owing)
		clear(g.owing)
		g.owing = g.owing[:0]
	}
}
