package gre

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// numbered is the payload of packet n in these tests.
func numbered(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// receive gives packet n and returns what comes out, as "number" or "number(lost before it)".
func receive(t *testing.T, r *Receiver, now time.Time, n uint32) string {
	t.Helper()
	p := numbered(n)
	r.Receive(now, Header{HasSequence: true, Sequence: n, PayloadLength: 4}, p)
	out := drain(t, r)
	clear(p) // the buffer is the caller's again
	return out
}

func drain(t *testing.T, r *Receiver) string {
	t.Helper()
	var out []string
	for f, ok := r.Next(); ok; f, ok = r.Next() {
		if !bytes.Equal(f.Payload, numbered(f.Sequence)) {
			t.Fatalf("frame %d has the payload % X", f.Sequence, f.Payload)
		}
		text := fmt.Sprint(f.Sequence)
		if f.Lost > 0 {
			text += fmt.Sprintf("(%d)", f.Lost)
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

type step struct {
	after time.Duration // since the step before
	n     int64         // packet, or tick
	want  string
}

const tick = -1

func TestReceiver(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []step
		count ReceiverCounters
	}{
		{"in order from 0", []step{{0, 0, "0"}, {0, 1, "1"}, {0, 2, "2"}}, ReceiverCounters{Packets: 3}},
		{"in order from 1", []step{{0, 1, "1"}, {0, 2, "2"}}, ReceiverCounters{Packets: 2}},
		{"in order from anywhere", []step{{0, 4000000000, "4000000000"}, {0, 4000000001, "4000000001"}}, ReceiverCounters{Packets: 2}},
		{"wrap", []step{{0, 0xFFFFFFFE, "4294967294"}, {0, 0xFFFFFFFF, "4294967295"}, {0, 0, "0"}, {0, 1, "1"}}, ReceiverCounters{Packets: 4}},
		{"swapped", []step{{0, 5, "5"}, {0, 7, ""}, {0, 6, "6 7"}, {0, 8, "8"}}, ReceiverCounters{Packets: 4, Reordered: 1}},
		{"swapped over the wrap", []step{{0, 0xFFFFFFFE, "4294967294"}, {0, 0, ""}, {0, 1, ""}, {0, 0xFFFFFFFF, "4294967295 0 1"}},
			ReceiverCounters{Packets: 4, Reordered: 2}},
		{"duplicates", []step{{0, 5, "5"}, {0, 5, ""}, {0, 6, "6"}, {0, 5, ""}, {0, 6, ""}, {0, 7, "7"}}, ReceiverCounters{Packets: 3, Duplicates: 3}},
		{"duplicate of a held one", []step{{0, 5, "5"}, {0, 7, ""}, {0, 7, ""}, {0, 6, "6 7"}, {0, 7, ""}},
			ReceiverCounters{Packets: 3, Reordered: 1, Duplicates: 2}},
		{"lost, given up by time", []step{{0, 5, "5"}, {0, 7, ""}, {time.Second / 10, tick, "7(1)"}, {0, 8, "8"}, {0, 6, ""}},
			ReceiverCounters{Packets: 3, Reordered: 1, Lost: 1, Late: 1}},
		{"a tick too early", []step{{0, 5, "5"}, {0, 7, ""}, {9 * time.Millisecond, tick, ""}, {time.Millisecond, tick, "7(1)"}},
			ReceiverCounters{Packets: 2, Reordered: 1, Lost: 1}},
		{"given up by the next packet", []step{{0, 5, "5"}, {0, 7, ""}, {time.Second, 8, "7(1) 8"}}, ReceiverCounters{Packets: 3, Reordered: 1, Lost: 1}},
		{"the missing one at the last moment", []step{{0, 5, "5"}, {0, 7, ""}, {time.Second, 6, "6 7"}}, ReceiverCounters{Packets: 3, Reordered: 1}},
		{"two gaps, one old", []step{{0, 5, "5"}, {0, 7, ""}, {6 * time.Millisecond, 9, ""}, {6 * time.Millisecond, tick, "7(1)"}, {6 * time.Millisecond, tick, "9(1)"}},
			ReceiverCounters{Packets: 3, Reordered: 2, Lost: 2}},
		{"the later packet is the older", []step{{0, 5, "5"}, {0, 9, ""}, {6 * time.Millisecond, 7, ""}, {6 * time.Millisecond, tick, "7(1) 9(1)"}},
			ReceiverCounters{Packets: 3, Reordered: 2, Lost: 2}},
		{"too far ahead to hold", []step{{0, 5, "5"}, {0, 7, ""}, {0, 10, "7(1)"}, {0, 8, "8"}, {0, 9, "9 10"}},
			ReceiverCounters{Packets: 5, Reordered: 2, Lost: 1, Overflows: 1}},
		{"far ahead of all held", []step{{0, 5, "5"}, {0, 7, ""}, {0, 100, "7(1)"}, {time.Second, tick, "100(92)"}},
			ReceiverCounters{Packets: 3, Reordered: 2, Lost: 93, Overflows: 1}},
		{"far ahead, nothing held", []step{{0, 5, "5"}, {0, 100, ""}, {0, 99, ""}, {0, 97, "97(91)"}, {0, 98, "98 99 100"}},
			ReceiverCounters{Packets: 5, Reordered: 2, Lost: 91, Overflows: 1}},
		{"leap is not believed once", []step{{0, 5, "5"}, {0, 5 + maxLeap + 1, ""}, {0, 6, "6"}}, ReceiverCounters{Packets: 2, Strays: 1}},
		{"leap is believed in a run", []step{{0, 5, "5"}, {0, 2000000000, ""}, {0, 2000000001, "2000000001"}, {0, 2000000002, "2000000002"}},
			ReceiverCounters{Packets: 3, Strays: 1, Restarts: 1}},
		{"stray first packet of an old call", []step{{0, 5000, "5000"}, {0, 0, ""}, {0, 1, "1"}, {0, 2, "2"}},
			ReceiverCounters{Packets: 3, Late: 1, Restarts: 1}},
		{"the same, a small number", []step{{0, 2, "2"}, {0, 0, ""}, {0, 1, "1"}, {0, 2, "2"}, {0, 3, "3"}},
			ReceiverCounters{Packets: 4, Late: 1, Restarts: 1}},
		{"a restart drops what is held", []step{{0, 50, "50"}, {0, 52, ""}, {0, 0, ""}, {0, 1, "1"}, {0, 51, ""}, {time.Second, tick, "51(49)"}},
			ReceiverCounters{Packets: 3, Late: 1, Restarts: 1, Strays: 1, Lost: 49, Overflows: 1, Reordered: 1}},
		{"late ones that do not follow each other", []step{{0, 50, "50"}, {0, 10, ""}, {0, 12, ""}, {0, 10, ""}, {0, 51, "51"}},
			ReceiverCounters{Packets: 2, Late: 3}},
		{"a fresh one between late ones", []step{{0, 50, "50"}, {0, 10, ""}, {0, 51, "51"}, {0, 11, ""}, {0, 52, "52"}},
			ReceiverCounters{Packets: 3, Late: 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewReceiver(ReceiverConfig{ReorderPackets: 4, ReorderTime: 10 * time.Millisecond})
			now := epoch
			for i, s := range c.steps {
				now = now.Add(s.after)
				// Through a copy each time: nothing may be hidden outside of the state.
				r = copyReceiver(t, r, i%2 == 0)
				var got string
				if s.n == tick {
					r.Tick(now)
					got = drain(t, r)
				} else {
					got = receive(t, r, now, uint32(s.n))
				}
				if got != s.want {
					t.Fatalf("step %d (%d): got %q, want %q", i, s.n, got, s.want)
				}
			}
			c.count.Octets = 4 * c.count.Packets
			if r.Counters() != c.count {
				t.Errorf("counters\n%+v, want\n%+v", r.Counters(), c.count)
			}
		})
	}
}

func transfer(t *testing.T, from, to any, asJSON bool) {
	t.Helper()
	var buffer bytes.Buffer
	var err error
	if asJSON {
		err = errors.Join(json.NewEncoder(&buffer).Encode(from), json.NewDecoder(&buffer).Decode(to))
	} else {
		err = errors.Join(gob.NewEncoder(&buffer).Encode(from), gob.NewDecoder(&buffer).Decode(to))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func copyReceiver(t *testing.T, r *Receiver, asJSON bool) *Receiver {
	t.Helper()
	var s ReceiverState
	transfer(t, r.State(), &s, asJSON)
	c, err := RestoreReceiver(ReceiverConfig{ReorderPackets: 4, ReorderTime: 10 * time.Millisecond}, s)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.State(), r.State(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("state %+v became %+v", want, got)
	}
	return c
}

// Once the call is old, two late packets in a row are no restart, four are.
func TestReceiverRestartsLateInLife(t *testing.T) {
	r := NewReceiver(ReceiverConfig{})
	for n := range uint32(youngPackets + 100) {
		receive(t, r, epoch, 1000+n)
	}
	for i, want := range []string{"", "", "", "13", "14"} {
		if got := receive(t, r, epoch, uint32(10+i)); got != want {
			t.Fatalf("late packet %d: %q, want %q", i, got, want)
		}
	}
	if c := r.Counters(); c.Restarts != 1 || c.Late != 3 {
		t.Errorf("%+v", c)
	}
	if got := r.Ack(); got != AckOf(14) {
		t.Errorf("ack %#x", got)
	}
}

// Packets that all were received, seen again in one run, restart nothing.
func TestReceiverReplay(t *testing.T) {
	r := NewReceiver(ReceiverConfig{})
	for n := range uint32(200) {
		receive(t, r, epoch, n)
	}
	for n := uint32(200 - recentBits); n < 200; n++ {
		if got := receive(t, r, epoch, n); got != "" {
			t.Fatalf("%d delivered again", n)
		}
	}
	if c := r.Counters(); c.Duplicates != recentBits || c.Restarts != 0 {
		t.Errorf("%+v", c)
	}
}

func TestReceiverWithoutReordering(t *testing.T) {
	r := NewReceiver(ReceiverConfig{ReorderPackets: -1})
	for i, s := range []step{{0, 1, "1"}, {0, 3, "3(1)"}, {0, 2, ""}, {0, 3, ""}, {0, 4, "4"}, {0, 14, "14(9)"}} {
		if got := receive(t, r, epoch, uint32(s.n)); got != s.want {
			t.Fatalf("step %d: %q, want %q", i, got, s.want)
		}
	}
	if !r.Deadline().IsZero() {
		t.Error("holds something")
	}
	if c := r.Counters(); c.Late != 1 || c.Duplicates != 1 || c.Lost != 10 {
		t.Errorf("%+v", c)
	}
}

func TestReceiverOtherPackets(t *testing.T) {
	r := NewReceiver(ReceiverConfig{})
	if r.Ack() != 0 {
		t.Error("owes an acknowledgement before any data")
	}
	r.Receive(epoch, Header{HasAck: true}, nil)
	r.Receive(epoch, Header{PayloadLength: 1}, []byte{1})
	if r.Ack() != 0 || drain(t, r) != "" {
		t.Error("a packet without sequence number counts")
	}
	receive(t, r, epoch, 1)
	r.Receive(epoch, Header{HasSequence: true, Sequence: 2}, nil)
	if got := drain(t, r); got != "" {
		t.Errorf("an empty packet was delivered: %q", got)
	}
	if got := receive(t, r, epoch, 4); got != "" {
		t.Errorf("%q", got)
	}
	r.Receive(epoch, Header{HasSequence: true, Sequence: 3}, nil)
	if got := drain(t, r); got != "4" {
		t.Errorf("after an empty packet %q, want 4", got)
	}
	want := ReceiverCounters{Packets: 2, Octets: 8, Empty: 2, AckOnly: 1, Unsequenced: 1, Reordered: 1}
	if r.Counters() != want {
		t.Errorf("%+v, want %+v", r.Counters(), want)
	}
}

func TestReceiverAckIsHighest(t *testing.T) {
	r := NewReceiver(ReceiverConfig{})
	for _, s := range []struct{ n, ack uint32 }{
		{0xFFFFFFFD, 0xFFFFFFFD}, {0xFFFFFFFF, 0xFFFFFFFF}, {0xFFFFFFFE, 0xFFFFFFFF}, {1, 1}, {0, 1}, {0xFFFFFFFE, 1}, {2, 2},
	} {
		receive(t, r, epoch, s.n)
		if r.Ack() != AckOf(s.ack) {
			t.Fatalf("after %#x: ack %#x, want %#x", s.n, r.Ack(), s.ack)
		}
	}
}

func TestReceiverDeadline(t *testing.T) {
	r := NewReceiver(ReceiverConfig{})
	receive(t, r, epoch, 0)
	if !r.Deadline().IsZero() {
		t.Error("a deadline with nothing held")
	}
	receive(t, r, epoch.Add(2), 4)
	receive(t, r, epoch.Add(5), 2)
	if got, want := r.Deadline(), epoch.Add(2+DefaultReorderTime); !got.Equal(want) {
		t.Errorf("deadline %v, want %v", got, want)
	}
	r.Tick(r.Deadline())
	if got := drain(t, r); got != "2(1) 4(1)" || !r.Deadline().IsZero() {
		t.Errorf("at the deadline %q, next %v", got, r.Deadline())
	}
}

func TestRestoreReceiverRefuses(t *testing.T) {
	for i, held := range [][]Held{{{Sequence: 9}}, {{Sequence: 42}}, {{Sequence: 12}, {Sequence: 12}}, {{Sequence: 13}, {Sequence: 12}}} {
		if _, err := RestoreReceiver(ReceiverConfig{}, ReceiverState{Started: true, Next: 10, Held: held}); !errors.Is(err, ErrState) {
			t.Errorf("state %d: %v", i, err)
		}
	}
}

// A line of packets through a network that loses, repeats and reorders, compared with what a Receiver may and must do.
func TestReceiverRandom(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 47))
		first := uint32(0) - uint32(rng.IntN(3000)) // the sequence wraps in most runs
		r := NewReceiver(ReceiverConfig{ReorderPackets: 8, ReorderTime: 10 * time.Millisecond})
		type packet struct {
			n  uint32
			at time.Time
		}
		var network []packet
		lost := 0
		for i := range uint32(4000) {
			at := epoch.Add(time.Duration(i) * time.Millisecond)
			if rng.IntN(50) == 0 {
				at = at.Add(time.Duration(rng.IntN(12)) * time.Millisecond)
			}
			if i > 0 && rng.IntN(40) == 0 {
				lost++
				continue
			}
			network = append(network, packet{first + i, at})
			if rng.IntN(40) == 0 {
				network = append(network, packet{first + i, at.Add(time.Duration(rng.IntN(20)) * time.Millisecond)})
			}
		}
		sortStable(network, func(a, b packet) bool { return a.at.Before(b.at) })
		last, started, delivered := uint32(0), false, 0
		got := func(now time.Time) {
			for f, ok := r.Next(); ok; f, ok = r.Next() {
				if !bytes.Equal(f.Payload, numbered(f.Sequence)) {
					t.Fatalf("seed %d: payload of %d", seed, f.Sequence)
				}
				if started && f.Sequence != last+1+f.Lost {
					t.Fatalf("seed %d: %d after %d with %d lost", seed, f.Sequence, last, f.Lost)
				}
				last, started = f.Sequence, true
				delivered++
			}
			if d := r.Deadline(); !d.IsZero() && !d.After(now) {
				t.Fatalf("seed %d: deadline %v has passed at %v", seed, d, now)
			}
		}
		for _, p := range network {
			for d := r.Deadline(); !d.IsZero() && !d.After(p.at); d = r.Deadline() {
				r.Tick(d)
				got(d)
			}
			r.Receive(p.at, Header{HasSequence: true, Sequence: p.n}, numbered(p.n))
			got(p.at)
		}
		for d := r.Deadline(); !d.IsZero(); d = r.Deadline() {
			r.Tick(d)
			got(d)
		}
		c := r.Counters()
		if uint64(delivered) != c.Packets || c.Packets+c.Duplicates+c.Late != uint64(len(network)) || c.Restarts+c.Strays != 0 {
			t.Fatalf("seed %d: %d packets, %d delivered, %+v", seed, len(network), delivered, c)
		}
		// What the network lost at the very end cannot be known; what it delivered too late is lost as well, at most once.
		if c.Lost < uint64(lost)-10 || c.Lost > uint64(lost)+c.Late {
			t.Fatalf("seed %d: %d lost in the network, %+v", seed, lost, c)
		}
	}
}

func sortStable[T any](s []T, less func(a, b T) bool) {
	for i := range s {
		for j := i; j > 0 && less(s[j], s[j-1]); j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
}

func TestReceiverDoesNotAllocate(t *testing.T) {
	r := NewReceiver(ReceiverConfig{})
	payload := make([]byte, 1400)
	n := uint32(0)
	frames := 0
	give := func(n uint32) {
		r.Receive(epoch, Header{HasSequence: true, Sequence: n}, payload)
		for _, ok := r.Next(); ok; _, ok = r.Next() {
			frames++
		}
	}
	if got := testing.AllocsPerRun(1000, func() { give(n); n++ }); got != 0 {
		t.Errorf("%v allocations per packet in order", got)
	}
	if got := testing.AllocsPerRun(1000, func() { give(n + 1); give(n); n += 2 }); got != 0 {
		t.Errorf("%v allocations per pair of swapped packets", got)
	}
	if frames != 1001+2*1001 {
		t.Errorf("%d frames", frames)
	}
}

// A peer that never sends what is missing cannot make a Receiver hold more than its bound.
func TestReceiverIsBounded(t *testing.T) {
	r := NewReceiver(ReceiverConfig{})
	for n := range uint32(10000) {
		receive(t, r, epoch, 2*n)
		if s := r.State(); len(s.Held) > DefaultReorderPackets {
			t.Fatalf("%d packets held", len(s.Held))
		}
	}
	if n := len(r.spare); n > maxSpare {
		t.Errorf("%d spare buffers", n)
	}
}

// Any sequence of numbers and pauses: order, no repetition between restarts, all packets accounted for, state that can be
// moved at any time.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0}, uint32(0))
	f.Add([]byte{1, 2, 0, 0xFF, 0x81, 3}, uint32(0xFFFFFFFE))
	f.Add([]byte{40, 0, 0, 200, 0xC0, 5, 5, 5}, uint32(7))
	f.Fuzz(func(t *testing.T, script []byte, first uint32) {
		r := NewReceiver(ReceiverConfig{ReorderPackets: 8, ReorderTime: 10 * time.Millisecond})
		now, next, received := epoch, first, uint64(0)
		last, started, restarts := uint32(0), false, uint64(0)
		for _, op := range script {
			now = now.Add(time.Millisecond)
			switch {
			case op < 0x80: // a number some way ahead, up to a leap
				next += uint32(op) * uint32(op) * uint32(op)
			case op < 0xF0: // or behind
				next -= uint32(op - 0x80)
			case op < 0xF8:
				now = now.Add(time.Duration(op-0xF0) * 3 * time.Millisecond)
				r.Tick(now)
			default:
				s := r.State()
				var err error
				if r, err = RestoreReceiver(ReceiverConfig{ReorderPackets: 8, ReorderTime: 10 * time.Millisecond}, s); err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(r.State(), s) {
					t.Fatalf("%+v became %+v", s, r.State())
				}
				continue
			}
			if op < 0xF0 {
				r.Receive(now, Header{HasSequence: true, Sequence: next}, numbered(next))
				next++
				received++
			}
			for f, ok := r.Next(); ok; f, ok = r.Next() {
				if !bytes.Equal(f.Payload, numbered(f.Sequence)) {
					t.Fatalf("payload of %d", f.Sequence)
				}
				c := r.Counters()
				if started && restarts == c.Restarts && f.Sequence != last+1+f.Lost {
					t.Fatalf("%d after %d with %d lost", f.Sequence, last, f.Lost)
				}
				last, started, restarts = f.Sequence, true, c.Restarts
			}
			c, s := r.Counters(), r.State()
			if c.Packets+c.Duplicates+c.Late+c.Strays+uint64(len(s.Held)) != received {
				t.Fatalf("%d received: %+v and %d held", received, c, len(s.Held))
			}
			if d := r.Deadline(); (len(s.Held) > 0) != !d.IsZero() {
				t.Fatalf("%d held, deadline %v", len(s.Held), d)
			}
		}
	})
}

func BenchmarkReceiver(b *testing.B) {
	payload := make([]byte, 1400)
	b.Run("in order", func(b *testing.B) {
		r := NewReceiver(ReceiverConfig{})
		b.ReportAllocs()
		n := uint32(0)
		for b.Loop() {
			r.Receive(epoch, Header{HasSequence: true, Sequence: n}, payload)
			for _, ok := r.Next(); ok; _, ok = r.Next() {
			}
			n++
		}
	})
	b.Run("one in ten swapped", func(b *testing.B) {
		r := NewReceiver(ReceiverConfig{})
		b.ReportAllocs()
		n := uint32(0)
		for b.Loop() {
			at := n
			switch n % 10 {
			case 4:
				at++
			case 5:
				at--
			}
			r.Receive(epoch, Header{HasSequence: true, Sequence: at}, payload)
			for _, ok := r.Next(); ok; _, ok = r.Next() {
			}
			n++
		}
	})
}

// TestLateRunIsNoRestart: consecutive numbers that were given up a moment ago are late, also in a young call. Taken for a new sequence they
// would send the order backwards, hand on twice what is duplicated, and let MPPE take them for a huge loss.
func TestLateRunIsNoRestart(t *testing.T) {
	now := time.Unix(0, 0)
	r := NewReceiver(ReceiverConfig{})
	var got []uint32
	receive := func(sequences ...uint32) {
		for _, n := range sequences {
			r.Receive(now, Header{HasSequence: true, Sequence: n}, []byte{1})
			for f, ok := r.Next(); ok; f, ok = r.Next() {
				got = append(got, f.Sequence)
			}
		}
	}
	receive(0, 1, 2, 5, 6)
	now = now.Add(DefaultReorderTime)
	receive(7)       // 3 and 4 are given up
	receive(3, 4, 5) // they come all the same, and 5 once more
	receive(8)
	if want := []uint32{0, 1, 2, 5, 6, 7, 8}; !slices.Equal(got, want) {
		t.Errorf("handed on %v, want %v", got, want)
	}
	if c := r.Counters(); c.Late != 2 || c.Duplicates != 1 || c.Lost != 2 || c.Restarts != 0 {
		t.Errorf("%+v", c)
	}
}
