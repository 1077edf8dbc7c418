package link

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/fsm"
)

// puppet is a hand-driven peer of a server link. It answers LCP and proves itself,
// and for the rest does what a test says.
type puppet struct {
	t      testing.TB
	l      *Link
	now    time.Time
	sent   []fsm.Packet // by the link since the last look, with
	protos []ppp.Protocol
	frames [][]byte
	asked  []auth.Attempt
	up     *NetworkUp
	ended  *Reason
}

// newPuppet is a puppet whose LCP is open and whose proof has been handed in; the verdict
// is not out.
func newPuppet(t testing.TB, cfg Config) *puppet {
	t.Helper()
	p := &puppet{t: t, l: New(epoch, cfg), now: epoch}
	p.l.Up(p.now)
	p.look()
	req := p.last(ppp.LCP)
	p.put(ppp.LCP, fsm.ConfigureAck, req.Identifier, req.Data...)
	p.put(ppp.LCP, fsm.ConfigureRequest, 1, 5, 6, 9, 9, 9, 9)
	if len(cfg.Authentication) == 0 {
		return p
	}
	challenge := p.last(ppp.CHAP)
	body := append([]byte{49}, make([]byte, 49)...)
	p.put(ppp.CHAP, 2, challenge.Identifier, append(body, "alice"...)...)
	if len(p.asked) != 1 {
		t.Fatalf("%d attempts", len(p.asked))
	}
	return p
}

// accept gives the verdict.
func (p *puppet) accept() {
	p.l.Authenticated(p.now, auth.Verdict{Generation: p.asked[len(p.asked)-1].Generation, OK: true, HasKeys: true,
		AuthenticatorResponse: "S=407A5589115FD0D6209F510FE9C04566932CDA56"})
	p.look()
}

// look takes in what the link did.
func (p *puppet) look() {
	p.t.Helper()
	for _, a := range p.l.Actions() {
		switch a := a.(type) {
		case Send:
			proto, info, err := ppp.Split(a.Frame)
			if err != nil {
				p.t.Fatal(err)
			}
			packet, err := fsm.ParsePacket(info)
			if err != nil {
				p.t.Fatal(err)
			}
			p.sent, p.protos, p.frames = append(p.sent, packet), append(p.protos, proto), append(p.frames, a.Frame)
		case Authenticate:
			p.asked = append(p.asked, a.Attempt)
		case NetworkUp:
			p.up = &a
		case NetworkDown:
			p.up = nil
		case Ended:
			p.ended = &a.Reason
		}
	}
}

// put hands a packet to the link.
func (p *puppet) put(proto ppp.Protocol, code fsm.Code, id uint8, data ...byte) {
	p.t.Helper()
	p.l.Receive(p.now, control(proto, code, id, data...))
	p.look()
}

// last is the last packet of a protocol that the link sent.
func (p *puppet) last(proto ppp.Protocol) fsm.Packet {
	p.t.Helper()
	for i := len(p.sent) - 1; i >= 0; i-- {
		if p.protos[i] == proto {
			return p.sent[i]
		}
	}
	p.t.Fatalf("no %v sent", proto)
	return fsm.Packet{}
}

// forget drops what was sent so far.
func (p *puppet) forget() { p.sent, p.protos, p.frames = nil, nil, nil }

// words is what was sent since forget.
func (p *puppet) words() []string {
	var out []string
	for _, f := range p.frames {
		out = append(out, Describe(f))
	}
	p.forget()
	return out
}

