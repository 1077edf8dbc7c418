package lcp

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/fsm"
	"trunkline.example/shared/ppp/fsm/fsmtest"
	"trunkline.example/shared/ppp/internal/statetest"
)

func source(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

func start(cfg Config, seed byte) *Machine {
	m := New(NewPlan(cfg), source(seed))
	m.Open(fsmtest.Epoch)
	m.Up(fsmtest.Epoch)
	return m
}

// packets drains a machine and returns what it sends; other is the rest.
func packets(t *testing.T, m *Machine) (sent []fsm.Packet, other []Action) {
	t.Helper()
	for _, a := range m.Actions() {
		s, ok := a.(Send)
		if !ok {
			other = append(other, a)
			continue
		}
		p, err := fsm.ParsePacket(s.Packet)
		if err != nil {
			t.Fatalf("sent %x: %v", s.Packet, err)
		}
		sent = append(sent, p)
	}
	return sent, other
}

// one drains a machine that must send exactly one packet.
func one(t *testing.T, m *Machine) fsm.Packet {
	t.Helper()
	sent, _ := packets(t, m)
	if len(sent) != 1 {
		t.Fatalf("sent %v, want one packet", sent)
	}
	return sent[0]
}

// talk carries packets between two machines until both are silent.
func talk(t *testing.T, now time.Time, a, b *Machine) (fromA, fromB []Action) {
	t.Helper()
	for range 100 {
		pa, oa := a.Actions(), b.Actions()
		if len(pa)+len(oa) == 0 {
			return fromA, fromB
		}
		for _, x := range pa {
			if s, ok := x.(Send); ok {
				b.Receive(now, s.Packet)
			} else {
				fromA = append(fromA, x)
			}
		}
		for _, x := range oa {
			if s, ok := x.(Send); ok {
				a.Receive(now, s.Packet)
			} else {
				fromB = append(fromB, x)
			}
		}
	}
	t.Fatal("they never fall silent")
	return nil, nil
}

func agreement(t *testing.T, actions []Action) Agreement {
	t.Helper()
	for _, a := range actions {
		if up, ok := a.(Up); ok {
			return up.Agreement
		}
	}
	t.Fatalf("no Up in %v", actions)
	return Agreement{}
}

func TestTwoMachinesAgree(t *testing.T) {
	a := start(Config{MRU: 1400, Async: true, ACCM: 0x000A0000, PFC: true, Demand: []auth.Protocol{auth.MSCHAPv2}}, 1)
	b := start(Config{MRU: 1450, Async: true, ACCM: 0x00000200, ACFC: true, NoMagic: true, Willing: []auth.Protocol{auth.MSCHAPv2, auth.PAP}}, 2)
	fromA, fromB := talk(t, fsmtest.Epoch, a, b)
	ga, gb := agreement(t, fromA), agreement(t, fromB)
	wantA := Agreement{MRU: 1400, PeerMRU: 1450, SendACCM: 0x200, ReceiveACCM: 0xA0000, ACFC: true, Magic: ga.Magic, Authentication: auth.MSCHAPv2}
	wantB := Agreement{MRU: 1450, PeerMRU: 1400, SendACCM: 0xA0000, ReceiveACCM: 0x200, PFC: true, PeerMagic: ga.Magic, Proving: auth.MSCHAPv2}
	if ga != wantA || ga.Magic == 0 {
		t.Errorf("a: %+v, want %+v", ga, wantA)
	}
	if gb != wantB {
		t.Errorf("b: %+v, want %+v", gb, wantB)
	}
	if s := ga.String(); s != "MRU 1400 here, 1450 there, ACCM 000a0000 in, 00000200 out, ACFC, magic, the peer authenticates by MS-CHAPv2" {
		t.Error(s)
	}
	if s := gb.String(); s != "MRU 1450 here, 1400 there, ACCM 00000200 in, 000a0000 out, PFC, we authenticate by MS-CHAPv2" {
		t.Error(s)
	}
}

// The request on the wire, option by option.
func TestRequestGolden(t *testing.T) {
	m := start(Config{MRU: 1400, Async: true, ACCM: 0x000A0000, PFC: true, ACFC: true, Demand: []auth.Protocol{auth.MSCHAPv2}}, 1)
	p := one(t, m)
	magic := p.Data[17:21]
	want := append([]byte{1, 4, 0x05, 0x78, 2, 6, 0, 0x0A, 0, 0, 3, 5, 0xC2, 0x23, 0x81, 5, 6}, magic...)
	want = append(want, 7, 2, 8, 2)
	if p.Code != fsm.ConfigureRequest || p.Identifier != 1 || !bytes.Equal(p.Data, want) {
		t.Errorf("%v %d %x, want %x", p.Code, p.Identifier, p.Data, want)
	}
	bare := one(t, start(Config{NoMagic: true, MRU: 1500, Async: true, ACCM: DefaultACCM}, 1))
	if len(bare.Data) != 0 {
		t.Errorf("defaults are asked for: %x", bare.Data)
	}
}

func TestJudge(t *testing.T) {
	willing := []auth.Protocol{auth.MSCHAPv2, auth.CHAPMD5}
	for name, c := range map[string]struct {
		ask  fsm.Option
		code fsm.Code
		want []byte
	}{
		"MRU":                     {fsm.Option16(OptionMRU, 1614), fsm.ConfigureAck, []byte{1, 4, 0x06, 0x4E}},
		"small MRU":               {fsm.Option16(OptionMRU, 64), fsm.ConfigureNak, []byte{1, 4, 0, 128}},
		"smallest MRU":            {fsm.Option16(OptionMRU, 128), fsm.ConfigureAck, []byte{1, 4, 0, 128}},
		"short MRU":               {fsm.Option{Type: OptionMRU, Data: []byte{5}}, fsm.ConfigureNak, []byte{1, 4, 0x05, 0xDC}},
		"ACCM":                    {fsm.Option32(OptionACCM, 0), fsm.ConfigureAck, []byte{2, 6, 0, 0, 0, 0}},
		"short ACCM":              {fsm.Option{Type: OptionACCM}, fsm.ConfigureNak, []byte{2, 6, 255, 255, 255, 255}},
		"magic":                   {fsm.Option32(OptionMagic, 9), fsm.ConfigureAck, []byte{5, 6, 0, 0, 0, 9}},
		"PFC":                     {fsm.Option{Type: OptionPFC}, fsm.ConfigureAck, []byte{7, 2}},
		"long PFC":                {fsm.Option{Type: OptionPFC, Data: []byte{1}}, fsm.ConfigureReject, []byte{7, 3, 1}},
		"ACFC":                    {fsm.Option{Type: OptionACFC}, fsm.ConfigureAck, []byte{8, 2}},
		"authentication":          {fsm.Option{Type: 3, Data: []byte{0xC2, 0x23, 5}}, fsm.ConfigureAck, []byte{3, 5, 0xC2, 0x23, 5}},
		"authentication by PAP":   {fsm.Option{Type: 3, Data: []byte{0xC0, 0x23}}, fsm.ConfigureNak, []byte{3, 5, 0xC2, 0x23, 0x81}},
		"authentication by EAP":   {fsm.Option{Type: 3, Data: []byte{0xC2, 0x27}}, fsm.ConfigureNak, []byte{3, 5, 0xC2, 0x23, 0x81}},
		"authentication by what?": {fsm.Option{Type: 3}, fsm.ConfigureNak, []byte{3, 5, 0xC2, 0x23, 0x81}},
		"quality":                 {fsm.Option{Type: OptionQuality, Data: []byte{0xC0, 0x25, 0, 0, 1, 0}}, fsm.ConfigureReject, []byte{4, 8, 0xC0, 0x25, 0, 0, 1, 0}},
		"FCS alternatives":        {fsm.Option{Type: OptionFCSAlternatives, Data: []byte{4}}, fsm.ConfigureReject, []byte{9, 3, 4}},
		"CBCP":                    {fsm.Option{Type: OptionCallback, Data: []byte{6}}, fsm.ConfigureReject, []byte{13, 3, 6}},
		"MRRU":                    {fsm.Option16(OptionMRRU, 1614), fsm.ConfigureReject, []byte{17, 4, 0x06, 0x4E}},
		"short sequence":          {fsm.Option{Type: OptionShortSequence}, fsm.ConfigureReject, []byte{18, 2}},
		"endpoint":                {fsm.Option{Type: OptionEndpoint, Data: []byte{0}}, fsm.ConfigureReject, []byte{19, 3, 0}},
		"link discriminator":      {fsm.Option16(OptionLinkDiscriminant, 1), fsm.ConfigureReject, []byte{23, 4, 0, 1}},
		"unknown":                 {fsm.Option{Type: 200}, fsm.ConfigureReject, []byte{200, 2}},
	} {
		m := start(Config{Willing: willing}, 1)
		m.Actions()
		fsmtest.Receive(m, fsm.ConfigureRequest, 5, fsmtest.Options(c.ask)...)
		if p := one(t, m); p.Code != c.code || p.Identifier != 5 || !bytes.Equal(p.Data, c.want) {
			t.Errorf("%s: %v %x, want %v %x", name, p.Code, p.Data, c.code, c.want)
		}
	}
}

func TestMagicZeroIsNaked(t *testing.T) {
	m := start(Config{}, 1)
	m.Actions()
	fsmtest.Receive(m, fsm.ConfigureRequest, 5, fsmtest.Options(fsm.Option32(OptionMagic, 0))...)
	if p := one(t, m); p.Code != fsm.ConfigureNak || bytes.Equal(p.Data[2:], make([]byte, 4)) {
		t.Errorf("%v %x", p.Code, p.Data)
	}
}

// A server without users to prove itself to rejects the wish.
func TestAuthenticationOfUsIsRejected(t *testing.T) {
	m := start(Config{Demand: []auth.Protocol{auth.PAP}}, 1)
	m.Actions()
	fsmtest.Receive(m, fsm.ConfigureRequest, 5, 3, 4, 0xC0, 0x23)
	if p := one(t, m); p.Code != fsm.ConfigureReject || !bytes.Equal(p.Data, []byte{3, 4, 0xC0, 0x23}) {
		t.Errorf("%v %x", p.Code, p.Data)
	}
}

// refuse answers m's request with a Nak or Reject and returns its next one.
func refuse(t *testing.T, m *Machine, code fsm.Code, o ...fsm.Option) fsm.Packet {
	t.Helper()
	fsmtest.Receive(m, code, m.fsm.Data().RequestID, fsmtest.Options(o...)...)
	return one(t, m)
}

func has(list []byte, kind uint8) (fsm.Option, bool) {
	for len(list) > 0 {
		o, rest, err := fsm.NextOption(list)
		if err != nil {
			break
		}
		if o.Type == kind {
			return o, true
		}
		list = rest
	}
	return fsm.Option{}, false
}

func TestNakedMRU(t *testing.T) {
	for name, c := range map[string]struct {
		nak  fsm.Option
		want []byte // nil: no longer asked for
	}{
		"smaller":              {fsm.Option16(OptionMRU, 1300), []byte{0x05, 0x14}},
		"our own, Windows":     {fsm.Option16(OptionMRU, 1400), nil},
		"greater":              {fsm.Option16(OptionMRU, 1500), nil},
		"absurdly small":       {fsm.Option16(OptionMRU, 20), nil},
		"of the wrong length":  {fsm.Option{Type: OptionMRU, Data: []byte{1}}, []byte{0x05, 0x78}},
		"with an unasked MRRU": {fsm.Option16(OptionMRRU, 1500), []byte{0x05, 0x78}},
	} {
		m := start(Config{MRU: 1400}, 1)
		m.Actions()
		o, ok := has(refuse(t, m, fsm.ConfigureNak, c.nak).Data, OptionMRU)
		if ok != (c.want != nil) || !bytes.Equal(o.Data, c.want) {
			t.Errorf("%s: asks %v %x, want %x", name, ok, o.Data, c.want)
		}
	}
	m := start(Config{}, 1)
	m.Actions()
	if o, _ := has(refuse(t, m, fsm.ConfigureNak, fsm.Option16(OptionMRU, 1400)).Data, OptionMRU); !bytes.Equal(o.Data, []byte{5, 0x78}) {
		t.Errorf("the peer wants to send less: asks %x", o.Data)
	}
}

func TestNakedACCMIsAdded(t *testing.T) {
	m := start(Config{Async: true, ACCM: 0x000A0000}, 1)
	m.Actions()
	if o, _ := has(refuse(t, m, fsm.ConfigureNak, fsm.Option32(OptionACCM, 0x00020001)).Data, OptionACCM); !bytes.Equal(o.Data, []byte{0, 0x0A, 0, 1}) {
		t.Errorf("asks %x", o.Data)
	}
}

func TestNakedMagicIsDrawnAnew(t *testing.T) {
	m := start(Config{}, 1)
	first, _ := has(one(t, m).Data, OptionMagic)
	second, ok := has(refuse(t, m, fsm.ConfigureNak, fsm.Option32(OptionMagic, 77)).Data, OptionMagic)
	if !ok || bytes.Equal(first.Data, second.Data) || bytes.Equal(second.Data, []byte{0, 0, 0, 77}) {
		t.Errorf("first %x, then %x", first.Data, second.Data)
	}
}

func TestRejectedOptionsAreLeftOut(t *testing.T) {
	m := start(Config{MRU: 1400, Async: true, PFC: true, ACFC: true, Demand: []auth.Protocol{auth.PAP}}, 1)
	p := one(t, m)
	fsmtest.Receive(m, fsm.ConfigureReject, p.Identifier, p.Data...)
	if p = one(t, m); len(p.Data) != 0 {
		t.Fatalf("still asks %x", p.Data)
	}
	fsmtest.Receive(m, fsm.ConfigureAck, p.Identifier)
	fsmtest.Receive(m, fsm.ConfigureRequest, 1)
	_, other := packets(t, m)
	g := agreement(t, other)
	if g != (Agreement{MRU: 1500, PeerMRU: 1500, SendACCM: DefaultACCM, ReceiveACCM: DefaultACCM}) {
		t.Errorf("%+v", g)
	}
	if m.Refusal() != "peer refused to authenticate, we accept PAP" {
		t.Errorf("refusal %q", m.Refusal())
	}
}

func TestNakedBooleanCountsAsRejected(t *testing.T) {
	m := start(Config{PFC: true, ACFC: true}, 1)
	m.Actions()
	p := refuse(t, m, fsm.ConfigureNak, fsm.Option{Type: OptionPFC}, fsm.Option{Type: OptionACFC})
	if _, ok := has(p.Data, OptionPFC); ok {
		t.Errorf("asks %x", p.Data)
	}
}

func authNak(p auth.Protocol) fsm.Option {
	return fsm.Option{Type: OptionAuthentication, Data: p.AppendOption(nil)}
}

func TestNakedAuthentication(t *testing.T) {
	all := []auth.Protocol{auth.MSCHAPv2, auth.CHAPMD5, auth.PAP}
	for name, c := range map[string]struct {
		demand  []auth.Protocol
		naks    []auth.Protocol
		want    auth.Protocol
		refusal string
	}{
		"acceptable":        {all, []auth.Protocol{auth.PAP}, auth.PAP, ""},
		"unknown to us":     {all, []auth.Protocol{auth.EAP}, auth.CHAPMD5, ""},
		"unknown, twice":    {all, []auth.Protocol{auth.EAP, auth.EAP}, auth.PAP, ""},
		"only the strong":   {all[:1], []auth.Protocol{auth.PAP}, auth.None, "peer wants to authenticate by PAP, we accept MS-CHAPv2"},
		"nothing left":      {all[1:], []auth.Protocol{auth.EAP, auth.MSCHAPv1}, auth.None, "peer wants to authenticate by MS-CHAPv1, we accept CHAP-MD5, PAP"},
		"MS-CHAPv2 instead": {all, []auth.Protocol{auth.PAP, auth.MSCHAPv2}, auth.MSCHAPv2, ""},
	} {
		m := start(Config{Demand: c.demand}, 1)
		p := one(t, m)
		for _, n := range c.naks {
			p = refuse(t, m, fsm.ConfigureNak, authNak(n))
		}
		o, ok := has(p.Data, OptionAuthentication)
		if ok != (c.want != auth.None) || !bytes.Equal(o.Data, c.want.AppendOption(nil)) || m.Refusal() != c.refusal {
			t.Errorf("%s: asks %x, refusal %q", name, o.Data, m.Refusal())
		}
	}
}

// A line that returns our own frames is found out, by whichever frame.
func TestLoop(t *testing.T) {
	m := start(Config{}, 1)
	looped := false
	for range 20 {
		for _, a := range m.Actions() {
			switch a := a.(type) {
			case Send:
				m.Receive(fsmtest.Epoch, a.Packet)
			case Looped:
				looped = true
			}
		}
	}
	if !looped {
		t.Error("not noticed")
	}
}

func TestStateRoundTrip(t *testing.T) {
	cfg := Config{MRU: 1400, Demand: []auth.Protocol{auth.MSCHAPv2, auth.PAP}}
	m := start(cfg, 1)
	m.Actions()
	refuse(t, m, fsm.ConfigureNak, authNak(auth.PAP), fsm.Option16(OptionMRU, 1300))
	s := m.State()
	for name, got := range statetest.RoundTrip(t, s) {
		r := Restore(NewPlan(cfg), source(2), got)
		fsmtest.Receive(r, fsm.ConfigureAck, 2, r.fsm.Requested()...)
		fsmtest.Receive(r, fsm.ConfigureRequest, 1)
		_, other := packets(t, r)
		if g := agreement(t, other); g.Authentication != auth.PAP || g.MRU != 1300 {
			t.Errorf("%s: goes on to %+v", name, g)
		}
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte{1, 1, 0, 14, 1, 4, 5, 0xDC, 2, 6, 0xFF, 0xFF, 0xFF, 0xFF})
	f.Add([]byte{3, 1, 0, 9, 3, 5, 0xC2, 0x23, 5})
	f.Add([]byte{9, 1, 0, 8, 0, 0, 0, 9})
	f.Add([]byte{8, 1, 0, 6, 0x80, 0xFD})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range []*Machine{start(Config{MRU: 1400, Async: true, PFC: true, Demand: []auth.Protocol{auth.MSCHAPv2}}, 1), opened(t, Config{})} {
			m.Receive(fsmtest.Epoch, b)
			m.Receive(fsmtest.Epoch, b)
			for _, a := range m.Actions() {
				if s, ok := a.(Send); ok {
					if p, err := fsm.ParsePacket(s.Packet); err != nil || p.Code <= fsm.ConfigureReject && fsm.CheckOptions(p.Data) != nil {
						t.Fatalf("%x made it send %x", b, s.Packet)
					}
				}
			}
		}
	})
}
