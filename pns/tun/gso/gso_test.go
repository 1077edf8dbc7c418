package gso

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// shape is what a packet of the tests is made of.
type shape struct {
	udp, fragmentable  bool
	port, id           uint16
	sequence           uint32
	flags, tos         byte
	payload, options   int
	acknowledged       uint32
	damaged, shortened bool
}

// packet makes it, with good checksums.
func (s shape) packet() []byte {
	header := ipHeader + udpHeader
	if !s.udp {
		header = ipHeader + tcpHeader + s.options
	}
	p := make([]byte, header+s.payload)
	p[0], p[1], p[8], p[9] = 0x45, s.tos, 63, protocolUDP
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	binary.BigEndian.PutUint16(p[4:], s.id)
	if !s.fragmentable {
		p[6] = 0x40
	}
	copy(p[12:], []byte{10, 97, 0, 2, 192, 0, 2, 1})
	t := p[ipHeader:]
	binary.BigEndian.PutUint16(t, s.port)
	binary.BigEndian.PutUint16(t[2:], 443)
	field := udpChecksum
	if s.udp {
		binary.BigEndian.PutUint16(t[udpLength:], uint16(len(t)))
	} else {
		p[9], field = protocolTCP, tcpChecksum
		binary.BigEndian.PutUint32(t[tcpSequence:], s.sequence)
		binary.BigEndian.PutUint32(t[tcpAcknowledged:], s.acknowledged)
		t[tcpOffset], t[tcpFlags], t[tcpWindow] = byte(tcpHeader+s.options)/4<<4, s.flags, 0x10
		for i := range s.options {
			t[tcpHeader+i] = 1
		}
	}
	for i := range s.payload {
		p[header+i] = byte(int(s.sequence) + int(s.id) + i)
	}
	putIPChecksum(p[:ipHeader])
	putChecksum(t[field:], fold(sum(t, pseudo(p, p[9], len(t)))))
	if s.damaged {
		p[len(p)-1] ^= 0x55
	}
	if s.shortened {
		p = p[:len(p)-1]
	}
	return p
}

// whole makes of a run what the kernel gets.
func whole(m *Merger, r *Run, packets [][]byte) []byte {
	var room [MaxHeaders]byte
	n, each := r.Headers(packets[r.First], room[:])
	out := append([]byte(nil), room[:n]...)
	for i, left := r.First, r.Count; left > 0; i, left = m.Next(i), left-1 {
		out = append(out, packets[i][each:]...)
	}
	return out
}

// apart cuts what the kernel got.
func apart(t *testing.T, b []byte) (packets [][]byte) {
	t.Helper()
	var s Splitter
	if err := s.Start(b); err != nil {
		t.Fatal(err)
	}
	for {
		buf := make([]byte, 2000)
		n := s.Next(buf)
		if n == 0 {
			return packets
		}
		packets = append(packets, buf[:n])
	}
}

// same tells whether two packets are alike but for a number that means nothing in a packet that may not be fragmented (RFC 6864).
func same(a, b []byte) bool {
	if len(a) == len(b) && len(a) > ipHeader && a[6]&0x40 != 0 {
		a, b = bytes.Clone(a), bytes.Clone(b)
		for _, p := range [][]byte{a, b} {
			p[4], p[5] = 0, 0
			putIPChecksum(p[:ipHeader])
		}
	}
	return bytes.Equal(a, b)
}

