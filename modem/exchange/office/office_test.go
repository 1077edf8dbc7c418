package office

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"trunkline.example/modem/exchange/circuit"
	"trunkline.example/modem/exchange/hayes"
	"trunkline.example/modem/exchange/pace"
	"trunkline.example/modem/exchange/plan"
)

var start = time.Date(2026, 11, 21, 14, 5, 0, 0, time.UTC)

// world is an office with clients, under virtual time.
type world struct {
	t       testing.TB
	o       *Office
	cfg     Config
	now     time.Time
	clients []client
	actions []string
	moves   int // every so many steps the office is moved into a fresh one; 0: never
	steps   int
}

// client is one line's client.
type client struct {
	got    []byte
	send   []byte // what it still has to send
	reads  bool
	times  []time.Time // of each octet, if record
	record bool
}

// config has two answering lines a and b in hunt 100, and callers c and d.
func config() Config {
	return Config{
		Lines: []Line{{Name: "a", Number: "1"}, {Name: "b", Number: "2"}, {Name: "c", Number: "3", Subscriber: "CAESAR"}, {Name: "d", Number: "4"}},
		Hunts: []Hunt{{Number: "100", Lines: []string{"a", "b"}}},
		Busy:  "300", NoAnswer: "301",
		Training: Training{Time: time.Second, Spread: -1},
	}
}

const (
	lineA = iota
	lineB
	lineC
	lineD
)

func newWorld(t testing.TB, cfg Config) *world {
	t.Helper()
	o, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, o: o, cfg: cfg, now: start, clients: make([]client, len(cfg.Lines)), moves: 97}
	for i := range w.clients {
		w.clients[i].reads = true
		o.Attach(w.now, i, 115200)
	}
	return w
}

// serve moves octets between office and clients.
func (w *world) serve() {
	for moved := true; moved; {
		moved = false
		for i := range w.clients {
			c := &w.clients[i]
			if n := min(len(c.send), w.o.Room(i)); n > 0 {
				c.send = c.send[w.o.Input(w.now, i, c.send[:n]):]
				moved = true
			}
			for b := make([]byte, 256); c.reads; {
				n := w.o.Output(w.now, i, b)
				if n == 0 {
					break
				}
				c.got = append(c.got, b[:n]...)
				for range n {
					if c.record {
						c.times = append(c.times, w.now)
					}
				}
				moved = true
			}
		}
	}
	for _, a := range w.o.Actions() {
		switch a := a.(type) {
		case CallUp:
			w.actions = append(w.actions, fmt.Sprintf("up %s-%s", a.Call.Caller, a.Call.Callee))
		case CallEnded:
			w.actions = append(w.actions, fmt.Sprintf("ended %s-%s %v", a.Call.Caller, a.Call.Callee, !a.Call.Up.IsZero()))
		default:
			w.actions = append(w.actions, strings.TrimPrefix(fmt.Sprintf("%T %+v", a, a), "office."))
		}
	}
}

// run lets d pass.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	end := w.now.Add(d)
	for {
		w.serve()
		if w.steps++; w.moves > 0 && w.steps%w.moves == 0 {
			w.move()
		}
		next := w.o.Deadline()
		for i := range w.clients {
			if w.clients[i].reads {
				next = pace.Earlier(next, w.o.OutputAt(i))
			}
		}
		if next.IsZero() || next.After(end) {
			break
		}
		if next.Before(w.now) {
			next = w.now
		}
		if next.Equal(w.now) && w.steps > 5_000_000 {
			w.t.Fatal("time stands still")
		}
		w.now = next
		w.o.Tick(w.now)
	}
	w.now = end
}

// move writes the office out and reads it back.
func (w *world) move() {
	w.t.Helper()
	b, err := json.Marshal(w.o.State())
	if err != nil {
		w.t.Fatal(err)
	}
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		w.t.Fatal(err)
	}
	o, err := Restore(w.cfg, s)
	if err != nil {
		w.t.Fatal(err)
	}
	o.now = w.now
	w.o = o
}

// ask has a client send a line, and returns what it got d later.
func (w *world) ask(line int, s string, d time.Duration) string {
	w.t.Helper()
	w.clients[line].got = nil
	w.clients[line].send = append(w.clients[line].send, s+"\r"...)
	w.run(d)
	return w.take(line)
}

// take returns what a client got since it was last asked.
func (w *world) take(line int) string {
	s := string(w.clients[line].got)
	w.clients[line].got = nil
	return s
}

