package dataplane

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// datagram makes an IPv4 packet with a correct header checksum.
func datagram(src, dst string, protocol byte, flags uint16, payload []byte) packet {
	b := make([]byte, ipv4HeaderMin+len(payload))
	putIPv4(b, len(b), protocol, addressOf(netip.MustParseAddr(src)), addressOf(netip.MustParseAddr(dst)))
	binary.BigEndian.PutUint16(b[6:], flags)
	binary.BigEndian.PutUint16(b[10:], 0)
	binary.BigEndian.PutUint16(b[10:], checksum(b[:ipv4HeaderMin]))
	copy(b[ipv4HeaderMin:], payload)
	return b
}

// syn makes a TCP segment with the given flags and options, its checksum right for the addresses.
func syn(src, dst string, flags byte, options []byte) packet {
	tcp := make([]byte, tcpHeaderMin+len(options))
	binary.BigEndian.PutUint16(tcp[0:], 40000)
	binary.BigEndian.PutUint16(tcp[2:], 80)
	binary.BigEndian.PutUint32(tcp[4:], 0xdeadbeef)
	tcp[12] = byte(len(tcp)/4) << 4
	tcp[13] = flags
	copy(tcp[tcpHeaderMin:], options)
	p := datagram(src, dst, protocolTCP, flagDontFragment, tcp)
	binary.BigEndian.PutUint16(p.payload()[16:], tcpChecksum(p))
	return p
}

// tcpChecksum computes what the checksum field of p must hold.
func tcpChecksum(p packet) uint16 {
	segment := bytes.Clone(p.payload())
	segment[16], segment[17] = 0, 0
	pseudo := append([]byte{}, p[12:20]...)
	pseudo = append(pseudo, 0, protocolTCP, byte(len(segment)>>8), byte(len(segment)))
	return checksum(append(pseudo, segment...))
}

func TestParseIPv4(t *testing.T) {
	good := datagram("10.0.0.1", "10.0.0.2", 17, 0, []byte("0123456789"))
	mutate := func(f func(p packet)) []byte {
		b := bytes.Clone(good)
		f(b)
		return b
	}
	for _, c := range []struct {
		name string
		in   []byte
		want int // length, 0 = refused
	}{
		{"whole", good, len(good)},
		{"padded", append(bytes.Clone(good), 1, 2, 3), len(good)},
		{"empty", nil, 0},
		{"header cut", good[:19], 0},
		{"payload cut", good[:len(good)-1], 0},
		{"version 6", mutate(func(p packet) { p[0] = 0x65 }), 0},
		{"header too small", mutate(func(p packet) { p[0] = 0x44 }), 0},
		{"header beyond total", mutate(func(p packet) { p[0] = 0x4f }), 0},
		{"total below header", mutate(func(p packet) { p[2], p[3] = 0, 19 }), 0},
	} {
		p, ok := parseIPv4(c.in)
		if ok != (c.want > 0) || len(p) != c.want {
			t.Errorf("%s: %d octets, %v; want %d", c.name, len(p), ok, c.want)
		}
	}
}

