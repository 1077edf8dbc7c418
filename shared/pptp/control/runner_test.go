package control

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// party is a Runner with a record of its news.
type party struct {
	*Runner
	result chan error // of Run

	mu   sync.Mutex
	news []Action
}

// start runs a Connection over nc; respond, if any, reacts to news.
func start(ctx context.Context, t *testing.T, nc net.Conn, cfg Config, rc RunnerConfig, respond Handler) *party {
	p := &party{result: make(chan error, 1)}
	if cfg.CallIDs == nil {
		cfg.CallIDs = newLedger(t, 1000)
	}
	cfg.Self = ours
	p.Runner = NewRunner(nc, New(time.Now(), cfg), func(now time.Time, c *Connection, a Action) {
		p.mu.Lock()
		p.news = append(p.news, a)
		p.mu.Unlock()
		if respond != nil {
			respond(now, c, a)
		}
	}, rc)
	go func() { p.result <- p.Run(ctx) }()
	return p
}

// saw returns the first news of a type once everything is at rest.
func saw[T Action](p *party) (found T, ok bool) {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.news {
		if found, ok := a.(T); ok {
			return found, true
		}
	}
	return found, false
}

func wantEnd(t *testing.T, p *party, why End, err error) {
	t.Helper()
	<-p.Done()
	if got := <-p.result; !errors.Is(got, err) || (err == nil) != (got == nil) || got != p.Err() {
		t.Errorf("Run: %v, want %v", got, err)
	}
	if end, ok := saw[ConnectionEnded](p); !ok || end.Why != why {
		t.Errorf("ended by %v, want %v", end.Why, why)
	}
	if doErr := p.Do(t.Context(), func(time.Time, *Connection) { t.Error("it is over") }); !errors.Is(doErr, ErrEnded) {
		t.Errorf("Do: %v", doErr)
	}
}

// server answers as a VPN server does, in both roles.
func server(t *testing.T) Handler {
	return func(now time.Time, c *Connection, a Action) {
		var err error
		switch a := a.(type) {
		case OutgoingRequested:
			err = c.AnswerOutgoing(now, a.Call.Own(), OutgoingAnswer{ConnectSpeed: 64000})
		case IncomingOffered:
			err = c.AnswerIncoming(now, a.Call.Own(), IncomingAnswer{Window: 16})
		case ClearRequested:
			err = c.DisconnectCall(now, a.Call.Own(), Disconnect{Statistics: "bye"})
		}
		if err != nil {
			t.Errorf("%T: %v", a, err)
		}
	}
}

// TestRunnerCalls: our PAC and our PNS over a pipe, with calls both ways and an
// orderly end.
func TestRunnerCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := net.Pipe()
		a := start(t.Context(), t, one, Config{Originator: true}, RunnerConfig{}, func(now time.Time, c *Connection, act Action) {
			if act, ok := act.(IncomingAccepted); ok {
				if err := c.ConfirmIncoming(now, act.Call.Own(), LineConnected{ConnectSpeed: 33600}); err != nil {
					t.Error(err)
				}
			}
		})
		b := start(t.Context(), t, other, Config{}, RunnerConfig{}, server(t))
		if _, ok := saw[Established](a); !ok {
			t.Fatal("not established")
		}
		var asPNS, asPAC uint16
		do := func(p *party, f func(now time.Time, c *Connection) error) {
			t.Helper()
			if err := p.Do(t.Context(), func(now time.Time, c *Connection) {
				if err := f(now, c); err != nil {
					t.Error(err)
				}
			}); err != nil {
				t.Error(err)
			}
		}
		do(a, func(now time.Time, c *Connection) (err error) {
			asPNS, err = c.RequestOutgoing(now, OutgoingRequest{PhoneNumber: "1"})
			return err
		})
		do(a, func(now time.Time, c *Connection) (err error) {
			asPAC, err = c.OfferIncoming(now, IncomingOffer{DialedNumber: "2"})
			return err
		})
		if n, ok := saw[OutgoingConnected](a); !ok || n.Call.Own() != asPNS || n.Call.ConnectSpeed != 64000 {
			t.Errorf("%+v", n)
		}
		if n, ok := saw[IncomingConnected](b); !ok || n.Call.PACCallID != asPAC || n.Call.ConnectSpeed != 33600 {
			t.Errorf("%+v", n)
		}
		<-time.After(time.Hour) // kept alive by Echo
		do(a, func(now time.Time, c *Connection) error { return c.ClearCall(now, asPNS) })
		if n, ok := saw[CallEnded](a); !ok || n.Why.Statistics != "bye" || n.Why.Cause != CauseClearedByPNS {
			t.Errorf("%+v", n)
		}
		if err := b.Shutdown(t.Context(), pptp.StopShutdown); err != nil {
			t.Error(err)
		}
		wantEnd(t, a, EndStoppedByPeer, nil)
		wantEnd(t, b, EndStoppedByUs, nil)
	})
}

