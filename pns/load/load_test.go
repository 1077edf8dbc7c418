package load

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/measure"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
)

const secret = "a secret"

var secure = nullConfig{authentication: []auth.Protocol{auth.MSCHAPv2}, encryption: ccp.Required, password: secret}

// against is a run of some sessions against a server.
func against(s *null, sessions int) Config {
	return Config{Server: s.address, Source: netip.MustParsePrefix("127.80.0.0/16"), Sessions: sessions, AtOnce: 8, Shards: 2, User: "user%d",
		Password: auth.PlainSecret(secret), Encryption: s.cfg.encryption}
}

func run(t testing.TB, cfg Config) measure.Report {
	t.Helper()
	r, err := Run(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEcho(t *testing.T) {
	for name, server := range map[string]nullConfig{"MPPE": secure, "clear": {encryption: ccp.None}, "PAP": {authentication: []auth.Protocol{auth.PAP}, encryption: ccp.None, password: secret}} {
		t.Run(name, func(t *testing.T) {
			cfg := against(startNull(t, "127.81.0.1", server), 20)
			cfg.Duration = 300 * time.Millisecond
			cfg.Traffic = Traffic{Shape: Echo, Size: 1400, Window: 4}
			r := run(t, cfg)
			if !r.OK() || r.Up != 20 || r.SetUp.Latency.Count != 20 || r.SetUp.PerSecond <= 0 {
				t.Fatalf("%+v", r)
			}
			c := r.Traffic
			if c.Up.Sent < 100 || c.Down.Received != c.Up.Sent || c.Down.Lost != 0 || c.Down.Damaged != 0 || c.RoundTrip.Count != c.Down.Received || c.Down.Mbps <= 0 {
				t.Fatalf("%+v, round trip %+v", c, c.RoundTrip)
			}
		})
	}
}

// What is lost is counted, and the traffic goes on.
func TestEchoLost(t *testing.T) {
	server := secure
	server.dropEvery = 50
	cfg := against(startNull(t, "127.81.0.2", server), 2)
	cfg.Duration = 500 * time.Millisecond
	cfg.Traffic = Traffic{Shape: Echo, Size: 64, Window: 2, Interval: 2 * time.Millisecond}
	r := run(t, cfg)
	c := r.Traffic
	if !r.OK() || c.Down.Lost == 0 || c.Down.Lost != c.Up.Sent/50 || c.Down.Received+c.Down.Lost != c.Up.Sent {
		t.Fatalf("%+v", c)
	}
}

// A flood is counted for itself: what it loses is no loss of the traffic after it.
func TestFlood(t *testing.T) {
	server := secure
	server.dropFirst = 10
	cfg := against(startNull(t, "127.81.0.12", server), 2)
	cfg.Flood = Flood{Traffic: Traffic{Shape: Echo, Window: 8, Timeout: 100 * time.Millisecond}, Duration: 300 * time.Millisecond, Rest: 10 * time.Millisecond}
	cfg.Duration = 300 * time.Millisecond
	cfg.Traffic = Traffic{Shape: Echo, Size: 64, Interval: 10 * time.Millisecond, Window: 100, Timeout: 30 * time.Second}
	r, err := Run(t.Context(), cfg, nil)
	if err != nil || !r.OK() || r.Flood == nil || r.Traffic == nil {
		t.Fatalf("%+v %v", r, err)
	}
	if f := r.Flood; f.Up.Sent < 10 || f.Down.Lost < 10 || f.Down.Received+f.Down.Lost != f.Up.Sent || f.RoundTrip == nil {
		t.Errorf("the flood: %+v", f)
	}
	if c := r.Traffic; c.Up.Sent == 0 || c.Up.Sent > 100 || c.Down.Received != c.Up.Sent || c.Down.Lost != 0 || c.RoundTrip.Count != c.Down.Received {
		t.Errorf("the traffic: %+v", c)
	}
}

func TestAsPAC(t *testing.T) {
	cfg := against(startNull(t, "127.81.0.3", secure), 50)
	cfg.AsPAC, cfg.Connections = true, 3
	cfg.Duration = 200 * time.Millisecond
	cfg.Traffic = Traffic{Shape: Echo, Size: 100}
	if r := run(t, cfg); !r.OK() || r.Up != 50 || r.Traffic.Down.Received < 50 || r.Traffic.Down.Lost != 0 {
		t.Fatalf("%+v %+v", r, r.Traffic)
	}
}

func TestFailures(t *testing.T) {
	server := startNull(t, "127.81.0.4", secure)
	mute := secure
	mute.mute = true
	silent := startNull(t, "127.81.0.5", mute)
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"password": {func(c *Config) { c.Password = auth.PlainSecret("another") }, "PPP: auth-failed (by peer)"},
		"protocol": {func(c *Config) { c.Authentication, c.Encryption = []auth.Protocol{auth.PAP}, ccp.None }, "PPP: peer-terminated (by peer)"},
		"port":     {func(c *Config) { c.Server = netip.AddrPortFrom(c.Server.Addr(), 9) }, "TCP: connection refused"},
		"source":   {func(c *Config) { c.Source = netip.MustParsePrefix("203.0.113.0/24") }, "TCP: no source address of this host"},
		"silence": {func(c *Config) { c.Server, c.Limit = silent.address, 100*time.Millisecond },
			"not up in time: reply to the call"},
		"PAC, port": {func(c *Config) { c.Server, c.AsPAC = netip.AddrPortFrom(c.Server.Addr(), 9), true }, "TCP: connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := against(server, 3)
			c.change(&cfg)
			r := run(t, cfg)
			if r.OK() || r.Failed != 3 || r.Up != 0 || len(r.Failures) != 1 || r.Failures[0].Count != 3 || !strings.HasPrefix(r.Failures[0].Reason, c.want) {
				t.Fatalf("%+v, want %s", r, c.want)
			}
		})
	}
}

