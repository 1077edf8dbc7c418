package peer

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/ppp"
)

// upPeer is a server whose network is up without encryption, and the frames it sends.
func upPeer(t testing.TB) *Peer {
	t.Helper()
	client, server := inClear()
	w := newWire(t, client, server)
	w.up()
	p := w.server.p
	p.Actions()
	return p
}

func sentPackets(t testing.TB, p *Peer) (out []ip) {
	t.Helper()
	for _, a := range p.Actions() {
		s, ok := a.(Send)
		if !ok || !s.Data {
			continue
		}
		proto, info, err := ppp.Split(s.Frame)
		packet, good := parseIP(info)
		if err != nil || proto != ppp.IPv4 || !good {
			t.Fatalf("sent % x", s.Frame)
		}
		out = append(out, packet)
	}
	return out
}

func frameOf(packet ip) []byte { return packet.append([]byte{0x00, 0x21}) }

func echoRequest(data string) []byte {
	m := append([]byte{icmpEchoRequest, 0, 0, 0, 0x12, 0x34, 0, 1}, data...)
	binary.BigEndian.PutUint16(m[2:], checksum(m, 0))
	return m
}

func toServer(protocol byte, payload []byte) ip {
	return ip{source: clientAddress, destination: serverAddress, protocol: protocol, hops: 5, identification: 9, payload: payload}
}

func udpFrom(from, to uint16, data string, summed bool) []byte {
	m := binary.BigEndian.AppendUint16(nil, from)
	m = binary.BigEndian.AppendUint16(m, to)
	m = binary.BigEndian.AppendUint16(m, uint16(udpHeader+len(data)))
	m = append(append(m, 0, 0), data...)
	if summed {
		binary.BigEndian.PutUint16(m[6:], checksum(m, pseudo(clientAddress, serverAddress, protocolUDP, len(m))))
	}
	return m
}

