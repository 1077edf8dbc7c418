package gre

import (
	"fmt"
	"time"
)

// Defaults of ReceiverConfig.
const (
	// DefaultReorderPackets is how far ahead of the next expected sequence number a packet may be and still be held.
	DefaultReorderPackets = 32
	// DefaultReorderTime is how long a packet waits for the ones before it. Reordering in networks is over within a few
	// milliseconds; what is missing longer is lost, and waiting for it delays all that follows.
	DefaultReorderTime = 50 * time.Millisecond
	// MaxReorderPackets bounds ReceiverConfig.ReorderPackets.
	MaxReorderPackets = 1024
)

// Rules for a sequence that starts anew or was entered at the wrong place. A stray packet of an earlier call with the same
// Call ID (clients reuse one at once after a drop) may be the first that arrives; without a way back all true packets of
// the call would count as late for ever.
const (
	// restartRun consecutive sequence numbers outside of what is plausible are believed.
	restartRun = 4
	// youngRun is enough for that as long as fewer than youngPackets have been accepted.
	youngRun     = 2
	youngPackets = 64
	// maxLeap is how far forward one packet alone may move the sequence: seconds of loss at line rate.
	maxLeap = 1 << 20
	// recentBits is the reach of ReceiverState.Recent.
	recentBits = 64
)

// ReceiverConfig is what a Receiver is told once. The zero value asks for the defaults.
type ReceiverConfig struct {
	// ReorderPackets bounds the packets held for reordering; 0 = DefaultReorderPackets, negative = hold none. It is
	// rounded up to a power of two.
	ReorderPackets int
	// ReorderTime bounds how long a packet is held; 0 = DefaultReorderTime.
	ReorderTime time.Duration
}

// ReceiverCounters count since the beginning of the call. Every packet received is counted in exactly one of Packets,
// Empty, AckOnly, Unsequenced, Duplicates, Late and Strays, or is still held.
type ReceiverCounters struct {
	Packets     uint64 // handed on, in order
	Octets      uint64 // payload of these
	Empty       uint64 // had a sequence number but no payload; took part in the order, not handed on
	AckOnly     uint64 // had neither sequence number nor payload
	Unsequenced uint64 // had a payload but no sequence number (RFC 2637 section 4.1 forbids it); dropped
	Duplicates  uint64 // had been received before; dropped
	Late        uint64 // came after a later one had been handed on; dropped
	Strays      uint64 // leapt implausibly far ahead, or belonged to a run that restarted the sequence; dropped
	Reordered   uint64 // of Packets: held until those before it came or were given up
	Lost        uint64 // sequence numbers given up as missing; one that comes later still counts here, and as Late
	Restarts    uint64 // times the sequence was entered anew
	Overflows   uint64 // times that missing numbers were given up because the next packet was too far ahead to hold
}

// Frame is one payload in order.
type Frame struct {
	// Payload is the PPP packet. It is valid until the next call of Receive, Next or Tick.
	Payload []byte
	// Sequence is its sequence number.
	Sequence uint32
	// Lost is how many sequence numbers between the frame before and this one are missing. MPPE needs it to tell a loss
	// of more than its own 12-bit count can show from a late packet, VJ to toss.
	Lost uint32
}

// Held is a packet waiting for those before it, in a ReceiverState.
type Held struct {
	Sequence uint32
	Payload  []byte
	Arrived  time.Time
}

// ReceiverState is a Receiver as plain data.
type ReceiverState struct {
	Started  bool   // a first packet has come
	Entered  uint32 // sequence number the present sequence was entered at
	Next     uint32 // sequence number to be handed on next
	Highest  uint32 // highest received, the number to acknowledge
	Recent   uint64 // bit n: Next-1-n was received
	Accepted uint64 // packets that were plausible, up to the youth limit
	Missing  uint32 // numbers given up since the last frame handed on
	Run      uint32 // length of the present run of implausible numbers
	RunNext  uint32 // the number that would make it longer
	Held     []Held // in order of Sequence
	Counters ReceiverCounters
}

// Receiver is the receiving half of one call's flow: it puts packets into order within narrow bounds of number and time,
// drops duplicates and what comes too late, and knows what is to be acknowledged. It is not safe for concurrent use.
//
//	r.Receive(now, header, payload)
//	for f, ok := r.Next(); ok; f, ok = r.Next() {
//		... f.Payload ...
//	}
//
// A packet in order is neither copied nor is anything allocated for it. Any first sequence number is accepted: RFC 2637
// says 0, Linux, npppd, pptp-linux and macOS begin with 1.
type Receiver struct {
	hold time.Duration
	size uint32 // of the ring, a power of two; 1 = nothing is held

	s     ReceiverState // Held stays empty: the ring has them
	ring  []slot        // made when the first packet must be held
	held  int           // slots in use
	until uint32        // with held > 0: numbers before this one are not waited for

	pending bool // a packet was received and is not yet handed on or held
	next    arrival

	spare  [][]byte // buffers to hold packets in
	loaned []byte   // the buffer behind the last Frame, when it was held
}

