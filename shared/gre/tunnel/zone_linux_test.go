package tunnel

import (
	"net/netip"
	"strconv"
	"testing"

	"github.com/vishvananda/netlink"
)

// Link-local addresses are used with their interface: the same address may be on another one.
func TestSocketLinkLocal(t *testing.T) {
	at := netip.MustParseAddr
	loopback6.run(t, func(l loopback) {
		for _, name := range []string{"left", "right"} {
			link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "far-" + name}
			l.check(netlink.LinkAdd(link))
			l.check(netlink.LinkSetUp(link))
			l.check(netlink.LinkSetUp(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: link.PeerName}}))
			l.assign(link, at("fe80::a"), at("fe80::b"))
		}
		left, right := l.listen(Config{Local: at("fe80::a%left")}), l.listen(Config{Local: at("fe80::a%right")})
		to := at("fe80::b%right")
		peer := l.listen(Config{Local: to})
		if left.Local() != at("fe80::a%left") || peer.Local() != to {
			l.fail(left.Local(), peer.Local())
		}
		if mtu, err := l.pathMTU(right.Local(), to); mtu < 1280 || err != nil {
			l.fail(mtu, err)
		}
		if n, err := left.WriteBatch([]Packet{{Remote: to.WithZone("left"), Data: packet(0, 4)}}); n != 1 || err != nil { // peer does not hear it
			l.fail(n, err)
		}
		batch := []Packet{{Remote: to, Data: packet(1, 4)}}
		if n, err := right.WriteBatch(batch); n != 1 || err != nil {
			l.fail(n, err, batch[0].Err)
		}
		got := NewBatch(4)
		if n, err := peer.ReadBatch(got); n != 1 || err != nil || got[0].Remote != right.Local() {
			l.fail(n, err, got[0].Remote)
		}
		// A number is as good as the name.
		link, err := netlink.LinkByName("right")
		l.check(err)
		numbered := to.WithZone(strconv.Itoa(link.Attrs().Index))
		if n, err := right.WriteBatch([]Packet{{Remote: numbered, Data: packet(2, 4)}}); n != 1 || err != nil {
			l.fail(n, err)
		}
		if n, err := peer.ReadBatch(got); n != 1 || err != nil || got[0].Remote != right.Local() {
			l.fail(n, err, got[0].Remote)
		}
		if n := testing.AllocsPerRun(100, func() {
			if n, err := right.WriteBatch(batch); n != 1 || err != nil {
				l.fail(n, err)
			}
			if n, err := peer.ReadBatch(got); n == 0 || err != nil {
				l.fail(n, err)
			}
		}); n >= 1 {
			l.fail(n, "allocations per batch")
		}
		file, err := peer.File()
		l.check(err)
		_ = peer.Close()
		adopted, err := Adopt(file, 0)
		l.check(err)
		defer adopted.Close()
		if adopted.Local() != to {
			l.fail(adopted.Local())
		}
		if _, err := Listen(Config{Local: at("fe80::a%nowhere")}); err == nil {
			l.fail("listened on an interface that does not exist")
		}
	})
}
