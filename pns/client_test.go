package pns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/ppp/peer"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
)

// client is a PPTP client with one call: an Internet client (the PNS of its call) or an access concentrator (the PAC). One
// goroutine owns it all; the test gives it commands by do and hears of everything on news.
type client struct {
	w       *world
	nc      net.Conn
	gre     tunnel.Conn
	server  netip.Addr
	news    chan any
	skipped []any // of news, by await
	mail    chan func(now time.Time)
	octets  chan []byte
	greIn   chan []byte
	quit    chan struct{}
	done    chan struct{}

	control  *control.Connection
	peer     *peer.Peer
	receiver *gre.Receiver
	sender   *gre.Sender
	call     control.Call
	drop     atomic.Bool // no GRE is sent or received any more
	shared   *client     // behind the same NAT: its GRE socket is used
	guest    chan []byte // GRE of the client that shares ours
	hasGuest atomic.Bool
}

// dialer says what a client does.
type dialer struct {
	from       string // address, "" = a fresh one of 127.0.0.0/8
	user       string // "": alice, with her password
	password   string
	host       string                  // Host Name
	pac        bool                    // offer an incoming call instead of requesting an outgoing one
	noCall     bool                    // only the control connection
	answer     *control.OutgoingAnswer // to calls that are ordered, as a PAC; nil: none
	answers    bool                    // as a server: who calls has to log in as the user
	encryption ccp.Policy
	protocols  []auth.Protocol
	echo       time.Duration
	dialing    string
	behind     *client // behind the same NAT
}

// noGRE is for clients without a call, of which there may be several at one address.
type noGRE struct{ tunnel.Conn }

func (noGRE) ReadBatch([]tunnel.Packet) (int, error) { return 0, net.ErrClosed }
func (noGRE) Close() error                           { return nil }

var nextClient atomic.Uint32

// news of the control connection and of the link come as they are; the end of TCP as tcpEnded.
type tcpEnded struct{ err error }

func (w *world) dial(d dialer) *client {
	w.t.Helper()
	c, err := w.tryDial(d)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) tryDial(d dialer) (*client, error) {
	w.t.Helper()
	if d.behind != nil {
		d.from = d.behind.gre.Local().String()
	}
	if d.from == "" {
		n := nextClient.Add(1)
		d.from = fmt.Sprintf("127.%d.%d.%d", 1+n>>16&0x7f, n>>8&0xff, n&0xff)
	}
	if d.user == "" {
		d.user, d.password = "alice", "Passw0rd"
	}
	if d.protocols == nil {
		d.protocols = []auth.Protocol{auth.MSCHAPv2}
	}
	from := netip.MustParseAddr(d.from)
	var conn tunnel.Conn = noGRE{}
	if d.behind != nil {
		conn = d.behind.gre
	} else if !d.noCall || d.answer != nil {
		var err error
		if conn, err = w.net.Listen(from); err != nil {
			return nil, err
		}
	}
	target := w.server.Addresses()[0]
	nc, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}, Timeout: patience}).Dial("tcp4", target.String())
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c := &client{
		w: w, nc: nc, gre: conn, server: target.Addr(), news: make(chan any, 4096), mail: make(chan func(time.Time)),
		octets: make(chan []byte), greIn: make(chan []byte), guest: make(chan []byte), shared: d.behind, quit: make(chan struct{}), done: make(chan struct{}),
	}
	ids, err := control.NewPool(control.PoolConfig{Seed: seed()})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c.control = control.New(now, control.Config{
		Originator: true, Self: control.Identity{HostName: d.host, VendorName: "test"},
		CallIDs: ids.For(control.Pair{Ours: from, Theirs: target.Addr()}),
	})
	c.peer = newPeer(now, d)
	go c.readTCP()
	if d.behind == nil {
		go c.readGRE()
	} else {
		c.greIn = d.behind.guest
		d.behind.hasGuest.Store(true)
	}
	go c.run(d)
	w.t.Cleanup(c.kill)
	return c, nil
}

func newPeer(now time.Time, d dialer) *peer.Peer {
	if d.answers {
		return peer.New(now, peer.Config{Link: link.Config{
			Side: link.Server, Seed: seed(), Authentication: d.protocols, Encryption: d.encryption, Async: true,
			LocalAddress: netip.MustParseAddr("192.0.2.100"), PeerAddress: netip.MustParseAddr("192.0.2.200"),
		}})
	}
	return peer.New(now, peer.Config{Link: link.Config{
		Side: link.Client, Seed: seed(), User: d.user, Secret: auth.PlainSecret(d.password), Authentication: d.protocols,
		Encryption: d.encryption, AskDNS: true, Async: d.pac, ACCM: 0x000a0000, Timers: link.Timers{EchoInterval: d.echo},
	}})
}

