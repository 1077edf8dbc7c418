// Package relay is the data path of one call: octets of a line to PPP frames to GRE packets, and back (RFC 2637 section 4, RFC
// 1662). It never looks into a frame further than framing needs.
//
// Towards the line, packets wait in a queue about as long as the window that the PAC advertises, and an acknowledgement says that the line
// has taken a packet and will have carried it in a moment, not that it has come: so the network server's window holds back what the line cannot carry yet. When the line has
// taken all there is, everything that has come is acknowledged, also what was dropped or empty. The other way it is the network server's window
// that is kept: while it is full the line is not read, and its own flow control holds the caller back.
//
// Three goroutines serve a call: one reads the line, one writes it, and one waits for what is due in time. Packets from the tunnel are
// delivered by the tunnel's own. They share the flow state under one lock; a line is slow.
package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/line"
)

// Config is one call.
type Config struct {
	Line      line.Line      // connected
	Connected line.Connected // what the line is like
	Mux       *tunnel.Mux
	Remote    netip.Addr // of the network server
	PACCallID uint16
	PNSCallID uint16
	PNSWindow uint16 // packets the network server buffers; 0: not stated
	Window    uint16 // packets we advertise and queue
	// Tap is told each good frame that the line has received, and each that it has taken to be sent. It must not block and must not keep the frame. It
	// may be nil.
	Tap func(sent bool, frame []byte)
}

// Counters are of one call. "In" is from the line.
type Counters struct {
	LineOctetsIn   uint64   `json:"line_octets_in"` // as on the line
	LineOctetsOut  uint64   `json:"line_octets_out"`
	FramesIn       uint64   `json:"frames_in"` // good frames
	FramesOut      uint64   `json:"frames_out"`
	FrameOctetsIn  uint64   `json:"frame_octets_in"` // of good frames, without framing
	FrameOctetsOut uint64   `json:"frame_octets_out"`
	FCSErrors      uint64   `json:"fcs_errors"`
	Aborted        uint64   `json:"aborted"` // frames
	Oversized      uint64   `json:"oversized"`
	Stalled        uint64   `json:"stalled"`         // writes that the line gave up
	LineDropped    uint64   `json:"line_dropped"`    // frames to the line for which there was no room
	TunnelSent     uint64   `json:"tunnel_sent"`     // GRE packets with payload
	TunnelDropped  uint64   `json:"tunnel_dropped"`  // frames from the line that could not be sent
	TunnelReceived uint64   `json:"tunnel_received"` // GRE packets with payload, in order
	Lost           uint64   `json:"lost"`            // GRE packets that never came
	Late           uint64   `json:"late"`            // GRE packets that came after their turn was given up
	Duplicates     uint64   `json:"duplicates"`      // GRE packets that came twice
	Reordered      uint64   `json:"reordered"`       // GRE packets that came early and were put in order
	Stalls         uint64   `json:"stalls"`          // times that the line had to wait for the network server's window
	Flow           gre.Flow `json:"flow"`            // towards the network server
}

const (
	// readSize is how much is read from the line at once.
	readSize = 2048
	// spare is room in the queue for what network servers send without regard to the window: LCP and the like.
	spare = 8
)

// Relay is the data path of one call. Its methods are safe for concurrent use.
type Relay struct {
	cfg   Config
	call  *tunnel.Call
	queue chan queued
	done  chan struct{} // Stop was called
	idle  chan struct{} // and all goroutines have ended
	kick  chan struct{} // the next deadline may have changed
	wg    sync.WaitGroup

	accmMu      sync.Mutex
	sendACCM    uint32
	receiveACCM uint32

	mu       sync.Mutex // guards what follows, and the order of packets sent
	receiver *gre.Receiver
	sender   *gre.Sender
	stopped  bool
	count    Counters
	deframer hdlc.DeframerCounters
	// oversized counts what was too long to be read from a synchronous line, unwritten the frames in the queue and on their way to the line.
	oversized uint64
	unwritten int
	spare     [][]byte  // frames of the queue that have been written, to be used again
	armed     time.Time // when watchTime will look; zero: it waits for rearm
	deaf      bool      // the line takes nothing more: its call is over
	room      sync.Cond // of mu: there may be room in the network server's window
}

// queued is a frame on its way to the line.
type queued struct {
	frame    []byte
	sequence uint32
}

// Start begins to relay. The line must be connected and the Call ID unused on the tunnel.
func Start(cfg Config) (*Relay, error) {
	if cfg.Window == 0 {
		return nil, errors.New("relay: a window of 0 packets cannot be advertised")
	}
	if cfg.Tap == nil {
		cfg.Tap = func(bool, []byte) {}
	}
	now := time.Now()
	r := &Relay{
		cfg: cfg, queue: make(chan queued, int(cfg.Window)+spare), done: make(chan struct{}), idle: make(chan struct{}), kick: make(chan struct{}, 1),
		sendACCM: hdlc.DefaultACCM, receiveACCM: hdlc.DefaultACCM,
		receiver: gre.NewReceiver(gre.ReceiverConfig{}),
		sender:   gre.NewSender(now, gre.SenderConfig{CallID: cfg.PNSCallID, Enforce: true, Window: cfg.PNSWindow, Advertised: cfg.Window}),
	}
	r.room.L = &r.mu
	var err error
	if r.call, err = cfg.Mux.Register(cfg.Remote, cfg.PACCallID, r.deliver); err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	r.wg.Go(r.readLine)
	r.wg.Go(r.writeLine)
	r.wg.Go(r.watchTime)
	go func() {
		r.wg.Wait()
		close(r.idle)
	}()
	return r, nil
}

// SetACCM applies Set-Link-Info (RFC 2637 section 2.15), separately for the two directions, from the next frame on.
func (r *Relay) SetACCM(send, receive uint32) {
	r.accmMu.Lock()
	defer r.accmMu.Unlock()
	r.sendACCM, r.receiveACCM = send, receive
}

func (r *Relay) accm() (send, receive uint32) {
	r.accmMu.Lock()
	defer r.accmMu.Unlock()
	return r.sendACCM, r.receiveACCM
}

// Stop ends the relay. Goroutines that wait for the line end when its call does; Done tells when. Stopping twice does nothing.
func (r *Relay) Stop() {
	r.mu.Lock()
	already := r.stopped
	r.stopped = true
	r.mu.Unlock()
	if already {
		return
	}
	close(r.done)
	r.room.Broadcast()
	r.call.Close()
}

// Done is closed when nothing of the relay touches the line any more: after Stop and the end of the line's call.
func (r *Relay) Done() <-chan struct{} { return r.idle }

// Counters tells what was counted so far.
func (r *Relay) Counters() Counters {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, in, out := r.count, r.receiver.Counters(), r.sender.Counters()
	c.FCSErrors, c.Aborted, c.Oversized = r.deframer.FCSErrors, r.deframer.Aborts, r.deframer.Oversize+r.oversized
	c.TunnelSent, c.TunnelReceived = out.Packets, in.Packets
	c.Lost, c.Late, c.Duplicates, c.Reordered = in.Lost, in.Late+in.Strays, in.Duplicates, in.Reordered
	c.Flow = r.sender.Flow()
	return c
}
