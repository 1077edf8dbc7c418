package office

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"trunkline.example/modem/exchange/circuit"
	"trunkline.example/modem/exchange/hayes"
	"trunkline.example/modem/exchange/plan"
)

func TestBadConfigs(t *testing.T) {
	for want, change := range map[string]func(c *Config){
		"line 0 has no name":          func(c *Config) { c.Lines[0].Name = "" },
		"are both named b":            func(c *Config) { c.Lines[0].Name = "b" },
		`there is no line named "x"`:  func(c *Config) { c.Hunts[0].Lines = []string{"x"} },
		"want digits":                 func(c *Config) { c.Lines[0].Number = "one" },
		"is that of line 0 already":   func(c *Config) { c.Lines[1].Number = "1" },
		"hunt group 100 has no lines": func(c *Config) { c.Hunts[0].Lines = nil },
	} {
		c := config()
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	w := newWorld(t, config())
	for _, name := range []string{"a", "1"} {
		if i, err := w.o.Line(name); i != 0 || err != nil {
			t.Error(i, err)
		}
	}
	if _, err := w.o.Line("nobody"); !errors.Is(err, ErrNoLine) {
		t.Error(err)
	}
	for name, change := range map[string]func(s *State){
		"lines":     func(s *State) { s.Lines = s.Lines[1:] },
		"generator": func(s *State) { s.Random = nil },
		"call":      func(s *State) { s.Calls = []CallState{{Caller: 99}} },
		"modem":     func(s *State) { s.Modems[0].Phase = hayes.Phase(99) },
	} {
		s := w.o.State()
		change(&s)
		if _, err := Restore(config(), s); err == nil {
			t.Errorf("%s: a broken state is restored", name)
		}
	}
}

// Random walks of clients and operators: nothing is stuck, and all lines come to
// rest when all clients leave.
func TestWalk(t *testing.T) {
	lines := []string{"AT", "ATZ", "ATDT100", "ATDT1", "ATDT3", "ATDT300", "ATDT301", "ATDT9", "ATA", "ATH", "ATH1", "ATO", "+++", "x", "AT&F", "ATS0=1",
		"ATDT1;", `AT\N0`, "AT&D0", "AT&D3", "ATX0", "ATS7=5", "AT+MS=V22,0", "hello world", "AT+VCID=1", "ATS10=0", "AT&C0", "AT$IBP=X75", "ATD11/7", "AT&L1*",
		"ATS13=88S14=0"}
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		cfg := config()
		if seed%2 == 1 {
			cfg = digital()
		}
		cfg.Seed[0], cfg.Training.FailureRate, cfg.Latency = byte(seed), 0.1, time.Duration(rng.IntN(100))*time.Millisecond
		w := newWorld(t, cfg)
		for range 150 {
			i := rng.IntN(len(w.clients))
			switch rng.IntN(12) {
			case 0:
				w.o.Detach(w.now, i)
				w.clients[i].send = nil
			case 1, 2:
				w.o.Attach(w.now, i, 115200)
			case 3:
				w.clients[i].reads = !w.clients[i].reads
			case 4:
				_ = w.o.Cut(w.now, i) // it may have no call
			case 5:
				w.o.SetFault(w.now, i, plan.Fault(rng.IntN(3)))
			case 6:
				_ = w.o.Inject(w.now, i, Receives, circuit.Injection{Garbage: 300, FlipBits: 2, Pause: time.Second})
			default:
				line := lines[rng.IntN(len(lines))] + "\r"
				if line == "+++\r" {
					w.run(1100 * time.Millisecond)
					line = "+++"
				}
				w.clients[i].send = append(w.clients[i].send, line...)
			}
			w.run(time.Duration(rng.IntN(3000)) * time.Millisecond)
		}
		for i := range w.clients {
			w.clients[i].reads, w.clients[i].send = true, nil
			w.o.SetFault(w.now, i, plan.FaultNone)
			w.o.Attach(w.now, i, 115200)
			w.run(3 * time.Second)
			w.ask(i, "x", 3*time.Second) // ends what is dialing
			w.clients[i].send = append(w.clients[i].send, "+++"...)
			w.run(2 * time.Second)
			w.ask(i, "ATZ", time.Second)
			w.ask(i, "AT&F", time.Second)
			w.o.Detach(w.now, i)
		}
		w.run(10 * time.Minute)
		s := w.o.Status(w.now)
		for _, l := range s.Lines {
			if l.Line != "idle" || l.Modem != "command" {
				t.Fatalf("seed %d: %+v", seed, l)
			}
		}
		if d := w.o.Deadline(); len(s.Calls) != 0 || !d.IsZero() {
			t.Fatalf("seed %d: %d calls left, deadline %v", seed, len(s.Calls), d)
		}
	}
}

// saturated has n pairs of lines in calls that never run out of data.
func saturated(tb testing.TB, n, rate int, unpaced bool) *world {
	cfg := Config{Training: Training{Time: -1}}
	for i := range n {
		for _, side := range []string{"1", "2"} {
			cfg.Lines = append(cfg.Lines, Line{
				Name: fmt.Sprint("l", side, i), Number: fmt.Sprint(side, i), Transmit: rate, Receive: rate, Modem: hayes.Config{Unpaced: unpaced},
			})
		}
	}
	w := newWorld(tb, cfg)
	w.moves = 0
	for i := range n {
		w.ask(2*i+1, "ATE0S0=1", 100*time.Millisecond)
		w.ask(2*i, fmt.Sprintf("ATDT2%d", i), 5*time.Second)
	}
	if len(w.o.calls) != n {
		tb.Fatal(len(w.o.calls), "calls")
	}
	return w
}

// BenchmarkSaturated is one second of 8 lines, both directions full, at 115200
// bit/s: the time it takes is the share of a core that the machine costs.
func BenchmarkSaturated(b *testing.B) {
	for _, n := range []int{8, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := saturated(b, n, 115200, true)
			fill := make([]byte, 20000)
			for b.Loop() {
				for i := range w.clients {
					w.clients[i].got = w.clients[i].got[:0]
					w.clients[i].send = append(w.clients[i].send[:0], fill...)
				}
				w.run(time.Second)
			}
		})
	}
}
