package dataplane

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel/gretest"
)

// segment is a datagram with ports: a packet of that flow.
func segment(protocol byte, port uint16, n, size int) packet {
	ip := datagram(farAway, "10.8.0.2", protocol, 0, make([]byte, max(size, 8)))
	binary.BigEndian.PutUint16(ip.payload(), port)
	binary.BigEndian.PutUint32(ip.payload()[4:], uint32(n))
	return ip
}

func TestInteractive(t *testing.T) {
	marked := func(tos byte, size int) packet {
		ip := segment(protocolUDP, 1, 1, size)
		ip[1] = tos
		return ip
	}
	fragment := segment(protocolUDP, 1, 1, 40)
	binary.BigEndian.PutUint16(fragment[6:], flagMore)
	for name, c := range map[string]struct {
		ip   packet
		want bool
	}{
		"short":               {segment(protocolTCP, 1, 1, 100), true},
		"long":                {segment(protocolTCP, 1, 1, 1000), false},
		"long, telephony":     {marked(46<<2, 400), true},
		"long, low delay":     {marked(0x10, 400), true},
		"long, throughput":    {marked(0x08, 400), false},
		"long, low priority":  {marked(8<<2, 400), false},
		"short piece of long": {fragment, false},
	} {
		if got := c.ip.interactive(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Interactive packets go first, but neither past their own flow nor for ever.
func TestQueueOrder(t *testing.T) {
	var q queue
	names := map[uint32]string{}
	push := func(name string, ip packet) {
		names[binary.BigEndian.Uint32(ip.payload()[4:])] = name
		if !q.push(ip, 64) {
			t.Fatalf("no room for %s", name)
		}
	}
	push("bulk 1", segment(protocolTCP, 80, 1, 1000))
	push("bulk 2", segment(protocolTCP, 80, 2, 1000))
	push("end of bulk", segment(protocolTCP, 80, 3, 30))
	for n := range 10 {
		push("key", segment(protocolTCP, 22, 100+n, 30))
	}
	push("query", segment(protocolUDP, 53, 200, 40))
	want := append(bytes.Fields([]byte("key key key key key key key key bulk_1 key key query bulk_2 end_of_bulk")), nil)
	for i := 0; ; i++ {
		w := q.pop()
		if w == nil {
			if want[i] != nil {
				t.Fatalf("%d packets", i)
			}
			return
		}
		if got := names[binary.BigEndian.Uint32(w.packet().payload()[4:])]; got != string(bytes.ReplaceAll(want[i], []byte("_"), []byte(" "))) {
			t.Errorf("%d: %s, want %s", i, got, want[i])
		}
		waitingPool.Put(w)
	}
}

// What went into the queue first goes first within a flow, also where many interactive packets have gone before one of bulk.
func TestQueueKeepsAFlowInOrder(t *testing.T) {
	var q queue
	const short = favour + 3
	for n := range short {
		q.push(segment(protocolTCP, 23, n, 30), 64)
	}
	q.push(segment(protocolTCP, 23, short, 1000), 64)
	for n := range short + 1 {
		w := q.pop()
		if got := binary.BigEndian.Uint32(w.packet().payload()[4:]); got != uint32(n) {
			t.Errorf("packet %d of the flow went as number %d", got, n)
		}
		waitingPool.Put(w)
	}
}

// windowed is a call to a peer that acknowledges when the test says so, with a window that has been opened.
func windowed(w *world, window, hold int) *peer {
	w.t.Helper()
	w.enforce, w.hold = window, hold
	p := w.dial("198.51.100.7", "10.8.0.2", Network{Encryption: encrypted(), MTU: 1400})
	w.inject(segment(protocolUDP, 1, 0, 100)) // nothing is kept before something has been acknowledged
	p.receive()
	p.acknowledge()
	return p
}

// acknowledge confirms all that was received.
func (p *peer) acknowledge() {
	p.raw(gre.Header{CallID: p.theirs, HasAck: true, Ack: p.next - 1}.Append(nil))
	synctest.Wait()
}

// While the window is full packets wait in clear; each acknowledgement lets some go, interactive ones first, and nothing is lost.
func TestWindowHoldsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		p := windowed(w, 2, 16)
		for n := range 10 {
			w.inject(segment(protocolTCP, 80, n, 1000))
		}
		w.inject(segment(protocolTCP, 22, 77, 20))
		var order []uint32
		for len(order) < 11 {
			got := p.receive()
			if len(got) == 0 || len(got) > 2 {
				t.Fatalf("%d packets at once in a window of 2, after %d", len(got), order)
			}
			for _, ip := range got {
				order = append(order, binary.BigEndian.Uint32(ip.payload()[4:]))
			}
			p.acknowledge()
		}
		bulk := uint32(0)
		for i, n := range order {
			if n == 77 {
				if i > 3 {
					t.Errorf("the keystroke was number %d: %d", i, order)
				}
				continue
			}
			if n != bulk {
				t.Fatalf("order %d", order)
			}
			bulk++
		}
		c, f := p.entry.Counters(), p.entry.Flow()
		if c.WindowClosed != 0 || c.Held < 8 || f.Stalls == 0 || f.Waiting != 0 || f.Enforcement != gre.EnforcementOn || f.Window != 2 {
			t.Errorf("counters %+v, flow %+v", c, f)
		}
	})
}

