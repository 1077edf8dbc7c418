package tun

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"trunkline.example/test/netns"
)

// up gives the interface an address and a route, and sets it up.
func up(t *testing.T, d Device, cidr string) {
	t.Helper()
	link, err := netlink.LinkByName(d.Name())
	if err != nil {
		t.Fatal(err)
	}
	address, err := netlink.ParseAddr(cidr)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(netlink.AddrAdd(link, address), netlink.LinkSetUp(link)); err != nil {
		t.Fatal(err)
	}
}

func open1(t *testing.T, o Options) Device {
	t.Helper()
	d, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func buffers(d Device, room int) ([][]byte, []int) {
	bufs := make([][]byte, d.BatchSize())
	for i := range bufs {
		bufs[i] = make([]byte, Headroom+room)
	}
	return bufs, make([]int, len(bufs))
}

// readUDP reads until a UDP packet to the port comes (the kernel may send others) and returns its payload.
func readUDP(t *testing.T, d Device, room int) string {
	t.Helper()
	bufs, sizes := buffers(d, room)
	for {
		n, err := d.Read(bufs, sizes, Headroom)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if p := bufs[i][Headroom : Headroom+sizes[i]]; p[0]>>4 == 4 && p[9] == unix.IPPROTO_UDP {
				return string(p[28:])
			}
		}
	}
}

func TestPacketsBothWays(t *testing.T) {
	for name, plain := range map[string]bool{"offload": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			netns.Here(t)
			d := open1(t, Options{Name: "trunk%d", MTU: 1234, NoOffload: plain})
			if mtu, err := d.MTU(); d.Name() != "trunk0" || mtu != 1234 || err != nil {
				t.Fatalf("name %s, MTU %d, %v", d.Name(), mtu, err)
			}
			up(t, d, "10.1.0.1/24")
			c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(10, 1, 0, 1), Port: 7}, &net.UDPAddr{IP: net.IPv4(10, 1, 0, 2), Port: 9})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte("to the client")); err != nil {
				t.Fatal(err)
			}
			if got := readUDP(t, d, 1500); got != "to the client" {
				t.Errorf("read %q", got)
			}
			if n, err := d.Write([][]byte{udp("one"), udp("two")}, Headroom); n != 2 || err != nil {
				t.Fatalf("write %d, %v", n, err)
			}
			buf := make([]byte, 100)
			for _, want := range []string{"one", "two"} {
				if n, err := c.Read(buf); err != nil || string(buf[:n]) != want {
					t.Errorf("received %q, %v; want %q", buf[:n], err, want)
				}
			}
			// The server's own mistakes are told, counted, and do no harm.
			n, err := d.Write([][]byte{udp("three"), append(make([]byte, Headroom), 0xff, 1, 2, 3)}, Headroom)
			if n != 1 || !errors.Is(err, unix.EINVAL) || d.Counters() != (Counters{WriteRefused: 1}) {
				t.Errorf("a packet that is none: %d, %v, %+v", n, err, d.Counters())
			}
			if _, err := d.Write([][]byte{udp("x")}, Headroom-1); err == nil {
				t.Error("too small an offset was accepted")
			}
		})
	}
}

// udp makes a packet from 10.1.0.2:9 to 10.1.0.1:7 behind the headroom.
func udp(payload string) []byte {
	b := make([]byte, Headroom+28, Headroom+28+len(payload))
	p := b[Headroom:]
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(p[2:], uint16(28+len(payload)))
	copy(p[12:], []byte{10, 1, 0, 2, 10, 1, 0, 1})
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum+sum>>16))
	binary.BigEndian.PutUint16(p[20:], 9)
	binary.BigEndian.PutUint16(p[22:], 7)
	binary.BigEndian.PutUint16(p[24:], uint16(8+len(payload)))
	return append(b, payload...)
}