func TestWhatIsPutTogether(t *testing.T) {
	tcp := func(n int, change func(*shape)) shape {
		s := shape{port: 7, id: uint16(100 + n), sequence: uint32(1000 * n), flags: tcpACK, payload: 1000, options: 12}
		if change != nil {
			change(&s)
		}
		return s
	}
	udp := func(n int, change func(*shape)) shape {
		s := shape{udp: true, port: 7, id: uint16(100 + n), payload: 100}
		if change != nil {
			change(&s)
		}
		return s
	}
	push := func(s *shape) { s.flags |= tcpPSH }
	for _, c := range []struct {
		what   string
		shapes []shape
		want   [][]int
	}{
		{"segments", []shape{tcp(0, nil), tcp(1, nil), tcp(2, nil)}, [][]int{{0, 1, 2}}},
		{"the last is shorter", []shape{tcp(0, nil), tcp(1, func(s *shape) { s.payload = 10 }), tcp(2, nil)}, [][]int{{0, 1}, {2}}},
		{"a longer one", []shape{tcp(0, nil), tcp(1, func(s *shape) { s.payload = 1001 })}, [][]int{{0}, {1}}},
		{"the last is pushed", []shape{tcp(0, nil), tcp(1, push), tcp(2, nil)}, [][]int{{0, 1}, {2}}},
		{"the first is pushed", []shape{tcp(0, push), tcp(1, nil), tcp(2, nil)}, [][]int{{0}, {1, 2}}},
		{"one is missing", []shape{tcp(0, nil), tcp(2, nil), tcp(3, nil)}, [][]int{{0}, {1, 2}}},
		{"one comes twice", []shape{tcp(0, nil), tcp(0, nil), tcp(1, nil)}, [][]int{{0}, {1, 2}}},
		{"another acknowledgement", []shape{tcp(0, nil), tcp(1, func(s *shape) { s.acknowledged = 1 })}, [][]int{{0}, {1}}},
		{"an acknowledgement between", []shape{tcp(0, nil), tcp(1, func(s *shape) { s.payload = 0 }), tcp(1, nil)}, [][]int{{0}, {1}, {2}}},
		{"the end of the connection", []shape{tcp(0, nil), tcp(1, func(s *shape) { s.flags |= tcpFIN }), tcp(2, nil)}, [][]int{{0}, {1}, {2}}},
		{"other options", []shape{tcp(0, nil), tcp(1, func(s *shape) { s.options = 0 })}, [][]int{{0}, {1}}},
		{"another mark of congestion", []shape{tcp(0, nil), tcp(1, func(s *shape) { s.tos = 3 })}, [][]int{{0}, {1}}},
		{"damaged", []shape{tcp(0, nil), tcp(1, func(s *shape) { s.damaged = true }), tcp(2, nil)}, [][]int{{0}, {1}, {2}}},
		{"the first is damaged", []shape{tcp(0, func(s *shape) { s.damaged = true }), tcp(1, nil), tcp(2, nil)}, [][]int{{0}, {1, 2}}},
		{"two connections", []shape{tcp(0, nil), tcp(5, func(s *shape) { s.port = 8 }), tcp(1, nil), tcp(6, func(s *shape) { s.port = 8 })}, [][]int{{0, 2}, {1, 3}}},
		{"something unknown between", []shape{tcp(0, nil), tcp(1, func(s *shape) { s.shortened = true }), tcp(1, nil)}, [][]int{{0}, {1}, {2}}},
		{"numbered", []shape{tcp(0, func(s *shape) { s.fragmentable = true }), tcp(1, func(s *shape) { s.fragmentable = true })}, [][]int{{0, 1}}},
		{"numbered otherwise", []shape{tcp(0, func(s *shape) { s.fragmentable = true }), tcp(1, func(s *shape) { s.fragmentable, s.id = true, 0 })}, [][]int{{0}, {1}}},
		{"datagrams", []shape{udp(0, nil), udp(1, nil), udp(2, func(s *shape) { s.payload = 99 }), udp(3, nil)}, [][]int{{0, 1, 2}, {3}}},
		{"an empty datagram", []shape{udp(0, nil), udp(1, func(s *shape) { s.payload = 0 }), udp(2, nil)}, [][]int{{0}, {1}, {2}}},
		{"datagrams of two", []shape{udp(0, nil), udp(1, func(s *shape) { s.port = 8 }), udp(2, nil)}, [][]int{{0, 2}, {1}}},
	} {
		var packets [][]byte
		for _, s := range c.shapes {
			packets = append(packets, s.packet())
		}
		var m Merger
		var got [][]int
		for _, r := range m.Group(packets, true) {
			var run []int
			for i, left := r.First, r.Count; left > 0; i, left = m.Next(i), left-1 {
				run = append(run, i)
			}
			got = append(got, run)
			if r.Count == 1 {
				continue
			}
			for k, p := range apart(t, whole(&m, &r, packets)) {
				if !same(p, packets[run[k]]) {
					t.Errorf("%s: %d became\n% x, not\n% x", c.what, run[k], p, packets[run[k]])
				}
			}
		}
		if !equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

func equal(a, b [][]int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if len(a[i]) != len(b[i]) {
			return false
		}
		for k := range a[i] {
			if a[i][k] != b[i][k] {
				return false
			}
		}
	}
	return true
}

func TestRunsAreBounded(t *testing.T) {
	var packets [][]byte
	for n := range 100 {
		packets = append(packets, shape{port: 7, id: uint16(n), sequence: uint32(1400 * n), flags: tcpACK, payload: 1400}.packet())
	}
	for n := range 100 {
		packets = append(packets, shape{udp: true, port: 7, id: uint16(n), payload: 20}.packet())
	}
	var m Merger
	if runs := m.Group(packets, true); len(runs) != 5 || runs[0].Count != 46 || runs[3].Count != 64 {
		t.Errorf("runs %+v", runs)
	}
	if runs := m.Group(packets, false); len(runs) != 103 {
		t.Errorf("datagrams were put together unasked: %d runs", len(runs))
	}
}

// A packet that stands for itself passes as it is, but for the checksum that the kernel has left to us.
func TestSinglePacket(t *testing.T) {
	want := shape{udp: true, payload: 11}.packet()
	for name, v := range map[string]virtio{"whole": {}, "without checksum": {flags: flagNeedsChecksum, checksumStart: ipHeader, checksumFromStart: udpChecksum}} {
		p := bytes.Clone(want)
		if v.flags != 0 {
			binary.BigEndian.PutUint16(p[ipHeader+udpChecksum:], fold(pseudo(p, protocolUDP, len(p)-ipHeader)))
		}
		b := append(make([]byte, HeaderLength), p...)
		v.put(b)
		if got := apart(t, b); len(got) != 1 || !bytes.Equal(got[0], want) {
			t.Errorf("%s: % x", name, got)
		}
	}
}

func TestPacketLongerThanTheBufferIsPassedOver(t *testing.T) {
	var m Merger
	packets := [][]byte{shape{port: 7, flags: tcpACK, payload: 100}.packet(), shape{port: 7, flags: tcpACK, sequence: 100, payload: 50}.packet()}
	runs := m.Group(packets, false)
	var s Splitter
	if err := s.Start(whole(&m, &runs[0], packets)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n := s.Next(buf); n != 140 || !bytes.Equal(buf, make([]byte, 100)) {
		t.Errorf("%d, % x", n, buf)
	}
	if n := s.Next(buf); n != 90 || !same(buf[:90], packets[1]) || s.Next(buf) != 0 {
		t.Errorf("%d, % x", n, buf)
	}
}

// Whatever a batch is: each packet is in one run, flows keep their order, and a run becomes again what it was made of.
func FuzzMergeAndSplit(f *testing.F) {
	f.Add(uint64(1), uint8(64))
	f.Add(uint64(2), uint8(200))
	f.Fuzz(func(t *testing.T, seed uint64, count uint8) {
		r := rand.New(rand.NewPCG(seed, 0))
		var next [3]uint32
		var packets [][]byte
		for n := range int(count) {
			flow := r.IntN(3)
			s := shape{
				udp: flow == 2, port: uint16(flow), id: uint16(n), sequence: next[flow], flags: tcpACK, payload: 100, options: 12,
				fragmentable: r.IntN(20) == 0, damaged: r.IntN(30) == 0, shortened: r.IntN(40) == 0,
			}
			for _, change := range []func(){
				func() { s.payload = r.IntN(102) }, func() { s.flags |= byte(r.IntN(256)) }, func() { s.sequence = r.Uint32() },
				func() { s.acknowledged = 1 }, func() { s.options = 4 * r.IntN(11) }, func() { s.tos = 1 },
			} {
				if r.IntN(25) == 0 {
					change()
				}
			}
			next[flow] = s.sequence + uint32(s.payload)
			packets = append(packets, s.packet())
		}
		checkRuns(t, packets)
	})
}

func checkRuns(t *testing.T, packets [][]byte) {
	t.Helper()
	var m Merger
	seen := make(map[int]bool)
	last := make(map[string]int) // of each flow, in the order of writing
	for _, r := range m.Group(packets, true) {
		parts := [][]byte{packets[r.First]}
		if r.Count > 1 {
			parts = apart(t, whole(&m, &r, packets))
		}
		if len(parts) != r.Count {
			t.Fatalf("a run of %d became %d packets", r.Count, len(parts))
		}
		i := r.First
		for k := range r.Count {
			p := packets[i]
			if !same(parts[k], p) {
				t.Fatalf("packet %d became\n% x, not\n% x", i, parts[k], p)
			}
			flow := string(p[9:10]) + string(p[12:24])
			if before, ok := last[flow]; seen[i] || ok && before > i {
				t.Fatalf("packet %d comes after %d", i, before)
			}
			seen[i], last[flow] = true, i
			i = m.Next(i)
		}
	}
	if len(seen) != len(packets) {
		t.Fatalf("%d of %d packets are in runs", len(seen), len(packets))
	}
}

// Nothing that the kernel or a client can say is too much.
func FuzzAnything(f *testing.F) {
	f.Add(append(make([]byte, HeaderLength), shape{port: 7, flags: tcpACK, payload: 100}.packet()...), uint16(64))
	f.Fuzz(func(t *testing.T, b []byte, room uint16) {
		var s Splitter
		if s.Start(bytes.Clone(b)) == nil {
			buf := make([]byte, room)
			for total := 0; ; {
				n := s.Next(buf)
				if n == 0 {
					break
				}
				if total += n; total > len(b)*(maxHeader+41) {
					t.Fatalf("%d octets became more than %d", len(b), total)
				}
			}
		}
		var m Merger
		packets := [][]byte{b, b[:len(b)/2], b, shape{port: 7, flags: tcpACK, payload: 100}.packet(), b}
		total := 0
		for _, r := range m.Group(packets, true) {
			if total += r.Count; r.Count > 1 {
				whole(&m, &r, packets)
			}
		}
		if total != len(packets) {
			t.Fatalf("%d packets in runs", total)
		}
	})
}

func TestNothingAllocates(t *testing.T) {
	var packets [][]byte
	for n := range 64 {
		packets = append(packets, shape{port: uint16(n % 3), sequence: uint32(n / 3 * 100), id: uint16(n), flags: tcpACK, payload: 100}.packet())
	}
	var m Merger
	var room [MaxHeaders]byte
	runs := m.Group(packets, true)
	b := whole(&m, &runs[0], packets)
	buf := make([]byte, 2000)
	var s Splitter
	if n := testing.AllocsPerRun(10, func() {
		for _, r := range m.Group(packets, true) {
			r.Headers(packets[r.First], room[:])
		}
		if s.Start(b) != nil {
			t.Fatal("damaged")
		}
		for s.Next(buf) > 0 {
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSplit(b *testing.B) {
	var packets [][]byte
	for n := range 46 {
		packets = append(packets, shape{port: 7, id: uint16(n), sequence: uint32(1360 * n), flags: tcpACK, payload: 1360}.packet())
	}
	var m Merger
	runs := m.Group(packets, false)
	run := whole(&m, &runs[0], packets)
	buf := make([]byte, 2000)
	var s Splitter
	for b.Loop() {
		if s.Start(run) != nil {
			b.Fatal("damaged")
		}
		for s.Next(buf) > 0 {
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(packets)), "ns/packet")
}

func BenchmarkMerge(b *testing.B) {
	var packets [][]byte
	for n := range 46 {
		packets = append(packets, shape{port: 7, id: uint16(n), sequence: uint32(1360 * n), flags: tcpACK, payload: 1360}.packet())
	}
	var m Merger
	for b.Loop() {
		if len(m.Group(packets, false)) != 1 {
			b.Fatal("not one run")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(packets)), "ns/packet")
}
