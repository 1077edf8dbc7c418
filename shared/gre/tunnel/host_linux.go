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

// inUse says whether more than one raw GRE socket is bound to the address, by /proc/net/raw: the port of a raw
// socket is its protocol there. Where that cannot be read nothing is known, and the answer is no.
func inUse(local netip.Addr) bool {
	table, err := os.ReadFile("/proc/thread-self/net/raw")
	if err != nil {
		return false
	}
	return boundSockets(table, local) > 1
}

// boundSockets counts the sockets of protocol 47 bound to local in a table as /proc/net/raw shows it.
func boundSockets(table []byte, local netip.Addr) int {
	a := local.As4()
	// The address is printed as a number in the host's byte order.
	want := fmt.Appendf(nil, "%08X:%04X", binary.NativeEndian.Uint32(a[:]), gre.IPProtocol)
	count := 0
	for line := range bytes.Lines(table) {
		if fields := bytes.Fields(line); len(fields) > 1 && bytes.Equal(fields[1], want) {
			count++
		}
	}
	return count
}

// PathMTUTo returns the MTU in octets of the path from local to remote, as far as the kernel knows it: that of the outgoing
// interface or route until a router has said otherwise. It sends nothing.
func PathMTUTo(local, remote netip.Addr) (int, error) {
	local, remote = local.Unmap(), remote.Unmap()
	if !local.Is4() || !remote.Is4() {
		return 0, fmt.Errorf("path from %s to %s: %w", local, remote, ErrAddressFamily)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("tunnel: path MTU: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: local.As4()}); err != nil {
		return 0, fmt.Errorf("tunnel: path MTU: bind to %s: %w", local, err)
	}
	// Port 9 (discard); connecting a datagram socket only looks up the route.
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: remote.As4(), Port: 9}); err != nil {
		return 0, fmt.Errorf("tunnel: path MTU: route to %s: %w", remote, err)
	}
	mtu, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU)
	if err != nil {
		return 0, fmt.Errorf("tunnel: path MTU to %s: %w", remote, err)
	}
	return mtu, nil
}