func (p *puppet) expect(want ...string) {
	p.t.Helper()
	if got := p.words(); !slices.Equal(got, want) {
		p.t.Errorf("sent\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

var (
	mppe128  = []byte{18, 6, 1, 0, 0, 0x40}
	anyAddr  = []byte{3, 6, 0, 0, 0, 0}
	ourAddr  = []byte{3, 6, 10, 9, 0, 1}
	peerAddr = []byte{3, 6, 10, 9, 0, 100}
)

// Everything comes while the verdict is pending: it is kept and answered at once
// when the verdict is out.
func TestEarlyRequestsAreHeld(t *testing.T) {
	p := newPuppet(t, serverConfig(auth.MSCHAPv2))
	p.forget()
	p.put(ppp.CCP, fsm.ConfigureRequest, 1, mppe128...)
	p.put(ppp.IPCP, fsm.ConfigureRequest, 1, anyAddr...)
	p.put(ppp.IPv6CP, fsm.ConfigureRequest, 1, 1, 10, 0, 0, 0, 0, 0, 0, 0, 1)
	p.put(ppp.CCP, fsm.ConfigureRequest, 2, mppe128...) // again, in place of the first
	p.expect()
	if c := p.l.Counters(); c.Held != 3 || c.HeldDropped != 0 {
		t.Errorf("%+v", c)
	}
	p.accept()
	p.expect("CHAP Success "+fmt.Sprint(p.asked[0].Identifier),
		"CCP Configure-Request 1 <MPPE 01000040 128-bit stateless>",
		"CCP Configure-Ack 2 <MPPE 01000040 128-bit stateless>",
		"IPCP Configure-Request 1 <address 10.9.0.1>",
		"IPCP Configure-Nak 1 <address 10.9.0.100>",
		"LCP Protocol-Reject 2 of IPv6CP")
	p.put(ppp.IPCP, fsm.ConfigureAck, 1, ourAddr...)
	p.put(ppp.IPCP, fsm.ConfigureRequest, 2, peerAddr...)
	if p.up != nil {
		t.Error("the network is up without encryption")
	}
	p.put(ppp.CCP, fsm.ConfigureAck, 1, mppe128...)
	if p.up == nil || p.up.Encryption == nil {
		t.Errorf("up %+v", p.up)
	}
}

func TestHeldFramesAreBounded(t *testing.T) {
	p := newPuppet(t, serverConfig(auth.MSCHAPv2))
	p.put(ppp.CCP, fsm.ConfigureRequest, 1, make([]byte, 1000)...)
	for i := range 20 {
		p.put(ppp.IPCP, fsm.TerminateRequest, uint8(i))
	}
	if c := p.l.Counters(); c.Held != heldMax || c.HeldDropped != 13 {
		t.Errorf("%+v", c)
	}
	p.l.Receive(p.now, append([]byte{0, 0x21}, make([]byte, 40)...))
	p.l.Receive(p.now, []byte{0xFD, 0x90, 0, 1, 2})
	if c := p.l.Counters(); c.EarlyData != 2 {
		t.Errorf("%+v", c)
	}
}

// MikroTik starts IPCP while CCP still runs. pppd with MPPE does not, and would answer
// an early request with a Terminate-Ack: ours comes when it is ready.
func TestIPCPStartsWithThePeersOrAfterCCP(t *testing.T) {
	p := newPuppet(t, serverConfig(auth.MSCHAPv2))
	p.forget()
	p.accept()
	p.expect("CHAP Success "+fmt.Sprint(p.asked[0].Identifier), "CCP Configure-Request 1 <MPPE 01000040 128-bit stateless>")
	p.put(ppp.IPCP, fsm.ConfigureRequest, 1, peerAddr...)
	p.expect("IPCP Configure-Request 1 <address 10.9.0.1>", "IPCP Configure-Ack 1 <address 10.9.0.100>")

	p = newPuppet(t, serverConfig(auth.MSCHAPv2))
	p.accept()
	p.put(ppp.CCP, fsm.ConfigureRequest, 1, mppe128...)
	p.forget()
	p.put(ppp.CCP, fsm.ConfigureAck, 1, mppe128...)
	p.expect("IPCP Configure-Request 1 <address 10.9.0.1>")
}

// A Windows client: callback and multilink in LCP, all kinds of MPPE in CCP, name
// servers of both sorts, IPv6CP besides.
func TestWindowsClient(t *testing.T) {
	cfg := serverConfig(auth.MSCHAPv2)
	l := New(epoch, cfg)
	p := &puppet{t: t, l: l, now: epoch}
	l.Up(p.now)
	p.look()
	p.forget()
	p.put(ppp.LCP, fsm.ConfigureRequest, 0, 1, 4, 5, 0x78, 5, 6, 0x57, 0x68, 1, 2, 7, 2, 8, 2, 13, 3, 6, 17, 4, 6, 0x4E, 19, 3, 0)
	p.expect("LCP Configure-Reject 0 <callback 06> <MRRU 1614> <endpoint 00>")
	p.put(ppp.LCP, fsm.ConfigureAck, 1, l.State().LCP.Automaton.Request...)
	p.put(ppp.LCP, fsm.ConfigureRequest, 1, 1, 4, 5, 0x78, 5, 6, 0x57, 0x68, 1, 2, 7, 2, 8, 2)
	p.put(ppp.LCP, fsm.Identification, 2, []byte("\x57\x68\x01\x02MSRASV5.20")...)
	p.put(ppp.LCP, fsm.Identification, 3, []byte("\x57\x68\x01\x02MSRAS-0-LAPTOP")...)
	challenge := p.last(ppp.CHAP)
	p.put(ppp.CHAP, 2, challenge.Identifier, append(append([]byte{49}, make([]byte, 49)...), `DOM\alice`...)...)
	if p.asked[0].User != `DOM\alice` || l.PeerIdentification() != "MSRAS-0-LAPTOP" {
		t.Errorf("%v from %q", p.asked, l.PeerIdentification())
	}
	p.accept()
	p.forget()
	p.put(ppp.CCP, fsm.ConfigureRequest, 4, 18, 6, 1, 0, 0, 0xE1)
	p.put(ppp.IPv6CP, fsm.ConfigureRequest, 5, 1, 10, 0, 0, 0, 0, 0, 0, 0, 1)
	p.put(ppp.IPCP, fsm.ConfigureRequest, 6, slices.Concat(anyAddr, []byte{129, 6, 0, 0, 0, 0, 130, 6, 0, 0, 0, 0, 131, 6, 0, 0, 0, 0, 132, 6, 0, 0, 0, 0})...)
	p.put(ppp.CCP, fsm.ConfigureAck, 1, mppe128...)
	p.put(ppp.CCP, fsm.ConfigureRequest, 7, mppe128...)
	p.put(ppp.IPCP, fsm.ConfigureRequest, 8, slices.Concat(anyAddr, []byte{129, 6, 0, 0, 0, 0, 131, 6, 0, 0, 0, 0})...)
	p.put(ppp.IPCP, fsm.ConfigureRequest, 9, slices.Concat(peerAddr, []byte{129, 6, 10, 0, 0, 53, 131, 6, 10, 0, 1, 53})...)
	p.put(ppp.IPCP, fsm.ConfigureAck, 1, ourAddr...)
	p.expect("CCP Configure-Nak 4 <MPPE 01000040 128-bit stateless>",
		"LCP Protocol-Reject 2 of IPv6CP",
		"IPCP Configure-Request 1 <address 10.9.0.1>",
		"IPCP Configure-Reject 6 <WINS 1 0.0.0.0> <WINS 2 0.0.0.0>",
		"CCP Configure-Ack 7 <MPPE 01000040 128-bit stateless>",
		"IPCP Configure-Nak 8 <address 10.9.0.100> <DNS 1 10.0.0.53> <DNS 2 10.0.1.53>",
		"IPCP Configure-Ack 9 <address 10.9.0.100> <DNS 1 10.0.0.53> <DNS 2 10.0.1.53>")
	if p.up == nil || p.up.Encryption == nil {
		t.Fatalf("up %+v, ended %v", p.up, p.ended)
	}
	// Compressed headers from now on, as both agreed; LCP never.
	p.put(ppp.CCP, fsm.ResetRequest, 9)
	p.put(ppp.LCP, fsm.EchoRequest, 9, 0x57, 0x68, 1, 2)
	if !bytes.HasPrefix(p.frames[0], []byte{0x80, 0xFD}) || !bytes.HasPrefix(p.frames[1], []byte{0xFF, 3, 0xC0, 0x21}) {
		t.Errorf("%x", p.frames)
	}
}

// An old pppd or telephone without MPPE, with compressors and header compression.
func TestPeerWithoutEncryption(t *testing.T) {
	cfg := serverConfig(auth.MSCHAPv2)
	cfg.Encryption = ccp.Preferred
	for name, do := range map[string]func(*puppet){
		"rejects CCP": func(p *puppet) { p.put(ppp.LCP, fsm.ProtocolReject, 9, 0x80, 0xFD, 1, 1, 0, 4) },
		"rejects MPPE": func(p *puppet) {
			p.put(ppp.CCP, fsm.ConfigureReject, 1, mppe128...)
		},
		"offers others": func(p *puppet) {
			p.put(ppp.CCP, fsm.ConfigureRequest, 1, 21, 3, 0x2F, 26, 4, 0x78, 0)
			p.put(ppp.CCP, fsm.ConfigureReject, 1, mppe128...)
		},
		"terminates CCP": func(p *puppet) { p.put(ppp.CCP, fsm.TerminateRequest, 9) },
		"insists on stateful": func(p *puppet) {
			p.put(ppp.CCP, fsm.ConfigureRequest, 1, 18, 6, 0, 0, 0, 0x40)
			p.put(ppp.CCP, fsm.ConfigureRequest, 2, 18, 6, 0, 0, 0, 0x40)
		},
		"is silent": func(p *puppet) {
			for p.now.Sub(epoch) < DefaultEncryption {
				p.now = p.l.Deadline()
				p.l.Tick(p.now)
				p.look()
			}
		},
	} {
		p := newPuppet(t, cfg)
		p.accept()
		do(p)
		if name == "rejects CCP" && p.last(ppp.CCP).Code != fsm.ConfigureRequest {
			t.Errorf("CCP goes on after its rejection: %v", p.words())
		}
		p.put(ppp.IPCP, fsm.ConfigureRequest, 1, append([]byte{2, 6, 0, 0x2D, 15, 1}, peerAddr...)...)
		if a := p.last(ppp.IPCP); a.Code != fsm.ConfigureReject {
			t.Errorf("%s: VJ is answered by %v", name, a.Code)
		}
		p.put(ppp.IPCP, fsm.ConfigureRequest, 2, peerAddr...)
		p.put(ppp.IPCP, fsm.ConfigureAck, 1, ourAddr...)
		if p.up == nil || p.up.Encryption != nil || p.ended != nil || p.up.MTU != 1400 {
			t.Errorf("%s: up %+v, ended %v", name, p.up, p.ended)
		}
	}
}

// The same peers where encryption is required: LCP is closed, with MPPE named.
func TestPeerWithoutEncryptionIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*puppet)
		text string
	}{
		"rejects CCP":    {func(p *puppet) { p.put(ppp.LCP, fsm.ProtocolReject, 9, 0x80, 0xFD, 1, 1, 0, 4) }, "peer rejected CCP"},
		"rejects MPPE":   {func(p *puppet) { p.put(ppp.CCP, fsm.ConfigureReject, 1, mppe128...) }, "peer rejected MPPE"},
		"terminates CCP": {func(p *puppet) { p.put(ppp.CCP, fsm.TerminateRequest, 9, 'n', 'o') }, `peer terminated CCP: "no"`},
		"insists on 40 bit": {func(p *puppet) {
			p.put(ppp.CCP, fsm.ConfigureRequest, 1, 18, 6, 1, 0, 0, 0x20)
			p.put(ppp.CCP, fsm.ConfigureRequest, 2, 18, 6, 1, 0, 0, 0x20)
		}, "peer insists on MPPE 40-bit stateless"},
		"never mentions MPPE": {func(p *puppet) {
			p.put(ppp.CCP, fsm.ConfigureAck, 1, mppe128...)
			for i := range uint8(6) {
				p.put(ppp.CCP, fsm.ConfigureRequest, i)
			}
		}, "peer does not ask for MPPE"},
		"is silent": {func(p *puppet) {
			for p.now.Sub(epoch) < 30*time.Second {
				p.now = p.l.Deadline()
				p.l.Tick(p.now)
				p.look()
			}
		}, "CCP ended: no answer"},
	} {
		p := newPuppet(t, serverConfig(auth.MSCHAPv2))
		p.accept()
		c.do(p)
		bye := p.last(ppp.LCP)
		if bye.Code != fsm.TerminateRequest || string(bye.Data) != "MPPE-128 required" {
			t.Errorf("%s: LCP %v %q", name, bye.Code, bye.Data)
		}
		p.put(ppp.LCP, fsm.TerminateAck, bye.Identifier)
		if want := (Reason{CodeEncryptionRefused, There, "MPPE-128 stateless is required: " + c.text}); p.ended == nil || *p.ended != want || p.up != nil {
			t.Errorf("%s: ended %v, want %v", name, p.ended, want)
		}
	}
}

