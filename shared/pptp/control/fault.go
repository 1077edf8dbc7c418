package control

import (
	"errors"
	"fmt"

	"trunkline.example/shared/pptp"
)

// Fault is a kind of misbehaviour, for counters.
type Fault uint8

// The faults.
const (
	FaultUnknownType     Fault = iota + 1 // Control Message Type outside 1..15; ignored
	FaultUnknownCall                      // no call has this Call ID; ignored. Normal if the message crossed the end of its call
	FaultReplyToNothing                   // a reply that answers no request; ignored, or disowned. Normal if it was too late
	FaultWrongState                       // the state of the call or connection does not admit the message; ignored
	FaultWrongRole                        // a message that only the role we play may send; ignored
	FaultMisnamedCall                     // CDN or CCRQ named its call by the wrong Call ID, but it could be meant only one way; done
	FaultDuplicateCallID                  // a new call with a Call ID in use; refused
	FaultTooManyCalls                     // a new call beyond Limits, or no Call ID left; refused
	FaultEchoIdentifier                   // Echo-Reply with another Identifier than asked; taken as a sign of life all the same
	FaultSecondStart                      // a second Start request; refused
	FaultMessageRate                      // more messages than Limits allow; closed
	FaultBadLength                        // Length out of range, or too short for the message type; closed
	FaultBadMessageType                   // PPTP Message Type other than 1; closed
	FaultBadMagic                         // wrong Magic Cookie; closed
	FaultHalfMessage                      // a message was begun and not finished in time; closed
	FaultNotStart                         // the first message is no Start message; closed
	FaultNoStart                          // no Start message in time; closed
	FaultNotReading                       // it does not read what we send; closed
	faults
)

var faultNames = [faults]string{
	"", "unknown-type", "unknown-call", "reply-to-nothing", "wrong-state", "wrong-role", "misnamed-call", "duplicate-call-id", "too-many-calls",
	"echo-identifier", "second-start", "message-rate", "bad-length", "bad-message-type", "bad-magic", "half-message", "not-start", "no-start", "not-reading",
}

// String returns the name for logs and counters.
func (f Fault) String() string {
	if f > 0 && f < faults {
		return faultNames[f]
	}
	return fmt.Sprintf("fault %d", uint8(f))
}

// Crossed says that the fault is none as a rule: the message was under way when its call, or the time for it, ended.
func (f Fault) Crossed() bool { return f == FaultUnknownCall || f == FaultReplyToNothing }

// fatal are the faults that end a connection, by the error it ends with.
var fatal = []struct {
	err  error
	what Fault
}{
	{ErrNotPPTP, FaultNotStart},
	{ErrTimeOut, FaultNoStart},
	{ErrFlood, FaultMessageRate},
	{ErrHalfMessage, FaultHalfMessage},
	{ErrSlowPeer, FaultNotReading},
	{pptp.ErrBadLength, FaultBadLength},
	{pptp.ErrBadMessageType, FaultBadMessageType},
	{pptp.ErrBadMagic, FaultBadMagic},
}

// blame reports the fault, if it is one, for which the connection ends.
func (c *Connection) blame(why error) {
	for _, f := range fatal {
		if errors.Is(why, f.err) {
			c.fault(f.what, 0, "%v", why)
			return
		}
	}
}

// fault reports and counts what the peer did wrong.
func (c *Connection) fault(what Fault, own uint16, format string, args ...any) {
	c.s.Counters.Misbehaved++
	c.act(Misbehaved{What: what, Detail: fmt.Sprintf(format, args...), Own: own})
}
