package dataplane

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/gre/tunnel/gretest"
)

const farAway = "203.0.113.9"

// What the network shuffles comes out in order; what it repeats comes out once; what it loses is missed and nothing else.
func TestOrder(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{Seed: seed, Delay: 10 * time.Millisecond, Reorder: 0.2, ReorderDelay: 8 * time.Millisecond, Duplication: 0.1, Loss: 0.05}, nil)
		defer w.close()
		p := w.dial("198.51.100.7", "10.8.0.2", Network{Encryption: encrypted()})
		const count = 3000
		for i := range count {
			p.send(numbered("10.8.0.2", farAway, i, 100))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		first, last := -1, -1
		got := w.tunneled()
		for _, ip := range got {
			n := int(binary.BigEndian.Uint32(ip.payload()))
			if first < 0 {
				first = n
			}
			if want := numbered("10.8.0.2", farAway, n, 100); n <= last || !bytes.Equal(ip, want) {
				t.Fatalf("packet %d after %d: % x", n, last, ip)
			}
			last = n
		}
		c := p.entry.Counters()
		missing := last - first + 1 - len(got) // what is lost before the first or after the last one nobody can know
		if len(got) < count*8/10 || uint64(missing) != c.Lost || c.Reordered == 0 || c.Duplicates == 0 || c.Undecrypted != 0 {
			t.Fatalf("%d of %d missing; counters %+v", missing, count, c)
		}
	})
}

// MPPE's count has 12 bits. A loss beyond them shows only in the sequence numbers of GRE (pptpd's tunnels die of it).
func TestLossBeyondMPPECount(t *testing.T) {
	for _, lost := range []int{4094, 4095, 4096, 4097, 6000, 8192, 20_000} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, gretest.Config{}, nil)
			defer w.close()
			p := w.dial("198.51.100.7", "10.8.0.2", Network{Encryption: encrypted()})
			p.send(numbered("10.8.0.2", farAway, 0, 50))
			for range lost {
				p.gre(p.frame(numbered("10.8.0.2", farAway, 1, 50)))
			}
			// The first ones may be needed to compute the keys; a second later all is well.
			for i := range 200 {
				p.send(numbered("10.8.0.2", farAway, 2+i, 50))
				time.Sleep(5 * time.Millisecond)
			}
			w.tunneled()
			p.send(numbered("10.8.0.2", farAway, 1000, 50))
			if got := w.tunneled(); len(got) != 1 || !bytes.Equal(got[0], numbered("10.8.0.2", farAway, 1000, 50)) {
				t.Fatalf("after %d packets lost the session is dead: %d, %+v", lost, len(got), p.entry.Counters())
			}
		})
	}
}

func TestAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		p := w.dial("198.51.100.7", "10.8.0.2", Network{})
		time.Sleep(time.Second)
		if p.receive(); len(p.acks) != 0 {
			t.Fatal("acknowledgement before any data")
		}
		ip := numbered("10.8.0.2", farAway, 0, 10)
		p.send(ip)
		if p.receive(); len(p.acks) != 0 {
			t.Fatal("acknowledgement without waiting for data to ride on")
		}
		time.Sleep(100 * time.Millisecond)
		if p.receive(); len(p.acks) != 1 || p.acks[0] != 0 {
			t.Fatalf("after 100 ms: acknowledgements %v", p.acks)
		}
		p.send(ip)
		synctest.Wait()
		w.inject(numbered(farAway, "10.8.0.2", 0, 10))
		if p.receive(); len(p.acks) != 2 || p.acks[1] != 1 {
			t.Fatalf("with data: acknowledgements %v", p.acks)
		}
		w.inject(numbered(farAway, "10.8.0.2", 0, 10))
		time.Sleep(time.Second)
		if p.receive(); len(p.acks) != 2 {
			t.Fatalf("nothing new: acknowledgements %v", p.acks)
		}
		for range ReceiveWindow / 2 {
			p.send(ip)
		}
		if p.receive(); len(p.acks) != 3 {
			t.Fatalf("half a window without acknowledgement: %v", p.acks)
		}
	})
}

