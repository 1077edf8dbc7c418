package dataplane

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/gre/tunnel/gretest"
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, t := range texts {
		all = append(all, netip.MustParsePrefix(t))
	}
	return all
}

func (w *world) addRoute(texts ...string) *Route {
	w.t.Helper()
	r, err := w.plane.AddRoute(prefixes(texts...), func() { w.demanded.Add(1) })
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// Each address is found in the route that holds it and in no other, whatever the order in which routes came.
func TestRouteLookup(t *testing.T) {
	p := newPlane(Options{Server: poolServer})
	random := rand.New(rand.NewPCG(1, 2))
	want := map[byte]*Route{}
	for _, i := range random.Perm(200) {
		if i%3 == 0 {
			continue // a gap
		}
		r, err := p.AddRoute([]netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(i), 0}), 24)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		want[byte(i)] = r
	}
	for i := range 256 {
		for _, last := range []byte{0, 1, 255} {
			if got := p.routeTo(addressOf(netip.AddrFrom4([4]byte{192, 168, byte(i), last}))); got != want[byte(i)] {
				t.Errorf("192.168.%d.%d: %p, want %p", i, last, got, want[byte(i)])
			}
		}
	}
	if p.routeTo(0) != nil || p.routeTo(^address(0)) != nil {
		t.Error("an address beyond all routes is found")
	}
	if _, err := p.AddRoute(prefixes("10.9.0.0/16", "192.168.1.0/24"), nil); !errors.Is(err, ErrRouteInUse) {
		t.Errorf("a prefix is routed twice: %v", err)
	}
	if p.routeTo(addressOf(netip.MustParseAddr("10.9.0.1"))) != nil {
		t.Error("a route that was refused is in part there")
	}
}

// Of prefixes within each other the longest counts, also while routes come and go.
func TestLongestPrefix(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	p := newPlane(Options{Server: poolServer})
	live := map[netip.Prefix]*Route{}
	for range 2000 {
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(random.IntN(2)) * 255, byte(random.IntN(4)), 0, byte(random.IntN(256))}), random.IntN(33)).Masked()
		if r := live[prefix]; r != nil {
			p.removeRoute(r)
			delete(live, prefix)
		} else if r, err := p.AddRoute([]netip.Prefix{prefix}, nil); err != nil {
			t.Fatal(err)
		} else if live[prefix] = r; r.prefixes[0] != prefix {
			t.Fatalf("%v became %v", prefix, r.prefixes[0])
		}
		for range 20 {
			a := netip.AddrFrom4([4]byte{byte(random.IntN(2)) * 255, byte(random.IntN(4)), byte(random.IntN(2)) * 255, byte(random.IntN(256))})
			var want *Route
			longest := -1
			for q, r := range live {
				if q.Contains(a) && q.Bits() > longest {
					want, longest = r, q.Bits()
				}
			}
			if got := p.routeTo(addressOf(a)); got != want {
				t.Fatalf("%v: %v, want %v of %v", a, got, want, live)
			}
		}
	}
}

func BenchmarkRouteChange(b *testing.B) {
	p := newPlane(Options{Server: poolServer})
	const routes = 5000
	add := func(i int) *Route {
		r, err := p.AddRoute([]netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(16 + i>>8), byte(i), 0}), 24)}, nil)
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	for i := range routes - 1 {
		add(i)
	}
	for b.Loop() {
		p.removeRoute(add(routes))
	}
}

// A network behind a client is reached through it, may send, and is gone with it; what another client has already is not taken from it.
func TestNetworksBehindClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		a := w.dial("198.51.100.7", "10.8.0.2", Network{Encryption: encrypted(), Behind: prefixes("192.168.5.0/24", "172.16.0.0/12")})
		b := w.dial("198.51.100.8", "10.8.0.3", Network{Behind: prefixes("192.168.5.0/24", "172.16.9.0/24")})
		if got := b.entry.Behind(); len(got) != 1 || got[0] != prefixes("172.16.9.0/24")[0] || len(a.entry.Behind()) != 2 {
			t.Errorf("behind the second client: %v", got)
		}
		for to, p := range map[string]*peer{"192.168.5.7": a, "172.31.255.255": a, "172.16.9.1": b, "10.8.0.2": a, "10.8.0.3": b} {
			w.inject(unsummed(farAway, to, 1, 40))
			if got := p.receive(); len(got) != 1 {
				t.Errorf("to %s: %d packets", to, len(got))
			}
		}
		a.send(unsummed("192.168.5.7", farAway, 2, 40))
		b.send(unsummed("192.168.5.7", farAway, 2, 40)) // is not behind it
		if got := w.tunneled(); len(got) != 1 || b.entry.Counters().Forged != 1 {
			t.Errorf("%d packets from behind the clients; %+v", len(got), b.entry.Counters())
		}
		b.entry.Shut()
		w.inject(unsummed(farAway, "172.16.9.1", 3, 40)) // within what the other has
		if got := a.receive(); len(got) != 1 {
			t.Errorf("%d packets to a network whose smaller part is gone", len(got))
		}
		a.entry.Shut()
		w.inject(unsummed(farAway, "192.168.5.7", 4, 40))
		if got := a.receive(); len(got) != 0 || w.plane.routes.Load().Size() != 0 {
			t.Errorf("%d packets after the end, %d routes", len(got), w.plane.routes.Load().Size())
		}
	})
}

