// Package circuit is one direction of a connected call: it takes octets from
// the sending modem as fast as the line carries them, delays them, damages them
// as asked, and has them ready for the receiving modem.
//
// With error control an octet takes 8 bits and 5 % of overhead, and a receiver
// that is full holds the sender up; without it an octet takes 10 bits, and what
// a full receiver cannot take is lost and counted.
//
// The package is pure. A Circuit is owned by one goroutine.
package circuit

import (
	"fmt"
	"math/rand/v2"
	"time"

	"trunkline.example/modem/exchange/pace"
)

// Bits that one octet takes on the telephone line.
const (
	bitsErrorControl = 8.4 // 8 bits and the framing of LAPM, which sends no start and stop bits
	bitsPlain        = 10  // start bit, 8 bits, stop bit
	bitsSynchronous  = 8   // a B channel has nothing around an octet
	frameOctets      = 128 // one LAPM frame, the unit of retransmission
)

// Config is what stays the same during a call.
type Config struct {
	Rate         int           // bits per second on the line; zero or less: as fast as the receiver takes them
	ErrorControl bool          // LAPM or MNP was agreed
	Synchronous  bool          // a B channel: an octet takes 8 bits
	Latency      time.Duration // time from leaving the sending modem to reaching the receiving one
	Window       int           // octets on their way at most, and octets a full receiver holds back; zero: 1024 and what Latency needs
	Step         time.Duration // wake-ups are multiples of it; zero: exact
	Seed         [32]byte      // of the random errors
}

// Impairment is lasting damage.
type Impairment struct {
	// BitErrorRate is the probability that a bit is hit. With error control a
	// hit costs one to three frames of time, without it the bit is flipped.
	BitErrorRate float64 `json:"bit_error_rate"`
	// Burst is how many bits in a row one hit touches, each flipped with
	// probability one half but the first, always. Less than 2: only one.
	Burst int `json:"burst"`
	// DropRate is the probability that an octet is lost.
	DropRate float64 `json:"drop_rate"`
	// FrameErrorRate is the probability that a PPP frame gets one bit flipped,
	// so that exactly its FCS fails. It passes error control, since that is
	// where what it stands for happens: in the computer, its cable, its port.
	FrameErrorRate float64 `json:"frame_error_rate"`
	// FrameAbortRate is the probability that a PPP frame ends in an abort (RFC
	// 1662 section 4.3): a framing error. It passes error control, too.
	FrameAbortRate float64 `json:"frame_abort_rate"`
	// PassErrorControl lets hits and losses through error control as well, as
	// a bad cable between modem and computer would.
	PassErrorControl bool `json:"pass_error_control"`
}

// Injection is damage that is done once. It passes error control, too.
type Injection struct {
	FlipBits     int           `json:"flip_bits"`     // octets to come that get one bit flipped
	DropOctets   int           `json:"drop_octets"`   // octets to come that are lost
	DamageFrames int           `json:"damage_frames"` // PPP frames to come that get one bit flipped, so that exactly their FCS fails
	AbortFrames  int           `json:"abort_frames"`  // PPP frames to come that end in an abort
	Every        int           `json:"every"`         // distance in octets of FlipBits and DropOctets; zero: one after the other
	Garbage      int           `json:"garbage"`       // random octets inserted now
	Pause        time.Duration `json:"pause"`         // nothing passes for so long, as in a retrain
}

// Counters say what passed and what was done to it.
type Counters struct {
	Octets          uint64 `json:"octets"`          // taken from the sending modem
	Delivered       uint64 `json:"delivered"`       // handed to the receiving modem
	BitErrors       uint64 `json:"bit_errors"`      // bits flipped by BitErrorRate or FlipBits
	OctetsDropped   uint64 `json:"octets_dropped"`  // by DropRate or DropOctets
	FramesDamaged   uint64 `json:"frames_damaged"`  // by FrameErrorRate or DamageFrames
	FramesAborted   uint64 `json:"frames_aborted"`  // by FrameAbortRate or AbortFrames
	GarbageOctets   uint64 `json:"garbage_octets"`  // inserted
	Retransmissions uint64 `json:"retransmissions"` // hits that error control made good
	Pauses          uint64 `json:"pauses"`
	Overruns        uint64 `json:"overruns"` // octets lost because the receiver was full and there was no error control
}