func TestClampMSS(t *testing.T) {
	mss := func(v uint16) []byte { return []byte{2, 4, byte(v >> 8), byte(v)} }
	cat := func(parts ...[]byte) []byte {
		b := bytes.Join(parts, nil)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
		return b
	}
	for _, c := range []struct {
		name    string
		flags   byte
		options []byte
		want    uint16 // new value, 0 = untouched
	}{
		{"lowered", tcpFlagSYN, mss(1460), 1360},
		{"syn ack", tcpFlagSYN | 0x10, mss(1460), 1360},
		{"small enough", tcpFlagSYN, mss(1360), 0},
		{"after other options", tcpFlagSYN, cat([]byte{4, 2, 1, 1}, mss(1400)), 1360},
		{"at an odd offset", tcpFlagSYN, cat([]byte{1}, mss(1460), []byte{4, 2}), 1360},
		{"not a SYN", 0x10, mss(1460), 0},
		{"none", tcpFlagSYN, nil, 0},
		{"end before it", tcpFlagSYN, cat([]byte{0, 0, 0, 0}, mss(1460)), 0},
		{"option of length 0", tcpFlagSYN, []byte{8, 0, 2, 4}, 0},
		{"option beyond header", tcpFlagSYN, []byte{1, 1, 8, 10}, 0},
		{"length octet missing", tcpFlagSYN, []byte{1, 1, 1, 2}, 0},
		{"wrong length", tcpFlagSYN, []byte{2, 3, 0, 0}, 0},
	} {
		p := syn("10.0.0.1", "192.0.2.1", c.flags, c.options)
		before := bytes.Clone(p)
		if got := p.clampMSS(1400); got != (c.want != 0) {
			t.Errorf("%s: clamped %v", c.name, got)
			continue
		}
		if c.want == 0 {
			if !bytes.Equal(p, before) {
				t.Errorf("%s: packet changed", c.name)
			}
			continue
		}
		if tcp, at := p.synMSS(); at == 0 || binary.BigEndian.Uint16(tcp[at:]) != c.want {
			t.Errorf("%s: option not %d", c.name, c.want)
		}
		if got := binary.BigEndian.Uint16(p.payload()[16:]); got != tcpChecksum(p) {
			t.Errorf("%s: checksum %04x, want %04x", c.name, got, tcpChecksum(p))
		}
	}
	later := syn("10.0.0.1", "192.0.2.1", tcpFlagSYN, mss(1460))
	binary.BigEndian.PutUint16(later[6:], 10)
	if later.clampMSS(1400) {
		t.Error("looked for a TCP header in a later fragment")
	}
}

// The header of any length of options: never beyond the segment, whatever the octets are.
func FuzzClampMSS(f *testing.F) {
	f.Add([]byte(syn("10.0.0.1", "192.0.2.1", tcpFlagSYN, []byte{2, 4, 5, 0xb4})), 1400)
	f.Add([]byte(syn("10.0.0.1", "192.0.2.1", tcpFlagSYN, []byte{1, 2, 4, 5, 0xb4, 8, 10, 0})), 576)
	f.Fuzz(func(t *testing.T, b []byte, mtu int) {
		p, ok := parseIPv4(b)
		if !ok {
			return
		}
		mtu &= 0xffff
		before := tcpSum(p)
		if p.clampMSS(mtu) {
			// What the checksum said about the segment, right or wrong, it must say afterwards.
			if after := tcpSum(p); after != before {
				t.Fatalf("sum %04x became %04x", before, after)
			}
			if p.clampMSS(mtu) {
				t.Fatal("clamped twice")
			}
		}
	})
}

// tcpSum is the one's complement sum over the segment, with 0 and ffff as the same number.
func tcpSum(p packet) uint16 {
	if s := checksum(p.payload()); s != 0xffff {
		return s
	}
	return 0
}

func TestFragmentationNeeded(t *testing.T) {
	p := datagram("10.9.0.1", "10.0.0.2", 17, flagDontFragment, bytes.Repeat([]byte{7}, 1400))
	got, ok := parseIPv4(appendUnreachable(nil, p, addressOf(netip.MustParseAddr("10.0.0.254")), icmpFragNeeded, 1300))
	if !ok || checksum(got[:got.headerLen()]) != 0 || checksum(got.payload()) != 0 {
		t.Fatalf("malformed: % x", got)
	}
	icmp := got.payload()
	if got.destination().addr() != netip.MustParseAddr("10.9.0.1") || icmp[0] != 3 || icmp[1] != 4 || binary.BigEndian.Uint16(icmp[6:]) != 1300 {
		t.Fatalf("says something else: % x", got)
	}
	if !bytes.Equal(icmp[8:], p[:28]) {
		t.Fatalf("quotes % x", icmp[8:])
	}
}