// What lies behind a far end is reached through the call that is up, and may send; what does not is forged. The far end knows us by the
// address that it has given us.
func TestRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		w.route = w.addRoute("203.0.113.0/24", "198.18.0.0/15")
		time.Sleep(time.Second)
		w.inject(unsummed("10.8.0.1", "203.0.113.9", 1, 40))
		synctest.Wait()
		if n := w.route.Counters().Unreachable; n != 1 {
			t.Errorf("%d packets without a call", n)
		}
		w.unreachable(1)
		for range 5 { // at one moment
			w.inject(unsummed("10.8.0.1", "203.0.113.9", 1, 40))
		}
		w.unreachable(0)
		time.Sleep(time.Second / complaints)
		w.inject(unsummed("10.8.0.1", "203.0.113.9", 1, 40))
		w.unreachable(1)
		p := w.dial("198.51.100.7", "192.0.2.9", Network{Encryption: encrypted(), Own: netip.MustParseAddr("192.0.2.50")})
		for from, to := range map[string]string{"10.8.0.1": "192.0.2.50", "172.16.0.5": "172.16.0.5"} {
			w.inject(unsummed(from, "198.19.255.255", 2, 1000))
			if got := p.receive(); len(got) != 1 || !bytes.Equal(got[0], unsummed(to, "198.19.255.255", 2, 1000)) {
				t.Errorf("from %s: %x", from, got)
			}
		}
		w.inject(unsummed("10.8.0.1", "192.0.2.9", 3, 40)) // the far end's own address is in no route
		if got := p.receive(); len(got) != 0 {
			t.Errorf("to an address that is not routed: %x", got)
		}
		for from, passes := range map[string]bool{"203.0.113.9": true, "192.0.2.9": true, "198.20.0.1": false, "10.8.0.1": false, "192.0.2.50": false} {
			p.send(unsummed(from, "192.0.2.50", 4, 40))
			p.send(unsummed(from, "172.16.0.5", 5, 40))
			got := w.tunneled()
			if !passes {
				if len(got) != 0 {
					t.Errorf("from %s: %x", from, got)
				}
				continue
			}
			if len(got) != 2 || !bytes.Equal(got[0], unsummed(from, "10.8.0.1", 4, 40)) || !bytes.Equal(got[1], unsummed(from, "172.16.0.5", 5, 40)) {
				t.Errorf("from %s: %x", from, got)
			}
		}
		if c := p.entry.Counters(); c.Forged != 6 {
			t.Errorf("%d forged", c.Forged)
		}
		second := &peer{w: w, conn: p.conn, inbox: &inbox{}, own: 7, theirs: 9}
		second.register(Call{Route: w.route})
		if err := second.entry.Open(Network{MTU: 1400}); !errors.Is(err, ErrRouteInUse) {
			t.Errorf("a second call on the route: %v", err)
		}
		p.entry.Shut()
		if err := second.entry.Open(Network{MTU: 1400}); err != nil { // a far end that does not say its address
			t.Error(err)
		}
		second.entry.Remove()
		p.entry.Remove()
		w.inject(unsummed("10.8.0.1", "203.0.113.9", 6, 40))
		synctest.Wait()
		if n := w.route.Counters().Unreachable; n != 8 {
			t.Errorf("%d packets without a call at the end", n)
		}
	})
}

