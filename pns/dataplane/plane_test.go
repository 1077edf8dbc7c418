package dataplane

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"trunkline.example/pns/tun/tuntest"
	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/mppe"
)

var (
	serverAddr  = netip.MustParseAddr("192.0.2.1")
	serverAddr6 = netip.MustParseAddr("2001:db8::1")
	poolServer  = netip.MustParseAddr("10.8.0.1")
)

// world is a plane between a network and a TUN, both in memory.
type world struct {
	t     *testing.T
	net   *gretest.Network
	tun   *tuntest.Device
	plane *Plane
	peers []*gretest.Conn

	enforce  int    // window of the clients that are to be kept to it
	hold     int    // packets that may wait for it
	route    *Route // of the calls that follow
	demanded atomic.Int64
}

func newWorld(t *testing.T, network gretest.Config, change func(*Options)) *world {
	t.Helper()
	w := &world{t: t, net: gretest.New(network), tun: tuntest.New("tun0", 1400, 4096)}
	o := Options{
		Device: w.tun, Server: poolServer, Clients: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/16")}, Isolation: true,
		Open: func(local netip.Addr) (tunnel.Conn, error) { return w.net.Listen(local) },
	}
	if change != nil {
		change(&o)
	}
	w.plane = New(o)
	for _, local := range []netip.Addr{serverAddr, serverAddr6} {
		if err := w.plane.Prepare(local); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// serverFor is the server's address of the same family.
func serverFor(client netip.Addr) netip.Addr {
	if client.Is6() {
		return serverAddr6
	}
	return serverAddr
}

func (w *world) close() {
	w.t.Helper()
	if err := w.plane.Close(); err != nil {
		w.t.Fatal(err)
	}
	for _, p := range w.peers {
		p.Close()
	}
}

// control sends control frames to a client, together.
func (w *world) control(e *Entry, frames ...[]byte) {
	f := w.plane.NewFrames()
	for _, frame := range frames {
		f.Send(e, frame)
	}
	f.Flush()
}

// inbox collects control frames.
type inbox struct {
	mu     sync.Mutex
	frames [][]byte
	refuse bool
}

func (i *inbox) Deliver(frame []byte) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.refuse {
		return false
	}
	i.frames = append(i.frames, frame)
	return true
}

func (i *inbox) take() [][]byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	f := i.frames
	i.frames = nil
	return f
}

// peer is a client's end of one call.
type peer struct {
	w      *world
	conn   *gretest.Conn
	entry  *Entry
	inbox  *inbox
	own    uint16 // Call ID assigned by it
	theirs uint16 // by the server
	addr   netip.Addr
	seq    uint32
	crypt  *mppe.Params // the client's view
	seal   *mppe.Encryptor
	open   *mppe.Decryptor
	next   uint32 // sequence number expected
	acks   []uint32
	got    [][]byte // GRE payloads

	mu      sync.Mutex
	arrived [][]byte
}

var callIDs uint16 = 100

func (w *world) dial(outer, inner string, network Network) *peer {
	w.t.Helper()
	conn, err := w.net.Listen(netip.MustParseAddr(outer))
	if err != nil {
		w.t.Fatal(err)
	}
	callIDs += 2
	p := &peer{w: w, conn: conn, inbox: &inbox{}, own: callIDs, theirs: callIDs + 1, addr: netip.MustParseAddr(inner)}
	w.peers = append(w.peers, conn)
	go p.collect()
	p.register(Call{Enforce: w.enforce > 0, Window: uint16(w.enforce), Hold: w.hold, Route: w.route})
	network.Peer = p.addr
	if network.MTU == 0 {
		network.MTU = 1400
	}
	if err := p.entry.Open(network); err != nil {
		w.t.Fatal(err)
	}
	if e := network.Encryption; e != nil {
		p.crypt = &mppe.Params{KeyLength: e.KeyLength, Stateless: e.Stateless, SendKey: e.ReceiveKey, ReceiveKey: e.SendKey}
		p.keys()
	}
	return p
}

func (p *peer) keys() {
	p.w.t.Helper()
	var err error
	if p.seal, err = mppe.NewEncryptor(*p.crypt); err == nil {
		p.open, err = mppe.NewDecryptor(*p.crypt)
	}
	if err != nil {
		p.w.t.Fatal(err)
	}
}

