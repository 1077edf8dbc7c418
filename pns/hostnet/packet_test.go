package hostnet

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

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

// receive returns the TCP packet to an address that comes out of an interface. One that is expected has its time to come;
// one that is not is given up when a packet to the marker has come, which is sent from this host afterwards.
func receive(t *testing.T, d tun.Device, dst, marker string, expected bool) []byte {
	t.Helper()
	c, err := net.Dial("udp4", net.JoinHostPort(marker, "9"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("marker")); err != nil {
		t.Fatal(err)
	}
	if err := d.Files()[0].SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	bufs, sizes := make([][]byte, d.BatchSize()), make([]int, d.BatchSize())
	for i := range bufs {
		bufs[i] = make([]byte, 2000)
	}
	var found []byte
	for {
		n, err := d.Read(bufs, sizes, 0)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		marked := false
		for i := range n {
			p := bufs[i][:sizes[i]]
			if p[0]>>4 != 4 {
				continue
			}
			switch to := net.IP(p[16:20]).String(); {
			case to == dst && p[9] == 6:
				found = append([]byte(nil), p...)
			case to == marker:
				marked = true
			}
		}
		if found != nil || marked && !expected {
			return found
		}
	}
}

// What packets do: this process is the clients, by the TUN interface, and the hosts behind eth0, by another one.
func TestPackets(t *testing.T) {
	clients := host(t)
	lan, other := lanOf(t, "lan0", "203.0.113.1/24"), lanOf(t, "lan1", "203.0.114.1/24")
	c := full
	c.Masquerade = false
	n := setup(t, c)
	if err := n.AddRouteMTU(netip.MustParseAddr("10.97.0.9"), 576); err != nil {
		t.Fatal(err)
	}
	markers := map[tun.Device]string{clients: "10.97.0.200", lan: "203.0.113.200", other: "203.0.114.200"}
	for _, p := range []struct {
		what     string
		from, to tun.Device
		src, dst string
		arrives  bool
		mss      uint16 // of the SYN that arrives
	}{
		{"client to host", clients, lan, "10.97.0.5", "203.0.113.9", true, 1360},
		{"host to client", lan, clients, "203.0.113.9", "10.97.0.5", true, 1360},
		{"host to slow client", lan, clients, "203.0.113.9", "10.97.0.9", true, 536},
		{"slow client to host", clients, lan, "10.97.0.9", "203.0.113.9", true, 536},
		{"client to client", clients, clients, "10.97.0.5", "10.97.0.6", false, 0},
		{"host to host through us", lan, other, "203.0.113.9", "203.0.114.9", false, 0},
	} {
		send(t, p.from, syn(p.src, p.dst, 1460))
		got := receive(t, p.to, p.dst, markers[p.to], p.arrives)
		if (got != nil) != p.arrives {
			t.Errorf("%s: arrives %v, want %v", p.what, got != nil, p.arrives)
		} else if got != nil && mssOf(got) != p.mss {
			t.Errorf("%s: MSS %d, want %d", p.what, mssOf(got), p.mss)
		}
	}
	c.Isolation = false
	setup(t, c)
	send(t, clients, syn("10.97.0.5", "10.97.0.6", 1460))
	if receive(t, clients, "10.97.0.6", "10.97.0.200", true) == nil {
		t.Error("client to client without isolation: does not arrive")
	}
	c.Masquerade = true
	setup(t, c)
	send(t, clients, syn("10.97.0.5", "203.0.113.9", 1460))
	if got := receive(t, lan, "203.0.113.9", "203.0.113.200", true); got == nil || net.IP(got[12:16]).String() != "203.0.113.1" {
		t.Errorf("masqueraded: %x", got)
	}
}

// lanOf makes an interface with hosts behind it.
func lanOf(t *testing.T, name, address string) tun.Device {
	t.Helper()
	d, err := tun.Open(tun.Options{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	ip(t, "link set "+name+" up")
	ip(t, "address add "+address+" dev "+name)
	for _, filtering := range []string{"all", "default", "trunk0", name} {
		command(t, "sysctl", "-qw", "net.ipv4.conf."+filtering+".rp_filter=0")
	}
	return d
}
