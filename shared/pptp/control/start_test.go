package control

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

func refusal(result pptp.ControlResult, code pptp.ErrorCode) *pptp.StartControlConnectionReply {
	m := *ourReply
	m.ResultCode, m.ErrorCode = result, code
	return &m
}

func TestReceiverEstablishes(t *testing.T) {
	b := newBench(t, Config{})
	b.receive(theirRequest)
	b.wantSent(ourReply)
	b.wantNews(Established{Peer: theirs, Version: pptp.Version10})
	if b.c.Status() != fsm.StateEstablished || b.c.Peer() != theirs {
		t.Error(b.c.Status(), b.c.Peer())
	}
}

func TestOriginatorEstablishes(t *testing.T) {
	b := newBench(t, Config{Originator: true})
	b.wantSent(&pptp.StartControlConnectionRequest{
		ProtocolVersion: pptp.Version10, FramingCapabilities: pptp.FramingEither, BearerCapabilities: pptp.BearerAny,
		MaximumChannels: 30, FirmwareRevision: 7, HostName: pptp.MakeText64("us"), VendorName: pptp.MakeText64("Trunkline"),
	})
	if b.c.Status() != fsm.StateWaitCtlReply {
		t.Error(b.c.Status())
	}
	b.receive(theirReply)
	b.wantSent()
	b.wantNews(Established{Peer: theirs, Version: pptp.Version10})
}

// TestFullNames: host and vendor names may fill their fields.
func TestFullNames(t *testing.T) {
	request := *theirRequest
	for i := range request.HostName {
		request.HostName[i], request.VendorName[i] = 'h', 'v'
	}
	b := newBench(t, Config{})
	b.receive(&request)
	if p := b.c.Peer(); len(p.HostName) != 64 || len(p.VendorName) != 64 {
		t.Errorf("%+v", p)
	}
}

// TestWindowsClient: empty host name, bits that claim little; nothing of it
// may lead to a refusal.
func TestWindowsClient(t *testing.T) {
	for _, caps := range []uint32{0, 1, 2, 3, 0xffffffff} {
		b := newBench(t, Config{})
		b.receive(&pptp.StartControlConnectionRequest{
			ProtocolVersion:     pptp.Version10,
			FramingCapabilities: pptp.FramingType(caps), BearerCapabilities: pptp.BearerType(caps),
			VendorName: pptp.MakeText64("Microsoft Windows NT"),
		})
		b.wantSent(ourReply)
		if b.c.Status() != fsm.StateEstablished {
			t.Errorf("capabilities %x: %v", caps, b.c.Status())
		}
	}
}

func TestReceiverVersions(t *testing.T) {
	for _, v := range []pptp.ProtocolVersion{0, 0x0001, 0x00ff, 0x0200} {
		b := newBench(t, Config{})
		request := *theirRequest
		request.ProtocolVersion = v
		b.receive(&request)
		b.wantSent(refusal(pptp.ControlVersionUnsupported, 0))
		b.wantNews(ConnectionEnded{Why: EndRefusedByUs, Result: pptp.ControlVersionUnsupported, Err: ErrRefused})
		b.wantClosed(true, ErrRefused)
	}
	b := newBench(t, Config{})
	later := *theirRequest
	later.ProtocolVersion = 0x0101
	b.receive(&later)
	b.wantSent(ourReply) // with our version
}

func TestOriginatorReplies(t *testing.T) {
	reply := func(v pptp.ProtocolVersion, r pptp.ControlResult) pptp.Message {
		m := *theirReply
		m.ProtocolVersion, m.ResultCode = v, r
		return &m
	}
	t.Run("result 0 is success", func(t *testing.T) {
		b := newBench(t, Config{Originator: true})
		b.receive(reply(pptp.Version10, 0))
		b.wantNews(Established{Peer: theirs, Version: pptp.Version10})
	})
	for _, result := range []pptp.ControlResult{2, 3, 4, 5, 6, 255} {
		b := newBench(t, Config{Originator: true})
		b.sent = nil
		b.receive(reply(pptp.Version10, result))
		b.wantSent()
		b.wantNews(ConnectionEnded{Why: EndRefusedByPeer, Result: result, Err: ErrRefused})
		b.wantClosed(false, ErrRefused)
	}
	t.Run("version unsupported", func(t *testing.T) {
		b := newBench(t, Config{Originator: true})
		b.sent = nil
		b.receive(reply(0x0001, pptp.ControlOK))
		b.wantSent(&pptp.StopControlConnectionRequest{Reason: pptp.StopProtocol})
		if b.c.Status() != fsm.StateWaitStopReply {
			t.Error(b.c.Status())
		}
		b.receive(&pptp.StopControlConnectionReply{ResultCode: pptp.StopOK})
		b.wantNews(ConnectionEnded{Why: EndStoppedByUs, Reason: pptp.StopProtocol, Err: ErrRefused})
		b.wantClosed(false, ErrRefused)
	})
}

