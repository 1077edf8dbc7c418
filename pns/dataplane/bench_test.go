package dataplane

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"trunkline.example/pns/tun"
	"trunkline.example/pns/tun/tuntest"
	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/mppe"
)

// sink is GRE and a TUN that swallow everything, so that only the data plane itself is measured.
type sink struct {
	*tuntest.Device
	sent, written int
}

func (s *sink) Local() netip.Addr                      { return serverAddr }
func (s *sink) ReadBatch([]tunnel.Packet) (int, error) { return 0, net.ErrClosed }

func (s *sink) WriteBatch(b []tunnel.Packet) (int, error) {
	s.sent += len(b)
	return len(b), nil
}
func (s *sink) PathErrors() <-chan tunnel.PathError { return nil }
func (s *sink) Queues() []tun.Queue                 { return []tun.Queue{s} }
func (s *sink) Write(b [][]byte, _ int) (int, error) {
	s.written += len(b)
	return len(b), nil
}

// greSink is the other face of a sink: the two kinds of Counters have one name.
type greSink struct{ *sink }

func (greSink) Counters() tunnel.Counters { return tunnel.Counters{} }

// rig is a plane with sessions, driven by hand.
type rig struct {
	plane   *Plane
	sink    *sink
	socket  *socket
	entries []*Entry
	remotes []netip.Addr
	sealers []*mppe.Encryptor
	work    mppe.Worker
	seq     []uint32
	in      *ingress
	out     egress
	now     time.Time
	header  int // octets of the IP header in front of GRE, as the socket delivers it
}

// newRig makes a plane with sessions over IPv4.
func newRig(tb testing.TB, sessions int, crypt bool) *rig {
	return newRigOver(tb, sessions, crypt, serverAddr, address(0xc6336401).addr(), ipv4HeaderMin)
}

// newRig6 is newRig over IPv6, of whose packets a socket delivers no header.
func newRig6(tb testing.TB, sessions int, crypt bool) *rig {
	return newRigOver(tb, sessions, crypt, serverAddr6, netip.MustParseAddr("2001:db8:7::1"), 0)
}

// newRigOver is newRig with the clients' addresses from first on.
func newRigOver(tb testing.TB, sessions int, crypt bool, local, first netip.Addr, header int) *rig {
	tb.Helper()
	s := &sink{Device: tuntest.New("tun0", 1400, 1)}
	r := &rig{sink: s, now: time.Now(), header: header}
	r.plane = newPlane(Options{Device: s, Server: poolServer, Clients: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Isolation: true})
	r.socket = r.plane.attach(local, greSink{s})
	for i, remote := 0, first; i < sessions; i, remote = i+1, remote.Next() {
		e, err := r.plane.Register(Call{Local: local, Remote: remote, Own: uint16(i*7 + 1), Theirs: 9, Inbox: &inbox{}})
		if err != nil {
			tb.Fatal(err)
		}
		n := Network{Peer: address(0x0a000102 + i).addr(), MTU: 1400, PFC: true, ACFC: true}
		if crypt {
			n.Encryption = encrypted()
			sealer, err := mppe.NewEncryptor(mppe.Params{KeyLength: mppe.Bits128, Stateless: true, SendKey: n.Encryption.ReceiveKey, ReceiveKey: n.Encryption.SendKey})
			if err != nil {
				tb.Fatal(err)
			}
			r.sealers = append(r.sealers, sealer)
		}
		if err := e.Open(n); err != nil {
			tb.Fatal(err)
		}
		r.entries, r.remotes = append(r.entries, e), append(r.remotes, remote)
	}
	r.seq = make([]uint32, sessions)
	r.in = newIngress(r.plane, 0)
	r.out = r.plane.newEgress(0)
	return r
}

// arriving makes count GRE packets of a size, spread over the sessions, as the socket would deliver them.
func (r *rig) arriving(count, size int) []tunnel.Packet {
	batch := make([]tunnel.Packet, count)
	for i := range batch {
		n := i % len(r.entries)
		ip := numbered(address(0x0a000102+n).addr().String(), "203.0.113.9", i, size-ipv4HeaderMin)
		frame := append([]byte{0x21}, ip...)
		if r.sealers != nil {
			frame = r.sealers[n].Seal(&r.work, ppp.AppendHeader(nil, mppe.Protocol, true, true), append([]byte{0, 0x21}, ip...))
		}
		h := gre.Header{PayloadLength: uint16(len(frame)), CallID: uint16(n*7 + 1), HasSequence: true, Sequence: r.seq[n]}
		r.seq[n]++
		buf := make([]byte, r.header, tunnel.BufferSize)
		buf = append(h.Append(buf), frame...)
		batch[i] = tunnel.Packet{Remote: r.remotes[n], Buffer: buf[:tunnel.BufferSize], Data: buf[r.header:len(buf):len(buf)]}
	}
	return batch
}

