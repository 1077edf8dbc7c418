package peer

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/link"
)

// inClear is the two configurations of a call without encryption.
func inClear() (client, server Config) {
	client, server = clientConfig(), serverConfig()
	client.Link.Encryption, server.Link.Encryption = ccp.None, ccp.None
	client.Link.Authentication, server.Link.Authentication = []auth.Protocol{auth.PAP}, []auth.Protocol{auth.PAP}
	return client, server
}

func TestPingBothWays(t *testing.T) {
	for _, v := range []struct{ encrypted, compressed, restored bool }{
		{true, true, false}, {true, false, false}, {false, true, false}, {false, false, false}, {true, true, true}, {false, false, true},
	} {
		t.Run(fmt.Sprintf("encrypted %v compressed %v restored %v", v.encrypted, v.compressed, v.restored), func(t *testing.T) {
			client, server := clientConfig(), serverConfig()
			if !v.encrypted {
				client, server = inClear()
			}
			client.Link.PFC, client.Link.ACFC = v.compressed, v.compressed
			w := newWire(t, client, server)
			w.restore = v.restored
			w.up()
			if n, _ := w.client.p.Network(); (n.Encryption != nil) != v.encrypted || n.LocalAddress != clientAddress || n.PeerAddress != serverAddress {
				t.Fatalf("%+v", n)
			}
			if v.restored {
				pingBothWays(t, w, 3, 64, 1400)
			} else {
				pingBothWays(t, w, 20, 0, 1, 64, 1400, MaxSize)
			}
		})
	}
}

// pingBothWays pings with several sizes, those that must be sent in fragments too.
func pingBothWays(t *testing.T, w *wire, count int, sizes ...int) {
	t.Helper()
	const trip = 40 * time.Millisecond
	for _, e := range []*end{w.client, w.server} {
		for _, size := range sizes {
			id := start(t, e, w.now, Probe{Size: size, Count: count, Interval: 5 * trip})
			w.run(6 * time.Second)
			s := e.done(t, id).Statistics
			if s.Sent != uint64(count) || s.Received != uint64(count) || s.Lost != 0 || s.Least != trip || s.Most != trip || s.Mean() != trip ||
				s.Octets != uint64(count*size) || s.Last.Sub(s.Started) != time.Duration(count-1)*5*trip+trip {
				t.Errorf("%d octets: %+v", size, s)
			}
		}
	}
	for _, e := range []*end{w.client, w.server} {
		if c := e.p.Counters(); c.EchoesAnswered != uint64(count*len(sizes)) || c.Undecrypted+c.InClear+c.Malformed+c.QueueDropped+c.FragmentsDropped != 0 {
			t.Errorf("%+v", c)
		}
	}
}

