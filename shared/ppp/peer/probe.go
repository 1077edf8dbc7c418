package peer

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

const (
	firstPort      = 0x8000 // of UDP probes: the probe's number above it
	maxProbeID     = 0x7FFF
	sequenceLength = 4 // at the start of a UDP payload
	defaultTimeout = 10 * time.Second
	defaultWindow  = 4
)

// ProbeState is a running probe as plain data.
type ProbeState struct {
	ID          uint16
	Probe       Probe
	Sequence    uint32    // of the next request
	Next        time.Time // when it is due; zero = at once
	Outstanding []Outstanding
	Abandoned   bool // nothing more is sent
	Statistics  Statistics
}

// Outstanding is a request without reply.
type Outstanding struct {
	Sequence uint32
	Sent     time.Time
	Tries    int
}

func (b Probe) filled() Probe {
	if b.Port == 0 {
		b.Port = portEcho
	}
	if b.Count == 0 {
		b.Count = 1
	}
	if b.Timeout <= 0 {
		b.Timeout = defaultTimeout
	}
	if b.Window == 0 {
		b.Window = MaxWindow
		if b.Interval <= 0 {
			b.Window = defaultWindow
		}
	}
	return b
}

func (b Probe) check() error {
	switch {
	case b.Kind != ICMPEcho && b.Kind != UDPEcho:
		return fmt.Errorf("%w: %v", ErrProbe, b.Kind)
	case b.Destination.IsValid() && !b.Destination.Is4():
		return fmt.Errorf("%w: destination %v is not IPv4", ErrProbe, b.Destination)
	case b.Size < 0 || b.Size > MaxSize || b.Kind == UDPEcho && b.Size < sequenceLength:
		return fmt.Errorf("%w: %d octets of payload", ErrProbe, b.Size)
	case b.Count < 0 || b.Kind == ICMPEcho && b.Count > 0xFFFF || uint64(b.Count) > 1<<32-1:
		return fmt.Errorf("%w: %d requests", ErrProbe, b.Count)
	case b.Window < 0 || b.Window > MaxWindow:
		return fmt.Errorf("%w: window of %d", ErrProbe, b.Window)
	case b.Retries < 0:
		return fmt.Errorf("%w: %d retries", ErrProbe, b.Retries)
	}
	return nil
}

// Ping sends one ICMP echo request with size octets of payload; an invalid
// destination is the other end of the link.
func (p *Peer) Ping(now time.Time, destination netip.Addr, size int) (id uint16, err error) {
	return p.Start(now, Probe{Destination: destination, Size: size})
}

// Start begins a probe, now or as soon as the network is up, and returns the number
// that its actions carry. The error is ErrProbe.
func (p *Peer) Start(now time.Time, b Probe) (id uint16, err error) {
	if err := b.check(); err != nil {
		return 0, err
	}
	if len(p.s.Probes) >= MaxProbes {
		return 0, fmt.Errorf("%w: %d are running", ErrProbe, MaxProbes)
	}
	if p.s.Over {
		return 0, fmt.Errorf("%w: the link is over", ErrProbe)
	}
	for p.probe(p.s.NextProbe) != nil || p.s.NextProbe == 0 || p.s.NextProbe > maxProbeID {
		if p.s.NextProbe++; p.s.NextProbe > maxProbeID {
			p.s.NextProbe = 1
		}
	}
	id = p.s.NextProbe
	p.s.NextProbe++
	p.s.Probes = append(p.s.Probes, ProbeState{ID: id, Probe: b.filled()})
	p.runProbes(now)
	return id, nil
}

// Cancel ends a probe: what has not come back is lost. Done follows.
func (p *Peer) Cancel(now time.Time, id uint16) {
	if b := p.probe(id); b != nil {
		p.abandon(now, b, "cancelled")
		p.runProbes(now)
	}
}

// Finish has a probe send no more requests; what is under way may still come back. Done follows then.
func (p *Peer) Finish(now time.Time, id uint16) {
	if b := p.probe(id); b != nil {
		b.Probe.Count = int(b.Sequence)
		p.runProbes(now)
	}
}

