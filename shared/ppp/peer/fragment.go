package peer

import (
	"net/netip"
	"slices"
	"time"
)

// Bounds on datagrams that are being put together.
const (
	maxPartial  = 8
	maxPieces   = 64
	partialTime = 15 * time.Second // RFC 791 section 3.2 suggests it
)

// Partial is a datagram of which not all fragments have come.
type Partial struct {
	Source         netip.Addr
	Identification uint16
	Protocol       byte
	Until          time.Time
	Length         int // of the payload; 0 = the last fragment has not come
	Pieces         []Piece
}

// Piece is the payload of a fragment.
type Piece struct {
	Offset int
	Data   []byte
}

func (f Partial) clone() Partial {
	f.Pieces = slices.Clone(f.Pieces)
	for i, x := range f.Pieces {
		f.Pieces[i].Data = slices.Clone(x.Data)
	}
	return f
}

// reassemble takes a fragment and returns the payload once it is whole.
func (p *Peer) reassemble(now time.Time, packet ip) ([]byte, bool) {
	p.s.Partial = slices.DeleteFunc(p.s.Partial, func(f Partial) bool {
		old := now.After(f.Until)
		if old {
			p.s.Counters.FragmentsDropped += uint64(len(f.Pieces))
		}
		return old
	})
	i := p.partial(now, packet)
	f := &p.s.Partial[i]
	whole, ok := f.add(packet)
	switch {
	case !ok:
		p.s.Counters.FragmentsDropped += uint64(len(f.Pieces)) + 1
		p.s.Partial = slices.Delete(p.s.Partial, i, i+1)
		return nil, false
	case whole == nil:
		return nil, false
	}
	p.s.Partial = slices.Delete(p.s.Partial, i, i+1)
	return whole, true
}

// partial finds the datagram a fragment belongs to, or begins one; the oldest gives
// way if there are too many.
func (p *Peer) partial(now time.Time, packet ip) int {
	i := slices.IndexFunc(p.s.Partial, func(f Partial) bool {
		return f.Source == packet.source && f.Identification == packet.identification && f.Protocol == packet.protocol
	})
	if i >= 0 {
		return i
	}
	if len(p.s.Partial) == maxPartial {
		p.s.Counters.FragmentsDropped += uint64(len(p.s.Partial[0].Pieces))
		p.s.Partial = slices.Delete(p.s.Partial, 0, 1)
	}
	p.s.Partial = append(p.s.Partial, Partial{Source: packet.source, Identification: packet.identification,
		Protocol: packet.protocol, Until: now.Add(partialTime)})
	return len(p.s.Partial) - 1
}

// add puts a fragment in its place. whole is the payload once nothing is missing; ok is
// false when the fragments contradict each other, which nothing honest does.
func (f *Partial) add(packet ip) (whole []byte, ok bool) {
	end := packet.offset + len(packet.payload)
	switch {
	case packet.more && (len(packet.payload) == 0 || len(packet.payload)%8 != 0):
		return nil, false
	case !packet.more && f.Length != 0 && f.Length != end:
		return nil, false
	case !packet.more:
		f.Length = end
	}
	at, found := slices.BinarySearchFunc(f.Pieces, packet.offset, func(x Piece, offset int) int { return x.Offset - offset })
	if found && len(f.Pieces[at].Data) == len(packet.payload) {
		return nil, true // a copy
	}
	overlaps := found || at > 0 && f.Pieces[at-1].Offset+len(f.Pieces[at-1].Data) > packet.offset || at < len(f.Pieces) && end > f.Pieces[at].Offset
	if overlaps || len(f.Pieces) == maxPieces {
		return nil, false
	}
	f.Pieces = slices.Insert(f.Pieces, at, Piece{packet.offset, slices.Clone(packet.payload)})
	last := f.Pieces[len(f.Pieces)-1]
	switch have := last.Offset + len(last.Data); {
	case f.Length != 0 && have > f.Length:
		return nil, false
	case f.Length == 0 || have != f.Length:
		return nil, true
	}
	for _, x := range f.Pieces {
		if x.Offset != len(whole) {
			return nil, true
		}
		whole = append(whole, x.Data...)
	}
	return whole, true
}