func (w *world) want(line int, want string) {
	w.t.Helper()
	if got := w.take(line); got != want {
		w.t.Errorf("line %d got %q, want %q", line, got, want)
	}
}

// connect calls from c to a.
func (w *world) connect(setupA, setupC string) {
	w.t.Helper()
	w.ask(lineA, "ATE0"+setupA, time.Second)
	w.ask(lineC, "ATE0"+setupC, time.Second)
	w.ask(lineC, "ATDT1", time.Second)
	w.want(lineA, "\r\nRING\r\n")
	w.ask(lineA, "ATA", time.Second)
	w.run(500 * time.Millisecond)
	if len(w.o.calls) != 1 || w.o.calls[0].Up.IsZero() {
		w.t.Fatalf("no call: a got %q, c got %q", w.take(lineA), w.take(lineC))
	}
	w.take(lineA)
	w.take(lineC)
	w.actions = nil
}

func (w *world) did(want ...string) {
	w.t.Helper()
	if got := strings.Join(w.actions, "\n"); got != strings.Join(want, "\n") {
		w.t.Errorf("the office did\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	w.actions = nil
}

func TestCall(t *testing.T) {
	w := newWorld(t, config())
	w.ask(lineA, "ATE0S0=0+VCID=1", time.Second)
	w.ask(lineC, "ATE0", time.Second)
	w.ask(lineC, "ATDT100", 5*time.Second)
	w.want(lineA, "\r\nRING\r\n\r\nDATE=1121\r\n\r\nTIME=1405\r\n\r\nNMBR=3\r\n\r\nNAME=CAESAR\r\n")
	w.want(lineB, "")
	w.run(3 * time.Second)
	w.want(lineA, "\r\nRING\r\n")
	w.did("CallRinging {Caller:2 Callee:0 Dialed:100}")
	if got := w.ask(lineA, "ATA", 900*time.Millisecond); got != "" {
		t.Errorf("%q while training", got)
	}
	w.run(200 * time.Millisecond)
	w.want(lineA, "\r\nCONNECT 33600\r\n")
	w.want(lineC, "\r\nCONNECT 33600\r\n")
	w.did("up c-a")
	w.clients[lineC].send = []byte("from the caller")
	w.clients[lineA].send = []byte("from the answerer")
	w.run(time.Second)
	w.want(lineA, "from the caller")
	w.want(lineC, "from the answerer")

	// The caller hangs up; what it sent just before still arrives.
	w.clients[lineC].send = []byte("bye")
	w.run(2 * time.Second)
	w.clients[lineC].send = []byte("+++")
	w.run(2 * time.Second)
	w.want(lineC, "\r\nOK\r\n")
	if got := w.ask(lineC, "ATH", time.Second); got != "\r\nOK\r\n" {
		t.Errorf("ATH: %q", got)
	}
	w.want(lineA, "bye+++\r\nNO CARRIER\r\n")
	w.did("ended c-a true", "DropClient {Line:0}")
	s := w.o.Status(w.now)
	if len(s.Calls) != 0 || len(s.Recent) != 1 || s.Recent[0].Forward.Delivered != 21 || s.Recent[0].Backward.Delivered != 17 ||
		s.Lines[lineA].Received.Delivered != 21 || s.Lines[lineC].Calls != 1 || s.Lines[lineA].Line != "idle" {
		t.Errorf("status %+v", s)
	}
	if got := w.ask(lineA, "AT", time.Second); got != "\r\nOK\r\n" {
		t.Errorf("after the call: %q", got)
	}
}

func TestFailedCalls(t *testing.T) {
	for _, c := range []struct {
		name  string
		dial  string
		fault plan.Fault
		want  string
		after time.Duration
	}{
		{"busy number", "ATDT300", 0, "BUSY", time.Second},
		{"own number", "ATDT3", 0, "BUSY", time.Second},
		{"no answer", "ATS7=10DT301", 0, "NO ANSWER", 11 * time.Second},
		{"nobody answers", "ATS7=10DT2", 0, "NO ANSWER", 11 * time.Second},
		{"unassigned", "ATDT99", 0, "NO CARRIER", 4 * time.Second},
		{"dead line", "ATDT1", plan.FaultDead, "NO DIALTONE", 2 * time.Second},
		{"dead line, blind", "ATX3S7=5DT1", plan.FaultDead, "NO CARRIER", 6 * time.Second},
		{"busied out line calls", "ATDT300", plan.FaultBusyOut, "BUSY", time.Second},
		{"nobody there", "ATS7=2A", 0, "NO CARRIER", 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, config())
			w.ask(lineC, "ATE0", time.Second)
			w.o.SetFault(w.now, lineC, c.fault)
			if got := w.ask(lineC, c.dial, c.after); got != "\r\n"+c.want+"\r\n" {
				t.Errorf("got %q", got)
			}
			w.run(time.Second)
			w.take(lineB)
			w.run(time.Minute)
			w.want(lineB, "")
			if got := w.o.Status(w.now).Lines[lineC]; got.Line != "idle" || got.Modem != "command" {
				t.Errorf("left as %+v", got)
			}
		})
	}
}

