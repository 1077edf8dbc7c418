package tunnel

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/gre"
)

// family is what the kernel's interface for one version of IP has of its own.
type family struct {
	domain        int
	level         int // of the options that follow
	discover      int // option: path MTU discovery
	receiveErrors int // option: the error queue
	mtu           int // option: the path's MTU, of a connected socket
	policies      map[PathMTU]int
	header        unix.SockFilter // of the filter: X = where GRE begins
	info          int             // control message: which address of ours
	infoSize      int             // octets
	table         string          // under /proc/net: the raw sockets there are
}

var ipv4 = family{
	domain: unix.AF_INET, level: unix.IPPROTO_IP,
	discover: unix.IP_MTU_DISCOVER, receiveErrors: unix.IP_RECVERR, mtu: unix.IP_MTU,
	policies: map[PathMTU]int{
		PathMTULearn: unix.IP_PMTUDISC_WANT, PathMTUHonour: unix.IP_PMTUDISC_DO, PathMTUIgnore: unix.IP_PMTUDISC_DONT,
	},
	header: unix.SockFilter{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH}, // X = length of the header at 0
	info:   unix.IP_PKTINFO, infoSize: unix.SizeofInet4Pktinfo,
	table: "raw",
}

// A raw IPv6 socket, and so its filter, sees a packet from the payload on.
var ipv6 = family{
	domain: unix.AF_INET6, level: unix.IPPROTO_IPV6,
	discover: unix.IPV6_MTU_DISCOVER, receiveErrors: unix.IPV6_RECVERR, mtu: unix.IPV6_MTU,
	policies: map[PathMTU]int{
		PathMTULearn: unix.IPV6_PMTUDISC_WANT, PathMTUHonour: unix.IPV6_PMTUDISC_DO, PathMTUIgnore: unix.IPV6_PMTUDISC_DONT,
	},
	header: unix.SockFilter{Code: unix.BPF_LDX | unix.BPF_W | unix.BPF_IMM}, // X = 0
	info:   unix.IPV6_PKTINFO, infoSize: unix.SizeofInet6Pktinfo,
	table: "raw6",
}

// familyOf tells the family of an address that is not IPv4-mapped.
func familyOf(a netip.Addr) *family {
	if a.Is4() {
		return &ipv4
	}
	return &ipv6
}

// filter lets through enhanced GRE only: the fixed bits of section 4.1 of RFC 2637 and protocol type 0x880B; and of the Call IDs
// those that are asked for. Plain GRE tunnels of the host never wake us.
func (f *family) filter(cfg Config) []unix.SockFilter {
	return append(f.within(cfg.Within), []unix.SockFilter{
		f.header,
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_IND, K: 2}, // A = protocol type
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: gre.ProtocolType, Jf: 7},
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_IND, K: 0}, // A = flags and version
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0xEF7F},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x2001, Jf: 4},
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_IND, K: 6}, // A = Call ID
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 1<<(cfg.LowBits&15) - 1},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(cfg.Low), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xFFFF},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}...)
}

// within begins a filter by leaving out packets for addresses that are not of a prefix.
func (f *family) within(p netip.Prefix) []unix.SockFilter {
	if f != &ipv4 || !p.IsValid() || !p.Addr().Is4() {
		return nil
	}
	network := p.Masked().Addr().As4()
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 16}, // A = destination
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: uint32(0xFFFFFFFF << (32 - p.Bits()))},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: binary.BigEndian.Uint32(network[:]), Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
}

// AddrPort is what a socket's own or its peer's address is, as the system tells it of the descriptor fd: IPv4 even if it comes
// mapped into IPv6, and a link-local one with the name of its interface. It is the zero AddrPort if it is no IP address.
func AddrPort(fd int, sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		addr := netip.AddrFrom16(a.Addr).Unmap()
		if addr.Is6() && addr.IsLinkLocalUnicast() {
			addr = addr.WithZone(interfaceName(fd, a.ZoneId))
		}
		return netip.AddrPortFrom(addr, uint16(a.Port))
	}
	return netip.AddrPort{}
}

// Sockaddr is the reverse of AddrPort, for a valid address that is not IPv4-mapped.
func Sockaddr(fd int, a netip.Addr, port int) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4(), Port: port}
	}
	s := &unix.SockaddrInet6{Addr: a.As16(), Port: port}
	if a.Zone() != "" {
		s.ZoneId = interfaceIndex(fd, a.Zone())
	}
	return s
}

// interfaceName is the name of an interface in the socket's network namespace, or the number itself if there is none.
func interfaceName(fd int, index uint32) string {
	request, err := unix.NewIfreq("")
	if err == nil {
		request.SetUint32(index)
		if unix.IoctlIfreq(fd, unix.SIOCGIFNAME, request) == nil {
			return request.Name()
		}
	}
	return strconv.FormatUint(uint64(index), 10)
}

// interfaceIndex is the number of an interface by its name or that number, 0 if there is none.
func interfaceIndex(fd int, zone string) uint32 {
	if request, err := unix.NewIfreq(zone); err == nil && unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request) == nil {
		return request.Uint32()
	}
	index, _ := strconv.ParseUint(zone, 10, 32)
	return uint32(index)
}

// zones remembers the interface that was asked for last: hardly any socket meets link-local addresses of two.
type zones struct{ last atomic.Pointer[zone] }

type zone struct {
	index uint32
	name  string
}

// zoneName is interfaceName for the hot path.
func (s *Socket) zoneName(index uint32) string {
	if z := s.zones.last.Load(); z != nil && z.index == index {
		return z.name
	}
	z := &zone{index: index}
	_ = s.raw.Control(func(fd uintptr) { z.name = interfaceName(int(fd), index) })
	s.zones.last.Store(z)
	return z.name
}

// zoneIndex is interfaceIndex for the hot path; no zone is 0.
func (s *Socket) zoneIndex(name string) uint32 {
	if name == "" {
		return 0
	}
	if z := s.zones.last.Load(); z != nil && z.name == name {
		return z.index
	}
	z := &zone{name: name}
	_ = s.raw.Control(func(fd uintptr) { z.index = interfaceIndex(int(fd), name) })
	if z.index != 0 {
		s.zones.last.Store(z)
	}
	return z.index
}
