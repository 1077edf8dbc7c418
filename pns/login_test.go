package pns

import (
	"net/netip"
	"testing"
	"time"

	"trunkline.example/pns/config"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/link"
)

func TestRefusedLogins(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy func(*config.Policy)
		dialer dialer
		cause  string
	}{
		{"wrong password", nil, dialer{user: "alice", password: "guess"}, "auth-failed"},
		{"unknown user", nil, dialer{user: "mallory", password: "guess"}, "auth-failed"},
		{"PAP is not accepted by default", nil, dialer{protocols: []auth.Protocol{auth.PAP}}, "peer-terminated"},
		{"CHAP-MD5 is not accepted by default", nil, dialer{protocols: []auth.Protocol{auth.CHAPMD5}}, "peer-terminated"},
		{"no encryption", nil, dialer{encryption: ccp.None}, "encryption-refused"},
		{"encryption that the server does not do", func(p *config.Policy) { p.Encryption = config.EncryptionNone }, dialer{encryption: ccp.Required}, "peer-terminated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, gretest.Config{}, func(cfg *config.Config) {
				cfg.Timers.Encryption = time.Second
				if c.policy != nil {
					c.policy(&cfg.Listeners[0].Policy)
				}
			})
			client := w.dial(c.dialer)
			await[link.Ended](client)
			client.do(func(now time.Time) { _ = client.control.ClearCall(now, client.call.Own()) })
			if r := w.records.next(t); r.Cause != c.cause || !r.Connected.IsZero() {
				t.Fatalf("record %+v", r)
			}
			w.stop()
		})
	}
}

func TestWeakPolicies(t *testing.T) {
	for name, p := range map[string]auth.Protocol{"PAP": auth.PAP, "CHAP-MD5": auth.CHAPMD5} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, gretest.Config{}, func(cfg *config.Config) {
				cfg.Listeners[0].Policy.Authentication = []auth.Protocol{auth.MSCHAPv2, auth.CHAPMD5, auth.PAP}
				cfg.Listeners[0].Policy.Encryption = config.EncryptionPreferred
			})
			w.startEcho()
			c := w.dial(dialer{protocols: []auth.Protocol{p}, encryption: ccp.None})
			await[link.NetworkUp](c)
			c.ping(farAway, 64, 5)
			c.clear()
			if r := w.records.next(t); r.Login != p.String() || r.Encryption != "" {
				t.Fatalf("record %+v", r)
			}
		})
	}
}

func TestBan(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { cfg.Users.Ban = config.Ban{Failures: 2, Window: time.Hour, Time: time.Hour} })
	for range 2 {
		c := w.dial(dialer{from: "127.66.0.1", user: "alice", password: "guess"})
		await[link.Ended](c)
		c.kill()
		w.records.next(t)
	}
	if len(w.server.Status().Banned) != 1 {
		t.Fatalf("banned %v", w.server.Status().Banned)
	}
	c, err := w.tryDial(dialer{from: "127.66.0.1", noCall: true})
	if err == nil {
		await[tcpEnded](c)
	}
	if n := w.server.Status().Refused["banned"]; n != 1 {
		t.Fatalf("refused %v", w.server.Status().Refused)
	}
	other := w.dial(dialer{from: "127.66.0.2"})
	await[link.NetworkUp](other)
}

func TestSessionsPerUser(t *testing.T) {
	for name, replace := range map[string]bool{"refuse": false, "replace": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { cfg.Users.Sessions, cfg.Users.Replace = 1, replace })
			first := w.dial(dialer{})
			up := await[link.NetworkUp](first)
			second := w.dial(dialer{})
			if !replace {
				if e := await[link.Ended](second); e.Reason.Code != link.CodeAuthFailed {
					t.Fatalf("the second session ended: %v", e.Reason)
				}
				second.kill()
				w.records.next(t)
				if len(w.sessions()) != 1 {
					t.Fatal("the first session is gone")
				}
				return
			}
			await[link.Ended](first)
			if again := await[link.NetworkUp](second); again.LocalAddress != up.LocalAddress {
				t.Fatalf("got %v, had %v", again.LocalAddress, up.LocalAddress)
			}
			if r := w.records.next(t); r.Cause != "administrative" || r.EndedBy != "self" {
				t.Fatalf("record %+v", r)
			}
			w.stop()
		})
	}
}

func TestFixedAddress(t *testing.T) {
	w := newWorld(t, gretest.Config{}, nil)
	w.startEcho()
	outside := netip.MustParseAddr("192.0.2.44")
	w.setUser("carol", user{password: "x", address: outside})
	c := w.dial(dialer{user: "carol", password: "x"})
	if up := await[link.NetworkUp](c); up.LocalAddress != outside {
		t.Fatalf("got %v", up.LocalAddress)
	}
	if !w.routes.has(hostRoute(outside)) {
		t.Fatal("no route to the address")
	}
	c.ping(farAway, 64, 5)
	second := w.dial(dialer{user: "carol", password: "x"})
	await[link.Ended](second)
	if r := w.records.next(t); r.Cause != "auth-failed" {
		t.Fatalf("record %+v", r)
	}
	c.clear()
	w.stop() // checks that the route is gone
}

func TestPoolExhausted(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) {
		cfg.Users.Ban.Failures = 1
		cfg.Pool.Ranges = cfg.Pool.Ranges[:1]
		cfg.Pool.Ranges[0].Last = cfg.Pool.Ranges[0].First
	})
	first := w.dial(dialer{})
	await[link.NetworkUp](first)
	second := w.dial(dialer{user: "bob", password: "hunter2"})
	if e := await[link.Ended](second); e.Reason.Code != link.CodeAuthFailed {
		t.Fatalf("ended %v", e.Reason)
	}
	if banned := w.server.Status().Banned; len(banned) != 0 {
		t.Errorf("%v banned for what is not its fault", banned)
	}
}