// A peer that acknowledges is never sent more than its window; what is beyond is dropped before it takes a number.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		w.enforce = 8
		p := w.dial("198.51.100.7", "10.8.0.2", Network{Encryption: encrypted()})
		for i := range 20 {
			w.inject(numbered(farAway, "10.8.0.2", i, 10))
		}
		if got := p.receive(); len(got) != 20 {
			t.Fatalf("%d packets before the peer has ever acknowledged", len(got))
		}
		p.raw(gre.Header{CallID: p.theirs, HasAck: true, Ack: p.next - 1}.Append(nil))
		synctest.Wait()
		for i := range 20 {
			w.inject(numbered(farAway, "10.8.0.2", i, 10))
		}
		got := p.receive() // decrypts, in order, with no gap
		if c := p.entry.Counters(); len(got) < 4 || len(got) > 8 || c.WindowClosed != uint64(20-len(got)) {
			t.Fatalf("%d packets in a window of 8; counters %+v", len(got), c)
		}
		p.raw(gre.Header{CallID: p.theirs, HasAck: true, Ack: p.next - 1}.Append(nil))
		synctest.Wait()
		w.inject(numbered(farAway, "10.8.0.2", 0, 10))
		if got := p.receive(); len(got) != 1 {
			t.Fatal("the window did not open")
		}
	})
}

func TestMTU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		p := w.dial("198.51.100.7", "10.8.0.2", Network{Encryption: encrypted(), MTU: 600})

		small, big := make([]byte, 580), make([]byte, 1000)
		w.inject(datagram(farAway, "10.8.0.2", 17, flagDontFragment, small))
		if got := p.receive(); len(got) != 1 {
			t.Fatal("a packet of exactly the MTU did not get through")
		}
		w.inject(datagram(farAway, "10.8.0.2", 17, flagDontFragment, big))
		answer := w.tunneled()
		if got := p.receive(); len(got) != 0 || len(answer) != 1 {
			t.Fatalf("%d packets to the client, %d back", len(got), len(answer))
		}
		icmp, ok := parseIPv4(answer[0])
		if !ok || icmp.source().addr() != poolServer || icmp.destination().addr().String() != farAway || icmp.payload()[0] != 3 ||
			binary.BigEndian.Uint16(icmp.payload()[6:]) != 600 {
			t.Fatalf("answer % x", answer[0])
		}
		w.inject(datagram(farAway, "10.8.0.2", 17, 0, big))
		if got := p.receive(); len(got) != 2 || len(got[0]) > 600 || len(got[0])+len(got[1]) != 1040 {
			t.Fatalf("not fragmented: %d packets", len(got))
		}
		if c := p.entry.Counters(); c.TooBig != 1 || c.Fragmented != 1 {
			t.Fatalf("counters %+v", c)
		}
	})
}

func TestPathMTU(t *testing.T) {
	t.Run("IPv4", func(t *testing.T) { pathMTU(t, "198.51.100.7", 20, minPathMTU) })
	t.Run("IPv6", func(t *testing.T) { pathMTU(t, "2001:db8:7::7", 40, minPathMTU6) })
}

