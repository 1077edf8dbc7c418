package link

import (
	"math/rand/v2"
	"testing"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/fsm"
	"trunkline.example/shared/ppp/internal/statetest"
)

// monkey does random things to a link, many of them sensible, and checks after
// each what must always be so.
type monkey struct {
	t       testing.TB
	seed    uint64
	r       *rand.Rand
	l       *Link
	now     time.Time
	last    map[ppp.Protocol]fsm.Packet // of the link's own packets
	asked   uint64
	up      bool
	ups     int
	ended   int
	started bool
	secure  bool // nothing may flow in clear
}

func (m *monkey) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("seed %d: "+format, append([]any{m.seed}, args...)...)
}

// check looks at what the link did.
func (m *monkey) check() {
	m.t.Helper()
	for _, a := range m.l.Actions() {
		if m.ended > 0 {
			m.fail("%T after Ended", a)
		}
		switch a := a.(type) {
		case Send:
			if !m.started {
				m.fail("sends before Up")
			}
			proto, info, err := ppp.Split(a.Frame)
			if err != nil || proto.Data() {
				m.fail("sent %x", a.Frame)
			}
			p, err := fsm.ParsePacket(info)
			if err != nil {
				m.fail("sent %x: %v", a.Frame, err)
			}
			m.last[proto] = p
		case Authenticate:
			if a.Attempt.Generation == m.asked {
				m.fail("generation %d twice", m.asked)
			}
			m.asked = a.Attempt.Generation
		case NetworkUp:
			if m.up || m.secure && a.Encryption == nil || m.l.Phase() != Network {
				m.fail("up: %+v, was up %v, in %v", a, m.up, m.l.Phase())
			}
			m.up = true
			m.ups++
		case NetworkDown:
			if !m.up {
				m.fail("down twice")
			}
			m.up = false
		case Ended:
			m.ended++
			if m.up || a.Reason.Code == CodeNone {
				m.fail("ended %v, up %v", a.Reason, m.up)
			}
		}
	}
	s := m.l.s
	if s.Over != (m.ended == 1) || s.NetworkUp != m.up || len(s.Held) > heldMax {
		m.fail("over %v, ended %d, up %v, %d held", s.Over, m.ended, s.NetworkUp, len(s.Held))
	}
	if m.up && s.Phase != Network {
		m.fail("up in %v", s.Phase)
	}
	if waits := m.started && !s.Over; waits == m.l.Deadline().IsZero() {
		m.fail("deadline %v in %v, over %v", m.l.Deadline(), s.Phase, s.Over)
	}
}

// data is the data of a Configure-Request, some of it good.
func (m *monkey) data(proto ppp.Protocol) []byte {
	good := map[ppp.Protocol][][]byte{
		ppp.LCP:  {{5, 6, 9, 9, 9, 9}, {1, 4, 5, 0x78, 7, 2, 8, 2}, {17, 4, 6, 0x4E}, {3, 5, 0xC2, 0x23, 0x81}},
		ppp.CCP:  {mppe128, mppe128, {18, 6, 1, 0, 0, 0xE1}, {26, 4, 0x78, 0}, {18, 6, 0, 0, 0, 0x40}},
		ppp.IPCP: {peerAddr, peerAddr, anyAddr, {2, 6, 0, 0x2D, 15, 1}, {129, 6, 0, 0, 0, 0}},
	}[proto]
	if len(good) > 0 && m.r.IntN(20) > 0 {
		return good[m.r.IntN(len(good))]
	}
	b := make([]byte, m.r.IntN(12))
	for i := range b {
		b[i] = byte(m.r.Uint32())
	}
	return b
}

// packet hands the link a packet of a control protocol.
func (m *monkey) packet() {
	proto := []ppp.Protocol{ppp.LCP, ppp.LCP, ppp.CCP, ppp.IPCP, ppp.IPv6CP}[m.r.IntN(5)]
	own := m.last[proto]
	switch n := m.r.IntN(40); {
	case n < 18: // agree to what it last asked
		m.l.Receive(m.now, control(proto, fsm.ConfigureAck, own.Identifier, own.Data...))
	case n < 33:
		m.l.Receive(m.now, control(proto, fsm.ConfigureRequest, uint8(m.r.IntN(4)), m.data(proto)...))
	case n < 36:
		code := fsm.Code(1 + m.r.IntN(15))
		if code == fsm.TerminateRequest && m.r.IntN(4) > 0 {
			code = fsm.EchoRequest
		}
		m.l.Receive(m.now, control(proto, code, own.Identifier, m.data(proto)...))
	case n < 38:
		code := []fsm.Code{fsm.ConfigureNak, fsm.ConfigureReject}[m.r.IntN(2)]
		m.l.Receive(m.now, control(proto, code, own.Identifier, own.Data...))
	default:
		b := make([]byte, m.r.IntN(30))
		for i := range b {
			b[i] = byte(m.r.Uint32())
		}
		m.l.Receive(m.now, b)
	}
}

// prove hands in an authentication packet, or a verdict.
func (m *monkey) prove() {
	challenge := m.last[ppp.CHAP]
	switch m.r.IntN(6) {
	case 0, 1:
		body := append(append([]byte{49}, make([]byte, 49)...), "alice"...)
		m.l.Receive(m.now, control(ppp.CHAP, 2, challenge.Identifier, body...))
	case 2, 3, 4:
		m.l.Authenticated(m.now, auth.Verdict{Generation: m.asked, OK: m.r.IntN(30) > 0, HasKeys: true,
			AuthenticatorResponse: "S=407A5589115FD0D6209F510FE9C04566932CDA56", Encryption: auth.EncryptionDefault})
	case 5:
		m.l.Receive(m.now, control(ppp.PAP, 1, 1, 1, 'a', 1, 'b'))
	}
}