func TestHuntGroup(t *testing.T) {
	w := newWorld(t, config())
	for i := range w.clients {
		w.ask(i, "ATE0S0=1", time.Second)
	}
	w.ask(lineC, "ATDT100", 3*time.Second)
	w.want(lineA, "\r\nRING\r\n\r\nCONNECT 33600\r\n")
	w.ask(lineD, "ATDT100", 3*time.Second)
	w.want(lineB, "\r\nRING\r\n\r\nCONNECT 33600\r\n")
	w.o.Detach(w.now, lineC) // the port is closed: DTR falls
	w.run(2 * time.Second)
	w.want(lineA, "\r\nNO CARRIER\r\n")
	w.o.Attach(w.now, lineC, 115200)
	if got := w.ask(lineC, "ATDT100", 3*time.Second); !strings.Contains(got, "CONNECT") {
		t.Errorf("third call: %q", got)
	}
	w.o.SetFaultAll(w.now, plan.FaultDead)
	w.run(3 * time.Second)
	for i := range w.clients {
		if got := w.take(i); !strings.HasSuffix(got, "\r\nNO CARRIER\r\n") {
			t.Errorf("line %d after the exchange went down: %q", i, got)
		}
	}
	if got := w.ask(lineD, "ATDT100", 3*time.Second); got != "\r\nNO DIALTONE\r\n" {
		t.Errorf("got %q", got)
	}
	w.o.SetFaultAll(w.now, plan.FaultNone)
	if got := w.ask(lineD, "ATDT100", 3*time.Second); got != "\r\nCONNECT 33600\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestCallerGivesUp(t *testing.T) {
	w := newWorld(t, config())
	w.ask(lineC, "ATE0", time.Second)
	w.ask(lineC, "ATDT1", 3*time.Second)
	w.want(lineA, "\r\nRING\r\n")
	w.clients[lineC].send = []byte("x")
	w.run(time.Minute)
	w.want(lineC, "\r\nNO CARRIER\r\n")
	w.want(lineA, "") // rings no more
	// One side leaves while they train.
	w.ask(lineC, "ATDT1", time.Second)
	w.take(lineA)
	w.ask(lineA, "ATE0", 100*time.Millisecond)
	w.ask(lineA, "ATA", 500*time.Millisecond)
	w.clients[lineC].send = []byte("x")
	w.run(3 * time.Second)
	w.want(lineA, "\r\nNO CARRIER\r\n")
	w.want(lineC, "\r\nNO CARRIER\r\n")
}

// A caller can dial anew at once, while its last words are still on their way.
func TestRedialAtOnce(t *testing.T) {
	cfg := config()
	cfg.Latency = 500 * time.Millisecond
	w := newWorld(t, cfg)
	w.connect("", "&D2")
	w.clients[lineC].send = []byte("last words")
	w.run(100 * time.Millisecond)
	w.o.Detach(w.now, lineC)
	w.run(60 * time.Millisecond)
	w.o.Attach(w.now, lineC, 115200)
	w.ask(lineC, "ATDT2", 50*time.Millisecond)
	w.want(lineA, "")
	w.run(time.Second)
	w.want(lineA, "last words\r\nNO CARRIER\r\n")
	w.want(lineB, "\r\nRING\r\n")
	if got := w.ask(lineB, "ATE0A", 3*time.Second); !strings.Contains(got, "CONNECT") {
		t.Errorf("got %q", got)
	}
}

// Two lines that call each other at the same instant find each other busy; a
// line that dials while it rings gets no carrier.
func TestGlare(t *testing.T) {
	w := newWorld(t, config())
	w.ask(lineC, "ATE0", time.Second)
	w.ask(lineD, "ATE0", time.Second)
	w.clients[lineC].send = []byte("ATDT4\r")
	w.ask(lineD, "ATDT3", 5*time.Second)
	w.want(lineC, "\r\nBUSY\r\n")
	w.ask(lineC, "ATDT4", time.Second)
	w.want(lineD, "\r\nRING\r\n")
	w.ask(lineD, "ATDT3", 5*time.Second)
	w.want(lineC, "\r\nNO CARRIER\r\n")
}

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