// arrival is a packet on its way into the order.
type arrival struct {
	sequence uint32
	payload  []byte
	at       time.Time
}

type slot struct {
	used bool
	arrival
}

// maxSpare is how many buffers a Receiver keeps for the next disorder.
const maxSpare = 4

// NewReceiver returns a Receiver that has seen nothing.
func NewReceiver(cfg ReceiverConfig) *Receiver {
	r := &Receiver{hold: cfg.ReorderTime, size: 1}
	if r.hold <= 0 {
		r.hold = DefaultReorderTime
	}
	packets := cfg.ReorderPackets
	if packets == 0 {
		packets = DefaultReorderPackets
	}
	for r.size < uint32(min(max(packets, 1), MaxReorderPackets)) {
		r.size <<= 1
	}
	return r
}

// Receive takes one packet of the call, as Parse returned it. Afterwards Next must be called until it has no more; a packet
// that is not fetched before the next Receive is lost. payload is not kept beyond that.
func (r *Receiver) Receive(now time.Time, h Header, payload []byte) {
	r.reclaim()
	if !h.HasSequence {
		if len(payload) == 0 {
			r.s.Counters.AckOnly++
		} else {
			r.s.Counters.Unsequenced++
		}
		return
	}
	if r.held > 0 {
		r.Tick(now)
	}
	if r.plausible(h.Sequence) {
		r.s.Run = 0
		if r.s.Accepted < youngPackets {
			r.s.Accepted++
		}
		if Before(r.s.Highest, h.Sequence) {
			r.s.Highest = h.Sequence
		}
		r.pending = true
		r.next = arrival{h.Sequence, payload, now}
	}
}

// plausible decides whether a packet is part of the sequence, counts it when not, and makes room for it when it is.
func (r *Receiver) plausible(sequence uint32) bool {
	s := &r.s
	ahead := sequence - s.Next
	switch {
	case !s.Started:
		s.Started = true
		r.enter(sequence)
	case ahead == 0:
	case int32(ahead) < 0:
		return r.behind(sequence)
	case ahead >= maxLeap:
		if !r.runs(sequence) {
			s.Counters.Strays++
			return false
		}
		s.Counters.Restarts++
		r.enter(sequence)
	case ahead < r.size:
		if r.held > 0 && r.ring[sequence&(r.size-1)].used {
			s.Counters.Duplicates++
			return false
		}
	default:
		s.Counters.Overflows++
		r.release(sequence - r.size + 1)
	}
	return true
}

// behind decides on a packet whose place in the order is past.
func (r *Receiver) behind(sequence uint32) bool {
	s := &r.s
	if n := s.Next - 1 - sequence; n < recentBits && s.Recent>>n&1 == 1 {
		s.Counters.Duplicates++
		return false
	}
	if r.givenUp(sequence) || !r.runs(sequence) {
		s.Counters.Late++
		return false
	}
	s.Counters.Restarts++
	r.enter(sequence)
	return true
}

// givenUp says that a number which was not received was waited for a moment ago: it is late, however many like it come in a row. Taken for a
// new sequence they would send the order backwards.
func (r *Receiver) givenUp(sequence uint32) bool {
	n := r.s.Next - 1 - sequence
	return n < recentBits && n < r.s.Next-r.s.Entered
}

// runs says whether so many consecutive numbers have come outside of the sequence that this must be the sequence.
func (r *Receiver) runs(sequence uint32) bool {
	s := &r.s
	if s.Run > 0 && sequence == s.RunNext {
		s.Run++
	} else {
		s.Run = 1
	}
	s.RunNext = sequence + 1
	if s.Accepted < youngPackets {
		return s.Run >= youngRun
	}
	return s.Run >= restartRun
}

// enter begins the sequence at this number. What is held belongs to another one.
func (r *Receiver) enter(sequence uint32) {
	for i := range r.ring {
		if r.ring[i].used {
			r.s.Counters.Strays++
			r.recycle(r.take(&r.ring[i]).payload)
		}
	}
	r.s.Next, r.s.Highest, r.s.Entered = sequence, sequence, sequence
	r.s.Recent, r.s.Missing = 0, 0
}

// release stops waiting for the numbers before sequence.
func (r *Receiver) release(sequence uint32) {
	if r.held == 0 || Before(r.until, sequence) {
		r.until = sequence
	}
	if r.held == 0 {
		r.skip(sequence - r.s.Next)
	}
}

// skip gives up the next n numbers.
func (r *Receiver) skip(n uint32) {
	s := &r.s
	s.Next += n
	s.Missing += min(n, ^uint32(0)-s.Missing)
	s.Counters.Lost += uint64(n)
	s.Recent <<= n
}

