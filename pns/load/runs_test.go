package load

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The datagrams of a run arrive one by one, also where the kernel refuses runs.
func TestRuns(t *testing.T) {
	for _, refused := range []bool{false, true} {
		t.Run(fmt.Sprintf("refused %v", refused), func(t *testing.T) {
			to, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer to.Close()
			from, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer from.Close()
			if refused { // the kernel makes no run of datagrams without a checksum
				raw, err := from.SyscallConn()
				if err != nil {
					t.Fatal(err)
				}
				var set error
				if err := raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1) }); err != nil || set != nil {
					t.Fatal(err, set)
				}
			}
			const size, count = 1200, 70 // more than one run
			newRuns(from).send(to.LocalAddr().(*net.UDPAddr).AddrPort(), count, size, func(i int, b []byte) { b[0], b[size-1] = byte(i), byte(i) })
			buf := make([]byte, 1<<16)
			_ = to.SetReadDeadline(time.Now().Add(10 * time.Second))
			for i := range count {
				n, sender, err := to.ReadFromUDPAddrPort(buf)
				if err != nil || n != size || buf[0] != byte(i) || buf[size-1] != byte(i) || sender != netip.MustParseAddrPort(from.LocalAddr().String()) {
					t.Fatalf("datagram %d: %d octets, %d and %d, from %v, %v", i, n, buf[0], buf[size-1], sender, err)
				}
			}
		})
	}
}