// Add adds o to c.
func (c *Counters) Add(o Counters) {
	c.Octets += o.Octets
	c.Delivered += o.Delivered
	c.BitErrors += o.BitErrors
	c.OctetsDropped += o.OctetsDropped
	c.FramesDamaged += o.FramesDamaged
	c.FramesAborted += o.FramesAborted
	c.GarbageOctets += o.GarbageOctets
	c.Retransmissions += o.Retransmissions
	c.Pauses += o.Pauses
	c.Overruns += o.Overruns
}

// Segment is a run of octets that arrive together.
type Segment struct {
	At time.Time
	N  int
}

// State is all that changes during a call.
type State struct {
	Clock      pace.Clock
	Queue      []byte    // octets on their way or arrived
	Segments   []Segment // their arrival, oldest first
	Impairment Impairment
	Pending    Injection // FlipBits, DropOctets, DamageFrames, AbortFrames still to do; Every
	Counters   Counters
	NextHit    int // bits until BitErrorRate hits; negative: not drawn yet
	BurstLeft  int // bits of the present burst still to come
	SinceDone  int // octets since the last one of Pending was done
	Frame      FrameState
	Random     []byte // the generator
}

// FrameState follows the PPP frames for damage to whole frames.
type FrameState struct {
	Inside  bool // a flag has been seen: text before the first frame is none
	Octets  int  // since the flag
	Escaped bool // the last octet was an escape
	Damaged bool // this frame has had its damage
	Fails   bool // its FCS is to fail, by FrameErrorRate
	Aborts  bool // it is to end in an abort, by FrameAbortRate
}

// Circuit is one direction of a call.
type Circuit struct {
	cfg Config
	s   State
	rng *rand.ChaCha8
}

// New returns an idle circuit.
func New(cfg Config) *Circuit {
	c := &Circuit{cfg: cfg.withDefaults(), rng: rand.NewChaCha8(cfg.Seed)}
	c.s.NextHit = -1
	c.s.Clock.Octet, c.s.Clock.Step = c.cfg.octetTime(), c.cfg.Step
	return c
}

// Restore goes on from a state.
func Restore(cfg Config, s State) (*Circuit, error) {
	c := New(cfg)
	if err := c.rng.UnmarshalBinary(s.Random); err != nil {
		return nil, fmt.Errorf("circuit: state of the generator: %w", err)
	}
	n := 0
	for _, g := range s.Segments {
		n += g.N
	}
	if n != len(s.Queue) {
		return nil, fmt.Errorf("circuit: state: segments have %d octets, the queue %d", n, len(s.Queue))
	}
	c.s = s.copy()
	return c, nil
}

// State returns a copy of all that changes.
func (c *Circuit) State() State {
	s := c.s.copy()
	s.Random, _ = c.rng.MarshalBinary() // never fails
	return s
}

func (s State) copy() State {
	s.Queue = append([]byte(nil), s.Queue...)
	s.Segments = append([]Segment(nil), s.Segments...)
	return s
}

func (c Config) octetTime() time.Duration {
	switch {
	case c.Synchronous:
		return pace.OctetTime(c.Rate, bitsSynchronous)
	case c.ErrorControl:
		return pace.OctetTime(c.Rate, bitsErrorControl)
	}
	return pace.OctetTime(c.Rate, bitsPlain)
}

func (c Config) withDefaults() Config {
	if c.Window <= 0 {
		c.Window = 1024
		if o := c.octetTime(); o > 0 {
			c.Window += int(c.Latency / o)
		} else {
			c.Window += int(c.Latency / (10 * time.Microsecond))
		}
	}
	return c
}

// Throughput returns the octets per second that cfg carries; zero: no limit.
func (c Config) Throughput() float64 {
	o := c.octetTime()
	if o <= 0 {
		return 0
	}
	return float64(time.Second) / float64(o)
}

// Impair sets the lasting damage.
func (c *Circuit) Impair(i Impairment) {
	if !c.damaging() {
		c.s.Frame = FrameState{} // frames are followed only while damage is due
	}
	if i != c.s.Impairment {
		c.s.Impairment, c.s.NextHit, c.s.BurstLeft = i, -1, 0
	}
}