func TestPacketLongerThanTheBufferIsDropped(t *testing.T) {
	for name, plain := range map[string]bool{"offload": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			netns.Here(t)
			d := open1(t, Options{Name: "trunk0", MTU: 1500, NoOffload: plain})
			up(t, d, "10.1.0.1/24")
			c, err := net.Dial("udp4", "10.1.0.2:9")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for _, size := range []int{973, 972, 10} {
				if _, err := c.Write(bytes.Repeat([]byte{'x'}, size)); err != nil {
					t.Fatal(err)
				}
			}
			if got := readUDP(t, d, 1000); len(got) != 972 { // with its headers it just fills the buffer
				t.Errorf("read %d octets", len(got))
			}
			if c := d.Counters(); c.ReadDropped != 1 {
				t.Errorf("counters %+v", c)
			}
		})
	}
}

func TestWhatIsNotReadInTimeIsCounted(t *testing.T) {
	for name, plain := range map[string]bool{"offload": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			netns.Here(t)
			d := open1(t, Options{Name: "trunk0", NoOffload: plain})
			link, err := netlink.LinkByName("trunk0")
			if err != nil {
				t.Fatal(err)
			}
			const room, more = 10, 7
			if err := netlink.LinkSetTxQLen(link, room); err != nil {
				t.Fatal(err)
			}
			up(t, d, "10.1.0.1/24")
			c, err := net.Dial("udp4", "10.1.0.2:9")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for range room + more {
				if _, err := c.Write([]byte("x")); err != nil && !errors.Is(err, unix.ENOBUFS) {
					t.Fatal(err)
				}
			}
			if c := d.Counters(); c.Unread < more { // the kernel may have had packets of its own to send
				t.Errorf("counters %+v", c)
			}
		})
	}
}

func TestCloseAndDeletionEndRead(t *testing.T) {
	for name, o := range map[string]Options{"offload": {}, "plain": {NoOffload: true}, "read in turn": {Queues: 3}, "read each": {Queues: 3, Readers: 3}} {
		t.Run(name, func(t *testing.T) {
			netns.Here(t)
			o.Name = "trunk%d"
			for what, end := range map[string]func(Device) error{
				"close": Device.Close,
				"deletion": func(d Device) error {
					return netlink.LinkDel(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Name: d.Name()}})
				},
			} {
				d := open1(t, o)
				up(t, d, "10.1.0.1/24")
				ended := make(chan error)
				for _, q := range d.Queues() {
					go func() {
						bufs, sizes := buffers(d, 1500)
						for {
							if _, err := q.Read(bufs, sizes, Headroom); err != nil {
								ended <- err
								return
							}
						}
					}()
				}
				if err := end(d); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				for _, q := range d.Queues() {
					if err := <-ended; !errors.Is(err, os.ErrClosed) {
						t.Errorf("read after %s: %v", what, err)
					}
					if _, err := q.Write([][]byte{udp("x")}, Headroom); !errors.Is(err, os.ErrClosed) {
						t.Errorf("write after %s: %v", what, err)
					}
				}
			}
		})
	}
}

func TestOpenExplainsItself(t *testing.T) {
	netns.Here(t)
	open1(t, Options{Name: "trunk0"})
	if _, err := Open(Options{Name: "trunk0"}); !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("an interface in use: %v", err)
	}
	if _, err := Open(Options{Name: "a-name-that-is-too-long"}); err == nil {
		t.Error("a name of 23 octets was accepted")
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Adopt(1, null); err == nil {
		t.Error("/dev/null was adopted")
	}
}

func TestAdopt(t *testing.T) {
	for name, plain := range map[string]bool{"offload": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			netns.Here(t)
			first := open1(t, Options{Name: "trunk7", MTU: 1300, NoOffload: plain})
			up(t, first, "10.1.0.1/24")
			fd, err := unix.FcntlInt(first.Files()[0].Fd(), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			d, err := Adopt(1, os.NewFile(uintptr(fd), "handed over"))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			if mtu, err := d.MTU(); d.Name() != "trunk7" || mtu != 1300 || err != nil || d.BatchSize() != first.BatchSize() {
				t.Errorf("adopted %s, MTU %d, %v, batch of %d", d.Name(), mtu, err, d.BatchSize())
			}
			c, err := net.Dial("udp4", "10.1.0.2:9")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte("still there")); err != nil {
				t.Fatal(err)
			}
			if got := readUDP(t, d, 1500); got != "still there" {
				t.Errorf("read %q", got)
			}
		})
	}
}

