package control

import (
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// callInput is what an event brings along for the acts of its transition.
type callInput struct {
	send   pptp.Message // what a sending act sends; nil: implied decides
	got    pptp.Message // the message that was received, if the event is one
	ending Ending       // what is reported at the end; zero Cause: endingOf decides
}

// stepCall gives an event to the machine of a call and performs the
// transition. It returns false if the event is not legal now.
func (c *Connection) stepCall(now time.Time, call *CallState, e fsm.Event, in callInput) bool {
	m, from := call.Call.machine(), call.Call.State
	t, ok := fsm.Step(m, from, e)
	if !ok {
		return false
	}
	if t.Next != from {
		call.Call.State = t.Next
		c.calls.setDue(call, &call.Due, time.Time{})
		c.calls.setDue(call, &call.WANErrorsDue, time.Time{})
		if wait := fsm.WaitOf(m, t.Next); wait != fsm.TimerNone {
			c.calls.setDue(call, &call.Due, now.Add(c.cfg.Timers.Of(wait)))
		}
	}
	for _, a := range t.Do {
		if t, ok := a.Sends(); ok && in.send == nil {
			in.send = implied(t, &call.Call, from)
		}
		c.doCall(call, from, e, a, in)
	}
	if t.Next == fsm.StateIdle && from != fsm.StateIdle {
		c.calls.remove(call.Call.Own())
		c.ids.Release(now, call.Call.Own())
	}
	return true
}

func (c *Connection) doCall(call *CallState, from fsm.State, e fsm.Event, a fsm.Act, in callInput) {
	if _, ok := a.Sends(); ok {
		c.send(in.send)
		return
	}
	switch a {
	case fsm.ActReportOffered:
		c.act(IncomingOffered{call.Call})
	case fsm.ActReportRequested:
		c.act(OutgoingRequested{call.Call})
	case fsm.ActReportAccepted:
		c.act(IncomingAccepted{call.Call})
	case fsm.ActReportConnected:
		if call.Call.Direction == fsm.Incoming {
			c.act(IncomingConnected{call.Call})
		} else {
			c.act(OutgoingConnected{call.Call})
		}
	case fsm.ActReportClear:
		c.act(ClearRequested{call.Call})
	case fsm.ActReportLinkInfo:
		if m, ok := in.got.(*pptp.SetLinkInfo); ok {
			c.act(LinkInfoSet{call.Call, m.SendACCM, m.ReceiveACCM})
		}
	case fsm.ActReportWANErrors:
		if m, ok := in.got.(*pptp.WANErrorNotify); ok {
			c.act(WANErrorsReported{call.Call, m.WANErrors})
		}
	case fsm.ActReportEnded:
		c.reportEnded(call, from, e, in)
	}
}

// reportEnded reports the end of a call unless that was done before.
func (c *Connection) reportEnded(call *CallState, from fsm.State, e fsm.Event, in callInput) {
	if call.Reported {
		return
	}
	call.Reported = true
	ending := in.ending
	ending.State = from
	if cause := causeOf(from, e); cause != 0 {
		ending.Cause = cause
	}
	if in.got != nil {
		ending.take(in.got)
	} else {
		ending.take(in.send)
	}
	report := call.Call
	report.State = from
	c.act(CallEnded{Call: report, Why: ending})
}

// take copies the codes of the message that ended the call.
func (e *Ending) take(m pptp.Message) {
	switch m := m.(type) {
	case *pptp.OutgoingCallReply:
		e.Outgoing, e.Error, e.CauseCode = m.ResultCode, m.ErrorCode, m.CauseCode
	case *pptp.IncomingCallReply:
		e.Incoming, e.Error = m.ResultCode, m.ErrorCode
	case *pptp.CallDisconnectNotify:
		e.Disconnect, e.Error, e.CauseCode = m.ResultCode, m.ErrorCode, m.CauseCode
		e.Statistics = m.CallStatistics.String()
	}
}

// causeOf says by what event e, coming in state from, ended a call; 0 if the
// event's input says so.
func causeOf(from fsm.State, e fsm.Event) Cause {
	if from == fsm.StateWaitDisconnect || from == fsm.StateWaitHangUp {
		// However it ends now, it ends because the PNS wanted it to. pptpd, for
		// one, answers a Call-Clear-Request by closing TCP.
		return CauseClearedByPNS
	}
	switch e {
	case fsm.EventIncomingReplyRefused:
		return CauseRefusedByPNS
	case fsm.EventRefuse, fsm.EventClear:
		if from == fsm.StateWaitDecision {
			return CauseRefusedByPNS
		}
		return CauseRefusedByPAC
	case fsm.EventOutgoingReplyFailed:
		return CauseRefusedByPAC
	case fsm.EventHangUp, fsm.EventDisconnectNotify:
		return CauseDisconnectedByPAC
	case fsm.EventTimeOut:
		return CauseTimedOut
	}
	return 0
}

// implied returns the message of type t that the machine sends about a call of
// its own accord, in state from.
func implied(t pptp.MessageType, call *Call, from fsm.State) pptp.Message {
	switch t {
	case pptp.TypeCallClearRequest:
		return &pptp.CallClearRequest{PNSCallID: call.PNSCallID}
	case pptp.TypeCallDisconnectNotify:
		m := &pptp.CallDisconnectNotify{PACCallID: call.PACCallID}
		switch from {
		case fsm.StateWaitHangUp:
			m.ResultCode = pptp.DisconnectRequest
		case fsm.StateWaitCSAns:
			m.ResultCode = pptp.DisconnectLostCarrier
		default: // the PNS did not answer
			m.ResultCode = pptp.DisconnectAdminShutdown
		}
		return m
	case pptp.TypeOutgoingCallReply:
		return &pptp.OutgoingCallReply{PACCallID: call.PACCallID, PNSCallID: call.PNSCallID, ResultCode: pptp.OutgoingTimeOut}
	case pptp.TypeIncomingCallReply:
		return &pptp.IncomingCallReply{PACCallID: call.PACCallID, PNSCallID: call.PNSCallID,
			ResultCode: pptp.IncomingGeneralError, ErrorCode: pptp.ErrorNoResource}
	}
	return nil
}
