package dataplane

import (
	"time"

	"trunkline.example/pns/filter"
	"trunkline.example/pns/tun"
	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/ppp/mppe"
)

// egress sends IP packets to clients, one batch at a time. It belongs to one goroutine.
//
// It takes the out lock of each call it has a packet for and keeps it until flush has handed the packets to the socket:
// packets leave in the order of their numbers, whoever else sends on the same call. While it holds any it never waits for another.
type egress struct {
	plane *Plane
	tun   tun.Queue // that ICMP messages and what comes from clients is written to
	now   time.Time
	lanes []lane // by index of the socket
	held  []*Entry
	work  mppe.Worker

	reply   [][]byte // ICMP messages for the TUN
	replies []byte
	pieces  fragmenter
	scratch [][]byte // fragments
	used    int
	trying  bool       // there is a packet in a lane that is to show whether a trouble is over
	sent    []*waiting // that were in queues, and are in lanes now
	holding []*Entry   // that have begun to, and want to be looked at by the ticker
}

// lane is what goes out by one socket.
type lane struct {
	packets []tunnel.Packet
	entries []*Entry
}

const (
	laneLength = 128
	replySize  = tun.Headroom + ipv4HeaderMin + icmpHeader + 60 + icmpQuoted // the quoted header may have options
	maxReplies = 64
)

// take makes this egress the holder of the entry's out lock.
func (g *egress) take(e *Entry) {
	if !g.try(e) {
		g.flush()
		e.out.Lock()
		g.keep(e)
	}
}

// try is take that does not wait for another holder: false then.
func (g *egress) try(e *Entry) bool {
	if e.out.holder.Load() == g {
		return true
	}
	if !e.out.TryLock() {
		return false
	}
	g.keep(e)
	return true
}

func (g *egress) keep(e *Entry) {
	e.out.holder.Store(g)
	g.held = append(g.held, e)
}

func (g *egress) lane(s *socket) *lane {
	for s.index >= len(g.lanes) {
		g.lanes = append(g.lanes, lane{make([]tunnel.Packet, 0, laneLength), make([]*Entry, 0, laneLength)})
	}
	return &g.lanes[s.index]
}

// send sends the IP packet buf[start:end] to a client. There must be headroom for the headers in front of it; the buffer
// must not change until flush.
func (g *egress) send(e *Entry, buf []byte, start, end int) {
	g.take(e)
	nw := e.net.Load() // with the lock held, so that the keys are those of this network
	if nw == nil {
		g.plane.noSession.Add(1)
		return
	}
	mtu := e.mtu(nw)
	ip := packet(buf[start:end])
	if nw.Filter != nil && !nw.Filter.Passes(filter.Out, ip) {
		e.out.count.filtered++
		return
	}
	if len(ip) > mtu {
		g.tooBig(e, nw, ip, mtu)
		return
	}
	if ip.clampMSS(mtu) {
		e.out.count.low++
	}
	nw.leave(ip, g.plane.server)
	g.encapsulate(e, nw, buf, start, end)
}

// behind returns the call that carries a packet to an address behind a site. If there is none the packet waits, or is dropped and answered by an ICMP message.
func (g *egress) behind(ip packet) *Entry {
	r := g.plane.routeTo(ip.destination())
	if r == nil {
		g.plane.noSession.Add(1)
		return nil
	}
	if e := r.entry.Load(); e != nil {
		return e
	}
	e, kept := r.keep(ip)
	if e == nil && !kept && r.mayComplain(g.now) {
		g.complain(ip, icmpNoHost, 0)
	}
	return e
}

// leave gives a packet of our own the address that the far end knows us by.
func (n *network) leave(ip packet, server address) {
	if n.own != 0 && ip.source() == server {
		ip.translate(sourceAt, n.own)
	}
}

// tooBig answers a packet larger than the session's MTU, or sends it in fragments.
func (g *egress) tooBig(e *Entry, nw *network, ip packet, mtu int) {
	if ip.dontFragment() {
		e.out.count.tooBig++
		g.complain(ip, icmpFragNeeded, mtu)
		return
	}
	e.out.count.fragmented++
	nw.leave(ip, g.plane.server)
	g.pieces.start(ip, mtu)
	for {
		if g.used == len(g.scratch) {
			g.scratch = append(g.scratch, make([]byte, scratchSize))
		}
		buf := g.scratch[g.used]
		n := g.pieces.next(buf[headroom:])
		if n == 0 {
			return
		}
		g.used++
		g.encapsulate(e, nw, buf, headroom, headroom+n)
	}
}

