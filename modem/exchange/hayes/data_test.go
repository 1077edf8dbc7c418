package hayes

import (
	"strings"
	"testing"
	"time"
)

func TestEscape(t *testing.T) {
	type step struct {
		wait time.Duration
		send string
	}
	for _, c := range []struct {
		name  string
		setup string
		steps []step
		want  Phase
	}{
		{"proper", "", []step{{1100, "+++"}, {1100, ""}}, Escaped},
		{"one by one", "", []step{{1100, "+"}, {300, "+"}, {300, "+"}, {1100, ""}}, Escaped},
		{"no silence before", "", []step{{1100, "x"}, {500, "+++"}, {1100, ""}}, Online},
		{"no silence after", "", []step{{1100, "+++"}, {500, "x"}, {1100, ""}}, Online},
		{"command after it without silence", "", []step{{1100, "+++ATH\r"}, {1100, ""}}, Online},
		{"too slow", "", []step{{1100, "+"}, {1100, "+"}, {1100, "+"}, {1100, ""}}, Online},
		{"four", "", []step{{1100, "++++"}, {1100, ""}}, Online},
		{"four by and by", "", []step{{1100, "+++"}, {300, "+"}, {1100, ""}}, Online},
		{"within data", "", []step{{1100, "a+++b"}, {1100, ""}}, Online},
		{"switched off", "S2=128", []step{{1100, "+++"}, {1100, ""}}, Online},
		{"other character", "S2=42", []step{{1100, "***"}, {1100, ""}}, Escaped},
		{"longer guard", "S12=100", []step{{1100, "+++"}, {2100, ""}}, Online},
		{"longer guard kept", "S12=100", []step{{2100, "+++"}, {2100, ""}}, Escaped},
		{"no guard", "S12=0", []step{{100, "+++"}, {1, ""}}, Escaped},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := quiet(t, Config{})
			r.ask("AT" + c.setup)
			r.ask("ATDT1")
			r.m.Connect(r.now, v34)
			r.run(0)
			sent := ""
			for _, s := range c.steps {
				r.run(s.wait * time.Millisecond)
				r.send(s.send)
				sent += s.send
			}
			if r.m.Phase() != c.want {
				t.Errorf("%v, want %v", r.m.Phase(), c.want)
			}
			if got := string(r.m.ToLine()); got != sent { // the far end sees the escape characters
				t.Errorf("to the line %q, want %q", got, sent)
			}
		})
	}
}

// While the buffer is full the modem cannot hear whether the client is silent.
func TestEscapeBehindFullBuffer(t *testing.T) {
	r := online(t, Config{Buffer: 64, Unpaced: true}, v34)
	r.send(strings.Repeat("x", 61))
	r.run(2 * time.Second)
	r.send("+++") // looks guarded so far; what follows waits outside
	if n := r.m.Input(r.now, []byte("yyyy")); n != 0 {
		t.Fatal("took", n)
	}
	r.run(5 * time.Second)
	if r.m.Phase() != Online {
		t.Fatal("escaped although the client may be talking")
	}
	r.m.Sent(r.now, 64)
	r.send("yyyy")
	r.run(5 * time.Second)
	if r.m.Phase() != Online {
		t.Fatal("escaped in the middle of data")
	}
	// the same with silence behind it
	r.send(strings.Repeat("x", 57))
	r.run(2 * time.Second)
	r.send("+++")
	r.m.Sent(r.now, 64)
	r.run(5 * time.Second)
	if r.m.Phase() != Escaped {
		t.Fatal("not escaped after true silence")
	}
}

func TestOnlineAgain(t *testing.T) {
	r := into[Escaped](t)
	if n := r.m.FromLine(r.now, []byte("data")); n != 0 {
		t.Fatal("data went to a client that gives commands")
	}
	r.want("ATS7?", "\r\n050\r\n"+ok)
	r.want("ATO", "\r\nCONNECT 33600\r\n")
	if n := r.m.FromLine(r.now, []byte("data")); n != 4 || r.run(time.Second) != "data" {
		t.Fatal("no data after ATO")
	}
}