// A TCP connection through two interfaces in two namespaces, pumped from one to the other.
func TestTCPThrough(t *testing.T) {
	const size = 20 << 20
	for name, c := range map[string]struct {
		plain, single bool
		buffers       int
	}{"offload": {}, "plain": {plain: true}, "offload refused": {single: true}, "fewer buffers than packets in a run": {buffers: 3}} {
		t.Run(name, func(t *testing.T) {
			netns.Here(t)
			a := open1(t, Options{Name: "trunk0", MTU: 1400, NoOffload: c.plain})
			up(t, a, "10.1.0.1/24")
			far := make(chan net.Listener)
			var b Device
			go func() {
				netns.Here(t) // a namespace of this goroutine's own
				b = open1(t, Options{Name: "trunk0", MTU: 1400, NoOffload: c.plain})
				up(t, b, "10.1.0.2/24")
				l, err := net.Listen("tcp4", "10.1.0.2:9")
				if err != nil {
					t.Error(err)
				}
				far <- l
			}()
			l := <-far
			if l == nil {
				t.FailNow()
			}
			defer l.Close()
			if c.single {
				a.(*device).queues[0].write.single = true
				b.(*device).queues[0].write.single = true
			}
			if c.buffers == 0 {
				c.buffers = a.BatchSize()
			}
			largest := make(chan int, 2)
			go pump(a, b, c.buffers, largest)
			go pump(b, a, c.buffers, largest)
			sent, received := transfer(t, l, size)
			if sent != received {
				t.Error("what came is not what was sent")
			}
			_ = a.Close()
			_ = b.Close()
			if n := max(<-largest, <-largest); n < 2 {
				t.Errorf("the largest batch was %d packets", n)
			}
			for _, d := range []Device{a, b} {
				if c := d.Counters(); c.ReadDropped+c.OffloadRefused > 0 {
					t.Errorf("counters %+v", c)
				}
			}
		})
	}
}

func pump(from, to Device, count int, largest chan<- int) {
	bufs, sizes := buffers(from, MaxPacket)
	bufs = bufs[:count]
	out := make([][]byte, len(bufs))
	most := 0
	for {
		n, err := from.Read(bufs, sizes, Headroom)
		if err != nil {
			largest <- most
			return
		}
		most = max(most, n)
		for i := range n {
			out[i] = bufs[i][:Headroom+sizes[i]]
		}
		_, _ = to.Write(out[:n], Headroom) // what is refused is lost: TCP sends it again
	}
}

func transfer(t *testing.T, l net.Listener, size int64) (sent, received [32]byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	done := make(chan [32]byte)
	go func() {
		h := sha256.New()
		c, err := l.Accept()
		if err == nil {
			_, err = io.Copy(h, c)
			_ = c.Close()
		}
		if err != nil {
			t.Error(err)
		}
		done <- [32]byte(h.Sum(nil))
	}()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp4", "10.1.0.2:9")
	if err != nil {
		_ = l.Close()
		<-done
		t.Fatal(err)
	}
	h := sha256.New()
	block := make([]byte, 1<<16)
	for n := int64(0); n < size; n += int64(len(block)) {
		binary.BigEndian.PutUint64(block[n%1000:], uint64(n))
		h.Write(block)
		if _, err := c.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.Close()
	return [32]byte(h.Sum(nil)), <-done
}

func BenchmarkWrite(b *testing.B) {
	for name, plain := range map[string]bool{"offload": false, "plain": true} {
		b.Run(name, func(b *testing.B) {
			netns.Here(b)
			d, err := Open(Options{Name: "trunk0", NoOffload: plain})
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			link, err := netlink.LinkByName("trunk0")
			if err != nil {
				b.Fatal(err)
			}
			if err := netlink.LinkSetUp(link); err != nil {
				b.Fatal(err)
			}
			packet := udp("a small packet")
			bufs := make([][]byte, 64)
			for b.Loop() {
				for i := range bufs {
					bufs[i] = packet
				}
				if _, err := d.Write(bufs[:1], Headroom); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
