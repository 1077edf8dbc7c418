package office

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"trunkline.example/modem/exchange/circuit"
	"trunkline.example/modem/exchange/plan"
)

var start = time.Date(2026, 11, 21, 14, 5, 0, 0, time.UTC)

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
	first := scene(1, 0)
	if again := scene(1, 0); first != again {
		t.Error("the same seed gives another call")
	}
	if first != scene(1, 13) {
		t.Error("an office that is moved goes on otherwise")
	}
	if first == scene(2, 0) {
		t.Error("another seed gives the same call")
	}
}

// A caller who gives up in the very instant in which the far end begins to ring, as a late owner sees it, has called all the same.
func TestGivenUpAsItRings(t *testing.T) {
	rang := 0
	for before := time.Duration(0); before < 5*time.Second; before += 50 * time.Millisecond {
		w := newWorld(t, config())
		w.ask(lineC, "ATDT100", before)
		w.o.SetSerial(w.now, lineC, 0) // DTR drops
		w.now = w.now.Add(100 * time.Millisecond)
		w.o.Tick(w.now)
		w.run(time.Second)
		if len(w.actions) > 0 && w.actions[0] != "CallRinging {Caller:2 Callee:0 Dialed:100}" {
			t.Errorf("DTR drops after %v: %s", before, w.actions)
		}
		rang += len(w.actions)
		if p := w.o.Status(w.now).Lines[lineA].Line; p != "idle" {
			t.Errorf("DTR drops after %v: the far end is left %s", before, p)
		}
	}
	if rang == 0 {
		t.Error("it never rang")
	}
}
