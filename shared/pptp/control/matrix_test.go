package control

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// reach makes a call of machine m in state s and returns our Call ID; the other
// end's is theirID. The bench forgets how it came about.
func (b *bench) reach(m fsm.Machine, s fsm.State) (own uint16) {
	b.t.Helper()
	own = b.ids.next
	switch m {
	case fsm.PACIncoming:
		_, err := b.c.OfferIncoming(b.now, IncomingOffer{})
		b.try(err)
		if s != fsm.StateWaitReply {
			b.receive(&pptp.IncomingCallReply{PNSCallID: theirID, PACCallID: own, ResultCode: pptp.IncomingAccept})
		}
		if s == fsm.StateEstablished {
			b.try(b.c.ConfirmIncoming(b.now, own, LineConnected{}))
		}
	case fsm.PACOutgoing:
		b.receive(&pptp.OutgoingCallRequest{PNSCallID: theirID})
		if s == fsm.StateEstablished {
			b.try(b.c.AnswerOutgoing(b.now, own, OutgoingAnswer{}))
		}
	case fsm.PNSIncoming:
		b.receive(&pptp.IncomingCallRequest{PACCallID: theirID})
		if s != fsm.StateWaitDecision {
			b.try(b.c.AnswerIncoming(b.now, own, IncomingAnswer{}))
		}
		if s == fsm.StateEstablished {
			b.receive(&pptp.IncomingCallConnected{PNSCallID: own})
		}
	case fsm.PNSOutgoing:
		_, err := b.c.RequestOutgoing(b.now, OutgoingRequest{})
		b.try(err)
		if s != fsm.StateWaitReply {
			b.receive(&pptp.OutgoingCallReply{PACCallID: theirID, PNSCallID: own, ResultCode: pptp.OutgoingConnected})
		}
	}
	if s == fsm.StateWaitHangUp {
		b.receive(&pptp.CallClearRequest{PNSCallID: theirID})
	}
	if s == fsm.StateWaitDisconnect {
		b.try(b.c.ClearCall(b.now, own))
	}
	b.call(own, s)
	b.news, b.sent = nil, nil
	return own
}

// forEachState runs f with a call in every state of every machine.
func forEachState(t *testing.T, f func(t *testing.T, b *bench, m fsm.Machine, s fsm.State, own uint16)) {
	for _, m := range fsm.CallMachines() {
		for _, s := range fsm.StatesOf(m) {
			if s == fsm.StateIdle {
				continue
			}
			t.Run(fmt.Sprintf("%v in %v", m, s), func(t *testing.T) {
				b := establishedBench(t, Config{})
				f(t, b, m, s, b.reach(m, s))
			})
		}
	}
}

// callMessages are the messages about an existing call, addressed as the RFC
// wants, with something in them that reach has not told.
func callMessages(own uint16) []pptp.Message {
	return []pptp.Message{
		&pptp.OutgoingCallReply{PACCallID: theirID, PNSCallID: own, ResultCode: pptp.OutgoingConnected, ConnectSpeed: 77},
		&pptp.OutgoingCallReply{PACCallID: theirID, PNSCallID: own, ResultCode: pptp.OutgoingBusy},
		&pptp.IncomingCallReply{PNSCallID: theirID, PACCallID: own, ResultCode: pptp.IncomingAccept, PacketRecvWindowSize: 88},
		&pptp.IncomingCallReply{PNSCallID: theirID, PACCallID: own, ResultCode: pptp.IncomingDoNotAccept},
		&pptp.IncomingCallConnected{PNSCallID: own, ConnectSpeed: 99},
		&pptp.CallClearRequest{PNSCallID: theirID},
		&pptp.CallDisconnectNotify{PACCallID: theirID, ResultCode: pptp.DisconnectLostCarrier},
		&pptp.WANErrorNotify{PNSCallID: own, WANErrors: pptp.WANErrors{CRCErrors: 1}},
		&pptp.SetLinkInfo{PACCallID: own},
	}
}

