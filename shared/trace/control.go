package trace

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"trunkline.example/shared/pptp"
)

// Connection names a control connection. ID is unique in the life of the daemon.
type Connection struct {
	ID            uint64
	Local, Remote netip.AddrPort
}

// stream is a control connection as a trace sees it: of each way how many octets it has taken, and those that are no whole message yet.
type stream struct{ received, sent half }

type half struct {
	sequence uint32 // TCP's, of the next octet that is taken: what is left out leaves no gap
	rest     []byte
}

// control cuts what passes into messages, one to a segment, and takes those that the trace is about.
func (t *Trace) control(now time.Time, c Connection, sent bool, octets []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	peer := t.scope.Peer.IsValid()
	if peer && c.Remote.Addr() != t.scope.Peer {
		return
	}
	if !peer && !slices.ContainsFunc(t.legs, func(l *legState) bool { return l.Connection == c.ID }) {
		return
	}
	s := t.streams[c.ID]
	if s == nil {
		s = &stream{half{sequence: 1}, half{sequence: 1}}
		t.streams[c.ID] = s
	}
	this := &s.received
	if sent {
		this = &s.sent
	}
	this.rest = append(this.rest, octets...)
	for n := cut(this.rest); n > 0; n = cut(this.rest) {
		t.segment(now, c, s, sent, n)
	}
}

// segment takes the next n octets out.
func (t *Trace) segment(now time.Time, c Connection, s *stream, sent bool, n int) {
	this, other := &s.received, &s.sent
	if sent {
		this, other = other, this
	}
	octets := this.rest[:n]
	if t.scope.Peer.IsValid() || t.concerns(c, sent, octets) {
		t.push(network, record{kind: kindControl, at: now, sent: sent, local: c.Local, remote: c.Remote, sequence: this.sequence, ack: other.sequence}, octets)
		this.sequence += uint32(n)
	}
	this.rest = append(this.rest[:0], this.rest[n:]...)
}

// cut returns the length of the first message, 0 while it is not complete. Octets that are no beginning of a message go on as they are:
// either they are what the receiver will stumble over, or the trace has begun in the middle of a message.
func cut(b []byte) int {
	const magicAt = 4
	if len(b) < magicAt+4 {
		return 0
	}
	length := int(binary.BigEndian.Uint16(b))
	switch {
	case length < pptp.HeaderLength || length > pptp.MaximumLength || binary.BigEndian.Uint32(b[magicAt:]) != pptp.MagicCookie:
		return len(b)
	case length > len(b):
		return 0
	}
	return length
}

// closed ends a stream: what there is of a message that will not be complete is taken, too.
func (t *Trace) closed(now time.Time, c Connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.streams[c.ID]
	if s == nil {
		return
	}
	if n := len(s.received.rest); n > 0 {
		t.segment(now, c, s, false, n)
	}
	if n := len(s.sent.rest); n > 0 {
		t.segment(now, c, s, true, n)
	}
	delete(t.streams, c.ID)
}
