package tunnel

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"trunkline.example/shared/gre"
)

// tryRead is TryReadBatch, which must not fail, into fresh buffers.
func (l loopback) tryRead(s *Socket) []Packet {
	batch := NewBatch(8)
	n, err := s.TryReadBatch(batch)
	if err != nil {
		l.fail(err)
	}
	return batch[:n]
}

// routed is an address that the host has by a route to itself only, as one of many.
func (l loopback) routed() netip.Addr {
	if l.one.Is4() {
		return netip.MustParseAddr("127.7.0.9")
	}
	lo, err := netlink.LinkByName("lo")
	l.check(err)
	network := &net.IPNet{IP: net.ParseIP("fd00:7::"), Mask: net.CIDRMask(64, 128)}
	l.check(netlink.RouteAdd(&netlink.Route{Dst: network, LinkIndex: lo.Attrs().Index, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL}))
	return netip.MustParseAddr("fd00:7::9")
}

// An address that the host does not have is refused, and told of. (With IPv6 the system does not look.)
func TestSocketSpreadForeign(t *testing.T) {
	loopback4.run(t, func(l loopback) {
		s := l.listen(Config{Spread: true})
		batch := []Packet{{Remote: l.one, Local: netip.MustParseAddr("192.0.2.1"), Data: gre.Header{}.Append(nil)}}
		if n, err := s.WriteBatch(batch); n != 0 || err != nil || batch[0].Err == nil {
			l.fail(n, err, batch[0].Err)
		}
	})
}

// Who plays the hosts of a network is not woken by packets for others.
func TestSocketSpreadWithin(t *testing.T) {
	loopback4.run(t, func(l loopback) {
		server := l.listen(Config{Local: l.one})
		s := l.listen(Config{Spread: true, Within: netip.MustParsePrefix("127.7.0.77/16")})
		all := l.listen(Config{Spread: true, Within: netip.MustParsePrefix("0.0.0.0/0")})
		data := gre.Header{CallID: 6, HasAck: true, Ack: 7}.Append(nil)
		to := []Packet{{Remote: netip.MustParseAddr("127.8.0.9"), Data: data}, {Remote: l.routed(), Data: data}, {Remote: l.two, Data: data}}
		if n, err := server.WriteBatch(to); n != 3 || err != nil {
			l.fail(n, err)
		}
		if got := l.tryRead(s); len(got) != 1 || got[0].Local != l.routed() || !bytes.Equal(got[0].Data, data) {
			l.fail(len(got), got)
		}
		if got := l.tryRead(all); len(got) != 3 {
			l.fail(len(got), got)
		}
	})
}

// Two sockets of all addresses share the packets by their Call IDs, and send from the address that is asked for.
func TestSocketSpread(t *testing.T) {
	inNamespace(t, func(l loopback) {
		one, two := l.one, l.two
		server := l.listen(Config{Local: one})
		even, odd := l.listen(Config{Local: one, Spread: true, LowBits: 1}), l.listen(Config{Local: one, Spread: true, LowBits: 1, Low: 1})
		if !even.Local().IsUnspecified() || even.Local().Is4() != one.Is4() {
			l.fail(even.Local())
		}
		if got := l.tryRead(even); len(got) != 0 {
			l.fail("read before anything was sent:", len(got))
		}
		client := l.routed()
		data := func(id uint16) []byte { return gre.Header{CallID: id, HasAck: true, Ack: 7}.Append(nil) }
		if n, err := server.WriteBatch([]Packet{{Remote: client, Data: data(6)}, {Remote: two, Data: data(9)}, {Remote: client, Data: data(8)}}); n != 3 || err != nil {
			l.fail(n, err)
		}
		for _, c := range []struct {
			socket *Socket
			want   []Packet
		}{
			{even, []Packet{{Remote: one, Local: client, Data: data(6)}, {Remote: one, Local: client, Data: data(8)}}},
			{odd, []Packet{{Remote: one, Local: two, Data: data(9)}}},
		} {
			got := l.tryRead(c.socket)
			if len(got) != len(c.want) {
				l.fail(len(got), "packets, want", len(c.want))
				continue
			}
			for i, w := range c.want {
				if got[i].Remote != w.Remote || got[i].Local != w.Local || !bytes.Equal(got[i].Data, w.Data) {
					l.fail(got[i].Remote, got[i].Local, got[i].Data)
				}
			}
		}
		if n, err := odd.WriteBatch([]Packet{{Remote: one, Local: client, Data: data(1)}, {Remote: one, Local: two, Data: data(1)}}); n != 2 || err != nil {
			l.fail(n, err)
		}
		back := NewBatch(4)
		for _, from := range []netip.Addr{client, two} {
			if n, err := server.ReadBatch(back[:1]); n != 1 || err != nil || back[0].Remote != from {
				l.fail(n, err, back[0].Remote, "want", from)
			}
		}
	})
}
