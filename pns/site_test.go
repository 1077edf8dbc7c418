package pns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trunkline.example/pns/config"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/conf"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/pptp/control"
)

// behindSite is a network behind the far end of the tests' sites.
var behindSite = netip.MustParsePrefix("203.0.113.0/24")

// farServer is a server on another address, at which sites of newer worlds log in.
func farServer(t *testing.T, network *gretest.Network, change func(*config.Config)) *world {
	t.Helper()
	w := buildWorld(t, network, func(cfg *config.Config) {
		cfg.Name = "far.test"
		cfg.Listeners[0].Address = netip.MustParseAddrPort("127.66.0.1:0")
		cfg.Pool.Server = netip.MustParseAddr("10.98.0.1")
		cfg.Pool.Ranges = []conf.Range{{First: netip.MustParseAddr("10.98.0.2"), Last: netip.MustParseAddr("10.98.0.99")}}
		cfg.Pool.Prefixes = []netip.Prefix{netip.MustParsePrefix("10.98.0.0/16")}
		if change != nil {
			change(cfg)
		}
	})
	w.start()
	w.startEcho()
	return w
}

// siteTo is a site at that server.
func siteTo(t *testing.T, far *world, change func(*config.Site)) config.Site {
	t.Helper()
	s := config.Site{
		Name: "branch", User: "alice", SecretFile: secretFile(t, "Passw0rd"), Authentication: []auth.Protocol{auth.MSCHAPv2}, Mutual: true,
		Routes: []netip.Prefix{behindSite}, MTU: 1400, PerCall: true, Retry: 100 * time.Millisecond, RetryMost: time.Second,
	}
	if far != nil {
		s.Server = far.server.Addresses()[0].String()
	}
	if change != nil {
		change(&s)
	}
	return s
}

func secretFile(t *testing.T, password string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// caller starts a world with sites.
func caller(t *testing.T, network *gretest.Network, sites ...config.Site) *world {
	t.Helper()
	w := buildWorld(t, network, func(cfg *config.Config) { cfg.Sites = sites })
	w.start()
	return w
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-limit.C:
			t.Fatal("never: " + what)
		case <-tick.C:
		}
	}
}

func (w *world) siteIs(name, phase string) {
	w.t.Helper()
	eventually(w.t, name+" is "+phase, func() bool { return w.server.site(name).info.Load().Phase == phase })
}

// pingOut sends an echo request from the server's own address to one behind the site, and wants the answer, to that same address.
func (w *world) pingOut(to netip.Addr) {
	w.t.Helper()
	own := w.cfg.Pool.Server
	if err := w.tun.Inject(echoRequest(own, to, 84)); err != nil {
		w.t.Fatal(err)
	}
	limit := time.After(patience)
	for {
		var p []byte
		select {
		case p = <-w.tun.Sent():
		case <-limit:
			w.t.Fatalf("no answer to a ping to %v", to)
		}
		if p[20] == 3 { // about an earlier one
			continue
		}
		if netip.AddrFrom4([4]byte(p[12:16])) != to || netip.AddrFrom4([4]byte(p[16:20])) != own || p[20] != 0 || internetSum(p[:20]) != 0 || internetSum(p[20:]) != 0 {
			w.t.Fatalf("the answer is %x", p)
		}
		return
	}
}

func echoRequest(from, to netip.Addr, size int) []byte {
	p := make([]byte, size)
	p[0], p[2], p[3], p[8], p[9] = 0x45, byte(size>>8), byte(size), 64, 1
	copy(p[12:], from.AsSlice())
	copy(p[16:], to.AsSlice())
	p[20] = 8
	for _, at := range []struct{ from, to, sum int }{{0, 20, 10}, {20, size, 22}} {
		s := ^internetSum(p[at.from:at.to])
		p[at.sum], p[at.sum+1] = byte(^s>>8), byte(^s)
	}
	return p
}

