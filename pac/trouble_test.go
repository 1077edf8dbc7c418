package pac

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/pac/config"
	"trunkline.example/shared/line"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
)

// script is a line that does what a test tells it, also what the contract forbids.
type script struct {
	events   chan line.Event
	sequence uint64

	mu       sync.Mutex
	commands []string
	refusal  error // of every command
	over     chan struct{}
}

func newScript() *script {
	return &script{events: make(chan line.Event, line.EventCapacity), over: make(chan struct{})}
}

func (s *script) Info() line.Info      { return line.Info{Name: "script"} }
func (s *script) Close() error         { return nil }
func (s *script) Status() DriverStatus { return DriverStatus{Name: "script"} }
func (s *script) Open(context.Context, line.Section) ([]line.Line, error) {
	return []line.Line{s}, nil
}

func (s *script) Identity() line.Identity {
	return line.Identity{Name: "line1", Bearers: line.BearerAnalog, Framings: line.FramingAsync}
}

func (s *script) Events() <-chan line.Event { return s.events }

// say sends an event and waits until it has had its effect.
func (s *script) say(call line.Call, body line.Body) {
	s.sequence++
	s.events <- line.Event{Sequence: s.sequence, At: time.Now(), Call: call, Body: body}
	synctest.Wait()
}

func (s *script) command(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = append(s.commands, name)
	return s.refusal
}

// given returns how often a command was given.
func (s *script) given(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.commands {
		if c == name {
			n++
		}
	}
	return n
}

func (s *script) Answer(context.Context, line.Call) error             { return s.command("answer") }
func (s *script) Reject(context.Context, line.Call, line.Cause) error { return s.command("reject") }
func (s *script) Hangup(context.Context, line.Call) error             { return s.command("hangup") }

func (s *script) Service(context.Context, line.Service) error { return s.command("service") }

func (s *script) Dial(context.Context, line.DialRequest) (line.Call, error) {
	return 0, line.ErrUnsupported
}

// Shutdown never ends the events, and never ends in time.
func (s *script) Shutdown(ctx context.Context) error {
	<-ctx.Done()
	close(s.over)
	return ctx.Err()
}

// Read ends with the line only.
func (s *script) Read([]byte) (int, error) {
	<-s.over
	return 0, io.EOF
}

func (s *script) Write(p []byte) (int, error) { return len(p), nil }

// scripted runs a server whose one line is a script that is up.
func scripted(t *testing.T, a *pptp.IncomingResult, change func(*config.Config)) (*bench, *script) {
	t.Helper()
	s := newScript()
	x := startOn(t, a, accept, change, func(*bench) Driver { return s })
	s.say(0, line.Up{})
	return x, s
}

// connect brings a call up on a script.
func (s *script) connect(call line.Call) {
	s.say(call, line.Ringing{})
	s.say(call, line.Answering{})
	s.say(call, line.Connected{RxSpeed: 9600, TxSpeed: 9600, Framing: line.FramingAsync})
}

// Whatever a driver does, a call that has made way for another one is over for the network server too.
func TestDriverThatForgetsACall(t *testing.T) {
	for name, say := range map[string]func(*script){
		"rings again": func(s *script) { s.say(2, line.Ringing{}) },
		"down":        func(s *script) { s.say(0, line.Down{Cause: line.Cause{Code: line.CauseDevice}}) },
		"idle":        func(s *script) { s.say(1, line.Idle{}) },
		"up":          func(s *script) { s.say(0, line.Up{}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x, s := scripted(t, accept, nil)
				defer x.end()
				s.connect(1)
				call := next[control.IncomingConnected](x.pns["a"]).Call
				say(s)
				if ended := next[control.CallEnded](x.pns["a"]); ended.Call.Own() != call.Own() {
					t.Errorf("ended is %+v", ended)
				}
				synctest.Wait()
				if v := x.server.Lines()[0].Call; v != nil && v.ID[len(v.ID)-1] == '1' {
					t.Errorf("the call is still there: %+v", v)
				}
			})
		})
	}
}

func TestEventsOfAnotherCallAreNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, s := scripted(t, accept, nil)
		defer x.end()
		s.say(5, line.Ringing{})
		s.say(4, line.Connected{RxSpeed: 300, TxSpeed: 300, Framing: line.FramingAsync})
		s.say(4, line.Lost{})
		if v := x.server.Lines()[0].Call; v == nil || v.Stage != "answering" || v.SpeedIn != 0 {
			t.Errorf("the call is %+v", v)
		}
	})
}

// A line that is not freed must not hold the call at the network server, and is told again to hang up.
func TestLineThatIsNeverFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, s := scripted(t, accept, nil)
		defer x.end()
		s.connect(1)
		next[control.IncomingConnected](x.pns["a"])
		began := time.Now()
		x.must(x.server.Hangup(t.Context(), "line1"))
		if ended := next[control.CallEnded](x.pns["a"]); ended.Why.Cause != control.CauseDisconnectedByPAC || time.Since(began) > 31*time.Second {
			t.Errorf("after %v: %+v", time.Since(began), ended.Why)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if n := s.given("hangup"); n < 2 {
			t.Errorf("the line was told %d times to hang up", n)
		}
		if v := x.server.Lines()[0].Call; v == nil || v.Stage != "ending" || v.PACCallID == 0 {
			t.Errorf("the line's call is %+v", v)
		}
		s.say(1, line.Lost{Cause: line.Cause{Code: line.CauseHangup}})
		s.say(1, line.Idle{})
		<-time.After(2 * commandLimit) // this line's reader goes on, against the contract
		if v := x.server.Lines()[0].Call; v != nil {
			t.Errorf("after all, the line's call is %+v", v)
		}
	})
}