// up brings an encrypted call up.
func (p *puppet) bringUp() {
	p.t.Helper()
	p.accept()
	p.put(ppp.CCP, fsm.ConfigureRequest, 1, mppe128...)
	p.put(ppp.CCP, fsm.ConfigureAck, p.last(ppp.CCP).Identifier, mppe128...)
	p.put(ppp.IPCP, fsm.ConfigureRequest, 1, peerAddr...)
	p.put(ppp.IPCP, fsm.ConfigureAck, 1, ourAddr...)
	p.forget()
}

// CCP negotiated again in mid-call stops the traffic and starts it with the same keys; ended,
// it ends the call even where encryption was only preferred.
func TestCCPInMidCall(t *testing.T) {
	for _, policy := range []ccp.Policy{ccp.Required, ccp.Preferred} {
		cfg := serverConfig(auth.MSCHAPv2)
		cfg.Encryption = policy
		p := newPuppet(t, cfg)
		p.accept()
		p.put(ppp.CCP, fsm.ConfigureRequest, 1, mppe128...)
		p.put(ppp.CCP, fsm.ConfigureAck, 1, mppe128...)
		p.put(ppp.IPCP, fsm.ConfigureRequest, 1, peerAddr...)
		p.put(ppp.IPCP, fsm.ConfigureAck, 1, ourAddr...)
		if p.up == nil {
			t.Fatal("not up")
		}
		p.put(ppp.CCP, fsm.ConfigureRequest, 2, mppe128...)
		if p.up != nil {
			t.Error("traffic goes on while CCP is negotiated")
		}
		p.put(ppp.CCP, fsm.ConfigureAck, 2, mppe128...)
		if p.up == nil || p.up.Encryption == nil {
			t.Errorf("up %+v", p.up)
		}
		p.put(ppp.CCP, fsm.TerminateRequest, 3)
		if p.up != nil || p.l.Phase() != Terminate {
			t.Errorf("up %+v in %v", p.up, p.l.Phase())
		}
		p.put(ppp.LCP, fsm.TerminateAck, 2)
		if p.ended == nil || p.ended.Code != CodeEncryptionRefused || !strings.Contains(p.ended.Text, "MPPE") {
			t.Errorf("%v", p.ended)
		}
	}
}

