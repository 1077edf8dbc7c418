package control

import (
	"errors"
	"math/bits"
	"testing"
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// unknown is how a message about a call that does not exist is counted.
func unknown(m pptp.Message) Misbehaved {
	switch m.(type) {
	case *pptp.OutgoingCallReply, *pptp.IncomingCallReply:
		return Misbehaved{What: FaultReplyToNothing}
	}
	return Misbehaved{What: FaultUnknownCall}
}

// disowned is the answer to a message about a call that does not exist: none,
// unless the peer thinks that it has just come about.
func disowned(m pptp.Message) []pptp.Message {
	switch m := m.(type) {
	case *pptp.OutgoingCallReply:
		if m.ResultCode == pptp.OutgoingConnected {
			return []pptp.Message{&pptp.CallClearRequest{PNSCallID: m.PNSCallID}}
		}
	case *pptp.IncomingCallReply:
		if m.ResultCode == pptp.IncomingAccept {
			return []pptp.Message{&pptp.CallDisconnectNotify{PACCallID: m.PACCallID, ResultCode: pptp.DisconnectAdminShutdown}}
		}
	}
	return nil
}

// TestUnknownCalls: a message about a call that does not exist is ignored, and a
// good reply disowned.
func TestUnknownCalls(t *testing.T) {
	b := establishedBench(t, Config{})
	for _, m := range callMessages(7) {
		b.receive(m)
		b.wantSent(disowned(m)...)
		b.wantNews(unknown(m))
	}
	if b.c.Status() != fsm.StateEstablished || b.c.Counters().Misbehaved != uint64(len(callMessages(7))) {
		t.Error(b.c.Status(), b.c.Counters())
	}
}

// TestLateMessages: what crosses the end of a call on its way is ignored, also
// with other calls around.
func TestLateMessages(t *testing.T) {
	forEachState(t, func(t *testing.T, b *bench, m fsm.Machine, s fsm.State, own uint16) {
		if m.Role() == fsm.RolePAC {
			b.try(b.c.DisconnectCall(b.now, own, Disconnect{}))
		} else {
			b.do(func(c *Connection) {
				c.Receive(b.now, (&pptp.CallDisconnectNotify{PACCallID: theirID}).Append(nil))
			})
		}
		if _, ok := b.c.Call(own); ok {
			t.Fatal("the call goes on")
		}
		other := b.ids.next
		b.receive(&pptp.OutgoingCallRequest{PNSCallID: 77})
		b.news, b.sent = nil, nil
		for _, msg := range callMessages(own) {
			b.receive(msg)
			b.wantSent(disowned(msg)...)
			b.wantNews(unknown(msg))
		}
		b.call(other, fsm.StateWaitCSAns)
	})
}

// TestWrongRole: a message that only the role we play may send finds no call.
// Set-Link-Info from the PAC is the one that routers stumble over.
func TestWrongRole(t *testing.T) {
	b := establishedBench(t, Config{})
	asPNS := b.reach(fsm.PNSOutgoing, fsm.StateEstablished)
	for _, m := range []pptp.Message{
		&pptp.SetLinkInfo{PACCallID: asPNS}, &pptp.IncomingCallReply{PACCallID: asPNS, ResultCode: pptp.IncomingAccept},
	} {
		b.receive(m)
		b.wantNews(Misbehaved{What: FaultWrongRole, Own: asPNS})
	}
	b.receive(&pptp.CallClearRequest{PNSCallID: asPNS})
	b.wantNews(Misbehaved{What: FaultUnknownCall})
	b.call(asPNS, fsm.StateEstablished)

	asPAC := b.reach(fsm.PACOutgoing, fsm.StateEstablished)
	for _, m := range []pptp.Message{
		&pptp.WANErrorNotify{PNSCallID: asPAC}, &pptp.OutgoingCallReply{PNSCallID: asPAC, ResultCode: pptp.OutgoingConnected},
		&pptp.IncomingCallConnected{PNSCallID: asPAC},
	} {
		b.receive(m)
		b.wantNews(Misbehaved{What: FaultWrongRole, Own: asPAC})
	}
	b.wantSent()
	b.call(asPAC, fsm.StateEstablished)
}

// TestMisnamedCalls: accel-ppp names the PNS's Call ID in a
// Call-Disconnect-Notify, and did so with swapped octets.
func TestMisnamedCalls(t *testing.T) {
	ended := func(b *bench, own uint16) bool {
		_, ok := b.c.Call(own)
		return !ok
	}
	for name, id := range map[string]func(own uint16) uint16{
		"the receiver's":          func(own uint16) uint16 { return own },
		"the receiver's, swapped": bits.ReverseBytes16,
		"the sender's, swapped":   func(uint16) uint16 { return bits.ReverseBytes16(theirID) },
	} {
		b := establishedBench(t, Config{})
		own := b.reach(fsm.PNSOutgoing, fsm.StateEstablished)
		b.receive(&pptp.CallDisconnectNotify{PACCallID: id(own)})
		if !ended(b, own) {
			t.Errorf("CDN with %s Call ID: the call goes on", name)
		}
		if n := b.c.Counters().Misbehaved; n != 1 {
			t.Errorf("CDN with %s Call ID: %d faults", name, n)
		}
		own = b.reach(fsm.PACOutgoing, fsm.StateEstablished)
		b.receive(&pptp.CallClearRequest{PNSCallID: id(own)})
		b.call(own, fsm.StateWaitHangUp)
	}

	b := establishedBench(t, Config{})
	own := b.reach(fsm.PNSOutgoing, fsm.StateEstablished)
	b.receive(&pptp.CallDisconnectNotify{PACCallID: own + 1})
	b.wantNews(Misbehaved{What: FaultUnknownCall})
	if ended(b, own) {
		t.Error("a CDN about nothing ends a call")
	}

	// With two calls the octets may not be guessed at, the role still may.
	second := b.ids.next
	b.receive(&pptp.IncomingCallRequest{PACCallID: 5})
	b.receive(&pptp.CallDisconnectNotify{PACCallID: bits.ReverseBytes16(theirID)})
	if ended(b, own) || ended(b, second) {
		t.Error("a guess among two calls")
	}
	b.receive(&pptp.CallDisconnectNotify{PACCallID: second})
	if !ended(b, second) || ended(b, own) {
		t.Error("the receiver's Call ID is not understood among two calls")
	}

	// Before the reply the PAC's Call ID is not known; the only call is meant.
	b = establishedBench(t, Config{})
	own = b.reach(fsm.PNSOutgoing, fsm.StateWaitReply)
	b.receive(&pptp.CallDisconnectNotify{PACCallID: 999})
	if !ended(b, own) || b.c.Counters().Misbehaved != 0 {
		t.Error("a CDN instead of a reply is not understood")
	}
}

// TestClearedBeforeTheReply: a call that is cleared before the PAC has replied
// ends by a Call-Disconnect-Notify with a Call ID that nobody has heard of, also on
// a connection that has had other calls. With two such calls nobody knows which one
// is meant, and one that is not being cleared is never meant.
func TestClearedBeforeTheReply(t *testing.T) {
	b := establishedBench(t, Config{})
	b.reach(fsm.PNSOutgoing, fsm.StateEstablished)
	b.receive(&pptp.CallDisconnectNotify{PACCallID: theirID}) // named rightly
	b.reach(fsm.PNSOutgoing, fsm.StateEstablished)
	own := b.reach(fsm.PNSOutgoing, fsm.StateWaitReply)
	b.receive(&pptp.CallDisconnectNotify{PACCallID: 998})
	b.call(own, fsm.StateWaitReply)
	b.try(b.c.ClearCall(b.now, own))
	b.call(own, fsm.StateWaitDisconnect)
	faults := b.c.Counters().Misbehaved
	b.receive(&pptp.CallDisconnectNotify{PACCallID: 999})
	if _, ok := b.c.Call(own); ok || b.c.Counters().Misbehaved != faults {
		t.Error("the call that was cleared goes on")
	}
	var both [2]uint16
	for i := range both {
		both[i] = b.reach(fsm.PNSOutgoing, fsm.StateWaitReply)
		b.try(b.c.ClearCall(b.now, both[i]))
	}
	b.receive(&pptp.CallDisconnectNotify{PACCallID: 999})
	for _, own := range both {
		b.call(own, fsm.StateWaitDisconnect)
	}
}

// TestNoGuessAboutGoodPeers: who has named a call rightly means what it says.
func TestNoGuessAboutGoodPeers(t *testing.T) {
	b := establishedBench(t, Config{})
	b.reach(fsm.PNSOutgoing, fsm.StateEstablished)
	b.receive(&pptp.CallDisconnectNotify{PACCallID: theirID})
	own := b.reach(fsm.PNSOutgoing, fsm.StateEstablished)
	b.receive(&pptp.CallDisconnectNotify{PACCallID: own})
	b.wantNews(Misbehaved{What: FaultUnknownCall})
	b.call(own, fsm.StateEstablished)
}

func TestDuplicateCallID(t *testing.T) {
	b := establishedBench(t, Config{})
	pac := b.reach(fsm.PACOutgoing, fsm.StateEstablished)
	b.receive(&pptp.OutgoingCallRequest{PNSCallID: theirID})
	b.wantSent(&pptp.OutgoingCallReply{PNSCallID: theirID, ResultCode: pptp.OutgoingGeneralError, ErrorCode: pptp.ErrorBadCallID})
	b.wantNews(Misbehaved{What: FaultDuplicateCallID, Own: pac})
	b.call(pac, fsm.StateEstablished)

	pns := b.reach(fsm.PNSIncoming, fsm.StateEstablished)
	b.receive(&pptp.IncomingCallRequest{PACCallID: theirID})
	b.wantSent(&pptp.IncomingCallReply{PACCallID: theirID, ResultCode: pptp.IncomingGeneralError, ErrorCode: pptp.ErrorBadCallID})
	b.wantNews(Misbehaved{What: FaultDuplicateCallID, Own: pns})

	// A reply with a Call ID in use is believed: it is the peer's to assign.
	out := b.reach(fsm.PNSOutgoing, fsm.StateWaitReply)
	b.receive(&pptp.OutgoingCallReply{PACCallID: theirID, PNSCallID: out, ResultCode: pptp.OutgoingConnected})
	if len(b.news) != 2 {
		t.Fatal(listing(b.news))
	}
	if f, ok := b.news[0].(Misbehaved); !ok || f.What != FaultDuplicateCallID || f.Own != out {
		t.Error(listing(b.news))
	}
	b.call(out, fsm.StateEstablished)
}

func TestLimits(t *testing.T) {
	refused := func(id uint16) pptp.Message {
		return &pptp.OutgoingCallReply{PNSCallID: id, ResultCode: pptp.OutgoingGeneralError, ErrorCode: pptp.ErrorNoResource}
	}
	t.Run("calls", func(t *testing.T) {
		b := establishedBench(t, Config{Limits: Limits{Calls: 3}})
		for id := range uint16(3) {
			b.receive(&pptp.OutgoingCallRequest{PNSCallID: id})
			b.try(b.c.AnswerOutgoing(b.now, 100+id, OutgoingAnswer{}))
		}
		b.news, b.sent = nil, nil
		b.receive(&pptp.OutgoingCallRequest{PNSCallID: 9})
		b.wantSent(refused(9))
		b.wantNews(Misbehaved{What: FaultTooManyCalls})
		b.receive(&pptp.IncomingCallRequest{PACCallID: 9})
		b.wantSent(&pptp.IncomingCallReply{PACCallID: 9, ResultCode: pptp.IncomingGeneralError, ErrorCode: pptp.ErrorNoResource})
		if _, err := b.c.OfferIncoming(b.now, IncomingOffer{}); !errors.Is(err, ErrTooManyCalls) {
			t.Error(err)
		}
		if _, err := b.c.RequestOutgoing(b.now, OutgoingRequest{}); !errors.Is(err, ErrTooManyCalls) {
			t.Error(err)
		}
		b.try(b.c.EndCall(b.now, 101, Disconnect{}))
		if _, err := b.c.RequestOutgoing(b.now, OutgoingRequest{}); err != nil {
			t.Error(err)
		}
		if n := b.c.Counters(); n.CallsReceived != 5 || n.CallsPlaced != 1 {
			t.Errorf("%+v", n)
		}
	})
	t.Run("half-open", func(t *testing.T) {
		b := establishedBench(t, Config{Limits: Limits{HalfOpen: 2}})
		b.receive(&pptp.OutgoingCallRequest{PNSCallID: 0}, &pptp.OutgoingCallRequest{PNSCallID: 1}, &pptp.OutgoingCallRequest{PNSCallID: 2})
		b.wantSent(refused(2))
		b.try(b.c.AnswerOutgoing(b.now, 100, OutgoingAnswer{}))
		b.sent = nil
		b.receive(&pptp.OutgoingCallRequest{PNSCallID: 2})
		b.wantSent()
		b.advance(85 * time.Second) // the dialling is given up
		b.sent = nil
		b.receive(&pptp.OutgoingCallRequest{PNSCallID: 3})
		b.wantSent()
	})
	t.Run("no Call ID", func(t *testing.T) {
		b := establishedBench(t, Config{})
		b.ids.limit = 1
		b.receive(&pptp.OutgoingCallRequest{PNSCallID: 0}, &pptp.OutgoingCallRequest{PNSCallID: 1})
		b.wantSent(refused(1))
		if _, err := b.c.OfferIncoming(b.now, IncomingOffer{}); !errors.Is(err, ErrNoCallID) {
			t.Error(err)
		}
	})
}

// TestManyCalls: a trunk with a thousand calls that end in any order.
func TestManyCalls(t *testing.T) {
	b := establishedBench(t, Config{Limits: Limits{Calls: 2000, HalfOpen: 2000, Burst: 100000}})
	b.ids.next = 65000 // they run over the end of the range
	const n = 1000
	for id := range uint16(n) {
		b.c.Receive(b.now, (&pptp.OutgoingCallRequest{PNSCallID: id}).Append(nil))
	}
	b.drain()
	calls := b.c.Calls()
	if len(calls) != n {
		t.Fatalf("%d calls", len(calls))
	}
	for i, call := range calls {
		if i > 0 && call.Own() <= calls[i-1].Own() {
			t.Fatal("not in order")
		}
	}
	for i := range calls {
		call := calls[i*7%n]
		theirs, _ := call.Theirs()
		if i%2 == 0 {
			if err := b.c.AnswerOutgoing(b.now, call.Own(), OutgoingAnswer{}); err != nil {
				t.Fatal(err)
			}
			b.c.Receive(b.now, (&pptp.CallClearRequest{PNSCallID: theirs}).Append(nil))
		}
		if err := b.c.EndCall(b.now, call.Own(), Disconnect{}); err != nil {
			t.Fatal(err)
		}
	}
	b.drain()
	if len(b.c.Calls()) != 0 || len(b.ids.inUse) != 0 || b.ids.back != n {
		t.Errorf("%d calls, %d Call IDs in use, %d given back", len(b.c.Calls()), len(b.ids.inUse), b.ids.back)
	}
}

// TestSetLimits: an owner may know the peer only after the Start request.
func TestSetLimits(t *testing.T) {
	b := establishedBench(t, Config{Limits: Limits{Calls: 1, MessagesPerSecond: 1, Burst: 2}})
	b.c.SetLimits(b.now, Limits{Calls: 3, Burst: 10})
	for id := range uint16(10) {
		b.receive(&pptp.OutgoingCallRequest{PNSCallID: id})
	}
	if n := len(b.c.Calls()); n != 3 || b.c.Status() != fsm.StateEstablished {
		t.Errorf("%d calls, %v", n, b.c.Status())
	}
	b.receive(&pptp.EchoRequest{})
	b.wantClosed(false, ErrFlood)
}
