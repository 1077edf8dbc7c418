package pns

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"trunkline.example/pns/config"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
)

var farAway = netip.MustParseAddr("203.0.113.9")

// pacAt makes the addresses a configured access concentrator's, whose callers need not encrypt.
func pacAt(cfg *config.Config, prefix string) {
	p := cfg.Listeners[0].Policy
	p.Authentication = []auth.Protocol{auth.MSCHAPv2, auth.CHAPMD5, auth.PAP}
	p.Encryption = config.EncryptionPreferred
	cfg.PACs = append(cfg.PACs, config.PAC{Name: "modems", Addresses: []netip.Prefix{netip.MustParsePrefix(prefix)}, Policy: p})
}

// clear ends the call as the client.
func (c *client) clear() {
	c.w.t.Helper()
	c.do(func(now time.Time) {
		if err := c.control.ClearCall(now, c.call.Own()); err != nil {
			c.tell(err)
		}
	})
	if e := await[control.CallEnded](c); e.Why.Disconnect != pptp.DisconnectRequest {
		c.w.t.Fatalf("call ended: %v", e.Why)
	}
}

// saidGoodbye checks that the server has ended link and call, in this order.
func (c *client) saidGoodbye() {
	c.w.t.Helper()
	if e := await[control.CallEnded](c); e.Why.Disconnect != pptp.DisconnectAdminShutdown {
		c.w.t.Errorf("the client's call ended: %v", e.Why)
	}
	if e := await[link.Ended](c); e.Reason.Code != link.CodePeerTerminated {
		c.w.t.Errorf("the client's link ended: %v", e.Reason)
	}
}

func TestDirectCall(t *testing.T) {
	w := newWorld(t, gretest.Config{}, nil)
	w.startEcho()
	c := w.dial(dialer{host: "laptop"})
	up := await[link.NetworkUp](c)
	if up.Encryption == nil || up.PeerAddress != w.cfg.Pool.Server {
		t.Fatalf("network %+v", up)
	}
	c.ping(farAway, 64, 20)
	c.ping(farAway, 1300, 20)
	all := w.sessions()
	if len(all) != 1 || all[0].User != "alice" || all[0].Phase != "up" || all[0].Address != up.LocalAddress.String() || all[0].Data.PacketsIn != 40 ||
		all[0].Encryption != "MPPE-128 stateless" || all[0].Kind != "direct" {
		t.Fatalf("sessions %+v", all)
	}
	c.clear()
	r := w.records.next(t)
	if r.Cause != "peer-terminated" || r.EndedBy != "client" || r.PacketsIn != 40 || r.PacketsOut != 40 || r.User != "alice" || r.PeerName != "laptop" ||
		r.Login != "MS-CHAPv2" || r.Address != up.LocalAddress.String() || r.Connected.IsZero() || r.Result != uint8(pptp.DisconnectRequest) {
		t.Fatalf("record %+v", r)
	}
	if s := w.server.Status(); s.CallsEnded != 1 || s.Retired.PacketsIn != 40 || s.Logins.Accepted != 1 || s.Calls != 0 || s.Connections != 1 {
		t.Fatalf("status %+v", s)
	}
}

// Two clients behind one NAT share an address; their calls differ by Call ID only, and one's end is not the other's.
func TestTwoBehindNAT(t *testing.T) {
	w := newWorld(t, gretest.Config{}, nil)
	w.startEcho()
	first := w.dial(dialer{})
	a := await[link.NetworkUp](first)
	second := w.dial(dialer{behind: first, user: "bob", password: "hunter2"})
	b := await[link.NetworkUp](second)
	if a.LocalAddress == b.LocalAddress {
		t.Fatal("both have one address")
	}
	for range 3 {
		first.ping(farAway, 100, 5)
		second.ping(farAway, 100, 5)
	}
	second.clear()
	first.ping(farAway, 100, 5)
	if all := w.sessions(); len(all) != 1 || all[0].User != "alice" {
		t.Fatalf("sessions %+v", all)
	}
}