// TestPacketsIn gives the host one packet and looks at what it counts and answers.
func TestPacketsIn(t *testing.T) {
	good := toServer(protocolICMP, echoRequest("abc"))
	change := func(f func(b []byte) []byte) []byte { return f(good.append(nil)) }
	fixed := func(f func(b []byte)) []byte { // with a good header checksum
		b := good.append(nil)
		f(b)
		b[10], b[11] = 0, 0
		binary.BigEndian.PutUint16(b[10:], checksum(b[:ipHeader], 0))
		return b
	}
	withUDP := func(m []byte) []byte { return toServer(protocolUDP, m).append(nil) }
	for _, v := range []struct {
		name    string
		packet  []byte
		want    Counters // Sent and Received left out
		answers int
	}{
		{"echo request", good.append(nil), Counters{EchoesAnswered: 1}, 1},
		{"padding", change(func(b []byte) []byte { return append(b, 0, 0, 0) }), Counters{EchoesAnswered: 1}, 1},
		{"options", func() []byte {
			b := good.append(nil)
			b = append(append(bytes.Clone(b[:ipHeader]), 1, 1, 1, 0), b[ipHeader:]...)
			b[0], b[3] = 0x46, b[3]+4
			b[10], b[11] = 0, 0
			binary.BigEndian.PutUint16(b[10:], checksum(b[:24], 0))
			return b
		}(), Counters{EchoesAnswered: 1}, 1},
		{"empty", nil, Counters{Malformed: 1}, 0},
		{"short", change(func(b []byte) []byte { return b[:19] }), Counters{Malformed: 1}, 0},
		{"version 6", fixed(func(b []byte) { b[0] = 0x65 }), Counters{Malformed: 1}, 0},
		{"header too short", fixed(func(b []byte) { b[0] = 0x44 }), Counters{Malformed: 1}, 0},
		{"header too long", fixed(func(b []byte) { b[0] = 0x4F }), Counters{Malformed: 1}, 0},
		{"length beyond the end", fixed(func(b []byte) { b[3]++ }), Counters{Malformed: 1}, 0},
		{"length within the header", fixed(func(b []byte) { b[3] = 19 }), Counters{Malformed: 1}, 0},
		{"header checksum", change(func(b []byte) []byte { b[8]++; return b }), Counters{Malformed: 1}, 0},
		{"beyond 64 KiB", fixed(func(b []byte) { b[6], b[7] = 0x1F, 0xFF }), Counters{Malformed: 1}, 0},
		{"other host", fixed(func(b []byte) { b[19]++ }), Counters{Foreign: 1}, 0},
		{"from multicast", fixed(func(b []byte) { b[12] = 224 }), Counters{Foreign: 1}, 0},
		{"from nowhere", fixed(func(b []byte) { copy(b[12:], make([]byte, 4)) }), Counters{Foreign: 1}, 0},
		{"unknown protocol", fixed(func(b []byte) { b[9] = 99 }), Counters{}, 0},
		{"ICMP checksum", change(func(b []byte) []byte { b[len(b)-1]++; return b }), Counters{Malformed: 1}, 0},
		{"ICMP short", toServer(protocolICMP, []byte{8, 0, 0xF7, 0xFF}).append(nil), Counters{Malformed: 1}, 0},
		{"unreachable, short", toServer(protocolICMP, []byte{3, 3, 0xFC, 0xFC, 0, 0, 0, 0}).append(nil), Counters{Malformed: 1}, 0},
		{"reply to nothing", toServer(protocolICMP, []byte{0, 0, 0xED, 0xCA, 0x12, 0x34, 0, 1}).append(nil), Counters{}, 0},
		{"UDP echo", withUDP(udpFrom(1000, 7, "hello", true)), Counters{EchoesAnswered: 1}, 1},
		{"UDP echo without checksum", withUDP(udpFrom(1000, 7, "hello", false)), Counters{EchoesAnswered: 1}, 1},
		{"echo of an echo", withUDP(udpFrom(7, 7, "hello", true)), Counters{Unreachable: 1}, 1},
		{"UDP to nobody", withUDP(udpFrom(1000, 53, "hello", true)), Counters{Unreachable: 1}, 1},
		{"UDP short", withUDP([]byte{1, 2, 3}), Counters{Malformed: 1}, 0},
		{"UDP checksum", withUDP(append(udpFrom(1000, 7, "hello", true)[:12], 'O')), Counters{Malformed: 1}, 0},
		{"UDP too long", withUDP(udpFrom(1000, 7, "hello", false)[:12]), Counters{Malformed: 1}, 0},
		{"UDP length in its header", withUDP([]byte{1, 2, 0, 7, 0, 7, 0, 0}), Counters{Malformed: 1}, 0},
	} {
		p := upPeer(t)
		p.Receive(epoch, append([]byte{0xFF, 0x03, 0x00, 0x21}, v.packet...), 0)
		answers := sentPackets(t, p)
		got := p.Counters()
		got.SentPackets, got.SentOctets, got.ReceivedPackets, got.ReceivedOctets = 0, 0, 0, 0
		if got != v.want || len(answers) != v.answers {
			t.Errorf("%s: %+v, %d answers", v.name, got, len(answers))
		}
	}
}

func TestEchoReplyOnTheWire(t *testing.T) {
	p := upPeer(t)
	p.Receive(epoch, frameOf(toServer(protocolICMP, echoRequest("abc"))), 0)
	a := sentPackets(t, p)[0]
	if a.source != serverAddress || a.destination != clientAddress || a.hops != 64 || a.protocol != protocolICMP {
		t.Errorf("%+v", a)
	}
	want := []byte{0, 0, 0, 0, 0x12, 0x34, 0, 1, 'a', 'b', 'c'}
	binary.BigEndian.PutUint16(want[2:], checksum(want, 0))
	if !bytes.Equal(a.payload, want) {
		t.Errorf("% x", a.payload)
	}
	p.Receive(epoch, frameOf(toServer(protocolUDP, udpFrom(1000, 99, "hello", true))), 0)
	a = sentPackets(t, p)[0]
	quoted := toServer(protocolUDP, udpFrom(1000, 99, "hello", true)).append(nil)[:28]
	if a.payload[0] != 3 || a.payload[1] != 3 || !bytes.Equal(a.payload[8:], quoted) {
		t.Errorf("% x", a.payload)
	}
}

