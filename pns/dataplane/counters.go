package dataplane

import (
	"trunkline.example/pns/tun"
	"trunkline.example/shared/gre/tunnel"
)

// Counters count what became of the packets of one call. In is from the client to the TUN, out is the other way.
type Counters struct {
	PacketsIn  uint64 `json:"packets_in"` // IP packets handed to the TUN or to another session
	OctetsIn   uint64 `json:"octets_in"`
	PacketsOut uint64 `json:"packets_out"` // IP packets sent to the client
	OctetsOut  uint64 `json:"octets_out"`
	FramesIn   uint64 `json:"frames_in"` // control frames (LCP and the like) handed to the owner
	FramesOut  uint64 `json:"frames_out"`
	AcksIn     uint64 `json:"acks_in"` // acknowledgements without data
	AcksOut    uint64 `json:"acks_out"`

	Lost       uint64 `json:"lost"`       // GRE packets missing
	Late       uint64 `json:"late"`       // GRE packets that came after their turn was given up
	Duplicates uint64 `json:"duplicates"` // GRE packets that came twice
	Reordered  uint64 `json:"reordered"`  // GRE packets that came early and were put in order
	Overtaken  uint64 `json:"overtaken"`  // times that missing packets were given up because a later one was too far ahead

	Malformed     uint64 `json:"malformed"`      // no PPP frame, or no IPv4 packet in it
	Undecrypted   uint64 `json:"undecrypted"`    // MPPE packets that did not open
	Unencrypted   uint64 `json:"unencrypted"`    // IP packets in clear where MPPE is agreed on; dropped
	Early         uint64 `json:"early"`          // data while the network was not open
	Forged        uint64 `json:"forged"`         // source address other than the leased one
	Unroutable    uint64 `json:"unroutable"`     // destinations that nobody may send to: loopback, multicast, broadcast
	Isolated      uint64 `json:"isolated"`       // for another client, which is not allowed
	InboxDropped  uint64 `json:"inbox_dropped"`  // control frames that found no room with the owner
	Held          uint64 `json:"held"`           // waited for room in the peer's window, and were sent later or dropped
	WindowClosed  uint64 `json:"window_closed"`  // not sent because the peer's window was full; dropped before encryption
	TooBig        uint64 `json:"too_big"`        // larger than the MTU with DF set; answered with ICMP
	Fragmented    uint64 `json:"fragmented"`     // larger than the MTU and sent in fragments
	SendFailed    uint64 `json:"send_failed"`    // refused by the socket after they were numbered
	Congested     uint64 `json:"congested"`      // not sent because the socket was full a moment ago; dropped before encryption
	FilteredIn    uint64 `json:"filtered_in"`    // from the client, and its filter lets them not pass
	FilteredOut   uint64 `json:"filtered_out"`   // to the client, likewise
	LimitedIn     uint64 `json:"limited_in"`     // from the client beyond Network.In
	LimitedOut    uint64 `json:"limited_out"`    // to the client beyond Network.Out; dropped before encryption
	Expired       uint64 `json:"expired"`        // IP time to live used up on the way to another client
	SegmentsLower uint64 `json:"segments_lower"` // TCP connections whose segment size was lowered
}

// Add adds another set of counters.
func (c *Counters) Add(o Counters) {
	for i, p := range c.fields() {
		*p += *o.fields()[i]
	}
}

// Dropped is the number of IP packets that did not go on, whatever the reason, either way.
func (c *Counters) Dropped() uint64 {
	return c.Malformed + c.Undecrypted + c.Unencrypted + c.Early + c.Forged + c.Unroutable + c.Isolated + c.WindowClosed +
		c.TooBig + c.SendFailed + c.Congested + c.Expired + c.LimitedIn + c.LimitedOut + c.FilteredIn + c.FilteredOut
}

func (c *Counters) fields() []*uint64 {
	return []*uint64{
		&c.PacketsIn, &c.OctetsIn, &c.PacketsOut, &c.OctetsOut, &c.FramesIn, &c.FramesOut, &c.AcksIn, &c.AcksOut,
		&c.Lost, &c.Late, &c.Duplicates, &c.Reordered, &c.Overtaken,
		&c.Malformed, &c.Undecrypted, &c.Unencrypted, &c.Early, &c.Forged, &c.Unroutable, &c.Isolated, &c.InboxDropped,
		&c.Held, &c.WindowClosed, &c.TooBig, &c.Fragmented, &c.SendFailed, &c.Congested, &c.Expired, &c.SegmentsLower, &c.LimitedIn, &c.LimitedOut, &c.FilteredIn, &c.FilteredOut,
	}
}

// PlaneCounters count what belongs to no call.
type PlaneCounters struct {
	Calls          int                        `json:"calls"`           // entries there are
	UnknownCall    uint64                     `json:"unknown_call"`    // GRE packets for a Call ID that is not in use
	ForeignAddress uint64                     `json:"foreign_address"` // GRE packets for a Call ID that is in use, but not of the address they came from
	MalformedGRE   uint64                     `json:"malformed_gre"`
	NoSession      uint64                     `json:"no_session"`   // packets from the TUN for an address that nobody has
	NotIPv4        uint64                     `json:"not_ipv4"`     // packets from the TUN that are not IPv4
	WriteFailed    uint64                     `json:"write_failed"` // packets refused by the TUN
	Sockets        map[string]tunnel.Counters `json:"sockets"`      // by local address
	Device         tun.Counters               `json:"device"`
}
