package lcp

import (
	"bytes"
	"testing"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/fsm"
	"trunkline.example/shared/ppp/fsm/fsmtest"
)

// opened is a machine with a peer that agreed to everything and has magic number 9.
func opened(t *testing.T, cfg Config) *Machine {
	t.Helper()
	m := start(cfg, 1)
	p := one(t, m)
	fsmtest.Receive(m, fsm.ConfigureAck, p.Identifier, p.Data...)
	fsmtest.Receive(m, fsm.ConfigureRequest, 1, fsmtest.Options(fsm.Option32(OptionMagic, 9), fsm.Option16(OptionMRU, 200))...)
	if !m.Opened() {
		t.Fatal(m.Phase())
	}
	m.Actions()
	return m
}

func TestEchoReply(t *testing.T) {
	m := opened(t, Config{})
	fsmtest.Receive(m, fsm.EchoRequest, 33, 0, 0, 0, 9, 'h', 'i')
	p := one(t, m)
	magic := m.State().Magic
	want := []byte{byte(magic >> 24), byte(magic >> 16), byte(magic >> 8), byte(magic), 'h', 'i'}
	if p.Code != fsm.EchoReply || p.Identifier != 33 || !bytes.Equal(p.Data, want) {
		t.Errorf("%v %d %x", p.Code, p.Identifier, p.Data)
	}
	fsmtest.Receive(m, fsm.EchoRequest, 34, make([]byte, 1000)...)
	if p := one(t, m); len(p.Data)+fsm.HeaderLength != 200 {
		t.Errorf("reply of %d octets, the peer takes 200", len(p.Data)+fsm.HeaderLength)
	}
	fsmtest.Receive(m, fsm.EchoRequest, 35, 1, 2, 3) // too short for a magic number
	fsmtest.Receive(m, fsm.DiscardRequest, 36, 0, 0, 0, 9)
	fsmtest.Receive(m, fsm.TimeRemaining, 37, 0, 0, 0, 9, 0, 0, 0, 60)
	fsmtest.Receive(m, fsm.Identification, 38, []byte("\x00\x00\x00\x09MSRASV5.10")...)
	if a := m.Actions(); len(a) != 0 || m.Identification() != "MSRASV5.10" {
		t.Errorf("%v, identification %q", a, m.Identification())
	}
	own := m.State().Magic
	for i := range 3 {
		fsmtest.Receive(m, fsm.EchoRequest, 40, byte(own>>24), byte(own>>16), byte(own>>8), byte(own))
		if a := m.Actions(); i == 2 != (len(a) == 1 && a[0] == Looped{}) {
			t.Errorf("own echo %d: %v", i, a)
		}
	}
}

func TestExtensionsBeforeOpenedAreIgnored(t *testing.T) {
	m := start(Config{}, 1)
	m.Actions()
	for _, c := range extensions {
		fsmtest.Receive(m, c, 1, 0xC0, 0x21, 0, 0, 0, 0)
	}
	if a := m.Actions(); len(a) != 0 || m.Phase() != fsm.ReqSent {
		t.Errorf("%v in %v", a, m.Phase())
	}
}

func TestKeepalive(t *testing.T) {
	m := opened(t, Config{EchoInterval: 10 * time.Second, EchoFailures: 2})
	now := fsmtest.Epoch
	tick := func() []Action {
		now = m.Deadline()
		m.Tick(now)
		return m.Actions()
	}
	answer := func(a []Action, after time.Duration) {
		t.Helper()
		p, err := fsm.ParsePacket(a[0].(Send).Packet)
		if err != nil || p.Code != fsm.EchoRequest || len(p.Data) != 4 {
			t.Fatalf("%v %v", p, err)
		}
		now = now.Add(after)
		m.Receive(now, fsm.AppendPacket(nil, fsm.Packet{Code: fsm.EchoReply, Identifier: p.Identifier, Data: []byte{0, 0, 0, 9}}))
	}
	first := tick()
	if now != fsmtest.Epoch.Add(10*time.Second) {
		t.Errorf("first Echo-Request after %v", now.Sub(fsmtest.Epoch))
	}
	answer(first, 70*time.Millisecond)
	tick()
	answer(tick(), time.Millisecond) // one lost, the next answered
	if s := m.Statistics(); s != (Statistics{EchoesSent: 3, EchoReplies: 2, RoundTrip: time.Millisecond}) {
		t.Errorf("%+v", s)
	}
	tick()
	m.Heard(now.Add(5 * time.Second))
	if d := m.Deadline(); d != now.Add(15*time.Second) {
		t.Errorf("after a sign of life the next is due in %v", d.Sub(now))
	}
	tick()
	tick()
	if a := tick(); len(a) != 1 || a[0] != (Silent{2}) {
		t.Errorf("%v", a)
	}
}

func TestCodeRejectOfEchoStopsTheKeepalive(t *testing.T) {
	m := opened(t, Config{EchoInterval: time.Second})
	fsmtest.Receive(m, fsm.CodeReject, 1, byte(fsm.EchoRequest), 1, 0, 8, 0, 0, 0, 0)
	if !m.Deadline().IsZero() || !m.Opened() {
		t.Errorf("deadline %v in %v", m.Deadline(), m.Phase())
	}
}

func TestProtocolReject(t *testing.T) {
	m := opened(t, Config{})
	fsmtest.Receive(m, fsm.ProtocolReject, 1, 0x80, 0xFD, 1, 1, 0, 4)
	if a := m.Actions(); len(a) != 1 || a[0] != (ProtocolRejected{ppp.CCP}) || !m.Opened() {
		t.Errorf("%v in %v", a, m.Phase())
	}
	fsmtest.Receive(m, fsm.ProtocolReject, 2, 0x80)
	if a := m.Actions(); len(a) != 0 {
		t.Errorf("half a protocol number: %v", a)
	}
	fsmtest.Receive(m, fsm.ProtocolReject, 3, 0xC0, 0x21)
	if m.Phase() != fsm.Stopping {
		t.Errorf("rejection of LCP: %v", m.Phase())
	}
}

func TestRejectProtocol(t *testing.T) {
	m := opened(t, Config{})
	m.RejectProtocol(fsmtest.Epoch, ppp.IPv6CP, []byte{1, 2, 3})
	if p := one(t, m); p.Code != fsm.ProtocolReject || !bytes.Equal(p.Data, []byte{0x80, 0x57, 1, 2, 3}) {
		t.Errorf("%v %x", p.Code, p.Data)
	}
	m.RejectProtocol(fsmtest.Epoch, ppp.IPv6CP, make([]byte, 2000))
	if p := one(t, m); len(p.Data)+fsm.HeaderLength != 200 {
		t.Errorf("%d octets, the peer takes 200", len(p.Data)+fsm.HeaderLength)
	}
	for range 100 {
		m.RejectProtocol(fsmtest.Epoch, ppp.IPv6CP, nil)
	}
	if n := len(m.Actions()); n != rejectsPerSecond-2 {
		t.Errorf("%d Protocol-Rejects for a flood, want %d", n, rejectsPerSecond-2)
	}
	m.RejectProtocol(fsmtest.Epoch.Add(time.Second), ppp.IPv6CP, nil)
	if n := len(m.Actions()); n != 1 {
		t.Errorf("%d a second later", n)
	}
	closed := start(Config{}, 1)
	closed.Actions()
	closed.RejectProtocol(fsmtest.Epoch, ppp.IPv6CP, nil)
	if a := closed.Actions(); len(a) != 0 {
		t.Errorf("before Opened: %v", a)
	}
}