// On demand packets wait for the call, a few of them, and go out when it is up, in their order; when there will be none, they are dropped.
func TestRouteOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		w.route = w.addRoute("203.0.113.0/24")
		time.Sleep(time.Second)
		inject := func(n int) {
			for i := range n {
				w.inject(unsummed("10.8.0.1", "203.0.113.9", i, 40))
			}
			synctest.Wait()
		}
		inject(1)
		w.route.Hold(true)
		inject(waitingMost + 3)
		if c := w.route.Counters(); c != (RouteCounters{Held: waitingMost, Overflown: 3, Unreachable: 1}) || w.demanded.Load() != waitingMost+3 || w.route.Waiting() != waitingMost {
			t.Errorf("%+v, demanded %d times, %d waiting", c, w.demanded.Load(), w.route.Waiting())
		}
		p := w.dial("198.51.100.7", "192.0.2.9", Network{Encryption: encrypted(), Own: netip.MustParseAddr("192.0.2.50")})
		if got := p.receive(); len(got) != 0 {
			t.Errorf("%d packets before the far end is known to take them", len(got))
		}
		p.entry.Settled()
		p.entry.Settled()
		got := p.receive()
		for i, ip := range got {
			if !bytes.Equal(ip, unsummed("192.0.2.50", "203.0.113.9", i, 40)) {
				t.Fatalf("packet %d: %x", i, ip)
			}
		}
		inject(2)
		if more := p.receive(); len(got) != waitingMost || len(more) != 2 || w.route.Waiting() != 0 {
			t.Errorf("%d packets that waited, %d later ones, %d still wait", len(got), len(more), w.route.Waiting())
		}
		p.entry.Shut() // the call is being ended, or negotiated anew
		p.entry.Settled()
		inject(4)
		w.tunneled()
		w.route.Hold(false)
		w.unreachable(4)
		time.Sleep(time.Second / complaints)
		inject(1)
		w.unreachable(1)
		if c := w.route.Counters(); c.Unreachable != 6 || c.Held != waitingMost+4 || w.route.Waiting() != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// unreachable takes what has been written to the TUN: so many ICMP messages that a host cannot be reached, and nothing else.
func (w *world) unreachable(want int) {
	w.t.Helper()
	got := w.tunneled()
	for _, p := range got {
		icmp := p.payload()
		if p.protocol() != protocolICMP || p.source() != addressOf(netip.MustParseAddr("203.0.113.9")) || p.destination() != w.plane.server || icmp[0] != icmpUnreachable || icmp[1] != icmpNoHost || checksum(icmp) != 0 {
			w.t.Errorf("%x", []byte(p))
		}
	}
	if len(got) != want {
		w.t.Errorf("%d messages that a host cannot be reached, want %d", len(got), want)
	}
}

// unsummed is a packet without a transport checksum.
func unsummed(src, dst string, n, size int) packet {
	return datagram(src, dst, 99, 0, append([]byte{byte(n)}, make([]byte, size)...))
}

// transport is the start of a UDP or TCP header, with the checksum of the protocol at its place.
func transport(src, dst string, protocol byte, at int, size int) packet {
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(i * 7)
	}
	p := datagram(src, dst, protocol, 0, body)
	b := p.payload()
	binary.BigEndian.PutUint16(b[at:], 0)
	binary.BigEndian.PutUint16(b[at:], transportSum(p))
	return p
}

// transportSum is 0 for a packet whose checksum is right.
func transportSum(p packet) uint16 {
	pseudo := append([]byte{}, p[12:20]...)
	pseudo = append(pseudo, 0, p.protocol(), byte(len(p.payload())>>8), byte(len(p.payload())))
	return checksum(append(pseudo, p.payload()...))
}

// icmpAbout is an ICMP error that quotes a packet, cut off as routers do.
func icmpAbout(src, dst string, about packet, quoted int) packet {
	icmp := append([]byte{icmpUnreachable, 1, 0, 0, 0, 0, 0, 0}, about[:min(len(about), quoted)]...)
	binary.BigEndian.PutUint16(icmp[2:], checksum(icmp))
	return datagram(src, dst, protocolICMP, 0, icmp)
}

