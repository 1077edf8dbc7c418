package link

import (
	"runtime"
	"testing"
	"time"

	"trunkline.example/shared/ppp/auth"
)

// A whole call: both sides from Up to NetworkUp, with MS-CHAPv2 and MPPE.
func BenchmarkSetUp(b *testing.B) {
	b.ReportAllocs()
	for range b.N {
		s := newSim(b, serverConfig(auth.MSCHAPv2), clientConfig(auth.MSCHAPv2))
		s.start()
		s.mustUp(10 * time.Second)
	}
}

// Writing a live link out and reading it back, without the encoding.
func BenchmarkStateRestore(b *testing.B) {
	s := newSim(b, serverConfig(auth.MSCHAPv2), clientConfig(auth.MSCHAPv2))
	s.start()
	s.mustUp(10 * time.Second)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Restore(serverConfig(auth.MSCHAPv2), s.server.l.State()); err != nil {
			b.Fatal(err)
		}
	}
}

// An Echo-Request and its reply, the only frames of an idle call.
func BenchmarkEcho(b *testing.B) {
	s := newSim(b, serverConfig(auth.MSCHAPv2), clientConfig(auth.MSCHAPv2))
	s.start()
	s.mustUp(10 * time.Second)
	echo := control(0xC021, 9, 1, 9, 9, 9, 9)
	b.ReportAllocs()
	for b.Loop() {
		s.server.l.Receive(s.now, echo)
		s.server.l.Actions()
	}
}

// What a server's link keeps while its call is only held up, in B/link.
func BenchmarkIdleMemory(b *testing.B) {
	const links = 200
	plan := NewPlan(serverConfig(auth.MSCHAPv2))
	for range b.N {
		var held [links]*Link
		before := liveMemory()
		for i := range held {
			s := newSim(b, serverConfig(auth.MSCHAPv2), clientConfig(auth.MSCHAPv2))
			s.server.l = plan.New(epoch, [32]byte{byte(i), 99})
			s.start()
			s.mustUp(10 * time.Second)
			held[i] = s.server.l
		}
		b.ReportMetric(float64(liveMemory()-before)/links, "B/link")
		runtime.KeepAlive(&held)
	}
}

// liveMemory is what is allocated and in use, in octets.
func liveMemory() int64 {
	var m runtime.MemStats
	for range 2 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Describe is safe on anything.
func FuzzDescribe(f *testing.F) {
	f.Add(control(0xC021, 1, 1, 1, 4, 5, 0x78, 3, 5, 0xC2, 0x23, 0x81))
	f.Add(control(0x80FD, 3, 1, 18, 6, 1, 0, 0, 0x40))
	f.Add(control(0xC021, 8, 1, 0x80, 0xFD))
	f.Add([]byte{0xC2, 0x23, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if Describe(b) == "" {
			t.Errorf("%x: nothing", b)
		}
	})
}

func TestDescribe(t *testing.T) {
	for _, c := range []struct {
		frame []byte
		want  string
	}{
		{control(0xC021, 1, 7, 1, 4, 5, 0x78, 2, 6, 0, 0x0A, 0, 0, 3, 4, 0xC0, 0x23, 5, 6, 1, 2, 3, 4, 7, 2, 8, 2, 99, 3, 1),
			"LCP Configure-Request 7 <MRU 1400> <ACCM 000a0000> <authenticate by PAP> <magic 01020304> <PFC> <ACFC> <option 99 01>"},
		{control(0xC021, 5, 7, 'b', 'y', 'e', 0), `LCP Terminate-Request 7 "bye?"`},
		{control(0xC021, 7, 7, 12, 1, 0, 4), "LCP Code-Reject 7 of Identification"},
		{control(0x80FD, 1, 1, 21, 3, 0x2F, 26, 4, 0x78, 0, 17, 2), "CCP Configure-Request 1 <BSD-Compress 2f> <Deflate 7800> <option 17>"},
		{control(0x8021, 3, 1, 130, 6, 10, 0, 0, 1, 2, 6, 0, 0x2D, 15, 1), "IPCP Configure-Nak 1 <WINS 1 10.0.0.1> <compression 002d0f01>"},
		{control(0x8021, 1, 1, 3), "IPCP Configure-Request 1 <fsm: malformed option list: 1 octets left over>"},
		{control(0xC023, 1, 1, 1, 'a', 1, 'b'), "PAP Authenticate-Request 1"},
		{control(0xC223, 9, 1), "CHAP code 9 1"},
		{[]byte{0xFD, 0x90, 0, 1}, "compressed datagram, 3 octets"},
		{[]byte{0xFF, 3}, "ppp: frame too short: no protocol field in 2 octets"},
	} {
		if got := Describe(c.frame); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
