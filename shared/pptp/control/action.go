package control

import (
	"fmt"

	"trunkline.example/shared/pptp"
)

// Action is something the owner has to do or to know. The owner takes them
// with Connection.Actions and performs them in order.
type Action interface{ action() }

// Send carries octets for the TCP connection. They belong to the owner.
type Send struct{ Bytes []byte }

// Close asks to close the TCP connection. It comes exactly once, after
// ConnectionEnded, and is the last action.
type Close struct {
	// Flush is true if the last Send is a farewell that should reach the peer:
	// close when everything is written and, within a time, the peer has closed
	// too (closing TCP with octets unread destroys what is on its way).
	Flush bool
	Err   error // why, nil after an orderly end
}

// StartRequested (receiver, only with Config.Approve) asks for ApproveStart or
// RefuseStart. Until then further messages of the peer wait.
type StartRequested struct {
	Peer    Identity
	Version pptp.ProtocolVersion
}

// Established says that the control connection is up.
type Established struct {
	Peer    Identity
	Version pptp.ProtocolVersion // in use
}

// ConnectionEnded says that the control connection is over, after the CallEnded
// of all its calls. It comes exactly once.
type ConnectionEnded struct {
	Why    End
	Reason pptp.StopReason    // of the Stop request, with EndStoppedByPeer and EndStoppedByUs
	Result pptp.ControlResult // of the Start reply, with EndRefusedByPeer and EndRefusedByUs
	Err    error              // what went wrong, nil if nothing
}

// IncomingOffered (to a PNS) says that a line of the peer rings. Answer with
// AnswerIncoming.
type IncomingOffered struct{ Call Call }

// IncomingAccepted (to a PAC) says that the PNS takes the incoming call: answer
// the line, then ConfirmIncoming or DisconnectCall. A refusal comes as
// CallEnded with CauseRefusedByPNS.
type IncomingAccepted struct{ Call Call }

// IncomingConnected (to a PNS) says that the incoming call is up.
type IncomingConnected struct{ Call Call }

// OutgoingRequested (to a PAC) says that the peer wants a call placed. Answer
// with AnswerOutgoing.
type OutgoingRequested struct{ Call Call }

// OutgoingConnected (to a PNS) says that the outgoing call is up. A failure
// comes as CallEnded with CauseRefusedByPAC.
type OutgoingConnected struct{ Call Call }

// ClearRequested (to a PAC) says that the PNS wants the call cleared. Take the
// line down, then DisconnectCall with the call's statistics; if that does not
// come in time, the Call-Disconnect-Notify goes out without.
type ClearRequested struct{ Call Call }

// LinkInfoSet (to a PAC) brings the ACCMs of the asynchronous line, bit n for
// octet n: SendACCM for what the PAC sends on the line, ReceiveACCM for what
// it receives. It may come any number of times.
type LinkInfoSet struct {
	Call        Call
	SendACCM    uint32
	ReceiveACCM uint32
}

// WANErrorsReported (to a PNS) brings the line's error counters, cumulative
// since the call was set up.
type WANErrorsReported struct {
	Call   Call
	Errors pptp.WANErrors
}

// CallEnded says that a call is over. It comes exactly once for every call.
type CallEnded struct {
	Call Call // as it was at the end
	Why  Ending
}

// Misbehaved says that the peer did something wrong: Fault says what became of
// it. Own is the Call ID we assigned if the matter is about a known call, else 0.
// If the connection ends for it, ConnectionEnded comes next.
type Misbehaved struct {
	What   Fault
	Detail string // for people
	Own    uint16
}

// Trace (only with Config.Trace) shows a message sent or received.
type Trace struct {
	Sent    bool
	Message pptp.Message // read-only
}

func (Send) action()              {}
func (Close) action()             {}
func (StartRequested) action()    {}
func (Established) action()       {}
func (ConnectionEnded) action()   {}
func (IncomingOffered) action()   {}
func (IncomingAccepted) action()  {}
func (IncomingConnected) action() {}
func (OutgoingRequested) action() {}
func (OutgoingConnected) action() {}
func (ClearRequested) action()    {}
func (LinkInfoSet) action()       {}
func (WANErrorsReported) action() {}
func (CallEnded) action()         {}
func (Misbehaved) action()        {}
func (Trace) action()             {}

// End says by what a control connection ended.
type End uint8

// The ends.
const (
	EndStoppedByPeer  End = iota + 1 // Stop-Control-Connection-Request received
	EndStoppedByUs                   // Stop, answered or not
	EndRefusedByPeer                 // Start reply without success
	EndRefusedByUs                   // RefuseStart, or a version we do not support
	EndNotEstablished                // no or a wrong beginning within the time
	EndSilent                        // Echo-Request not answered
	EndLostFraming                   // length, type or magic wrong, or a message that never ended
	EndFlooded                       // more messages than Limits allow
	EndTransport                     // TCP closed or failed
	EndAbandoned                     // Abandon
)

// String returns the name for logs.
func (e End) String() string {
	names := [...]string{
		"", "stopped by the peer", "stopped by us", "refused by the peer", "refused by us", "not established",
		"peer silent", "framing lost", "flooded", "transport closed", "abandoned",
	}
	if int(e) < len(names) && e != 0 {
		return names[e]
	}
	return fmt.Sprintf("end %d", uint8(e))
}