// TestEveryMessageInEveryState: the connection does what the table says, and
// what the table does not have is a fault that changes nothing.
func TestEveryMessageInEveryState(t *testing.T) {
	cells := 0
	forEachState(t, func(t *testing.T, _ *bench, m fsm.Machine, s fsm.State, _ uint16) {
		for i := range callMessages(0) {
			cells++
			b := establishedBench(t, Config{})
			own := b.reach(m, s)
			msg := callMessages(own)[i]
			row := fsm.RowOf(msg.Type())
			machine, ok := row.Machine(m.Direction())
			var want fsm.Transition
			legal := false
			if ok && machine == m {
				want, legal = fsm.Step(m, s, fsm.EventOf(msg))
			}
			if m == fsm.PACIncoming && s == fsm.StateWaitReply && msg.Type() == pptp.TypeCallClearRequest {
				legal = false // the PNS's Call ID is not known yet: the message finds no call
			}
			before := b.c.State()
			b.receive(msg)
			b.checkOutcome(msg.Summary(), own, want, legal, before)
		}
	})
	if cells != (4+3+4+3)*9 {
		t.Errorf("%d cells", cells)
	}
}

// checkOutcome compares what a message did with what the table says.
func (b *bench) checkOutcome(what string, own uint16, want fsm.Transition, legal bool, before State) {
	b.t.Helper()
	if !legal {
		if len(b.news) != 1 || len(b.sent) != 0 {
			b.t.Errorf("%s: illegal, and yet sent %s, news\n%s", what, summaries(b.sent), listing(b.news))
		}
		for _, a := range b.news {
			if _, ok := a.(Misbehaved); !ok {
				b.t.Errorf("%s: illegal, and yet %T", what, a)
			}
		}
		after := b.c.State()
		if fmt.Sprint(after.Calls) != fmt.Sprint(before.Calls) {
			b.t.Errorf("%s: illegal, and yet\n%+v\nbecomes\n%+v", what, before.Calls, after.Calls)
		}
		return
	}
	call, ok := b.c.Call(own)
	if ok != (want.Next != fsm.StateIdle) || ok && call.State != want.Next {
		b.t.Errorf("%s: %v in %v, want %v", what, ok, call.State, want.Next)
	}
	sends, reports := 0, 0
	for _, a := range want.Do {
		if mt, ok := a.Sends(); ok {
			if sends >= len(b.sent) || b.sent[sends].Type() != mt {
				b.t.Errorf("%s: sent %s, want %v", what, summaries(b.sent), mt)
			}
			sends++
		} else {
			reports++
		}
	}
	if len(b.sent) != sends || len(b.news) != reports {
		b.t.Errorf("%s: sent %s, news\n%swant %v", what, summaries(b.sent), listing(b.news), want.Do)
	}
}

// TestEveryCommandInEveryState: a command does what the table says, or nothing.
func TestEveryCommandInEveryState(t *testing.T) {
	type command struct {
		event fsm.Event
		role  fsm.Role
		only  fsm.Direction
		give  func(c *Connection, now time.Time, own uint16) error
	}
	commands := map[string]command{
		"AnswerIncoming": {fsm.EventAccept, fsm.RolePNS, 0, func(c *Connection, now time.Time, own uint16) error {
			return c.AnswerIncoming(now, own, IncomingAnswer{})
		}},
		"AnswerIncoming, refusing": {fsm.EventRefuse, fsm.RolePNS, 0, func(c *Connection, now time.Time, own uint16) error {
			return c.AnswerIncoming(now, own, IncomingAnswer{Result: pptp.IncomingDoNotAccept})
		}},
		"ConfirmIncoming": {fsm.EventLineUp, fsm.RolePAC, fsm.Incoming, func(c *Connection, now time.Time, own uint16) error {
			return c.ConfirmIncoming(now, own, LineConnected{})
		}},
		"AnswerOutgoing": {fsm.EventLineUp, fsm.RolePAC, fsm.Outgoing, func(c *Connection, now time.Time, own uint16) error {
			return c.AnswerOutgoing(now, own, OutgoingAnswer{})
		}},
		"AnswerOutgoing, refusing": {fsm.EventRefuse, fsm.RolePAC, fsm.Outgoing, func(c *Connection, now time.Time, own uint16) error {
			return c.AnswerOutgoing(now, own, OutgoingAnswer{Result: pptp.OutgoingBusy})
		}},
		"ClearCall": {fsm.EventClear, fsm.RolePNS, 0, func(c *Connection, now time.Time, own uint16) error {
			return c.ClearCall(now, own)
		}},
		"DisconnectCall": {fsm.EventHangUp, fsm.RolePAC, 0, func(c *Connection, now time.Time, own uint16) error {
			return c.DisconnectCall(now, own, Disconnect{})
		}},
		"SetLinkInfo": {fsm.EventSendLinkInfo, 0, 0, func(c *Connection, now time.Time, own uint16) error {
			return c.SetLinkInfo(now, own, 1, 2)
		}},
		"NotifyWANErrors": {fsm.EventSendWANErrors, fsm.RolePAC, 0, func(c *Connection, now time.Time, own uint16) error {
			return c.NotifyWANErrors(now, own, pptp.WANErrors{CRCErrors: 1})
		}},
	}
	forEachState(t, func(t *testing.T, _ *bench, m fsm.Machine, s fsm.State, _ uint16) {
		for name, cmd := range commands {
			b := establishedBench(t, Config{})
			own := b.reach(m, s)
			want, legal := fsm.Step(m, s, cmd.event)
			rightRole := cmd.role == 0 || m.Role() == cmd.role
			legal = legal && rightRole && (cmd.only == 0 || cmd.only == m.Direction())
			before := b.c.State()
			err := cmd.give(b.c, b.now, own)
			b.drain()
			switch {
			case (err == nil) != legal:
				t.Errorf("%s: %v, want legal %v", name, err, legal)
			case legal:
				b.checkOutcome(name, own, want, true, before)
			case !errors.Is(err, ErrWrongRole) && !errors.Is(err, ErrWrongState) || !rightRole && cmd.only == 0 && !errors.Is(err, ErrWrongRole):
				t.Errorf("%s: %v", name, err)
			case len(b.sent)+len(b.news) > 0 || fmt.Sprint(before) != fmt.Sprint(b.c.State()):
				t.Errorf("%s: refused, and yet %s %s", name, summaries(b.sent), listing(b.news))
			}
			if err := cmd.give(b.c, b.now, own+1); !errors.Is(err, ErrUnknownCall) {
				t.Errorf("%s of no call: %v", name, err)
			}
		}
	})
	b := establishedBench(t, Config{})
	if err := b.c.EndCall(b.now, 1, Disconnect{}); !errors.Is(err, ErrUnknownCall) {
		t.Error(err)
	}
}

