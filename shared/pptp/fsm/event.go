package fsm

import (
	"fmt"

	"trunkline.example/shared/pptp"
)

// Event is something that happens to a machine: a message received, a command
// of the owner, a time-out or the loss of the connection.
type Event uint8

// The events. Messages whose result decides what follows have an event for
// each outcome.
const (
	EventNone Event = iota

	// Messages of the control connection.
	EventStartRequest            // SCCRQ with a version we support
	EventStartRequestUnsupported // SCCRQ with another
	EventStartReplyAccepted      // SCCRP, success, version we support
	EventStartReplyUnsupported   // SCCRP, success, another version
	EventStartReplyRefused       // SCCRP, no success
	EventStopRequest             // StopCCRQ
	EventStopReply               // StopCCRP
	EventEchoRequest
	EventEchoReply
	EventCallMessage // any message about a call, to the control connection

	// Messages about calls.
	EventOutgoingCallRequest      // OCRQ that we can hand to the owner
	EventOutgoingCallUnacceptable // OCRQ beyond a limit or with a bad Call ID
	EventOutgoingReplyConnected   // OCRP, result 1
	EventOutgoingReplyFailed      // OCRP, another result
	EventIncomingCallRequest      // ICRQ that we can hand to the owner
	EventIncomingCallUnacceptable // ICRQ beyond a limit or with a bad Call ID
	EventIncomingReplyAccepted    // ICRP, result 1
	EventIncomingReplyRefused     // ICRP, another result
	EventIncomingCallConnected    // ICCN
	EventCallClear                // CCRQ
	EventDisconnectNotify         // CDN
	EventWANErrors                // WEN
	EventLinkInfo                 // SLI

	// Commands to the control connection.
	EventOpen    // originator: TCP has opened
	EventApprove // receiver: the owner accepts the Start request
	EventStop    // stop in an orderly way
	EventSilence // nothing heard for long, or the owner wants a probe

	// Commands to a call.
	EventOffer         // PAC: a line rings
	EventRequest       // PNS: place a call
	EventAccept        // PNS: take the incoming call
	EventRefuse        // control: refuse the Start request; PNS: refuse the incoming call; PAC: the outgoing call failed
	EventLineUp        // PAC: the line is connected
	EventHangUp        // PAC: the call is over, the line is down
	EventClear         // PNS: end the call
	EventSendLinkInfo  // PNS; PAC: of no use to the RFC, but some clients are told
	EventSendWANErrors // PAC

	// Events of no one's making.
	EventTimeOut // the deadline of the state has passed; in established: an Echo-Request is unanswered
	EventLost    // TCP is gone; to a call: the control connection is gone or stopped

	events = iota
)

var eventNames = [events]string{
	"none", "SCCRQ", "SCCRQ (unsupported version)", "SCCRP (accepted)", "SCCRP (unsupported version)", "SCCRP (refused)",
	"StopCCRQ", "StopCCRP", "Echo-Request", "Echo-Reply", "call message",
	"OCRQ", "OCRQ (unacceptable)", "OCRP (connected)", "OCRP (failed)", "ICRQ", "ICRQ (unacceptable)",
	"ICRP (accepted)", "ICRP (refused)", "ICCN", "CCRQ", "CDN", "WEN", "SLI",
	"open", "approve", "stop", "silence",
	"offer", "request", "accept", "refuse", "line up", "hang up", "clear", "send SLI", "send WEN",
	"time-out", "lost",
}

// String returns the name for logs.
func (e Event) String() string {
	if int(e) < len(eventNames) {
		return eventNames[e]
	}
	return fmt.Sprintf("event %d", uint8(e))
}

// Events returns all events but EventNone.
func Events() []Event {
	all := make([]Event, 0, events-1)
	for e := EventNone + 1; e < events; e++ {
		all = append(all, e)
	}
	return all
}

// EventOf returns the event that receiving m is. For OCRQ and ICRQ, whether
// they are acceptable is for the caller to say: it returns the good event.
func EventOf(m pptp.Message) Event {
	switch m := m.(type) {
	case *pptp.StartControlConnectionRequest:
		return choose(m.ProtocolVersion.Supported(), EventStartRequest, EventStartRequestUnsupported)
	case *pptp.StartControlConnectionReply:
		ok := choose(m.ProtocolVersion.Supported(), EventStartReplyAccepted, EventStartReplyUnsupported)
		return choose(m.ResultCode.Success(), ok, EventStartReplyRefused)
	case *pptp.StopControlConnectionRequest:
		return EventStopRequest
	case *pptp.StopControlConnectionReply:
		return EventStopReply
	case *pptp.EchoRequest:
		return EventEchoRequest
	case *pptp.EchoReply:
		return EventEchoReply
	case *pptp.OutgoingCallRequest:
		return EventOutgoingCallRequest
	case *pptp.OutgoingCallReply:
		return choose(m.ResultCode == pptp.OutgoingConnected, EventOutgoingReplyConnected, EventOutgoingReplyFailed)
	case *pptp.IncomingCallRequest:
		return EventIncomingCallRequest
	case *pptp.IncomingCallReply:
		return choose(m.ResultCode == pptp.IncomingAccept, EventIncomingReplyAccepted, EventIncomingReplyRefused)
	case *pptp.IncomingCallConnected:
		return EventIncomingCallConnected
	case *pptp.CallClearRequest:
		return EventCallClear
	case *pptp.CallDisconnectNotify:
		return EventDisconnectNotify
	case *pptp.WANErrorNotify:
		return EventWANErrors
	case *pptp.SetLinkInfo:
		return EventLinkInfo
	}
	return EventNone
}

func choose(condition bool, yes, no Event) Event {
	if condition {
		return yes
	}
	return no
}