func TestIPCPInMidCall(t *testing.T) {
	p := newPuppet(t, serverConfig(auth.MSCHAPv2))
	p.accept()
	p.put(ppp.CCP, fsm.ConfigureRequest, 1, mppe128...)
	p.put(ppp.CCP, fsm.ConfigureAck, 1, mppe128...)
	p.put(ppp.IPCP, fsm.ConfigureRequest, 1, peerAddr...)
	p.put(ppp.IPCP, fsm.ConfigureAck, 1, ourAddr...)
	p.put(ppp.IPCP, fsm.ConfigureRequest, 2, peerAddr...)
	if p.up != nil {
		t.Error("traffic goes on while IPCP is negotiated")
	}
	p.put(ppp.IPCP, fsm.ConfigureAck, 2, ourAddr...)
	if p.up == nil {
		t.Error("not up again")
	}
	p.put(ppp.IPCP, fsm.TerminateRequest, 3)
	p.now = p.now.Add(3 * time.Second)
	p.l.Tick(p.now)
	p.look()
	p.put(ppp.LCP, fsm.TerminateAck, p.last(ppp.LCP).Identifier)
	if want := (Reason{CodeNetworkFailed, There, "IPCP ended: terminated by the peer"}); p.ended == nil || *p.ended != want {
		t.Errorf("%v", p.ended)
	}
	q := newPuppet(t, serverConfig(auth.MSCHAPv2))
	q.accept()
	q.put(ppp.LCP, fsm.ProtocolReject, 9, 0x80, 0x21)
	q.put(ppp.LCP, fsm.TerminateAck, 2)
	if q.ended == nil || q.ended.Code != CodeNetworkFailed || q.ended.Text != "peer rejected IPCP" {
		t.Errorf("%v", q.ended)
	}
}