// TestEveryTimeOut: what happens in each state when nothing happens.
func TestEveryTimeOut(t *testing.T) {
	tests := []struct {
		m      fsm.Machine
		s      fsm.State
		after  time.Duration
		sent   func(own uint16) pptp.Message
		ending Ending
	}{
		{fsm.PACIncoming, fsm.StateWaitReply, 60 * time.Second, func(own uint16) pptp.Message {
			return &pptp.CallDisconnectNotify{PACCallID: own, ResultCode: pptp.DisconnectAdminShutdown}
		}, Ending{Cause: CauseTimedOut, Disconnect: pptp.DisconnectAdminShutdown}},
		{fsm.PACIncoming, fsm.StateWaitCSAns, 85 * time.Second, func(own uint16) pptp.Message {
			return &pptp.CallDisconnectNotify{PACCallID: own, ResultCode: pptp.DisconnectLostCarrier}
		}, Ending{Cause: CauseTimedOut, Disconnect: pptp.DisconnectLostCarrier}},
		{fsm.PACIncoming, fsm.StateWaitHangUp, 5 * time.Second, func(own uint16) pptp.Message {
			return &pptp.CallDisconnectNotify{PACCallID: own, ResultCode: pptp.DisconnectRequest}
		}, Ending{Cause: CauseClearedByPNS, Disconnect: pptp.DisconnectRequest}},
		{fsm.PACOutgoing, fsm.StateWaitCSAns, 85 * time.Second, func(own uint16) pptp.Message {
			return &pptp.OutgoingCallReply{PACCallID: own, PNSCallID: theirID, ResultCode: pptp.OutgoingTimeOut}
		}, Ending{Cause: CauseTimedOut, Outgoing: pptp.OutgoingTimeOut}},
		{fsm.PACOutgoing, fsm.StateWaitHangUp, 5 * time.Second, func(own uint16) pptp.Message {
			return &pptp.CallDisconnectNotify{PACCallID: own, ResultCode: pptp.DisconnectRequest}
		}, Ending{Cause: CauseClearedByPNS, Disconnect: pptp.DisconnectRequest}},
		{fsm.PNSIncoming, fsm.StateWaitDecision, 30 * time.Second, func(own uint16) pptp.Message {
			return &pptp.IncomingCallReply{PNSCallID: own, PACCallID: theirID, ResultCode: pptp.IncomingGeneralError, ErrorCode: pptp.ErrorNoResource}
		}, Ending{Cause: CauseTimedOut, Incoming: pptp.IncomingGeneralError, Error: pptp.ErrorNoResource}},
		{fsm.PNSIncoming, fsm.StateWaitConnect, 90 * time.Second, func(own uint16) pptp.Message {
			return &pptp.CallClearRequest{PNSCallID: own}
		}, Ending{Cause: CauseTimedOut}},
		{fsm.PNSIncoming, fsm.StateWaitDisconnect, 60 * time.Second, nil, Ending{Cause: CauseClearedByPNS}},
		{fsm.PNSOutgoing, fsm.StateWaitReply, 90 * time.Second, func(own uint16) pptp.Message {
			return &pptp.CallClearRequest{PNSCallID: own}
		}, Ending{Cause: CauseTimedOut}},
		{fsm.PNSOutgoing, fsm.StateWaitDisconnect, 60 * time.Second, nil, Ending{Cause: CauseClearedByPNS}},
	}
	tested := make(map[fsm.Machine]fsm.StateSet)
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%v in %v", tt.m, tt.s), func(t *testing.T) {
			tested[tt.m] |= fsm.Set(tt.s)
			b := establishedBench(t, Config{Timers: Timers{Idle: time.Hour}})
			own := b.reach(tt.m, tt.s)
			call := b.call(own, tt.s)
			b.advance(tt.after - 1)
			b.wantSent()
			b.wantNews()
			b.advance(1)
			if tt.sent != nil {
				b.wantSent(tt.sent(own))
			}
			b.wantSent()
			tt.ending.State = tt.s
			b.wantNews(CallEnded{call, tt.ending})
			if err := b.c.EndCall(b.now, own, Disconnect{}); !errors.Is(err, ErrUnknownCall) || len(b.c.Calls()) != 0 {
				t.Errorf("the call goes on: %v", err)
			}
			b.advance(10 * time.Minute)
			b.wantSent()
			b.wantNews()
			if len(b.ids.inUse) != 0 || b.c.Status() != fsm.StateEstablished {
				t.Errorf("%d Call IDs in use, %v", len(b.ids.inUse), b.c.Status())
			}
		})
	}
	for _, m := range fsm.CallMachines() {
		for _, s := range fsm.StatesOf(m) {
			if waits := fsm.WaitOf(m, s) != fsm.TimerNone; waits != tested[m].Has(s) {
				t.Errorf("%v in %v: waits %v, tested %v", m, s, waits, tested[m].Has(s))
			}
		}
	}
}

