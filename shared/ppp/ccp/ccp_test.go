package ccp

import (
	"bytes"
	"encoding/binary"
	"testing"

	"trunkline.example/shared/ppp/fsm"
	"trunkline.example/shared/ppp/fsm/fsmtest"
	"trunkline.example/shared/ppp/internal/statetest"
)

func start() *Machine { return fsmtest.Start(New(Config{})) }

func mppe(bits Bits) []byte {
	return fsm.AppendOption(nil, fsm.Option32(OptionMPPE, uint32(bits)))
}

var (
	wantedOption = []byte{18, 6, 1, 0, 0, 0x40}
	bsd          = []byte{21, 3, 0x2F}
	deflate      = []byte{26, 4, 0x78, 0}
)

func TestRequestGolden(t *testing.T) {
	if p := fsmtest.Last(t, start()); p.Code != fsm.ConfigureRequest || !bytes.Equal(p.Data, wantedOption) {
		t.Errorf("%v %x", p.Code, p.Data)
	}
}

func TestBits(t *testing.T) {
	for b, want := range map[Bits]string{
		Wanted: "128-bit stateless", Key40: "40-bit stateful", Stateless | Key128 | Key56 | Key40 | MPPC: "128/56/40-bit stateless with MPPC",
		MPPC: "no encryption with MPPC", 0: "no encryption",
	} {
		if b.String() != want {
			t.Errorf("%08x: %q, want %q", uint32(b), b.String(), want)
		}
	}
}

// What a peer asks for, round by round, and what it is told.
func TestJudge(t *testing.T) {
	type round struct {
		ask  []byte
		code fsm.Code
		want []byte
	}
	again := func(n int, r round) (all []round) {
		for range n {
			all = append(all, r)
		}
		return all
	}
	nak := func(ask []byte) round { return round{ask, fsm.ConfigureNak, wantedOption} }
	ack := round{wantedOption, fsm.ConfigureAck, wantedOption}
	stateful := mppe(Key128)
	for name, c := range map[string]struct {
		rounds  []round
		refusal string
	}{
		"pppd":                {[]round{ack}, ""},
		"pppd, both keys":     {[]round{nak(mppe(Stateless | Key128 | Key40)), ack}, ""},
		"Windows":             {[]round{nak(mppe(0x010000E1)), ack}, ""},
		"with MPPC":           {[]round{nak(mppe(Wanted | MPPC)), ack}, ""},
		"obsolete bit":        {[]round{nak(mppe(Wanted | Obsolete)), ack}, ""},
		"short option":        {[]round{nak([]byte{18, 3, 1}), ack}, ""},
		"stateful, then ours": {[]round{nak(stateful), ack}, ""},
		"stateful only":       {[]round{nak(stateful), {stateful, fsm.ConfigureReject, stateful}}, "peer insists on MPPE 128-bit stateful"},
		"40 bit only":         {[]round{nak(mppe(Stateless | Key40)), {mppe(Stateless | Key40), fsm.ConfigureReject, mppe(Stateless | Key40)}}, "peer insists on MPPE 40-bit stateless"},
		"MPPC only":           {[]round{nak(mppe(MPPC)), {mppe(MPPC), fsm.ConfigureReject, mppe(MPPC)}}, "peer insists on MPPE no encryption with MPPC"},
		"compressors, then nothing, then ours": {[]round{
			{append(bytes.Clone(bsd), deflate...), fsm.ConfigureReject, append(bytes.Clone(bsd), deflate...)}, nak(nil), ack}, ""},
		"compressor beside MPPE": {[]round{{append(bytes.Clone(wantedOption), deflate...), fsm.ConfigureReject, deflate}, ack}, ""},
		"never mentions it":      {append(again(fsm.DefaultMaxFailure, nak(nil)), round{nil, fsm.ConfigureAck, nil}), ""},
	} {
		m := start()
		m.Actions()
		for i, r := range c.rounds {
			fsmtest.Receive(m, fsm.ConfigureRequest, uint8(i), r.ask...)
			if p := fsmtest.Last(t, m); p.Code != r.code || p.Identifier != uint8(i) || !bytes.Equal(p.Data, r.want) {
				t.Errorf("%s, round %d: %v %x, want %v %x", name, i, p.Code, p.Data, r.code, r.want)
			}
		}
		if _, why := m.Agreed(); why != c.refusal {
			t.Errorf("%s: refusal %q, want %q", name, why, c.refusal)
		}
	}
}

// What a peer says of our request, and what we ask for next.
func TestNaked(t *testing.T) {
	for name, c := range map[string]struct {
		naks    []Bits
		want    []byte
		refusal string
	}{
		"out of habit":             {[]Bits{Wanted}, wantedOption, ""},
		"with more":                {[]Bits{Wanted | Key40 | MPPC}, wantedOption, ""},
		"stateful once":            {[]Bits{Key128}, wantedOption, ""},
		"stateful twice":           {[]Bits{Key128, Key128}, nil, "peer offers MPPE 128-bit stateful instead"},
		"40 bit, then without any": {[]Bits{Stateless | Key40, 0}, nil, "peer offers MPPE no encryption instead"},
	} {
		m := start()
		p := fsmtest.Last(t, m)
		for _, n := range c.naks {
			fsmtest.Receive(m, fsm.ConfigureNak, p.Identifier, append(mppe(n), bsd...)...)
			p = fsmtest.Last(t, m)
		}
		if _, why := m.Agreed(); !bytes.Equal(p.Data, c.want) || why != c.refusal {
			t.Errorf("%s: asks %x, refusal %q", name, p.Data, why)
		}
	}
}