// Inject adds damage that is done once.
func (c *Circuit) Inject(now time.Time, i Injection) {
	if !c.damaging() {
		c.s.Frame = FrameState{} // frames are followed only while damage is due
	}
	c.s.Pending.FlipBits += i.FlipBits
	c.s.Pending.DropOctets += i.DropOctets
	c.s.Pending.DamageFrames += i.DamageFrames
	c.s.Pending.AbortFrames += i.AbortFrames
	if i.FlipBits > 0 || i.DropOctets > 0 {
		c.s.Pending.Every = i.Every
		c.s.SinceDone = i.Every // the first one is hit at once
	}
	if i.Pause > 0 {
		c.s.Counters.Pauses++
		c.s.Clock.Pause(now, i.Pause)
	}
	if i.Garbage > 0 {
		for range i.Garbage {
			c.s.Queue = append(c.s.Queue, byte(c.rng.Uint64()))
		}
		c.s.Counters.GarbageOctets += uint64(i.Garbage)
		c.s.Clock.Pause(now, time.Duration(i.Garbage)*c.s.Clock.Octet)
		c.arrive(c.s.Clock.Free, i.Garbage)
	}
}

// Counters returns what passed so far.
func (c *Circuit) Counters() Counters { return c.s.Counters }

// Outstanding returns the damage that is asked for and not done yet.
func (c *Circuit) Outstanding() Injection { return c.s.Pending }

// Send takes octets that have passed the line by now from the front of data
// and returns how many; it must be called whenever the sender has new octets.
func (c *Circuit) Send(now time.Time, data []byte) int {
	room := c.cfg.Window - len(c.s.Queue)
	if room <= 0 && len(data) > 0 {
		c.s.Clock.Rest()
		return 0
	}
	n := min(c.s.Clock.Allow(now, len(data)), room)
	if n <= 0 {
		return 0
	}
	c.s.Clock.Spend(n)
	c.s.Counters.Octets += uint64(n)
	before := len(c.s.Queue)
	c.pass(data[:n])
	c.arrive(now, len(c.s.Queue)-before)
	return n
}

// arrive notes that the last n octets of the queue arrive one latency after at.
func (c *Circuit) arrive(at time.Time, n int) {
	if n == 0 {
		return
	}
	at = at.Add(c.cfg.Latency)
	if k := len(c.s.Segments); k > 0 && !c.s.Segments[k-1].At.Before(at) {
		c.s.Segments[k-1].N += n // not before what went ahead
		return
	}
	c.s.Segments = append(c.s.Segments, Segment{At: at, N: n})
}

// Arrived returns the octets that the receiver may take now. They stay the
// circuit's until Take.
func (c *Circuit) Arrived(now time.Time) []byte {
	n := 0
	for _, g := range c.s.Segments {
		if g.At.After(now) {
			break
		}
		n += g.N
	}
	return c.s.Queue[:n]
}

// Take removes n octets of those that Arrived returned: the receiver has them.
func (c *Circuit) Take(n int) {
	c.s.Counters.Delivered += uint64(n)
	c.remove(n)
}

// Refuse tells that the receiver could not take n octets of those that Arrived
// returned. With error control they stay, without it they are lost.
func (c *Circuit) Refuse(n int) {
	if c.cfg.ErrorControl || n <= 0 {
		return
	}
	c.s.Counters.Overruns += uint64(n)
	c.remove(n)
}

func (c *Circuit) remove(n int) {
	c.s.Queue = c.s.Queue[:copy(c.s.Queue, c.s.Queue[n:])]
	k := 0
	for ; n > 0 && n >= c.s.Segments[k].N; k++ {
		n -= c.s.Segments[k].N
	}
	if n > 0 {
		c.s.Segments[k].N -= n
	}
	c.s.Segments = c.s.Segments[:copy(c.s.Segments, c.s.Segments[k:])]
}

// Empty reports whether nothing is on its way.
func (c *Circuit) Empty() bool { return len(c.s.Queue) == 0 }

// Deadline is when Send or Arrived will have something more to give, if waiting
// octets wait at the sender and nothing else happens; zero: never.
func (c *Circuit) Deadline(now time.Time, waiting int) time.Time {
	var d time.Time
	if waiting > 0 && len(c.s.Queue) < c.cfg.Window {
		d = c.s.Clock.Next()
	}
	for _, g := range c.s.Segments {
		if g.At.After(now) {
			return pace.Earlier(d, pace.RoundUp(g.At, c.cfg.Step))
		}
	}
	return d
}
