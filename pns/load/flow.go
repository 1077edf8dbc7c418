package load

import (
	"encoding/binary"
	"time"

	"trunkline.example/shared/measure"
)

// flow is the traffic of one session.
type flow interface {
	tick(now time.Time)               // does what is due
	receive(now time.Time, ip []byte) // takes an IP packet
	drain(now time.Time)              // sends nothing more; what is under way may still come
	idle() bool                       // nothing is under way after drain
	finish()                          // counts what has not come as lost
	deadline() time.Time              // when tick has something to do; zero is never
}

// startTraffic begins what the run asks of the session.
func (k *call) startTraffic(now time.Time) {
	t := k.shard.traffic
	size := min(t.Size, k.mtu)
	switch t.Shape {
	case Idle:
		return
	case Echo:
		k.flow = newEcho(k, size, now)
	case Up, Down, Both:
		k.flow = newStream(k, size)
	}
	k.flow.tick(now)
	k.touch()
}

// What a payload begins with.
const (
	stampMagic  = 0x504E534C
	stampLength = 20
	stampSlot   = 4
	stampCount  = 8
	stampTime   = 12
)

// putStamp fills a payload: who it is, when it was sent, and octets of no meaning.
func putStamp(b []byte, slot, count uint32, sent time.Duration) {
	binary.BigEndian.PutUint32(b, stampMagic)
	binary.BigEndian.PutUint32(b[stampSlot:], slot)
	binary.BigEndian.PutUint32(b[stampCount:], count)
	binary.BigEndian.PutUint64(b[stampTime:], uint64(sent))
	copy(b[stampLength:], fill[stampLength:])
}

// stampOf is when a payload was sent, since the sender's beginning.
func stampOf(b []byte) time.Duration { return time.Duration(binary.BigEndian.Uint64(b[stampTime:])) }

// stage is what a shard's flows have counted: in the flood, or in the traffic.
type stage struct {
	up, down measure.Count
	trips    measure.Histogram // of echo requests and their replies
}

// fill is what packets are filled with.
var fill = func() (b [maxSize]byte) {
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}()