// internetSum is 0 over anything whose checksum is right.
func internetSum(b []byte) uint16 {
	var n uint32
	for i := 0; i+1 < len(b); i += 2 {
		n += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for n>>16 != 0 {
		n = n>>16 + n&0xffff
	}
	return ^uint16(n)
}

func TestSiteIsCalled(t *testing.T) {
	network := gretest.New(gretest.Config{})
	far := farServer(t, network, nil)
	w := caller(t, network, siteTo(t, far, func(s *config.Site) { s.Local = netip.MustParseAddr("127.66.0.77") }))
	r, err := w.server.Call(t.Context(), CallRequest{Site: "branch"})
	if err != nil || !r.Up || r.User != "alice" || r.Own != "10.98.0.2" || r.Address != "10.98.0.1" {
		t.Fatalf("%+v, %v", r, err)
	}
	w.siteIs("branch", "up")
	for range 3 {
		w.pingOut(netip.MustParseAddr("203.0.113.9"))
	}
	if again, err := w.server.Call(t.Context(), CallRequest{Site: "branch"}); err != nil || again.Session != r.Session {
		t.Errorf("called while it is up: %+v, %v", again, err)
	}
	if all := far.sessions(); len(all) != 1 || !strings.HasPrefix(all[0].Peer, "127.66.0.77:") {
		t.Errorf("sessions of the far end %+v", all)
	}
	all := w.sessions()
	if len(all) != 1 || all[0].Kind != "outgoing" || all[0].Site != "branch" || all[0].Encryption != "MPPE-128 stateless" || all[0].Authentication != "MS-CHAPv2" ||
		all[0].PeerName != "far.test" || all[0].Data.PacketsIn != 3 || all[0].Data.PacketsOut != 3 {
		t.Errorf("sessions %+v", all)
	}
	if err := w.server.HangUp("branch"); err != nil {
		t.Error(err)
	}
	if rec := w.records.next(t); rec.Site != "branch" || rec.EndedBy != "operator" || rec.Kind != "outgoing" || rec.User != "alice" || rec.Cause != "administrative" || rec.SpeedOut != 0 {
		t.Errorf("record %+v", rec)
	}
	if rec := far.records.next(t); rec.EndedBy != "client" || rec.Kind != "direct" || rec.User != "alice" {
		t.Errorf("record of the far end %+v", rec)
	}
	w.siteIs("branch", "idle")
	eventually(t, "the control connection ends with its call", func() bool { return w.server.admission.occupancy().connections == 0 })
	if i := w.server.Sites()[0]; i.Calls != 1 || i.Failures != 0 || !strings.Contains(i.LastEnd, "hung up") || i.Routes[0] != behindSite.String() {
		t.Errorf("site %+v", i)
	}
	if err := w.tun.Inject(echoRequest(w.cfg.Pool.Server, netip.MustParseAddr("203.0.113.9"), 84)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what cannot be sent is counted", func() bool { return w.server.Sites()[0].Forwarded.Unreachable == 1 })
	w.stop()
	far.stop()
}

// A persistent site is called at the start, and again after each end, whoever has ended it, until an operator hangs up.
func TestPersistentSite(t *testing.T) {
	network := gretest.New(gretest.Config{})
	far := farServer(t, network, nil)
	w := caller(t, network, siteTo(t, far, func(s *config.Site) { s.Dial = config.DialPersistent }))
	calls := func(n int) {
		t.Helper()
		eventually(t, "another call is up", func() bool { i := w.server.Sites()[0]; return i.Calls == n && i.Phase == "up" })
		w.pingOut(netip.MustParseAddr("203.0.113.9"))
	}
	calls(1)
	if _, err := far.server.Kick(t.Context(), Kick{User: "alice"}); err != nil {
		t.Error(err)
	}
	calls(2)
	if _, err := w.server.Kick(t.Context(), Kick{User: "alice"}); err != nil {
		t.Error(err)
	}
	calls(3)
	if err := w.server.HangUp("branch"); err != nil {
		t.Error(err)
	}
	w.siteIs("branch", "idle")
	if i := w.server.Sites()[0]; !i.RetryAt.IsZero() {
		t.Errorf("a site that was hung up is called again: %+v", i)
	}
	w.stop()
	far.stop()
}

// A packet for what lies behind the site calls it, and is answered; without traffic the call ends, and the next packet calls again. After a
// failure traffic calls nobody until the pause is over.
func TestSiteOnDemand(t *testing.T) {
	network := gretest.New(gretest.Config{})
	far := farServer(t, network, nil)
	file := secretFile(t, "wrong")
	w := caller(t, network, siteTo(t, far, func(s *config.Site) {
		s.Dial, s.IdleTime, s.SecretFile, s.RetryMost = config.DialOnDemand, 300*time.Millisecond, file, 500*time.Millisecond
	}))
	to := netip.MustParseAddr("203.0.113.9")
	lose := func() {
		t.Helper()
		if err := w.tun.Inject(echoRequest(w.cfg.Pool.Server, to, 84)); err != nil {
			t.Fatal(err)
		}
	}
	lose()
	eventually(t, "the call has failed", func() bool { return w.server.Sites()[0].Failures == 1 })
	lose()
	eventually(t, "both packets are dropped", func() bool { return w.server.Sites()[0].Forwarded.Unreachable == 2 })
	if err := os.WriteFile(file, []byte("Passw0rd"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pause is over", func() bool { return w.server.Sites()[0].RetryAt.IsZero() })
	for n := 1; n <= 3; n++ {
		w.pingOut(to)
		eventually(t, "the call is counted", func() bool { return w.server.Sites()[0].Calls == n })
		if n == 2 { // whose next packet comes while the call is being ended
			eventually(t, "the call ends", func() bool { all := w.sessions(); return len(all) == 0 || all[0].Phase != "up" })
			continue
		}
		w.siteIs("branch", "idle")
		if i := w.server.Sites()[0]; !strings.Contains(i.LastEnd, "idle") || i.Forwarded.Unreachable != 2 {
			t.Fatalf("site %+v", i)
		}
	}
	if err := w.server.HangUp("branch"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an operator's word counts more than traffic", func() bool { lose(); return w.server.Sites()[0].Forwarded.Unreachable > 4 })
	if i := w.server.Sites()[0]; i.Calls != 3 {
		t.Errorf("site %+v", i)
	}
	w.stop()
	far.stop()
}

// Two sites at one server use one control connection if they may, and each its own if they must.
func TestSharedControlConnection(t *testing.T) {
	for _, perCall := range []bool{false, true} {
		network := gretest.New(gretest.Config{})
		far := farServer(t, network, nil)
		one := siteTo(t, far, func(s *config.Site) { s.PerCall = perCall })
		two := siteTo(t, far, func(s *config.Site) {
			s.PerCall, s.Name, s.Routes, s.User, s.SecretFile = perCall, "other", []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, "bob", secretFile(t, "hunter2")
		})
		w := caller(t, network, one, two)
		for _, name := range []string{"branch", "other"} {
			if r, err := w.server.Call(t.Context(), CallRequest{Site: name}); err != nil || !r.Up {
				t.Fatalf("%s: %+v, %v", name, r, err)
			}
		}
		want := 1
		if perCall {
			want = 2
		}
		if o := w.server.admission.occupancy(); o.connections != want || o.calls != 2 {
			t.Errorf("per call %v: %+v", perCall, o)
		}
		w.pingOut(netip.MustParseAddr("203.0.113.9"))
		w.pingOut(netip.MustParseAddr("198.51.100.7"))
		w.stop()
		far.stop()
	}
}

func TestSiteIsNotReached(t *testing.T) {
	nobody, err := net.Listen("tcp4", "127.66.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := nobody.Addr().String()
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	network := gretest.New(gretest.Config{})
	far := farServer(t, network, nil)
	for _, c := range []struct {
		what, says string
		change     func(*config.Site)
	}{
		{"a wrong password", "auth-failed", func(s *config.Site) { s.SecretFile = secretFile(t, "not this") }},
		{"no password", "secret file", func(s *config.Site) { s.SecretFile += "x" }},
		{"a closed port", "refused", func(s *config.Site) { s.Server = closed }},
		{"a PAC that is not there", `no configured PAC "modems"`, func(s *config.Site) { s.Server, s.PAC, s.Number = "", "modems", "1" }},
		{"an address that is not accepted", "network-failed", func(s *config.Site) { s.Address = netip.MustParseAddr("10.1.2.3") }},
	} {
		w := caller(t, network, siteTo(t, far, c.change))
		r, err := w.server.Call(t.Context(), CallRequest{Site: "branch"})
		if err != nil || r.Up || !strings.Contains(r.Reason, c.says) || strings.Contains(r.Reason, "not this") {
			t.Errorf("%s: %+v, %v", c.what, r, err)
		}
		w.siteIs("branch", "idle")
		if i := w.server.Sites()[0]; i.Failures != 1 || i.Calls != 0 {
			t.Errorf("%s: %+v", c.what, i)
		}
		w.stop()
	}
	far.stop()
}

// The server that is called may place no call in the other direction on our connection: nobody has let it in.
func TestSiteMayNotCallBack(t *testing.T) {
	accepted := make(chan net.Conn, 1)
	l, err := net.Listen("tcp4", "127.66.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if nc, err := l.Accept(); err == nil {
			accepted <- nc
		}
	}()
	w := caller(t, gretest.New(gretest.Config{}), siteTo(t, nil, func(s *config.Site) { s.Server = l.Addr().String() }))
	result := make(chan CallResult, 1)
	go func() {
		r, err := w.server.Call(context.WithoutCancel(t.Context()), CallRequest{Site: "branch"})
		if err != nil {
			t.Error(err)
		}
		result <- r
	}()
	nc := <-accepted
	ids, err := control.NewPool(control.PoolConfig{Seed: seed()})
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan control.Ending, 1)
	machine := control.New(time.Now(), control.Config{Self: control.Identity{HostName: "rude"}, CallIDs: ids.For(control.Pair{})})
	runner := control.NewRunner(nc, machine, func(now time.Time, m *control.Connection, a control.Action) {
		switch a := a.(type) {
		case control.OutgoingRequested:
			if _, err := m.RequestOutgoing(now, control.OutgoingRequest{MinimumBPS: 300, MaximumBPS: 64000, Window: 64}); err != nil {
				t.Error(err)
			}
		case control.CallEnded:
			if a.Why.Cause == control.CauseRefusedByPAC {
				refused <- a.Why
			}
		}
	}, control.RunnerConfig{})
	done := make(chan struct{})
	go func() {
		_ = runner.Run(context.WithoutCancel(t.Context()))
		close(done)
	}()
	select {
	case <-refused:
	case <-time.After(patience):
		t.Fatal("the call back is not refused")
	}
	if n := w.server.admission.refusedCounts()["originated"]; n != 1 {
		t.Errorf("%d refusals counted", n)
	}
	_ = nc.Close()
	<-done
	if r := <-result; r.Up || r.Reason == "" {
		t.Errorf("%+v", r)
	}
	w.siteIs("branch", "idle")
	w.stop()
}

// An order that is given up while the call is being made ends it.
func TestSiteOrderIsGivenUp(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) {
		pacAt(cfg, "127.77.0.0/16")
		cfg.Sites = []config.Site{siteTo(t, nil, func(s *config.Site) { s.PAC, s.Number, s.PerCall = "modems", "1", false })}
	})
	w.giveUp(CallRequest{Site: "branch"})
	w.siteIs("branch", "idle")
	if i := w.server.Sites()[0]; i.Failures != 0 {
		t.Errorf("what was given up counts as a failure: %+v", i)
	}
	w.stop()
}

// A PAC dials a site; who answers asks us to log in.
func TestSiteThroughAPAC(t *testing.T) {
	site := siteTo(t, nil, func(s *config.Site) { s.PAC, s.Number, s.PerCall = "modems", "5550199", false })
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) {
		pacAt(cfg, "127.77.0.0/16")
		cfg.Sites = []config.Site{site}
	})
	c := w.dial(dialer{from: "127.77.0.1", host: "pac.example", pac: true, noCall: true, answers: true, answer: &control.OutgoingAnswer{ConnectSpeed: 33600, Window: 16}})
	await[control.Established](c)
	r, err := w.server.Call(t.Context(), CallRequest{Site: "branch"})
	if err != nil || !r.Up || r.Speed != 33600 || r.Own != "192.0.2.200" {
		t.Fatalf("%+v, %v", r, err)
	}
	await[control.LinkInfoSet](c)
	if up := await[link.NetworkUp](c); up.Encryption == nil || up.User != "alice" {
		t.Errorf("the far end: %+v", up)
	}
	if all := w.sessions(); len(all) != 1 || all[0].MRU != 576 || all[0].Site != "branch" || all[0].PAC != "modems" {
		t.Errorf("sessions %+v", all)
	}
	if err := w.server.HangUp("branch"); err != nil {
		t.Error(err)
	}
	await[control.ClearRequested](c)
	w.siteIs("branch", "idle")
	w.stop()
}