// A client that starts PPP anew on the same call, as after a crash of its pppd behind a modem, logs in again, keeps its address and
// gets fresh keys. Somebody else on the same call is refused.
func TestRenegotiation(t *testing.T) {
	w := newWorld(t, gretest.Config{}, nil)
	w.startEcho()
	c := w.dial(dialer{})
	first := await[link.NetworkUp](c)
	c.ping(farAway, 100, 5)
	again := func(user, password string) {
		c.do(func(now time.Time) {
			c.peer = newPeer(now, dialer{user: user, password: password, protocols: []auth.Protocol{auth.MSCHAPv2}})
			c.peer.Up(now)
		})
	}
	again("alice", "Passw0rd")
	if up := await[link.NetworkUp](c); up.LocalAddress != first.LocalAddress {
		t.Fatalf("address %v, was %v", up.LocalAddress, first.LocalAddress)
	}
	c.ping(farAway, 100, 5)
	if all := w.sessions(); len(all) != 1 || all[0].Data.PacketsIn != 10 || all[0].Link.Renegotiations != 1 {
		t.Fatalf("sessions %+v", all)
	}
	again("bob", "hunter2")
	if e := await[link.Ended](c); e.Reason.Code != link.CodeAuthFailed {
		t.Fatalf("ended %v", e.Reason)
	}
	c.kill()
	if r := w.records.next(t); r.User != "alice" {
		t.Errorf("the record is that of %q, who has never been let in", r.User)
	}
	w.stop()
}

// A peer that begins anew while its login is being checked has one place and one address in the end.
func TestRenegotiationDuringLogin(t *testing.T) {
	for _, user := range []string{"alice", "bob"} {
		t.Run(user, func(t *testing.T) {
			w := newWorld(t, gretest.Config{}, nil)
			hold := make(chan struct{})
			w.users.mu.Lock()
			w.users.hold = hold
			w.users.mu.Unlock()
			c := w.dial(dialer{})
			for w.users.asked.Load() == 0 {
				w.sessions()
			}
			c.do(func(now time.Time) {
				c.peer = newPeer(now, dialer{user: user, password: w.users.entries[user].password, protocols: []auth.Protocol{auth.MSCHAPv2}})
				c.peer.Up(now)
			})
			for waiting := 0; waiting == 0 && w.users.asked.Load() < 2; {
				all, err := onShards(t.Context(), w.server, func(s *shard) (some []uint64) {
					s.each(func(one *conn) {
						for k := range one.calls.all() {
							if k.next != nil {
								some = append(some, k.id)
							}
						}
					})
					return some
				})
				if waiting = len(all); err != nil {
					t.Fatal(err)
				}
			}
			close(hold)
			if user == "alice" {
				await[link.NetworkUp](c)
			} else {
				await[link.Ended](c)
			}
			c.kill()
			w.records.next(t)
			w.stop() // checks that nothing is left
		})
	}
}

// The ways in which a call can end, and what the record says of each.
func TestEnds(t *testing.T) {
	for _, c := range []struct {
		name  string
		end   func(*client)
		cause string
		by    string
	}{
		{"LCP terminated by the client", func(c *client) {
			c.do(func(now time.Time) { c.peer.Close(now, link.Reason{Text: "done"}) })
			await[link.Ended](c)
			c.do(func(now time.Time) { _ = c.control.ClearCall(now, c.call.Own()) })
		}, "peer-terminated", "client"},
		{"TCP closed", func(c *client) { c.do(func(time.Time) { _ = c.nc.Close() }) }, "lower-down", "peer"},
		{"stopped", func(c *client) { c.do(func(now time.Time) { c.control.Stop(now, pptp.StopNone) }) }, "lower-down", "peer"},
		{"kicked", func(c *client) {
			ids, err := c.w.server.Kick(context.Background(), Kick{User: "alice"})
			if err != nil || len(ids) != 1 {
				c.w.t.Fatalf("kicked %v, %v", ids, err)
			}
			c.saidGoodbye()
		}, "administrative", "operator"},
		{"garbage on the control connection", func(c *client) { c.do(func(time.Time) { _, _ = c.nc.Write(make([]byte, 100)) }) }, "lower-down", "peer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, gretest.Config{}, nil)
			client := w.dial(dialer{})
			await[link.NetworkUp](client)
			c.end(client)
			if r := w.records.next(t); r.Cause != c.cause || string(r.EndedBy) != c.by {
				t.Fatalf("cause %q by %q (%s), want %q by %q", r.Cause, r.EndedBy, r.Reason, c.cause, c.by)
			}
			w.stop()
		})
	}
}

