package tunnel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/gre"
)

// packet is GRE data number n with a payload of size octets.
func packet(n uint32, size int) []byte {
	h := gre.Header{PayloadLength: uint16(size), CallID: 5, HasSequence: true, Sequence: n}
	return append(h.Append(nil), bytes.Repeat([]byte{byte(n)}, size)...)
}

func TestSocketBothWays(t *testing.T) {
	inNamespace(t, func(l loopback) {
		a, b := l.listen(Config{Local: l.one}), l.listen(Config{Local: l.two})
		if a.Local() != l.one {
			l.fail(a.Local())
		}
		var batch []Packet
		var octets int
		for i := range uint32(3*MaxBatch + 7) { // more than one system call takes
			data := packet(i, int(i)*5%1500)
			octets += len(data)
			batch = append(batch, Packet{Remote: l.two, Data: data})
		}
		if n, err := a.WriteBatch(batch); n != len(batch) || err != nil {
			l.fail(n, err)
		}
		got := l.read(b, len(batch))
		for i, p := range batch {
			if p.Err != nil || !bytes.Equal(got[i], p.Data) {
				l.fail("packet", i, p.Err, len(got[i]))
			}
		}
		if _, err := b.WriteBatch([]Packet{{Remote: netip.AddrFrom16(l.one.As16()), Data: packet(1, 2)}}); err != nil {
			l.fail(err)
		}
		back := NewBatch(4)
		if n, err := a.ReadBatch(back); n != 1 || err != nil || back[0].Remote != l.two || !bytes.Equal(back[0].Data, packet(1, 2)) {
			l.fail(n, err, back[0].Remote, back[0].Data)
		}
		want := Counters{Sent: uint64(len(batch)), SentOctets: uint64(octets), Received: 1, ReceivedOctets: uint64(len(packet(1, 2)))}
		if c := a.Counters(); c != want {
			l.fail(c, want)
		}
	})
}

// Whoever sends something else than enhanced GRE, or to another address of the host, is not heard.
func TestSocketFilters(t *testing.T) {
	inNamespace(t, func(l loopback) {
		a, b := l.listen(Config{Local: l.one}), l.listen(Config{Local: l.two})
		plain := packet(1, 4)
		binary.BigEndian.PutUint16(plain, 0x0000) // GRE version 0
		ethernet := packet(2, 4)
		binary.BigEndian.PutUint16(ethernet[2:], 0x6558)
		batch := []Packet{
			{Remote: l.two, Data: plain}, {Remote: l.two, Data: ethernet}, {Remote: l.two, Data: []byte{1}}, {Remote: l.two},
			{Remote: l.three, Data: packet(3, 4)},
			{Remote: l.two, Data: packet(4, 4)},
		}
		if n, err := a.WriteBatch(batch); n != len(batch) || err != nil {
			l.fail(n, err)
		}
		got := NewBatch(8)
		if n, err := b.ReadBatch(got); n != 1 || err != nil || !bytes.Equal(got[0].Data, packet(4, 4)) {
			l.fail(n, err, got[0].Data)
		}
		if c := b.Counters(); c.Received != 1 || c.Malformed+c.ReceiveDrops != 0 {
			l.fail(c)
		}
	})
}

func TestSocketSurvivesRefusals(t *testing.T) {
	inNamespace(t, func(l loopback) {
		a, b := l.listen(Config{Local: l.one}), l.listen(Config{Local: l.two})
		batch := []Packet{
			{Remote: l.two, Data: packet(0, 4)},
			{Remote: l.alien, Data: packet(1, 4)},
			{Remote: l.nowhere, Data: packet(2, 4)}, // no route
			{Data: packet(3, 4)},
			{Remote: l.two, Data: packet(4, 4)},
		}
		if n, err := a.WriteBatch(batch); n != 2 || err != nil {
			l.fail(n, err)
		}
		for i, want := range []error{nil, unix.EAFNOSUPPORT, unix.ENETUNREACH, unix.EAFNOSUPPORT, nil} {
			if !errors.Is(batch[i].Err, want) {
				l.fail(i, batch[i].Err, want)
			}
		}
		if got := l.read(b, 2); !bytes.Equal(got[1], packet(4, 4)) {
			l.fail(got)
		}
		if c := a.Counters(); c.SendFailed != 3 || c.Sent != 2 {
			l.fail(c)
		}
	})
}

