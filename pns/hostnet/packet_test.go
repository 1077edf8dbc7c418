package hostnet

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"testing"

	"trunkline.example/pns/tun"
)

// syn makes a TCP SYN from port 1000 to port 80 with the option for the maximum segment size.
func syn(src, dst string, mss uint16) []byte {
	p := make([]byte, 44)
	p[0], p[8], p[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], netip.MustParseAddr(src).AsSlice())
	copy(p[16:], netip.MustParseAddr(dst).AsSlice())
	binary.BigEndian.PutUint16(p[10:], checksum(p[:20]))
	tcp := p[20:]
	binary.BigEndian.PutUint16(tcp[0:], 1000)
	binary.BigEndian.PutUint16(tcp[2:], 80)
	tcp[12], tcp[13] = 6<<4, 0x02
	binary.BigEndian.PutUint16(tcp[14:], 65535)
	tcp[20], tcp[21] = 2, 4
	binary.BigEndian.PutUint16(tcp[22:], mss)
	pseudo := append(append([]byte{}, p[12:20]...), 0, 6, 0, byte(len(tcp)))
	binary.BigEndian.PutUint16(tcp[16:], checksum(append(pseudo, tcp...)))
	return p
}

func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func mssOf(p []byte) uint16 { return binary.BigEndian.Uint16(p[42:]) }

func send(t *testing.T, d tun.Device, packet []byte) {
	t.Helper()
	if _, err := d.Write([][]byte{append(make([]byte, tun.Headroom), packet...)}, tun.Headroom); err != nil {
		t.Fatal(err)
	}
}

// receive returns the TCP packet to an address that comes out of an interface, or nil when a packet to the marker comes
// first; the marker's packet is sent from this host, after what has been sent before.
func receive(t *testing.T, d tun.Device, dst, marker string) []byte {
	t.Helper()
	c, err := net.Dial("udp4", net.JoinHostPort(marker, "9"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("marker")); err != nil {
		t.Fatal(err)
	}
	bufs, sizes := make([][]byte, d.BatchSize()), make([]int, d.BatchSize())
	for i := range bufs {
		bufs[i] = make([]byte, 2000)
	}
	var found []byte
	for {
		n, err := d.Read(bufs, sizes, 0)
		if err != nil {
			t.Fatal(err, os.ErrClosed)
		}
		for i := range n {
			p := bufs[i][:sizes[i]]
			if p[0]>>4 != 4 {
				continue
			}
			switch to := net.IP(p[16:20]).String(); {
			case to == dst && p[9] == 6:
				found = append([]byte(nil), p...)
			case to == marker:
				return found
			}
		}
	}
}