func pathMTU(t *testing.T, client string, outer, least int) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{MTU: 1300}, nil)
		defer w.close()
		p := w.dial(client, "10.8.0.2", Network{Encryption: encrypted()})
		if p.entry.MTU() != 1400 {
			t.Fatalf("MTU %d", p.entry.MTU())
		}
		w.inject(datagram(farAway, "10.8.0.2", 17, flagDontFragment, make([]byte, 1350)))
		if got := p.receive(); len(got) != 0 || p.entry.Counters().SendFailed != 1 {
			t.Fatalf("counters %+v", p.entry.Counters())
		}
		if mtu := p.entry.MTU(); mtu != 1300-outer-sendOverhead {
			t.Fatalf("MTU %d after the path's 1300", mtu)
		}
		w.inject(datagram(farAway, "10.8.0.2", 17, 0, make([]byte, 1350)))
		if got := p.receive(); len(got) != 2 {
			t.Fatalf("%d fragments", len(got))
		}
		// Nobody can talk us down to nothing.
		conn := w.plane.sockets[serverFor(p.conn.Local())].conn.(*gretest.Conn)
		conn.Report(tunnel.PathError{Remote: p.conn.Local(), MTU: 68, Err: syscall.EMSGSIZE})
		conn.Report(tunnel.PathError{Remote: p.conn.Local(), Err: syscall.EHOSTUNREACH})
		conn.Report(tunnel.PathError{Remote: p.conn.Local().Next(), MTU: 68, Err: syscall.EMSGSIZE})
		synctest.Wait()
		if mtu := p.entry.MTU(); mtu != least-outer-sendOverhead {
			t.Fatalf("MTU %d", mtu)
		}
	})
}

func TestSegmentSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		p := w.dial("198.51.100.7", "10.8.0.2", Network{MTU: 1200})
		out, in := syn("10.8.0.2", farAway, tcpFlagSYN, []byte{2, 4, 5, 0xb4}), syn(farAway, "10.8.0.2", tcpFlagSYN|0x10, []byte{2, 4, 5, 0xb4})
		p.send(out)
		w.inject(in)
		for what, got := range map[string][]packet{"out": w.tunneled(), "in": p.receive()} {
			if len(got) != 1 {
				t.Fatalf("%s: %d packets", what, len(got))
			}
			tcp, at := got[0].synMSS()
			if mss := binary.BigEndian.Uint16(tcp[at:]); mss != 1160 {
				t.Errorf("%s: segment size %d", what, mss)
			}
		}
		if c := p.entry.Counters(); c.SegmentsLower != 2 {
			t.Errorf("counters %+v", c)
		}
	})
}

func TestBetweenClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, func(o *Options) { o.Isolation = false })
		defer w.close()
		a := w.dial("198.51.100.7", "10.8.0.2", Network{Encryption: encrypted()})
		b := w.dial("198.51.100.8", "10.8.0.3", Network{PFC: true, ACFC: true, MTU: 600})
		for i := range 100 {
			a.send(numbered("10.8.0.2", "10.8.0.3", i, 500))
			b.send(numbered("10.8.0.3", "10.8.0.2", i, 500))
		}
		toB, toA := b.receive(), a.receive()
		if len(toA) != 100 || len(toB) != 100 || len(w.tunneled()) != 0 {
			t.Fatalf("%d and %d packets", len(toA), len(toB))
		}
		for i, p := range toB {
			want := numbered("10.8.0.2", "10.8.0.3", i, 500)
			want.decrementTTL()
			if !bytes.Equal(p, want) || checksum(p[:20]) != 0 {
				t.Fatalf("packet %d: % x", i, p[:28])
			}
		}
		last := numbered("10.8.0.2", "10.8.0.3", 0, 10)
		last[8] = 1
		a.send(last)
		a.send(numbered("10.8.0.2", "10.8.0.9", 0, 10)) // nobody has it
		a.send(datagram("10.8.0.2", "10.8.0.3", 17, flagDontFragment, make([]byte, 700)))
		if got := w.tunneled(); len(b.receive()) != 0 || len(got) != 1 || got[0].payload()[1] != icmpFragNeeded {
			t.Fatalf("%d packets for the TUN", len(got))
		}
		if c := a.entry.Counters(); c.Expired != 1 || c.Unroutable != 1 {
			t.Fatalf("counters %+v", c)
		}
		w.plane.SetIsolation(true)
		a.send(numbered("10.8.0.2", "10.8.0.3", 0, 10))
		if len(b.receive()) != 0 || a.entry.Counters().Isolated != 1 {
			t.Fatal("not isolated")
		}
	})
}

