package tun

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/test/netns"
)

// segment makes a TCP segment behind the headroom, whose checksums are good.
func segment(n int, payload string) []byte {
	b := make([]byte, Headroom+40, Headroom+40+len(payload))
	p := append(b[Headroom:], payload...)
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], []byte{10, 1, 0, 2, 10, 1, 0, 1})
	binary.BigEndian.PutUint32(p[24:], uint32(n*len(payload)))
	p[32], p[33] = 0x50, 0x10
	return checked(b[:Headroom+len(p)])
}

func checksum(b []byte, sum uint32) uint16 {
	for i, c := range b {
		sum += uint32(c) << (8 * (1 - i%2))
	}
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum + sum>>16)
}

// checked gives a packet of TCP or UDP behind the headroom its checksums, and forbids routers to fragment it.
func checked(b []byte) []byte {
	p := b[Headroom:]
	p[6], p[10], p[11] = 0x40, 0, 0
	binary.BigEndian.PutUint16(p[10:], checksum(p[:20], 0))
	field := p[26:28]
	if p[9] == unix.IPPROTO_TCP {
		field = p[36:38]
	}
	pseudo := uint32(p[9]) + uint32(len(p)-20)
	for i := 12; i < 20; i += 2 {
		pseudo += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	clear(field)
	binary.BigEndian.PutUint16(field, checksum(p[20:], pseudo))
	return b
}

// on makes a device of some other kind of descriptor.
func on(t *testing.T, file *os.File, header int) *device {
	t.Helper()
	d := &device{name: "trunk0", header: header}
	q, err := newQueue(d, file)
	if err != nil {
		t.Fatal(err)
	}
	d.queues = []*queue{q}
	if err := d.divide(1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return d
}

// A kernel that refuses runs of packets gets their packets one by one, and all that follow.
func TestOffloadIsSwitchedOff(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	d := on(t, w, Headroom)
	first, second := segment(0, "one"), segment(1, "two")
	read := func() []byte {
		got := make([]byte, 500)
		n, err := r.Read(got)
		if err != nil {
			t.Fatal(err)
		}
		return got[:n]
	}
	if n, err := d.Write([][]byte{first, second}, Headroom); n != 2 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if got := read(); len(got) != Headroom+40+6 || got[1] != 1 || !bytes.HasSuffix(got, []byte("onetwo")) {
		t.Errorf("written % x", got)
	}
	// What cannot be written to refuses everything with the same error.
	fd, err := unix.Signalfd(-1, &unix.Sigset_t{}, unix.SFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	refusing := on(t, os.NewFile(uintptr(fd), "signals"), Headroom)
	n, err := refusing.Write([][]byte{first, second, segment(9, "x")}, Headroom)
	if want := (Counters{WriteRefused: 3, OffloadRefused: 1}); n != 0 || err == nil || refusing.Counters() != want {
		t.Errorf("%d, %v, %+v", n, err, refusing.Counters())
	}
	d.queues[0].write.single = refusing.queues[0].write.single
	if n, err := d.Write([][]byte{first, second}, Headroom); n != 2 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if got := read(); !bytes.Equal(got, append(bytes.Clone(first), second...)) || !bytes.Equal(got[:Headroom], make([]byte, Headroom)) {
		t.Errorf("written % x", got)
	}
}

// Datagrams of one flow arrive as they were sent, whether the kernel takes them as one or not.
func TestDatagramsInARun(t *testing.T) {
	for name, plain := range map[string]bool{"offload": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			netns.Here(t)
			d := open1(t, Options{Name: "trunk0", NoOffload: plain})
			up(t, d, "10.1.0.1/24")
			c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(10, 1, 0, 1), Port: 7})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			const datagrams = 40 // which find room in the socket
			payload := func(n int) string { return fmt.Sprintf("%1300d", n) }
			var bufs [][]byte
			for n := range datagrams {
				bufs = append(bufs, checked(udp(payload(n))))
			}
			if n, err := d.Write(bufs, Headroom); n != datagrams || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
			if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 2000)
			for n := range datagrams {
				if got, err := c.Read(buf); err != nil || string(buf[:got]) != payload(n) {
					t.Fatalf("datagram %d: received %q, %v", n, buf[:got], err)
				}
			}
			if c := d.Counters(); c.WriteRefused+c.OffloadRefused > 0 {
				t.Errorf("counters %+v", c)
			}
		})
	}
}

// Packets that wait are read together; nothing waits for more.
func TestReadTakesAllThatWaits(t *testing.T) {
	for name, plain := range map[string]bool{"offload": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			netns.Here(t)
			d := open1(t, Options{Name: "trunk0", NoOffload: plain})
			up(t, d, "10.1.0.1/24")
			c, err := net.Dial("udp4", "10.1.0.2:9")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			const packets = 300
			for n := range packets {
				if _, err := c.Write([]byte{byte(n), byte(n >> 8)}); err != nil {
					t.Fatal(err)
				}
			}
			bufs, sizes := buffers(d, 100)
			next, reads := 0, 0
			for ; next < packets; reads++ {
				n, err := d.Read(bufs, sizes, Headroom)
				if err != nil {
					t.Fatal(err)
				}
				for i := range n {
					p := bufs[i][Headroom : Headroom+sizes[i]]
					if p[0]>>4 != 4 || p[9] != unix.IPPROTO_UDP {
						continue // the kernel sends some of its own
					}
					if len(p) != 30 || int(binary.LittleEndian.Uint16(p[28:])) != next {
						t.Fatalf("packet % x, want number %d", p, next)
					}
					next++
				}
			}
			if least := packets / batchSize; reads > least+2 {
				t.Errorf("%d reads", reads)
			}
		})
	}
}

func TestNothingAllocates(t *testing.T) {
	netns.Here(t)
	d := open1(t, Options{Name: "trunk0"})
	up(t, d, "10.1.0.1/24")
	bufs, sizes := buffers(d, 2000)
	segments := [][]byte{segment(0, "one"), segment(1, "two"), segment(2, "more")}
	if n := testing.AllocsPerRun(50, func() {
		if n, err := d.Write(segments, Headroom); n != 3 || err != nil { // answered by a TCP reset
			t.Fatalf("%d, %v", n, err)
		}
		if n, err := d.Read(bufs, sizes, Headroom); n == 0 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
