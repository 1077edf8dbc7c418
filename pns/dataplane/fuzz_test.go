package dataplane

import (
	"testing"
	"time"

	"trunkline.example/pns/tun"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/mppe"
)

// checkedQueue lets the fuzzer see what reaches the TUN.
type checkedQueue struct {
	tun.Queue
	check func(p packet)
}

func (d *checkedQueue) Write(bufs [][]byte, offset int) (int, error) {
	for _, b := range bufs {
		d.check(b[offset:])
	}
	return len(bufs), nil
}

// Whatever comes by GRE over IPv4 or IPv6, nothing but sound IPv4 packets with the session's own address, to where they may go, leaves by the TUN;
// and nothing panics. The input is the packet, and whether the session has encryption, isolation and an IPv6 client.
func FuzzIngress(f *testing.F) {
	ip := numbered("10.0.1.2", "203.0.113.9", 1, 40)
	sealer, err := mppe.NewEncryptor(mppe.Params{KeyLength: mppe.Bits128, Stateless: true, SendKey: encrypted().ReceiveKey})
	if err != nil {
		f.Fatal(err)
	}
	frame := func(b ...byte) []byte {
		p := peer{theirs: 1}
		return p.gre(b)
	}
	f.Add(frame(append([]byte{0xff, 3, 0, 0x21}, ip...)...), false, true, false)
	f.Add(frame(append([]byte{0x21}, numbered("10.0.1.2", "10.0.1.3", 1, 40)...)...), false, false, false)
	f.Add(frame(append([]byte{0x21}, numbered("10.0.1.2", "10.0.1.3", 1, 40)...)...), false, false, true)
	f.Add(frame(append([]byte{0x21}, syn("10.0.1.2", "203.0.113.9", tcpFlagSYN, []byte{2, 4, 5, 0xb4})...)...), false, true, false)
	f.Add(frame(sealer.Seal(new(mppe.Worker), ppp.AppendHeader(nil, mppe.Protocol, true, true), append([]byte{0, 0x21}, ip...))...), true, true, false)
	f.Add(frame(0xff, 3, 0xc0, 0x21, 9, 1, 0, 8, 0, 0, 0, 0), true, true, true)
	f.Add([]byte{0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 1, 0, 0, 0, 0}, false, true, false)
	f.Fuzz(func(t *testing.T, data []byte, crypt, isolation, over6 bool) {
		if len(data) > tunnel.BufferSize-ipv4HeaderMin {
			return
		}
		r, own := newRig(t, 2, false), address(0x0a000102).addr()
		if over6 {
			r = newRig6(t, 2, false)
		}
		r.plane.SetIsolation(isolation)
		r.in.out.tun = &checkedQueue{r.sink, func(p packet) {
			q, ok := parseIPv4(p)
			if !ok || len(q) != len(p) || q.source().addr() != own && q.source().addr() != poolServer || q.destination().unroutable() {
				t.Errorf("to the TUN: % x", p)
			}
		}}
		e := r.entries[0]
		e.Shut()
		n := Network{Peer: own, MTU: 100}
		if crypt {
			n.Encryption = encrypted()
		}
		if err := e.Open(n); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, r.header, tunnel.BufferSize)
		buf = append(buf, data...)
		for range 2 { // the second one is a duplicate, or late
			r.now = r.now.Add(time.Second)
			r.takeIn([]tunnel.Packet{{Remote: r.remotes[0], Buffer: buf[:tunnel.BufferSize], Data: buf[r.header:len(buf):len(buf)]}})
		}
	})
}