func TestApproval(t *testing.T) {
	asked := StartRequested{Peer: theirs, Version: pptp.Version10}
	call := &pptp.OutgoingCallRequest{PNSCallID: 5}
	t.Run("approved, with a call right behind", func(t *testing.T) {
		b := newBench(t, Config{Approve: true})
		b.receive(theirRequest, call)
		b.wantSent()
		b.wantNews(asked)
		if err := b.c.RefuseStart(b.now, pptp.ControlOK, 0); !errors.Is(err, ErrWrongState) {
			t.Error(err)
		}
		b.try(b.c.ApproveStart(b.now))
		b.wantSent(ourReply)
		if len(b.news) != 2 {
			t.Fatal(listing(b.news))
		}
		if _, ok := b.news[1].(OutgoingRequested); !ok {
			t.Error(listing(b.news))
		}
		if err := b.c.ApproveStart(b.now); !errors.Is(err, ErrWrongState) {
			t.Error(err)
		}
		if err := b.c.RefuseStart(b.now, pptp.ControlNotAuthorized, 0); !errors.Is(err, ErrWrongState) {
			t.Error(err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		b := newBench(t, Config{Approve: true})
		b.receive(theirRequest, call)
		b.wantNews(asked)
		b.try(b.c.RefuseStart(b.now, pptp.ControlNotAuthorized, 0))
		b.wantSent(refusal(pptp.ControlNotAuthorized, 0))
		b.wantNews(ConnectionEnded{Why: EndRefusedByUs, Result: pptp.ControlNotAuthorized, Err: ErrRefused})
		b.wantClosed(true, ErrRefused)
	})
	t.Run("the owner forgets", func(t *testing.T) {
		b := newBench(t, Config{Approve: true})
		b.advance(10 * time.Second)
		b.receive(theirRequest)
		b.advance(50*time.Second - 1)
		b.wantSent()
		b.advance(1)
		b.wantSent(refusal(pptp.ControlGeneralError, pptp.ErrorNoResource))
		b.wantNews(asked, ConnectionEnded{Why: EndNotEstablished, Err: ErrNotDecided})
		b.wantClosed(true, ErrNotDecided)
	})
	t.Run("the peer does not wait", func(t *testing.T) {
		b := newBench(t, Config{Approve: true})
		b.receive(theirRequest)
		for range 12 {
			b.receive(call)
		}
		b.wantNews(asked)
		b.receive(call)
		b.wantNews(Misbehaved{What: FaultMessageRate}, ConnectionEnded{Why: EndFlooded, Err: ErrFlood})
		b.wantClosed(false, ErrFlood)
	})
	t.Run("the peer goes away", func(t *testing.T) {
		b := newBench(t, Config{Approve: true})
		b.receive(theirRequest)
		b.do(func(c *Connection) { c.TransportClosed(b.now, nil) })
		b.wantNews(asked, ConnectionEnded{Why: EndTransport, Err: ErrTransportClosed})
		if err := b.c.ApproveStart(b.now); !errors.Is(err, ErrWrongState) {
			t.Error(err)
		}
	})
}

// TestFirstMessage: a connection that begins with anything but a Start request
// is closed.
func TestFirstMessage(t *testing.T) {
	for _, mt := range pptp.MessageTypes() {
		if mt == pptp.TypeStartControlConnectionRequest {
			continue
		}
		b := newBench(t, Config{})
		b.receive(mt.New(), theirRequest)
		b.wantSent()
		b.wantNews(Misbehaved{What: FaultNotStart}, ConnectionEnded{Why: EndNotEstablished, Err: ErrNotPPTP})
		b.wantClosed(false, ErrNotPPTP)
	}
	b := newBench(t, Config{})
	unknown := (&pptp.EchoRequest{}).Append(nil)
	unknown[9] = 77
	b.do(func(c *Connection) { c.Receive(b.now, unknown) })
	b.wantNews(Misbehaved{What: FaultNotStart}, ConnectionEnded{Why: EndNotEstablished, Err: ErrNotPPTP})
}

func TestNotEstablishedInTime(t *testing.T) {
	for _, cfg := range []Config{{}, {Originator: true}} {
		b := newBench(t, cfg)
		b.sent = nil
		b.advance(60*time.Second - 1)
		b.wantNews()
		b.advance(1)
		b.wantSent()
		b.wantNews(Misbehaved{What: FaultNoStart}, ConnectionEnded{Why: EndNotEstablished, Err: ErrTimeOut})
		b.wantClosed(false, ErrTimeOut)
	}
}

func TestSecondStart(t *testing.T) {
	b := establishedBench(t, Config{})
	b.receive(theirRequest)
	b.wantSent(refusal(pptp.ControlAlreadyExists, 0))
	b.wantNews(Misbehaved{What: FaultSecondStart})
	if b.c.Status() != fsm.StateEstablished || b.c.Counters().Misbehaved != 1 {
		t.Error(b.c.Status(), b.c.Counters())
	}
}

// TestStrayControlMessages: what is out of place while we wait for the Start
// reply, or later, is ignored.
func TestStrayControlMessages(t *testing.T) {
	b := newBench(t, Config{Originator: true})
	b.sent = nil
	for _, m := range []pptp.Message{theirRequest, &pptp.EchoReply{}, &pptp.CallClearRequest{}} {
		b.receive(m)
		b.wantSent()
		b.wantNews(Misbehaved{What: FaultWrongState})
	}
	b.receive(&pptp.StopControlConnectionReply{})
	b.wantNews(Misbehaved{What: FaultReplyToNothing})
	b.receive(&pptp.EchoRequest{Identifier: 3}, theirReply)
	b.wantSent(&pptp.EchoReply{Identifier: 3, ResultCode: pptp.EchoOK})
	b.wantNews(Established{Peer: theirs, Version: pptp.Version10})
	for _, m := range []pptp.Message{theirReply, &pptp.StopControlConnectionReply{}} {
		b.receive(m)
		b.wantNews(Misbehaved{What: FaultReplyToNothing})
	}
	b.wantSent()
}

func TestWins(t *testing.T) {
	tests := []struct {
		ours, theirs string
		won, ok      bool
	}{
		{"192.33.45.89", "192.33.45.17", true, true}, // the example of RFC 2637 section 3.1.3
		{"192.33.45.17", "192.33.45.89", false, true},
		{"10.0.0.255", "9.255.255.255", true, true},
		{"127.255.255.255", "128.0.0.0", false, true}, // unsigned
		{"10.0.0.1", "10.0.0.1", false, false},
		{"::ffff:10.0.0.2", "10.0.0.1", true, true},
		{"10.0.0.1", "2001:db8::1", false, false},
	}
	for _, tt := range tests {
		won, ok := Wins(netip.MustParseAddr(tt.ours), netip.MustParseAddr(tt.theirs))
		if won != tt.won || ok != tt.ok {
			t.Errorf("%s against %s: %v, %v", tt.ours, tt.theirs, won, ok)
		}
	}
	if _, ok := Wins(netip.Addr{}, netip.MustParseAddr("10.0.0.1")); ok {
		t.Error("no address wins")
	}
}

// TestCollision: both ends have opened a connection to each other at once. The
// loser abandons its own and answers the winner's.
func TestCollision(t *testing.T) {
	low, high := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	for _, us := range []netip.Addr{low, high} {
		them := low
		if us == low {
			them = high
		}
		mine := newBench(t, Config{Originator: true})
		other := newBench(t, Config{Approve: true})
		mine.sent = nil
		other.receive(theirRequest)
		won, ok := Wins(us, them)
		if !ok {
			t.Fatal("no verdict")
		}
		if won {
			// Nothing is said on the loser's connection; the loser closes it.
			other.do(func(c *Connection) { c.TransportClosed(other.now, nil) })
			other.wantSent()
			mine.receive(theirReply)
			mine.wantNews(Established{Peer: theirs, Version: pptp.Version10})
			continue
		}
		mine.do(func(c *Connection) { c.Abandon(mine.now, nil) })
		mine.wantSent()
		mine.wantNews(ConnectionEnded{Why: EndAbandoned})
		mine.wantClosed(false, nil)
		other.try(other.c.ApproveStart(other.now))
		other.wantSent(ourReply)
	}
}