func TestMayComplain(t *testing.T) {
	echo, unreachable := []byte{8, 0, 0, 0, 0, 0, 0, 0}, []byte{3, 1, 0, 0, 0, 0, 0, 0}
	for _, c := range []struct {
		name string
		p    packet
		want bool
	}{
		{"udp", datagram("10.0.0.1", "10.0.0.2", 17, 0, echo), true},
		{"echo", datagram("10.0.0.1", "10.0.0.2", 1, 0, echo), true},
		{"icmp error", datagram("10.0.0.1", "10.0.0.2", 1, 0, unreachable), false},
		{"empty icmp", datagram("10.0.0.1", "10.0.0.2", 1, 0, nil), false},
		{"later fragment", datagram("10.0.0.1", "10.0.0.2", 17, 5, echo), false},
		{"from nowhere", datagram("0.0.0.0", "10.0.0.2", 17, 0, echo), false},
		{"multicast", datagram("10.0.0.1", "224.0.0.1", 17, 0, echo), false},
	} {
		if got := c.p.mayComplain(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestUnroutable(t *testing.T) {
	for addr, want := range map[string]bool{
		"0.0.0.0": true, "0.1.2.3": true, "127.0.0.1": true, "224.0.0.251": true, "239.255.255.250": true, "240.0.0.1": true,
		"255.255.255.255": true, "10.0.0.1": false, "223.255.255.255": false, "126.1.1.1": false, "128.0.0.1": false,
	} {
		if got := addressOf(netip.MustParseAddr(addr)).unroutable(); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}

func TestFragment(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	options := []byte{0x82, 3, 9, 7, 3, 1, 1, 0} // one that is copied, one that is not, a no-op, the end
	for range 300 {
		payload := make([]byte, rng.IntN(3000))
		for i := range payload {
			payload[i] = byte(rng.Uint32())
		}
		mtu := minimumIPv4MTU + rng.IntN(1500)
		flags := uint16(rng.IntN(100))
		if rng.IntN(2) == 0 {
			flags |= flagMore
			payload = payload[:len(payload)&^7]
		}
		p := datagram("10.0.0.1", "10.0.0.2", 17, flags, payload)
		if rng.IntN(2) == 0 {
			q := append(bytes.Clone(p[:20]), options...)
			q[0] = 0x47
			p = append(q, payload...)
			binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		}
		reassemble(t, p, mtu)
	}
}

func reassemble(t *testing.T, p packet, mtu int) {
	t.Helper()
	var f fragmenter
	f.start(p, mtu)
	got, more, first := []byte{}, true, true
	buf := make([]byte, mtu)
	for n := f.next(buf); n > 0; n = f.next(buf) {
		q, ok := parseIPv4(buf[:n])
		if !ok || checksum(q[:q.headerLen()]) != 0 {
			t.Fatalf("mtu %d: malformed fragment % x", mtu, buf[:min(n, 60)])
		}
		if int(q.fragment()&fragmentOffset)*8 != int(p.fragment()&fragmentOffset)*8+len(got) {
			t.Fatalf("mtu %d: offset %d after %d octets", mtu, q.fragment()&fragmentOffset, len(got))
		}
		if first && q.headerLen() != p.headerLen() || !first && p.headerLen() == 28 && q.headerLen() != 24 {
			t.Fatalf("header of %d octets, first is %v", q.headerLen(), first)
		}
		if !more {
			t.Fatal("fragment after the last one")
		}
		got, more, first = append(got, q.payload()...), q.fragment()&flagMore != 0, false
	}
	if !bytes.Equal(got, p.payload()) || len(got) > 0 && more != (p.fragment()&flagMore != 0) {
		t.Fatalf("mtu %d: %d octets became %d, more fragments %v", mtu, len(p.payload()), len(got), more)
	}
}
