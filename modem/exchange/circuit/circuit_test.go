package circuit

import (
	"bytes"
	"encoding/gob"
	"math"
	"math/bits"
	"testing"
	"time"

	"trunkline.example/shared/hdlc"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// run offers data until the circuit has taken all and all has arrived, and
// returns what arrives and when the last octet does. On the way the circuit is
// moved into a fresh one now and then.
func run(t *testing.T, cfg Config, data []byte, prepare func(c *Circuit)) ([]byte, time.Duration, Counters) {
	t.Helper()
	c := New(cfg)
	if prepare != nil {
		prepare(c)
	}
	now := start
	var got []byte
	for i := 0; ; i++ {
		for moved := true; moved; {
			n := c.Send(now, data)
			data = data[n:]
			a := c.Arrived(now)
			got = append(got, a...)
			c.Take(len(a))
			moved = n > 0
		}
		if i%1000 == 7 {
			c = move(t, cfg, c)
		}
		d := c.Deadline(now, len(data))
		if d.IsZero() {
			break
		}
		if !d.After(now) {
			t.Fatalf("the deadline %v does not move on", d)
		}
		now = d
	}
	if len(data) > 0 || !c.Empty() {
		t.Fatalf("%d octets left at the sender, empty: %v", len(data), c.Empty())
	}
	return got, now.Sub(start), c.Counters()
}

func move(t *testing.T, cfg Config, c *Circuit) *Circuit {
	t.Helper()
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(c.State()); err != nil {
		t.Fatal(err)
	}
	var s State
	if err := gob.NewDecoder(&b).Decode(&s); err != nil {
		t.Fatal(err)
	}
	n, err := Restore(cfg, s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

func TestThroughput(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want float64 // octets per second
	}{
		{Config{Rate: 33600, ErrorControl: true}, 4000},
		{Config{Rate: 33600}, 3360},
		{Config{Rate: 2400}, 240},
		{Config{Rate: 56000, ErrorControl: true, Latency: 50 * time.Millisecond}, 6666},
		{Config{Rate: 115200, ErrorControl: true, Latency: 300 * time.Millisecond}, 13714},
		{Config{Rate: 115200, Step: 5 * time.Millisecond}, 11520},
		{Config{Rate: 33600, ErrorControl: true, Step: 20 * time.Millisecond, Latency: 7 * time.Millisecond}, 4000},
	} {
		data := pattern(20000)
		got, took, n := run(t, c.cfg, data, nil)
		if !bytes.Equal(got, data) {
			t.Errorf("%+v: data damaged", c.cfg)
		}
		rate := float64(len(data)) / (took - c.cfg.Latency).Seconds()
		if math.Abs(rate-c.want)/c.want > 0.01 {
			t.Errorf("%+v: %.0f octets/s, want %.0f", c.cfg, rate, c.want)
		}
		if n.Octets != 20000 || n.Delivered != 20000 || math.Abs(c.cfg.Throughput()-c.want) > 1 {
			t.Errorf("%+v: counters %+v, model %v", c.cfg, n, c.cfg.Throughput())
		}
	}
	if got, took, _ := run(t, Config{}, pattern(500), nil); took != 0 || len(got) != 500 {
		t.Errorf("unlimited: %d octets took %v", len(got), took)
	}
}

// The first octet needs its own time and the latency, not more.
func TestLatency(t *testing.T) {
	_, took, _ := run(t, Config{Rate: 33600, ErrorControl: true, Latency: 40 * time.Millisecond}, pattern(1), nil)
	if took != 40250*time.Microsecond {
		t.Errorf("one octet took %v", took)
	}
}

// With error control a full receiver stops the sender, without it octets are
// lost and counted.
func TestFullReceiver(t *testing.T) {
	for _, ec := range []bool{true, false} {
		c := New(Config{Rate: 33600, ErrorControl: ec, Window: 100})
		now, data, sent := start, pattern(10000), 0
		for range 10000 {
			now = now.Add(time.Millisecond)
			sent += c.Send(now, data[sent:])
			c.Refuse(len(c.Arrived(now)))
		}
		switch n := c.Counters(); {
		case ec && (sent != 100 || n.Overruns != 0):
			t.Errorf("error control: %d octets sent to a full receiver, %d lost", sent, n.Overruns)
		case !ec && (sent != 10000 || n.Overruns < 9990):
			t.Errorf("no error control: %d octets sent to a full receiver, %d lost", sent, n.Overruns)
		}
		if !ec {
			continue
		}
		c.Take(100)
		if n := c.Send(now, data[sent:]); n > 0 {
			t.Errorf("%d octets of credit gathered while the receiver was full", n)
		}
	}
}

func TestPartialTake(t *testing.T) {
	c := New(Config{})
	data := pattern(300)
	now := start
	c.Send(now, data[:100])
	now = now.Add(time.Millisecond)
	c.Send(now, data[100:])
	var got []byte
	for _, n := range []int{1, 98, 3, 150, 48} {
		got = append(got, c.Arrived(now)[:n]...)
		c.Take(n)
	}
	if !bytes.Equal(got, data) || !c.Empty() || len(c.s.Segments) != 0 {
		t.Error("wrong octets")
	}
}

// differ counts flipped bits.
func differ(a, b []byte) (n int) {
	for i := range min(len(a), len(b)) {
		n += bits.OnesCount8(a[i] ^ b[i])
	}
	return n
}

func TestBitErrors(t *testing.T) {
	data := pattern(40000)
	for _, c := range []struct {
		name string
		ec   bool
		i    Impairment
		want float64
	}{
		{"plain", false, Impairment{BitErrorRate: 5e-3}, 1600},
		{"bursts", false, Impairment{BitErrorRate: 5e-4, Burst: 9}, 160 * 5},
		{"past error control", true, Impairment{BitErrorRate: 5e-3, PassErrorControl: true}, 1600},
		{"every bit", false, Impairment{BitErrorRate: 1}, 320000},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _, n := run(t, Config{ErrorControl: c.ec, Rate: 115200, Step: 50 * time.Millisecond}, data, func(w *Circuit) { w.Impair(c.i) })
			flipped := differ(data, got)
			if len(got) != len(data) || uint64(flipped) != n.BitErrors {
				t.Errorf("%d octets arrived, %d bits differ, %d counted", len(got), flipped, n.BitErrors)
			}
			if math.Abs(float64(flipped)-c.want) > 0.15*c.want {
				t.Errorf("%d bits flipped, want about %.0f", flipped, c.want)
			}
		})
	}
}

