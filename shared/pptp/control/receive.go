package control

import (
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// receiveCall handles a message about a call.
func (c *Connection) receiveCall(now time.Time, row *fsm.Row, m pptp.Message) {
	before := c.s.Control
	if !c.control(now, fsm.EventCallMessage, input{got: m}) {
		c.fault(FaultWrongState, 0, "%v in %v", m.Type(), before)
		return
	}
	if before != fsm.StateEstablished {
		return // closed by it, or too late to matter
	}
	switch m := m.(type) {
	case *pptp.OutgoingCallRequest:
		c.onOutgoingRequest(now, m)
	case *pptp.IncomingCallRequest:
		c.onIncomingRequest(now, m)
	default:
		c.receiveInCall(now, row, m)
	}
}

// receiveInCall handles a message about a call that exists.
func (c *Connection) receiveInCall(now time.Time, row *fsm.Row, m pptp.Message) {
	call := c.find(row, m)
	if call == nil {
		c.disown(row, m)
		return
	}
	own := call.Call.Own()
	machine, ok := row.Machine(call.Call.Direction)
	if !ok || machine != call.Call.machine() || !row.Admit.Has(call.Call.State) {
		c.fault(FaultWrongState, own, "%v in %v of %v", m.Type(), call.Call.State, call.Call.machine())
		return
	}
	known := call.Call.Identified
	learn(&call.Call, m)
	c.calls.identified(call)
	if theirs, now := call.Call.Theirs(); now && !known && c.calls.byTheirs(call.Call.Role, theirs) != call {
		c.fault(FaultDuplicateCallID, own, "%v gives call %d the Call ID %d, which another call has", m.Type(), own, theirs)
	}
	if !c.stepCall(now, call, fsm.EventOf(m), callInput{got: m}) {
		c.fault(FaultWrongState, own, "%v in %v of %v", m.Type(), call.Call.State, call.Call.machine())
	}
}

// disown answers a good reply about a call that we do not have any more. What
// told the peer so when we gave up may have found no call there; a peer that has
// understood it ignores this.
func (c *Connection) disown(row *fsm.Row, m pptp.Message) {
	var call Call
	switch m := m.(type) {
	case *pptp.OutgoingCallReply:
		if m.ResultCode != pptp.OutgoingConnected {
			return
		}
		call.PNSCallID = m.PNSCallID
	case *pptp.IncomingCallReply:
		if m.ResultCode != pptp.IncomingAccept {
			return
		}
		call.PACCallID = m.PACCallID
	}
	if row.Disown != 0 && c.calls.get(callID(m)) == nil {
		c.send(implied(row.Disown, &call, fsm.StateWaitReply))
	}
}

// find returns the call that a message is about, or reports why there is none.
func (c *Connection) find(row *fsm.Row, m pptp.Message) *CallState {
	role := row.Receiver()
	id := callID(m)
	if assigner := row.Finds.Assigner(); assigner == role {
		call := c.calls.get(id)
		if call == nil {
			c.unknownCall(row, m)
			return nil
		}
		if call.Call.Role != role {
			c.fault(FaultWrongRole, id, "%v: we are the %v of call %d", m.Type(), call.Call.Role, id)
			return nil
		}
		return call
	}
	if call := c.calls.byTheirs(role, id); call != nil {
		if id != call.Call.Own() {
			c.s.NamesRightly = true
		}
		return call
	}
	if _, ok := m.(*pptp.CallDisconnectNotify); ok {
		if call := c.calls.clearedUnnamed(); call != nil {
			return call
		}
	}
	// A peer that has once named a call as it should is not guessed about: its
	// message is about a call that has ended.
	if !c.s.NamesRightly {
		onlyOne := c.s.Counters.CallsReceived+c.s.Counters.CallsPlaced == 1
		if call := c.calls.byGuess(role, id, onlyOne); call != nil {
			if call.Call.Identified {
				c.fault(FaultMisnamedCall, call.Call.Own(), "%v names call %d by Call ID %d", m.Type(), call.Call.Own(), id)
			}
			return call
		}
	}
	c.unknownCall(row, m)
	return nil
}

// unknownCall reports a message about a call that we do not have.
func (c *Connection) unknownCall(row *fsm.Row, m pptp.Message) {
	what := FaultUnknownCall
	if repliesTo(m) {
		what = FaultReplyToNothing
	}
	c.fault(what, 0, "%v: no call has %v Call ID %d", m.Type(), row.Finds.Assigner(), callID(m))
}

// repliesTo says whether a message only makes sense after a request of ours.
func repliesTo(m pptp.Message) bool {
	switch m.(type) {
	case *pptp.StartControlConnectionReply, *pptp.StopControlConnectionReply, *pptp.OutgoingCallReply, *pptp.IncomingCallReply:
		return true
	}
	return false
}

// callID returns the Call ID by which a message finds its call.
func callID(m pptp.Message) uint16 {
	switch m := m.(type) {
	case *pptp.OutgoingCallReply:
		return m.PNSCallID
	case *pptp.IncomingCallReply:
		return m.PACCallID
	case *pptp.IncomingCallConnected:
		return m.PNSCallID
	case *pptp.CallClearRequest:
		return m.PNSCallID
	case *pptp.CallDisconnectNotify:
		return m.PACCallID
	case *pptp.WANErrorNotify:
		return m.PNSCallID
	case *pptp.SetLinkInfo:
		return m.PACCallID
	}
	return 0
}

// learn stores what a message tells of its call.
func learn(call *Call, m pptp.Message) {
	switch m := m.(type) {
	case *pptp.OutgoingCallRequest:
		call.setTheirs(m.PNSCallID)
		call.CallSerialNumber = m.CallSerialNumber
		call.MinimumBPS, call.MaximumBPS = m.MinimumBPS, m.MaximumBPS
		call.Bearer, call.Framing = m.BearerType, m.FramingType
		call.PNSWindow, call.PNSProcessingDelay = m.PacketRecvWindowSize, m.PacketProcessingDelay
		call.DialedNumber, call.Subaddress = m.Number(), m.Subaddress.String()
	case *pptp.OutgoingCallReply:
		if m.ResultCode == pptp.OutgoingConnected {
			call.setTheirs(m.PACCallID)
			call.ConnectSpeed = m.ConnectSpeed
			call.PACWindow, call.PACProcessingDelay = m.PacketRecvWindowSize, m.PacketProcessingDelay
			call.PhysicalChannelID = m.PhysicalChannelID
		}
	case *pptp.IncomingCallRequest:
		call.setTheirs(m.PACCallID)
		call.CallSerialNumber = m.CallSerialNumber
		call.Bearer, call.PhysicalChannelID = m.CallBearerType, m.PhysicalChannelID
		call.DialedNumber, call.DialingNumber = m.Dialed(), m.Dialing()
		call.Subaddress = m.Subaddress.String()
	case *pptp.IncomingCallReply:
		if m.ResultCode == pptp.IncomingAccept {
			call.setTheirs(m.PNSCallID)
			call.PNSWindow, call.PNSProcessingDelay = m.PacketRecvWindowSize, m.PacketTransmitDelay
		}
	case *pptp.IncomingCallConnected:
		call.ConnectSpeed, call.Framing = m.ConnectSpeed, m.FramingType
		call.PACWindow, call.PACProcessingDelay = m.PacketRecvWindowSize, m.PacketTransmitDelay
	}
}

// onOutgoingRequest begins a call in which we are the PAC.
func (c *Connection) onOutgoingRequest(now time.Time, m *pptp.OutgoingCallRequest) {
	call, code := c.receiveNew(now, fsm.RolePAC, fsm.Outgoing, m.PNSCallID)
	if code != pptp.ErrorNone {
		c.stepCall(now, call, fsm.EventOutgoingCallUnacceptable, callInput{send: &pptp.OutgoingCallReply{
			PNSCallID: m.PNSCallID, ResultCode: pptp.OutgoingGeneralError, ErrorCode: code,
		}})
		return
	}
	learn(&call.Call, m)
	c.calls.identified(call)
	c.stepCall(now, call, fsm.EventOutgoingCallRequest, callInput{got: m})
}

// onIncomingRequest begins a call in which we are the PNS.
func (c *Connection) onIncomingRequest(now time.Time, m *pptp.IncomingCallRequest) {
	call, code := c.receiveNew(now, fsm.RolePNS, fsm.Incoming, m.PACCallID)
	if code != pptp.ErrorNone {
		c.stepCall(now, call, fsm.EventIncomingCallUnacceptable, callInput{send: &pptp.IncomingCallReply{
			PACCallID: m.PACCallID, ResultCode: pptp.IncomingGeneralError, ErrorCode: code,
		}})
		return
	}
	learn(&call.Call, m)
	c.calls.identified(call)
	c.stepCall(now, call, fsm.EventIncomingCallRequest, callInput{got: m})
}

// receiveNew makes a call that the peer asks for and puts it into the table.
// If it cannot be had, the Error Code says why, and the call is not in the
// table.
func (c *Connection) receiveNew(now time.Time, role fsm.Role, d fsm.Direction, theirs uint16) (*CallState, pptp.ErrorCode) {
	c.s.Counters.CallsReceived++
	call := &CallState{Call: Call{Role: role, Direction: d}}
	if other := c.calls.byTheirs(role, theirs); other != nil {
		c.fault(FaultDuplicateCallID, other.Call.Own(), "new %v call has Call ID %d, as call %d", d, theirs, other.Call.Own())
		return call, pptp.ErrorBadCallID
	}
	if err := c.insert(now, call); err != nil {
		c.fault(FaultTooManyCalls, 0, "new %v call: %v", d, err)
		return call, pptp.ErrorNoResource
	}
	return call, pptp.ErrorNone
}

// insert gives a call its Call ID and puts it into the table, within limits.
func (c *Connection) insert(now time.Time, call *CallState) error {
	if len(c.calls.list) >= c.cfg.Limits.Calls || c.calls.halfOpen() >= c.cfg.Limits.HalfOpen {
		return ErrTooManyCalls
	}
	own, ok := c.ids.Allocate(now)
	if !ok {
		return ErrNoCallID
	}
	if call.Call.Role == fsm.RolePAC {
		call.Call.PACCallID = own
	} else {
		call.Call.PNSCallID = own
	}
	c.calls.insert(call)
	return nil
}