// complain sends "unreachable", or "fragmentation needed", back to where the packet came from, if that is proper.
func (g *egress) complain(ip packet, code byte, mtu int) {
	if len(g.reply) >= maxReplies || !ip.mayComplain() {
		return
	}
	from := g.plane.server
	if ip.source() == from { // a host takes no packet that comes from itself by an interface
		from = ip.destination()
	}
	if g.replies == nil {
		g.replies = make([]byte, maxReplies*replySize)
	}
	at := len(g.reply) * replySize
	buf := g.replies[at : at+tun.Headroom : at+replySize]
	g.reply = append(g.reply, appendUnreachable(buf, ip, from, code, mtu))
}

// encapsulate sends the IP packet buf[start:end] now, or has it wait until the peer has room for it.
func (g *egress) encapsulate(e *Entry, nw *network, buf []byte, start, end int) {
	switch out := &e.out; {
	case !out.bucket.take(g.now, end-start):
		out.count.limited++
	case g.congested(e):
		out.count.congested++
	case !out.queue.empty() || g.full(e):
		g.hold(e, packet(buf[start:end]))
	default:
		g.transmit(e, nw, buf, start, end)
	}
}

// full tells that the window of the peer is full at this moment.
func (g *egress) full(e *Entry) bool {
	if !e.out.sender.Full() {
		return false
	}
	e.out.sender.Tick(g.now)
	return e.out.sender.Full()
}

// hold has a packet wait for room in the window, or drops it.
func (g *egress) hold(e *Entry, ip packet) {
	out := &e.out
	if !out.stalled {
		out.stalled = true
		out.count.stalls++
	}
	if !out.queue.push(ip, out.hold) {
		out.count.window++
		return
	}
	out.count.held++
	if !e.listed.Load() && e.listed.CompareAndSwap(false, true) {
		g.holding = append(g.holding, e)
	}
}

// drain sends what has waited for the window, as far as there is room. The entry's out lock is held.
func (g *egress) drain(e *Entry) {
	out := &e.out
	if out.queue.empty() {
		return
	}
	nw := e.net.Load()
	if nw == nil {
		return // Shut is about to empty the queue
	}
	for !out.queue.empty() && !g.congested(e) && !g.full(e) {
		w := out.queue.pop()
		g.sent = append(g.sent, w)
		if ip, mtu := w.packet(), e.mtu(nw); len(ip) > mtu { // the path has turned out to be narrower meanwhile
			g.tooBig(e, nw, ip, mtu)
			continue
		}
		g.transmit(e, nw, w.buf[:], headroom, headroom+w.size)
	}
}

// service does for an entry what is due in time: acknowledgements, time-outs of the window. If somebody else is sending on the call it
// is looked at again later.
func (g *egress) service(e *Entry) {
	if g.try(e) {
		g.acknowledge(e)
		g.drain(e)
		if e.out.queue.empty() {
			return
		}
	}
	if e.listed.CompareAndSwap(false, true) {
		g.holding = append(g.holding, e)
	}
}

// transmit puts PPP, MPPE and GRE around the IP packet buf[start:end] and queues it for the socket.
func (g *egress) transmit(e *Entry, nw *network, buf []byte, start, end int) {
	out := &e.out
	out.stalled = false
	size := end - start
	start -= 2
	buf[start], buf[start+1] = 0, 0x21
	if nw.Encryption != nil {
		header := start - mppe.HeaderLength
		out.sealer.Seal(&g.work, buf[header:header], buf[start:end])
		start = header - 1
		buf[start] = mppe.Protocol & 0xff
		if !nw.PFC {
			start--
			buf[start] = mppe.Protocol >> 8
		}
	} else if nw.PFC {
		start++
	}
	if !nw.ACFC {
		start -= 2
		buf[start], buf[start+1] = 0xff, 0x03
	}
	out.sender.Owe(g.now, gre.Ack(e.owed.Load()))
	h := out.sender.NextUrgent(g.now, end-start)
	if h.HasAck {
		e.acked.Store(uint64(gre.AckOf(h.Ack)))
	}
	start -= h.Len()
	h.Put(buf[start:])
	e.sent.Add(1)
	out.count.octets += uint64(size)
	g.queue(e, buf[start:end])
}

