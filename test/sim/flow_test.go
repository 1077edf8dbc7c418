package sim

import (
	"bytes"
	"encoding/binary"
	"time"

	"trunkline.example/shared/gre"
)

const (
	queueMaximum = 8 // payloads that wait for the window
	payloadBase  = 9 // octets before the filling: serial, side, index
)

// flowName names one end of a call in the whole world: the serial number and whether it is the PAC's end.
type flowName struct {
	serial uint32
	pac    bool
}

// flow is the data path of a call at one end.
type flow struct {
	w        *world
	host     *host
	peer     *host
	name     flowName
	receiver *gre.Receiver
	sender   *gre.Sender // nil until the call is up
	theirs   uint16
	ended    bool
	queue    [][]byte

	index    uint32 // payloads made
	numbered uint32 // packets with a sequence number sent
	arrived  uint64 // packets received
	first    uint32 // sequence number received first
	started  bool
	got      uint32 // index of the payload delivered last, from 1
	least    uint32 // lowest index delivered
	restarts uint64
	armed    time.Time
}

func newFlow(h, peer *host, name flowName) *flow {
	f := &flow{w: h.w, host: h, peer: peer, name: name, receiver: gre.NewReceiver(gre.ReceiverConfig{})}
	h.w.flows[name] = f
	return f
}

// start begins to send.
func (f *flow) start(theirs, window uint16) {
	f.theirs = theirs
	f.sender = gre.NewSender(f.w.now, gre.SenderConfig{CallID: theirs, Enforce: window > 0, Window: window, Advertised: 16})
	f.produce()
}

// produce makes a payload now and then while the call lasts.
func (f *flow) produce() {
	if f.ended && f.w.broken != sendAfterEnd {
		return
	}
	for range 1 + f.w.random.IntN(4) {
		f.index++
		p := binary.BigEndian.AppendUint32(nil, f.name.serial)
		side := byte(0)
		if f.name.pac {
			side = 1
		}
		p = binary.BigEndian.AppendUint32(append(p, side), f.index)
		p = append(p, bytes.Repeat([]byte{byte(f.index)}, f.w.random.IntN(40))...)
		if len(f.queue) < queueMaximum || f.w.broken == queueWithoutBound {
			f.queue = append(f.queue, p)
		}
	}
	f.push()
	gap := f.w.between(5*time.Millisecond, 100*time.Millisecond)
	if f.w.chance(0.1) {
		gap = f.w.between(time.Second, 20*time.Second)
	}
	if !f.ended && !f.w.calm() || f.w.broken == sendAfterEnd && !f.w.calm() {
		f.w.after(gap, f.produce)
	}
}

// push sends what the window admits.
func (f *flow) push() {
	if f.sender == nil {
		return
	}
	for len(f.queue) > 0 {
		f.sender.Owe(f.w.now, f.receiver.Ack())
		h, ok := f.sender.Next(f.w.now, len(f.queue[0]))
		if !ok {
			break
		}
		f.numbered++
		if f.w.broken == miscount && f.w.chance(0.01) {
			f.numbered--
		}
		f.send(h, f.queue[0])
		f.queue = f.queue[1:]
	}
	if len(f.queue) > queueMaximum {
		f.w.fail("call %d: %d payloads wait for the window", f.name.serial, len(f.queue))
	}
	f.service()
}

func (f *flow) send(h gre.Header, payload []byte) {
	if f.ended {
		f.w.fail("%v: a packet of call %d is sent after its end", f.host, f.name.serial)
	}
	f.w.throw(packet{f.host, f.peer, append(h.Append(nil), payload...)})
}

// arrive takes a packet from the network.
func (f *flow) arrive(h gre.Header, payload []byte) {
	f.arrived++
	if h.HasSequence && !f.started {
		f.started, f.first = true, h.Sequence
	}
	f.receiver.Receive(f.w.now, h, payload)
	f.drain()
	if f.sender == nil {
		f.arm()
		return
	}
	if h.HasAck {
		f.sender.Acknowledged(f.w.now, h.Ack)
		if n := f.sender.Counters().BogusAcks; n > 0 {
			f.w.fail("call %d: %d acknowledgements of what was never sent", f.name.serial, n)
		}
	}
	f.push()
}

// drain gives the application what is in order.
func (f *flow) drain() {
	for p, ok := f.receiver.Next(); ok; p, ok = f.receiver.Next() {
		f.deliver(p.Payload)
		if f.w.broken == deliverTwice && f.w.chance(0.01) {
			f.deliver(p.Payload)
		}
	}
	if s := f.receiver.State(); len(s.Held) > gre.DefaultReorderPackets {
		f.w.fail("call %d: %d packets held", f.name.serial, len(s.Held))
	}
}

