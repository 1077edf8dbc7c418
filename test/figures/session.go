package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/ppp/peer"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
)

// session is one PPTP client with one call: a control connection, GRE, and a PPP peer with an IP host behind it.
type session struct {
	local  netip.Addr
	gre    *rawGRE
	runner *control.Runner

	mu       sync.Mutex // guards what follows
	peer     *peer.Peer
	receiver *gre.Receiver
	sender   *gre.Sender
	timer    *time.Timer
	trips    []time.Duration // of the echo requests of the present probe
	probed   chan []time.Duration
	probe    uint16 // of stream
	isUp     bool
	ended    bool

	up   chan struct{} // closed when the network is up
	down chan error    // gets why the session is over
}

// fixedID is an Allocator for one call, whose Call ID no other session uses.
type fixedID uint16

// Allocate returns the identifier.
func (f fixedID) Allocate(time.Time) (uint16, bool) { return uint16(f), true }

// Release does nothing.
func (fixedID) Release(time.Time, uint16) {}

// newSession makes a client over an open control connection and sets its call going.
func newSession(t *rawGRE, nc net.Conn, id uint16, name string) (*session, error) {
	var seed [32]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, err
	}
	now := time.Now()
	s := &session{
		local: nc.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap(), gre: t, up: make(chan struct{}), down: make(chan error, 1),
		peer: peer.New(now, peer.Config{Link: link.Config{
			Side: link.Client, Seed: seed, User: name, Secret: auth.PlainSecret(password), Authentication: []auth.Protocol{auth.MSCHAPv2},
			Encryption: ccp.Required, AskDNS: true,
		}}),
	}
	s.timer = time.AfterFunc(time.Hour, s.tick)
	c := control.New(now, control.Config{Originator: true, Self: control.Identity{HostName: "figures", VendorName: "Trunkline"}, CallIDs: fixedID(id)})
	s.runner = control.NewRunner(nc, c, s.control, control.RunnerConfig{})
	t.register(id, s)
	go func() { _ = s.runner.Run(context.Background()) }()
	return s, nil
}

// control takes what the control connection tells.
func (s *session) control(now time.Time, c *control.Connection, a control.Action) {
	switch a := a.(type) {
	case control.Established:
		if _, err := c.RequestOutgoing(now, control.OutgoingRequest{
			MinimumBPS: 300, MaximumBPS: 100_000_000, Bearer: pptp.BearerAnalog | pptp.BearerDigital, Framing: pptp.FramingEither, Window: 64,
		}); err != nil {
			s.end(err)
		}
	case control.OutgoingConnected:
		s.mu.Lock()
		defer s.mu.Unlock()
		theirs, _ := a.Call.Theirs()
		s.receiver = gre.NewReceiver(gre.ReceiverConfig{})
		s.sender = gre.NewSender(now, gre.SenderConfig{CallID: theirs})
		s.peer.Up(now)
		s.perform(now)
	case control.CallEnded:
		s.end(fmt.Errorf("the call has ended: %+v", a.Why))
	case control.ConnectionEnded:
		s.end(fmt.Errorf("the control connection has ended: %v: %w", a.Why, a.Err))
	}
}

// end takes note that the session is over.
func (s *session) end(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.timer.Stop()
	select {
	case s.down <- why:
	default:
	}
}

// close ends the session orderly.
func (s *session) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return s.runner.Shutdown(ctx, pptp.StopNone)
}

// receive takes a GRE packet.
func (s *session) receive(now time.Time, h gre.Header, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receiver == nil || s.ended {
		return
	}
	if h.HasAck {
		s.sender.Acknowledged(now, h.Ack)
	}
	s.receiver.Receive(now, h, payload)
	s.deliver(now)
	s.perform(now)
}

func (s *session) deliver(now time.Time) {
	for f, ok := s.receiver.Next(); ok; f, ok = s.receiver.Next() {
		s.peer.Receive(now, f.Payload, f.Lost)
	}
	s.sender.Owe(now, s.receiver.Ack())
}

// tick does what is due.
func (s *session) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receiver == nil || s.ended {
		return
	}
	now := time.Now()
	s.peer.Tick(now)
	s.receiver.Tick(now)
	s.sender.Tick(now)
	s.deliver(now)
	s.perform(now)
}

// perform does what the peer wants done, acknowledges, and sets the timer.
func (s *session) perform(now time.Time) {
	for actions := s.peer.Actions(); len(actions) > 0; actions = s.peer.Actions() {
		for _, a := range actions {
			s.act(now, a)
		}
	}
	if h, due := s.sender.AckDue(now); due {
		s.gre.send(s.local, h, nil)
	}
	next := now.Add(time.Hour)
	for _, d := range []time.Time{s.peer.Deadline(), s.receiver.Deadline(), s.sender.Deadline()} {
		if !d.IsZero() && d.Before(next) {
			next = d
		}
	}
	s.timer.Reset(time.Until(next))
}

func (s *session) act(now time.Time, a peer.Action) {
	switch a := a.(type) {
	case peer.Send:
		s.gre.send(s.local, s.sender.NextUrgent(now, len(a.Frame)), a.Frame)
	case peer.Reply:
		s.trips = append(s.trips, a.RoundTrip)
	case peer.Done:
		s.probed <- s.trips
	case peer.Event:
		switch e := a.Link.(type) {
		case link.NetworkUp:
			if !s.isUp && e.Encryption != nil {
				s.isUp = true
				close(s.up)
			}
		case link.Ended:
			select {
			case s.down <- fmt.Errorf("the link has ended: %v", e.Reason):
			default:
			}
		}
	}
}

// stream sends echo requests as fast as replies come back, until cancel.
func (s *session) stream(size int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.trips, s.probed = nil, make(chan []time.Duration, 1)
	var err error
	s.probe, err = s.peer.Start(now, peer.Probe{Destination: netip.MustParseAddr(innerAddress), Size: size, Count: 65535, Window: floodWindow, Timeout: 5 * time.Second})
	s.perform(now)
	return err
}

// cancel ends the stream.
func (s *session) cancel() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.peer.Cancel(now, s.probe)
	s.perform(now)
}

// packets is how many IP packets the session has carried in both directions.
func (s *session) packets() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.peer.Counters()
	return float64(c.SentPackets + c.ReceivedPackets)
}

// ping sends echo requests through the tunnel. The channel gets the round trips of those that came back.
func (s *session) ping(count int, interval time.Duration) (<-chan []time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trips, s.probed = nil, make(chan []time.Duration, 1)
	now := time.Now()
	if _, err := s.peer.Start(now, peer.Probe{Destination: netip.MustParseAddr(innerAddress), Size: 56, Count: count, Interval: interval, Timeout: 5 * time.Second}); err != nil {
		return nil, err
	}
	s.perform(now)
	return s.probed, nil
}