func TestReplyTellsItAll(t *testing.T) {
	w := newWire(t, clientConfig(), serverConfig())
	w.up()
	id, err := w.client.p.Ping(w.now, netip.Addr{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	w.run(time.Second)
	if len(w.client.other) != 2 || w.client.other[0] != (Reply{id, 0, 100, 40 * time.Millisecond, 64}) {
		t.Errorf("%+v", w.client.other)
	}
}

// TestStream sends a megabyte there and back over a line that loses a frame in ten.
func TestStream(t *testing.T) {
	for _, hints := range []bool{true, false} {
		w := newWire(t, clientConfig(), serverConfig())
		w.up()
		w.hints = hints
		w.lose = func(bool) bool { return w.rng.IntN(10) == 0 }
		const size, count = 1000, 1000
		id := start(t, w.client, w.now, Probe{Kind: UDPEcho, Size: size, Count: count, Window: 32, Timeout: 300 * time.Millisecond, Retries: 50})
		w.run(5 * time.Minute)
		s := w.client.done(t, id).Statistics
		if s.Received != count || s.Octets != size*count || s.Lost != 0 || s.Corrupt != 0 || s.SentAgain < count/10 || s.SentAgain > count {
			t.Errorf("hints %v: %+v", hints, s)
		}
	}
}

// TestLongLoss loses more packets in a row than the coherency count can tell. With
// the hint the tunnel lives on.
func TestLongLoss(t *testing.T) {
	for _, gap := range []int{100, 3000, 4096, 5000} {
		w := newWire(t, clientConfig(), serverConfig())
		w.up()
		w.hints = true
		dead := true
		w.lose = func(bool) bool { return dead }
		id := start(t, w.client, w.now, Probe{Count: gap, Interval: time.Millisecond, Timeout: time.Millisecond})
		w.run(20 * time.Second)
		if s := w.client.done(t, id).Statistics; s.Lost != uint64(gap) {
			t.Fatalf("%+v", s)
		}
		dead = false
		id = start(t, w.client, w.now, Probe{Count: 10, Interval: time.Second})
		w.run(15 * time.Second)
		if s := w.client.done(t, id).Statistics; s.Received != 10 {
			t.Errorf("after a loss of %d: %+v, %+v", gap, s, w.server.p.Decryption())
		}
	}
}

func TestTimeout(t *testing.T) {
	w := newWire(t, clientConfig(), serverConfig())
	w.up()
	w.lose = func(data bool) bool { return data }
	id := start(t, w.client, w.now, Probe{Count: 2, Interval: time.Second, Timeout: 3 * time.Second, Retries: 2})
	w.run(20 * time.Second)
	d := w.client.done(t, id)
	if d.Statistics.Sent != 2 || d.Statistics.SentAgain != 4 || d.Statistics.Lost != 2 || d.Statistics.Last.Sub(d.Statistics.Started) != 10*time.Second {
		t.Errorf("%+v", d)
	}
	if l := w.client.other[0]; l != (Lost{id, 0, "no reply in 3s"}) {
		t.Errorf("%+v", l)
	}
}

func TestCorruptAndLate(t *testing.T) {
	client, server := inClear()
	w := newWire(t, client, server)
	w.up()
	// Spoil the payload of echo replies and mend the checksum: swap two 16-bit words.
	w.spoil = func(toServer, data bool, f []byte) []byte {
		if !toServer && data {
			n := len(f)
			f[n-4], f[n-3], f[n-2], f[n-1] = f[n-2], f[n-1], f[n-4], f[n-3]
		}
		return f
	}
	id := start(t, w.client, w.now, Probe{Size: 64})
	w.run(time.Second)
	if s := w.client.done(t, id).Statistics; s.Corrupt != 1 || s.Lost != 1 || s.Received != 0 {
		t.Errorf("%+v", s)
	}
	if l := w.client.other[0].(Lost); l.Why != "the reply of 64 octets differs at octet 60 of 64" {
		t.Errorf("%+v", l)
	}
	// Replies that come after their time.
	w.spoil = nil
	id = start(t, w.client, w.now, Probe{Count: 2, Interval: 30 * time.Millisecond, Timeout: 30 * time.Millisecond})
	w.run(time.Second)
	if s := w.client.done(t, id).Statistics; s.Late != 1 || s.Lost != 2 {
		t.Errorf("%+v", s)
	}
}

func TestUnreachable(t *testing.T) {
	w := newWire(t, clientConfig(), serverConfig())
	w.up()
	id := start(t, w.client, w.now, Probe{Kind: UDPEcho, Size: 10, Port: 9})
	w.run(time.Second)
	if s := w.client.done(t, id).Statistics; s.Lost != 1 || w.server.p.Counters().Unreachable != 1 {
		t.Errorf("%+v", s)
	}
	if l := w.client.other[0]; l != (Lost{id, 0, "destination unreachable (code 3)"}) {
		t.Errorf("%+v", l)
	}
	// Another host than the server is not there.
	id = start(t, w.client, w.now, Probe{Destination: netip.MustParseAddr("192.0.2.1"), Timeout: time.Second})
	w.run(2 * time.Second)
	if s := w.client.done(t, id).Statistics; s.Lost != 1 || w.server.p.Counters().Foreign != 1 {
		t.Errorf("%+v", s)
	}
}

func TestSilent(t *testing.T) {
	server := serverConfig()
	server.Silent = true
	w := newWire(t, clientConfig(), server)
	w.up()
	for _, b := range []Probe{{Timeout: time.Second}, {Kind: UDPEcho, Size: 8, Timeout: time.Second}} {
		id := start(t, w.client, w.now, b)
		w.run(2 * time.Second)
		if s := w.client.done(t, id).Statistics; s.Lost != 1 {
			t.Errorf("%+v", s)
		}
	}
	if c := w.server.p.Counters(); c.SentPackets != 0 {
		t.Errorf("%+v", c)
	}
}

func TestDatagrams(t *testing.T) {
	server := serverConfig()
	server.Ports = []uint16{5000}
	w := newWire(t, clientConfig(), server)
	to := netip.AddrPortFrom(serverAddress, 5000)
	if err := w.client.p.SendUDP(w.now, 1234, to, nil); !errors.Is(err, ErrDown) {
		t.Error(err)
	}
	w.up()
	long := strings.Repeat("0123456789", 500)
	for _, payload := range []string{"", "hello", long} {
		if err := w.client.p.SendUDP(w.now, 1234, to, []byte(payload)); err != nil {
			t.Fatal(err)
		}
		w.server.other = nil
		w.run(time.Second)
		if len(w.server.other) != 1 {
			t.Fatalf("%d octets: %v", len(payload), w.server.other)
		}
		d := w.server.other[0].(Datagram)
		if string(d.Payload) != payload || d.To != to || d.From != netip.AddrPortFrom(clientAddress, 1234) {
			t.Errorf("%+v", d)
		}
	}
	for _, v := range []error{
		w.client.p.SendUDP(w.now, 1, to, make([]byte, MaxSize+1)),
		w.client.p.SendUDP(w.now, 1, netip.MustParseAddrPort("[::1]:7"), nil),
	} {
		if !errors.Is(v, ErrProbe) {
			t.Error(v)
		}
	}
}

// TestWindow: no more data frames are out than the owner has room for, and what waits
// is bounded and not yet encrypted.
func TestWindow(t *testing.T) {
	client := clientConfig()
	client.Window, client.Queue = 2, 5
	w := newWire(t, client, serverConfig())
	w.up()
	id := start(t, w.client, w.now, Probe{Count: 20, Interval: time.Nanosecond})
	sends := func() (n int) {
		for _, a := range w.client.p.Actions() {
			if s, ok := a.(Send); ok && s.Data {
				n++
			}
		}
		return n
	}
	for range 100 {
		w.now = w.now.Add(time.Microsecond)
		w.client.p.Tick(w.now)
	}
	if n := sends(); n != 2 {
		t.Fatalf("%d frames out", n)
	}
	if s := w.client.p.State(); len(s.Waiting) != 5 || s.InFlight != 2 || s.Encryptor.Packets != 2 {
		t.Fatalf("%d wait, %d in flight, %d encrypted", len(s.Waiting), s.InFlight, s.Encryptor.Packets)
	}
	if d := w.client.p.Deadline(); d.Before(w.now) {
		t.Errorf("it wants to be called at once, and cannot do anything")
	}
	total := 2
	for range 20 {
		w.now = w.now.Add(time.Microsecond)
		w.client.p.Written(w.now, 1)
		w.client.p.Tick(w.now)
		n := sends()
		if n > 1 {
			t.Fatalf("%d frames for one written", n)
		}
		total += n
	}
	if total != 20 || w.client.p.Counters().QueueDropped != 0 {
		t.Errorf("%d sent, %+v", total, w.client.p.Counters())
	}
	w.client.p.Written(w.now, 100)
	if s := w.client.p.State(); s.InFlight != 0 {
		t.Errorf("%d in flight", s.InFlight)
	}
	w.client.p.Cancel(w.now, id)
	w.settle()
	if d := w.client.done(t, id); d.Statistics.Lost != 20 || d.Request.Count != 20 {
		t.Errorf("%+v", d)
	}
}

// TestFinish: a probe that is to send no more waits for what is under way, or for nothing at all.
func TestFinish(t *testing.T) {
	w := newWire(t, clientConfig(), serverConfig())
	w.up()
	id := start(t, w.client, w.now, Probe{Count: 1000, Window: 5})
	w.settle()
	w.client.p.Finish(w.now, id)
	w.client.p.Finish(w.now, 99) // there is none
	w.run(time.Minute)
	if s := w.client.done(t, id).Statistics; s.Sent != 5 || s.Received != 5 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
	down := New(epoch, clientConfig())
	id, err := down.Start(epoch, Probe{Count: 1000})
	if err != nil {
		t.Fatal(err)
	}
	down.Finish(epoch, id)
	if all := down.Actions(); len(all) != 1 || all[0].(Done).Statistics.Sent != 0 {
		t.Errorf("%+v", all)
	}
}

// TestQueueFull: answers for which there is no room are dropped and counted.
func TestQueueFull(t *testing.T) {
	server := serverConfig()
	server.Window, server.Queue = 1, 3
	w := newWire(t, clientConfig(), server)
	w.up()
	start(t, w.client, w.now, Probe{Count: 10, Window: 10, Timeout: time.Second})
	for _, a := range w.client.p.Actions() {
		if s, ok := a.(Send); ok {
			w.server.p.Receive(w.now, s.Frame, 0)
		}
	}
	if c := w.server.p.Counters(); c.QueueDropped != 6 || c.EchoesAnswered != 10 {
		t.Errorf("%+v", c)
	}
}

func TestProbeBeforeNetworkAndAfterEnd(t *testing.T) {
	w := newWire(t, clientConfig(), serverConfig())
	id := start(t, w.client, w.now, Probe{Count: 3, Interval: time.Second})
	w.up()
	w.run(5 * time.Second)
	if s := w.client.done(t, id).Statistics; s.Received != 3 {
		t.Errorf("%+v", s)
	}
	id = start(t, w.client, w.now, Probe{Count: 100, Interval: time.Second})
	w.run(2500 * time.Millisecond)
	w.client.p.Close(w.now, link.Reason{Code: link.CodeAdministrative, Text: "enough"})
	w.run(20 * time.Second)
	if s := w.client.done(t, id).Statistics; s.Sent != 3 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
	for _, e := range []*end{w.client, w.server} {
		if _, ok := e.events[len(e.events)-1].(link.Ended); !ok {
			t.Errorf("%v", e.events)
		}
		if _, ok := e.p.Network(); ok || !e.p.Deadline().IsZero() {
			t.Error("still alive")
		}
		if _, err := e.p.Start(w.now, Probe{}); !errors.Is(err, ErrProbe) {
			t.Error(err)
		}
	}
}

// TestRenegotiation: the peer starts LCP again in mid-call. Afterwards the network is up
// with keys that start anew, and a probe goes on.
func TestRenegotiation(t *testing.T) {
	w := newWire(t, clientConfig(), serverConfig())
	w.up()
	id := start(t, w.client, w.now, Probe{Count: 20, Interval: 500 * time.Millisecond, Timeout: time.Second, Retries: 10})
	w.run(3 * time.Second)
	w.server.p.Receive(w.now, []byte{0xFF, 0x03, 0xC0, 0x21, 1, 99, 0, 4}, 0)
	w.run(20 * time.Second)
	if s := w.client.done(t, id).Statistics; s.Received != 20 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
	for _, e := range []*end{w.client, w.server} {
		ups, downs := 0, 0
		for _, x := range e.events {
			switch x.(type) {
			case link.NetworkUp:
				ups++
			case link.NetworkDown:
				downs++
			}
		}
		s := e.p.State()
		if ups != 2 || downs != 1 || s.Encryptor == nil || s.Encryptor.Packets >= 20 {
			t.Errorf("up %d times, down %d times, %+v", ups, downs, s.Encryptor)
		}
	}
}

func TestWrongPassword(t *testing.T) {
	w := newWire(t, clientConfig(), serverConfig())
	w.secret = auth.PlainSecret("other")
	id := start(t, w.client, w.now, Probe{})
	w.run(time.Minute)
	ended, ok := w.client.events[len(w.client.events)-1].(link.Ended)
	if !ok || ended.Reason.Code != link.CodeAuthFailed {
		t.Errorf("%v", w.client.events)
	}
	if d := w.client.done(t, id); d.Statistics.Sent != 0 {
		t.Errorf("%+v", d)
	}
}

func TestLowerLayerDown(t *testing.T) {
	w := newWire(t, clientConfig(), serverConfig())
	w.up()
	id := start(t, w.client, w.now, Probe{})
	w.client.p.Down(w.now)
	w.settle()
	if d := w.client.done(t, id); d.Statistics.Lost != 1 {
		t.Errorf("%+v", d)
	}
}

func TestProbeErrors(t *testing.T) {
	p := New(epoch, clientConfig())
	for _, b := range []Probe{
		{Kind: 7}, {Destination: netip.MustParseAddr("::1")}, {Size: -1}, {Size: MaxSize + 1}, {Kind: UDPEcho, Size: 3}, {Count: -1},
		{Count: 65536}, {Window: -1}, {Window: MaxWindow + 1}, {Retries: -1},
	} {
		if _, err := p.Start(epoch, b); !errors.Is(err, ErrProbe) {
			t.Errorf("%+v: %v", b, err)
		}
	}
	seen := map[uint16]bool{}
	for range MaxProbes {
		id, err := p.Start(epoch, Probe{})
		if err != nil || seen[id] || id == 0 {
			t.Fatalf("%d, %v", id, err)
		}
		seen[id] = true
	}
	if _, err := p.Start(epoch, Probe{}); !errors.Is(err, ErrProbe) {
		t.Error(err)
	}
	// Numbers come round without hitting one in use.
	p.Cancel(epoch, 1)
	p.s.NextProbe = maxProbeID
	for _, want := range []uint16{maxProbeID, 1} {
		if id, err := p.Start(epoch, Probe{}); err != nil || id != want {
			t.Errorf("%d, %v", id, err)
		}
		p.Cancel(epoch, want)
		if want == maxProbeID {
			continue
		}
	}
}

func TestRestoreErrors(t *testing.T) {
	w := newWire(t, clientConfig(), serverConfig())
	w.up()
	for name, change := range map[string]func(*State){
		"half the encryption": func(s *State) { s.Encryptor = nil },
		"no network":          func(s *State) { s.Network = nil },
		"broken encryptor":    func(s *State) { s.Encryptor.Count = 5000 },
		"broken decryptor":    func(s *State) { s.Decryptor.KeyLength = 1 },
	} {
		s := w.client.p.State()
		change(&s)
		if _, err := Restore(w.client.cfg, s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
