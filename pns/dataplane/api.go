package dataplane

import (
	"errors"
	"net/netip"

	"trunkline.example/pns/filter"
	"trunkline.example/shared/ppp/mppe"
)

// Errors of the owner's calls.
var (
	ErrCallIDInUse  = errors.New("the Call ID is in use between these addresses")
	ErrAddressInUse = errors.New("the address belongs to another session")
	ErrClosed       = errors.New("the data plane is closed")
)

// Inbox takes the frames of one call that are not data: LCP, authentication, NCPs. Deliver is called by goroutines of
// the data plane, must not block, and owns the frame; false says that it was dropped.
type Inbox interface{ Deliver(frame []byte) bool }

// Call names one PPTP call to the data plane.
type Call struct {
	Local, Remote netip.Addr // the ends of the control connection that owns the call
	Own           uint16     // Call ID that we assigned: in packets to us
	Theirs        uint16     // Call ID that the peer assigned: in packets to it
	Window        uint16     // packets that the peer buffers; 0 is not stated
	Hold          int        // packets of a kind that may wait for room in the window (SetWindow)
	Enforce       bool       // keep to that window: for peers known to acknowledge promptly, as our own pac does
	PathMTU       int        // octets of an IP packet that the path to Remote takes; 0 is unknown
	Inbox         Inbox
	Route         *Route // what lies behind the far end of a call that we have placed; nil: a client, known by its address alone
}

// Network is what a session may carry, once IPCP is open and encryption settled.
type Network struct {
	Peer       netip.Addr     // leased to the client: the only source of its packets, the destination of ours; with a Route it may be invalid
	Own        netip.Addr     // with a Route: our address on the link; invalid: the server's own
	MTU        int            // most octets of an IP packet to the client
	Encryption *mppe.Params   // nil: in clear
	PFC, ACFC  bool           // how to send
	In, Out    Limit          // of what comes from the client, and of what goes to it
	Filter     *filter.Filter // nil: all packets pass
	Behind     []netip.Prefix // networks behind the client; those that another call has are not carried
}