func TestSocketPathMTU(t *testing.T) {
	inNamespace(t, func(l loopback) {
		l.mtu(1400)
		b := l.listen(Config{Local: l.two})
		if mtu, err := l.pathMTU(l.one, l.two); mtu != 1400 || err != nil {
			l.fail(mtu, err)
		}
		for _, c := range []struct {
			policy PathMTU
			sent   int
		}{{PathMTUHonour, 1}, {PathMTULearn, 2}, {PathMTUIgnore, 2}} {
			a := l.listen(Config{Local: l.one, PathMTU: c.policy})
			fits := 1400 - IPHeader(l.two) - len(packet(0, 0))
			batch := []Packet{{Remote: l.two, Data: packet(1, fits+1)}, {Remote: l.two, Data: packet(2, fits)}}
			if c.policy == PathMTUHonour { // twice the same news is one
				batch = append(batch, Packet{Remote: l.two, Data: packet(1, fits+1)})
			}
			if n, err := a.WriteBatch(batch); n != c.sent || err != nil {
				l.fail(c, n, err)
			}
			// Fragments come out as one packet.
			if got := l.read(b, c.sent); !bytes.Equal(got[len(got)-1], packet(2, fits)) || len(got) == 2 && !bytes.Equal(got[0], packet(1, fits+1)) {
				l.fail(c, len(got))
			}
			if c.policy == PathMTUHonour {
				if !errors.Is(batch[0].Err, unix.EMSGSIZE) || batch[1].Err != nil {
					l.fail(batch[0].Err, batch[1].Err)
				}
				select {
				case e := <-a.PathErrors():
					if e != (PathError{Remote: l.two, MTU: 1400, Err: unix.EMSGSIZE}) {
						l.fail(e)
					}
				default:
					l.fail("no path error")
				}
				if n := a.Counters(); n.SendTooBig != 2 || n.PathErrors != 1 {
					l.fail(n)
				}
			}
			_ = a.Close()
		}
	})
}

// An ICMP error about an earlier packet wakes the reader and fails neither it nor the next send.
func TestSocketPathErrorsFromOutside(t *testing.T) {
	inNamespace(t, func(l loopback) {
		a, b := l.listen(Config{Local: l.one}), l.listen(Config{Local: l.two})
		type result struct {
			n   int
			err error
		}
		read := make(chan result, 1)
		got := NewBatch(4)
		go func() {
			n, err := a.ReadBatch(got)
			read <- result{n, err}
		}()
		sent := packet(9, 30)
		if n, err := a.WriteBatch([]Packet{{Remote: l.two, Data: sent}}); n != 1 || err != nil {
			l.fail(n, err)
		}
		for _, c := range []struct {
			code byte
			want PathError
		}{
			{l.noGRE, PathError{Remote: l.two, Err: l.noGREErrno}},
			{l.noHost, PathError{Remote: l.two, Err: unix.EHOSTUNREACH}},
		} {
			l.unreachable(l.two, l.one, c.code, sent)
			select {
			case e := <-a.PathErrors():
				if e != c.want {
					l.fail(e, c.want)
				}
			case <-time.After(10 * time.Second):
				l.fail("no path error for code", c.code)
				return
			}
			batch := []Packet{{Remote: l.two, Data: packet(10, 4)}}
			if n, err := a.WriteBatch(batch); n != 1 || err != nil || batch[0].Err != nil {
				l.fail(n, err, batch[0].Err)
			}
		}
		if n, err := b.WriteBatch([]Packet{{Remote: l.one, Data: packet(11, 4)}}); n != 1 || err != nil {
			l.fail(n, err)
		}
		if r := <-read; r.n != 1 || r.err != nil || !bytes.Equal(got[0].Data, packet(11, 4)) {
			l.fail(r)
		}
		// The same while nobody reads: sending goes on, and the next reader finds out.
		l.unreachable(l.two, l.one, l.noGRE, sent)
		if n, err := a.WriteBatch([]Packet{{Remote: l.two, Data: packet(12, 4)}}); n != 1 || err != nil {
			l.fail(n, err)
		}
		if n, err := b.WriteBatch([]Packet{{Remote: l.one, Data: packet(13, 4)}}); n != 1 || err != nil {
			l.fail(n, err)
		}
		if got := l.read(a, 1); !bytes.Equal(got[0], packet(13, 4)) {
			l.fail(got)
		}
		if e := <-a.PathErrors(); !errors.Is(e.Err, l.noGREErrno) {
			l.fail(e)
		}
	})
}

