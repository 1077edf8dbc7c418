package office

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"trunkline.example/modem/exchange/pace"
)

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