// With error control errors cost time, never octets.
func TestErrorControl(t *testing.T) {
	data := pattern(100000)
	cfg := Config{ErrorControl: true, Rate: 115200, Step: 5 * time.Millisecond}
	_, clean, _ := run(t, cfg, data, nil)
	got, took, n := run(t, cfg, data, func(c *Circuit) { c.Impair(Impairment{BitErrorRate: 1e-4, DropRate: 1e-4}) })
	if !bytes.Equal(got, data) || n.BitErrors != 0 || n.OctetsDropped != 0 {
		t.Errorf("damaged: %+v", n)
	}
	if n.Retransmissions < 60 || n.Retransmissions > 130 {
		t.Errorf("%d retransmissions, want about 90", n.Retransmissions)
	}
	least := clean + time.Duration(n.Retransmissions)*frameOctets*cfg.octetTime()
	if took < least || took > clean+3*(least-clean) {
		t.Errorf("took %v, %v without errors, %d retransmissions", took, clean, n.Retransmissions)
	}
}

func TestDrops(t *testing.T) {
	data := pattern(100000)
	got, _, n := run(t, Config{}, data[:1000], func(c *Circuit) { c.Inject(start, Injection{DropOctets: 5, Every: 100}) })
	if n.OctetsDropped != 5 || len(got) != 995 || !bytes.Equal(got[:99], data[1:100]) || got[99] != data[101] {
		t.Errorf("%d octets, %+v", len(got), n)
	}
	got, _, n = run(t, Config{Rate: 115200, Step: 50 * time.Millisecond}, data, func(c *Circuit) { c.Impair(Impairment{DropRate: 0.01}) })
	if len(got)+int(n.OctetsDropped) != len(data) || n.OctetsDropped < 850 || n.OctetsDropped > 1150 {
		t.Errorf("%d octets, %+v", len(got), n)
	}
}

func TestFlipBits(t *testing.T) {
	data := pattern(1000)
	for _, every := range []int{0, 1, 50} {
		got, _, n := run(t, Config{ErrorControl: true}, data, func(c *Circuit) { c.Inject(start, Injection{FlipBits: 7, Every: every}) })
		if n.BitErrors != 7 || differ(data, got) != 7 {
			t.Errorf("every %d: %d bits differ, %+v", every, differ(data, got), n)
		}
		for i := range data {
			if due := i%max(every, 1) == 0 && i < 7*max(every, 1); (data[i] != got[i]) != due {
				t.Errorf("every %d: octet %d: %#x became %#x", every, i, data[i], got[i])
			}
		}
	}
}

