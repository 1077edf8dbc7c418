// Package peer is a whole PPP peer: a link (shared/ppp/link), MPPE, and behind them a
// host with one IPv4 address that answers echo requests (ICMP, and UDP port 7) and can
// send such requests itself, one at a time or as a stream, checking every octet that
// comes back. Callers, self-tests and load generators are made of it.
//
// A Peer is a pure machine over PPP frames without flags, stuffing and FCS. It is
// owned by one goroutine; its effects are drained by Actions. Left out: TCP, IPv6, routing,
// and ICMP beyond echo and unreachable.
//
// Every frame it wants sent must be sent in the order given. A data frame has been
// encrypted by then, so an owner with a slow line bounds what it is handed by
// Config.Window rather than dropping frames: what does not fit is dropped here, before
// it is encrypted, which a peer's 12-bit coherency count survives.
package peer

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"trunkline.example/shared/ppp/link"
)

// Config describes a Peer. It is not changed after New.
type Config struct {
	Link   link.Config // which side it plays, name, secret, addresses
	Window int         // data frames handed out by Send and not yet reported by Written; 0 = no bound
	Queue  int         // packets that wait for the window, or for nothing more than Actions; 0 = 64
	Ports  []uint16    // UDP ports whose datagrams come as Datagram actions
	Silent bool        // echo requests are not answered
}

const defaultQueue = 64

// Kind is the protocol of a Probe.
type Kind uint8

// The kinds.
const (
	ICMPEcho Kind = iota // ping
	UDPEcho              // the echo service (RFC 862)
)

// String is the kind's name.
func (k Kind) String() string {
	switch k {
	case ICMPEcho:
		return "ICMP echo"
	case UDPEcho:
		return "UDP echo"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Probe is a series of echo requests. With Interval it is a ping; without, a stream:
// requests follow each other as fast as replies come back, and with Retries what is lost
// is sent again, so that Count times Size octets go there and back whole. Zero values
// take the defaults.
type Probe struct {
	Kind        Kind
	Destination netip.Addr    // invalid = the other end of the link
	Port        uint16        // UDPEcho; 7
	Size        int           // octets of payload, at most MaxSize; UDPEcho at least 4
	Count       int           // requests; 1. ICMPEcho: at most 65535
	Interval    time.Duration // between requests
	Window      int           // requests without reply at one time, at most MaxWindow; 4 without Interval, else MaxWindow
	Timeout     time.Duration // until a request is lost, or sent again; 10 s
	Retries     int           // of one request
}

// Bounds on probes.
const (
	MaxSize   = 16384 // octets
	MaxWindow = 1024  // requests
	MaxProbes = 64    // at one time
)

// ErrProbe: a probe that cannot be run.
var ErrProbe = errors.New("peer: unusable probe")

// ErrConfig: a Peer cannot be made of this state.
var ErrConfig = errors.New("peer: unusable state")

// ErrDown: the network is not up.
var ErrDown = errors.New("peer: network is down")

// Statistics sums a probe up.
type Statistics struct {
	Sent          uint64 // requests, without those sent again
	SentAgain     uint64
	Received      uint64        // replies that were right
	Lost          uint64        // requests without a right reply
	Corrupt       uint64        // replies with a wrong payload
	Late          uint64        // replies that were not waited for: late or repeated
	Octets        uint64        // of payload that came back
	Least         time.Duration // round trip
	Most          time.Duration
	Total         time.Duration // of all round trips; by Received it gives the mean
	Started, Last time.Time     // first request, last event
}

// Mean is the mean round trip.
func (s Statistics) Mean() time.Duration {
	if s.Received == 0 {
		return 0
	}
	return s.Total / time.Duration(s.Received)
}

// Action is an effect that the owner performs or takes note of, in the order given.
type Action interface{ action() }

// Send asks for a frame to be sent. It belongs to the receiver of the action. Data
// tells frames that the window counts from those of control protocols.
type Send struct {
	Frame []byte
	Data  bool
}

// Event is what the link has to tell: link.Authenticate (to be answered by
// Authenticated), LinkUp, NetworkUp, NetworkDown, PhaseChanged, Ended.
type Event struct{ Link link.Action }

// Reply: an echo request came back as it was sent.
type Reply struct {
	Probe     uint16
	Sequence  uint32 // from 0
	Size      int
	RoundTrip time.Duration
	Hops      byte // time to live left
}

// Lost: an echo request was given up, or came back wrong.
type Lost struct {
	Probe    uint16
	Sequence uint32
	Why      string
}

// Done: a probe is over.
type Done struct {
	Probe      uint16
	Request    Probe
	Statistics Statistics
}

// Datagram is a UDP datagram to one of Config.Ports.
type Datagram struct {
	From, To netip.AddrPort
	Payload  []byte
}

func (Send) action()     {}
func (Event) action()    {}
func (Reply) action()    {}
func (Lost) action()     {}
func (Done) action()     {}
func (Datagram) action() {}

// Counters counts packets of the host and of MPPE.
type Counters struct {
	SentPackets, SentOctets         uint64 // IP, as sent
	ReceivedPackets, ReceivedOctets uint64 // IP, as received for any address
	EchoesAnswered                  uint64 // ICMP and UDP
	Unreachable                     uint64 // datagrams to ports where nobody listens
	QueueDropped                    uint64 // packets for which there was no room
	Malformed                       uint64 // packets that are not good IPv4, ICMP or UDP
	Foreign                         uint64 // packets for another address
	Undecrypted                     uint64 // dropped by MPPE
	InClear                         uint64 // data that should have been encrypted
	OtherProtocols                  uint64 // data that is not IPv4
	FragmentsDropped                uint64 // of datagrams that could not be put together
}
