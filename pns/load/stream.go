package load

import (
	"encoding/binary"
	"slices"
	"time"

	"trunkline.example/shared/measure"
)

// stream is a session's UDP datagrams to and from a Responder. The client says hello, the responder answers with a cookie, which
// shows that the client's address is its own; with it the client asks for datagrams, again and again, and is told each time
// what has come.
type stream struct {
	k       *call
	run     uint32 // another one for each stream: its address may have been somebody else's before
	size    int    // octets of an IP packet
	due     time.Time
	ident   uint16
	cookie  uint64 // 0: not known yet
	asking  time.Time
	quiet   bool
	settled time.Time // while quiet: reports from then on are the last word
	done    bool      // the last report is there

	began   time.Time // of sending
	sent    uint64
	skipped uint64 // that were due while this host was busy; they are not caught up with
	report  report
	down    measure.Count
	transit measure.Transit
}

const (
	streamPort   = 40000
	askEvery     = 500 * time.Millisecond
	settleTime   = 300 * time.Millisecond
	reportTime   = 15 * time.Second
	burst        = 32 // datagrams of a session that go out together
	asManyAsGoes = ^uint32(0)
)

func newStream(k *call, size int) *stream {
	k.shard.tally.under.Add(1) // until the last report
	sh := k.shard
	sh.streams++
	s := &stream{k: k, size: size, run: sh.e.id + sh.streams*MaxShards + uint32(sh.index)}
	if t := k.shard.traffic; t.Rate == 0 && t.Shape != Down {
		k.shard.floods = append(k.shard.floods, s)
	}
	return s
}

func (s *stream) deadline() time.Time { return s.due }

// tick asks the responder again, and sends what is due.
func (s *stream) tick(now time.Time) {
	if s.done {
		s.due = time.Time{}
		return
	}
	if !now.Before(s.asking) {
		s.ask(now)
	}
	s.due = s.asking
	t := s.k.shard.traffic
	if s.quiet || s.cookie == 0 || t.Shape == Down || t.Rate == 0 {
		return
	}
	if want := uint64(now.Sub(s.began).Seconds() * t.Rate); want > s.sent+s.skipped {
		n := want - s.sent - s.skipped
		if n > burst {
			s.skipped += n - burst
			n = burst
		}
		for range n {
			s.datagram(now)
		}
	}
	if next := s.began.Add(time.Duration(float64(s.sent+s.skipped+1) / t.Rate * float64(time.Second))); next.Before(s.due) {
		s.due = next
	}
}

// flood sends a burst, as often as the shard has time.
func (s *stream) flood(now time.Time) {
	if s.cookie == 0 || s.quiet || s.k.state != up {
		return
	}
	for range burst {
		s.datagram(now)
	}
}

// ask says hello, or what is wanted from now on.
func (s *stream) ask(now time.Time) {
	s.asking = now.Add(askEvery)
	t := s.k.shard.traffic
	q := request{kind: kindHello}
	if s.cookie != 0 {
		q = request{kind: kindAsk, cookie: s.cookie, size: uint16(s.size), run: s.run}
		if t.Shape != Up && !s.quiet {
			if q.rate = asManyAsGoes; t.Rate > 0 {
				q.rate = uint32(t.Rate)
			}
		}
	}
	s.send(now, requestLength, func(b []byte) { q.put(b) })
}

// datagram sends one of those that are counted.
func (s *stream) datagram(now time.Time) {
	e := s.k.shard.e
	s.send(now, s.size-ipHeader-udpHeader, func(b []byte) { putStamp(b, kindData, uint32(s.sent), now.Sub(e.began)) })
	s.sent++
	tally := &s.k.shard.tally
	tally.sent.Add(1)
	tally.sentOctets.Add(uint64(s.size))
}

