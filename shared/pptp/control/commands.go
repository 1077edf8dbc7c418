package control

import (
	"fmt"
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// begin makes a call that we ask for.
func (c *Connection) begin(now time.Time, call *CallState) error {
	if c.s.Control != fsm.StateEstablished {
		return fmt.Errorf("%w but %v", ErrNotEstablished, c.s.Control)
	}
	if err := c.insert(now, call); err != nil {
		return err
	}
	c.s.Counters.CallsPlaced++
	return nil
}

// OfferIncoming (as PAC) offers a ringing line to the PNS and returns the Call
// ID of the new call. IncomingAccepted or CallEnded follows. Errors:
// ErrNotEstablished, ErrTooManyCalls, ErrNoCallID.
func (c *Connection) OfferIncoming(now time.Time, offer IncomingOffer) (own uint16, err error) {
	call := &CallState{Call: Call{
		Role: fsm.RolePAC, Direction: fsm.Incoming,
		CallSerialNumber: offer.CallSerialNumber,
		Bearer:           offer.Bearer, PhysicalChannelID: offer.PhysicalChannelID,
		DialedNumber: offer.DialedNumber, DialingNumber: offer.DialingNumber, Subaddress: offer.Subaddress,
	}}
	if err := c.begin(now, call); err != nil {
		return 0, err
	}
	m := &pptp.IncomingCallRequest{
		PACCallID: call.Call.PACCallID, CallSerialNumber: offer.CallSerialNumber,
		CallBearerType: offer.Bearer, PhysicalChannelID: offer.PhysicalChannelID,
		Subaddress: pptp.MakeText64(offer.Subaddress),
	}
	m.SetNumbers(offer.DialedNumber, offer.DialingNumber)
	c.stepCall(now, call, fsm.EventOffer, callInput{send: m})
	return call.Call.Own(), nil
}

// RequestOutgoing (as PNS) asks the PAC to place a call and returns the Call ID
// of the new call. OutgoingConnected or CallEnded follows. Errors:
// ErrNotEstablished, ErrTooManyCalls, ErrNoCallID.
func (c *Connection) RequestOutgoing(now time.Time, request OutgoingRequest) (own uint16, err error) {
	call := &CallState{Call: Call{
		Role: fsm.RolePNS, Direction: fsm.Outgoing,
		CallSerialNumber: request.CallSerialNumber,
		Bearer:           request.Bearer, Framing: request.Framing,
		MinimumBPS: request.MinimumBPS, MaximumBPS: request.MaximumBPS,
		PNSWindow: request.Window, PNSProcessingDelay: request.ProcessingDelay,
		DialedNumber: request.PhoneNumber, Subaddress: request.Subaddress,
	}}
	if err := c.begin(now, call); err != nil {
		return 0, err
	}
	m := &pptp.OutgoingCallRequest{
		PNSCallID: call.Call.PNSCallID, CallSerialNumber: request.CallSerialNumber,
		MinimumBPS: request.MinimumBPS, MaximumBPS: request.MaximumBPS,
		BearerType: request.Bearer, FramingType: request.Framing,
		PacketRecvWindowSize: request.Window, PacketProcessingDelay: request.ProcessingDelay,
		Subaddress: pptp.MakeText64(request.Subaddress),
	}
	m.SetNumber(request.PhoneNumber)
	c.stepCall(now, call, fsm.EventRequest, callInput{send: m})
	return call.Call.Own(), nil
}

// lookup returns the call a command is about.
func (c *Connection) lookup(own uint16) (*CallState, error) {
	call := c.calls.get(own)
	if call == nil || call.Reported {
		return nil, fmt.Errorf("%w: Call ID %d", ErrUnknownCall, own)
	}
	return call, nil
}

// command gives the event of a command to a call in which we must have role.
func (c *Connection) command(now time.Time, call *CallState, role fsm.Role, e fsm.Event, in callInput) error {
	if call.Call.Role != role {
		return fmt.Errorf("%w: %v, and we are the %v of call %d", ErrWrongRole, e, call.Call.Role, call.Call.Own())
	}
	state := call.Call.State
	if !c.stepCall(now, call, e, in) {
		return fmt.Errorf("%w: %v in %v of %v, call %d", ErrWrongState, e, state, call.Call.machine(), call.Call.Own())
	}
	return nil
}

// errorFor returns the Error Code that may go with a result: none, unless the
// result is the general error (RFC 2637 section 2.16).
func errorFor(general bool, code pptp.ErrorCode) pptp.ErrorCode {
	if !general {
		return pptp.ErrorNone
	}
	return code
}

// AnswerIncoming (as PNS) answers IncomingOffered. If it accepts,
// IncomingConnected or CallEnded follows; if it refuses, CallEnded. Errors:
// ErrUnknownCall, ErrWrongRole, ErrWrongState.
func (c *Connection) AnswerIncoming(now time.Time, own uint16, answer IncomingAnswer) error {
	call, err := c.lookup(own)
	if err != nil {
		return err
	}
	m := &pptp.IncomingCallReply{
		PNSCallID: call.Call.PNSCallID, PACCallID: call.Call.PACCallID,
		ResultCode: answer.Result, ErrorCode: errorFor(answer.Result == pptp.IncomingGeneralError, answer.Error),
		PacketRecvWindowSize: answer.Window, PacketTransmitDelay: answer.ProcessingDelay,
	}
	if answer.Result != 0 && answer.Result != pptp.IncomingAccept {
		return c.command(now, call, fsm.RolePNS, fsm.EventRefuse, callInput{send: m})
	}
	m.ResultCode = pptp.IncomingAccept
	if err := c.command(now, call, fsm.RolePNS, fsm.EventAccept, callInput{send: m}); err != nil {
		return err
	}
	call.Call.PNSWindow, call.Call.PNSProcessingDelay = answer.Window, answer.ProcessingDelay
	return nil
}

// ConfirmIncoming (as PAC) says that the accepted incoming call is up. Errors:
// ErrUnknownCall, ErrWrongRole, ErrWrongState (after ClearRequested too).
func (c *Connection) ConfirmIncoming(now time.Time, own uint16, line LineConnected) error {
	call, err := c.lookup(own)
	if err != nil {
		return err
	}
	if call.Call.Direction != fsm.Incoming {
		return fmt.Errorf("%w: call %d is %v", ErrWrongState, own, call.Call.Direction)
	}
	m := &pptp.IncomingCallConnected{
		PNSCallID: call.Call.PNSCallID, ConnectSpeed: line.ConnectSpeed,
		PacketRecvWindowSize: line.Window, PacketTransmitDelay: line.ProcessingDelay, FramingType: line.Framing,
	}
	if err := c.command(now, call, fsm.RolePAC, fsm.EventLineUp, callInput{send: m}); err != nil {
		return err
	}
	learn(&call.Call, m)
	return nil
}

// AnswerOutgoing (as PAC) answers OutgoingRequested: the call is up, or, with
// CallEnded following, it is not. Errors: ErrUnknownCall, ErrWrongRole,
// ErrWrongState (after ClearRequested too: then only DisconnectCall will do).
func (c *Connection) AnswerOutgoing(now time.Time, own uint16, answer OutgoingAnswer) error {
	call, err := c.lookup(own)
	if err != nil {
		return err
	}
	if call.Call.Direction != fsm.Outgoing {
		return fmt.Errorf("%w: call %d is %v", ErrWrongState, own, call.Call.Direction)
	}
	m := &pptp.OutgoingCallReply{
		PACCallID: call.Call.PACCallID, PNSCallID: call.Call.PNSCallID,
		ResultCode: answer.Result, ErrorCode: errorFor(answer.Result == pptp.OutgoingGeneralError, answer.Error),
		CauseCode: answer.Cause, ConnectSpeed: answer.ConnectSpeed, PacketRecvWindowSize: answer.Window,
		PacketProcessingDelay: answer.ProcessingDelay, PhysicalChannelID: answer.PhysicalChannelID,
	}
	if answer.Result != 0 && answer.Result != pptp.OutgoingConnected {
		return c.command(now, call, fsm.RolePAC, fsm.EventRefuse, callInput{send: m})
	}
	m.ResultCode = pptp.OutgoingConnected
	if err := c.command(now, call, fsm.RolePAC, fsm.EventLineUp, callInput{send: m}); err != nil {
		return err
	}
	call.Call.ConnectSpeed, call.Call.PhysicalChannelID = answer.ConnectSpeed, answer.PhysicalChannelID
	call.Call.PACWindow, call.Call.PACProcessingDelay = answer.Window, answer.ProcessingDelay
	return nil
}

// ClearCall (as PNS) asks the PAC to end a call; before an incoming call is
// answered it refuses it. CallEnded follows. Doing it twice is no error.
// Errors: ErrUnknownCall, ErrWrongRole.
func (c *Connection) ClearCall(now time.Time, own uint16) error {
	call, err := c.lookup(own)
	if err != nil {
		return err
	}
	in := callInput{}
	if call.Call.State == fsm.StateWaitDecision {
		in.send = &pptp.IncomingCallReply{
			PNSCallID: call.Call.PNSCallID, PACCallID: call.Call.PACCallID, ResultCode: pptp.IncomingDoNotAccept,
		}
	}
	return c.command(now, call, fsm.RolePNS, fsm.EventClear, in)
}

// DisconnectCall (as PAC) ends a call in any state, or confirms that a call is
// down after ClearRequested (then the result is DisconnectRequest, whatever d
// says). A requested outgoing call that is not up yet is answered with the
// nearest result of an Outgoing-Call-Reply. CallEnded follows. Errors:
// ErrUnknownCall, ErrWrongRole.
func (c *Connection) DisconnectCall(now time.Time, own uint16, d Disconnect) error {
	call, err := c.lookup(own)
	if err != nil {
		return err
	}
	if d.Result == 0 {
		d.Result = pptp.DisconnectLostCarrier
	}
	if call.Call.State == fsm.StateWaitHangUp {
		d.Result = pptp.DisconnectRequest
	}
	d.Error = errorFor(d.Result == pptp.DisconnectGeneralError, d.Error)
	in := callInput{send: &pptp.CallDisconnectNotify{
		PACCallID: call.Call.PACCallID, ResultCode: d.Result, ErrorCode: d.Error, CauseCode: d.Cause,
		CallStatistics: pptp.MakeText128(d.Statistics),
	}}
	if call.Call.Direction == fsm.Outgoing && call.Call.State == fsm.StateWaitCSAns {
		m := &pptp.OutgoingCallReply{
			PACCallID: call.Call.PACCallID, PNSCallID: call.Call.PNSCallID, ErrorCode: d.Error, CauseCode: d.Cause,
		}
		switch d.Result {
		case pptp.DisconnectLostCarrier:
			m.ResultCode = pptp.OutgoingNoCarrier
		case pptp.DisconnectGeneralError:
			m.ResultCode = pptp.OutgoingGeneralError
		default:
			m.ResultCode = pptp.OutgoingDoNotAccept
		}
		in.send = m
	}
	return c.command(now, call, fsm.RolePAC, fsm.EventHangUp, in)
}

// EndCall ends a call in the way its role has: DisconnectCall for a PAC,
// ClearCall for a PNS (then d is not used).
func (c *Connection) EndCall(now time.Time, own uint16, d Disconnect) error {
	call, err := c.lookup(own)
	if err != nil {
		return err
	}
	if call.Call.Role == fsm.RolePAC {
		return c.DisconnectCall(now, own, d)
	}
	return c.ClearCall(now, own)
}

// SetLinkInfo (as PNS) tells the PAC the ACCMs of an established call. A PAC may
// send it too, though RFC 2637 has no use for that: servers of Microsoft's kind,
// which are the PAC of their clients' calls, do. Errors: ErrUnknownCall,
// ErrWrongState.
func (c *Connection) SetLinkInfo(now time.Time, own uint16, sendACCM, receiveACCM uint32) error {
	call, err := c.lookup(own)
	if err != nil {
		return err
	}
	theirs := call.Call.PACCallID
	if call.Call.Role == fsm.RolePAC {
		theirs = call.Call.PNSCallID
	}
	return c.command(now, call, call.Call.Role, fsm.EventSendLinkInfo, callInput{send: &pptp.SetLinkInfo{
		PACCallID: theirs, SendACCM: sendACCM, ReceiveACCM: receiveACCM,
	}})
}

// NotifyWANErrors (as PAC) tells the PNS the error counters of an established
// call, cumulative since its start. It may be called at any rate: what has not
// changed is not sent, and the rest at most once in the WANErrors time, the
// latest value winning. Errors: ErrUnknownCall, ErrWrongRole, ErrWrongState.
func (c *Connection) NotifyWANErrors(now time.Time, own uint16, e pptp.WANErrors) error {
	call, err := c.lookup(own)
	if err != nil {
		return err
	}
	established := call.Call.State == fsm.StateEstablished && call.Call.Role == fsm.RolePAC
	if established && e == call.WANErrors {
		return nil
	}
	if due := call.WANErrorsSent.Add(c.cfg.Timers.Of(fsm.TimerWANErrors)); established && due.After(now) {
		call.WANErrors = e
		c.calls.setDue(call, &call.WANErrorsDue, due)
		return nil
	}
	return c.sendWANErrors(now, call, e)
}

// sendWANErrors sends the counters of a call.
func (c *Connection) sendWANErrors(now time.Time, call *CallState, e pptp.WANErrors) error {
	err := c.command(now, call, fsm.RolePAC, fsm.EventSendWANErrors, callInput{send: &pptp.WANErrorNotify{
		PNSCallID: call.Call.PNSCallID, WANErrors: e,
	}})
	if err == nil {
		call.WANErrors, call.WANErrorsSent = e, now
		c.calls.setDue(call, &call.WANErrorsDue, time.Time{})
	}
	return err
}

// tickCalls does what is due in the calls.
func (c *Connection) tickCalls(now time.Time) {
	if !passed(c.calls.due(), now) {
		return
	}
	for _, call := range c.calls.waiting() {
		if passed(call.WANErrorsDue, now) {
			// It cannot fail: the instant is only set in established.
			if err := c.sendWANErrors(now, call, call.WANErrors); err != nil {
				c.calls.setDue(call, &call.WANErrorsDue, time.Time{})
			}
		}
		if passed(call.Due, now) {
			c.stepCall(now, call, fsm.EventTimeOut, callInput{})
		}
	}
}

// Call returns what is known of a call.
func (c *Connection) Call(own uint16) (Call, bool) {
	call, err := c.lookup(own)
	if err != nil {
		return Call{}, false
	}
	return call.Call, true
}

// Calls returns all calls in ascending order of our Call IDs.
func (c *Connection) Calls() []Call {
	all := make([]Call, 0, len(c.calls.list))
	for _, call := range c.calls.list {
		if !call.Reported {
			all = append(all, call.Call)
		}
	}
	return all
}

// Status returns the state of the control connection.
func (c *Connection) Status() fsm.State { return c.s.Control }

// Peer returns what the peer said of itself, empty before it did.
func (c *Connection) Peer() Identity { return c.s.Peer }

// Counters returns what was counted so far.
func (c *Connection) Counters() Counters { return c.s.Counters }