// Octets pass the serial line at its speed, in both directions.
func TestSerialSpeed(t *testing.T) {
	r := quiet(t, Config{Step: 5 * time.Millisecond})
	r.m.SetSpeed(9600)
	r.ask("ATDT1")
	r.m.Connect(r.now, v34)
	r.run(time.Second)
	r.m.FromLine(r.now, make([]byte, 2000))
	if got := len(r.run(time.Second)); got < 950 || got > 965 {
		t.Errorf("%d octets in a second at 9600 bit/s", got)
	}
	in := make([]byte, 2000)
	began := r.now
	r.send(string(in))
	if took := r.now.Sub(began); took < 2070*time.Millisecond || took > 2100*time.Millisecond {
		t.Errorf("2000 octets took %v at 9600 bit/s", took)
	}
	r.m.SetSpeed(115200) // a call keeps its speed
	if r.m.s.WireSpeed != 9600 {
		t.Error("the speed changed during the call")
	}
	r.m.Lose(r.now, true)
	if r.m.s.WireSpeed != 115200 {
		t.Error("the new speed is not taken after the call")
	}
}

func TestBuffers(t *testing.T) {
	r := online(t, Config{Buffer: 100, Unpaced: true}, v34)
	if n := r.m.Input(r.now, make([]byte, 300)); n != 100 {
		t.Errorf("transmit buffer took %d", n)
	}
	if n := r.m.FromLine(r.now, make([]byte, 300)); n != 100 {
		t.Errorf("receive buffer took %d", n)
	}
	r.m.Sent(r.now, 30)
	if n := r.m.Input(r.now, make([]byte, 300)); n != 30 {
		t.Errorf("transmit buffer took %d after 30 were sent", n)
	}
	r.run(time.Second)
	if n := r.m.FromLine(r.now, make([]byte, 300)); n != 100 {
		t.Errorf("receive buffer took %d after the client read all", n)
	}
	r.m.ClearOutput()
	if r.m.OutputWaiting() != 0 {
		t.Error("output left for the next client")
	}
}

// A client that reads nothing costs bounded memory.
func TestUnread(t *testing.T) {
	r := quiet(t, Config{})
	for i := range 10000 {
		r.m.Ring(r.now, i+1, Caller{})
	}
	if n := r.m.OutputWaiting(); n > unreadLimit || r.m.Dropped() == 0 {
		t.Errorf("%d octets wait, %d dropped", n, r.m.Dropped())
	}
}

func TestInBandFlow(t *testing.T) {
	r := quiet(t, Config{Buffer: 100, Unpaced: true})
	r.ask("AT&K4")
	r.ask("ATDT1")
	r.m.Connect(r.now, v34)
	r.run(time.Second)
	r.m.FromLine(r.now, []byte("abc"))
	r.send("\x13")
	if got := r.run(time.Second); got != "" {
		t.Errorf("%q after XOFF", got)
	}
	r.send("x\x11y")
	if got := r.run(time.Second); got != "abc" {
		t.Errorf("%q after XON", got)
	}
	if got := string(r.m.ToLine()); got != "xy" {
		t.Errorf("to the line %q", got)
	}
	r.send(strings.Repeat("z", 90))
	if got := r.run(time.Second); got != "\x13" {
		t.Errorf("%q when the buffer fills", got)
	}
	r.m.Sent(r.now, 80)
	if got := r.run(time.Second); got != "\x11" {
		t.Errorf("%q when it has emptied", got)
	}
}

func TestInactivity(t *testing.T) {
	r := quiet(t, Config{})
	r.ask("ATS30=3")
	r.ask("ATDT1")
	r.m.Connect(r.now, v34)
	r.run(20 * time.Second)
	r.m.FromLine(r.now, []byte("x"))
	r.run(29 * time.Second)
	if r.m.Phase() != Online {
		t.Fatal("hung up too early")
	}
	if got := r.run(2 * time.Second); got != noCarrier {
		t.Errorf("got %q", got)
	}
}