// TestRunnerPeerDies: a peer that goes silent is found out, and one that closes
// is too.
func TestRunnerPeerDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := net.Pipe()
		b := start(t.Context(), t, one, Config{}, RunnerConfig{}, server(t))
		begin := time.Now()
		go io.Copy(io.Discard, other)
		if _, err := other.Write(theirRequest.Append(nil)); err != nil {
			t.Fatal(err)
		}
		wantEnd(t, b, EndSilent, ErrSilent)
		if d := time.Since(begin); d != 120*time.Second {
			t.Errorf("found out after %v", d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		one, other := net.Pipe()
		b := start(t.Context(), t, one, Config{}, RunnerConfig{}, server(t))
		go func() {
			buf := make([]byte, 1000)
			other.Write(theirRequest.Append(nil))
			other.Read(buf)
			other.Write((&pptp.OutgoingCallRequest{PNSCallID: 4}).Append(nil))
			other.Read(buf)
			other.Close() // without Call-Clear and Stop, as many do
		}()
		wantEnd(t, b, EndTransport, ErrTransportClosed)
		if n, ok := saw[CallEnded](b); !ok || n.Why.Cause != CauseConnectionLost {
			t.Errorf("%+v", n)
		}
	})
}

// TestRunnerRefusal: a refusal reaches the peer before TCP is closed.
func TestRunnerRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := net.Pipe()
		a := start(t.Context(), t, one, Config{Originator: true}, RunnerConfig{}, nil)
		b := start(t.Context(), t, other, Config{Approve: true}, RunnerConfig{}, func(now time.Time, c *Connection, act Action) {
			if _, ok := act.(StartRequested); ok {
				if err := c.RefuseStart(now, pptp.ControlNotAuthorized, 0); err != nil {
					t.Error(err)
				}
			}
		})
		wantEnd(t, b, EndRefusedByUs, ErrRefused)
		wantEnd(t, a, EndRefusedByPeer, ErrRefused)
		if end, _ := saw[ConnectionEnded](a); end.Result != pptp.ControlNotAuthorized {
			t.Errorf("%+v", end)
		}
	})
}

// TestRunnerShutdown: a goodbye that nobody answers, and one without time.
func TestRunnerShutdown(t *testing.T) {
	peer := func(t *testing.T) (*party, net.Conn) {
		one, other := net.Pipe()
		b := start(context.Background(), t, one, Config{}, RunnerConfig{}, nil)
		go io.Copy(io.Discard, other)
		if _, err := other.Write(theirRequest.Append(nil)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		return b, other
	}
	synctest.Test(t, func(t *testing.T) {
		b, _ := peer(t)
		begin := time.Now()
		if err := b.Shutdown(t.Context(), pptp.StopShutdown); err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d != 3*time.Second {
			t.Errorf("waited %v for the reply", d)
		}
		wantEnd(t, b, EndStoppedByUs, nil)
		if err := b.Shutdown(t.Context(), pptp.StopShutdown); err != nil {
			t.Errorf("again: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b, _ := peer(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Shutdown(ctx, pptp.StopShutdown); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		// Its Stop had been sent: abandoned, it has stopped all the same.
		<-b.Done()
	})
}

func TestRunnerCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := net.Pipe()
		reason := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		b := start(ctx, t, one, Config{}, RunnerConfig{}, nil)
		synctest.Wait()
		cancel(reason)
		wantEnd(t, b, EndAbandoned, reason)
		if _, err := other.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the pipe is still open: %v", err)
		}
	})
}