func (c *client) readTCP() {
	defer close(c.octets)
	for {
		b := make([]byte, 4096)
		n, err := c.nc.Read(b)
		if n > 0 {
			select {
			case c.octets <- b[:n]:
			case <-c.quit:
				return
			}
		}
		if err != nil {
			c.tell(tcpEnded{err})
			return
		}
	}
}

func (c *client) readGRE() {
	batch := tunnel.NewBatch(64)
	for {
		n, err := c.gre.ReadBatch(batch)
		if err != nil {
			return
		}
		for _, p := range batch[:n] {
			for _, to := range []chan []byte{c.greIn, c.guest} {
				if to == c.guest && !c.hasGuest.Load() {
					continue
				}
				select {
				case to <- append([]byte(nil), p.Data...):
				case <-c.quit:
					return
				}
			}
		}
	}
}

func (c *client) tell(v any) {
	select {
	case c.news <- v:
	default:
		panic("a test does not listen to its client")
	}
}

// run is the loop that owns everything.
func (c *client) run(d dialer) {
	defer close(c.done)
	for {
		now := time.Now()
		c.perform(now, d)
		timer := time.NewTimer(c.wait(now))
		select {
		case <-c.quit:
			timer.Stop()
			return
		case f := <-c.mail:
			f(time.Now())
		case b, ok := <-c.octets:
			if !ok {
				c.octets = nil
				c.control.TransportClosed(time.Now(), nil)
			} else {
				c.control.Receive(time.Now(), b)
			}
		case b := <-c.greIn:
			c.receive(time.Now(), b)
		case <-timer.C:
			c.control.Tick(time.Now())
			c.peer.Tick(time.Now())
			c.reordered(time.Now())
		}
		timer.Stop()
	}
}

func (c *client) wait(now time.Time) time.Duration {
	at := now.Add(time.Hour)
	deadlines := []time.Time{c.control.Deadline(), c.peer.Deadline()}
	if c.receiver != nil {
		deadlines = append(deadlines, c.receiver.Deadline())
	}
	for _, d := range deadlines {
		if !d.IsZero() && d.Before(at) {
			at = d
		}
	}
	return max(at.Sub(now), 0)
}

func (c *client) receive(now time.Time, b []byte) {
	h, payload, err := gre.Parse(b)
	if err != nil || c.receiver == nil || c.drop.Load() {
		return
	}
	if h.CallID != c.call.Own() && (c.shared != nil || c.hasGuest.Load()) {
		return // for the other one
	}
	if h.CallID != c.call.Own() {
		c.tell(fmt.Errorf("GRE for call %d, want %d", h.CallID, c.call.Own()))
		return
	}
	if h.HasAck {
		c.sender.Acknowledged(now, h.Ack)
	}
	c.receiver.Receive(now, h, payload)
	c.deliver(now)
}

func (c *client) reordered(now time.Time) {
	if c.receiver != nil {
		c.receiver.Tick(now)
		c.deliver(now)
	}
}

func (c *client) deliver(now time.Time) {
	for f, ok := c.receiver.Next(); ok; f, ok = c.receiver.Next() {
		c.peer.Receive(now, f.Payload, f.Lost)
	}
	c.sender.Owe(now, c.receiver.Ack())
}

func (c *client) perform(now time.Time, d dialer) {
	for {
		actions := c.control.Actions()
		for _, a := range actions {
			c.controlAction(now, a, d)
		}
		frames := c.peer.Actions()
		for _, a := range frames {
			switch a := a.(type) {
			case peer.Send:
				c.send(now, a.Frame)
			case peer.Event:
				if a, ok := a.Link.(link.Authenticate); ok {
					c.peer.Authenticated(now, auth.Verify(a.Attempt, auth.PlainSecret(d.password)))
				}
				c.tell(a.Link)
			default:
				c.tell(a)
			}
		}
		if len(actions)+len(frames) == 0 {
			return
		}
	}
}

func (c *client) send(now time.Time, frame []byte) {
	if c.sender == nil || c.drop.Load() {
		return
	}
	h := c.sender.NextUrgent(now, len(frame))
	if _, err := c.gre.WriteBatch([]tunnel.Packet{{Remote: c.server, Data: append(h.Append(nil), frame...)}}); err != nil {
		return
	}
	c.peer.Written(now, 1)
}

