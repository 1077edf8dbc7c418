package control

import (
	"fmt"
	"strings"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// Call is what is known of a call; fields that no message has told yet are
// zero. Windows are in packets, speeds in bit/s; windows and delays are named
// by the end that has the buffer.
type Call struct {
	Role      fsm.Role // ours
	Direction fsm.Direction
	State     fsm.State

	PACCallID uint16
	PNSCallID uint16
	// Identified is false while the other end's Call ID is not known. It is
	// not the same as 0, which peers do assign.
	Identified bool

	CallSerialNumber uint16 // assigned by whoever began the call
	Bearer           pptp.BearerType
	Framing          pptp.FramingType
	MinimumBPS       uint32 // of an outgoing call
	MaximumBPS       uint32 // of an outgoing call
	ConnectSpeed     uint32

	PACWindow          uint16 // may be 0: Windows servers send that and mean nothing by it
	PNSWindow          uint16
	PACProcessingDelay pptp.Tenths
	PNSProcessingDelay pptp.Tenths

	PhysicalChannelID uint32
	DialedNumber      string // of an outgoing call: the number to dial
	DialingNumber     string // of an incoming call: the caller
	Subaddress        string
}

// Own returns the Call ID that we assigned: it names the call in commands, and
// GRE packets to us carry it.
func (c *Call) Own() uint16 {
	if c.Role == fsm.RolePAC {
		return c.PACCallID
	}
	return c.PNSCallID
}

// Theirs returns the Call ID that the other end assigned, which GRE packets to
// it carry, and whether it is known yet.
func (c *Call) Theirs() (id uint16, known bool) {
	if c.Role == fsm.RolePAC {
		return c.PNSCallID, c.Identified
	}
	return c.PACCallID, c.Identified
}

func (c *Call) machine() fsm.Machine { return fsm.CallMachine(c.Role, c.Direction) }

// setTheirs stores the Call ID that the other end assigned.
func (c *Call) setTheirs(id uint16) {
	if c.Role == fsm.RolePAC {
		c.PNSCallID = id
	} else {
		c.PACCallID = id
	}
	c.Identified = true
}

// IncomingOffer is what a PAC tells of a ringing line.
type IncomingOffer struct {
	CallSerialNumber  uint16 // should be unique per daemon, not only per connection
	Bearer            pptp.BearerType
	PhysicalChannelID uint32
	DialedNumber      string
	DialingNumber     string
	Subaddress        string
}

// IncomingAnswer is a PNS's answer to an incoming call. The zero value
// accepts.
type IncomingAnswer struct {
	Result          pptp.IncomingResult // 0 means IncomingAccept
	Error           pptp.ErrorCode      // with IncomingGeneralError
	Window          uint16              // packets we buffer
	ProcessingDelay pptp.Tenths
}

// LineConnected is what a PAC tells when an accepted incoming call is up.
type LineConnected struct {
	ConnectSpeed    uint32 // bit/s
	Framing         pptp.FramingType
	Window          uint16 // packets we buffer
	ProcessingDelay pptp.Tenths
}

// OutgoingRequest is what a PNS asks a PAC to dial.
type OutgoingRequest struct {
	CallSerialNumber uint16 // should be unique per daemon, not only per connection
	MinimumBPS       uint32
	MaximumBPS       uint32
	Bearer           pptp.BearerType
	Framing          pptp.FramingType
	Window           uint16 // packets we buffer
	ProcessingDelay  pptp.Tenths
	PhoneNumber      string
	Subaddress       string
}

// OutgoingAnswer is a PAC's answer to an outgoing call: connected, or why not.
// The zero value says connected.
type OutgoingAnswer struct {
	Result            pptp.OutgoingResult // 0 means OutgoingConnected
	Error             pptp.ErrorCode      // with OutgoingGeneralError
	Cause             pptp.CauseCode
	ConnectSpeed      uint32 // bit/s
	Window            uint16 // packets we buffer
	ProcessingDelay   pptp.Tenths
	PhysicalChannelID uint32
}

// Disconnect is why a PAC's call is over.
type Disconnect struct {
	Result     pptp.DisconnectResult // 0 means DisconnectRequest after ClearRequested, else DisconnectLostCarrier
	Error      pptp.ErrorCode        // with DisconnectGeneralError
	Cause      pptp.CauseCode        // Q.931 cause of an ISDN call
	Statistics string                // free text, at most 128 octets
}

// Cause says by what a call ended.
type Cause uint8

// The causes. They name the role that acted, not "us" and "them".
const (
	CauseRefusedByPNS      Cause = iota + 1 // Incoming-Call-Reply other than accept; see Ending.Incoming
	CauseRefusedByPAC                       // Outgoing-Call-Reply other than connected; see Ending.Outgoing
	CauseDisconnectedByPAC                  // Call-Disconnect-Notify; see Ending.Disconnect
	CauseClearedByPNS                       // Call-Clear-Request
	CauseTimedOut                           // what the call's state waited for did not come
	CauseConnectionStopped                  // the control connection was stopped in an orderly way
	CauseConnectionLost                     // the control connection died
)

// String returns the name for logs.
func (c Cause) String() string {
	names := [...]string{
		"", "refused by the PNS", "refused by the PAC", "disconnected by the PAC", "cleared by the PNS",
		"timed out", "control connection stopped", "control connection lost",
	}
	if int(c) < len(names) && c != 0 {
		return names[c]
	}
	return fmt.Sprintf("cause %d", uint8(c))
}

// Ending says how a call ended. Codes are those that were sent or received,
// zero where the cause has none.
type Ending struct {
	Cause      Cause
	State      fsm.State // the state the call ended in
	Incoming   pptp.IncomingResult
	Outgoing   pptp.OutgoingResult
	Disconnect pptp.DisconnectResult
	Error      pptp.ErrorCode
	CauseCode  pptp.CauseCode
	Statistics string // of the Call-Disconnect-Notify
}

// String returns one line for people.
func (e Ending) String() string {
	var b strings.Builder
	b.WriteString(e.Cause.String())
	switch {
	case e.Incoming != 0:
		fmt.Fprintf(&b, ": %v", e.Incoming)
	case e.Outgoing != 0:
		fmt.Fprintf(&b, ": %v", e.Outgoing)
	case e.Disconnect != 0:
		fmt.Fprintf(&b, ": %v", e.Disconnect)
	case e.Cause == CauseTimedOut:
		fmt.Fprintf(&b, " in %v", e.State)
	}
	if e.Error != pptp.ErrorNone {
		fmt.Fprintf(&b, " (%v)", e.Error)
	}
	if e.CauseCode != 0 {
		fmt.Fprintf(&b, ", cause %d", e.CauseCode)
	}
	return b.String()
}