// Next returns the next payload in order, if there is one.
func (r *Receiver) Next() (Frame, bool) {
	r.reclaim()
	for {
		a, held, ok := r.step()
		if !ok {
			return Frame{}, false
		}
		s := &r.s
		s.Next++
		s.Recent = s.Recent<<1 | 1
		if held {
			r.loaned = a.payload
		}
		if len(a.payload) == 0 {
			s.Counters.Empty++
			r.reclaim()
			continue
		}
		if held {
			s.Counters.Reordered++
		}
		s.Counters.Packets++
		s.Counters.Octets += uint64(len(a.payload))
		f := Frame{Payload: a.payload, Sequence: a.sequence, Lost: s.Missing}
		s.Missing = 0
		return f, true
	}
}

// step finds the packet with the number s.Next, giving up numbers that are not waited for.
func (r *Receiver) step() (a arrival, held, ok bool) {
	for {
		if r.pending && r.next.sequence == r.s.Next {
			r.pending = false
			return r.next, false, true
		}
		if r.held > 0 {
			if at := &r.ring[r.s.Next&(r.size-1)]; at.used {
				return r.take(at), true, true
			}
			if Before(r.s.Next, r.until) {
				r.skip(1)
				continue
			}
		} else if r.pending && r.next.sequence-r.s.Next >= r.size {
			// All that was held has gone by now; what is left of the gap is given up at once.
			r.skip(r.until - r.s.Next)
			continue
		}
		if r.pending {
			r.pending = false
			r.keep(r.next)
		}
		return arrival{}, false, false
	}
}

// keep copies a packet into the ring.
func (r *Receiver) keep(a arrival) {
	if r.ring == nil {
		r.ring = make([]slot, r.size)
	}
	if r.held == 0 {
		r.until = r.s.Next
	}
	var buffer []byte
	if n := len(r.spare); n > 0 {
		buffer, r.spare = r.spare[n-1], r.spare[:n-1]
	}
	a.payload = append(buffer[:0], a.payload...)
	r.ring[a.sequence&(r.size-1)] = slot{true, a}
	r.held++
}

// take removes a packet from the ring.
func (r *Receiver) take(at *slot) arrival {
	a := at.arrival
	*at = slot{}
	r.held--
	return a
}

// reclaim takes back the buffer of the last Frame.
func (r *Receiver) reclaim() {
	if r.loaned != nil {
		r.recycle(r.loaned)
		r.loaned = nil
	}
}

func (r *Receiver) recycle(buffer []byte) {
	if len(r.spare) < maxSpare {
		r.spare = append(r.spare, buffer)
	}
}

// Tick stops waiting for what the packets held too long are waiting for. Next returns them then. It is a no-op before
// Deadline.
func (r *Receiver) Tick(now time.Time) {
	r.reclaim()
	if r.held == 0 {
		return
	}
	for i := range r.ring {
		if a := &r.ring[i]; a.used && now.Sub(a.at) >= r.hold {
			r.release(a.sequence)
		}
	}
}

// Deadline returns when Tick has something to do, the zero time when nothing is held.
func (r *Receiver) Deadline() time.Time {
	if r.held == 0 {
		return time.Time{}
	}
	var first time.Time
	for i := range r.ring {
		if a := &r.ring[i]; a.used && (first.IsZero() || a.at.Before(first)) {
			first = a.at
		}
	}
	return first.Add(r.hold)
}

// Ack returns what is to be acknowledged: the highest sequence number received so far, or none before the first packet.
// It is to be given to Sender.Owe.
func (r *Receiver) Ack() Ack {
	if !r.s.Started {
		return 0
	}
	return AckOf(r.s.Highest)
}

// Counters returns the counters.
func (r *Receiver) Counters() ReceiverCounters { return r.s.Counters }

// State returns a copy of everything the Receiver knows. A packet given to Receive that Next has not yet returned or
// passed over is not part of it.
func (r *Receiver) State() ReceiverState {
	s := r.s
	s.Held = nil
	for n := uint32(0); r.held > 0 && n < r.size; n++ {
		if a := &r.ring[(s.Next+n)&(r.size-1)]; a.used {
			s.Held = append(s.Held, Held{a.sequence, append([]byte(nil), a.payload...), a.at})
		}
	}
	return s
}

// RestoreReceiver returns a Receiver that goes on where State left off. cfg may differ; packets that no longer find room
// are an error.
func RestoreReceiver(cfg ReceiverConfig, s ReceiverState) (*Receiver, error) {
	r := NewReceiver(cfg)
	r.s = s
	r.s.Held = nil
	for i, h := range s.Held {
		ahead := h.Sequence - s.Next
		if ahead >= r.size || (i > 0 && ahead <= s.Held[i-1].Sequence-s.Next) {
			return nil, fmt.Errorf("gre: held packet %d of the state: sequence number %d does not fit after %d: %w", i, h.Sequence, s.Next, ErrState)
		}
		r.keep(arrival{h.Sequence, h.Payload, h.Arrived})
	}
	return r, nil
}