// queue adds a GRE packet to what flush sends. The entry's out lock is held.
func (g *egress) queue(e *Entry, data []byte) {
	l := g.lane(e.socket)
	l.packets = append(l.packets, tunnel.Packet{Remote: e.call.Remote, Data: data})
	l.entries = append(l.entries, e)
}

// acknowledge sends an acknowledgement without data, if one is due. If somebody else is sending on the call, that carries it: nobody waits for
// the other's batch.
func (g *egress) acknowledge(e *Entry) {
	if !g.try(e) {
		return
	}
	e.out.sender.Owe(g.now, gre.Ack(e.owed.Load()))
	h, due := e.out.sender.AckDue(g.now)
	if !due {
		return
	}
	e.acked.Store(uint64(gre.AckOf(h.Ack)))
	e.out.count.acks++
	if g.used == len(g.scratch) {
		g.scratch = append(g.scratch, make([]byte, scratchSize))
	}
	buf := g.scratch[g.used][:gre.MaxHeader]
	g.used++
	g.queue(e, buf[:h.Put(buf)])
}

// flush sends what is queued and lets go of all locks. Buffers may be used anew afterwards.
func (g *egress) flush() {
	for i := range g.lanes {
		l := &g.lanes[i]
		if len(l.packets) == 0 {
			continue
		}
		s := (*g.plane.byIndex.Load())[i]
		if g.plane.traces.On() {
			g.plane.trace(g.now, s, true, l.packets)
		}
		n, _ := s.conn.WriteBatch(l.packets)
		if n < len(l.packets) || g.trying {
			g.outcome(s, l)
		}
		clear(l.packets)
		clear(l.entries)
		l.packets, l.entries = l.packets[:0], l.entries[:0]
	}
	for i, e := range g.held {
		e.out.holder.Store(nil)
		e.out.Unlock()
		g.held[i] = nil
	}
	g.held = g.held[:0]
	g.used, g.trying = 0, false
	for i, w := range g.sent {
		waitingPool.Put(w)
		g.sent[i] = nil
	}
	g.sent = g.sent[:0]
	if len(g.holding) > 0 {
		g.plane.ticker.add(g.holding)
		clear(g.holding)
		g.holding = g.holding[:0]
	}
}

// toTUN writes packets, and the ICMP messages that have come up meanwhile. No lock of an entry is held.
func (g *egress) toTUN(packets [][]byte) {
	for _, batch := range [2][][]byte{packets, g.reply} {
		if len(batch) == 0 {
			continue
		}
		if n, err := g.tun.Write(batch, tun.Headroom); err != nil {
			g.plane.writeFailed.Add(uint64(len(batch) - n))
		}
	}
	clear(g.reply)
	g.reply = g.reply[:0]
}

// newEgress makes an egress that writes to one of the TUN's queues: any will do, and those of different numbers wait for each other the less.
func (p *Plane) newEgress(number int) egress {
	queues := p.options.Device.Queues()
	return egress{plane: p, tun: queues[number%len(queues)]}
}

// readQueue is the goroutine of a queue of the TUN. All packets to a client's address come by the same one, so that nobody else numbers
// packets of that flow; those to networks behind it come by another.
func (p *Plane) readQueue(number int) {
	dev := p.options.Device
	var place affinity
	g := p.newEgress(number)
	bufs := make([][]byte, dev.BatchSize())
	sizes := make([]int, len(bufs))
	memory := make([]byte, len(bufs)*scratchSize)
	for i := range bufs {
		bufs[i] = memory[i*scratchSize : (i+1)*scratchSize : (i+1)*scratchSize]
	}
	for {
		n, err := g.tun.Read(bufs, sizes, headroom)
		if err != nil {
			if p.ended("TUN interface "+dev.Name(), err) {
				return
			}
			time.Sleep(readPause)
			continue
		}
		g.now = time.Now()
		place.batch(g.now, n == len(bufs))
		for i := range n {
			g.fromTUN(bufs[i], sizes[i])
		}
		g.flush()
		g.toTUN(nil)
	}
}

// fromTUN takes one packet that the kernel has routed to a client.
func (g *egress) fromTUN(buf []byte, size int) {
	ip, ok := parseIPv4(buf[headroom : headroom+size])
	if !ok {
		g.plane.notIPv4.Add(1)
		return
	}
	e := g.plane.addresses.get(uint64(ip.destination()))
	if e == nil {
		if e = g.behind(ip); e == nil {
			return
		}
	}
	g.send(e, buf, headroom, headroom+len(ip))
}