// Data and control frames sent by several goroutines on one call leave in the order of their numbers: receive checks it.
func TestSendersKeepOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, func(o *Options) { o.Isolation = false })
		defer w.close()
		a := w.dial("198.51.100.7", "10.8.0.2", Network{Encryption: encrypted()})
		b := w.dial("198.51.100.8", "10.8.0.3", Network{Encryption: encrypted()})
		var all sync.WaitGroup
		const count = 500
		all.Go(func() {
			for range count {
				a.w.control(a.entry, []byte{0xff, 3, 0xc0, 0x21, 9, 1, 0, 4})
				b.w.control(b.entry, []byte{0xff, 3, 0xc0, 0x21, 9, 1, 0, 4})
			}
		})
		all.Go(func() {
			for i := range count {
				w.tun.Inject(numbered(farAway, []string{"10.8.0.2", "10.8.0.3"}[i&1], i, 50))
			}
		})
		all.Go(func() {
			for i := range count {
				a.send(numbered("10.8.0.2", "10.8.0.3", i, 50))
				b.send(numbered("10.8.0.3", "10.8.0.2", i, 50))
			}
		})
		all.Wait()
		if n := len(a.receive()) + len(b.receive()); n != 3*count {
			t.Fatalf("%d packets of %d", n, 3*count)
		}
	})
}

// A live call is written out, read into another plane and goes on there: numbers, keys and counters.
func TestStateGoesOn(t *testing.T) {
	for _, client := range []string{"198.51.100.7", "2001:db8:7::7"} {
		t.Run(client, func(t *testing.T) { stateGoesOn(t, client) })
	}
}

func stateGoesOn(t *testing.T, client string) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		p := w.dial(client, "10.8.0.2", Network{Encryption: encrypted()})
		p.entry.SetWindow(16, 0)
		for i := range 10 {
			p.send(numbered("10.8.0.2", farAway, i, 50))
			w.inject(numbered(farAway, "10.8.0.2", i, 50))
		}
		p.receive()
		w.tunneled()
		late := p.gre(p.frame(numbered("10.8.0.2", farAway, 10, 50)))
		p.send(numbered("10.8.0.2", farAway, 11, 50)) // is held for the late one
		synctest.Wait()
		var encoded bytes.Buffer
		if err := gob.NewEncoder(&encoded).Encode(p.entry.State()); err != nil {
			t.Fatal(err)
		}
		before := p.entry.Counters()
		if err := w.plane.Close(); err != nil {
			t.Fatal(err)
		}

		next := newWorld(t, gretest.Config{}, nil)
		defer next.close()
		conn, err := next.net.Listen(p.conn.Local())
		if err != nil {
			t.Fatal(err)
		}
		p.conn.Close()
		p.w, p.conn = next, conn
		next.peers = append(next.peers, conn)
		go p.collect()
		var s State
		if err := gob.NewDecoder(&encoded).Decode(&s); err != nil {
			t.Fatal(err)
		}
		if p.entry, err = next.plane.Restore(Call{Local: serverFor(conn.Local()), Remote: conn.Local(), Own: p.theirs, Theirs: p.own, Inbox: p.inbox}, s); err != nil {
			t.Fatal(err)
		}
		if after := p.entry.Counters(); after.PacketsIn != before.PacketsIn || after.PacketsOut != before.PacketsOut || after.OctetsIn != before.OctetsIn {
			t.Fatalf("counters %+v, before %+v", after, before)
		}
		p.raw(late)
		next.inject(numbered(farAway, "10.8.0.2", 77, 50))
		got := next.tunneled()
		if len(got) != 2 || !bytes.Equal(got[0], numbered("10.8.0.2", farAway, 10, 50)) || !bytes.Equal(got[1], numbered("10.8.0.2", farAway, 11, 50)) {
			t.Fatalf("%d packets after the handover", len(got))
		}
		if back := p.receive(); len(back) != 1 || !bytes.Equal(back[0], numbered(farAway, "10.8.0.2", 77, 50)) {
			t.Fatalf("%d packets to the client after the handover", len(back))
		}
	})
}
