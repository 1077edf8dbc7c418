// Package record writes call records: one JSON object per line for each call that ended, at both daemons. The fields
// are described for operators in docs/call-records.md, which a test holds against Record.
package record

import (
	"net/netip"
	"time"
)

// Version is the value of Record.Version. It grows when a field changes its meaning; new fields do not raise it.
const Version = 1

// Record is one call, as the daemon that writes it saw it. Fields that a daemon cannot know, or that do not apply to the
// call, are left out of the line. Counters count from this daemon's point of view: "in" is what came from the client.
type Record struct {
	Version int    `json:"version"`
	ID      string `json:"id"`     // unique among all records of this daemon, also over restarts
	Daemon  string `json:"daemon"` // "pac" or "pns"
	Host    string `json:"host"`   // name of the daemon that writes

	Kind         Kind      `json:"kind"`               // how the call came about
	Started      time.Time `json:"started"`            // offered, requested or ringing
	Connected    time.Time `json:"connected,omitzero"` // carrier up (pac), network open (pns)
	Ended        time.Time `json:"ended"`              //
	Seconds      float64   `json:"seconds"`            // from Connected to Ended; 0 if it was never connected
	User         string    `json:"user,omitempty"`     // as authenticated; what was tried, if the login failed
	Login        string    `json:"login,omitempty"`    // authentication protocol
	Encryption   string    `json:"encryption,omitempty"`
	Address      string    `json:"address,omitempty"`   // leased to the client
	Peer         string    `json:"peer,omitempty"`      // address of the other daemon or client
	PeerName     string    `json:"peer_name,omitempty"` // Host Name it gave
	Listener     string    `json:"listener,omitempty"`
	PAC          string    `json:"pac,omitempty"`  // configured name of the PAC
	PNS          string    `json:"pns,omitempty"`  // configured name of the PNS
	Site         string    `json:"site,omitempty"` // at the PNS: configured name of the site that it called
	PACCallID    uint16    `json:"pac_call_id"`    //
	PNSCallID    uint16    `json:"pns_call_id"`
	CallSerial   uint16    `json:"call_serial"`
	Dialed       string    `json:"dialed,omitempty"`  // number called
	Dialing      string    `json:"dialing,omitempty"` // number calling
	Line         string    `json:"line,omitempty"`
	Channel      uint32    `json:"channel,omitempty"`   // Physical Channel ID
	SpeedIn      uint32    `json:"speed_in,omitempty"`  // bit/s, from the client
	SpeedOut     uint32    `json:"speed_out,omitempty"` // bit/s, to the client
	Bearer       string    `json:"bearer,omitempty"`    // "analog" or "digital"
	Framing      string    `json:"framing,omitempty"`   // on the telephone line: "asynchronous" or "synchronous"
	Modulation   string    `json:"modulation,omitempty"`
	ErrorControl string    `json:"error_control,omitempty"`
	Compression  string    `json:"compression,omitempty"`

	OctetsIn   uint64 `json:"octets_in"`
	OctetsOut  uint64 `json:"octets_out"`
	PacketsIn  uint64 `json:"packets_in"`
	PacketsOut uint64 `json:"packets_out"`
	Errors     Errors `json:"errors,omitzero"`

	SelfTest SelfTest `json:"selftest,omitzero"` // of a KindSelfTest

	EndedBy   Side   `json:"ended_by"`             // who ended the call
	Cause     string `json:"cause"`                // short fixed word, for programs
	Reason    string `json:"reason,omitempty"`     // sentence, for people
	Result    uint8  `json:"result,omitempty"`     // Result Code sent or received (RFC 2637 section 2.13)
	ErrorCode uint8  `json:"error_code,omitempty"` // General Error Code beside it
	Q931      uint16 `json:"q931,omitempty"`       // Cause Code beside it
	LineCause string `json:"line_cause,omitempty"` // at the PNS: why the PAC's line ended the call, if the statistics say so
	// LineReport is what the line's modem said about the call after its end, in its maker's way.
	LineReport string `json:"line_report,omitempty"`
	Link       Link   `json:"link,omitzero"` // what is known of that, at both daemons
	// Statistics is the Call Statistics text of the PAC's Call-Disconnect-Notify as it came.
	Statistics string `json:"statistics,omitempty"`
}

// Kind is how a call came about, seen from the telephone side.
type Kind string

// The kinds.
const (
	KindIncoming Kind = "incoming"  // a caller rang a line of the PAC
	KindOutgoing Kind = "outgoing"  // the PNS had the PAC dial
	KindDirect   Kind = "direct"    // the client speaks PPTP itself
	KindSelfTest Kind = "self-test" // one line of the PAC called another one: each has a record
)

// Side is who ended a call.
type Side string

// The sides.
const (
	SideClient   Side = "client"   // the caller: carrier lost, LCP terminated by it
	SidePeer     Side = "peer"     // the other daemon
	SideSelf     Side = "self"     // this daemon: time-out, refusal, policy
	SideOperator Side = "operator" // somebody by the admin socket, or the daemon's end
)

// Errors count what went wrong in the life of a call.
type Errors struct {
	FCS         uint64 `json:"fcs,omitempty"`         // frames with a bad checksum
	Framing     uint64 `json:"framing,omitempty"`     // UART framing errors
	Overruns    uint64 `json:"overruns,omitempty"`    // UART and buffer overruns
	Aborts      uint64 `json:"aborts,omitempty"`      // frames aborted, or of impossible length
	Lost        uint64 `json:"lost,omitempty"`        // GRE packets missing
	Late        uint64 `json:"late,omitempty"`        // GRE packets out of order beyond repair, and duplicates
	Undecrypted uint64 `json:"undecrypted,omitempty"` // packets that did not decrypt
	Dropped     uint64 `json:"dropped,omitempty"`     // for want of room
	Filtered    uint64 `json:"filtered,omitempty"`    // forged source address, other policy
}

// Link is how the line's modem found the telephone line.
type Link struct {
	Reason    string `json:"reason,omitempty"`    // why the modem ended the call
	SpeedIn   uint32 `json:"speed_in,omitempty"`  // the last one, bit/s
	SpeedOut  uint32 `json:"speed_out,omitempty"` //
	Retrains  uint32 `json:"retrains,omitempty"`
	Resent    uint32 `json:"resent,omitempty"`        // blocks of the error control
	RoundTrip uint32 `json:"round_trip_ms,omitempty"` // as the modem measured it
}

// SelfTest is what one line of a PAC found out by a call with another one. Counters of the call are those of every record, of test frames.
type SelfTest struct {
	Grade      string  `json:"grade,omitempty"`         // "good", "poor", "failed"; empty if the test was not carried out
	Reason     string  `json:"reason,omitempty"`        // for it, for people
	With       string  `json:"with,omitempty"`          // name of the other line
	Role       string  `json:"role,omitempty"`          // "caller" or "answerer"
	FramesLost uint64  `json:"frames_lost,omitempty"`   // of the other line's that did not arrive whole
	OctetsLost uint64  `json:"octets_lost,omitempty"`   // theirs, with framing
	Damaged    uint64  `json:"damaged,omitempty"`       // frames that arrived so
	LineErrors uint64  `json:"line_errors,omitempty"`   // that the line's hardware counted
	RoundTrip  float64 `json:"round_trip_ms,omitempty"` // of a frame and an answer, the mean
}

// AddressText renders an address for a Record: empty when invalid.
func AddressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}
