package pac

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"trunkline.example/pac/config"
	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
)

var pacAddress = netip.MustParseAddr("192.0.2.2")

// fakePNS is a network server of the tests: a control connection that does as it is told, and a GRE socket.
type fakePNS struct {
	t       *testing.T
	address netip.Addr
	gre     tunnel.Conn
	answer  *pptp.IncomingResult // nil: silence
	runner  *control.Runner      // of the newest control connection
	runners []*control.Runner    // all
	actions chan control.Action  // all but Send, Close, Trace
}

// bench is a concentrator with fake lines and network servers, in a bubble of virtual time.
type bench struct {
	t      *testing.T
	server *Server
	fake   *linetest.Fake
	net    *gretest.Network
	pns    map[string]*fakePNS
	stop   context.CancelFunc
	done   chan error
}

type fakeDriver struct{ *linetest.Fake }

func (fakeDriver) Close() error         { return nil }
func (fakeDriver) Status() DriverStatus { return DriverStatus{Name: "fake"} }

// start runs a server with two lines; the PNSes "a" and "b" give these answers.
func start(t *testing.T, a, b *pptp.IncomingResult, change func(*config.Config)) *bench {
	t.Helper()
	return startOn(t, a, b, change, func(x *bench) Driver { return fakeDriver{x.fake} })
}