func TestCut(t *testing.T) {
	w := newWorld(t, config())
	if err := w.o.Cut(w.now, lineA); !errors.Is(err, ErrNoCall) {
		t.Error(err)
	}
	w.connect("", "&C0")
	if err := w.o.Cut(w.now, lineA); err != nil {
		t.Fatal(err)
	}
	w.run(1300 * time.Millisecond)
	w.want(lineA, "") // S10
	w.run(200 * time.Millisecond)
	w.want(lineA, "\r\nNO CARRIER\r\n")
	w.want(lineC, "\r\nNO CARRIER\r\n")
	w.did("ended c-a true", "DropClient {Line:0}") // c asked for &C0
	w.ask(lineC, "ATDT1", time.Second)
	if err := w.o.Cut(w.now, lineA); err != nil { // while it rings
		t.Fatal(err)
	}
	w.run(time.Second)
	w.want(lineC, "\r\nNO CARRIER\r\n")
	w.take(lineA)
	w.run(time.Minute)
	w.want(lineA, "")
}

// DropClient waits until the client has read NO CARRIER, but not for ever.
func TestDropClient(t *testing.T) {
	w := newWorld(t, config())
	w.connect("", "")
	w.clients[lineA].reads = false
	w.clients[lineC].send = []byte("unread")
	w.run(time.Second)
	w.o.Detach(w.now, lineC)
	w.run(900 * time.Millisecond)
	w.did("ended c-a true")
	w.clients[lineA].reads = true
	w.run(20 * time.Millisecond)
	w.want(lineA, "unread\r\nNO CARRIER\r\n")
	w.did("DropClient {Line:0}")

	w.o.Attach(w.now, lineC, 115200)
	w.connect("", "")
	w.clients[lineA].reads = false
	w.clients[lineC].send = []byte("unread")
	w.run(time.Second)
	w.o.Detach(w.now, lineC)
	w.run(2 * time.Second)
	w.did("ended c-a true", "DropClient {Line:0}")
	w.o.Detach(w.now, lineA)
	w.o.Attach(w.now, lineA, 115200)
	w.clients[lineA].reads = true
	w.run(time.Second)
	w.want(lineA, "") // nothing stale for the next client
}

func TestB0(t *testing.T) {
	w := newWorld(t, config())
	w.connect("", "")
	w.o.SetSerial(w.now, lineC, 0)
	w.run(time.Second)
	w.want(lineA, "\r\nNO CARRIER\r\n")
	w.o.SetSerial(w.now, lineC, 57600)
	w.take(lineC)
	if got := w.ask(lineC, "AT", time.Second); got != "\r\nOK\r\n" {
		t.Errorf("after B0: %q", got)
	}
}

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

// The same seed and inputs give the same octets at the same times.
func TestDeterminism(t *testing.T) {
	scene := func(seed byte, moves int) string {
		cfg := config()
		cfg.Seed[0] = seed
		cfg.Training.Spread = 0.5
		w := newWorld(t, cfg)
		w.moves = moves
		w.connect(`\N0`, "")
		w.clients[lineA].record = true
		if err := w.o.Impair(w.now, lineA, Receives, circuit.Impairment{BitErrorRate: 1e-2, DropRate: 1e-2}, false); err != nil {
			t.Fatal(err)
		}
		w.clients[lineC].send = make([]byte, 3000)
		w.run(3 * time.Second)
		return fmt.Sprint(w.clients[lineA].got, w.clients[lineA].times)
	}
	if scene(1, 0) != scene(1, 0) {
		t.Error("the same seed gives another call")
	}
	if scene(1, 0) != scene(1, 13) {
		t.Error("an office that is moved goes on otherwise")
	}
	if scene(1, 0) == scene(2, 0) {
		t.Error("another seed gives the same call")
	}
}

// Random walks of clients and operators: nothing is stuck, and all lines come to
// rest when all clients leave.
func TestWalk(t *testing.T) {
	lines := []string{"AT", "ATZ", "ATDT100", "ATDT1", "ATDT3", "ATDT300", "ATDT301", "ATDT9", "ATA", "ATH", "ATH1", "ATO", "+++", "x", "AT&F", "ATS0=1",
		"ATDT1;", `AT\N0`, "AT&D0", "AT&D3", "ATX0", "ATS7=5", "AT+MS=V22,0", "hello world", "AT+VCID=1", "ATS10=0", "AT&C0"}
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		cfg := config()
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