// A translated packet is what it would have been with that address from the start; and back it is what it was.
func TestTranslate(t *testing.T) {
	const own, given, far = "10.8.0.1", "192.0.2.50", "203.0.113.9"
	make := map[string]func(own string) packet{
		"TCP":                   func(own string) packet { return transport(own, far, protocolTCP, 16, 41) },
		"UDP":                   func(own string) packet { return transport(own, far, protocolUDP, 6, 33) },
		"DCCP":                  func(own string) packet { return transport(own, far, protocolDCCP, 6, 33) },
		"ICMP echo":             func(own string) packet { return datagram(own, far, protocolICMP, 0, []byte{8, 0, 1, 2, 3, 4, 5, 6, 7}) },
		"no transport checksum": func(own string) packet { return datagram(own, far, protocolUDP, 0, make([]byte, 20)) },
		"later fragment":        func(own string) packet { return datagram(own, far, protocolTCP, 5, []byte("0123456789012345678901")) },
		"short":                 func(own string) packet { return datagram(own, far, protocolTCP, 0, []byte("0123456789")) },
		"empty":                 func(own string) packet { return datagram(own, far, protocolUDP, 0, nil) },
		"error about TCP":       func(own string) packet { return icmpAbout(own, far, transport(far, own, protocolTCP, 16, 41), 28) },
		"error about all of it": func(own string) packet { return icmpAbout(own, far, transport(far, own, protocolTCP, 16, 41), 999) },
		"error about UDP":       func(own string) packet { return icmpAbout(own, far, transport(far, own, protocolUDP, 6, 30), 28) },
		"error about another": func(own string) packet {
			return icmpAbout(own, far, transport(far, "192.0.2.99", protocolUDP, 6, 30), 28)
		},
		"error cut off": func(own string) packet {
			return datagram(own, far, protocolICMP, 0, []byte{3, 1, 2, 3, 4, 5, 6, 7, 0x45, 9})
		},
	}
	for name, of := range make {
		p, before, want := of(own), of(own), of(given)
		p.translate(sourceAt, addressOf(netip.MustParseAddr(given)))
		if !bytes.Equal(p, want) {
			t.Errorf("%s:\n got %x\nwant %x", name, []byte(p), []byte(want))
		}
		p.translate(sourceAt, addressOf(netip.MustParseAddr(own)))
		if !bytes.Equal(p, before) {
			t.Errorf("%s, back:\n got %x\nwant %x", name, []byte(p), []byte(before))
		}
	}
	in := transport(far, given, protocolUDP, 6, 33)
	in.translate(destinationAt, addressOf(netip.MustParseAddr(own)))
	if !bytes.Equal(in, transport(far, own, protocolUDP, 6, 33)) {
		t.Errorf("inbound: %x", []byte(in))
	}
}

// A UDP checksum that comes out as 0 is sent as FFFF: 0 would mean that there is none (RFC 768).
func TestTranslateNeverSaysNoChecksum(t *testing.T) {
	seen := 0
	for i := range 1 << 16 {
		p := transport("10.8.0.1", "203.0.113.9", protocolUDP, 6, 12)
		body := p.payload()
		binary.BigEndian.PutUint16(body[10:], uint16(i))
		binary.BigEndian.PutUint16(body[6:], 0)
		sum := transportSum(p)
		if sum == 0 {
			sum = 0xffff
		}
		binary.BigEndian.PutUint16(body[6:], sum)
		p.translate(sourceAt, addressOf(netip.MustParseAddr("192.0.2.50")))
		switch got := binary.BigEndian.Uint16(body[6:]); {
		case got == 0:
			t.Fatalf("checksum 0 for %d", i)
		case got == 0xffff:
			seen++
		}
		if transportSum(p) != 0 {
			t.Fatalf("wrong checksum for %d", i)
		}
	}
	if seen == 0 {
		t.Error("the case was not met")
	}
}

// Whatever an ICMP message quotes, nothing beyond it is touched.
func FuzzTranslate(f *testing.F) {
	f.Add([]byte(icmpAbout("10.8.0.1", "203.0.113.9", transport("203.0.113.9", "10.8.0.1", protocolTCP, 16, 41), 28)))
	f.Add([]byte(transport("10.8.0.1", "203.0.113.9", protocolUDP, 6, 33)))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, ok := parseIPv4(bytes.Clone(data))
		if !ok {
			return
		}
		p.translate(sourceAt, 0xc0000232)
		if p.source() != 0xc0000232 || p.destination() != packet(data).destination() {
			t.Fatal("the addresses are wrong")
		}
	})
}

func BenchmarkRouteTo(b *testing.B) {
	p := newPlane(Options{Server: poolServer})
	for i := range 5000 {
		if _, err := p.AddRoute([]netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(16 + i>>8), byte(i), 0}), 24)}, nil); err != nil {
			b.Fatal(err)
		}
	}
	first, n := addressOf(netip.MustParseAddr("172.16.0.1")), address(0)
	b.ReportAllocs()
	for b.Loop() {
		if p.routeTo(first+n%5000<<8) == nil {
			b.Fatal("no route")
		}
		n += 977
	}
}
