package tunnel_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/gre/tunnel/gretest"
)

var (
	pacAddress = netip.MustParseAddr("192.0.2.1")
	pnsAddress = netip.MustParseAddr("192.0.2.2")
	foreign    = netip.MustParseAddr("192.0.2.66")
)

func listen(t *testing.T, n *gretest.Network, a netip.Addr) *gretest.Conn {
	t.Helper()
	c, err := n.Listen(a)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// transmit sends one GRE packet.
func transmit(t *testing.T, c tunnel.Conn, to netip.Addr, callID uint16, sequence uint32, payload string) {
	t.Helper()
	h := gre.Header{PayloadLength: uint16(len(payload)), CallID: callID, HasSequence: true, Sequence: sequence}
	raw(t, c, to, append(h.Append(nil), payload...))
}

func raw(t *testing.T, c tunnel.Conn, to netip.Addr, packet []byte) {
	t.Helper()
	batch := []tunnel.Packet{{Remote: to, Data: packet}}
	if n, err := c.WriteBatch(batch); n != 1 || err != nil || batch[0].Err != nil {
		t.Fatalf("send to %s: %d %v %v", to, n, err, batch[0].Err)
	}
}

// inbox collects what a call is given.
type inbox struct {
	mu  sync.Mutex
	got []string
}

func (i *inbox) deliver(_ time.Time, h gre.Header, payload []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.got = append(i.got, fmt.Sprintf("%d:%s", h.Sequence, payload))
}

func (i *inbox) take() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	got := strings.Join(i.got, " ")
	i.got = nil
	return got
}

// bed is a Mux at work at the PAC's address, and a host each for the PNS and a stranger.
type bed struct {
	mux           *tunnel.Mux
	pns, stranger *gretest.Conn
}