// Losing another protocol never costs IPv4.
func TestOtherProtocolsAreRejectedAndForgotten(t *testing.T) {
	p := newPuppet(t, serverConfig(auth.MSCHAPv2))
	p.bringUp()
	p.put(ppp.IPv6CP, fsm.ConfigureRequest, 1)
	p.put(ppp.IPv6CP, fsm.TerminateRequest, 2)
	p.put(ppp.CBCP, 2, 1)
	p.put(ppp.ACSCP, fsm.ConfigureRequest, 1)
	p.put(ppp.EAP, 1, 1)
	p.put(0xC0E1, 1, 1)
	p.put(ppp.LCP, fsm.ProtocolReject, 7, 0, 0x57)
	p.expect("LCP Protocol-Reject 2 of IPv6CP", "LCP Protocol-Reject 3 of IPv6CP", "LCP Protocol-Reject 4 of CBCP", "LCP Protocol-Reject 5 of ACSCP",
		"LCP Protocol-Reject 6 of EAP", "LCP Protocol-Reject 7 of protocol C0E1")
	if c := p.l.Counters(); p.up == nil || c.UnknownProtocols != 6 || c.ProtocolsRejected != 1 {
		t.Errorf("up %v, %+v", p.up, c)
	}
	// The proof again, as a peer sends it that did not get the answer: the same answer.
	body := append([]byte{49}, make([]byte, 49)...)
	p.put(ppp.CHAP, 2, p.asked[0].Identifier, append(body, "alice"...)...)
	p.expect("CHAP Success " + fmt.Sprint(p.asked[0].Identifier))
	if len(p.asked) != 1 || p.up == nil {
		t.Error("the verdict was asked for again")
	}
}