// cooperate does what brings the link on.
func (m *monkey) cooperate() {
	s := m.l.s
	proto, request := ppp.LCP, []byte{5, 6, 9, 9, 9, 9}
	switch {
	case s.Phase == Authenticating:
		m.prove()
		return
	case s.Phase == Network && !s.Encrypted && m.l.ccp != nil:
		proto, request = ppp.CCP, mppe128
	case s.Phase == Network && !s.IPCPUp:
		proto, request = ppp.IPCP, peerAddr
	case s.Phase != Establish:
		return
	}
	if own := m.last[proto]; m.r.IntN(2) == 0 {
		m.l.Receive(m.now, control(proto, fsm.ConfigureAck, own.Identifier, own.Data...))
		return
	}
	m.l.Receive(m.now, control(proto, fsm.ConfigureRequest, 1, request...))
}

func (m *monkey) step() {
	switch n := m.r.IntN(100); {
	case n < 60:
		m.cooperate()
	case n < 70 && m.r.IntN(3) == 0:
		m.packet()
	case n < 90:
		m.prove()
	case n < 96:
		m.now = m.now.Add(time.Duration(m.r.IntN(2000)) * time.Millisecond)
		m.l.Tick(m.now)
	case n < 98:
		if d := m.l.Deadline(); !d.IsZero() {
			m.now = later(m.now, d)
			m.l.Tick(m.now)
		}
	case n < 99:
		m.l.Heard(m.now)
		m.l.Receive(m.now, []byte{0x21, 0x45})
	case m.r.IntN(10) == 0:
		m.l.Close(m.now, Reason{CodeIdle, Here, "idle"})
	case m.r.IntN(20) == 0:
		m.l.Down(m.now)
	}
}

// Whatever happens to a link, it keeps its word; and left alone afterwards it comes to
// rest: up, or over.
func TestRandomWalk(t *testing.T) {
	ups, ends := 0, 0
	for seed := range uint64(500) {
		cfg := serverConfig(auth.MSCHAPv2)
		if seed%3 == 1 {
			cfg.Encryption = ccp.Preferred
		}
		m := &monkey{t: t, seed: seed, r: rand.New(rand.NewPCG(seed, 3)), l: New(epoch, cfg), now: epoch,
			last: map[ppp.Protocol]fsm.Packet{}, secure: cfg.Encryption == ccp.Required}
		m.check()
		m.started = true
		m.l.Up(m.now)
		m.check()
		for range 300 {
			m.step()
			m.check()
		}
		ups += m.ups
		ends += m.ended
		// Silence: it gives up in the end.
		for n := 0; m.ended == 0; n++ {
			if n > 1000 {
				t.Fatalf("seed %d: does not end in %v", seed, m.l.Phase())
			}
			m.now = later(m.now, m.l.Deadline())
			m.l.Tick(m.now)
			m.check()
		}
	}
	// The walk must get somewhere to prove anything.
	if ups < 400 || ends > 450 {
		t.Errorf("only %d times up; %d of 500 ended before their time", ups, ends)
	}
}

// Frames as a fuzzer likes them: a length octet before each.
func splitFrames(b []byte) (out [][]byte) {
	for len(b) > 0 {
		n := min(int(b[0]), len(b)-1)
		out = append(out, b[1:1+n])
		b = b[1+n:]
	}
	return out
}

func joinFrames(frames ...[]byte) (b []byte) {
	for _, f := range frames {
		b = append(append(b, byte(len(f))), f...)
	}
	return b
}

func FuzzReceive(f *testing.F) {
	ack := control(ppp.LCP, fsm.ConfigureAck, 1, 1, 4, 5, 0x78, 3, 5, 0xC2, 0x23, 0x81, 5, 6, 0x3F, 0x78, 0xE6, 0x6A, 7, 2, 8, 2)
	request := control(ppp.LCP, fsm.ConfigureRequest, 1, 5, 6, 9, 9, 9, 9)
	f.Add(joinFrames(ack, request, control(ppp.CCP, fsm.ConfigureRequest, 1, mppe128...)))
	f.Add(joinFrames(request, control(ppp.LCP, fsm.TerminateRequest, 1), control(ppp.IPCP, fsm.ConfigureRequest, 1, anyAddr...)))
	f.Add(joinFrames(control(ppp.LCP, fsm.ConfigureReject, 1, 3, 5, 0xC2, 0x23, 0x81), []byte{0xFD, 0x90, 0}, []byte{0xFF, 3}))
	f.Add(joinFrames(control(ppp.LCP, fsm.ProtocolReject, 1, 0xC0, 0x21), control(ppp.PAP, 1, 1, 1, 'a', 1, 'b')))
	f.Fuzz(func(t *testing.T, b []byte) {
		// From the start, with a verdict pending, and with the network up; as a client, too.
		up := newPuppet(t, serverConfig(auth.MSCHAPv2))
		up.bringUp()
		client := New(epoch, clientConfig(auth.MSCHAPv2))
		client.Up(epoch)
		fresh := New(epoch, serverConfig(auth.MSCHAPv2))
		fresh.Up(epoch)
		for _, l := range []*Link{fresh, newPuppet(t, serverConfig(auth.MSCHAPv2)).l, up.l, client} {
			m := &monkey{t: t, l: l, now: epoch, last: map[ppp.Protocol]fsm.Packet{}, started: true, up: l == up.l, secure: true}
			m.check()
			for _, frame := range splitFrames(b) {
				m.l.Receive(m.now, frame)
				m.check()
				Describe(frame)
			}
			if s := statetest.JSON(t, l.State()); !s.Over {
				if _, err := Restore(l.plan.cfg, s); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