// abandon makes a probe be over.
func (p *Peer) abandon(now time.Time, b *ProbeState, why string) {
	for _, o := range b.Outstanding {
		p.lose(now, b, o.Sequence, why)
	}
	b.Outstanding, b.Abandoned = nil, true
}

// all tells whether every request has been sent.
func (b *ProbeState) all() bool {
	return b.Abandoned || uint64(b.Sequence) >= uint64(b.Probe.Count)
}

func (p *Peer) endProbes(now time.Time, why string) {
	for i := range p.s.Probes {
		p.abandon(now, &p.s.Probes[i], why)
	}
	p.runProbes(now)
}

func (p *Peer) probe(id uint16) *ProbeState {
	for i := range p.s.Probes {
		if p.s.Probes[i].ID == id {
			return &p.s.Probes[i]
		}
	}
	return nil
}

func (p *Peer) probeOfPort(port uint16) *ProbeState {
	if port <= firstPort {
		return nil
	}
	b := p.probe(port - firstPort)
	if b == nil || b.Probe.Kind != UDPEcho {
		return nil
	}
	return b
}

// probeDeadline is when a probe has something to do.
func (p *Peer) probeDeadline(b *ProbeState) (due time.Time) {
	if len(b.Outstanding) > 0 {
		due = b.Outstanding[0].Sent.Add(b.Probe.Timeout)
	}
	if p.maySend(b) && !b.Next.IsZero() && (due.IsZero() || b.Next.Before(due)) {
		due = b.Next
	}
	return due
}

// maySend tells whether a probe may send its next request when that is due. When it may
// not because packets wait already, Written goes on.
func (p *Peer) maySend(b *ProbeState) bool {
	return p.s.Network != nil && !b.all() && len(b.Outstanding) < b.Probe.Window && len(p.s.Waiting) < p.cfg.Queue
}

// runProbes does what is due and reports probes that are over.
func (p *Peer) runProbes(now time.Time) {
	for i := range p.s.Probes {
		b := &p.s.Probes[i]
		p.expire(now, b)
		for p.maySend(b) && !now.Before(b.Next) {
			p.request(now, b)
		}
	}
	p.s.Probes = slices.DeleteFunc(p.s.Probes, func(b ProbeState) bool {
		over := b.all() && len(b.Outstanding) == 0
		if over {
			p.act(Done{b.ID, b.Probe, b.Statistics})
		}
		return over
	})
}

// request sends the next request of a probe.
func (p *Peer) request(now time.Time, b *ProbeState) {
	o := Outstanding{Sequence: b.Sequence, Sent: now}
	b.Sequence++
	if b.Statistics.Sent++; b.Statistics.Sent == 1 {
		b.Statistics.Started = now
	}
	if b.Probe.Interval > 0 {
		// Not to catch up after a pause in a burst.
		if b.Next = b.Next.Add(b.Probe.Interval); b.Next.Before(now) {
			b.Next = now.Add(b.Probe.Interval)
		}
	}
	b.Outstanding = append(b.Outstanding, o)
	p.transmit(b, o.Sequence)
}

func (p *Peer) transmit(b *ProbeState, sequence uint32) {
	n := p.s.Network
	if n == nil {
		return // lost, like anything sent into a dead line
	}
	to := b.Probe.Destination
	if !to.IsValid() {
		to = n.PeerAddress
	}
	if !to.IsValid() { // a peer that did not tell its address
		return
	}
	data := pattern(make([]byte, 0, b.Probe.Size), b, sequence)
	if b.Probe.Kind == UDPEcho {
		p.sendUDP(firstPort+b.ID, netip.AddrPortFrom(to, b.Probe.Port), data)
		return
	}
	p.sendICMP(to, icmpEchoRequest, 0, [4]byte{byte(b.ID >> 8), byte(b.ID), byte(sequence >> 8), byte(sequence)}, data)
}