func (p *peer) register(c Call) {
	p.w.t.Helper()
	c.Local, c.Remote, c.Own, c.Theirs, c.Inbox = serverFor(p.conn.Local()), p.conn.Local(), p.theirs, p.own, p.inbox
	var err error
	if p.entry, err = p.w.plane.Register(c); err != nil {
		p.w.t.Fatal(err)
	}
}

func encrypted() *mppe.Params {
	return &mppe.Params{KeyLength: mppe.Bits128, Stateless: true, SendKey: mppe.Key{1, 2, 3}, ReceiveKey: mppe.Key{4, 5, 6}}
}

// gre wraps a PPP frame with the next sequence number.
func (p *peer) gre(frame []byte) []byte {
	h := gre.Header{PayloadLength: uint16(len(frame)), CallID: p.theirs, HasSequence: true, Sequence: p.seq}
	p.seq++
	return append(h.Append(nil), frame...)
}

func (p *peer) raw(packet []byte) {
	p.w.t.Helper()
	if n, err := p.conn.WriteBatch([]tunnel.Packet{{Remote: serverFor(p.conn.Local()), Data: packet}}); n != 1 {
		p.w.t.Fatalf("not sent: %v", err)
	}
}

// frame is the PPP frame of an IP packet.
func (p *peer) frame(ip []byte) []byte {
	inner := append(ppp.AppendHeader(nil, ppp.IPv4, true, false), ip...)
	if p.seal == nil {
		return append([]byte{0xff, 3}, inner...)
	}
	return p.seal.Seal(new(mppe.Worker), ppp.AppendHeader(nil, mppe.Protocol, false, false), inner)
}

func (p *peer) send(ip []byte) { p.raw(p.gre(p.frame(ip))) }

// collect is the client's reader.
func (p *peer) collect() {
	batch := tunnel.NewBatch(64)
	for {
		n, err := p.conn.ReadBatch(batch)
		if err != nil {
			return
		}
		p.mu.Lock()
		for _, b := range batch[:n] {
			p.arrived = append(p.arrived, bytes.Clone(b.Data))
		}
		p.mu.Unlock()
	}
}

// receive takes in all that has arrived, checking headers, order and encryption, and returns the IP packets.
func (p *peer) receive() (packets []packet) {
	p.w.t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, data := range p.arrived {
		if ip := p.one(data); ip != nil {
			packets = append(packets, ip)
		}
	}
	p.arrived = nil
	return packets
}

func (p *peer) one(data []byte) packet {
	p.w.t.Helper()
	h, payload, err := gre.Parse(data)
	if err != nil || h.CallID != p.own {
		p.w.t.Fatalf("GRE header %+v, %v", h, err)
	}
	if h.HasAck {
		p.acks = append(p.acks, h.Ack)
	}
	if !h.HasSequence {
		return nil
	}
	lost := h.Sequence - p.next
	if lost > 1<<31 {
		p.w.t.Fatalf("sequence number %d after %d", h.Sequence, p.next-1)
	}
	p.next = h.Sequence + 1
	protocol, info, err := ppp.Split(payload)
	if err != nil {
		p.w.t.Fatal(err)
	}
	p.got = append(p.got, bytes.Clone(payload))
	if protocol == mppe.Protocol {
		plain, err := p.open.Open(new(mppe.Worker), nil, info, lost)
		if err != nil {
			p.w.t.Fatal(err)
		}
		if protocol, info, err = ppp.Split(plain); err != nil {
			p.w.t.Fatal(err)
		}
	}
	if protocol != ppp.IPv4 {
		return nil
	}
	return bytes.Clone(info)
}

// tunneled takes what has been written to the TUN.
func (w *world) tunneled() (packets []packet) {
	synctest.Wait()
	for {
		select {
		case p := <-w.tun.Sent():
			packets = append(packets, p)
		default:
			return packets
		}
	}
}

func (w *world) inject(p packet) {
	w.t.Helper()
	if err := w.tun.TryInject(p); err != nil {
		w.t.Fatal(err)
	}
}

