package control

import (
	"errors"
	"io"
	"testing"
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

func stopRequest(r pptp.StopReason) pptp.Message {
	return &pptp.StopControlConnectionRequest{Reason: r}
}

var (
	stopReply = &pptp.StopControlConnectionReply{ResultCode: pptp.StopOK}
	echoReply = func(id uint32) pptp.Message { return &pptp.EchoReply{Identifier: id, ResultCode: pptp.EchoOK} }
)

func TestStop(t *testing.T) {
	b := establishedBench(t, Config{})
	b.do(func(c *Connection) { c.Stop(b.now, pptp.StopShutdown) })
	b.wantSent(stopRequest(pptp.StopShutdown))
	b.do(func(c *Connection) { c.Stop(b.now, pptp.StopNone) }) // once is enough
	b.wantSent()
	// What was on its way before the peer knew.
	b.receive(&pptp.EchoRequest{}, &pptp.OutgoingCallRequest{}, &pptp.EchoReply{}, theirRequest)
	b.wantSent()
	b.wantNews()
	b.receive(stopReply)
	b.wantNews(ConnectionEnded{Why: EndStoppedByUs, Reason: pptp.StopShutdown})
	b.wantClosed(false, nil)
	b.receive(stopReply, &pptp.EchoRequest{})
	b.do(func(c *Connection) { c.Stop(b.now, pptp.StopNone) })
	b.do(func(c *Connection) { c.TransportClosed(b.now, io.EOF) })
	b.do(func(c *Connection) { c.Abandon(b.now, nil) })
	b.do(func(c *Connection) { c.Probe(b.now) })
	b.advance(time.Hour)
	b.wantSent()
	b.wantNews()
}

func TestStopEnds(t *testing.T) {
	ended := ConnectionEnded{Why: EndStoppedByUs, Reason: pptp.StopNone}
	start := func() *bench {
		b := establishedBench(t, Config{})
		b.do(func(c *Connection) { c.Stop(b.now, pptp.StopNone) })
		b.wantSent(stopRequest(pptp.StopNone))
		return b
	}
	t.Run("no reply", func(t *testing.T) {
		b := start()
		b.advance(3 * time.Second)
		b.wantNews(ended)
		b.wantClosed(false, nil)
	})
	t.Run("crossing", func(t *testing.T) {
		b := start()
		b.receive(stopRequest(pptp.StopShutdown))
		b.wantSent(stopReply)
		b.wantNews(ended)
		b.wantClosed(true, nil)
	})
	t.Run("the peer closes instead", func(t *testing.T) {
		b := start()
		b.do(func(c *Connection) { c.TransportClosed(b.now, io.EOF) })
		b.wantNews(ended)
		b.wantClosed(false, nil)
	})
	t.Run("before it is established", func(t *testing.T) {
		for _, cfg := range []Config{{}, {Originator: true}} {
			b := newBench(t, cfg)
			b.sent = nil
			b.do(func(c *Connection) { c.Stop(b.now, pptp.StopNone) })
			b.wantSent()
			b.wantNews(ended)
			b.wantClosed(false, nil)
		}
	})
	t.Run("while waiting for approval", func(t *testing.T) {
		b := newBench(t, Config{Approve: true})
		b.receive(theirRequest)
		b.news = nil
		b.do(func(c *Connection) { c.Stop(b.now, pptp.StopNone) })
		b.wantSent()
		b.wantNews(ended)
	})
}

func TestStoppedByPeer(t *testing.T) {
	for _, reason := range []pptp.StopReason{0, 1, 2, 3, 200} {
		b := establishedBench(t, Config{})
		b.receive(stopRequest(reason), &pptp.EchoRequest{}) // nothing is read after it
		b.wantSent(stopReply)
		b.wantNews(ConnectionEnded{Why: EndStoppedByPeer, Reason: reason})
		b.wantClosed(true, nil)
	}
	b := newBench(t, Config{Originator: true})
	b.sent = nil
	b.receive(stopRequest(pptp.StopNone))
	b.wantSent(stopReply)
	b.wantNews(ConnectionEnded{Why: EndStoppedByPeer, Reason: pptp.StopNone})
}

func TestTransportClosed(t *testing.T) {
	for _, err := range []error{nil, io.EOF, io.ErrUnexpectedEOF} {
		b := establishedBench(t, Config{})
		b.do(func(c *Connection) { c.TransportClosed(b.now, err) })
		b.wantSent()
		b.wantNews(ConnectionEnded{Why: EndTransport, Err: ErrTransportClosed})
		b.wantClosed(false, ErrTransportClosed)
		if err == io.ErrUnexpectedEOF && !errors.Is(b.closed.Err, err) {
			t.Errorf("%v is lost", err)
		}
	}
}

func TestEcho(t *testing.T) {
	b := establishedBench(t, Config{})
	b.advance(60*time.Second - 1)
	b.wantSent()
	b.advance(1)
	b.wantSent(&pptp.EchoRequest{Identifier: 1})
	b.advance(30 * time.Second)
	b.receive(echoReply(1))
	b.advance(60*time.Second - 1)
	b.wantSent()
	b.advance(1)
	b.wantSent(&pptp.EchoRequest{Identifier: 2})
	b.advance(60*time.Second - 1)
	b.wantNews()
	b.advance(1)
	b.wantSent()
	b.wantNews(ConnectionEnded{Why: EndSilent, Err: ErrSilent})
	b.wantClosed(false, ErrSilent)
}

// TestEchoIsDrivenBySilence: any whole message is a sign of life, half a
// message and our own sending are none.
func TestEchoIsDrivenBySilence(t *testing.T) {
	b := establishedBench(t, Config{Timers: Timers{Message: time.Hour}})
	b.advance(50 * time.Second)
	b.receive(&pptp.EchoRequest{Identifier: 9})
	b.wantSent(echoReply(9))
	b.advance(50 * time.Second)
	b.wantSent()
	b.c.Receive(b.now, (&pptp.EchoRequest{}).Append(nil)[:15])
	if _, err := b.c.RequestOutgoing(b.now, OutgoingRequest{}); err != nil {
		t.Error(err)
	}
	b.drain()
	b.sent = nil
	b.advance(10 * time.Second)
	b.wantSent(&pptp.EchoRequest{Identifier: 1})
	// Something else than the reply proves that the peer lives.
	b.c.Receive(b.now, []byte{0})
	b.drain()
	b.advance(30 * time.Second)
	b.wantSent(echoReply(0))
}

func TestEchoIdentifier(t *testing.T) {
	b := establishedBench(t, Config{})
	b.advance(60 * time.Second)
	b.wantSent(&pptp.EchoRequest{Identifier: 1})
	b.receive(echoReply(77))
	b.wantNews(Misbehaved{What: FaultEchoIdentifier})
	b.advance(59 * time.Second)
	b.wantSent()
	b.wantNews()
}

func TestProbe(t *testing.T) {
	silent := ConnectionEnded{Why: EndSilent, Err: ErrSilent}
	t.Run("alive", func(t *testing.T) {
		b := establishedBench(t, Config{})
		b.do(func(c *Connection) { c.Probe(b.now) })
		b.wantSent(&pptp.EchoRequest{Identifier: 1})
		b.advance(9 * time.Second)
		b.receive(echoReply(1))
		b.advance(59 * time.Second)
		b.wantSent()
		b.wantNews()
	})
	t.Run("dead", func(t *testing.T) {
		b := establishedBench(t, Config{})
		b.do(func(c *Connection) { c.Probe(b.now) })
		b.advance(10 * time.Second)
		b.wantNews(silent)
	})
	t.Run("while an Echo-Request is unanswered", func(t *testing.T) {
		b := establishedBench(t, Config{})
		b.advance(70 * time.Second)
		b.wantSent(&pptp.EchoRequest{Identifier: 1})
		b.do(func(c *Connection) { c.Probe(b.now) })
		b.wantSent()
		b.advance(10*time.Second - 1)
		b.wantNews()
		b.do(func(c *Connection) { c.Probe(b.now) }) // it does not put off the end
		b.advance(1)
		b.wantNews(silent)
	})
	t.Run("not established", func(t *testing.T) {
		b := newBench(t, Config{})
		b.do(func(c *Connection) { c.Probe(b.now) })
		b.wantSent()
	})
}

func TestLostFraming(t *testing.T) {
	echo := (&pptp.EchoRequest{Identifier: 4}).Append(nil)
	broken := func(off int, to ...byte) []byte {
		b := append([]byte(nil), echo...)
		copy(b[off:], to)
		return b
	}
	tests := []struct {
		name   string
		octets []byte
		err    error
		what   Fault
	}{
		{"magic", broken(4, 0), pptp.ErrBadMagic, FaultBadMagic},
		{"management", broken(2, 0, 2), pptp.ErrBadMessageType, FaultBadMessageType},
		{"too short for its type", broken(0, 0, 15), pptp.ErrBadLength, FaultBadLength},
		{"too long", broken(0, 0xff, 0xff), pptp.ErrBadLength, FaultBadLength},
	}
	for _, tt := range tests {
		b := establishedBench(t, Config{})
		b.do(func(c *Connection) { c.Receive(b.now, append(append([]byte(nil), echo...), tt.octets...)) })
		b.wantSent(echoReply(4)) // what came before counts
		b.wantNews(Misbehaved{What: tt.what}, ConnectionEnded{Why: EndLostFraming, Err: tt.err})
		b.wantClosed(false, tt.err)
	}
}

// TestTolerated: unknown types, longer messages and reserved fields that are
// not zero do no harm.
func TestTolerated(t *testing.T) {
	b := establishedBench(t, Config{})
	unknown := append((&pptp.EchoRequest{}).Append(nil), make([]byte, 100)...)
	unknown[1], unknown[9] = 116, 99
	long := append((&pptp.EchoRequest{Identifier: 5}).Append(nil), 1, 2, 3)
	long[1] = 19
	reserved := &pptp.EchoRequest{Identifier: 6, Reserved0: 0xffff}
	b.do(func(c *Connection) { c.Receive(b.now, append(append(unknown, long...), reserved.Append(nil)...)) })
	b.wantNews(Misbehaved{What: FaultUnknownType})
	b.wantSent(echoReply(5), echoReply(6))
}

// TestHalfMessage: half a message holds the connection for a time only, and
// dribbling does not extend it.
func TestHalfMessage(t *testing.T) {
	msg := (&pptp.IncomingCallRequest{}).Append(nil)
	half := ConnectionEnded{Why: EndLostFraming, Err: ErrHalfMessage}
	t.Run("established", func(t *testing.T) {
		b := establishedBench(t, Config{})
		for i := range 29 {
			b.c.Receive(b.now, msg[i:i+1])
			b.drain()
			b.advance(time.Second)
		}
		b.wantNews()
		b.advance(time.Second)
		b.wantNews(Misbehaved{What: FaultHalfMessage}, half)
		b.wantClosed(false, ErrHalfMessage)
	})
	t.Run("completed in time", func(t *testing.T) {
		b := establishedBench(t, Config{})
		echo := (&pptp.EchoRequest{}).Append(nil)
		for range 10 {
			b.c.Receive(b.now, echo[:5])
			b.advance(20 * time.Second)
			b.c.Receive(b.now, append(echo[5:len(echo):len(echo)], echo[:3]...))
			b.advance(20 * time.Second) // the time of the next begins anew
			b.c.Receive(b.now, echo[3:])
			b.drain()
		}
		b.advance(40 * time.Second)
		b.wantNews()
	})
	t.Run("before the beginning", func(t *testing.T) {
		b := newBench(t, Config{})
		b.c.Receive(b.now, msg[:1])
		b.advance(30 * time.Second)
		b.wantNews(Misbehaved{What: FaultHalfMessage}, half)
	})
}

func TestMessageRate(t *testing.T) {
	limits := Limits{MessagesPerSecond: 10, Burst: 20}
	b := newBench(t, Config{Limits: limits})
	b.receive(theirRequest)
	b.news = nil
	for range 19 {
		b.receive(&pptp.EchoRequest{})
	}
	for range 100 {
		b.advance(100 * time.Millisecond)
		b.receive(&pptp.EchoRequest{})
	}
	b.wantNews()
	b.receive(&pptp.EchoRequest{})
	b.wantNews(Misbehaved{What: FaultMessageRate}, ConnectionEnded{Why: EndFlooded, Err: ErrFlood})
	b.wantClosed(false, ErrFlood)

	// One segment full of messages costs no more than the burst.
	b = newBench(t, Config{Limits: limits})
	var octets []byte
	octets = theirRequest.Append(octets)
	for range 1000 {
		octets = (&pptp.EchoRequest{}).Append(octets)
	}
	b.do(func(c *Connection) { c.Receive(b.now, octets) })
	if len(b.sent) != 20 || b.closed == nil {
		t.Errorf("answered %d", len(b.sent))
	}

	// A clock that jumps back does no harm.
	b = establishedBench(t, Config{Limits: limits})
	b.now = b.now.Add(-time.Hour)
	b.c.Receive(b.now, (&pptp.EchoRequest{}).Append(nil))
	if b.c.Status() != fsm.StateEstablished {
		t.Error(b.c.Status())
	}
}

func TestTrace(t *testing.T) {
	b := newBench(t, Config{Trace: true})
	b.receive(theirRequest, &pptp.EchoRequest{Identifier: 2})
	b.wantNews(
		Trace{Message: theirRequest}, Trace{Sent: true, Message: ourReply},
		Established{Peer: theirs, Version: pptp.Version10},
		Trace{Message: &pptp.EchoRequest{Identifier: 2}}, Trace{Sent: true, Message: echoReply(2)},
	)
	if n := b.c.Counters(); n.MessagesReceived != 2 || n.MessagesSent != 2 {
		t.Errorf("%+v", n)
	}
}

// TestOneSendPerStep: what answers one segment travels in one.
func TestOneSendPerStep(t *testing.T) {
	b := establishedBench(t, Config{})
	b.c.Receive(b.now, (&pptp.EchoRequest{}).Append((&pptp.EchoRequest{}).Append(nil)))
	actions := b.c.Actions()
	if len(actions) != 1 {
		t.Fatalf("%s", listing(actions))
	}
	if s, ok := actions[0].(Send); !ok || len(s.Bytes) != 40 {
		t.Errorf("%s", listing(actions))
	}
}