// leaving makes packets as the TUN would deliver them.
func (r *rig) leaving(count, size int) [][]byte {
	bufs := make([][]byte, count)
	for i := range bufs {
		bufs[i] = make([]byte, scratchSize)
		copy(bufs[i][headroom:], numbered("203.0.113.9", address(0x0a000102+i%len(r.entries)).addr().String(), i, size-ipv4HeaderMin))
	}
	return bufs
}

func (r *rig) takeIn(batch []tunnel.Packet) {
	r.in.begin(r.now)
	for i := range batch {
		r.in.receive(r.socket, &batch[i])
	}
	r.in.flush()
}

func (r *rig) sendOut(bufs [][]byte, size int) {
	r.out.now = r.now
	for _, b := range bufs {
		r.out.fromTUN(b, size)
	}
	r.out.flush()
	r.out.toTUN(nil)
}

// Neither way allocates for a packet, once all buffers are there.
func TestNoAllocationPerPacket(t *testing.T) {
	for name, r := range map[string]*rig{
		"in clear": newRig(t, 8, false), "encrypted": newRig(t, 8, true),
		"in clear over IPv6": newRig6(t, 8, false), "encrypted over IPv6": newRig6(t, 8, true),
	} {
		const batches, batch = 40, 64
		in, out := r.arriving(batches*batch, 1400), r.leaving(batch, 1400)
		pristine := make([][]byte, len(out))
		for i := range out {
			pristine[i] = append([]byte(nil), out[i]...)
		}
		next := 0
		one := func() {
			r.takeIn(in[next : next+batch])
			next += batch
			for i := range out {
				copy(out[i], pristine[i])
			}
			r.sendOut(out, 1400)
		}
		one()
		if n := testing.AllocsPerRun(batches-10, one); n != 0 {
			t.Errorf("%s: %v allocations for %d packets each way", name, n, batch)
		}
		for _, e := range r.entries {
			if c := e.Counters(); c.Dropped() != 0 || c.PacketsIn == 0 || c.PacketsIn != c.PacketsOut {
				t.Fatalf("counters %+v", c)
			}
		}
	}
}

var benchmarkCases = []struct {
	sessions, size int
	crypt          bool
	rig            func(testing.TB, int, bool) *rig
	over           string
}{
	{1, 1400, false, newRig, ""}, {1, 1400, true, newRig, ""}, {1, 92, true, newRig, ""}, {10_000, 1400, true, newRig, ""},
	{1, 1400, false, newRig6, "/ipv6"}, {10_000, 1400, true, newRig6, "/ipv6"},
}

func BenchmarkIn(b *testing.B) {
	for _, c := range benchmarkCases {
		b.Run(fmt.Sprintf("sessions=%d/size=%d/mppe=%v%s", c.sessions, c.size, c.crypt, c.over), func(b *testing.B) {
			r := c.rig(b, c.sessions, c.crypt)
			b.ReportAllocs()
			b.SetBytes(int64(c.size))
			const batch = 64
			for done := 0; done < b.N; {
				b.StopTimer()
				in := r.arriving(min(max(b.N-done, batch), 4096), c.size)
				b.StartTimer()
				for len(in) > 0 && done < b.N {
					n := min(batch, len(in))
					r.takeIn(in[:n])
					in, done = in[n:], done+n
				}
			}
			if r.sink.written == 0 {
				b.Fatal(errors.New("nothing came through"))
			}
		})
	}
}

func BenchmarkOut(b *testing.B) {
	for _, c := range benchmarkCases {
		b.Run(fmt.Sprintf("sessions=%d/size=%d/mppe=%v%s", c.sessions, c.size, c.crypt, c.over), func(b *testing.B) {
			r := c.rig(b, c.sessions, c.crypt)
			b.ReportAllocs()
			b.SetBytes(int64(c.size))
			const batch = 64
			out := r.leaving(batch, c.size)
			for done := 0; done < b.N; done += batch {
				// The headers are still right: encryption runs over the packet, so a fresh one is needed each time.
				for i := range out {
					ip := packet(out[i][headroom:])
					putIPv4(ip, c.size, 17, addressOf(netip.MustParseAddr("203.0.113.9")), address(0x0a000102+(done+i)%c.sessions))
				}
				r.sendOut(out, c.size)
			}
			if r.sink.sent == 0 {
				b.Fatal(errors.New("nothing came through"))
			}
		})
	}
}

var _ tun.Device = (*sink)(nil)