func TestRejected(t *testing.T) {
	m := start()
	fsmtest.Receive(m, fsm.ConfigureReject, fsmtest.Last(t, m).Identifier, wantedOption...)
	p := fsmtest.Last(t, m)
	if _, why := m.Agreed(); p.Code != fsm.ConfigureRequest || len(p.Data) != 0 || why != "peer rejected MPPE" {
		t.Errorf("%v %x, %q", p.Code, p.Data, why)
	}
	if !m.Empty() {
		t.Error("something is left to negotiate")
	}
	// What the peer will not decode it shall not send either.
	fsmtest.Receive(m, fsm.ConfigureRequest, 7, wantedOption...)
	if p := fsmtest.Last(t, m); p.Code != fsm.ConfigureReject {
		t.Errorf("%v", p.Code)
	}
}

func TestAgreed(t *testing.T) {
	m := start()
	p := fsmtest.Last(t, m)
	if ok, why := m.Agreed(); ok || why != "" {
		t.Errorf("before: %v %q", ok, why)
	}
	fsmtest.Receive(m, fsm.ConfigureRequest, 7, wantedOption...)
	fsmtest.Receive(m, fsm.ConfigureAck, p.Identifier, p.Data...)
	if ok, why := m.Agreed(); !ok || why != "" || m.Empty() {
		t.Errorf("after: %v %q", ok, why)
	}
	m.Actions()

	// Half an agreement is none.
	one := start()
	p = fsmtest.Last(t, one)
	fsmtest.Receive(one, fsm.ConfigureAck, p.Identifier, p.Data...)
	for range fsm.DefaultMaxFailure + 1 {
		fsmtest.Receive(one, fsm.ConfigureRequest, 7)
	}
	if ok, why := one.Agreed(); ok || why != "peer does not ask for MPPE" {
		t.Errorf("one way: %v %q in %v", ok, why, one.Summary())
	}
}

func TestResetRequestIsAcknowledged(t *testing.T) {
	m := start()
	p := fsmtest.Last(t, m)
	fsmtest.Receive(m, fsm.ResetRequest, 8)
	if p := fsmtest.Last(t, m); p.Code != 0 {
		t.Errorf("before Opened: %v", p.Code)
	}
	fsmtest.Receive(m, fsm.ConfigureRequest, 7, wantedOption...)
	fsmtest.Receive(m, fsm.ConfigureAck, p.Identifier, p.Data...)
	m.Actions()
	fsmtest.Receive(m, fsm.ResetRequest, 9)
	if p := fsmtest.Last(t, m); p.Code != fsm.ResetAck || p.Identifier != 9 || len(p.Data) != 0 {
		t.Errorf("%v %d %x", p.Code, p.Identifier, p.Data)
	}
	fsmtest.Receive(m, fsm.ResetAck, 9)
	if a := m.Actions(); len(a) != 0 {
		t.Errorf("%v", a)
	}
}

func TestTwoMachinesAgree(t *testing.T) {
	a, b := start(), start()
	for range 10 {
		for _, x := range a.Actions() {
			if s, ok := x.(fsm.Send); ok {
				b.Receive(fsmtest.Epoch, s.Packet)
			}
		}
		a, b = b, a
	}
	for _, m := range []*Machine{a, b} {
		if ok, why := m.Agreed(); !ok {
			t.Errorf("%v %q", m.Summary(), why)
		}
	}
}

func TestPolicyNames(t *testing.T) {
	for p, want := range map[Policy]string{Required: "required", Preferred: "preferred", None: "none", 9: "policy 9"} {
		if p.String() != want {
			t.Errorf("%q, want %q", p.String(), want)
		}
	}
}

func TestStateRoundTrip(t *testing.T) {
	m := start()
	m.Actions()
	fsmtest.Receive(m, fsm.ConfigureRequest, 7, mppe(Key128)...)
	m.Actions()
	s := m.State()
	for name, got := range statetest.RoundTrip(t, s) {
		r := Restore(Config{}, got)
		fsmtest.Receive(r, fsm.ConfigureRequest, 8, mppe(Key128)...)
		if p := fsmtest.Last(t, r); p.Code != fsm.ConfigureReject {
			t.Errorf("%s: forgot that the peer was asked before: %v", name, p.Code)
		}
	}
}

func FuzzReceive(f *testing.F) {
	for _, bits := range []uint32{0x01000040, 0x010000E1, 0x40, 0x01000060} {
		f.Add(fsm.AppendPacket(nil, fsm.Packet{Code: 1, Identifier: 1, Data: binary.BigEndian.AppendUint32([]byte{18, 6}, bits)}))
	}
	f.Add([]byte{3, 1, 0, 10, 18, 6, 0, 0, 0, 0x40})
	f.Fuzz(func(t *testing.T, b []byte) {
		m := start()
		fsmtest.Fuzz(t, m, b)
		if ok, _ := m.Agreed(); ok {
			t.Fatalf("%x alone made an agreement", b)
		}
	})
}
