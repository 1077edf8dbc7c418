package tunnel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/gre"
)

// inUse says whether more than one raw GRE socket is bound to the address, by /proc/net/raw and raw6: the port of a raw
// socket is its protocol there. Where that cannot be read nothing is known, and the answer is no.
func inUse(local netip.Addr) bool {
	if local.IsLinkLocalUnicast() { // the table does not tell one interface's from another's
		return false
	}
	table, err := os.ReadFile("/proc/thread-self/net/" + familyOf(local).table)
	if err != nil {
		return false
	}
	return boundSockets(table, local) > 1
}

// boundSockets counts the sockets of protocol 47 bound to local in a table as /proc/net/raw or raw6 shows it.
func boundSockets(table []byte, local netip.Addr) int {
	var want []byte
	for a := local.AsSlice(); len(a) > 0; a = a[4:] { // printed as one number or four in the host's byte order
		want = fmt.Appendf(want, "%08X", binary.NativeEndian.Uint32(a))
	}
	want = fmt.Appendf(want, ":%04X", gre.IPProtocol)
	count := 0
	for line := range bytes.Lines(table) {
		if fields := bytes.Fields(line); len(fields) > 1 && bytes.Equal(fields[1], want) {
			count++
		}
	}
	return count
}

// PathMTUOf returns the MTU in octets of the path of a connected socket, as far as the kernel knows it: that of the outgoing
// interface or route until a router has said otherwise.
func PathMTUOf(fd int) (int, error) {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return 0, fmt.Errorf("tunnel: path MTU: %w", err)
	}
	f := &ipv4
	if domain == ipv6.domain {
		f = &ipv6
	}
	mtu, err := unix.GetsockoptInt(fd, f.level, f.mtu)
	if err != nil {
		return 0, fmt.Errorf("tunnel: path MTU: %w", err)
	}
	return mtu, nil
}