func TestDataOfOtherProtocols(t *testing.T) {
	p := upPeer(t)
	p.Receive(epoch, []byte{0xFF, 0x03, 0x00, 0x57, 0x60}, 0)
	p.Receive(epoch, []byte{0xFD, 0x90, 0x00, 1, 2, 3}, 0) // encrypted, and nobody agreed on it
	if c := p.Counters(); c.OtherProtocols != 2 {
		t.Errorf("%+v", c)
	}
	w := newWire(t, clientConfig(), serverConfig())
	w.up()
	w.server.p.Receive(w.now, frameOf(toServer(protocolICMP, echoRequest("abc"))), 0)
	w.server.p.Receive(w.now, []byte{0xFD, 0x80, 0x00, 1}, 0)
	w.client.p.Actions()
	if c := w.server.p.Counters(); c.InClear != 1 || c.Undecrypted != 1 || c.EchoesAnswered != 0 || w.server.p.Decryption().NotEncrypted != 1 {
		t.Errorf("%+v", c)
	}
}

// cut is a datagram to the server in fragments.
func cut(payload []byte, sizes ...int) (out []ip) {
	offset := 0
	for i, n := range sizes {
		f := toServer(protocolUDP, payload[offset:offset+n])
		f.offset, f.more = offset, i < len(sizes)-1
		out = append(out, f)
		offset += n
	}
	return out
}

func TestReassembly(t *testing.T) {
	whole := udpFrom(1000, 7, strings.Repeat("0123456789", 10), true) // 108 octets
	f := cut(whole, 40, 40, 28)
	late := f[1]
	late.identification = 10
	overlap := toServer(protocolUDP, whole[32:72])
	overlap.offset, overlap.more = 32, true
	odd := toServer(protocolUDP, whole[40:75])
	odd.offset, odd.more = 40, true
	end := toServer(protocolUDP, whole[80:96])
	end.offset = 80
	beyond := toServer(protocolUDP, make([]byte, 40))
	beyond.offset, beyond.more = 104, true
	for _, v := range []struct {
		name    string
		in      []ip
		answers int
		dropped uint64
		left    int // datagrams that are not whole
	}{
		{"in order", f, 1, 0, 0},
		{"backwards", []ip{f[2], f[1], f[0]}, 1, 0, 0},
		{"copies", []ip{f[2], f[2], f[0], f[0], f[1]}, 1, 0, 0},
		{"one missing", []ip{f[0], f[2]}, 0, 0, 1},
		{"of another datagram", []ip{f[0], late, f[2]}, 0, 0, 2},
		{"overlap from behind", []ip{f[0], overlap}, 0, 2, 0},
		{"overlap from before", []ip{f[1], overlap}, 0, 2, 0},
		{"same place, other length", []ip{f[1], odd}, 0, 2, 0},
		{"odd length", []ip{odd}, 0, 1, 0},
		{"empty", []ip{{source: clientAddress, destination: serverAddress, protocol: protocolUDP, identification: 9, more: true}}, 0, 1, 0},
		{"two ends", []ip{f[2], end}, 0, 2, 0},
		{"beyond the end", []ip{f[2], beyond}, 0, 2, 0},
		{"the end within", []ip{beyond, f[2]}, 0, 2, 0},
	} {
		p := upPeer(t)
		for _, x := range v.in {
			p.Receive(epoch, frameOf(x), 0)
		}
		answers := sentPackets(t, p)
		if s := p.State(); len(answers) != v.answers || s.Counters.FragmentsDropped != v.dropped || len(s.Partial) != v.left {
			t.Errorf("%s: %d answers, %d dropped, %d left", v.name, len(answers), s.Counters.FragmentsDropped, len(s.Partial))
		}
	}
}

func TestReassemblyIsBounded(t *testing.T) {
	p := upPeer(t)
	for n := range 20 {
		f := toServer(protocolUDP, make([]byte, 8))
		f.identification, f.more = uint16(n), true
		p.Receive(epoch, frameOf(f), 0)
	}
	if s := p.State(); len(s.Partial) != maxPartial || s.Partial[0].Identification != 12 || s.Counters.FragmentsDropped != 12 {
		t.Errorf("%d, %+v", len(s.Partial), s.Counters)
	}
	// Old ones go when the next fragment comes.
	f := toServer(protocolUDP, make([]byte, 8))
	f.identification, f.more = 99, true
	p.Receive(epoch.Add(partialTime+time.Second), frameOf(f), 0)
	if s := p.State(); len(s.Partial) != 1 || s.Counters.FragmentsDropped != 20 {
		t.Errorf("%d, %+v", len(s.Partial), s.Counters)
	}
	for n := range 100 {
		f.offset = 16 * n
		p.Receive(epoch.Add(partialTime+time.Second), frameOf(f), 0)
	}
	if s := p.State(); len(s.Partial) > 1 || len(s.Partial) == 1 && len(s.Partial[0].Pieces) > maxPieces {
		t.Errorf("%+v", s.Partial)
	}
}