// TestRunnerSlowPeer: who does not read what we send is cut off, by the bound
// of the queue or by the time of a write.
func TestRunnerSlowPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := net.Pipe()
		b := start(t.Context(), t, one, Config{}, RunnerConfig{Queue: 400}, nil)
		go func() {
			other.Write(theirRequest.Append(nil))
			for range 100 {
				if _, err := other.Write((&pptp.EchoRequest{}).Append(nil)); err != nil {
					return
				}
			}
		}()
		wantEnd(t, b, EndAbandoned, ErrSlowPeer)
	})
	synctest.Test(t, func(t *testing.T) {
		one, other := net.Pipe()
		b := start(t.Context(), t, one, Config{}, RunnerConfig{}, nil)
		begin := time.Now()
		if _, err := other.Write(theirRequest.Append(nil)); err != nil {
			t.Fatal(err)
		}
		wantEnd(t, b, EndTransport, ErrTransportClosed)
		if d := time.Since(begin); d != 30*time.Second {
			t.Errorf("found out after %v", d)
		}
	})
	// A farewell is not waited for longer than Linger.
	synctest.Test(t, func(t *testing.T) {
		one, other := net.Pipe()
		b := start(t.Context(), t, one, Config{}, RunnerConfig{}, nil)
		begin := time.Now()
		if _, err := other.Write(append(theirRequest.Append(nil), stopRequest(pptp.StopNone).Append(nil)...)); err != nil {
			t.Fatal(err)
		}
		wantEnd(t, b, EndStoppedByPeer, nil)
		if d := time.Since(begin); d != 5*time.Second {
			t.Errorf("lingered %v", d)
		}
	})
}

// TestRunnerHalfMessage: half a message holds the connection for 30 s.
func TestRunnerHalfMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := net.Pipe()
		b := start(t.Context(), t, one, Config{}, RunnerConfig{}, nil)
		if _, err := other.Write(theirRequest.Append(nil)[:100]); err != nil {
			t.Fatal(err)
		}
		wantEnd(t, b, EndLostFraming, ErrHalfMessage)
	})
}

func TestRunnerDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := net.Pipe()
		b := start(t.Context(), t, one, Config{Originator: true}, RunnerConfig{}, nil)
		go io.Copy(io.Discard, other)
		state := fsm.StateIdle
		if err := b.Do(t.Context(), func(_ time.Time, c *Connection) { state = c.Status() }); err != nil || state != fsm.StateWaitCtlReply {
			t.Error(state, err)
		}
		// Do returns when what follows from it has been told.
		if err := b.Do(t.Context(), func(now time.Time, c *Connection) { c.Abandon(now, io.ErrNoProgress) }); err != nil {
			t.Error(err)
		}
		b.mu.Lock()
		told := slices.ContainsFunc(b.news, func(a Action) bool { _, ok := a.(ConnectionEnded); return ok })
		b.mu.Unlock()
		if !told {
			t.Error("Do returned before the news")
		}
		wantEnd(t, b, EndAbandoned, io.ErrNoProgress)
	})
	synctest.Test(t, func(t *testing.T) {
		one, other := net.Pipe()
		defer other.Close()
		r := NewRunner(one, New(time.Now(), Config{}), nil, RunnerConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Do(ctx, func(time.Time, *Connection) {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err) // nobody runs it
		}
		one.Close()
	})
}

// TestRunnerTCP runs over real TCP: the farewell arrives though there is more
// to read, and the half-closed connection ends at once.
func TestRunnerTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- nc
	}()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	r := NewRunner(<-accepted, New(time.Now(), Config{Self: ours, CallIDs: newLedger(t, 1)}), nil, RunnerConfig{})
	result := make(chan error, 1)
	go func() { result <- r.Run(t.Context()) }()
	octets := append(theirRequest.Append(nil), stopRequest(pptp.StopNone).Append(nil)...)
	if _, err := client.Write(append(octets, make([]byte, 5000)...)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(client)
	if want := append(ourReply.Append(nil), stopReply.Append(nil)...); err != nil || string(answer) != string(want) {
		t.Errorf("%x, %v", answer, err)
	}
	client.Close()
	if err := <-result; err != nil {
		t.Error(err)
	}
	if d := time.Since(begin); d > 4*time.Second {
		t.Errorf("it took %v", d)
	}
}