func TestOrdersOfSitesThatMakeNoSense(t *testing.T) {
	w := caller(t, gretest.New(gretest.Config{}))
	for _, r := range []CallRequest{{Site: "nobody"}, {Site: "branch", Number: "1"}, {Site: "branch", PAC: "x"}} {
		var refused *admin.Error
		if _, err := w.server.Call(t.Context(), r); !errors.As(err, &refused) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if err := w.server.HangUp("nobody"); err == nil {
		t.Error("a site that is not there is hung up")
	}
	w.stop()
}

// A call to a site goes on in another server.
func TestHandoverOfASite(t *testing.T) {
	network := gretest.New(gretest.Config{})
	far := farServer(t, network, nil)
	site := siteTo(t, far, func(s *config.Site) { s.Dial, s.PerCall = config.DialPersistent, false })
	other := siteTo(t, far, func(s *config.Site) {
		s.PerCall, s.Name, s.Routes, s.User, s.SecretFile = false, "other", []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, "bob", secretFile(t, "hunter2")
	})
	old := caller(t, network, site, other)
	old.siteIs("branch", "up")
	old.pingOut(netip.MustParseAddr("203.0.113.9"))
	snapshot, descriptors := old.handOver()
	w := buildWorld(t, network, func(cfg *config.Config) { cfg.Sites = []config.Site{site, other} })
	if err := w.server.Restore(time.Now(), snapshot, descriptors); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.pingOut(netip.MustParseAddr("203.0.113.9"))
	w.siteIs("branch", "up")
	if r, err := w.server.Call(t.Context(), CallRequest{Site: "other"}); err != nil || !r.Up {
		t.Errorf("%+v, %v", r, err)
	}
	if o := w.server.admission.occupancy(); o.connections != 1 || o.calls != 2 {
		t.Errorf("the connection that was handed over is not shared: %+v", o)
	}
	if err := w.server.HangUp("branch"); err != nil {
		t.Error(err)
	}
	if rec := w.records.next(t); rec.Site != "branch" || rec.PacketsIn != 2 || rec.EndedBy != "operator" {
		t.Errorf("record %+v", rec)
	}
	w.stop()
	far.stop()
}
