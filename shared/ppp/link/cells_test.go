package link

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/fsm"
)

// stands are the situations a server link can be in.
var stands = []struct {
	name  string
	bring func(*testing.T) *puppet
}{
	{"dead", func(t *testing.T) *puppet {
		return &puppet{t: t, l: New(epoch, serverConfig(auth.MSCHAPv2)), now: epoch}
	}},
	{"establish", func(t *testing.T) *puppet {
		p := &puppet{t: t, l: New(epoch, serverConfig(auth.MSCHAPv2)), now: epoch}
		p.l.Up(p.now)
		return p
	}},
	{"challenged", func(t *testing.T) *puppet {
		p := newPuppet(t, serverConfig(auth.MSCHAPv2))
		p.put(ppp.LCP, fsm.ConfigureRequest, 1, 5, 6, 9, 9, 9, 9) // LCP again: a new challenge
		p.put(ppp.LCP, fsm.ConfigureAck, 2, p.last(ppp.LCP).Data...)
		req := p.l.State().LCP.Automaton.Request
		p.put(ppp.LCP, fsm.ConfigureAck, 2, req...)
		return p
	}},
	{"verdict pending", func(t *testing.T) *puppet { return newPuppet(t, serverConfig(auth.MSCHAPv2)) }},
	{"network", func(t *testing.T) *puppet {
		p := newPuppet(t, serverConfig(auth.MSCHAPv2))
		p.accept()
		return p
	}},
	{"network in clear", func(t *testing.T) *puppet {
		cfg := serverConfig(auth.MSCHAPv2)
		cfg.Encryption = ccp.None
		p := newPuppet(t, cfg)
		p.accept()
		return p
	}},
	{"up", func(t *testing.T) *puppet {
		p := newPuppet(t, serverConfig(auth.MSCHAPv2))
		p.bringUp()
		return p
	}},
	{"closing", func(t *testing.T) *puppet {
		p := newPuppet(t, serverConfig(auth.MSCHAPv2))
		p.l.Close(p.now, Reason{CodeIdle, Here, "idle"})
		return p
	}},
	{"closed by peer", func(t *testing.T) *puppet {
		p := newPuppet(t, serverConfig(auth.MSCHAPv2))
		p.put(ppp.LCP, fsm.TerminateRequest, 3, []byte("bye")...)
		return p
	}},
	{"over", func(t *testing.T) *puppet {
		p := newPuppet(t, serverConfig(auth.MSCHAPv2))
		p.l.Down(p.now)
		return p
	}},
}

// inputs are the things that can happen to it.
var inputs = []struct {
	name string
	do   func(*puppet)
}{
	{"Up", func(p *puppet) { p.l.Up(p.now) }},
	{"Down", func(p *puppet) { p.l.Down(p.now) }},
	{"Close", func(p *puppet) { p.l.Close(p.now, Reason{CodeAdministrative, Here, "kicked"}) }},
	{"Heard", func(p *puppet) { p.l.Heard(p.now) }},
	{"early Tick", func(p *puppet) { p.l.Tick(p.now) }},
	{"Tick an hour later", func(p *puppet) { p.l.Tick(p.now.Add(time.Hour)) }},
	{"good verdict", func(p *puppet) { p.l.Authenticated(p.now, p.verdict(true)) }},
	{"bad verdict", func(p *puppet) { p.l.Authenticated(p.now, p.verdict(false)) }},
	{"LCP request", receives(control(ppp.LCP, fsm.ConfigureRequest, 8, 5, 6, 9, 9, 9, 9))},
	{"LCP request of MRRU", receives(control(ppp.LCP, fsm.ConfigureRequest, 8, 17, 4, 6, 0x4E))},
	{"LCP ack", func(p *puppet) {
		d := p.l.State().LCP.Automaton
		p.l.Receive(p.now, control(ppp.LCP, fsm.ConfigureAck, d.RequestID, d.Request...))
	}},
	{"LCP terminate", receives(control(ppp.LCP, fsm.TerminateRequest, 8, []byte("bye")...))},
	{"LCP terminate-ack", receives(control(ppp.LCP, fsm.TerminateAck, 8))},
	{"LCP echo", receives(control(ppp.LCP, fsm.EchoRequest, 8, 9, 9, 9, 9))},
	{"LCP unknown code", receives(control(ppp.LCP, 99, 8))},
	{"LCP rejects CCP", receives(control(ppp.LCP, fsm.ProtocolReject, 8, 0x80, 0xFD))},
	{"LCP rejects IPCP", receives(control(ppp.LCP, fsm.ProtocolReject, 8, 0x80, 0x21))},
	{"LCP rejects LCP", receives(control(ppp.LCP, fsm.ProtocolReject, 8, 0xC0, 0x21))},
	{"PAP request", receives(control(ppp.PAP, 1, 8, 1, 'a', 1, 'b'))},
	{"CHAP response", func(p *puppet) {
		id := byte(0)
		if s := p.l.State(); s.Checker != nil {
			id = s.Checker.Identifier
		} else if s.Answered != nil {
			id = s.Answered.Reply[1]
		}
		p.l.Receive(p.now, control(ppp.CHAP, 2, id, append(append([]byte{49}, make([]byte, 49)...), "alice"...)...))
	}},
	{"CHAP challenge", receives(control(ppp.CHAP, 1, 8, 1, 1))},
	{"CCP request", receives(control(ppp.CCP, fsm.ConfigureRequest, 8, mppe128...))},
	{"CCP terminate", receives(control(ppp.CCP, fsm.TerminateRequest, 8))},
	{"IPCP request", receives(control(ppp.IPCP, fsm.ConfigureRequest, 8, anyAddr...))},
	{"IPCP terminate", receives(control(ppp.IPCP, fsm.TerminateRequest, 8))},
	{"IPv6CP request", receives(control(ppp.IPv6CP, fsm.ConfigureRequest, 8))},
	{"EAP", receives(control(ppp.EAP, 1, 8))},
	{"IPv4", receives([]byte{0x21, 0x45, 0, 0, 20})},
	{"MPPE", receives([]byte{0xFD, 0x90, 0, 1, 2, 3})},
	{"IPv6", receives([]byte{0x57, 0x60, 0, 0, 20})},
	{"even protocol", receives([]byte{0x80, 0x20, 1, 1, 0, 4})},
	{"half a header", receives([]byte{0xFF, 3})},
}

