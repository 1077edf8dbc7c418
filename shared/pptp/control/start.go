package control

import (
	"fmt"
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// input is what an event brings along for the acts of its transition.
type input struct {
	send pptp.Message    // what a sending act sends
	sent bool            // it has been sent
	got  pptp.Message    // the message that was received, if the event is one
	end  ConnectionEnded // what ActClose reports; zero: endOf decides
}

// control gives an event to the machine of the connection and performs the
// transition. It returns false if the event is not legal now.
func (c *Connection) control(now time.Time, e fsm.Event, in input) bool {
	from := c.s.Control
	t, ok := fsm.Step(fsm.Control, from, e)
	if !ok {
		return false
	}
	if t.Next != from {
		if in.end.Why == 0 && t.Next != fsm.StateEstablished {
			in.end = c.endOf(from, e, in.got)
		}
		c.enter(now, from, t.Next)
	}
	for _, a := range t.Do {
		c.doControl(now, a, &in)
	}
	return true
}

// enter changes the state of the connection and sets its deadline. The time to
// become established is one, though it may span two states.
func (c *Connection) enter(now time.Time, from, to fsm.State) {
	c.s.Control = to
	switch wait := fsm.WaitOf(fsm.Control, to); {
	case wait == fsm.TimerNone:
		c.s.Due = time.Time{}
	case wait != fsm.WaitOf(fsm.Control, from):
		c.s.Due = now.Add(c.cfg.Timers.Of(wait))
	}
	if to != fsm.StateEstablished {
		c.s.EchoDue = time.Time{}
	}
	if to == fsm.StateClosed {
		c.framer = pptp.Framer{}
		c.s.PartialDue = time.Time{}
	}
}

func (c *Connection) doControl(now time.Time, a fsm.Act, in *input) {
	if _, ok := a.Sends(); ok {
		c.send(in.send)
		in.sent = true
		return
	}
	switch a {
	case fsm.ActAskApproval:
		if c.cfg.Approve {
			c.act(StartRequested{Peer: c.s.Peer, Version: c.s.Version})
		} else {
			c.control(now, fsm.EventApprove, input{send: c.startReply(pptp.ControlOK, pptp.ErrorNone)})
		}
	case fsm.ActReportEstablished:
		c.s.Heard = now
		c.act(Established{Peer: c.s.Peer, Version: c.s.Version})
	case fsm.ActEndCalls:
		cause := CauseConnectionLost
		if in.end.Why == EndStoppedByPeer || in.end.Why == EndStoppedByUs {
			cause = CauseConnectionStopped
		}
		for _, call := range c.calls.all() {
			c.stepCall(now, call, fsm.EventLost, callInput{ending: Ending{Cause: cause}})
		}
	case fsm.ActClose:
		c.blame(in.end.Err)
		c.act(in.end)
		c.act(Close{Flush: in.sent, Err: in.end.Err})
	}
}

// endOf says why a connection that closes because of an event has ended.
func (c *Connection) endOf(from fsm.State, e fsm.Event, got pptp.Message) ConnectionEnded {
	if from == fsm.StateWaitStopReply || e == fsm.EventStop {
		end := ConnectionEnded{Why: EndStoppedByUs, Reason: c.s.Reason}
		if c.s.Reason == pptp.StopProtocol {
			end.Err = fmt.Errorf("%w: peer answers with version %v", ErrRefused, c.s.Version)
		}
		return end
	}
	switch m := got.(type) {
	case *pptp.StopControlConnectionRequest:
		if from != fsm.StateIdle {
			return ConnectionEnded{Why: EndStoppedByPeer, Reason: m.Reason}
		}
	case *pptp.StartControlConnectionReply:
		if from == fsm.StateWaitCtlReply {
			return ConnectionEnded{Why: EndRefusedByPeer, Result: m.ResultCode,
				Err: fmt.Errorf("%w: %v (%v)", ErrRefused, m.ResultCode, m.ErrorCode)}
		}
	case *pptp.StartControlConnectionRequest:
		return ConnectionEnded{Why: EndRefusedByUs, Result: pptp.ControlVersionUnsupported,
			Err: fmt.Errorf("%w: peer asks for version %v", ErrRefused, m.ProtocolVersion)}
	}
	switch {
	case got != nil:
		return ConnectionEnded{Why: EndNotEstablished, Err: fmt.Errorf("%w: %v", ErrNotPPTP, got.Type())}
	case from == fsm.StateEstablished:
		return ConnectionEnded{Why: EndSilent, Err: ErrSilent}
	case from == fsm.StateWaitApproval:
		return ConnectionEnded{Why: EndNotEstablished, Err: ErrNotDecided}
	}
	return ConnectionEnded{Why: EndNotEstablished, Err: ErrTimeOut}
}

// lose ends the connection without another word.
func (c *Connection) lose(now time.Time, end ConnectionEnded) {
	if c.s.Control == fsm.StateWaitStopReply && end.Why == EndTransport {
		end = ConnectionEnded{} // pptpd and others close without a Stop reply
	}
	c.control(now, fsm.EventLost, input{end: end})
}

// receiveControl handles a message about the connection itself.
func (c *Connection) receiveControl(now time.Time, row *fsm.Row, m pptp.Message) {
	if !row.Admit.Has(c.s.Control) {
		what := FaultWrongState
		if repliesTo(m) {
			what = FaultReplyToNothing
		}
		c.fault(what, 0, "%v in %v", m.Type(), c.s.Control)
		return
	}
	in := input{got: m}
	switch m := m.(type) {
	case *pptp.StartControlConnectionRequest:
		in.send = c.onStartRequest(m)
	case *pptp.StartControlConnectionReply:
		in.send = c.onStartReply(m)
	case *pptp.StopControlConnectionRequest:
		in.send = &pptp.StopControlConnectionReply{ResultCode: pptp.StopOK}
	case *pptp.EchoRequest:
		in.send = &pptp.EchoReply{Identifier: m.Identifier, ResultCode: pptp.EchoOK}
	case *pptp.EchoReply:
		// MPD closes on a wrong Identifier, pptp-linux does not look at it.
		if answered := m.Identifier - c.s.EchoAnswered; answered >= 1 && answered <= c.s.EchoIdentifier-c.s.EchoAnswered {
			c.s.EchoAnswered = m.Identifier
		} else if c.s.Control == fsm.StateEstablished {
			c.fault(FaultEchoIdentifier, 0, "identifier %d, want %d..%d", m.Identifier, c.s.EchoAnswered+1, c.s.EchoIdentifier)
		}
	}
	c.control(now, fsm.EventOf(m), in)
}

// onStartRequest learns who the peer is and returns the refusal, for the cases
// in which the machine wants to send one.
func (c *Connection) onStartRequest(m *pptp.StartControlConnectionRequest) pptp.Message {
	switch c.s.Control {
	case fsm.StateIdle:
		c.s.Peer = Identity{
			m.HostName.String(), m.VendorName.String(), m.FirmwareRevision,
			m.FramingCapabilities, m.BearerCapabilities, m.MaximumChannels,
		}
		// We have only one version; whoever asks for a later revision gets ours.
		c.s.Version = pptp.Version10
	case fsm.StateEstablished:
		c.fault(FaultSecondStart, 0, "%v in %v", m.Type(), c.s.Control)
		return c.startReply(pptp.ControlAlreadyExists, pptp.ErrorNone)
	}
	return c.startReply(pptp.ControlVersionUnsupported, pptp.ErrorNone)
}

// onStartReply learns who the peer is and returns the Stop request, for the
// case that its version will not do.
func (c *Connection) onStartReply(m *pptp.StartControlConnectionReply) pptp.Message {
	if c.s.Control != fsm.StateWaitCtlReply {
		return nil
	}
	c.s.Peer = Identity{
		m.HostName.String(), m.VendorName.String(), m.FirmwareRevision,
		m.FramingCapabilities, m.BearerCapabilities, m.MaximumChannels,
	}
	c.s.Version = m.ProtocolVersion
	if m.ResultCode.Success() && !m.ProtocolVersion.Supported() {
		c.s.Reason = pptp.StopProtocol
	}
	return &pptp.StopControlConnectionRequest{Reason: pptp.StopProtocol}
}

func (c *Connection) startRequest() pptp.Message {
	return &pptp.StartControlConnectionRequest{
		ProtocolVersion:     pptp.Version10,
		FramingCapabilities: c.cfg.Self.FramingCapabilities,
		BearerCapabilities:  c.cfg.Self.BearerCapabilities,
		MaximumChannels:     c.cfg.Self.MaximumChannels,
		FirmwareRevision:    c.cfg.Self.FirmwareRevision,
		HostName:            pptp.MakeText64(c.cfg.Self.HostName),
		VendorName:          pptp.MakeText64(c.cfg.Self.VendorName),
	}
}

func (c *Connection) startReply(result pptp.ControlResult, code pptp.ErrorCode) pptp.Message {
	return &pptp.StartControlConnectionReply{
		ProtocolVersion: pptp.Version10, ResultCode: result, ErrorCode: code,
		FramingCapabilities: c.cfg.Self.FramingCapabilities,
		BearerCapabilities:  c.cfg.Self.BearerCapabilities,
		MaximumChannels:     c.cfg.Self.MaximumChannels,
		FirmwareRevision:    c.cfg.Self.FirmwareRevision,
		HostName:            pptp.MakeText64(c.cfg.Self.HostName),
		VendorName:          pptp.MakeText64(c.cfg.Self.VendorName),
	}
}

// ApproveStart accepts the control connection after StartRequested.
func (c *Connection) ApproveStart(now time.Time) error {
	if !c.control(now, fsm.EventApprove, input{send: c.startReply(pptp.ControlOK, pptp.ErrorNone)}) {
		return ErrWrongState
	}
	c.process(now) // what was held back
	return nil
}

// RefuseStart refuses the control connection after StartRequested: with
// ControlNotAuthorized, ControlAlreadyExists or ControlGeneralError (then code
// says more).
func (c *Connection) RefuseStart(now time.Time, result pptp.ControlResult, code pptp.ErrorCode) error {
	if result.Success() {
		return fmt.Errorf("%w: result %v is no refusal", ErrWrongState, result)
	}
	in := input{
		send: c.startReply(result, code),
		end:  ConnectionEnded{Why: EndRefusedByUs, Result: result, Err: fmt.Errorf("%w: %v", ErrRefused, result)},
	}
	if c.s.Control != fsm.StateWaitApproval || !c.control(now, fsm.EventRefuse, in) {
		return ErrWrongState
	}
	return nil
}

// Stop ends the control connection in an orderly way. All calls end at once;
// Close follows when the peer has answered or its time is up. A connection
// that is not established is just closed.
func (c *Connection) Stop(now time.Time, reason pptp.StopReason) {
	if c.s.Control != fsm.StateWaitStopReply && c.s.Control != fsm.StateClosed {
		c.s.Reason = reason
	}
	c.control(now, fsm.EventStop, input{send: &pptp.StopControlConnectionRequest{Reason: reason}})
}

// Abandon closes the connection without another word: for the loser of a
// collision (Wins) and for a connection that its owner has no more use for.
// err is reported by ConnectionEnded and Close and may be nil.
func (c *Connection) Abandon(now time.Time, err error) {
	c.lose(now, ConnectionEnded{Why: EndAbandoned, Err: err})
}

// Probe asks for a sign of life at once and closes the connection if there is
// none within the Probe time. It is meant for the moment when a second
// connection comes from the same address. If an Echo-Request is unanswered
// already, its time is shortened; a connection that is not established has a
// deadline anyway.
func (c *Connection) Probe(now time.Time) {
	switch due := now.Add(c.cfg.Timers.Of(fsm.TimerProbe)); {
	case c.s.Control != fsm.StateEstablished:
	case c.s.EchoDue.IsZero():
		c.silence(now, fsm.TimerProbe)
	case due.Before(c.s.EchoDue):
		c.s.EchoDue = due
	}
}