// Not every line that cannot be answered has lost its caller.
func TestLineThatCannotBeAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, s := scripted(t, accept, nil)
		defer x.end()
		s.refusal = line.ErrDriver
		s.say(1, line.Ringing{})
		<-time.After(31 * time.Second)
		if ended := next[control.CallEnded](x.pns["a"]); ended.Why.Disconnect != pptp.DisconnectGeneralError {
			t.Errorf("%+v", ended.Why)
		}
	})
}

// A driver that does not end its events must not keep the concentrator from ending.
func TestLineThatDoesNotShutDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, s := scripted(t, accept, nil)
		s.connect(1)
		next[control.IncomingConnected](x.pns["a"])
		began := time.Now()
		x.end()
		if ended := next[control.CallEnded](x.pns["a"]); ended.Why.Disconnect != pptp.DisconnectAdminShutdown {
			t.Errorf("%+v", ended.Why)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// The answer of a network server that was given up must not be taken for that of the next one, though both calls have the same Call ID.
func TestLateAnswerOfAnotherServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, s := scripted(t, nil, func(c *config.Config) { c.Routes = []config.Route{{PNS: []string{"a"}}} })
		defer x.end()
		s.say(1, line.Ringing{})
		o := x.server.owners[0]
		o.mail.put(message{from: &connection{}, call: 1, own: o.call.leg.own, accepted: &control.Call{}})
		synctest.Wait()
		if n := s.given("answer"); n != 0 {
			t.Error("the telephone was answered")
		}
	})
}

// A GRE socket that fails is opened anew, with new control connections.
func TestFailedTunnelIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, nil)
		defer x.end()
		far, _ := x.up()
		broken := x.server.muxes[pacAddress]
		_ = broken.Conn().Close()
		x.must(far.Released(t.Context()))
		next[control.Established](x.pns["a"])
		synctest.Wait()
		if x.server.muxes[pacAddress] == broken {
			t.Error("the broken socket is still in use")
		}
		x.up()
	})
}

func TestCallIdentifiersAreUnique(t *testing.T) {
	s, err := New(config.Config{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 1<<16 + 1 {
		id, _ := s.nextCall()
		if seen[id] {
			t.Fatalf("%s comes twice, after %d calls", id, len(seen))
		}
		seen[id] = true
	}
}

var errDial = errors.New("no route to host")

// A network server that comes back while it rings gets the call.
func TestServerComesBackWhileItRings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		x := startOn(t, accept, accept, func(c *config.Config) { c.Routes = []config.Route{{PNS: []string{"a"}}} }, func(x *bench) Driver {
			dial := x.server.dial
			x.server.dial = func(ctx context.Context, to config.PNS) (net.Conn, netip.Addr, error) {
				if !up.Load() {
					return nil, netip.Addr{}, errDial
				}
				return dial(ctx, to)
			}
			return fakeDriver{x.fake}
		})
		defer x.end()
		far := x.ring()
		synctest.Wait()
		if s := far.Status(); s.State != line.StateRinging {
			t.Errorf("the line is %v", s.State)
		}
		up.Store(true)
		next[control.Established](x.pns["b"])
		next[control.IncomingConnected](x.pns["a"])
		x.must(far.Connected(t.Context()))
	})
}

// One that clears a call before it has answered does not want it; another one may.
func TestServerClearsTheOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, s := scripted(t, nil, nil)
		defer x.end()
		s.say(1, line.Ringing{})
		offered := next[control.IncomingOffered](x.pns["a"]).Call
		o := x.server.owners[0]
		o.mail.put(message{from: o.call.leg.connection, call: 1, own: offered.PACCallID, cleared: true})
		next[control.IncomingOffered](x.pns["b"])
		synctest.Wait()
		if s.given("hangup") > 0 || s.given("answer") != 1 {
			t.Errorf("the line was told to %v", s.commands)
		}
	})
}

// Lines work, and calls are refused, while no network server can be reached.
func TestNoServerCanBeReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := startOn(t, nil, nil, nil, func(x *bench) Driver {
			x.server.dial = func(context.Context, config.PNS) (net.Conn, netip.Addr, error) { return nil, netip.Addr{}, errDial }
			return fakeDriver{x.fake}
		})
		far := x.ring()
		synctest.Wait()
		if s := far.Status(); s.State != line.StateRinging {
			t.Errorf("the line is %v", s.State)
		}
		if n := x.server.PNS()[0]; n.Established || n.Problem != errDial.Error() {
			t.Errorf("%+v", n)
		}
		x.stop()
		if err := <-x.done; err != nil {
			t.Error(err)
		}
	})
}
