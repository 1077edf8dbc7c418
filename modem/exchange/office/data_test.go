package office

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"trunkline.example/modem/exchange/circuit"
)

func TestNegotiation(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(cfg *Config)
		a, c   string // settings
		want   string // what c reads
	}{
		{"default", nil, "", "", "CONNECT 115200/V34/LAPM/NONE/33600:TX/33600:RX"},
		{"compression", nil, "%C3", "%C1", "CONNECT 115200/V34/LAPM/V42BIS/33600:TX/33600:RX"},
		{"one compresses", nil, "%C3", "%C0", "CONNECT 115200/V34/LAPM/NONE/33600:TX/33600:RX"},
		{"no error control", nil, `\N0`, "", "CONNECT 115200/V34/NONE/NONE/33600:TX/33600:RX"},
		{"error control required", nil, `\N0`, `\N2`, "NO CARRIER"},
		{"modem without", func(cfg *Config) { cfg.Lines[lineA].NoErrorControl = true }, "", "", "CONNECT 115200/V34/NONE/NONE/33600:TX/33600:RX"},
		{"ceiling", nil, "+MS=V32B,1;", "", "CONNECT 115200/V32B/LAPM/NONE/14400:TX/14400:RX"},
		{"floor", nil, "+MS=V32B,1;", "+MS=V34,1,28800,33600;", "NO CARRIER"},
		{"asymmetric", func(cfg *Config) { cfg.Lines[lineC].Receive, cfg.Lines[lineA].Transmit = 49333, 56000 }, "", "",
			"CONNECT 115200/V90/LAPM/NONE/33600:TX/49333:RX"},
		{"unlimited", func(cfg *Config) {
			for i := range cfg.Lines {
				cfg.Lines[i].Transmit, cfg.Lines[i].Receive = Unlimited, Unlimited
			}
		}, "", "", "CONNECT 115200/FAST/LAPM/NONE/115200:TX/115200:RX"},
		{"failing", func(cfg *Config) { cfg.Training.FailureRate = 1 }, "", "", "NO CARRIER"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config()
			if c.change != nil {
				c.change(&cfg)
			}
			w := newWorld(t, cfg)
			w.ask(lineA, `ATE0\V1`+c.a, time.Second)
			w.ask(lineC, `ATE0\V1`+c.c, time.Second)
			w.ask(lineC, "ATDT1", time.Second)
			w.take(lineA)
			w.ask(lineA, "ATA", 2*time.Second)
			if got := w.take(lineC); got != "\r\n"+c.want+"\r\n" {
				t.Errorf("the caller reads %q, want %q", got, c.want)
			}
		})
	}
}

// The throughput of a call is within 3 % of its model, both ways at once, with
// clients that come up with data whenever they may.
func TestThroughput(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(l *Line)
		serial int
		setup  string
		want   float64
	}{
		{"V.34", func(l *Line) {}, 115200, "", 4000},
		{"V.34 without error control", func(l *Line) { l.NoErrorControl = true }, 115200, "", 3360},
		{"V.32bis", func(l *Line) { l.Transmit, l.Receive = 14400, 14400 }, 57600, "", 14400 / 8.4},
		{"serial line is slower", func(l *Line) {}, 9600, "", 960},
		{"115200 on the line", func(l *Line) { l.Transmit, l.Receive = 115200, 115200 }, 115200, "", 11520},
		{"115200 without serial line", func(l *Line) { l.Transmit, l.Receive, l.Modem.Unpaced = 115200, 115200, true }, 115200, "", 115200 / 8.4},
		{"latency", func(l *Line) { l.Latency = 100 * time.Millisecond }, 115200, "", 4000},
		{"AT&K4", func(l *Line) {}, 115200, "&K4", 4000},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config()
			for i := range cfg.Lines {
				c.change(&cfg.Lines[i])
			}
			w := newWorld(t, cfg)
			for i := range w.clients {
				w.o.SetSerial(w.now, i, c.serial)
			}
			w.moves = 5003
			w.connect(c.setup, c.setup)
			for _, i := range []int{lineA, lineC} {
				w.clients[i].send = bytes.Repeat([]byte("0123456789abcdef"), 20000)
			}
			w.run(2 * time.Second) // fill the buffers
			w.take(lineA)
			w.take(lineC)
			const seconds = 10
			w.run(seconds * time.Second)
			for _, i := range []int{lineA, lineC} {
				rate := float64(len(w.take(i))) / seconds
				if math.Abs(rate-c.want)/c.want > 0.03 {
					t.Errorf("line %d: %.0f octets/s, want %.0f", i, rate, c.want)
				}
			}
		})
	}
}

