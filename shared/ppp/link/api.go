package link

import (
	"fmt"
	"net/netip"
	"time"

	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/fsm"
	"trunkline.example/shared/ppp/mppe"
)

// Side is the part a Link plays. Both sides are the same PPP; they differ in who
// authenticates whom and who gives out addresses.
type Side uint8

// The sides.
const (
	Server Side = iota // asks the peer to authenticate, gives it an address
	Client             // authenticates itself, asks for an address
)

// String is the side's name.
func (s Side) String() string {
	if s == Client {
		return "client"
	}
	return "server"
}

// Config describes one side of one link. It is not changed after New.
type Config struct {
	Side Side
	Name string   // Server: our name in CHAP Challenges
	Seed [32]byte // of magic numbers and challenges, from a cryptographic source, different for every link

	MRU  uint16 // octets of information field we accept; 0 = 1500
	MTU  uint16 // the most we send, whatever the peer accepts, at least 128; 0 = no bound of ours
	PFC  bool   // ask for, and use, one-octet protocol numbers
	ACFC bool   // ask for, and use, frames without address and control

	Async   bool   // the peer's end is an asynchronous line: negotiate the ACCM
	ACCM    uint32 // Async: control characters that the peer must escape, bit n = octet n
	NoMagic bool   // do not ask for a magic number (some peers cannot stand it)

	// Authentication is what we may ask for, strongest first (Server; empty = the
	// peer need not authenticate), or what we are ready to do (Client). When
	// Encryption is Required, protocols that give no keys are left out.
	Authentication []auth.Protocol
	User           string        // Client
	Secret         auth.Secret   // Client
	Mutual         bool          // Client: the server must prove that it knows the secret, too: what does not do that is left out
	Retries        int           // Server: attempts after a refused one on the same link
	Rechallenge    time.Duration // Server: CHAP again after this time; 0 = never

	Encryption ccp.Policy

	LocalAddress netip.Addr    // ours; Client: a wish, or invalid
	KeepAddress  bool          // Client: LocalAddress is no mere wish; a server that gives another one is left
	PeerAddress  netip.Addr    // Server: the peer's, unless the Verdict names one
	DNS          [2]netip.Addr // Server: told to a peer that asks
	WINS         [2]netip.Addr // Server: told to a peer that asks
	AskDNS       bool          // Client: ask for name servers
	AskWINS      bool          // Client: ask for NetBIOS name servers

	Timers Timers
}

// Timers bounds what may take time. Zero values take the defaults.
type Timers struct {
	Negotiation    fsm.Timers    // of LCP, CCP and IPCP
	Authentication auth.Timers   // retransmission of authentication packets
	Establish      time.Duration // from Up until LCP is open; default 60 s
	Authenticate   time.Duration // from then until the peer (or we) are authenticated; default 60 s
	Encryption     time.Duration // from then until a peer that is silent about CCP is taken to have none; default 12 s
	Network        time.Duration // from authentication until NetworkUp, also after renegotiation; default 60 s
	EchoInterval   time.Duration // between LCP Echo-Requests; default 30 s; negative = none
	EchoFailures   int           // Echo-Requests unanswered before the link is given up; default 4
}

// Phase is a phase of a link (RFC 1661 section 3.2).
type Phase uint8

// The phases.
const (
	Dead Phase = iota
	Establish
	Authenticating
	Network
	Terminate
)

// String is the RFC's name of the phase.
func (p Phase) String() string {
	switch p {
	case Dead:
		return "dead"
	case Establish:
		return "establish"
	case Authenticating:
		return "authenticate"
	case Network:
		return "network"
	case Terminate:
		return "terminate"
	}
	return fmt.Sprintf("phase %d", uint8(p))
}

// Action is an effect that the owner performs, in the order given.
type Action interface{ action() }

// Send asks for a frame to be sent, in clear (control protocols are never encrypted).
// It has address and control as agreed, and no FCS. The slice belongs to the receiver.
type Send struct{ Frame []byte }

// Authenticate asks whether the peer is who it says (Server). The answer comes
// through Authenticated, at any later time, with the Attempt's generation.
type Authenticate struct{ Attempt auth.Attempt }

// LinkUp: LCP is open, for the first time or again after renegotiation.
type LinkUp struct {
	MRU            uint16        // what we accept, in octets of information field
	PeerMRU        uint16        // what the peer accepts
	SendACCM       uint32        // control characters to be escaped towards the peer; FFFFFFFF where none was agreed on
	ReceiveACCM    uint32        // control characters that the peer escapes; FFFFFFFF where none was agreed on
	PFC, ACFC      bool          // what we use when sending
	Authentication auth.Protocol // agreed; None
}

