package pac

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/pac/config"
	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/line/linetest"
	"trunkline.example/shared/pptp"
)

// hostile is a network server that does everything wrong that its random numbers tell it, until it is told to behave.
type hostile struct {
	rng     *rand.Rand // used under mu
	gre     tunnel.Conn
	mu      sync.Mutex
	behave  atomic.Bool
	pnsID   uint16
	pacIDs  []uint16
	taken   atomic.Int64 // calls it accepted
	done    context.Context
	workers sync.WaitGroup
}

func (h *hostile) chance(percent int) bool { return h.rnd(100) < percent && !h.behave.Load() }

func (h *hostile) rnd(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rng.IntN(n)
}

// pause waits some random time; false: the test is over.
func (h *hostile) pause(longest time.Duration) bool {
	select {
	case <-h.done.Done():
		return false
	case <-time.After(time.Duration(h.rnd(int(longest)))):
		return true
	}
}

// anyCall is a Call ID that has been used, or none that ever was.
func (h *hostile) anyCall() uint16 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pacIDs) == 0 || h.rng.IntN(10) == 0 {
		return uint16(h.rng.Uint32())
	}
	return h.pacIDs[len(h.pacIDs)-1-h.rng.IntN(min(3, len(h.pacIDs)))]
}

func (h *hostile) serve(nc net.Conn) {
	conn := &hostileConn{h: h, nc: nc, gone: make(chan struct{})}
	h.workers.Go(conn.read)
	h.workers.Go(conn.wreakHavoc)
}

type hostileConn struct {
	h    *hostile
	nc   net.Conn
	gone chan struct{}
}

func (c *hostileConn) send(messages ...pptp.Message) {
	var b []byte
	for _, m := range messages {
		b = m.Append(b)
	}
	_ = c.nc.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = c.nc.Write(b)
}

func (c *hostileConn) read() {
	defer close(c.gone)
	defer c.nc.Close()
	var framer pptp.Framer
	buf := make([]byte, 4096)
	for {
		n, err := c.nc.Read(buf)
		if err != nil {
			return
		}
		framer.Feed(buf[:n])
		for {
			raw, ok, err := framer.Next()
			if err != nil {
				return
			}
			if !ok {
				break
			}
			if m, err := pptp.Decode(raw); err == nil && !c.react(m) {
				return
			}
		}
		if c.h.chance(2) && !c.h.pause(40*time.Second) { // it does not read for a while
			return
		}
	}
}

// react answers a message, somehow; false: it has had enough of the connection.
func (c *hostileConn) react(m pptp.Message) bool {
	h := c.h
	switch m := m.(type) {
	case *pptp.StartControlConnectionRequest:
		if h.chance(10) {
			return h.pause(2 * time.Minute)
		}
		c.send(&pptp.StartControlConnectionReply{ProtocolVersion: 0x100, ResultCode: 1})
	case *pptp.EchoRequest:
		if !h.chance(20) {
			c.send(&pptp.EchoReply{Identifier: m.Identifier, ResultCode: 1})
		}
	case *pptp.StopControlConnectionRequest:
		c.send(&pptp.StopControlConnectionReply{ResultCode: 1})
		return false
	case *pptp.IncomingCallRequest:
		h.mu.Lock()
		h.pacIDs = append(h.pacIDs, m.PACCallID)
		if h.rng.IntN(10) > 0 {
			h.pnsID++ // else two calls get the same
		}
		yes := &pptp.IncomingCallReply{PNSCallID: h.pnsID, PACCallID: m.PACCallID, ResultCode: pptp.IncomingAccept, PacketRecvWindowSize: uint16(h.rng.IntN(20))}
		h.mu.Unlock()
		c.decide(yes)
	}
	return !h.chance(1)
}

func (c *hostileConn) decide(yes *pptp.IncomingCallReply) {
	h := c.h
	no := *yes
	no.ResultCode = pptp.IncomingDoNotAccept
	what := h.rnd(10)
	if h.behave.Load() {
		what = 9
	}
	switch what {
	case 0: // silence
	case 1:
		c.send(&no)
	case 2:
		c.send(yes, yes)
	case 3:
		c.send(yes, &no)
	case 4:
		h.workers.Go(func() {
			select {
			case <-time.After(10 * time.Second):
				c.send(yes)
			case <-c.gone:
			}
		})
	case 5:
		c.send(&pptp.CallClearRequest{PNSCallID: yes.PNSCallID}, yes)
	case 6:
		c.send(yes, &pptp.CallClearRequest{PNSCallID: yes.PNSCallID})
	default:
		h.taken.Add(1)
		c.send(yes)
	}
}

