package dataplane

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/gre/tunnel/gretest"
)

// A key is of one call only, as far as the table is concerned, and tells the families apart.
func TestCallKeys(t *testing.T) {
	p := newRig(t, 1, false).plane
	seen := map[uint64]string{}
	for _, first := range []string{"0.0.0.0", "198.51.100.1", "255.255.255.0", "2001:db8::", "2001:db8:1::", "fe80::1%eth0", "fe80::1%eth1", "fe80::1%longestname0123", "::"} {
		a := netip.MustParseAddr(first)
		for range 200 {
			for _, own := range []uint16{0, 1, 0xff00, 0xffff} {
				key, call := p.callKey(a, own), a.String()
				if other, twice := seen[key]; twice || key&occupied != 0 || key&hashed != 0 != a.Is6() {
					t.Fatalf("key %#x of call %d from %s; and of %s", key, own, call, other)
				}
				seen[key] = call
			}
			a = a.Next()
		}
	}
	if q := newRig(t, 1, false).plane; q.callKey(serverAddr6, 1) == p.callKey(serverAddr6, 1) {
		t.Error("another server has the same keys: an attacker could find addresses that share one")
	}
	if n := testing.AllocsPerRun(100, func() { p.callKey(serverAddr6, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Should two addresses have one key in spite of all, the second call is refused, and its packets are not taken for the first one's.
func TestCallKeyOfTwoAddresses(t *testing.T) {
	r := newRig6(t, 1, false)
	e := r.entries[0]
	other := netip.MustParseAddr("2001:db8:bad::1")
	r.socket.calls.remove(e.key, e)
	e.key = r.plane.callKey(other, e.call.Own)
	r.socket.calls.insert(e.key, e)
	if _, err := r.plane.Register(Call{Local: serverAddr6, Remote: other, Own: e.call.Own, Inbox: &inbox{}}); err == nil {
		t.Error("the second call is accepted")
	}
	packet := r.arriving(1, 100)
	packet[0].Remote = other
	r.takeIn(packet)
	if c := r.plane.Counters(); c.ForeignAddress != 1 || r.sink.written != 0 {
		t.Errorf("%d packets came through; %+v", r.sink.written, c)
	}
}

func TestRegisterOfTwoFamilies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		for _, c := range [][2]netip.Addr{{serverAddr, serverAddr6}, {serverAddr6, serverAddr}, {serverAddr6, {}}, {{}, {}}} {
			if _, err := w.plane.Register(Call{Local: c[0], Remote: c[1], Inbox: &inbox{}}); err == nil {
				t.Errorf("a call between %v and %v", c[0], c[1])
			}
		}
		mapped := netip.AddrFrom16(netip.MustParseAddr("198.51.100.9").As16())
		if e, err := w.plane.Register(Call{Local: netip.AddrFrom16(serverAddr.As16()), Remote: mapped, Own: 5, Inbox: &inbox{}}); err != nil || e.call.Remote != mapped.Unmap() {
			t.Errorf("a call from %v: %v", mapped, err)
		}
	})
}

// Another address may not send into a call, whatever it knows of it.
func TestForeignSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		for i, c := range [][3]string{
			{"198.51.100.7", "10.8.0.2", "198.51.100.8"}, {"2001:db8:7::7", "10.8.0.3", "2001:db8:7::8"}, {"fe80::7%eth0", "10.8.0.4", "fe80::7%eth1"},
		} {
			p := w.dial(c[0], c[1], Network{})
			thief, err := w.net.Listen(netip.MustParseAddr(c[2]))
			if err != nil {
				t.Fatal(err)
			}
			stolen := tunnel.Packet{Remote: serverFor(thief.Local()), Data: p.gre(p.frame(numbered(c[1], "203.0.113.9", 1, 10)))}
			if _, err := thief.WriteBatch([]tunnel.Packet{stolen}); err != nil {
				t.Fatal(err)
			}
			if got := w.tunneled(); len(got) != 0 || w.plane.Counters().ForeignAddress != uint64(i+1) || w.plane.Counters().UnknownCall != 0 {
				t.Fatalf("a packet of %s was taken for one of %s", c[2], c[0])
			}
		}
	})
}