// A server that cuts a call is told of, and the others go on.
func TestDropped(t *testing.T) {
	server := secure
	server.hangUpAfter = 20
	cfg := against(startNull(t, "127.81.0.6", server), 3)
	cfg.Duration = 300 * time.Millisecond
	cfg.Traffic.Shape = Echo
	r := run(t, cfg)
	if r.OK() || r.Failed != 0 || r.Dropped != 1 || len(r.Drops) != 1 || !strings.HasPrefix(r.Drops[0].Reason, "control connection: transport closed") && !strings.HasPrefix(r.Drops[0].Reason, "call: ") {
		t.Fatalf("%+v", r)
	}
}

// Who interrupts a run gets what it has found so far, and nobody has failed.
func TestInterrupted(t *testing.T) {
	mute := secure
	mute.mute = true
	for name, server := range map[string]*null{"carrying": startNull(t, "127.81.0.7", secure), "setting up": startNull(t, "127.81.0.8", mute)} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cfg := against(server, 5)
			cfg.Duration = time.Hour
			cfg.Traffic.Shape = Echo
			r, err := Run(ctx, cfg, func(p measure.Progress) {
				if p.Phase == name && p.Started == 5 {
					cancel()
				}
			})
			if err != nil || !r.OK() || !r.Interrupted || (r.Up == 5) != (name == "carrying") {
				t.Fatalf("%+v %v", r, err)
			}
		})
	}
}

func TestRate(t *testing.T) {
	cfg := against(startNull(t, "127.81.0.9", secure), 20)
	cfg.Rate, cfg.AtOnce = 50, 0
	if r := run(t, cfg); !r.OK() || r.SetUp.Seconds < 0.35 {
		t.Fatalf("20 calls at 50 a second in %v s: %+v", r.SetUp.Seconds, r)
	}
}

