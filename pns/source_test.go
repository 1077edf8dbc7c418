package pns

import (
	"net/netip"
	"testing"
	"time"

	"trunkline.example/pns/config"
)

func TestSourceOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "::1": "::/64", "fe80::5%eth0": "fe80::%eth0/64",
	} {
		if got := sourceText(sourceOf(netip.MustParseAddr(address))); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

// Whoever has a /64 to himself gets no more than whoever has one IPv4 address, and takes his failures along from one address
// to the next.
func TestIPv6SourcesCountBySubnet(t *testing.T) {
	at := netip.MustParseAddr
	mine, also, neighbour := at("2001:db8:0:1::1"), at("2001:db8:0:1:ffff::2"), at("2001:db8:0:2::1")
	connection := func(a netip.Addr) *conn { return &conn{remote: netip.AddrPortFrom(a, 1)} }
	now := time.Unix(1000, 0)

	a := newAdmission(config.Limits{ConnectionsPerSource: 2, HalfOpenPerSource: 2})
	first := connection(mine)
	if _, r := a.connection(first, false); r != RefusedNone {
		t.Fatal(r)
	}
	if others, r := a.connection(connection(also), false); r != RefusedNone || len(others) != 1 || others[0] != first {
		t.Fatal(r, others)
	}
	if due, _ := a.askProbes(now, also); !due {
		t.Error("the others of the subnet are not probed")
	}
	if _, r := a.connection(connection(mine.Next()), false); r != RefusedSourceConnections {
		t.Error("a third connection:", r)
	}
	if _, r := a.connection(connection(neighbour), false); r != RefusedNone {
		t.Error("a neighbour:", r)
	}
	for _, c := range []struct {
		from netip.Addr
		want Refusal
	}{{mine, RefusedNone}, {also, RefusedNone}, {mine.Next(), RefusedSourceHalfOpen}, {neighbour, RefusedNone}} {
		if r := a.call(c.from, false); r != c.want {
			t.Errorf("a call of %v: %v", c.from, r)
		}
	}
	a.callOpen(also)
	if r := a.call(mine, false); r != RefusedNone {
		t.Error("after another has logged in:", r)
	}
	a.connectionGone(first)
	if _, r := a.connection(connection(also.Next()), false); r != RefusedNone || a.occupancy().sources != 2 {
		t.Error("after another has gone:", r, a.occupancy())
	}

	b := newBans(config.Ban{Failures: 2, Window: time.Minute, Time: time.Hour})
	if b.failed(now, mine); !b.failed(now, also) {
		t.Error("two failures from one subnet are no reason for a ban")
	}
	_, banned := b.banned(now, mine.Next())
	if _, other := b.banned(now, neighbour); !banned || other {
		t.Errorf("banned: the subnet %v, a neighbour %v", banned, other)
	}
	if b.succeeded(also); len(b.entries) != 0 {
		t.Error("a login does not count for the subnet")
	}

	var r rates
	if !r.take(now, mine, 10, 1) || r.take(now, also, 1, 1) || !r.take(now, neighbour, 1, 1) {
		t.Error("messages of the subnet are not counted together")
	}

	tries := attempts{rest: attemptRest}
	tries.failed(now, mine)
	tries.failed(now, also)
	if n, other := tries.recent(now, mine.Next()), tries.recent(now, neighbour); n != 2 || other != 0 {
		t.Errorf("attempts of the subnet %d, of a neighbour %d", n, other)
	}
}

func TestPACByIPv6Address(t *testing.T) {
	prefix := netip.MustParsePrefix
	c := &config.Config{PACs: []config.PAC{
		{Name: "link", Addresses: []netip.Prefix{prefix("fe80::/10")}},
		{Name: "named", HostName: "x", Addresses: []netip.Prefix{prefix("2001:db8::/32")}},
		{Name: "any", Addresses: []netip.Prefix{prefix("2001:db8::/32")}},
	}}
	for address, want := range map[string]string{"fe80::1%eth0": "link", "2001:db8:1::5": "named", "2001:db9::5": "", "192.0.2.1": ""} {
		a, got := netip.MustParseAddr(address), ""
		if p := findPAC(c, a, "x"); p != nil {
			got = p.Name
		}
		if got != want || mayBePAC(c, a) != (want != "") {
			t.Errorf("%s: PAC %q, want %q", address, got, want)
		}
	}
	if p := findPAC(c, netip.MustParseAddr("2001:db8::1"), "y"); p == nil || p.Name != "any" {
		t.Errorf("%+v", p)
	}
}