// TestEveryLoss: every call is reported once when the connection ends, in any
// state and in any way, and its Call ID is given back.
func TestEveryLoss(t *testing.T) {
	ways := map[string]struct {
		do    func(b *bench)
		cause Cause
	}{
		"transport":  {func(b *bench) { b.c.TransportClosed(b.now, nil) }, CauseConnectionLost},
		"stop":       {func(b *bench) { b.c.Stop(b.now, pptp.StopShutdown) }, CauseConnectionStopped},
		"stopped":    {func(b *bench) { b.c.Receive(b.now, stopRequest(pptp.StopNone).Append(nil)) }, CauseConnectionStopped},
		"abandoned":  {func(b *bench) { b.c.Abandon(b.now, nil) }, CauseConnectionLost},
		"no framing": {func(b *bench) { b.c.Receive(b.now, []byte("GET / HTTP/1.0\r\n")) }, CauseConnectionLost},
	}
	for name, way := range ways {
		forEachState(t, func(t *testing.T, b *bench, m fsm.Machine, s fsm.State, own uint16) {
			call := b.call(own, s)
			way.do(b)
			b.drain()
			want := CallEnded{call, Ending{Cause: way.cause, State: s}}
			if s == fsm.StateWaitHangUp || s == fsm.StateWaitDisconnect {
				want.Why.Cause = CauseClearedByPNS
			}
			ended := 0
			for _, a := range b.news {
				if got, ok := a.(CallEnded); ok {
					ended++
					if got != want {
						t.Errorf("%s: %+v, want %+v", name, got, want)
					}
				}
			}
			if ended != 1 || len(b.ids.inUse) != 0 || len(b.c.Calls()) != 0 {
				t.Errorf("%s: reported %d times, %d Call IDs in use", name, ended, len(b.ids.inUse))
			}
		})
	}
}