func TestAuthenticationProtocolRejected(t *testing.T) {
	p := newPuppet(t, serverConfig(auth.MSCHAPv2))
	p.put(ppp.LCP, fsm.ProtocolReject, 9, 0xC2, 0x23)
	p.put(ppp.LCP, fsm.TerminateAck, p.last(ppp.LCP).Identifier)
	if want := (Reason{CodeAuthRefused, There, "peer rejected CHAP after it had agreed to it"}); p.ended == nil || *p.ended != want {
		t.Errorf("%v", p.ended)
	}
}

func TestClientWithoutAddress(t *testing.T) {
	cfg := clientConfig()
	cfg.Encryption = ccp.None
	p := newPuppet(t, cfg)
	p.put(ppp.IPCP, fsm.ConfigureAck, 1, p.last(ppp.IPCP).Data...)
	p.put(ppp.IPCP, fsm.ConfigureRequest, 1, ourAddr...)
	p.put(ppp.LCP, fsm.TerminateAck, p.last(ppp.LCP).Identifier)
	if want := (Reason{CodeNetworkFailed, There, "peer assigned no address"}); p.ended == nil || *p.ended != want {
		t.Errorf("%v", p.ended)
	}
}

// A peer whose CCP or IPCP never comes to an end, though it answers, is not kept for ever.
func TestNetworkTakesTooLong(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		p := newPuppet(t, serverConfig(auth.MSCHAPv2))
		p.accept()
		if encrypted {
			p.put(ppp.CCP, fsm.ConfigureRequest, 1, mppe128...)
			p.put(ppp.CCP, fsm.ConfigureAck, 1, mppe128...)
		}
		for p.l.Phase() == Network {
			p.now = p.now.Add(time.Second)
			if encrypted {
				p.put(ppp.IPCP, fsm.ConfigureNak, p.last(ppp.IPCP).Identifier, peerAddr...)
			} else {
				p.put(ppp.CCP, fsm.ConfigureNak, p.last(ppp.CCP).Identifier, mppe128...)
			}
			p.l.Tick(p.now)
			p.look()
		}
		p.put(ppp.LCP, fsm.TerminateAck, p.last(ppp.LCP).Identifier)
		want := CodeEncryptionRefused
		if encrypted {
			want = CodeNetworkFailed
		}
		if p.ended == nil || p.ended.Code != want || p.now.Sub(epoch) > DefaultNetwork {
			t.Errorf("%v after %v", p.ended, p.now.Sub(epoch))
		}
	}
}

func TestMTU(t *testing.T) {
	for _, c := range []struct {
		mtu  uint16
		want uint16
	}{{0, 1496}, {1300, 1296}, {2000, 1496}, {1, 124}} {
		cfg := serverConfig(auth.MSCHAPv2)
		cfg.MTU, cfg.LocalAddress = c.mtu, netip.MustParseAddr("10.9.0.1")
		p := newPuppet(t, cfg)
		p.bringUp()
		if p.up == nil || p.up.MTU != c.want {
			t.Errorf("MTU %d: %+v", c.mtu, p.up)
		}
	}
}