// A client that speaks PPTP is the PNS of its call: it is sent Set-Link-Info only where the policy says so.
func TestSetLinkInfoToClients(t *testing.T) {
	for _, configured := range []bool{false, true} {
		w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { cfg.Listeners[0].Policy.SetLinkInfo = configured })
		c := w.dial(dialer{})
		await[link.NetworkUp](c)
		c.do(func(now time.Time) { _ = c.control.ClearCall(now, c.call.Own()) })
		await[control.CallEnded](c)
		// Our own client is strict: to it this is a message of the wrong side.
		sent := slices.ContainsFunc(c.skipped, func(n any) bool {
			fault, ok := n.(control.Misbehaved)
			return ok && fault.What == control.FaultWrongRole
		})
		if sent != configured {
			t.Errorf("configured %v, sent %v", configured, sent)
		}
		w.stop()
	}
}

func TestDialIn(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { pacAt(cfg, "127.77.0.0/16") })
	w.startEcho()
	c := w.dial(dialer{from: "127.77.0.1", pac: true, user: "bob", password: "hunter2", protocols: []auth.Protocol{auth.PAP}, encryption: ccp.None, dialing: "5550177"})
	info := await[control.LinkInfoSet](c)
	if info.SendACCM != 0xffffffff && info.SendACCM != 0x000a0000 {
		t.Fatalf("Set-Link-Info %+v", info)
	}
	await[link.NetworkUp](c)
	c.ping(farAway, 500, 10)
	all := w.sessions()
	if len(all) != 1 || all[0].PAC != "modems" || all[0].Kind != "incoming" || all[0].Dialing != "5550177" || all[0].Dialed != "5550100" || all[0].Speed != 33600 ||
		all[0].Authentication != "PAP" || all[0].Encryption != "" || all[0].MRU != 576 {
		t.Fatalf("sessions %+v", all)
	}
	c.do(func(now time.Time) {
		_ = c.control.NotifyWANErrors(now, c.call.Own(), pptp.WANErrors{CRCErrors: 7})
		_ = c.control.DisconnectCall(now, c.call.Own(), control.Disconnect{Result: pptp.DisconnectLostCarrier, Cause: 16})
	})
	r := w.records.next(t)
	if r.Cause != "lower-down" || r.EndedBy != "peer" || r.Q931 != 16 || r.Errors.FCS != 7 || r.PAC != "modems" || r.SpeedIn != 33600 {
		t.Fatalf("record %+v", r)
	}
	w.stop()
}

// The server ends a dial-in call by Call-Clear-Request, as its PNS.
func TestDialInKicked(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { pacAt(cfg, "127.77.0.0/16") })
	c := w.dial(dialer{from: "127.77.0.2", pac: true})
	await[link.NetworkUp](c)
	ids, err := w.server.Kick(context.Background(), Kick{Session: w.sessions()[0].ID})
	if err != nil || len(ids) != 1 {
		t.Fatal(ids, err)
	}
	await[control.ClearRequested](c)
	if e := await[link.Ended](c); e.Reason.Code != link.CodePeerTerminated {
		t.Errorf("the client's link ended: %v", e.Reason)
	}
	if r := w.records.next(t); r.Cause != "administrative" || r.EndedBy != "operator" || r.Kind != "incoming" {
		t.Fatalf("record %+v", r)
	}
	w.stop()
}

func TestStrangersMayNotOfferCalls(t *testing.T) {
	w := newWorld(t, gretest.Config{}, nil)
	c := w.dial(dialer{pac: true})
	if e := await[control.CallEnded](c); e.Why.Incoming != pptp.IncomingDoNotAccept {
		t.Fatalf("ended %v", e.Why)
	}
	if n := w.server.Status().Refused["not-a-pac"]; n != 1 {
		t.Fatalf("refused %v", w.server.Status().Refused)
	}
}

// An answer of AAA that comes when the call is gone takes nothing.
func TestLateVerdict(t *testing.T) {
	w := newWorld(t, gretest.Config{}, nil)
	hold := make(chan struct{})
	w.users.mu.Lock()
	w.users.hold = hold
	w.users.mu.Unlock()
	c := w.dial(dialer{})
	await[link.LinkUp](c)
	for w.users.asked.Load() == 0 {
		w.sessions() // a round of the shards
	}
	c.kill()
	w.records.next(t)
	close(hold)
	for w.server.desk.accepted.Load() == 0 {
		w.sessions()
	}
	w.stop()
}