func TestConfig(t *testing.T) {
	good := Config{Server: netip.MustParseAddrPort("192.0.2.1:1723"), Encryption: ccp.Required}
	if _, err := good.filled(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"server":   func(c *Config) { c.Server = netip.MustParseAddrPort("[fe80::1]:1723") },
		"port":     func(c *Config) { c.Server = netip.MustParseAddrPort("192.0.2.1:0") },
		"versions": func(c *Config) { c.Source = netip.MustParsePrefix("2001:db8::/32") },
		"life":     func(c *Config) { c.Churn.Rate, c.Duration = 1, time.Second },
		"no time":  func(c *Config) { c.Churn = Churn{Rate: 1, Life: time.Second} },
		"share":    func(c *Config) { c.Churn.Cut = 1.1 },
		"too many": func(c *Config) { c.Churn, c.Duration = Churn{Rate: 1e6, Life: time.Hour}, time.Second },
		"source":   func(c *Config) { c.Source = netip.MustParsePrefix("192.0.2.1/32") },
		"sessions": func(c *Config) { c.Sessions = -1 },
		"size":     func(c *Config) { c.Traffic.Size = 20 },
		"window":   func(c *Config) { c.Traffic.Window = MaxWindow + 1 },
		"target":   func(c *Config) { c.Traffic.Target = netip.MustParseAddr("2001:db8::1") },
		"rate":     func(c *Config) { c.Rate = -1 },
		"PAC":      func(c *Config) { c.Connections = 2 },
	} {
		cfg := good
		change(&cfg)
		if _, err := Run(t.Context(), cfg, nil); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSources(t *testing.T) {
	for network, want := range map[string]string{"198.19.0.0/30": "198.19.0.1 198.19.0.2 198.19.0.1", "198.19.0.7/32": "198.19.0.7 198.19.0.7 198.19.0.7",
		"198.19.0.6/31": "198.19.0.6 198.19.0.7 198.19.0.6", "2001:db8::/63": "2001:db8::1 2001:db8:0:1::1 2001:db8::2", "2001:db8::/64": "2001:db8::1 2001:db8::2 2001:db8::3",
		"2001:db8::/126": "2001:db8::1 2001:db8::2 2001:db8::3", "2001:db8::8/127": "2001:db8::9 2001:db8::9 2001:db8::9", "2001:db8::7/128": "2001:db8::7 2001:db8::7 2001:db8::7",
		"fe80::7/128": "fe80::7%eth0 fe80::7%eth0 fe80::7%eth0", "::/0": "::1 ::1:0:0:0:1 ::2:0:0:0:1"} {
		c := Config{Server: netip.MustParseAddrPort("[fe80::1%eth0]:1723"), Source: netip.MustParsePrefix(network)}
		if got := strings.Join([]string{c.source(0).String(), c.source(1).String(), c.source(2).String()}, " "); got != want {
			t.Errorf("%s: %s, want %s", network, got, want)
		}
	}
}

func TestChecksum(t *testing.T) {
	plain := func(b []byte) uint16 {
		var sum uint32
		for i, x := range b {
			sum += uint32(x) << (8 * (1 - i&1))
		}
		for sum>>16 != 0 {
			sum = sum&0xFFFF + sum>>16
		}
		return ^uint16(sum)
	}
	for n := range 100 {
		b := append([]byte(nil), fill[:n]...)
		for i := range b {
			b[i] |= 0xC0 // carries
		}
		if got := checksum(b, 0); got != plain(b) {
			t.Errorf("%d octets: %04X, want %04X", n, got, plain(b))
		}
	}
}

// The traffic is not over before every shard has heard so: one that has not may send more, which nobody would wait for.
func TestTrafficIsOverForAllShards(t *testing.T) {
	e := &engine{shards: []*shard{{}, {}}}
	for _, s := range e.shards {
		if e.under() == 0 {
			t.Error("the traffic is over though a shard does not know it")
		}
		s.drain()
	}
	if n := e.under(); n != 0 {
		t.Errorf("%d packets are under way", n)
	}
}
