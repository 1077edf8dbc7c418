package ipcp

import (
	"bytes"
	"net/netip"
	"testing"

	"trunkline.example/shared/ppp/fsm"
	"trunkline.example/shared/ppp/fsm/fsmtest"
	"trunkline.example/shared/ppp/internal/statetest"
)

var (
	here  = netip.MustParseAddr("10.9.0.1")
	there = netip.MustParseAddr("10.9.0.100")
	dns1  = netip.MustParseAddr("10.0.0.53")
	dns2  = netip.MustParseAddr("10.0.1.53")
	wins1 = netip.MustParseAddr("10.0.0.42")
	none  = netip.Addr{}
	zero  = netip.IPv4Unspecified()
)

func server() Config {
	return Config{Server: true, Local: here, Peer: there, Servers: MakeServers([2]netip.Addr{dns1, dns2}, [2]netip.Addr{wins1})}
}

func start(cfg Config) *Machine { return fsmtest.Start(New(cfg)) }

func TestTwoMachinesAgree(t *testing.T) {
	for name, c := range map[string]struct {
		server, client Config
		want           Result
	}{
		"assigned": {server(), Config{AskDNS: true, AskWINS: true},
			Result{there, here, Servers{dns1, wins1, dns2, none}}},
		"nothing asked":        {server(), Config{}, Result{there, here, Servers{}}},
		"wrong wish":           {server(), Config{Local: netip.MustParseAddr("192.0.2.1")}, Result{there, here, Servers{}}},
		"right wish":           {server(), Config{Local: there}, Result{there, here, Servers{}}},
		"server without names": {Config{Server: true, Local: here, Peer: there}, Config{AskDNS: true, AskWINS: true}, Result{there, here, Servers{}}},
		"unnumbered server":    {Config{Server: true, Peer: there}, Config{}, Result{there, none, Servers{}}},
	} {
		a, b := start(c.server), start(c.client)
		from, to := a, b
		for range 20 {
			for _, x := range from.Actions() {
				if s, ok := x.(fsm.Send); ok {
					to.Receive(fsmtest.Epoch, s.Packet)
				}
			}
			from, to = to, from
		}
		if a.Machine.State() != fsm.Opened || b.Machine.State() != fsm.Opened {
			t.Errorf("%s: %v, %v", name, a.Summary(), b.Summary())
		}
		if got := b.Result(); got != c.want {
			t.Errorf("%s: client has %+v, want %+v", name, got, c.want)
		}
		if got := a.Result(); got.Local != c.server.Local || got.Peer != there {
			t.Errorf("%s: server has %+v", name, got)
		}
	}
}

func TestRequestGolden(t *testing.T) {
	if p := fsmtest.Last(t, start(server())); !bytes.Equal(p.Data, []byte{3, 6, 10, 9, 0, 1}) {
		t.Errorf("server asks %x", p.Data)
	}
	want := []byte{3, 6, 0, 0, 0, 0, 129, 6, 0, 0, 0, 0, 130, 6, 0, 0, 0, 0, 131, 6, 0, 0, 0, 0, 132, 6, 0, 0, 0, 0}
	if p := fsmtest.Last(t, start(Config{AskDNS: true, AskWINS: true})); !bytes.Equal(p.Data, want) {
		t.Errorf("client asks %x", p.Data)
	}
}