// wreakHavoc sends what nobody asked for.
func (c *hostileConn) wreakHavoc() {
	h := c.h
	for h.pause(8 * time.Second) {
		select {
		case <-c.gone:
			return
		default:
		}
		if h.behave.Load() {
			continue
		}
		id := h.anyCall()
		switch h.rnd(9) {
		case 0:
			for i := range h.rnd(300) {
				c.send(&pptp.SetLinkInfo{PACCallID: id, SendACCM: uint32(i), ReceiveACCM: ^uint32(i)})
			}
		case 1:
			c.send(&pptp.CallClearRequest{PNSCallID: h.pnsIDNow()})
		case 2:
			c.send(&pptp.IncomingCallReply{PNSCallID: h.pnsIDNow(), PACCallID: id, ResultCode: pptp.IncomingAccept})
		case 3:
			c.send(&pptp.OutgoingCallRequest{PNSCallID: uint16(h.rnd(1 << 16)), MinimumBPS: 300, MaximumBPS: 1 << 30})
		case 4:
			c.send(&pptp.CallDisconnectNotify{PACCallID: id, ResultCode: pptp.DisconnectRequest}, &pptp.WANErrorNotify{PNSCallID: id})
		case 5:
			for range h.rnd(100) {
				c.greNonsense(id)
			}
		case 6:
			c.send(&pptp.StopControlConnectionRequest{Reason: 1})
		case 7:
			_ = c.nc.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = c.nc.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
		case 8:
			_ = c.nc.Close()
		}
	}
	_ = c.nc.Close()
}

func (h *hostile) pnsIDNow() uint16 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pnsID
}

func (c *hostileConn) greNonsense(id uint16) {
	h := c.h
	payload := make([]byte, h.rnd(1600))
	header := gre.Header{CallID: id, HasSequence: h.rnd(4) > 0, Sequence: uint32(h.rnd(1 << 30)), HasAck: h.rnd(2) > 0, Ack: uint32(h.rnd(1 << 30)), PayloadLength: uint16(len(payload))}
	if !header.HasSequence {
		payload, header.PayloadLength = nil, 0
	}
	_, _ = h.gre.WriteBatch([]tunnel.Packet{{Remote: pacAddress, Data: append(header.Append(nil), payload...)}})
}

// restless keeps calling a line, and does not wait for good manners either.
func restless(h *hostile, far *linetest.FakeLine) {
	for h.pause(2 * time.Second) {
		ctx, cancel := context.WithTimeout(h.done, 20*time.Second)
		if far.Ring(ctx, linetest.Caller{Number: "1", Dialed: "2"}) == nil {
			if h.rnd(4) == 0 {
				h.pause(4 * time.Second)
			} else if far.Connected(ctx) == nil {
				for range h.rnd(5) {
					_ = far.Send(ctx, hdlc.AppendFrame(nil, make([]byte, 1+h.rnd(1500)), uint32(h.rnd(1<<30))))
					_, _ = far.Receive(ctx, h.rnd(100))
				}
				h.pause(20 * time.Second)
			}
		}
		_ = far.GiveUp(ctx)
		_ = far.HangUp(ctx)
		cancel()
	}
}

// Whatever a network server does, pac neither stops nor hangs, keeps nothing, and serves calls as soon as the server behaves.
func TestHostileServer(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) { hostileRun(t, seed) })
	}
}

func hostileRun(t *testing.T, seed uint64) {
	h := &hostile{rng: rand.New(rand.NewPCG(seed, 1))}
	var stop context.CancelFunc
	h.done, stop = context.WithCancel(context.Background())
	x := startOn(t, nil, nil, func(c *config.Config) { c.PNS = c.PNS[:1]; c.Routes = []config.Route{{PNS: []string{c.PNS[0].Name}}} }, func(x *bench) Driver {
		h.gre = x.pns[x.server.config().PNS[0].Name].gre
		x.server.dial = func(context.Context, config.PNS) (net.Conn, netip.Addr, error) {
			ours, theirs := net.Pipe()
			h.serve(theirs)
			return ours, pacAddress, nil
		}
		return fakeDriver{x.fake}
	})
	var callers sync.WaitGroup
	for _, far := range x.fake.Lines() {
		callers.Go(func() { restless(h, far) })
	}
	<-time.After(20 * time.Minute)
	h.behave.Store(true)
	<-time.After(5 * time.Minute)
	if n := h.taken.Load(); n == 0 {
		t.Errorf("seed %d: no call was ever taken", seed)
	}
	before := h.taken.Load()
	<-time.After(5 * time.Minute)
	if h.taken.Load() == before {
		t.Errorf("seed %d: a server that behaves gets no calls: %+v %+v", seed, x.server.PNS(), x.server.Lines())
	}
	stop()
	callers.Wait()
	for _, far := range x.fake.Lines() {
		_ = far.HangUp(t.Context())
		_ = far.GiveUp(t.Context())
	}
	<-time.After(time.Minute)
	for _, l := range x.server.Lines() {
		if l.Call != nil {
			t.Errorf("seed %d: left behind: %+v", seed, l.Call)
		}
	}
	if n := x.server.PNS()[0]; n.Calls != 0 {
		t.Errorf("seed %d: %+v", seed, n)
	}
	x.stop()
	if err := <-x.done; err != nil {
		t.Error(err)
	}
	for _, p := range x.pns {
		_ = p.gre.Close()
	}
	h.workers.Wait()
}