func TestTimeLimits(t *testing.T) {
	for name, set := range map[string]func(*config.Policy){
		"session-timeout": func(p *config.Policy) { p.SessionTime = 300 * time.Millisecond },
		"idle":            func(p *config.Policy) { p.IdleTime = 300 * time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { set(&cfg.Listeners[0].Policy) })
			c := w.dial(dialer{})
			await[link.NetworkUp](c)
			await[link.Ended](c)
			if r := w.records.next(t); r.Cause != name || r.EndedBy != "self" {
				t.Fatalf("record %+v", r)
			}
		})
	}
}

// A client that is gone without a word is found out by LCP echo, though its control connection stays.
func TestAbsentPeer(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { cfg.Timers.LCPEcho, cfg.Timers.LCPEchoFailures = 100*time.Millisecond, 2 })
	c := w.dial(dialer{})
	await[link.NetworkUp](c)
	c.drop.Store(true)
	if r := w.records.next(t); r.Cause != "echo-timeout" || r.Result != uint8(pptp.DisconnectLostCarrier) {
		t.Fatalf("record %+v", r)
	}
	await[control.CallEnded](c)
}

// The server says goodbye on every layer when it stops.
func TestStopSaysGoodbye(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { pacAt(cfg, "127.77.0.0/16") })
	direct, dialIn := w.dial(dialer{}), w.dial(dialer{from: "127.77.0.3", pac: true, user: "bob", password: "hunter2"})
	idle := w.dial(dialer{noCall: true})
	for _, c := range []*client{direct, dialIn} {
		await[link.NetworkUp](c)
	}
	await[control.Established](idle)
	begin := time.Now()
	go w.stop()
	direct.saidGoodbye()
	await[control.ClearRequested](dialIn)
	for _, c := range []*client{direct, dialIn, idle} {
		if e := await[control.ConnectionEnded](c); e.Why != control.EndStoppedByPeer || e.Reason != pptp.StopShutdown {
			t.Errorf("connection ended: %v, %v", e.Why, e.Reason)
		}
	}
	for range 2 {
		if r := w.records.next(t); r.Cause != "shutdown" || r.EndedBy != "operator" {
			t.Errorf("record %+v", r)
		}
	}
	w.stop()
	if took := time.Since(begin); took > w.cfg.Timers.Shutdown {
		t.Errorf("saying goodbye took %v", took)
	}
}

// Peers that do not answer cannot hold the server up.
func TestStopWithSilentPeers(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { cfg.Timers.Shutdown = 600 * time.Millisecond })
	c := w.dial(dialer{})
	await[link.NetworkUp](c)
	c.drop.Store(true)
	nc, err := net.Dial("tcp4", w.server.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	begin := time.Now()
	w.stop()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("saying goodbye took %v", took)
	}
	if r := w.records.next(t); r.Cause != "shutdown" {
		t.Errorf("record %+v", r)
	}
}

// Everybody calls at once, as after a power cut; all get through, and nothing is left.
func TestStorm(t *testing.T) {
	w := newWorld(t, gretest.Config{}, nil)
	w.startEcho()
	const count = 150
	clients := make([]*client, count)
	for i := range clients {
		clients[i] = w.dial(dialer{})
	}
	for _, c := range clients {
		await[link.NetworkUp](c)
	}
	if n := len(w.sessions()); n != count {
		t.Fatalf("%d sessions", n)
	}
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() {
			switch i % 3 {
			case 0:
				c.ping(farAway, 200, 3)
				c.clear()
			case 1:
				c.kill()
			}
		})
	}
	all.Wait()
	for range count / 3 * 2 {
		w.records.next(t)
	}
	w.stop()
}

func TestReload(t *testing.T) {
	w := newWorld(t, gretest.Config{}, nil)
	first := w.dial(dialer{})
	await[link.NetworkUp](first)
	next := *w.cfg
	next.Listeners = append([]config.Listener(nil), w.cfg.Listeners...)
	next.Listeners[0].Policy.Encryption = config.EncryptionNone
	next.Limits.Sessions = 2
	w.server.Reload(&next)
	second := w.dial(dialer{encryption: ccp.Preferred})
	if up := await[link.NetworkUp](second); up.Encryption != nil {
		t.Fatal("the old policy holds for a new call")
	}
	third := w.dial(dialer{})
	if e := await[control.CallEnded](third); e.Why.Error != pptp.ErrorNoResource {
		t.Fatalf("ended %v", e.Why)
	}
	if len(w.sessions()) != 2 {
		t.Fatal("a session did not survive the reload")
	}
}
