package load

import (
	"encoding/binary"
	"time"
)

// The datagrams between a stream and its Responder; all numbers are in network order.
const (
	kindHello  = iota + 1 // of a client
	kindCookie            // the answer: a number to be shown
	kindAsk               // of a client: what is to be sent to it from now on
	kindReport            // the answer: what has come
	kindData

	// requestLength is that of hello and ask; no answer is longer, so that nobody can be made to flood another.
	requestLength = 64
	cookieLength  = 16
	reportLength  = 56
)

// kindOf tells what a datagram is, 0 if nothing of ours.
func kindOf(b []byte) uint32 {
	if len(b) < cookieLength || binary.BigEndian.Uint32(b) != stampMagic {
		return 0
	}
	kind := binary.BigEndian.Uint32(b[stampSlot:])
	if kind != kindCookie && len(b) < stampLength {
		return 0
	}
	return kind
}

// request is a hello, or an ask.
type request struct {
	kind   uint32
	cookie uint64
	rate   uint32 // packets per second; 0 = none, asManyAsGoes = as many as go
	size   uint16 // octets of an IP packet
	run    uint32 // of the client: what is counted belongs to one run
}

// put writes requestLength octets.
func (q request) put(b []byte) {
	clear(b[:requestLength])
	binary.BigEndian.PutUint32(b, stampMagic)
	binary.BigEndian.PutUint32(b[4:], q.kind)
	binary.BigEndian.PutUint64(b[8:], q.cookie)
	binary.BigEndian.PutUint32(b[16:], q.rate)
	binary.BigEndian.PutUint16(b[20:], q.size)
	binary.BigEndian.PutUint32(b[24:], q.run)
}

func parseRequest(b []byte) (q request, ok bool) {
	if len(b) != requestLength {
		return q, false
	}
	q = request{kind: kindOf(b), cookie: binary.BigEndian.Uint64(b[8:]), rate: binary.BigEndian.Uint32(b[16:]), size: binary.BigEndian.Uint16(b[20:]),
		run: binary.BigEndian.Uint32(b[24:])}
	return q, q.kind == kindHello || q.kind == kindAsk && q.size >= minSize && q.size <= maxSize
}

// report is what a responder has received from a client, and sent to it.
type report struct {
	received, sent uint64 // datagrams
	jitter         time.Duration
	jitters        uint64
	asked          uint64 // requests, so that no report is empty
}

func (r report) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, stampMagic)
	b = binary.BigEndian.AppendUint32(b, kindReport)
	for _, v := range []uint64{r.received, r.sent, uint64(r.jitter), r.jitters, r.asked, 0} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

func parseReport(b []byte) (r report, ok bool) {
	if len(b) != reportLength || kindOf(b) != kindReport {
		return r, false
	}
	v := func(i int) uint64 { return binary.BigEndian.Uint64(b[8+8*i:]) }
	return report{received: v(0), sent: v(1), jitter: time.Duration(v(2)), jitters: v(3), asked: v(4)}, true
}

// appendCookie is the answer to a hello.
func appendCookie(b []byte, cookie uint64) []byte {
	b = binary.BigEndian.AppendUint32(b, stampMagic)
	b = binary.BigEndian.AppendUint32(b, kindCookie)
	return binary.BigEndian.AppendUint64(b, cookie)
}