// startOn is start with a driver of the test's own.
func startOn(t *testing.T, a, b *pptp.IncomingResult, change func(*config.Config), driver func(*bench) Driver) *bench {
	t.Helper()
	x := &bench{t: t, fake: linetest.NewFake(line.Identity{Name: "line1", Number: "5550101"}, line.Identity{Name: "line2"}), net: gretest.New(gretest.Config{}), pns: map[string]*fakePNS{}}
	cfg := config.Config{
		Name: "pac.example",
		Timers: config.Timers{
			Reply: 3 * time.Second, Connect: 90 * time.Second, Hangup: 30 * time.Second, Echo: time.Minute,
			WANErrors: time.Minute, Reconnect: time.Second, Shutdown: 10 * time.Second,
		},
		Refused: config.RefusedRingOut,
		Drivers: []config.Driver{{Name: "fake", Kind: "fake"}},
		Routes:  []config.Route{{PNS: []string{"a", "b"}}},
	}
	for name, answer := range map[string]*pptp.IncomingResult{"a": a, "b": b} {
		address := netip.MustParseAddr("198.51.100.1")
		if name == "b" {
			address = netip.MustParseAddr("198.51.100.2")
		}
		conn, err := x.net.Listen(address)
		if err != nil {
			t.Fatal(err)
		}
		x.pns[name] = &fakePNS{t: t, address: address, gre: conn, answer: answer, actions: make(chan control.Action, 64)}
		cfg.PNS = append(cfg.PNS, config.PNS{Name: name, Address: netip.AddrPortFrom(address, pptp.Port)})
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	x.server, err = New(cfg, Options{
		Log: zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)), Version: "test",
		Drivers: func(context.Context, config.Driver) (Driver, error) { return driver(x), nil },
		Socket:  func(local netip.Addr) (tunnel.Conn, error) { return x.net.Listen(local) },
		Dial: func(_ context.Context, to config.PNS) (net.Conn, netip.Addr, error) {
			ours, theirs := net.Pipe()
			x.pns[to.Name].serve(theirs)
			return ours, pacAddress, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, x.stop = context.WithCancel(context.Background())
	x.done = make(chan error, 1)
	go func() { x.done <- x.server.Run(ctx, func() {}) }()
	synctest.Wait()
	return x
}

// end stops the server and checks that it ends well.
func (x *bench) end() {
	x.t.Helper()
	x.stop()
	if err := <-x.done; err != nil {
		x.t.Errorf("Run returned %v", err)
	}
	for _, p := range x.pns {
		for _, r := range p.runners {
			<-r.Done()
		}
		_ = p.gre.Close()
	}
}

func (p *fakePNS) serve(nc net.Conn) {
	pool, err := control.NewPool(control.PoolConfig{})
	if err != nil {
		p.t.Error(err)
	}
	machine := control.New(time.Now(), control.Config{CallIDs: pool.For(control.Pair{Ours: p.address, Theirs: pacAddress})})
	p.runner = control.NewRunner(nc, machine, func(now time.Time, c *control.Connection, a control.Action) {
		if offered, ok := a.(control.IncomingOffered); ok && p.answer != nil {
			if err := c.AnswerIncoming(now, offered.Call.Own(), control.IncomingAnswer{Result: *p.answer, Window: 8}); err != nil {
				p.t.Error(err)
			}
		}
		p.actions <- a
	}, control.RunnerConfig{})
	p.runners = append(p.runners, p.runner)
	runner := p.runner
	go func() { _ = runner.Run(context.Background()) }()
}

// next waits for an action of that type and skips others.
func next[T control.Action](p *fakePNS) T {
	p.t.Helper()
	for {
		select {
		case a := <-p.actions:
			if want, ok := a.(T); ok {
				return want
			}
		case <-time.After(10 * time.Minute):
			var none T
			p.t.Fatalf("the network server saw no %T", none)
		}
	}
}

func (p *fakePNS) do(f func(now time.Time, c *control.Connection) error) {
	p.t.Helper()
	var result error
	if err := p.runner.Do(context.Background(), func(now time.Time, c *control.Connection) { result = f(now, c) }); err != nil || result != nil {
		p.t.Fatal(err, result)
	}
}

// receive reads one GRE packet with payload.
func (p *fakePNS) receive() (gre.Header, []byte) {
	p.t.Helper()
	batch := tunnel.NewBatch(1)
	for {
		if _, err := p.gre.ReadBatch(batch); err != nil {
			p.t.Fatal(err)
		}
		h, payload, err := gre.Parse(batch[0].Data)
		if err != nil {
			p.t.Fatal(err)
		}
		if len(payload) > 0 {
			return h, payload
		}
	}
}

func (p *fakePNS) send(h gre.Header, payload []byte) {
	p.t.Helper()
	h.PayloadLength = uint16(len(payload))
	if _, err := p.gre.WriteBatch([]tunnel.Packet{{Remote: pacAddress, Data: append(h.Append(nil), payload...)}}); err != nil {
		p.t.Fatal(err)
	}
}

func (x *bench) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func result(r pptp.IncomingResult) *pptp.IncomingResult { return &r }

var (
	accept = result(pptp.IncomingAccept)
	refuse = result(pptp.IncomingDoNotAccept)
)

// ring calls line1 and returns its far end.
func (x *bench) ring() *linetest.FakeLine {
	x.t.Helper()
	far := x.fake.Lines()[0]
	x.must(far.Ring(x.t.Context(), linetest.Caller{Number: "030123", Dialed: "5550100"}))
	return far
}

// up brings a call up through PNS "a".
func (x *bench) up() (*linetest.FakeLine, control.Call) {
	x.t.Helper()
	far := x.ring()
	call := next[control.IncomingConnected](x.pns["a"]).Call
	x.must(far.Connected(x.t.Context()))
	return far, call
}

var lcpRequest = []byte{0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 10, 5, 6, 1, 2, 3, 4}

func TestCallIsRelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, nil)
		defer x.end()
		far, call := x.up()
		p := x.pns["a"]
		if call.DialedNumber != "5550100" || call.DialingNumber != "030123" || call.ConnectSpeed != 33600 || call.Framing != pptp.FramingAsynchronous || call.Bearer != pptp.BearerAnalog {
			t.Errorf("the network server was told %+v", call)
		}
		// From the line: stuffed octets become the frame as it was.
		x.must(far.Send(t.Context(), hdlc.AppendFrame(nil, lcpRequest, hdlc.DefaultACCM)))
		h, payload := p.receive()
		if !bytes.Equal(payload, lcpRequest) || h.CallID != call.PNSCallID || !h.HasSequence || h.Sequence != 0 {
			t.Errorf("GRE %+v carries % x", h, payload)
		}
		synctest.Wait()
		if c := x.server.Lines()[0].Call; c == nil || c.Counters.FramesIn != 1 || c.Counters.TunnelSent != 1 {
			t.Errorf("shown while nothing but data flows: %+v", c)
		}
		// To the line, first with the default map, then with the one that Set-Link-Info names.
		data := []byte{0xff, 0x03, 0x00, 0x21, 0x11, 0x13, 0x7e}
		stuffed := hdlc.AppendFrame(nil, data, hdlc.DefaultACCM)
		p.send(gre.Header{CallID: call.PACCallID, HasSequence: true}, data)
		if got, err := far.Receive(t.Context(), len(stuffed)); err != nil || !bytes.Equal(got, stuffed) {
			t.Errorf("on the line: % x (%v), want % x", got, err, stuffed)
		}
		p.do(func(now time.Time, c *control.Connection) error { return c.SetLinkInfo(now, call.Own(), 0x00080000, 0) })
		synctest.Wait()
		p.send(gre.Header{CallID: call.PACCallID, HasSequence: true, Sequence: 1}, data)
		want := hdlc.AppendFrame(nil, data, 0x00080000)[1:] // its opening flag is the last frame's closing one
		if got, err := far.Receive(t.Context(), len(want)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("on the line after Set-Link-Info: % x (%v), want % x", got, err, want)
		}
		x.must(far.HangUp(t.Context()))
		ended := next[control.CallEnded](p)
		if ended.Why.Disconnect != pptp.DisconnectLostCarrier || !strings.Contains(ended.Why.Statistics, "rxf=1 txf=2 ") {
			t.Errorf("Call-Disconnect-Notify says %+v", ended.Why)
		}
	})
}

func TestErrorsOfTheLineAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, nil)
		defer x.end()
		far, _ := x.up()
		broken := hdlc.AppendFrame(nil, lcpRequest, hdlc.DefaultACCM)
		broken[9] ^= 1
		x.must(far.Send(t.Context(), append(broken, 0x7e)))
		far.CountErrors(line.Counters{FramingErrors: 2, HardwareOverruns: 3})
		report := next[control.WANErrorsReported](x.pns["a"])
		if e := report.Errors; e.CRCErrors != 1 || e.FramingErrors != 2 || e.HardwareOverruns != 3 {
			t.Errorf("WAN-Error-Notify says %+v", e)
		}
	})
}

func TestRefusedCallGoesToTheNextServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, refuse, accept, nil)
		defer x.end()
		x.ring()
		if ended := next[control.CallEnded](x.pns["a"]); ended.Why.Cause != control.CauseRefusedByPNS {
			t.Errorf("the first server's call ended %v", ended.Why)
		}
		next[control.IncomingConnected](x.pns["b"])
	})
}

func TestCallThatNobodyTakesIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, refuse, refuse, nil)
		defer x.end()
		far := x.ring()
		next[control.CallEnded](x.pns["b"])
		synctest.Wait()
		if s := far.Status(); s.State != line.StateRinging {
			t.Errorf("the line is %v, it should ring on", s.State)
		}
		x.must(far.GiveUp(t.Context()))
		synctest.Wait()
		if l := x.server.Lines()[0]; l.Call != nil || l.State != line.StateIdle {
			t.Errorf("after the caller gave up: %+v", l)
		}
	})
}

func TestRefusedCallIsRejectedIfThePolicySaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, refuse, refuse, func(c *config.Config) { c.Refused = config.RefusedBusy })
		defer x.end()
		far := x.ring()
		next[control.CallEnded](x.pns["b"])
		synctest.Wait()
		if far.Rejection().Code != line.CauseRejected {
			t.Errorf("the line was not told to reject: %+v", far.Status())
		}
	})
}

func TestSilentServerIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, nil, accept, nil)
		defer x.end()
		began := time.Now()
		x.ring()
		offered := next[control.IncomingOffered](x.pns["a"])
		next[control.IncomingConnected](x.pns["b"])
		if waited := time.Since(began); waited != 3*time.Second {
			t.Errorf("the second server was asked after %v", waited)
		}
		if ended := next[control.CallEnded](x.pns["a"]); ended.Why.Cause != control.CauseDisconnectedByPAC || ended.Call.Own() != offered.Call.Own() {
			t.Errorf("the silent server's call ended %+v", ended.Why)
		}
	})
}

func TestServerClearsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, nil)
		defer x.end()
		far, call := x.up()
		x.pns["a"].do(func(now time.Time, c *control.Connection) error { return c.ClearCall(now, call.Own()) })
		ended := next[control.CallEnded](x.pns["a"])
		if ended.Why.Disconnect != pptp.DisconnectRequest || !strings.Contains(ended.Why.Statistics, "cause=hangup") {
			t.Errorf("Call-Disconnect-Notify says %+v", ended.Why)
		}
		x.must(far.Released(t.Context()))
		// The line takes the next call.
		synctest.Wait()
		x.up()
	})
}

func TestOperatorHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, nil)
		defer x.end()
		far, _ := x.up()
		synctest.Wait()
		if err := x.server.Hangup(t.Context(), "line2"); !errors.Is(err, errNoCall) {
			t.Errorf("hanging up a line without a call: %v", err)
		}
		x.must(x.server.Hangup(t.Context(), "line1"))
		if ended := next[control.CallEnded](x.pns["a"]); ended.Why.Disconnect != pptp.DisconnectAdminShutdown {
			t.Errorf("Call-Disconnect-Notify says %+v", ended.Why)
		}
		x.must(far.Released(t.Context()))
	})
}

func TestLostServerMeansHangUpAndReconnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, nil)
		defer x.end()
		far, _ := x.up()
		p := x.pns["a"]
		lost := p.runner
		_ = lost.Do(context.Background(), func(now time.Time, c *control.Connection) { c.Abandon(now, errors.New("power cut")) })
		x.must(far.Released(t.Context()))
		next[control.Established](p)
		synctest.Wait()
		if p.runner == lost || !x.server.PNS()[0].Established && !x.server.PNS()[1].Established {
			t.Error("there is no new control connection")
		}
		x.up()
	})
}

func TestCallerGivesUpWhileTheServerThinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, nil, nil, nil)
		defer x.end()
		far := x.ring()
		next[control.IncomingOffered](x.pns["a"])
		x.must(far.GiveUp(t.Context()))
		if ended := next[control.CallEnded](x.pns["a"]); ended.Why.Disconnect != pptp.DisconnectLostCarrier {
			t.Errorf("Call-Disconnect-Notify says %+v", ended.Why)
		}
	})
}

func TestTrainingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, nil)
		defer x.end()
		x.fake.Lines()[0].FailAnswers(line.Cause{Code: line.CauseNoCarrier, Text: "NO CARRIER"})
		x.ring()
		if ended := next[control.CallEnded](x.pns["a"]); ended.Why.Disconnect != pptp.DisconnectLostCarrier {
			t.Errorf("Call-Disconnect-Notify says %+v", ended.Why)
		}
	})
}

func TestStopClearsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, nil)
		far, _ := x.up()
		x.end()
		if ended := next[control.CallEnded](x.pns["a"]); ended.Why.Disconnect != pptp.DisconnectAdminShutdown {
			t.Errorf("Call-Disconnect-Notify says %+v", ended.Why)
		}
		if s := far.Status(); s.State != line.StateClosed {
			t.Errorf("the line is %v", s.State)
		}
	})
}