func TestServerJudges(t *testing.T) {
	ask := func(kind uint8, a netip.Addr) []byte { return fsmtest.Options(address(kind, a)) }
	assigned := ask(3, there)
	vj := []byte{2, 6, 0, 0x2D, 15, 1}
	for name, c := range map[string]struct {
		ask  []byte
		code fsm.Code
		want []byte
	}{
		"asks for an address":  {ask(3, zero), fsm.ConfigureNak, assigned},
		"takes another":        {ask(3, here), fsm.ConfigureNak, assigned},
		"takes its own":        {assigned, fsm.ConfigureAck, assigned},
		"short address":        {[]byte{3, 4, 10, 9}, fsm.ConfigureNak, assigned},
		"says nothing":         {nil, fsm.ConfigureNak, assigned},
		"asks for DNS":         {append(ask(129, zero), assigned...), fsm.ConfigureNak, ask(129, dns1)},
		"knows its DNS":        {append(ask(129, dns1), assigned...), fsm.ConfigureAck, append(ask(129, dns1), assigned...)},
		"another DNS":          {append(ask(131, dns1), assigned...), fsm.ConfigureNak, ask(131, dns2)},
		"WINS":                 {append(ask(130, zero), assigned...), fsm.ConfigureNak, ask(130, wins1)},
		"WINS that we lack":    {append(ask(132, zero), assigned...), fsm.ConfigureReject, ask(132, zero)},
		"VJ":                   {append(bytes.Clone(vj), assigned...), fsm.ConfigureReject, vj},
		"IP-Addresses":         {[]byte{1, 10, 0, 0, 0, 0, 0, 0, 0, 0}, fsm.ConfigureReject, []byte{1, 10, 0, 0, 0, 0, 0, 0, 0, 0}},
		"Mobile-IPv4":          {ask(4, zero), fsm.ConfigureReject, ask(4, zero)},
		"beyond the servers":   {ask(133, zero), fsm.ConfigureReject, ask(133, zero)},
		"address of 16 octets": {fsmtest.Options(fsm.Option{Type: 3, Data: make([]byte, 16)}), fsm.ConfigureNak, assigned},
	} {
		m := start(server())
		m.Actions()
		fsmtest.Receive(m, fsm.ConfigureRequest, 7, c.ask...)
		if p := fsmtest.Last(t, m); p.Code != c.code || !bytes.Equal(p.Data, c.want) {
			t.Errorf("%s: %v %x, want %v %x", name, p.Code, p.Data, c.code, c.want)
		}
	}
}

// A client that insists on an address of its own is not let in with it.
func TestInsistenceIsRejected(t *testing.T) {
	m := start(server())
	m.Actions()
	for range fsm.DefaultMaxFailure {
		fsmtest.Receive(m, fsm.ConfigureRequest, 7, fsmtest.Options(address(3, here))...)
		if p := fsmtest.Last(t, m); p.Code != fsm.ConfigureNak {
			t.Fatal(p.Code)
		}
	}
	fsmtest.Receive(m, fsm.ConfigureRequest, 8, fsmtest.Options(address(3, here))...)
	if p := fsmtest.Last(t, m); p.Code != fsm.ConfigureReject {
		t.Error(p.Code)
	}
	fsmtest.Receive(m, fsm.ConfigureRequest, 9)
	if p := fsmtest.Last(t, m); p.Code != fsm.ConfigureAck {
		t.Error(p.Code)
	}
}

func TestServerKeepsItsAddress(t *testing.T) {
	m := start(server())
	p := fsmtest.Last(t, m)
	fsmtest.Receive(m, fsm.ConfigureNak, p.Identifier, fsmtest.Options(address(3, there), address(129, dns1))...)
	if p = fsmtest.Last(t, m); !bytes.Equal(p.Data, fsmtest.Options(address(3, here))) {
		t.Errorf("asks %x", p.Data)
	}
	fsmtest.Receive(m, fsm.ConfigureReject, p.Identifier, p.Data...)
	if p = fsmtest.Last(t, m); len(p.Data) != 0 {
		t.Errorf("asks %x", p.Data)
	}
}