func (c *client) controlAction(now time.Time, a control.Action, d dialer) {
	switch a := a.(type) {
	case control.Send:
		_, _ = c.nc.Write(a.Bytes)
		return
	case control.Close:
		_ = c.nc.Close()
	case control.Established:
		if !d.noCall {
			c.place(now, d)
		}
	case control.OutgoingConnected:
		c.start(now, a.Call)
	case control.OutgoingRequested:
		if d.answer == nil {
			break
		}
		if err := c.control.AnswerOutgoing(now, a.Call.Own(), *d.answer); err != nil {
			c.tell(err)
		}
		if d.answer.Result == 0 {
			c.start(now, a.Call)
		}
	case control.IncomingAccepted:
		if err := c.control.ConfirmIncoming(now, a.Call.Own(), control.LineConnected{ConnectSpeed: 33600, Framing: pptp.FramingAsynchronous, Window: 64}); err != nil {
			c.tell(err)
		}
		c.start(now, a.Call)
	case control.ClearRequested:
		c.peer.Down(now)
		if err := c.control.DisconnectCall(now, a.Call.Own(), control.Disconnect{}); err != nil {
			c.tell(err)
		}
	case control.CallEnded:
		c.peer.Down(now)
	}
	c.tell(a)
}

func (c *client) place(now time.Time, d dialer) {
	var err error
	if d.pac {
		_, err = c.control.OfferIncoming(now, control.IncomingOffer{Bearer: pptp.BearerAnalog, DialedNumber: "5550100", DialingNumber: d.dialing})
	} else {
		_, err = c.control.RequestOutgoing(now, control.OutgoingRequest{MinimumBPS: 300, MaximumBPS: 100_000_000, Bearer: 3, Framing: pptp.FramingEither, Window: 64})
	}
	if err != nil {
		c.tell(err)
	}
}

func (c *client) start(now time.Time, call control.Call) {
	c.call = call
	theirs, _ := call.Theirs()
	c.receiver = gre.NewReceiver(gre.ReceiverConfig{})
	c.sender = gre.NewSender(now, gre.SenderConfig{CallID: theirs, Advertised: 3}) // acknowledges each packet
	c.peer.Up(now)
}

// do runs f in the client's loop.
func (c *client) do(f func(now time.Time)) {
	c.w.t.Helper()
	ran := make(chan struct{})
	select {
	case c.mail <- func(now time.Time) { f(now); close(ran) }:
		<-ran
	case <-c.done:
		c.w.t.Fatal("the client has ended")
	}
}

// kill ends the client without a word.
func (c *client) kill() {
	select {
	case <-c.quit:
		return
	default:
	}
	close(c.quit)
	_ = c.nc.Close()
	_ = c.gre.Close()
	<-c.done
}

// await waits for news of one type. What comes meanwhile is kept for later awaits.
func await[T any](c *client) T {
	c.w.t.Helper()
	for i, n := range c.skipped {
		if v, ok := n.(T); ok {
			c.skipped = append(c.skipped[:i:i], c.skipped[i+1:]...)
			return v
		}
	}
	deadline := time.After(patience)
	for {
		select {
		case n := <-c.news:
			if v, ok := n.(T); ok {
				return v
			}
			if err, ok := n.(error); ok {
				c.w.t.Fatal(err)
			}
			c.skipped = append(c.skipped, n)
		case <-deadline:
			var want T
			c.w.t.Fatalf("no %T; seen: %T", want, c.skipped)
		}
	}
}

// ping sends n echo requests of a size to the server's TUN side, which echo answers, and wants all of them back.
func (c *client) ping(to netip.Addr, size, n int) {
	c.w.t.Helper()
	c.do(func(now time.Time) {
		if _, err := c.peer.Start(now, peer.Probe{Destination: to, Size: size, Count: n, Timeout: 5 * time.Second}); err != nil {
			c.tell(err)
		}
	})
	if d := await[peer.Done](c); d.Statistics.Lost > 0 || d.Statistics.Corrupt > 0 || d.Statistics.Received != uint64(n) {
		c.w.t.Fatalf("ping of %d octets: %+v", size, d.Statistics)
	}
}

// echo answers pings that come out of the TUN, as a host behind the server would.
func (w *world) echo(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-w.tun.Sent():
			if len(p) < 28 || p[9] != 1 || p[20] != 8 {
				continue
			}
			src := [4]byte(p[12:16])
			copy(p[12:16], p[16:20])
			copy(p[16:20], src[:])
			p[20] = 0
			sum := uint32(p[22])<<8 | uint32(p[23])
			sum += 0x0800
			sum = sum>>16 + sum&0xffff
			p[22], p[23] = byte(sum>>8), byte(sum)
			if w.tun.Inject(p) != nil {
				return
			}
		}
	}
}

func (w *world) startEcho() {
	ctx, cancel := context.WithCancel(context.Background())
	go w.echo(ctx)
	w.t.Cleanup(cancel)
}