func TestGarbageAndPause(t *testing.T) {
	data := pattern(100)
	cfg := Config{Rate: 9600, Latency: time.Millisecond}
	_, clean, _ := run(t, cfg, data, nil)
	got, took, n := run(t, cfg, data, func(c *Circuit) { c.Inject(start, Injection{Garbage: 50, Pause: time.Second}) })
	if len(got) != 150 || !bytes.Equal(got[50:], data) || n.GarbageOctets != 50 || n.Pauses != 1 {
		t.Errorf("%d octets, %+v", len(got), n)
	}
	if want := clean + time.Second + 50*cfg.octetTime(); took < want-time.Millisecond || took > want+time.Millisecond {
		t.Errorf("took %v, want %v", took, want)
	}
}

// Each damaged frame fails its FCS, and no other does.
func TestDamageFrames(t *testing.T) {
	for _, accm := range []uint32{0xffffffff, 0, 0x000a0000} {
		var data []byte
		for i := range 200 {
			frame := append([]byte{0xff, 0x03, 0x00, 0x21}, pattern(3+i*7%1400)...)
			data = hdlc.AppendFrame(data, frame, accm)
		}
		got, _, n := run(t, Config{ErrorControl: true}, data, func(c *Circuit) { c.Inject(start, Injection{DamageFrames: 37}) })
		d := hdlc.NewDeframer(0)
		d.SetReceiveACCM(accm)
		for len(got) > 0 {
			_, got = d.Next(got)
		}
		if h := d.Counters(); n.FramesDamaged != 37 || h.FCSErrors != 37 || h.Frames != 163 || h.Aborts+h.Runts+h.Noise > 0 {
			t.Errorf("ACCM %08x: %d frames damaged, %+v", accm, n.FramesDamaged, h)
		}
	}
}

// Frames that the lasting damage hits are counted one for one by who receives them, and text before the first frame is not hit.
func TestFrameRates(t *testing.T) {
	text := bytes.Repeat([]byte("login: guest "), 30)
	for _, ec := range []bool{false, true} {
		data := bytes.Clone(text)
		for i := range 2000 {
			data = hdlc.AppendFrame(data, append([]byte{0xff, 0x03, 0x00, 0x21}, pattern(8+i*7%700)...), 0)
		}
		got, _, n := run(t, Config{ErrorControl: ec, Rate: 33600, Step: time.Second}, data, func(c *Circuit) {
			c.Impair(Impairment{FrameErrorRate: 0.1, FrameAbortRate: 0.05})
			c.Inject(start, Injection{AbortFrames: 3, DamageFrames: 2})
		})
		if !bytes.HasPrefix(got, text) {
			t.Error("text before the first frame is damaged")
		}
		d := hdlc.NewDeframer(0)
		d.SetReceiveACCM(0)
		for got = got[len(text):]; len(got) > 0; {
			_, got = d.Next(got)
		}
		h := d.Counters()
		if h.FCSErrors != n.FramesDamaged || h.Aborts != n.FramesAborted || h.Frames+h.FCSErrors+h.Aborts != 2000 || h.Runts+h.Noise > 0 {
			t.Errorf("error control %v: sent %+v, received %+v", ec, n, h)
		}
		if n.FramesDamaged < 150 || n.FramesDamaged > 260 || n.FramesAborted < 60 || n.FramesAborted > 150 {
			t.Errorf("error control %v: %d frames damaged, %d aborted", ec, n.FramesDamaged, n.FramesAborted)
		}
	}
}

func TestRestore(t *testing.T) {
	c := New(Config{})
	c.Send(start, pattern(10))
	s := c.State()
	s.Queue = s.Queue[:5]
	if _, err := Restore(Config{}, s); err == nil {
		t.Error("a state that contradicts itself is restored")
	}
	s = c.State()
	s.Random = []byte("x")
	if _, err := Restore(Config{}, s); err == nil {
		t.Error("a broken generator is restored")
	}
}

func BenchmarkCircuit(b *testing.B) {
	c := New(Config{Rate: 115200, ErrorControl: true})
	data := pattern(2048)
	now := start
	b.SetBytes(68)
	for b.Loop() {
		now = now.Add(5 * time.Millisecond)
		c.Send(now, data)
		c.Take(len(c.Arrived(now)))
	}
}
