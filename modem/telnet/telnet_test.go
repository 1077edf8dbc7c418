package telnet

import (
	"bytes"
	"slices"
	"testing"
)

var options = []Option{Binary, SGA, ComPort}

// pair is both ends of a connection.
type pair struct {
	client, server *Conn
}

func newPair() pair {
	return pair{New(Config{Local: options, Remote: []Option{Binary, SGA, Echo}, Ask: true}), New(Config{Local: []Option{Binary, SGA, Echo}, Remote: options})}
}

// settle carries what both have to say until they have no more, and returns how many octets that took.
func (p pair) settle(t *testing.T) (octets int) {
	t.Helper()
	for range 20 {
		a, b := p.client.Output(), p.server.Output()
		if len(a)+len(b) == 0 {
			return octets
		}
		octets += len(a) + len(b)
		if d := p.server.Receive(p.client.Receive(nil, b), a); len(d) > 0 {
			t.Errorf("negotiation looks like data: %x", d)
		}
	}
	t.Fatal("the negotiation has no end")
	return 0
}

func TestNegotiation(t *testing.T) {
	p := newPair()
	if n := p.settle(t); n != 6*3*2 {
		t.Errorf("%d octets of negotiation", n)
	}
	for _, o := range options {
		if !p.client.On(o, true) || !p.server.On(o, false) {
			t.Errorf("option %d is not in force from the client", o)
		}
	}
	if !p.client.On(Binary, false) || !p.server.On(Echo, true) || p.client.On(ComPort, false) {
		t.Error("options of the server are wrong")
	}
	if e := p.client.Events(); len(e) != 6 || e[0] != (Changed{Binary, true, true}) {
		t.Errorf("%+v", e)
	}
}

// Every octet passes, for every split of the stream, with and without BINARY.
func TestTransparency(t *testing.T) {
	data := make([]byte, 0, 3000)
	for i := range 256 {
		data = append(data, byte(i), '\r', byte(i), iac, byte(i))
	}
	for _, binary := range []bool{true, false} {
		for _, chunk := range []int{1, 2, 3, 7, 1000} {
			p := newPair()
			if binary {
				p.settle(t)
			} else {
				p.client.Receive(nil, []byte{iac, dont, byte(Binary)})
			}
			var wire, got []byte
			for c := range slices.Chunk(data, chunk) {
				wire = p.client.Append(wire, c)
			}
			for c := range slices.Chunk(wire, chunk) {
				got = p.server.Receive(got, c)
			}
			if !bytes.Equal(got, data) {
				t.Errorf("binary %v, chunks of %d: %d of %d octets, or others", binary, chunk, len(got), len(data))
			}
		}
	}
}

// While the far end has yet to say whether it takes BINARY, a CR goes without NUL: one that agrees takes what came behind our offer for binary, and
// one that never answers is no Telnet at all.
func TestNoPaddingBeforeTheAnswer(t *testing.T) {
	p := newPair()
	offer := p.client.Output()
	early := p.client.Append(nil, []byte("AT\r"))
	if got := p.server.Receive(nil, append(offer, early...)); string(got) != "AT\r" {
		t.Errorf("%q arrives before the answer", got)
	}
	p.client.Receive(nil, []byte{iac, dont, byte(Binary)})
	if got := p.client.Append(nil, []byte("AT\r")); string(got) != "AT\r\x00" {
		t.Errorf("%q is sent after a refusal", got)
	}
}

func TestRefusals(t *testing.T) {
	c := New(Config{Local: []Option{Binary}, Remote: []Option{SGA}})
	c.Receive(nil, []byte{iac, do, 24, iac, will, 31, iac, dont, 24, iac, wont, 31, iac, 246})
	if got := c.Output(); !bytes.Equal(got, []byte{iac, wont, 24, iac, dont, 31}) {
		t.Errorf("answers %v", got)
	}
	c.Receive(nil, []byte{iac, do, 0, iac, do, 0, iac, dont, 0, iac, dont, 0})
	if got := c.Output(); !bytes.Equal(got, []byte{iac, will, 0, iac, wont, 0}) || c.On(Binary, true) {
		t.Errorf("answers %v", got)
	}
	asking := New(Config{Local: options, Ask: true})
	asking.Output()
	asking.Receive(nil, []byte{iac, dont, byte(ComPort)})
	if e := asking.Events(); len(asking.Output()) > 0 || !slices.Equal(e, []Event{Changed{ComPort, true, false}}) {
		t.Errorf("a refusal gives %+v", e)
	}
}

