package control

import (
	"errors"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// theirID is the Call ID that the other end assigns in these tests.
const theirID = 0xbeef

func TestIncomingAsPAC(t *testing.T) {
	b := establishedBench(t, Config{})
	own, err := b.c.OfferIncoming(b.now, IncomingOffer{
		CallSerialNumber: 12, Bearer: pptp.BearerAnalog, PhysicalChannelID: 3,
		DialedNumber: "100", DialingNumber: "555", Subaddress: "7",
	})
	b.try(err)
	request := &pptp.IncomingCallRequest{
		PACCallID: own, CallSerialNumber: 12, CallBearerType: pptp.BearerAnalog, PhysicalChannelID: 3,
		DialedNumberLength: 3, DialingNumberLength: 3, DialedNumber: pptp.MakeText64("100"), DialingNumber: pptp.MakeText64("555"),
		Subaddress: pptp.MakeText64("7"),
	}
	b.wantSent(request)
	call := b.call(own, fsm.StateWaitReply)
	if _, known := call.Theirs(); known || call.Own() != own {
		t.Errorf("%+v", call)
	}
	b.receive(&pptp.IncomingCallReply{
		PNSCallID: theirID, PACCallID: own, ResultCode: pptp.IncomingAccept, PacketRecvWindowSize: 32, PacketTransmitDelay: 4,
	})
	want := Call{
		Role: fsm.RolePAC, Direction: fsm.Incoming, State: fsm.StateWaitCSAns,
		PACCallID: own, PNSCallID: theirID, Identified: true, CallSerialNumber: 12, Bearer: pptp.BearerAnalog,
		PNSWindow: 32, PNSProcessingDelay: 4, PhysicalChannelID: 3, DialedNumber: "100", DialingNumber: "555", Subaddress: "7",
	}
	b.wantNews(IncomingAccepted{want})
	if id, known := want.Theirs(); !known || id != theirID {
		t.Error(id, known)
	}
	b.try(b.c.ConfirmIncoming(b.now, own, LineConnected{ConnectSpeed: 33600, Framing: pptp.FramingAsynchronous, Window: 16, ProcessingDelay: 1}))
	b.wantSent(&pptp.IncomingCallConnected{
		PNSCallID: theirID, ConnectSpeed: 33600, PacketRecvWindowSize: 16, PacketTransmitDelay: 1, FramingType: pptp.FramingAsynchronous,
	})
	b.wantNews()
	want.State, want.ConnectSpeed, want.Framing, want.PACWindow, want.PACProcessingDelay = fsm.StateEstablished, 33600, pptp.FramingAsynchronous, 16, 1
	if got := b.call(own, fsm.StateEstablished); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	b.receive(&pptp.SetLinkInfo{PACCallID: own, SendACCM: 0xa0000, ReceiveACCM: 1})
	b.wantNews(LinkInfoSet{want, 0xa0000, 1})
	b.try(b.c.DisconnectCall(b.now, own, Disconnect{Result: pptp.DisconnectLostCarrier, Cause: 16, Statistics: "rx 1 tx 2"}))
	b.wantSent(&pptp.CallDisconnectNotify{
		PACCallID: own, ResultCode: pptp.DisconnectLostCarrier, CauseCode: 16, CallStatistics: pptp.MakeText128("rx 1 tx 2"),
	})
	b.wantNews(CallEnded{want, Ending{
		Cause: CauseDisconnectedByPAC, State: fsm.StateEstablished, Disconnect: pptp.DisconnectLostCarrier, CauseCode: 16, Statistics: "rx 1 tx 2",
	}})
	if err := b.c.DisconnectCall(b.now, own, Disconnect{}); !errors.Is(err, ErrUnknownCall) {
		t.Error(err)
	}
	if b.ids.back != 1 {
		t.Error("the Call ID was not given back")
	}
}

func TestIncomingAsPNS(t *testing.T) {
	b := establishedBench(t, Config{})
	m := &pptp.IncomingCallRequest{
		PACCallID: theirID, CallSerialNumber: 12, CallBearerType: pptp.BearerDigital, PhysicalChannelID: 3, Subaddress: pptp.MakeText64("7"),
	}
	m.SetNumbers("100", "555")
	b.receive(m)
	own := uint16(100)
	want := Call{
		Role: fsm.RolePNS, Direction: fsm.Incoming, State: fsm.StateWaitDecision,
		PACCallID: theirID, PNSCallID: own, Identified: true, CallSerialNumber: 12, Bearer: pptp.BearerDigital,
		PhysicalChannelID: 3, DialedNumber: "100", DialingNumber: "555", Subaddress: "7",
	}
	b.wantNews(IncomingOffered{want})
	b.try(b.c.AnswerIncoming(b.now, own, IncomingAnswer{Window: 32, ProcessingDelay: 4}))
	b.wantSent(&pptp.IncomingCallReply{
		PNSCallID: own, PACCallID: theirID, ResultCode: pptp.IncomingAccept, PacketRecvWindowSize: 32, PacketTransmitDelay: 4,
	})
	b.receive(&pptp.IncomingCallConnected{
		PNSCallID: own, ConnectSpeed: 64000, PacketRecvWindowSize: 16, PacketTransmitDelay: 1, FramingType: pptp.FramingSynchronous,
	})
	want.State, want.ConnectSpeed, want.Framing = fsm.StateEstablished, 64000, pptp.FramingSynchronous
	want.PACWindow, want.PACProcessingDelay, want.PNSWindow, want.PNSProcessingDelay = 16, 1, 32, 4
	b.wantNews(IncomingConnected{want})
	b.try(b.c.SetLinkInfo(b.now, own, 0, 0xffffffff))
	b.wantSent(&pptp.SetLinkInfo{PACCallID: theirID, SendACCM: 0, ReceiveACCM: 0xffffffff})
	errors := pptp.WANErrors{CRCErrors: 3, AlignmentErrors: 1}
	b.receive(&pptp.WANErrorNotify{PNSCallID: own, WANErrors: errors})
	b.wantNews(WANErrorsReported{want, errors})
	b.try(b.c.ClearCall(b.now, own))
	b.try(b.c.ClearCall(b.now, own))
	b.wantSent(&pptp.CallClearRequest{PNSCallID: own})
	b.wantNews()
	b.receive(&pptp.CallDisconnectNotify{PACCallID: theirID, ResultCode: pptp.DisconnectRequest, CallStatistics: pptp.MakeText128("x")})
	want.State = fsm.StateWaitDisconnect
	b.wantNews(CallEnded{want, Ending{
		Cause: CauseClearedByPNS, State: fsm.StateWaitDisconnect, Disconnect: pptp.DisconnectRequest, Statistics: "x",
	}})
}

func TestOutgoingAsPAC(t *testing.T) {
	b := establishedBench(t, Config{})
	m := &pptp.OutgoingCallRequest{
		PNSCallID: 0, CallSerialNumber: 9, MinimumBPS: 300, MaximumBPS: 100000000, BearerType: pptp.BearerAny, FramingType: pptp.FramingEither,
		PacketRecvWindowSize: 64, PacketProcessingDelay: 2,
	}
	m.SetNumber("555")
	b.receive(m)
	own := uint16(100)
	want := Call{
		Role: fsm.RolePAC, Direction: fsm.Outgoing, State: fsm.StateWaitCSAns,
		PACCallID: own, PNSCallID: 0, Identified: true, CallSerialNumber: 9, Bearer: pptp.BearerAny, Framing: pptp.FramingEither,
		MinimumBPS: 300, MaximumBPS: 100000000, PNSWindow: 64, PNSProcessingDelay: 2, DialedNumber: "555",
	}
	b.wantNews(OutgoingRequested{want})
	b.try(b.c.AnswerOutgoing(b.now, own, OutgoingAnswer{ConnectSpeed: 28800, Window: 8, ProcessingDelay: 1, PhysicalChannelID: 5}))
	b.wantSent(&pptp.OutgoingCallReply{
		PACCallID: own, PNSCallID: 0, ResultCode: pptp.OutgoingConnected, ConnectSpeed: 28800,
		PacketRecvWindowSize: 8, PacketProcessingDelay: 1, PhysicalChannelID: 5,
	})
	want.State, want.ConnectSpeed, want.PACWindow, want.PACProcessingDelay, want.PhysicalChannelID = fsm.StateEstablished, 28800, 8, 1, 5
	if got := b.call(own, fsm.StateEstablished); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	// The PNS's Call ID 0 is a Call ID like any other.
	b.receive(&pptp.CallClearRequest{PNSCallID: 0})
	want.State = fsm.StateWaitHangUp
	b.wantNews(ClearRequested{want})
	b.wantSent()
	b.try(b.c.DisconnectCall(b.now, own, Disconnect{Result: pptp.DisconnectLostCarrier, Statistics: "s"}))
	b.wantSent(&pptp.CallDisconnectNotify{PACCallID: own, ResultCode: pptp.DisconnectRequest, CallStatistics: pptp.MakeText128("s")})
	b.wantNews(CallEnded{want, Ending{
		Cause: CauseClearedByPNS, State: fsm.StateWaitHangUp, Disconnect: pptp.DisconnectRequest, Statistics: "s",
	}})
}

func TestOutgoingAsPNS(t *testing.T) {
	b := establishedBench(t, Config{})
	own, err := b.c.RequestOutgoing(b.now, OutgoingRequest{
		CallSerialNumber: 9, MinimumBPS: 300, MaximumBPS: 64000, Bearer: pptp.BearerAny, Framing: pptp.FramingEither,
		Window: 64, ProcessingDelay: 2, PhoneNumber: "555", Subaddress: "8",
	})
	b.try(err)
	m := &pptp.OutgoingCallRequest{
		PNSCallID: own, CallSerialNumber: 9, MinimumBPS: 300, MaximumBPS: 64000, BearerType: pptp.BearerAny, FramingType: pptp.FramingEither,
		PacketRecvWindowSize: 64, PacketProcessingDelay: 2, Subaddress: pptp.MakeText64("8"),
	}
	m.SetNumber("555")
	b.wantSent(m)
	// A window of 0 means nothing: Windows servers send it.
	b.receive(&pptp.OutgoingCallReply{PACCallID: 0, PNSCallID: own, ResultCode: pptp.OutgoingConnected, ConnectSpeed: 1, PhysicalChannelID: 6})
	want := Call{
		Role: fsm.RolePNS, Direction: fsm.Outgoing, State: fsm.StateEstablished,
		PACCallID: 0, PNSCallID: own, Identified: true, CallSerialNumber: 9, Bearer: pptp.BearerAny, Framing: pptp.FramingEither,
		MinimumBPS: 300, MaximumBPS: 64000, ConnectSpeed: 1, PNSWindow: 64, PNSProcessingDelay: 2, PhysicalChannelID: 6,
		DialedNumber: "555", Subaddress: "8",
	}
	b.wantNews(OutgoingConnected{want})
	b.receive(&pptp.CallDisconnectNotify{PACCallID: 0}) // Windows sends result 0
	b.wantNews(CallEnded{want, Ending{Cause: CauseDisconnectedByPAC, State: fsm.StateEstablished}})
}

// TestRefusals: results other than success, whatever they are, in both
// directions, and no Error Code unless the result is the general error.
func TestRefusals(t *testing.T) {
	ended := func(b *bench) Ending {
		t.Helper()
		if len(b.news) == 0 {
			t.Fatal("no news")
		}
		e, ok := b.news[len(b.news)-1].(CallEnded)
		if !ok {
			t.Fatalf("no end of the call:\n%s", listing(b.news))
		}
		return e.Why
	}
	for _, result := range []pptp.OutgoingResult{2, 3, 4, 5, 6, 7, 8, 255} {
		want := Ending{Cause: CauseRefusedByPAC, Outgoing: result, CauseCode: 17}
		if result == pptp.OutgoingGeneralError {
			want.Error = pptp.ErrorPACError
		}
		b := establishedBench(t, Config{})
		own := b.reach(fsm.PACOutgoing, fsm.StateWaitCSAns)
		b.try(b.c.AnswerOutgoing(b.now, own, OutgoingAnswer{Result: result, Error: pptp.ErrorPACError, Cause: 17}))
		b.wantSent(&pptp.OutgoingCallReply{PACCallID: own, PNSCallID: theirID, ResultCode: result, ErrorCode: want.Error, CauseCode: 17})
		want.State = fsm.StateWaitCSAns
		if got := ended(b); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		own = b.reach(fsm.PNSOutgoing, fsm.StateWaitReply)
		// Some PACs have no Call ID to give when they refuse.
		b.receive(&pptp.OutgoingCallReply{PNSCallID: own, ResultCode: result, ErrorCode: want.Error, CauseCode: 17})
		want.State = fsm.StateWaitReply
		if got := ended(b); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	for _, result := range []pptp.IncomingResult{2, 3, 4, 255} {
		want := Ending{Cause: CauseRefusedByPNS, Incoming: result, State: fsm.StateWaitDecision}
		if result == pptp.IncomingGeneralError {
			want.Error = pptp.ErrorNoResource
		}
		b := establishedBench(t, Config{})
		own := b.reach(fsm.PNSIncoming, fsm.StateWaitDecision)
		b.try(b.c.AnswerIncoming(b.now, own, IncomingAnswer{Result: result, Error: pptp.ErrorNoResource}))
		b.wantSent(&pptp.IncomingCallReply{PNSCallID: own, PACCallID: theirID, ResultCode: result, ErrorCode: want.Error})
		if got := ended(b); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		own = b.reach(fsm.PACIncoming, fsm.StateWaitReply)
		b.receive(&pptp.IncomingCallReply{PACCallID: own, ResultCode: result, ErrorCode: want.Error})
		want.State = fsm.StateWaitReply
		if got := ended(b); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// TestDisconnectWhileDialling: DisconnectCall before the line is up answers the
// request with the nearest result.
func TestDisconnectWhileDialling(t *testing.T) {
	tests := []struct {
		d    Disconnect
		want pptp.OutgoingCallReply
	}{
		{Disconnect{}, pptp.OutgoingCallReply{ResultCode: pptp.OutgoingNoCarrier}},
		{Disconnect{Result: pptp.DisconnectLostCarrier, Cause: 31}, pptp.OutgoingCallReply{ResultCode: pptp.OutgoingNoCarrier, CauseCode: 31}},
		{Disconnect{Result: pptp.DisconnectGeneralError, Error: pptp.ErrorPACError}, pptp.OutgoingCallReply{ResultCode: pptp.OutgoingGeneralError, ErrorCode: pptp.ErrorPACError}},
		{Disconnect{Result: pptp.DisconnectAdminShutdown, Error: pptp.ErrorPACError}, pptp.OutgoingCallReply{ResultCode: pptp.OutgoingDoNotAccept}},
	}
	for _, tt := range tests {
		b := establishedBench(t, Config{})
		own := b.reach(fsm.PACOutgoing, fsm.StateWaitCSAns)
		b.try(b.c.EndCall(b.now, own, tt.d))
		tt.want.PACCallID, tt.want.PNSCallID = own, theirID
		b.wantSent(&tt.want)
	}
}

// TestBothRoles: on one connection we are PAC in one call and PNS in another,
// and the two do not disturb each other though the peer uses one Call ID for
// both.
func TestBothRoles(t *testing.T) {
	b := establishedBench(t, Config{})
	asPAC := b.reach(fsm.PACOutgoing, fsm.StateEstablished)
	asPNS := b.reach(fsm.PNSIncoming, fsm.StateEstablished)
	b.receive(&pptp.CallDisconnectNotify{PACCallID: theirID, ResultCode: pptp.DisconnectLostCarrier})
	b.call(asPAC, fsm.StateEstablished)
	if _, ok := b.c.Call(asPNS); ok {
		t.Error("the wrong call has ended")
	}
	b.receive(&pptp.CallClearRequest{PNSCallID: theirID})
	b.call(asPAC, fsm.StateWaitHangUp)
}

// TestEndsInLine: an Ending reads well.
func TestEndsInLine(t *testing.T) {
	tests := []struct {
		e    Ending
		want string
	}{
		{Ending{Cause: CauseRefusedByPAC, Outgoing: pptp.OutgoingBusy, CauseCode: 17}, "refused by the PAC: busy, cause 17"},
		{Ending{Cause: CauseRefusedByPNS, Incoming: pptp.IncomingGeneralError, Error: pptp.ErrorNoResource}, "refused by the PNS: general error (no resource)"},
		{Ending{Cause: CauseDisconnectedByPAC, Disconnect: pptp.DisconnectLostCarrier}, "disconnected by the PAC: lost carrier"},
		{Ending{Cause: CauseTimedOut, State: fsm.StateWaitReply}, "timed out in wait_reply"},
		{Ending{Cause: CauseConnectionLost, State: fsm.StateEstablished}, "control connection lost"},
		{Ending{Cause: 99}, "cause 99"},
	}
	for _, tt := range tests {
		if got := tt.e.String(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	for f := range faults + 2 {
		if s := f.String(); s == "" || strings.HasPrefix(s, "fault") != (f == 0 || f >= faults) {
			t.Errorf("fault %d: %q", uint8(f), s)
		}
	}
	for e := range End(20) {
		if s := e.String(); s == "" || strings.HasPrefix(s, "end ") != (e == 0 || e > EndAbandoned) {
			t.Errorf("end %d: %q", uint8(e), s)
		}
	}
}

func TestWANErrors(t *testing.T) {
	b := establishedBench(t, Config{})
	own := b.reach(fsm.PACIncoming, fsm.StateEstablished)
	notify := func(n uint32) {
		t.Helper()
		b.try(b.c.NotifyWANErrors(b.now, own, pptp.WANErrors{CRCErrors: n}))
	}
	want := func(n uint32) *pptp.WANErrorNotify {
		return &pptp.WANErrorNotify{PNSCallID: theirID, WANErrors: pptp.WANErrors{CRCErrors: n}}
	}
	notify(0)
	b.wantSent() // no error, nothing to tell
	notify(1)
	b.wantSent(want(1))
	for i := range uint32(30) {
		b.advance(time.Second)
		notify(2 + i)
	}
	b.wantSent()
	b.advance(30*time.Second - 1)
	b.wantSent()
	b.advance(1)
	echo := &pptp.EchoRequest{Identifier: 1}
	b.wantSent(echo, want(31)) // the latest, and the idle time is over too
	b.receive(echoReply(1))
	b.advance(59 * time.Second)
	notify(31)
	b.wantSent()
	notify(32)
	b.try(b.c.DisconnectCall(b.now, own, Disconnect{}))
	b.sent = nil
	b.advance(time.Second)
	b.wantSent(&pptp.EchoRequest{Identifier: 2}) // and nothing about a call that has ended
}

func TestCommandsNeedAConnection(t *testing.T) {
	for _, b := range []*bench{newBench(t, Config{}), newBench(t, Config{Originator: true})} {
		if _, err := b.c.OfferIncoming(b.now, IncomingOffer{}); !errors.Is(err, ErrNotEstablished) {
			t.Error(err)
		}
		if _, err := b.c.RequestOutgoing(b.now, OutgoingRequest{}); !errors.Is(err, ErrNotEstablished) {
			t.Error(err)
		}
		if b.ids.given != 0 {
			t.Error("a Call ID is gone")
		}
	}
}