// deliver is the application: it knows what the other end sent.
func (f *flow) deliver(p []byte) {
	if len(p) < payloadBase {
		f.w.fail("call %d: payload of %d octets", f.name.serial, len(p))
	}
	if serial := binary.BigEndian.Uint32(p); serial != f.name.serial || p[4] == 1 == f.name.pac {
		f.w.fail("%v: call %d is given a payload of call %d, side %d", f.host, f.name.serial, serial, p[4])
	}
	index := binary.BigEndian.Uint32(p[5:])
	for _, octet := range p[payloadBase:] {
		if octet != byte(index) {
			f.w.fail("call %d: payload %d is corrupted", f.name.serial, index)
		}
	}
	// A sequence that is entered anew (see gre.ReceiverCounters.Restarts) may go back, but only to before where it was first entered: what
	// came too late is never handed on.
	n := f.receiver.Counters().Restarts
	back := n != f.restarts && index < f.least
	if f.restarts = n; f.got == 0 || back {
		f.least = index
	}
	if index <= f.got && !back {
		f.w.fail("call %d: payload %d after %d", f.name.serial, index, f.got)
	}
	f.got = index
}

// service sends acknowledgements and performs time-outs that are due.
func (f *flow) service() {
	if f.sender != nil {
		f.sender.Owe(f.w.now, f.receiver.Ack())
		f.sender.Tick(f.w.now)
		if h, ok := f.sender.AckDue(f.w.now); ok {
			f.send(h, nil)
		}
		if f.sender.State().Enforcement == gre.EnforcementOn && f.sender.Full() && f.sender.Deadline().IsZero() {
			f.w.fail("call %d: the window is full and the sender has no deadline", f.name.serial)
		}
	}
	f.arm()
}

// arm schedules the next deadline of the two halves.
func (f *flow) arm() {
	next := f.receiver.Deadline()
	if f.sender != nil {
		if d := f.sender.Deadline(); next.IsZero() || !d.IsZero() && d.Before(next) {
			next = d
		}
	}
	if next.IsZero() || !f.armed.IsZero() && !next.Before(f.armed) {
		return
	}
	f.armed = next
	f.w.at(next, func() {
		if f.ended || !f.armed.Equal(next) {
			return
		}
		f.armed = time.Time{}
		f.receiver.Tick(f.w.now)
		f.drain()
		f.push()
		f.service()
	})
}

// end takes what is held, and nothing afterwards.
func (f *flow) end() {
	f.receiver.Tick(f.w.now.Add(gre.DefaultReorderTime))
	f.drain()
	f.ended, f.queue = true, nil
}

// checkCounters compares the counters of the two ends of one direction: f received what from sent.
func (f *flow) checkCounters(from *flow) {
	c := f.receiver.Counters()
	if sum := c.Packets + c.Empty + c.AckOnly + c.Unsequenced + c.Duplicates + c.Late + c.Strays +
		uint64(len(f.receiver.State().Held)); sum != f.arrived {
		f.w.fail("call %d: %d packets arrived, %d are counted or held: %+v", f.name.serial, f.arrived, sum, c)
	}
	s := &f.w.stats
	s.delivered += c.Packets
	s.lost += c.Lost
	s.duplicates += c.Duplicates
	s.reordered += c.Reordered
	s.restarts += c.Restarts
	if from == nil || from.sender == nil {
		if c.Packets > 0 {
			f.w.fail("call %d: %d packets of an end that never sent", f.name.serial, c.Packets)
		}
		return
	}
	sent := from.sender.Counters().Packets
	s.sent += sent
	if uint64(from.numbered) != sent {
		f.w.fail("call %d: %d packets were sent, the sender counts %d", f.name.serial, from.numbered, sent)
	}
	if !f.started || c.Restarts > 0 {
		return
	}
	// What came before the first that arrived, and after the last, nobody could miss.
	tail := sent - uint64(f.receiver.State().Next)
	if sum := c.Packets + c.Lost + uint64(f.first) + tail; sum != sent {
		f.w.fail("call %d: %d packets sent, but %d received, %d lost, %d before and %d after",
			f.name.serial, sent, c.Packets, c.Lost, f.first, tail)
	}
	if uint64(f.receiver.State().Next) > sent {
		f.w.fail("call %d: the receiver waits for %d, only %d were sent", f.name.serial, f.receiver.State().Next, sent)
	}
}