// A frame takes the time of its octets, not less: no buffer lets it jump ahead.
func TestSerialisation(t *testing.T) {
	w := newWorld(t, config())
	w.moves = 0
	w.connect("", "")
	w.clients[lineA].record = true
	w.clients[lineC].send = make([]byte, 576)
	began := w.now
	w.run(time.Second)
	times := w.clients[lineA].times
	if len(times) != 576 {
		t.Fatal(len(times), "octets")
	}
	first, last := times[0].Sub(began), times[575].Sub(began)
	if first > 20*time.Millisecond || last < 144*time.Millisecond || last > 165*time.Millisecond {
		t.Errorf("first octet after %v, last after %v", first, last)
	}
}

// A receiver that reads nothing stops the sender, whatever it has to send, and
// nothing is lost; then all goes on.
func TestBackPressure(t *testing.T) {
	w := newWorld(t, config())
	w.connect("", "")
	w.clients[lineA].reads = false
	w.clients[lineA].got = nil
	data := bytes.Repeat([]byte("0123456789abcdef"), 2000)
	w.clients[lineC].send = bytes.Clone(data)
	w.run(time.Minute)
	if taken := len(data) - len(w.clients[lineC].send); taken > 8192 || taken < 4000 {
		t.Errorf("%d octets taken for a receiver that reads none", taken)
	}
	w.clients[lineA].reads = true
	w.run(10 * time.Second)
	if got := w.clients[lineA].got; !bytes.Equal(got, data) {
		t.Errorf("%d of %d octets arrived, or others", len(got), len(data))
	}
}

func TestImpairments(t *testing.T) {
	cfg := config()
	cfg.Lines[lineC].NoErrorControl = true
	w := newWorld(t, cfg)
	if err := w.o.Impair(w.now, lineA, Receives, circuit.Impairment{BitErrorRate: 1e-3}, true); !errors.Is(err, ErrNoCall) {
		t.Error("damage to the call of an idle line:", err)
	}
	if err := w.o.Inject(w.now, lineA, Receives, circuit.Injection{FlipBits: 1}); !errors.Is(err, ErrNoCall) {
		t.Error("damage to an idle line:", err)
	}
	w.connect("", "")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(w.o.Impair(w.now, lineA, Receives, circuit.Impairment{BitErrorRate: 1e-3}, false))
	check(w.o.Impair(w.now, lineC, Sends, circuit.Impairment{DropRate: 1e-2}, true))
	data := make([]byte, 10000)
	exchange := func() (forward, back []byte) {
		w.take(lineA)
		w.take(lineC)
		w.clients[lineA].send, w.clients[lineC].send = bytes.Clone(data), bytes.Clone(data)
		w.run(5 * time.Second)
		return []byte(w.take(lineA)), []byte(w.take(lineC))
	}
	forward, back := exchange()
	c := w.o.Status(w.now).Calls[0].Forward
	flipped := 0
	for _, b := range forward {
		for ; b > 0; b &= b - 1 {
			flipped++
		}
	}
	if uint64(flipped) != c.BitErrors || flipped < 50 || flipped > 120 || len(forward)+int(c.OctetsDropped) != len(data) || c.OctetsDropped < 60 {
		t.Errorf("%d octets, %d bits flipped, %+v", len(forward), flipped, c)
	}
	if !bytes.Equal(back, data) {
		t.Error("the other direction is damaged, too")
	}
	check(w.o.Inject(w.now, lineC, Receives, circuit.Injection{FlipBits: 3, Every: 10}))
	check(w.o.Inject(w.now, lineA, Sends, circuit.Injection{Garbage: 7}))
	_, back = exchange()
	if b := w.o.Status(w.now).Calls[0].Backward; len(back) != len(data)+7 || b.BitErrors != 3 || b.GarbageOctets != 7 {
		t.Errorf("%d octets, %+v", len(back), b)
	}
	// The next call has only the lasting damage.
	w.o.Detach(w.now, lineC)
	w.run(3 * time.Second)
	w.o.Attach(w.now, lineC, 115200)
	w.connect("", "")
	exchange()
	if c := w.o.Status(w.now).Calls[0].Forward; c.BitErrors == 0 || c.OctetsDropped != 0 {
		t.Errorf("second call: %+v", c)
	}
	if l := w.o.Status(w.now).Lines[lineA].Received; l.OctetsDropped == 0 || l.GarbageOctets != 0 || l.Octets < 20000 {
		t.Errorf("the line's total: %+v", l)
	}
	for _, bad := range []error{
		w.o.Impair(w.now, lineA, 9, circuit.Impairment{}, false), w.o.Impair(w.now, lineA, Sends, circuit.Impairment{BitErrorRate: 2}, false),
		w.o.Inject(w.now, lineA, 9, circuit.Injection{}), w.o.Inject(w.now, lineA, Sends, circuit.Injection{Garbage: -1}),
	} {
		if bad == nil {
			t.Error("nonsense is accepted")
		}
	}
}