// NetworkUp: IPv4 may flow. It comes only when IPCP is open and encryption is settled as
// the policy wants. After renegotiation it comes again, after a NetworkDown; keys
// start anew each time.
type NetworkUp struct {
	User         string // the account, if anybody was authenticated
	LocalAddress netip.Addr
	PeerAddress  netip.Addr // Client: invalid if the peer did not say
	DNS          [2]netip.Addr
	WINS         [2]netip.Addr
	MRU          uint16       // largest packet the peer may send us
	MTU          uint16       // largest packet to send it, room for MPPE already taken off
	Encryption   *mppe.Params // nil: packets go in clear
	PFC, ACFC    bool         // to use when sending
}

// NetworkDown: IPv4 may no longer flow.
type NetworkDown struct{ Why string }

// PhaseChanged tells where the link stands, for logs.
type PhaseChanged struct {
	Phase  Phase
	Detail string // for people
}

// Ended: the link is over, and nothing more will come from it. It comes exactly once. When
// the peer terminates it comes a restart period after PhaseChanged to Terminate, as the
// peer may have to be answered again; an owner that will not wait calls Down, and gets the
// same reason.
type Ended struct{ Reason Reason }

func (Send) action()         {}
func (Authenticate) action() {}
func (LinkUp) action()       {}
func (NetworkUp) action()    {}
func (NetworkDown) action()  {}
func (PhaseChanged) action() {}
func (Ended) action()        {}

// Party is who ended a link.
type Party uint8

// The parties.
const (
	Here  Party = iota // this side, by a decision of its own or its owner's
	There              // the peer
	Line               // the layer below
)

// String names the party for people.
func (p Party) String() string {
	switch p {
	case Here:
		return "us"
	case There:
		return "peer"
	case Line:
		return "line"
	}
	return fmt.Sprintf("party %d", uint8(p))
}

// Code says why a link ended.
type Code uint8

// The codes.
const (
	CodeNone              Code = iota
	CodePeerTerminated         // the peer sent Terminate-Request
	CodeLowerDown              // the lower layer went down: carrier, call or tunnel lost
	CodeAdministrative         // Close: an operator's wish
	CodeShutdown               // Close: the daemon stops
	CodeSessionTimeout         // Close: the time allowed is over
	CodeIdle                   // Close: nothing was carried for too long
	CodeResources              // Close: an address or another resource is lacking
	CodeNoAnswer               // nothing answered LCP
	CodeNoAgreement            // LCP did not converge, or not in time
	CodeLoopback               // our own frames came back
	CodeAuthRefused            // no authentication protocol was agreed on
	CodeAuthFailed             // wrong name or secret, or an authenticator that proved nothing
	CodeAuthTimeout            // authentication took too long
	CodeEncryptionRefused      // MPPE is required and was not agreed on
	CodeNetworkFailed          // IPCP failed or was ended
	CodeEchoTimeout            // Echo-Requests went unanswered
	CodeProtocolError          // the peer rejected what we cannot do without
	CodeConfiguration          // this side cannot do what it is configured for
	codes
)

var codeNames = [codes]string{"none", "peer-terminated", "lower-down", "administrative", "shutdown", "session-timeout",
	"idle", "resources", "no-answer", "no-agreement", "loopback", "auth-refused", "auth-failed", "auth-timeout",
	"encryption-refused", "network-failed", "echo-timeout", "protocol-error", "configuration"}

// String is the code's name in records and logs.
func (c Code) String() string {
	if c < codes {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// Reason says why a link ended, for the operator and for the peer's log.
type Reason struct {
	Code Code
	By   Party
	Text string // for people; goes into our Terminate-Request
}

// String says it in one line.
func (r Reason) String() string {
	if r.Text == "" {
		return fmt.Sprintf("%v (by %v)", r.Code, r.By)
	}
	return fmt.Sprintf("%v (by %v): %s", r.Code, r.By, r.Text)
}

// Counters counts what a link did and what it dropped.
type Counters struct {
	Sent, Received    uint64 // frames
	Malformed         uint64 // frames without a PPP header that makes sense
	Discarded         uint64 // LCP, CCP and IPCP packets that were malformed, out of place or repeated
	EarlyData         uint64 // data frames that came here: before NetworkUp, or handed in by mistake
	Unexpected        uint64 // control frames of a protocol that is not due in this phase
	Held              uint64 // frames that came early and were kept for the network phase
	HeldDropped       uint64 // of those, dropped because too many came
	UnknownProtocols  uint64 // frames answered with Protocol-Reject, or that would have been
	RejectsSuppressed uint64 // Protocol-Rejects not sent because too many were due
	ProtocolsRejected uint64 // Protocol-Rejects received
	EchoesSent        uint64
	EchoReplies       uint64
	Renegotiations    uint64        // LCP opened again
	EchoRoundTrip     time.Duration // of the last Echo-Request that was answered
}
