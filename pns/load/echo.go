package load

import (
	"encoding/binary"
	"time"

	"trunkline.example/shared/measure"
)

// echo is a session's ICMP echo requests.
type echo struct {
	k     *call
	size  int // octets of an IP packet
	due   time.Time
	ident uint16 // of the next IP packet
	quiet bool   // nothing more is sent

	slots   []slot // requests under way
	under   int    // of slots
	next    time.Time
	search  int
	transit measure.Transit
}

// slot is an echo request without reply.
type slot struct {
	sent  time.Duration // since the run began; 0 = free
	count uint32        // requests in this slot so far, from some number on
}

func newEcho(k *call, size int, now time.Time) *echo {
	f := &echo{k: k, size: size, slots: make([]slot, k.shard.traffic.Window), next: now}
	for i := range f.slots {
		f.slots[i].count = uint32(len(k.shard.stages)) << 24 // a late reply to the flood is none to the traffic
	}
	return f
}

// sweepEvery is how often requests that have waited too long are looked for.
const sweepEvery = 500 * time.Millisecond

// tick gives lost requests up and sends those that are due.
func (f *echo) tick(now time.Time) {
	if !now.Before(f.due) {
		f.sweep(now)
	}
	t := f.k.shard.traffic
	for i := range f.slots {
		if f.quiet || t.Interval > 0 && now.Before(f.next) {
			break
		}
		if n := (f.search + i) % len(f.slots); f.slots[n].sent == 0 {
			f.request(now, n)
		}
	}
	f.schedule(now)
}

// schedule says when tick has something to do.
func (f *echo) schedule(now time.Time) {
	if f.due.IsZero() || !now.Before(f.due) {
		f.due = now.Add(sweepEvery)
	}
	if t := f.k.shard.traffic; t.Interval > 0 && !f.quiet && f.under < len(f.slots) && f.next.Before(f.due) {
		f.due = f.next
	}
	if f.quiet && f.under == 0 {
		f.due = time.Time{}
	}
}

// sweep gives up what has waited too long.
func (f *echo) sweep(now time.Time) {
	late := now.Sub(f.k.shard.e.began) - f.k.shard.traffic.Timeout
	for i := range f.slots {
		if s := &f.slots[i]; s.sent != 0 && s.sent <= late {
			f.free(s)
			f.k.shard.stage.down.Lost++
		}
	}
}

func (f *echo) free(s *slot) {
	s.sent = 0
	f.under--
	f.k.shard.tally.under.Add(-1)
}

// request sends an echo request.
func (f *echo) request(now time.Time, n int) {
	k, s := f.k, &f.slots[n]
	f.search = n + 1
	if t := k.shard.traffic; t.Interval > 0 {
		if f.next = f.next.Add(t.Interval); f.next.Before(now) {
			f.next = now.Add(t.Interval)
		}
	}
	s.sent, s.count = max(now.Sub(k.shard.e.began), 1), s.count+1
	f.under++
	to := k.peer
	if target := k.shard.traffic.Target; target.IsValid() {
		to = target
	}
	b := k.shard.buffer()
	ip := b[ipRoom : ipRoom+f.size]
	m := ip[ipHeader:]
	m[0], m[1], m[2], m[3] = icmpEchoRequest, 0, 0, 0
	binary.BigEndian.PutUint16(m[4:], uint16(k.number))
	binary.BigEndian.PutUint16(m[6:], uint16(s.count))
	putStamp(m[icmpHeader:], uint32(n), s.count, s.sent)
	binary.BigEndian.PutUint16(m[2:], checksum(m, 0))
	putIP(ip, protocolICMP, f.ident, k.local.As4(), to.As4())
	f.ident++
	k.sendIP(now, b, f.size)
	tally := &k.shard.tally
	tally.under.Add(1)
	tally.sent.Add(1)
	tally.sentOctets.Add(uint64(f.size))
	k.shard.stage.up.Sent++
}

// receive takes an IP packet.
func (f *echo) receive(now time.Time, b []byte) {
	p, ok := parseIP(b)
	if !ok || p.protocol != protocolICMP || p.to != f.k.local.As4() || len(p.payload) < icmpHeader+stampLength || p.payload[0] != icmpEchoReply {
		return
	}
	m := p.payload[icmpHeader:]
	n, count := binary.BigEndian.Uint32(m[stampSlot:]), binary.BigEndian.Uint32(m[stampCount:])
	if binary.BigEndian.Uint32(m) != stampMagic || int(n) >= len(f.slots) || f.slots[n].sent == 0 || f.slots[n].count != count {
		return // another program's, repeated, or given up
	}
	s, shard := &f.slots[n], f.k.shard
	if len(b) != f.size || checksum(p.payload, 0) != 0 {
		shard.stage.down.Damaged++
		return // and lost
	}
	trip := now.Sub(shard.e.began) - s.sent
	f.free(s)
	shard.stage.trips.Add(trip)
	shard.tally.received.Add(1)
	shard.tally.receivedOctets.Add(uint64(f.size))
	f.transit.Add(&shard.stage.down, f.size, trip)
	shard.stage.up.Received++
	shard.stage.up.Octets += uint64(f.size)
	if t := shard.traffic; t.Interval == 0 && !f.quiet {
		f.request(now, int(n))
	}
	f.schedule(now)
}

// drain sends nothing more.
func (f *echo) drain(now time.Time) {
	f.quiet = true
	f.schedule(now)
	f.k.touch()
}

func (f *echo) idle() bool { return f.under == 0 }

// finish counts what is under way as lost.
func (f *echo) finish() {
	for i := range f.slots {
		if s := &f.slots[i]; s.sent != 0 {
			f.free(s)
			f.k.shard.stage.down.Lost++
		}
	}
}

func (f *echo) deadline() time.Time { return f.due }