func receives(frame []byte) func(*puppet) {
	return func(p *puppet) { p.l.Receive(p.now, frame) }
}

func (p *puppet) verdict(ok bool) auth.Verdict {
	v := auth.Verdict{OK: ok, HasKeys: ok, AuthenticatorResponse: "S=407A5589115FD0D6209F510FE9C04566932CDA56"}
	if len(p.asked) > 0 {
		v.Generation = p.asked[len(p.asked)-1].Generation
	}
	return v
}

// outcome is what came of an input, in a line.
func outcome(p *puppet, before Counters) string {
	var out []string
	for _, a := range p.l.Actions() {
		switch a := a.(type) {
		case Send:
			s := Describe(a.Frame)
			if strings.HasPrefix(s, "CHAP") {
				s = s[:strings.LastIndex(s, " ")] // identifiers are drawn
			}
			s, _, _ = strings.Cut(s, " <")
			out = append(out, s)
		case PhaseChanged:
			out = append(out, "-> "+a.Phase.String())
		case Ended:
			out = append(out, "ended "+a.Reason.Code.String())
		default:
			out = append(out, strings.TrimPrefix(fmt.Sprintf("%T", a), "link."))
		}
	}
	after := p.l.Counters()
	for _, c := range []struct {
		name       string
		was, is    uint64
		ofReceived bool
	}{{"malformed", before.Malformed, after.Malformed, false}, {"discarded", before.Discarded, after.Discarded, false},
		{"early data", before.EarlyData, after.EarlyData, false}, {"unexpected", before.Unexpected, after.Unexpected, false},
		{"held", before.Held, after.Held, false}} {
		if c.is > c.was {
			out = append(out, "("+c.name+")")
		}
	}
	return strings.Join(out, ", ")
}

// Every input in every situation: testdata/cells.txt says what comes of it. A cell that is
// not there is one in which nothing happens.
func TestEveryCell(t *testing.T) {
	text, err := os.ReadFile("testdata/cells.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if cell, result, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !strings.HasPrefix(line, "#") {
			want[cell] = result
		}
	}
	var now strings.Builder
	for _, s := range stands {
		for _, in := range inputs {
			p := s.bring(t)
			p.l.Actions()
			before := p.l.Counters()
			in.do(p)
			cell, got := s.name+" | "+in.name, outcome(p, before)
			if got != "" {
				fmt.Fprintf(&now, "%s: %s\n", cell, got)
			}
			if got != want[cell] {
				t.Errorf("%s: %q, want %q", cell, got, want[cell])
			}
			delete(want, cell)
			if ended := p.l.s.Over; ended != p.l.Deadline().IsZero() && s.name != "dead" {
				t.Errorf("%s: over %v, deadline %v", cell, ended, p.l.Deadline())
			}
		}
	}
	for cell := range want {
		t.Errorf("%s is not a cell", cell)
	}
	if t.Failed() {
		t.Logf("as it is now:\n%s", now.String())
	}
}