func TestClientTakesWhatItIsTold(t *testing.T) {
	m := start(Config{AskDNS: true})
	p := fsmtest.Last(t, m)
	fsmtest.Receive(m, fsm.ConfigureNak, p.Identifier, fsmtest.Options(address(3, there), address(129, dns1), address(131, zero), address(130, wins1), fsm.Option{Type: 3, Data: []byte{1}})...)
	if p = fsmtest.Last(t, m); !bytes.Equal(p.Data, fsmtest.Options(address(3, there), address(129, dns1))) {
		t.Errorf("asks %x", p.Data)
	}
	fsmtest.Receive(m, fsm.ConfigureReject, p.Identifier, fsmtest.Options(address(129, dns1))...)
	if p = fsmtest.Last(t, m); !bytes.Equal(p.Data, fsmtest.Options(address(3, there))) {
		t.Errorf("asks %x", p.Data)
	}
	fsmtest.Receive(m, fsm.ConfigureNak, p.Identifier, fsmtest.Options(address(3, zero))...)
	if p = fsmtest.Last(t, m); !bytes.Equal(p.Data, fsmtest.Options(address(3, there))) {
		t.Errorf("a Nak with 0.0.0.0 makes it ask %x", p.Data)
	}
}

func TestClientJudges(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		ask  fsm.Option
		code fsm.Code
	}{
		"server's address":                {Config{}, address(3, here), fsm.ConfigureAck},
		"server without one":              {Config{}, address(3, zero), fsm.ConfigureReject},
		"server without one, but we know": {Config{Peer: here}, address(3, zero), fsm.ConfigureNak},
		"server asks us for DNS":          {Config{AskDNS: true}, address(129, zero), fsm.ConfigureReject},
		"VJ":                              {Config{}, fsm.Option{Type: 2, Data: []byte{0, 0x2D, 15, 1}}, fsm.ConfigureReject},
	} {
		m := start(c.cfg)
		m.Actions()
		fsmtest.Receive(m, fsm.ConfigureRequest, 7, fsmtest.Options(c.ask)...)
		if p := fsmtest.Last(t, m); p.Code != c.code {
			t.Errorf("%s: %v, want %v", name, p.Code, c.code)
		}
	}
}

func TestClientWithoutAddress(t *testing.T) {
	m := start(Config{})
	p := fsmtest.Last(t, m)
	fsmtest.Receive(m, fsm.ConfigureAck, p.Identifier, p.Data...)
	fsmtest.Receive(m, fsm.ConfigureRequest, 7)
	if r := m.Result(); m.Machine.State() != fsm.Opened || r.Local.IsValid() || r.Peer.IsValid() {
		t.Errorf("%+v in %v", r, m.Summary())
	}
}

func TestStateRoundTrip(t *testing.T) {
	cfg := Config{AskDNS: true}
	m := start(cfg)
	fsmtest.Receive(m, fsm.ConfigureNak, fsmtest.Last(t, m).Identifier, fsmtest.Options(address(3, there), address(129, dns1))...)
	m.Actions()
	s := m.State()
	for name, got := range statetest.RoundTrip(t, s) {
		r := Restore(cfg, got)
		fsmtest.Receive(r, fsm.ConfigureAck, 2, r.Requested()...)
		fsmtest.Receive(r, fsm.ConfigureRequest, 1, fsmtest.Options(address(3, here))...)
		if got := r.Result(); r.Machine.State() != fsm.Opened || got.Local != there || got.Peer != here || got.Servers.DNS()[0] != dns1 {
			t.Errorf("%s: goes on to %+v in %v", name, got, r.Summary())
		}
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte{1, 1, 0, 10, 3, 6, 0, 0, 0, 0})
	f.Add([]byte{1, 1, 0, 16, 2, 6, 0, 0x2D, 15, 1, 129, 6, 0, 0, 0, 0})
	f.Add([]byte{3, 1, 0, 10, 3, 6, 10, 9, 0, 100})
	f.Add([]byte{4, 1, 0, 10, 3, 6, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, cfg := range []Config{server(), {AskDNS: true, AskWINS: true}} {
			m := start(cfg)
			fsmtest.Fuzz(t, m, b)
			m.Result()
		}
	})
}
