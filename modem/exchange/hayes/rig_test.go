package hayes

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// start is when every test begins.
var start = time.Date(2026, 11, 21, 14, 5, 0, 0, time.UTC)

// rig is a modem with a client and a line that only record.
type rig struct {
	t       *testing.T
	m       *Modem
	now     time.Time
	actions []Action
	runs    int
}

func newRig(t *testing.T, cfg Config) *rig {
	t.Helper()
	r := &rig{t: t, m: New(cfg), now: start}
	r.m.SetDTR(r.now, true)
	return r
}

// run lets d pass, doing what is due at its instant, and returns what the client
// got. Every modem is also written out and read back now and then.
func (r *rig) run(d time.Duration) string {
	r.t.Helper()
	end := r.now.Add(d)
	var got []byte
	for {
		got = append(got, r.output()...)
		next := r.m.Deadline()
		if o := r.m.OutputAt(); !o.IsZero() && (next.IsZero() || o.Before(next)) {
			next = o
		}
		if next.IsZero() || next.After(end) {
			break
		}
		if next.After(r.now) {
			r.now = next
		}
		r.m.Tick(r.now)
		r.actions = append(r.actions, r.m.Actions()...)
	}
	r.now = end
	r.actions = append(r.actions, r.m.Actions()...)
	if r.runs++; r.runs%5 == 0 {
		r.reincarnate()
	}
	return string(got)
}

func (r *rig) output() []byte {
	var got []byte
	for b := make([]byte, 64); ; {
		n := r.m.Output(r.now, b)
		if got = append(got, b[:n]...); n == 0 {
			return got
		}
	}
}

// reincarnate moves the modem into a fresh one by way of JSON.
func (r *rig) reincarnate() {
	r.t.Helper()
	b, err := json.Marshal(r.m.State())
	if err != nil {
		r.t.Fatal(err)
	}
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		r.t.Fatal(err)
	}
	m, err := Restore(r.m.cfg, s)
	if err != nil {
		r.t.Fatal(err)
	}
	again, err := json.Marshal(m.State())
	if err != nil || string(again) != string(b) {
		r.t.Fatalf("the state changes on its way: %v\n%s\n%s", err, b, again)
	}
	r.m = m
}

// send offers octets until the modem has taken all, and returns what the client
// got meanwhile.
func (r *rig) send(s string) string {
	r.t.Helper()
	got := ""
	data := []byte(s)
	for i := 0; len(data) > 0; i++ {
		if i > 10000 {
			r.t.Fatalf("the modem does not take %q", data)
		}
		n := r.m.Input(r.now, data)
		data = data[n:]
		r.actions = append(r.actions, r.m.Actions()...)
		if len(data) == 0 {
			break
		}
		next := r.m.InputAt()
		if d := r.m.Deadline(); next.IsZero() || !d.IsZero() && d.Before(next) {
			next = d
		}
		if next.IsZero() {
			r.t.Fatalf("the modem takes %q only if something happens", data)
		}
		got += r.run(max(next.Sub(r.now), 0))
	}
	return got
}

// ask sends a command line and returns the answer, after a second.
func (r *rig) ask(line string) string {
	r.t.Helper()
	return r.send(line+"\r") + r.run(time.Second)
}

// want sends a command line and checks the answer.
func (r *rig) want(line, answer string) {
	r.t.Helper()
	if got := r.ask(line); got != answer {
		r.t.Errorf("%s: got %q, want %q", line, got, answer)
	}
}

// did checks the actions since it was last called.
func (r *rig) did(want ...Action) {
	r.t.Helper()
	r.actions = append(r.actions, r.m.Actions()...)
	if len(r.actions) != len(want) || len(want) > 0 && !reflect.DeepEqual(r.actions, want) {
		r.t.Errorf("actions %#v, want %#v", r.actions, want)
	}
	r.actions = nil
}

// quiet is a rig without echo, as most clients set it up.
func quiet(t *testing.T, cfg Config) *rig {
	t.Helper()
	r := newRig(t, cfg)
	r.ask("ATE0")
	return r
}

// ok is the answer to a command that is accepted.
const (
	ok        = "\r\nOK\r\n"
	bad       = "\r\nERROR\r\n"
	noCarrier = "\r\nNO CARRIER\r\n"
)

// v34 is a usual link.
var v34 = Link{Transmit: 31200, Receive: 33600, ErrorControl: true, Modulation: "V34"}

// online brings a rig into data mode as the caller.
func online(t *testing.T, cfg Config, l Link) *rig {
	t.Helper()
	r := quiet(t, cfg)
	r.ask("ATDT1")
	r.m.Connect(r.now, l)
	r.run(100 * time.Millisecond)
	if r.m.Phase() != Online {
		t.Fatal("not online but", r.m.Phase())
	}
	r.actions = nil
	return r
}