// send sends a datagram to the responder; put writes its payload of length octets.
func (s *stream) send(now time.Time, length int, put func([]byte)) {
	k := s.k
	target := k.shard.traffic.Responder
	size := ipHeader + udpHeader + length
	b := k.shard.buffer()
	ip := b[ipRoom : ipRoom+size]
	udp := ip[ipHeader:]
	binary.BigEndian.PutUint16(udp, streamPort)
	binary.BigEndian.PutUint16(udp[2:], target.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(udpHeader+length))
	udp[6], udp[7] = 0, 0
	put(udp[udpHeader:])
	from, to := k.local.As4(), target.Addr().As4()
	sum := checksum(udp, pseudo(from, to, len(udp)))
	if sum == 0 {
		sum = 0xFFFF // zero would mean that there is none
	}
	binary.BigEndian.PutUint16(udp[6:], sum)
	putIP(ip, protocolUDP, s.ident, from, to)
	s.ident++
	k.sendIP(now, b, size)
}

// receive takes an IP packet.
func (s *stream) receive(now time.Time, b []byte) {
	k := s.k
	p, ok := parseIP(b)
	target := k.shard.traffic.Responder
	if !ok || p.protocol != protocolUDP || len(p.payload) < udpHeader || p.from != target.Addr().As4() || p.to != k.local.As4() ||
		binary.BigEndian.Uint16(p.payload) != target.Port() || binary.BigEndian.Uint16(p.payload[2:]) != streamPort {
		return
	}
	if binary.BigEndian.Uint16(p.payload[6:]) != 0 && checksum(p.payload, pseudo(p.from, p.to, len(p.payload))) != 0 {
		s.down.Damaged++
		return
	}
	m := p.payload[udpHeader:]
	switch kindOf(m) {
	case kindCookie:
		if s.cookie == 0 {
			s.cookie, s.began, s.asking = binary.BigEndian.Uint64(m[stampCount:]), now, now
			s.tick(now)
		}
	case kindData:
		k.shard.tally.received.Add(1)
		k.shard.tally.receivedOctets.Add(uint64(len(b)))
		s.transit.Add(&s.down, len(b), now.Sub(k.shard.e.began)-stampOf(m))
	case kindReport:
		if r, ok := parseReport(m); ok && r.received >= s.report.received && r.sent >= s.report.sent {
			s.report = r
			if s.quiet && !now.Before(s.settled) && !s.done {
				s.done = true
				k.shard.tally.under.Add(-1)
			}
		}
	}
}

// patience is how long what is under way when the traffic ends is waited for. Reports of what streams have carried come through the queues that these
// have filled, and are asked for again until they do.
func (t *Traffic) patience() time.Duration {
	if t.Shape == Echo {
		return t.Timeout
	}
	return max(t.Timeout, reportTime)
}

// drain sends nothing more, and asks for the last word when everything has had the time to arrive.
func (s *stream) drain(now time.Time) {
	s.quiet, s.settled = true, now.Add(settleTime)
	s.ask(now)
	s.asking, s.due = s.settled, s.settled
	s.k.touch()
}

func (s *stream) idle() bool { return s.done }

// finish counts what the two ends say.
func (s *stream) finish() {
	shard := s.k.shard
	shard.floods = slices.DeleteFunc(shard.floods, func(other *stream) bool { return other == s })
	if !s.done {
		s.done = true
		shard.tally.under.Add(-1)
	}
	if s.quiet && s.report == (report{}) {
		shard.drops.Note("no answer from the responder", "", 1)
		shard.tally.dropped.Add(1)
	}
	missing := func(sent, received uint64) uint64 { return max(sent, received) - received }
	r := &s.report
	shard.stage.up.Merge(measure.Count{Sent: s.sent, Received: r.received, Lost: missing(s.sent, r.received), Octets: r.received * uint64(s.size),
		Jitter: r.jitter, Jitters: r.jitters})
	s.down.Sent, s.down.Lost = r.sent, missing(r.sent, s.down.Received)
	shard.stage.down.Merge(s.down)
}