func numbered(src, dst string, n, size int) packet {
	payload := make([]byte, size)
	binary.BigEndian.PutUint32(payload, uint32(n))
	for i := 4; i < size; i++ {
		payload[i] = byte(n + i)
	}
	return datagram(src, dst, 17, 0, payload)
}

func TestThroughAndBack(t *testing.T) {
	for name, network := range map[string]Network{
		"clear":                  {},
		"clear, compressed":      {PFC: true, ACFC: true},
		"encrypted":              {Encryption: encrypted()},
		"encrypted, compressed":  {Encryption: encrypted(), PFC: true, ACFC: true},
		"encrypted, PFC only":    {Encryption: encrypted(), PFC: true},
		"clear, address present": {PFC: true},
	} {
		for _, outer := range []string{"198.51.100.7", "2001:db8:7::7", "fe80::7%eth0"} {
			t.Run(name+" from "+outer, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, gretest.Config{}, nil)
					defer w.close()
					p := w.dial(outer, "10.8.0.2", network)
					const count = 300
					for i := range count {
						p.send(numbered("10.8.0.2", "203.0.113.9", i, 4+i*4))
					}
					p.entry.Rest() // which changes nothing
					for i, got := range w.tunneled() {
						if want := numbered("10.8.0.2", "203.0.113.9", i, 4+i*4); !bytes.Equal(got, want) {
							t.Fatalf("packet %d of %d octets came out with %d", i, len(want), len(got))
						}
					}
					for i := range count {
						if i == count/2 {
							p.entry.Rest()
						}
						w.inject(numbered("203.0.113.9", "10.8.0.2", i, 4+i*4))
					}
					back := p.receive()
					for i, got := range back {
						if want := numbered("203.0.113.9", "10.8.0.2", i, 4+i*4); !bytes.Equal(got, want) {
							t.Fatalf("packet %d of %d octets arrived with %d", i, len(want), len(got))
						}
					}
					c := p.entry.Counters()
					if c.PacketsIn != count || c.PacketsOut != count || len(back) != count || c.Dropped() != 0 {
						t.Fatalf("%d packets came back; counters %+v", len(back), c)
					}
				})
			})
		}
	}
}

func TestHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		for _, c := range []struct {
			outer   string
			network Network
			want    []byte
		}{
			{"198.51.100.1", Network{}, []byte{0xff, 3, 0, 0x21, 0x45}},
			{"198.51.100.2", Network{ACFC: true}, []byte{0, 0x21, 0x45}},
			{"198.51.100.3", Network{PFC: true, ACFC: true}, []byte{0x21, 0x45}},
			{"198.51.100.4", Network{Encryption: encrypted()}, []byte{0xff, 3, 0, 0xfd, 0x90, 0}},
			{"198.51.100.5", Network{Encryption: encrypted(), PFC: true, ACFC: true}, []byte{0xfd, 0x90, 0}},
			{"2001:db8:7::6", Network{Encryption: encrypted(), PFC: true, ACFC: true}, []byte{0xfd, 0x90, 0}},
		} {
			p := w.dial(c.outer, "10.8.0."+c.outer[len(c.outer)-1:]+"0", c.network)
			w.inject(numbered("203.0.113.9", p.addr.String(), 1, 20))
			if p.receive(); len(p.got) != 1 || !bytes.HasPrefix(p.got[0], c.want) {
				t.Errorf("%+v: % x; want a payload with % x", c.network, p.got, c.want)
			}
		}
	})
}

func TestControlFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		p := w.dial("198.51.100.7", "10.8.0.2", Network{Encryption: encrypted()})
		lcp := []byte{0xff, 3, 0xc0, 0x21, 9, 1, 0, 8, 1, 2, 3, 4}
		p.raw(p.gre(lcp))
		p.raw(p.gre(p.seal.Seal(new(mppe.Worker), []byte{0, 0xfd}, []byte{0, 0x57, 0x60, 1, 2}))) // IPv6, encrypted
		synctest.Wait()
		got := p.inbox.take()
		if len(got) != 2 || !bytes.Equal(got[0], lcp) || !bytes.Equal(got[1], []byte{0, 0x57, 0x60, 1, 2}) {
			t.Fatalf("delivered % x", got)
		}
		p.inbox.refuse = true
		p.raw(p.gre(lcp))
		synctest.Wait()
		p.w.control(p.entry, lcp)
		p.receive()
		if len(p.got) != 1 || !bytes.Equal(p.got[0], lcp) {
			t.Fatalf("received % x", p.got)
		}
		if c := p.entry.Counters(); c.FramesIn != 3 || c.InboxDropped != 1 || c.FramesOut != 1 {
			t.Fatalf("counters %+v", c)
		}
	})
}

func TestDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		p := w.dial("198.51.100.7", "10.8.0.2", Network{Encryption: encrypted()})
		good := numbered("10.8.0.2", "203.0.113.9", 1, 10)
		clear := func(ip []byte) { p.raw(p.gre(append([]byte{0xff, 3, 0, 0x21}, ip...))) }

		p.send(numbered("10.8.0.3", "203.0.113.9", 1, 10))                                             // somebody else's address
		p.send(numbered("10.8.0.2", "224.0.0.251", 1, 10))                                             // multicast
		p.send(numbered("10.8.0.2", "10.8.7.7", 1, 10))                                                // another client
		clear(good)                                                                                    // not encrypted
		p.raw(p.gre(nil))                                                                              // nothing
		p.raw(p.gre([]byte{0xff, 3, 0, 0xfd, 0x90}))                                                   // half an MPPE header
		p.raw(p.gre(p.seal.Seal(new(mppe.Worker), []byte{0, 0xfd}, []byte{0, 0x21, 0x45, 0, 0, 200}))) // half an IP header
		p.raw(append(gre.Header{PayloadLength: 1, CallID: 9, HasSequence: true}.Append(nil), 0))
		p.send(numbered("10.8.0.2", "10.8.0.1", 2, 10)) // the server itself
		p.send(good)
		if got := w.tunneled(); len(got) != 2 || !bytes.Equal(got[1], good) {
			t.Fatalf("%d packets came through", len(got))
		}
		c := p.entry.Counters()
		want := Counters{PacketsIn: 2, OctetsIn: 60, Forged: 1, Unroutable: 1, Isolated: 1, Unencrypted: 1, Malformed: 1, Undecrypted: 1}
		c.AcksOut = 0
		if c != want {
			t.Fatalf("counters %+v, want %+v", c, want)
		}
		if n := w.plane.Counters().UnknownCall; n != 1 {
			t.Fatalf("%d packets for an unknown call", n)
		}
		p.entry.Shut()
		p.send(good)
		if got := w.tunneled(); len(got) != 0 || p.entry.Counters().Early != 1 {
			t.Fatalf("%d packets came through while shut; %+v", len(got), p.entry.Counters())
		}
		w.inject(numbered("203.0.113.9", "10.8.0.2", 1, 10))
		w.inject(packet{0x60, 1, 2, 3})
		if got := p.receive(); len(got) != 0 {
			t.Fatalf("%d packets for a session that is shut", len(got))
		}
		if n := w.plane.Counters(); n.NoSession != 1 || n.NotIPv4 != 1 {
			t.Fatalf("counters %+v", n)
		}
		p.entry.Remove()
		p.raw(p.gre([]byte{0xff, 3, 0xc0, 0x21}))
		synctest.Wait()
		if n := w.plane.Counters(); n.UnknownCall != 2 || n.Calls != 0 || len(p.inbox.take()) != 0 {
			t.Fatalf("counters %+v after the call was removed", n)
		}
		p.w.control(p.entry, []byte{1})
	})
}

func TestRegisterTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		p := w.dial("198.51.100.7", "10.8.0.2", Network{})
		if _, err := w.plane.Register(p.entry.call); err == nil {
			t.Fatal("the same Call ID twice")
		}
		q := &peer{w: w, conn: p.conn, inbox: &inbox{}, own: 5, theirs: 6}
		q.register(Call{})
		if err := q.entry.Open(Network{Peer: p.addr, MTU: 1400}); err == nil {
			t.Fatal("the same address twice")
		}
		if p.entry.Peer() != p.addr || q.entry.Peer().IsValid() {
			t.Fatal("the address changed hands")
		}
	})
}