// A peer that stops acknowledging does not stop the call: the adaptive time-out lets packets go, with nobody else sending.
func TestWaitingPacketsOutliveLostAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		p := windowed(w, 2, 16)
		for n := range 6 {
			w.inject(segment(protocolTCP, 80, n, 1000))
		}
		time.Sleep(20 * time.Second)
		if got := p.receive(); len(got) != 6 {
			t.Errorf("%d packets of 6", len(got))
		}
		if f := p.entry.Flow(); f.Timeouts == 0 || f.Waiting != 0 {
			t.Errorf("flow %+v", f)
		}
	})
}

// What is too much is dropped and counted, and so is what waits when the network closes; a call removed leaves nothing.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		p := windowed(w, 2, 4)
		for n := range 30 {
			w.inject(segment(protocolTCP, 80, n, 1000))
		}
		sent := len(p.receive())
		c := p.entry.Counters()
		if sent == 0 || sent > 2 || c.Held != 4 || c.WindowClosed != uint64(30-sent-4) {
			t.Errorf("%d sent, counters %+v", sent, c)
		}
		p.entry.Shut()
		if c := p.entry.Counters(); p.entry.Flow().Waiting != 0 || c.WindowClosed != uint64(30-sent) {
			t.Errorf("after the network's end: %+v", c)
		}
		p.acknowledge()
		if got := p.receive(); len(got) != 0 {
			t.Errorf("%d packets after the network's end", len(got))
		}
	})
}

// Packets that wait are cut when the path turns out to be narrower meanwhile.
func TestWaitingPacketsFitTheirPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		p := windowed(w, 2, 16)
		for n := range 4 {
			w.inject(segment(protocolTCP, 80, n, 1000))
		}
		p.receive()
		p.entry.lowerPathMTU(700)
		pieces := 0
		for range 20 {
			p.acknowledge()
			for _, ip := range p.receive() {
				if pieces++; len(ip) > p.entry.MTU() {
					t.Errorf("a packet of %d octets", len(ip))
				}
			}
		}
		if c := p.entry.Counters(); c.Fragmented == 0 || pieces < 4 || c.WindowClosed != 0 {
			t.Errorf("%d pieces, counters %+v", pieces, c)
		}
	})
}

// However packets and acknowledgements mix, each flow arrives complete and in order (the peer's decryption checks the numbers).
func TestQueueKeepsFlows(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		p := windowed(w, 3, 64)
		var sent, received [4]int
		take := func() {
			for _, ip := range p.receive() {
				flow, n := int(binary.BigEndian.Uint16(ip.payload())), int(binary.BigEndian.Uint32(ip.payload()[4:]))
				if n != received[flow] {
					t.Fatalf("flow %d: packet %d, want %d", flow, n, received[flow])
				}
				received[flow]++
			}
		}
		for range 2000 {
			if flow := random.IntN(4); p.entry.Flow().Waiting < 40 {
				w.inject(segment(protocolTCP, uint16(flow), sent[flow], random.IntN(300)))
				sent[flow]++
			}
			if random.IntN(2) == 0 {
				take()
				p.acknowledge()
			}
		}
		for range 100 {
			take()
			p.acknowledge()
		}
		if take(); received != sent {
			t.Errorf("sent %d, received %d", sent, received)
		}
	})
}