func TestComPort(t *testing.T) {
	p := newPair()
	p.settle(t)
	p.server.Events()
	wire := AppendCommand(nil, SetBaudrate, Baudrate(0x00ff00ff)...)
	wire = AppendCommand(wire, SetControl, DTROff)
	wire = append(wire, "data"...)
	wire = AppendCommand(wire, Answer+NotifyModem, ModemCD|ModemCTS)
	wire = append(wire, AppendSub(nil, ComPort, byte(SetBaudrate), 1)...)
	var got []byte
	for _, b := range wire {
		got = p.server.Receive(got, []byte{b})
	}
	if string(got) != "data" {
		t.Errorf("data %q", got)
	}
	var commands []Command
	for i, e := range p.server.Events() {
		c, value, ok := e.(Sub).ComPort()
		commands = append(commands, c)
		switch {
		case ok != (i < 3), i == 0 && BaudrateOf(value) != 0x00ff00ff, i == 1 && value[0] != DTROff, i == 2 && value[0] != 0x90:
			t.Errorf("command %d: %d %v %v", i, c, value, ok)
		}
	}
	if !slices.Equal(commands, []Command{SetBaudrate, SetControl, Answer + NotifyModem, SetBaudrate}) {
		t.Errorf("%v", commands)
	}
	if _, _, ok := (Sub{Option: 24, Data: []byte{1, 2}}).ComPort(); ok {
		t.Error("another option is taken for COM-PORT-OPTION")
	}
}

// Who is asked for an option and answers by using it has agreed: pyserial does, when our DO crosses the WILL that it was about to send.
func TestUseIsAgreement(t *testing.T) {
	c := New(Config{Remote: []Option{ComPort}, Ask: true})
	c.Receive(nil, AppendCommand(nil, SetControl, AskDTR))
	e := c.Events()
	if len(e) != 2 || e[0] != (Changed{Option: ComPort, On: true}) || !c.On(ComPort, false) {
		t.Errorf("%+v", e)
	}
	c = New(Config{Remote: []Option{ComPort}})
	c.Receive(nil, AppendCommand(nil, SetControl, AskDTR))
	if c.On(ComPort, false) {
		t.Error("an option that nobody asked for is in force")
	}
}

// What is too long or not ended is dropped; what follows counts.
func TestBrokenSubnegotiation(t *testing.T) {
	c := New(Config{Local: options})
	long := append([]byte{iac, sb, 44}, bytes.Repeat([]byte{7, iac, iac}, 10000)...)
	if got := c.Receive(nil, append(append(long, iac, se), "on"...)); string(got) != "on" || len(c.Events()) > 0 || len(c.s.sub) > longestSub+1 {
		t.Errorf("%q", got)
	}
	c.Receive(nil, []byte{iac, sb, 44, 1, iac, do, 0})
	if got := c.Output(); !bytes.Equal(got, []byte{iac, will, 0}) {
		t.Errorf("a command in an unended subnegotiation: %v", got)
	}
	if got := c.Receive(nil, []byte{iac, sb, iac, se, 'x'}); string(got) != "x" || len(c.Events()) != 1 {
		t.Errorf("%q", got)
	}
}

// Whatever comes, all splits of it give the same, and what is answered and kept is bounded.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{iac, do, 0, 'a', '\r', 0, iac, sb, 44, 1, 0, 0, 1, 2, iac, se, iac, iac}, 3)
	f.Add([]byte{iac, sb, iac, sb, iac, iac, se}, 1)
	f.Fuzz(func(t *testing.T, in []byte, split int) {
		a, b := newPair().server, newPair().server
		whole := a.Receive(nil, in)
		cut := max(0, min(split, len(in)))
		parts := b.Receive(b.Receive(nil, in[:cut]), in[cut:])
		out := a.Output()
		if !bytes.Equal(whole, parts) || !bytes.Equal(out, b.Output()) || len(a.Events()) != len(b.Events()) {
			t.Error("splits differ")
		}
		if len(whole) > len(in) || len(out) > len(in) {
			t.Errorf("%d octets in, %d of data, %d of answers", len(in), len(whole), len(out))
		}
	})
}