// TestFragmentsOnTheWire: no packet is longer than the MTU, and all but the last of a
// datagram are a multiple of 8 octets.
func TestFragmentsOnTheWire(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 100 {
		p := upPeer(t)
		mtu, size := 68+rng.IntN(1500), rng.IntN(4000)
		p.s.Network.MTU = uint16(mtu)
		p.cfg.Queue = 1000
		data := make([]byte, size)
		if err := p.SendUDP(epoch, 1, netip.AddrPortFrom(clientAddress, 2), data); err != nil {
			t.Fatal(err)
		}
		all := sentPackets(t, p)
		offset := 0
		for i, f := range all {
			if len(f.payload)+ipHeader > mtu || f.offset != offset || f.more != (i < len(all)-1) || f.more && len(f.payload)%8 != 0 {
				t.Fatalf("seed %d: MTU %d, %d octets: fragment %d of %d at %d", seed, mtu, size, i, len(f.payload), f.offset)
			}
			offset += len(f.payload)
		}
		if offset != size+udpHeader {
			t.Fatalf("seed %d: %d octets of %d", seed, offset, size)
		}
	}
}

// FuzzReceive gives a host whose network is up anything, as a frame and as an IP
// packet with a good checksum.
func FuzzReceive(f *testing.F) {
	f.Add(frameOf(toServer(protocolICMP, echoRequest("abc"))), true)
	f.Add(frameOf(toServer(protocolUDP, udpFrom(1000, 7, "hello", true))), true)
	f.Add([]byte{0xFF, 0x03, 0xC0, 0x21, 1, 1, 0, 4}, false)
	f.Add([]byte{0x80, 0x21, 1, 1, 0, 4}, false)
	f.Add([]byte{0xFD, 0x90, 0x00, 1, 2, 3}, false)
	for _, x := range cut(udpFrom(1, 7, strings.Repeat("x", 100), true), 40, 40, 28) {
		f.Add(frameOf(x), true)
	}
	client, server := inClear()
	w := newWire(f, client, server)
	w.up()
	start(f, w.server, w.now, Probe{Count: 5, Window: 5, Size: 10})
	start(f, w.server, w.now, Probe{Kind: UDPEcho, Count: 5, Window: 5, Size: 10})
	w.server.p.Actions()
	state := w.server.p.State()
	f.Fuzz(func(t *testing.T, frame []byte, mend bool) {
		p, err := Restore(server, state)
		if err != nil {
			t.Fatal(err)
		}
		if at := 2 + ipHeader; mend && len(frame) >= at {
			frame = bytes.Clone(frame)
			frame[0], frame[1], frame[2] = 0x00, 0x21, 0x45
			copy(frame[2+16:], []byte{10, 9, 0, 1})
			frame[2+10], frame[2+11] = 0, 0
			binary.BigEndian.PutUint16(frame[2+10:], checksum(frame[2:at], 0))
		}
		kept := bytes.Clone(frame)
		for n := range 3 {
			p.Receive(w.now.Add(time.Duration(n)*time.Second), frame, uint32(n))
			out := p.Actions()
			if len(out) > 20 {
				t.Fatalf("%d actions for one frame", len(out))
			}
		}
		if !bytes.Equal(frame, kept) {
			t.Fatal("the frame was written to")
		}
		if _, err := Restore(server, p.State()); err != nil {
			t.Fatal(err)
		}
	})
}

// BenchmarkPing is a ping with MPPE through both ends, all in.
func BenchmarkPing(b *testing.B) {
	w := newWire(b, clientConfig(), serverConfig())
	w.up()
	for b.Loop() {
		if _, err := w.client.p.Ping(w.now, netip.Addr{}, 64); err != nil {
			b.Fatal(err)
		}
		for _, x := range [][2]*end{{w.client, w.server}, {w.server, w.client}} {
			for _, a := range x[0].p.Actions() {
				if s, ok := a.(Send); ok {
					x[1].p.Receive(w.now, s.Frame, 0)
				}
			}
		}
		w.client.p.Actions()
	}
}

// BenchmarkCall is a whole call from LCP to the first ping, both ends.
func BenchmarkCall(b *testing.B) {
	for b.Loop() {
		w := newWire(b, clientConfig(), serverConfig())
		w.up()
	}
}