func TestSocketClose(t *testing.T) {
	inNamespace(t, func(l loopback) {
		a := l.listen(Config{Local: l.one})
		done := make(chan error)
		started := make(chan bool)
		go func() {
			close(started)
			_, err := a.ReadBatch(NewBatch(1))
			done <- err
		}()
		<-started
		if err := a.Close(); err != nil {
			l.fail(err)
		}
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			l.fail("reader:", err)
		}
		if _, err := a.WriteBatch([]Packet{{Remote: l.two, Data: packet(1, 1)}}); !errors.Is(err, net.ErrClosed) {
			l.fail("writer:", err)
		}
		if err := a.Close(); !errors.Is(err, net.ErrClosed) {
			l.fail("second close:", err)
		}
		_ = a.Counters()
		if n, err := l.listen(Config{Local: l.one}).ReadBatch(nil); n != 0 || err != nil {
			l.fail(n, err)
		}
	})
}

func TestListenRefuses(t *testing.T) {
	for _, bad := range []netip.Addr{{}, netip.IPv6Unspecified(), netip.IPv4Unspecified(), netip.MustParseAddr("::ffff:0.0.0.0")} {
		if _, err := Listen(Config{Local: bad}); !errors.Is(err, ErrAddressFamily) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := PathMTUOf(-1); err == nil {
		t.Error("the path of no socket")
	}
	inNamespace(t, func(l loopback) {
		if _, err := Listen(Config{Local: l.nowhere}); !errors.Is(err, unix.EADDRNOTAVAIL) {
			l.fail(err)
		}
		a := l.listen(Config{Local: l.one})
		if _, err := Listen(Config{Local: l.one}); !errors.Is(err, ErrAddressInUse) {
			l.fail(err)
		}
		l.listen(Config{Local: l.two})
		_ = a.Close()
		l.listen(Config{Local: l.one})
	})
}

// A successor takes over the socket with what is in its queue.
func TestAdopt(t *testing.T) {
	inNamespace(t, func(l loopback) {
		old, b := l.listen(Config{Local: l.one}), l.listen(Config{Local: l.two})
		if _, err := b.WriteBatch([]Packet{{Remote: l.one, Data: packet(1, 3)}}); err != nil {
			l.fail(err)
		}
		file, err := old.File()
		if err != nil {
			l.fail(err)
			return
		}
		_ = old.Close()
		fresh, err := Adopt(file, 0)
		if err != nil {
			l.fail(err)
			return
		}
		defer fresh.Close()
		if got := l.read(fresh, 1); fresh.Local() != l.one || !bytes.Equal(got[0], packet(1, 3)) {
			l.fail(fresh.Local(), got)
		}
		if n, err := fresh.WriteBatch([]Packet{{Remote: l.two, Data: packet(2, 3)}}); n != 1 || err != nil {
			l.fail(n, err)
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			l.fail(err)
			return
		}
		other := os.NewFile(uintptr(fd), "other")
		defer other.Close()
		if _, err := Adopt(other, 0); err == nil {
			l.fail("adopted a UDP socket")
		}
	})
}

// The receive buffer is bounded, and what it loses is counted.
func TestSocketCountsDrops(t *testing.T) {
	inNamespace(t, func(l loopback) {
		a, b := l.listen(Config{Local: l.one}), l.listen(Config{Local: l.two, ReceiveBuffer: 16 << 10})
		const sent = 200
		for i := range uint32(sent) {
			if _, err := a.WriteBatch([]Packet{{Remote: l.two, Data: packet(i, 1000)}}); err != nil {
				l.fail(err)
			}
		}
		drops := b.Counters().ReceiveDrops
		if drops == 0 || drops >= sent {
			l.fail(drops, "drops")
		}
		if got := l.read(b, sent-int(drops)); len(got) != sent-int(drops) {
			l.fail(len(got), drops)
		}
	})
}

func TestSocketTruncated(t *testing.T) {
	inNamespace(t, func(l loopback) {
		a, b := l.listen(Config{Local: l.one}), l.listen(Config{Local: l.two})
		batch := []Packet{{Remote: l.two, Data: packet(1, 3000)}, {Remote: l.two, Data: packet(2, 1532)}}
		if n, err := a.WriteBatch(batch); n != 2 || err != nil {
			l.fail(n, err)
		}
		if got := l.read(b, 1); !bytes.Equal(got[0], packet(2, 1532)) {
			l.fail(len(got[0]))
		}
		if c := b.Counters(); c.Truncated != 1 || c.Received != 1 {
			l.fail(c)
		}
	})
}

// Several writers at once, each packet whole.
func TestSocketConcurrentWriters(t *testing.T) {
	inNamespace(t, func(l loopback) {
		a, b := l.listen(Config{Local: l.one}), l.listen(Config{Local: l.two})
		const writers, each = 8, 50
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					n := uint32(w*each + i)
					if sent, err := a.WriteBatch([]Packet{{Remote: l.two, Data: packet(n, 100)}}); sent != 1 || err != nil {
						l.fail(sent, err)
					}
				}
			})
		}
		wg.Wait()
		last := map[int]uint32{}
		for _, data := range l.read(b, writers*each) {
			h, payload, err := gre.Parse(data)
			if err != nil || !bytes.Equal(payload, packet(h.Sequence, 100)[12:]) {
				l.fail(err, h)
			}
			w := int(h.Sequence) / each
			if before, ok := last[w]; ok && h.Sequence != before+1 {
				l.fail("order of writer", w, before, h.Sequence)
			}
			last[w] = h.Sequence
		}
	})
}

