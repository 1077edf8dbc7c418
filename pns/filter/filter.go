// Package filter decides which IPv4 packets of a session pass: a list of rules on direction, protocol, addresses and ports, of which the first that
// matches decides. It keeps no state of connections: as rules speak of the far end and the client, not of source and destination, a rule
// without a direction covers what comes back. Pure.
package filter

import "encoding/binary"

// Filter is a list of rules. It is plain data and not changed once it is in use.
type Filter struct {
	Name  string
	Rules []Rule
	Drop  bool // what no rule matches; otherwise it passes
}

// Direction of a packet.
type Direction uint8

// The directions.
const (
	In  Direction = 1 << iota // from the client
	Out                       // to the client
)

// AnyProtocol in a Rule stands for all.
const AnyProtocol = 256

// Rule is one rule. Conditions that are empty hold for every packet.
type Rule struct {
	Drop        bool
	Directions  Direction // both bits: either
	Protocol    uint16    // of the IP header, or AnyProtocol
	Hosts       []Hosts   // at the far end
	Ports       []Ports   // of the far end
	ClientPorts []Ports
}

// Hosts is a range of IPv4 addresses.
type Hosts struct{ First, Last uint32 }

// Ports is a range of ports.
type Ports struct{ First, Last uint16 }

// header is what rules look at.
type header struct {
	direction  Direction
	protocol   uint16
	host       uint32
	port       uint16 // of the far end
	clientPort uint16
	ported     bool // it has ports
	later      bool // they were in an earlier fragment
}

const (
	headerMin      = 20
	fragmentOffset = 0x1fff
)

// Passes decides about an IPv4 packet. One whose headers are not whole does not pass.
//
// A fragment without ports matches a rule about ports if that rule accepts and all else is right: without the first fragment, about which
// the ports decide, it is good for nothing.
func (f *Filter) Passes(d Direction, ip []byte) bool {
	h, ok := parse(d, ip)
	if !ok {
		return false
	}
	for i := range f.Rules {
		if r := &f.Rules[i]; r.matches(&h) {
			return !r.Drop
		}
	}
	return !f.Drop
}

func parse(d Direction, ip []byte) (h header, ok bool) {
	if len(ip) < headerMin || ip[0]>>4 != 4 {
		return h, false
	}
	length := int(ip[0]&0xf) * 4
	if length < headerMin || length > len(ip) {
		return h, false
	}
	h.direction, h.protocol, h.host = d, uint16(ip[9]), binary.BigEndian.Uint32(ip[12:])
	if d == In {
		h.host = binary.BigEndian.Uint32(ip[16:])
	}
	if !hasPorts(h.protocol) {
		return h, true
	}
	h.ported = true
	if binary.BigEndian.Uint16(ip[6:])&fragmentOffset != 0 {
		h.later = true
		return h, true
	}
	ports := ip[length:]
	if len(ports) < 4 {
		return h, false
	}
	h.port, h.clientPort = binary.BigEndian.Uint16(ports), binary.BigEndian.Uint16(ports[2:])
	if d == In {
		h.port, h.clientPort = h.clientPort, h.port
	}
	return h, true
}

// hasPorts tells the protocols whose header begins with source and destination port: TCP, UDP, DCCP, SCTP, UDP-Lite.
func hasPorts(protocol uint16) bool {
	switch protocol {
	case 6, 17, 33, 132, 136:
		return true
	}
	return false
}

func (r *Rule) matches(h *header) bool {
	switch {
	case r.Directions&h.direction == 0, r.Protocol != AnyProtocol && r.Protocol != h.protocol, len(r.Hosts) > 0 && !r.about(h.host):
		return false
	case len(r.Ports) == 0 && len(r.ClientPorts) == 0:
		return true
	case !h.ported:
		return false
	case h.later:
		return !r.Drop
	}
	return among(r.Ports, h.port) && among(r.ClientPorts, h.clientPort)
}

func (r *Rule) about(host uint32) bool {
	for _, a := range r.Hosts {
		if host >= a.First && host <= a.Last {
			return true
		}
	}
	return false
}

func among(ranges []Ports, port uint16) bool {
	for _, p := range ranges {
		if port >= p.First && port <= p.Last {
			return true
		}
	}
	return len(ranges) == 0
}