// inBubble runs f in a bubble with a Mux, and ends the Mux afterwards.
func inBubble(t *testing.T, cfg tunnel.MuxConfig, f func(*testing.T, bed)) {
	synctest.Test(t, func(t *testing.T) {
		n := gretest.New(gretest.Config{})
		b := bed{tunnel.NewMux(listen(t, n, pacAddress), cfg), listen(t, n, pnsAddress), listen(t, n, foreign)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.mux.Run(ctx) }()
		f(t, b)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func register(t *testing.T, m *tunnel.Mux, remote netip.Addr, callID uint16) (*tunnel.Call, *inbox) {
	t.Helper()
	in := &inbox{}
	call, err := m.Register(remote, callID, in.deliver)
	if err != nil {
		t.Fatal(err)
	}
	return call, in
}

func TestMuxDelivers(t *testing.T) {
	inBubble(t, tunnel.MuxConfig{}, func(t *testing.T, b bed) {
		_, one := register(t, b.mux, pnsAddress, 1)
		_, zero := register(t, b.mux, pnsAddress, 0)
		_, same := register(t, b.mux, foreign, 1) // the same Call ID for another address is another call
		transmit(t, b.pns, pacAddress, 1, 10, "a")
		transmit(t, b.pns, pacAddress, 0, 20, "b")
		transmit(t, b.stranger, pacAddress, 1, 30, "c")
		transmit(t, b.stranger, pacAddress, 0, 40, "not your call")
		raw(t, b.pns, pacAddress, []byte{0x30, 0x01, 0x88})
		synctest.Wait()
		for _, c := range []struct {
			in   *inbox
			want string
		}{{one, "10:a"}, {zero, "20:b"}, {same, "30:c"}} {
			if got := c.in.take(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		}
		if c, want := b.mux.Counters(), (tunnel.MuxCounters{Delivered: 3, ForeignAddress: 1, Malformed: 1}); c != want {
			t.Errorf("%+v, want %+v", c, want)
		}
		if _, err := b.mux.Register(netip.MustParseAddr("::ffff:192.0.2.2"), 1, one.deliver); !errors.Is(err, tunnel.ErrCallInUse) {
			t.Errorf("registered twice: %v", err)
		}
	})
}

func TestMuxHoldsEarlyPackets(t *testing.T) {
	inBubble(t, tunnel.MuxConfig{EarlyPerCall: 2, EarlyTotal: 3, EarlyTime: time.Second}, func(t *testing.T, b bed) {
		for i := range uint32(3) {
			transmit(t, b.pns, pacAddress, 5, i, "early")
		}
		transmit(t, b.stranger, pacAddress, 5, 7, "x")
		transmit(t, b.pns, pacAddress, 6, 8, "no room")
		synctest.Wait()
		call, in := register(t, b.mux, pnsAddress, 5)
		if got := in.take(); got != "0:early 1:early" {
			t.Errorf("%q", got)
		}
		transmit(t, b.pns, pacAddress, 5, 3, "on time")
		synctest.Wait()
		if got := in.take(); got != "3:on time" {
			t.Errorf("%q", got)
		}
		call.Close()
		if _, again := register(t, b.mux, pnsAddress, 5); again.take() != "" {
			t.Error("early packets delivered twice")
		}
		time.Sleep(time.Second)
		if _, late := register(t, b.mux, foreign, 5); late.take() != "" {
			t.Error("an early packet was kept too long")
		}
		want := tunnel.MuxCounters{Delivered: 1, EarlyHeld: 3, EarlyDropped: 2, EarlyDelivered: 2, EarlyExpired: 1}
		if c := b.mux.Counters(); c != want {
			t.Errorf("%+v, want %+v", c, want)
		}
	})
}

func TestMuxHoldsNothing(t *testing.T) {
	inBubble(t, tunnel.MuxConfig{EarlyTotal: -1}, func(t *testing.T, b bed) {
		transmit(t, b.pns, pacAddress, 5, 0, "early")
		synctest.Wait()
		if c := b.mux.Counters(); c != (tunnel.MuxCounters{UnknownCall: 1}) {
			t.Errorf("%+v", c)
		}
	})
}

func TestMuxClosedCallGetsNothing(t *testing.T) {
	inBubble(t, tunnel.MuxConfig{EarlyTotal: -1}, func(t *testing.T, b bed) {
		call, in := register(t, b.mux, pnsAddress, 5)
		call.Close()
		call.Close() // twice is once
		_, other := register(t, b.mux, pnsAddress, 5)
		call.Close() // and does not hit the new call
		transmit(t, b.pns, pacAddress, 5, 0, "new")
		synctest.Wait()
		if in.take() != "" || other.take() != "0:new" {
			t.Error("delivered to the old call")
		}
	})
}

// While packets stream in, Close returns only when deliver has, and it is never called again. Not in a bubble: waiting for
// a lock would stop its clock.
func TestMuxCloseWaitsForDeliver(t *testing.T) {
	n := gretest.New(gretest.Config{})
	mux, pns := tunnel.NewMux(listen(t, n, pacAddress), tunnel.MuxConfig{}), listen(t, n, pnsAddress)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := mux.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		packet := gre.Header{CallID: 5, HasSequence: true}.Append(nil)
		for ctx.Err() == nil {
			_, _ = pns.WriteBatch([]tunnel.Packet{{Remote: pacAddress, Data: packet}})
			runtime.Gosched()
		}
	})
	for range 100 {
		var inside, closed atomic.Bool
		entered := make(chan bool, 1)
		call, err := mux.Register(pnsAddress, 5, func(time.Time, gre.Header, []byte) {
			inside.Store(true)
			select {
			case entered <- true:
			default:
			}
			runtime.Gosched()
			if closed.Load() {
				t.Error("delivered after Close")
			}
			inside.Store(false)
		})
		if err != nil {
			t.Fatal(err)
		}
		<-entered
		call.Close()
		if closed.Store(true); inside.Load() {
			t.Error("Close has returned during a delivery")
		}
	}
	cancel()
	wg.Wait()
}

func TestCallSends(t *testing.T) {
	inBubble(t, tunnel.MuxConfig{}, func(t *testing.T, b bed) {
		call, _ := register(t, b.mux, pnsAddress, 5)
		h := gre.Header{PayloadLength: 3, CallID: 77, HasSequence: true, Sequence: 4, HasAck: true, Ack: 9}
		for range 2 {
			if err := call.Send(h, []byte("ppp")); err != nil {
				t.Fatal(err)
			}
		}
		batch := tunnel.NewBatch(4)
		n, err := b.pns.ReadBatch(batch)
		if n != 2 || err != nil {
			t.Fatalf("%d packets, %v", n, err)
		}
		for _, p := range batch[:n] {
			if got, payload, err := gre.Parse(p.Data); got != h || string(payload) != "ppp" || err != nil || p.Remote != pacAddress {
				t.Errorf("%+v %q %v from %s", got, payload, err, p.Remote)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		conn := listen(t, gretest.New(gretest.Config{MTU: 100}), pacAddress)
		call, _ := register(t, tunnel.NewMux(conn, tunnel.MuxConfig{}), pnsAddress, 5)
		payload := make([]byte, 100)
		if err := call.Send(gre.Header{PayloadLength: 100, HasSequence: true}, payload); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("too big: %v", err)
		}
		_ = conn.Close()
		if err := call.Send(gre.Header{}, nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}

func TestMuxEndsWithItsConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := listen(t, gretest.New(gretest.Config{}), pacAddress)
		m := tunnel.NewMux(conn, tunnel.MuxConfig{})
		done := make(chan error)
		go func() { done <- m.Run(t.Context()) }()
		synctest.Wait()
		_ = m.Conn().Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}

func TestCallSendDoesNotAllocate(t *testing.T) {
	call, _ := register(t, tunnel.NewMux(discard{}, tunnel.MuxConfig{}), pnsAddress, 5)
	payload := bytes.Repeat([]byte{1}, 1400)
	h := gre.Header{PayloadLength: 1400, HasSequence: true}
	if n := testing.AllocsPerRun(100, func() {
		if err := call.Send(h, payload); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

// discard is a Conn that sends to nowhere.
type discard struct{}

func (discard) Local() netip.Addr                         { return pacAddress }
func (discard) ReadBatch([]tunnel.Packet) (int, error)    { return 0, net.ErrClosed }
func (discard) WriteBatch(b []tunnel.Packet) (int, error) { return len(b), nil }
func (discard) PathErrors() <-chan tunnel.PathError       { return nil }
func (discard) Counters() tunnel.Counters                 { return tunnel.Counters{} }
func (discard) Close() error                              { return nil }