func TestSocketDoesNotAllocate(t *testing.T) {
	inNamespace(t, func(l loopback) {
		a, b := l.listen(Config{Local: l.one}), l.listen(Config{Local: l.two})
		out, in := make([]Packet, 32), NewBatch(32)
		for i := range out {
			out[i] = Packet{Remote: l.two, Data: packet(uint32(i), 600)}
		}
		out[5].Remote = l.nowhere // no route: refusals cost nothing either
		received := 0
		if n := testing.AllocsPerRun(100, func() {
			if _, err := a.WriteBatch(out); err != nil {
				l.fail(err)
			}
			n, err := b.ReadBatch(in)
			if err != nil {
				l.fail(err)
			}
			received += n
		}); n >= 1 {
			l.fail(n, "allocations per batch")
		}
		if received < 31 {
			l.fail(received, "received")
		}
	})
}

func BenchmarkSocket(b *testing.B) {
	for _, size := range []int{1, 64} {
		b.Run(fmt.Sprintf("batch %d", size), func(b *testing.B) {
			benchInNamespaces(b, func(b *testing.B, l loopback) {
				from, to := l.listen(Config{Local: l.one}), l.listen(Config{Local: l.two})
				out, in := make([]Packet, size), NewBatch(size)
				for i := range out {
					out[i] = Packet{Remote: l.two, Data: packet(uint32(i), 600)}
				}
				b.ReportAllocs()
				packets := 0
				for b.Loop() {
					if _, err := from.WriteBatch(out); err != nil {
						l.fail(err)
					}
					for got := 0; got < size; {
						n, err := to.ReadBatch(in)
						if err != nil {
							l.fail(err)
							return
						}
						got += n
						packets += n
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(packets), "ns/packet")
			})
		})
	}
}