// expire sends again or gives up what has waited too long.
func (p *Peer) expire(now time.Time, b *ProbeState) {
	for len(b.Outstanding) > 0 && !now.Before(b.Outstanding[0].Sent.Add(b.Probe.Timeout)) {
		o := b.Outstanding[0]
		b.Outstanding = b.Outstanding[1:]
		if o.Tries >= b.Probe.Retries {
			p.lose(now, b, o.Sequence, fmt.Sprintf("no reply in %v", b.Probe.Timeout))
			continue
		}
		o.Tries++
		o.Sent = now
		b.Outstanding = append(b.Outstanding, o)
		b.Statistics.SentAgain++
		p.transmit(b, o.Sequence)
	}
}

func (p *Peer) lose(now time.Time, b *ProbeState, sequence uint32, why string) {
	b.Statistics.Lost++
	b.Statistics.Last = now
	p.act(Lost{b.ID, sequence, why})
}

// replied takes an echo reply.
func (p *Peer) replied(now time.Time, kind Kind, id uint16, sequence uint32, packet ip, payload []byte) {
	b := p.probe(id)
	if b == nil || b.Probe.Kind != kind {
		return // of a probe that is over, or another program's
	}
	i := slices.IndexFunc(b.Outstanding, func(o Outstanding) bool { return o.Sequence == sequence })
	if i < 0 {
		b.Statistics.Late++
		return
	}
	o := b.Outstanding[i]
	b.Outstanding = slices.Delete(b.Outstanding, i, i+1)
	if at := differs(payload, pattern(nil, b, sequence)); at >= 0 {
		b.Statistics.Corrupt++
		p.lose(now, b, sequence, fmt.Sprintf("the reply of %d octets differs at octet %d of %d", len(payload), at, b.Probe.Size))
		return
	}
	s := &b.Statistics
	trip := now.Sub(o.Sent)
	if s.Received == 0 || trip < s.Least {
		s.Least = trip
	}
	s.Received++
	s.Octets += uint64(len(payload))
	s.Most, s.Total, s.Last = max(s.Most, trip), s.Total+trip, now
	p.act(Reply{b.ID, sequence, len(payload), trip, packet.hops})
}

// unreachable takes an ICMP error about one of our requests. Of a UDP datagram it
// does not quote the sequence number, so the oldest request is meant.
func (p *Peer) unreachable(now time.Time, code byte, quoted []byte) {
	if len(quoted) < ipHeader || quoted[0]>>4 != 4 || len(quoted) < int(quoted[0]&15)*4+8 {
		p.s.Counters.Malformed++
		return
	}
	inner := quoted[int(quoted[0]&15)*4:]
	var b *ProbeState
	i := 0
	switch quoted[9] {
	case protocolUDP:
		b = p.probeOfPort(binary.BigEndian.Uint16(inner))
	case protocolICMP:
		if b = p.probe(binary.BigEndian.Uint16(inner[4:])); b != nil {
			sequence := uint32(binary.BigEndian.Uint16(inner[6:]))
			i = slices.IndexFunc(b.Outstanding, func(o Outstanding) bool { return o.Sequence == sequence })
		}
	}
	if b == nil || i < 0 || len(b.Outstanding) == 0 {
		return
	}
	o := b.Outstanding[i]
	b.Outstanding = slices.Delete(b.Outstanding, i, i+1)
	p.lose(now, b, o.Sequence, fmt.Sprintf("destination unreachable (code %d)", code))
}

// pattern appends the payload of a request: octets that follow from the probe and the
// sequence number, so that nothing else is mistaken for them. In UDP the sequence
// number comes first.
func pattern(dst []byte, b *ProbeState, sequence uint32) []byte {
	size := b.Probe.Size
	if b.Probe.Kind == UDPEcho {
		dst = binary.BigEndian.AppendUint32(dst, sequence)
		size -= sequenceLength
	}
	x := uint64(b.ID)<<32 | uint64(sequence) | 1<<63
	for ; size > 0; size-- {
		x ^= x << 13 // xorshift
		x ^= x >> 7
		x ^= x << 17
		dst = append(dst, byte(x>>32))
	}
	return dst
}

// differs returns where two payloads differ first, -1 if nowhere.
func differs(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}
