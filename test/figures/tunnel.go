package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/gre"
	"trunkline.example/test/netns"
)

// rawGRE carries the GRE of many clients, each with an address of its own, over two sockets: what belongs to whom is told by the Call ID.
// A socket for each address, as package tunnel has it, would have the kernel look through all of them for every packet.
type rawGRE struct {
	server [4]byte
	in     int
	out    int

	mu    sync.RWMutex
	calls map[uint16]*session
}

const (
	ipHeader    = 20
	readTimeout = 200 * time.Millisecond // after which the reader looks whether it is to end
)

func openGRE(space *netns.Space, server netip.Addr) (*rawGRE, error) {
	t := &rawGRE{server: server.As4(), in: -1, out: -1, calls: map[uint16]*session{}}
	err := space.Do(func() (err error) {
		if t.in, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, gre.IPProtocol); err != nil {
			return err
		}
		timeout := unix.NsecToTimeval(int64(readTimeout))
		if err := errors.Join(unix.SetsockoptInt(t.in, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20),
			unix.SetsockoptTimeval(t.in, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)); err != nil {
			return err
		}
		t.out, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW) // we write the IP header
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("GRE sockets: %w", err)
	}
	return t, nil
}

// run delivers what comes until done is closed, and closes the sockets.
func (t *rawGRE) run(done <-chan struct{}) {
	defer unix.Close(t.in)
	defer unix.Close(t.out)
	buf := make([]byte, 64<<10)
	for {
		select {
		case <-done:
			return
		default:
		}
		n, _, err := unix.Recvfrom(t.in, buf, 0)
		if err != nil || n < ipHeader {
			continue
		}
		header := int(buf[0]&15) * 4
		if n < header {
			continue
		}
		h, payload, err := gre.Parse(buf[header:n])
		if err != nil {
			continue
		}
		t.mu.RLock()
		s := t.calls[h.CallID]
		t.mu.RUnlock()
		if s != nil {
			s.receive(time.Now(), h, payload)
		}
	}
}

func (t *rawGRE) register(id uint16, s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls[id] = s
}

// send sends one packet from a client's address; one that the kernel does not take is lost.
func (t *rawGRE) send(from netip.Addr, h gre.Header, payload []byte) {
	p := make([]byte, ipHeader, ipHeader+gre.MaxHeader+len(payload))
	p[0], p[8], p[9] = 0x45, 64, gre.IPProtocol
	source := from.As4()
	copy(p[12:], source[:])
	copy(p[16:], t.server[:])
	p = append(h.Append(p), payload...)
	binary.BigEndian.PutUint16(p[2:], uint16(len(p))) // the kernel fills in the checksum and the identification
	_ = unix.Sendto(t.out, p, 0, &unix.SockaddrInet4{Addr: t.server})
}
