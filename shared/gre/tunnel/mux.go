package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"trunkline.example/shared/gre"
)

// ErrCallInUse: the Call ID is registered for this address already.
var ErrCallInUse = errors.New("tunnel: Call ID is in use")

// Defaults of MuxConfig.
const (
	DefaultEarlyPerCall = 8
	DefaultEarlyTotal   = 64
	DefaultEarlyTime    = 2 * time.Second

	muxBatch = 64
)

// MuxConfig bounds what a Mux keeps for calls that are not registered yet. Zero values ask for the defaults; a negative
// EarlyTotal keeps nothing.
type MuxConfig struct {
	EarlyPerCall int           // packets per pair of address and Call ID
	EarlyTotal   int           // packets in all; none is larger than BufferSize
	EarlyTime    time.Duration // how long

	// Tap is told each packet, from the GRE header on: a received one before it is looked at, one to be sent before it is. It must not block and must not
	// keep the packet. It may be nil.
	Tap func(remote netip.Addr, sent bool, packet []byte)
}

// Deliver takes a packet of a call, with a time that is read once per batch. It must not block, must not keep payload and must not
// call Register of the same Mux or Close of the same Call. It is never called by two goroutines at once, and never after
// Call.Close has returned.
type Deliver func(now time.Time, h gre.Header, payload []byte)

// Nobodys counts the packets for Call IDs that no call had, in time.
func (c *MuxCounters) Nobodys() uint64 { return c.UnknownCall + c.EarlyDropped + c.EarlyExpired }

// MuxCounters count since the Mux was made. Every packet read is counted in exactly one of Delivered, Malformed, UnknownCall,
// ForeignAddress and EarlyDropped, or was held (EarlyHeld).
type MuxCounters struct {
	Delivered      uint64 `json:"delivered"`       // to a registered call when they came
	Malformed      uint64 `json:"malformed"`       // no enhanced GRE header
	ForeignAddress uint64 `json:"foreign_address"` // the Call ID is registered, but not for the address the packet came from
	UnknownCall    uint64 `json:"unknown_call"`    // nobody knows the Call ID, and early packets are not kept
	EarlyHeld      uint64 `json:"early_held"`      // kept for a call that might be registered soon
	EarlyDropped   uint64 `json:"early_dropped"`   // not kept, as there was no room
	EarlyDelivered uint64 `json:"early_delivered"` // of EarlyHeld: delivered when the call was registered
	EarlyExpired   uint64 `json:"early_expired"`   // of EarlyHeld: given up
}

// callKey finds a call: own Call IDs are unique per address of the other side, not in the world.
type callKey struct {
	remote netip.Addr
	callID uint16
}

// Mux hands the packets of one Conn to the calls they belong to. A packet is accepted only from the address that the call was
// registered with; all else is dropped silently and counted, never answered. It is safe for concurrent use.
//
// Packets for a Call ID that nobody has registered are kept for a moment, since GRE may overtake the control message that
// sets up the call.
type Mux struct {
	conn Conn
	cfg  MuxConfig

	mu    sync.RWMutex
	calls map[callKey]*Call
	byID  map[uint16]int // registrations per Call ID, whatever the address

	early      []earlyPacket // in order of arrival; guarded by mu
	earlyCount map[callKey]int

	delivered, malformed, foreign, unknown                atomic.Uint64
	earlyHeld, earlyDropped, earlyDelivered, earlyExpired atomic.Uint64
}

type earlyPacket struct {
	key     callKey
	header  gre.Header
	payload []byte
	at      time.Time
}

// NewMux returns a Mux without calls. Run must be called for anything to arrive.
func NewMux(conn Conn, cfg MuxConfig) *Mux {
	if cfg.EarlyPerCall == 0 {
		cfg.EarlyPerCall = DefaultEarlyPerCall
	}
	if cfg.EarlyTotal == 0 {
		cfg.EarlyTotal = DefaultEarlyTotal
	}
	if cfg.EarlyTime == 0 {
		cfg.EarlyTime = DefaultEarlyTime
	}
	if cfg.Tap == nil {
		cfg.Tap = func(netip.Addr, bool, []byte) {}
	}
	return &Mux{conn: conn, cfg: cfg, calls: map[callKey]*Call{}, byID: map[uint16]int{}, earlyCount: map[callKey]int{}}
}

// Conn returns what the Mux reads from.
func (m *Mux) Conn() Conn { return m.conn }

// Run reads and delivers until ctx ends, when it closes the Conn and returns nil, or until the Conn fails.
func (m *Mux) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = m.conn.Close() })
	defer stop()
	batch := NewBatch(muxBatch)
	for {
		n, err := m.conn.ReadBatch(batch)
		if err != nil {
			if ctx.Err() != nil && errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("tunnel: read GRE on %s: %w", m.conn.Local(), err)
		}
		now := time.Now()
		for i := range batch[:n] {
			m.dispatch(now, batch[i].Remote, batch[i].Data)
		}
	}
}

// dispatch finds the call of one packet.
func (m *Mux) dispatch(now time.Time, remote netip.Addr, data []byte) {
	m.cfg.Tap(remote, false, data)
	h, payload, err := gre.Parse(data)
	if err != nil {
		m.malformed.Add(1)
		return
	}
	key := callKey{remote, h.CallID}
	m.mu.RLock()
	call := m.calls[key]
	m.mu.RUnlock()
	if call == nil {
		if call = m.hold(now, key, h, payload); call == nil {
			return
		}
	}
	if call.deliverOne(now, h, payload) {
		m.delivered.Add(1)
	} else {
		m.unknown.Add(1)
	}
}

// hold keeps a packet of a call that is not known, unless it has become known in between.
func (m *Mux) hold(now time.Time, key callKey, h gre.Header, payload []byte) *Call {
	m.mu.Lock()
	defer m.mu.Unlock()
	if call := m.calls[key]; call != nil {
		return call
	}
	m.expire(now)
	switch {
	case m.byID[key.callID] > 0:
		m.foreign.Add(1)
	case m.cfg.EarlyTotal < 0:
		m.unknown.Add(1)
	case len(m.early) >= m.cfg.EarlyTotal || m.earlyCount[key] >= m.cfg.EarlyPerCall:
		m.earlyDropped.Add(1)
	default:
		m.earlyHeld.Add(1)
		m.earlyCount[key]++
		m.early = append(m.early, earlyPacket{key, h, append([]byte(nil), payload...), now})
	}
	return nil
}

// expire gives up early packets that nobody came for. The caller holds mu.
func (m *Mux) expire(now time.Time) {
	n := 0
	for n < len(m.early) && now.Sub(m.early[n].at) >= m.cfg.EarlyTime {
		m.forget(m.early[n].key)
		n++
	}
	if n > 0 {
		m.earlyExpired.Add(uint64(n))
		m.early = append(m.early[:0], m.early[n:]...)
	}
}

func (m *Mux) forget(key callKey) {
	if m.earlyCount[key]--; m.earlyCount[key] == 0 {
		delete(m.earlyCount, key)
	}
}

// takeEarly removes what is kept for a call. The caller holds mu.
func (m *Mux) takeEarly(now time.Time, key callKey) []earlyPacket {
	m.expire(now)
	var mine []earlyPacket
	others := m.early[:0]
	for _, p := range m.early {
		if p.key == key {
			m.forget(key)
			mine = append(mine, p)
		} else {
			others = append(others, p)
		}
	}
	clear(m.early[len(others):])
	m.early = others
	return mine
}

// Register makes packets from remote that carry callID, which we have assigned, go to deliver. Packets that came early are
// delivered before it returns. The error is ErrCallInUse, wrapped.
func (m *Mux) Register(remote netip.Addr, callID uint16, deliver Deliver) (*Call, error) {
	key := callKey{remote.Unmap(), callID}
	call := &Call{mux: m, key: key, deliver: deliver}
	now := time.Now()
	call.mu.Lock()
	defer call.mu.Unlock()
	m.mu.Lock()
	if m.calls[key] != nil {
		m.mu.Unlock()
		return nil, fmt.Errorf("call %d of %s: %w", callID, key.remote, ErrCallInUse)
	}
	m.calls[key] = call
	m.byID[callID]++
	early := m.takeEarly(now, key)
	m.mu.Unlock()
	for _, p := range early {
		deliver(p.at, p.header, p.payload)
	}
	m.earlyDelivered.Add(uint64(len(early)))
	return call, nil
}

// Counters returns the counters so far. Those of the sockets are the Conn's.
func (m *Mux) Counters() MuxCounters {
	m.mu.Lock()
	m.expire(time.Now())
	m.mu.Unlock()
	return MuxCounters{
		Delivered: m.delivered.Load(), Malformed: m.malformed.Load(),
		ForeignAddress: m.foreign.Load(), UnknownCall: m.unknown.Load(),
		EarlyHeld: m.earlyHeld.Load(), EarlyDropped: m.earlyDropped.Load(),
		EarlyDelivered: m.earlyDelivered.Load(), EarlyExpired: m.earlyExpired.Load(),
	}
}

// Call is the registration of one call with a Mux. It is safe for concurrent use.
type Call struct {
	mux *Mux
	key callKey

	mu      sync.Mutex // held while delivering
	closed  bool
	deliver Deliver

	sending sync.Mutex
	packet  [1]Packet
}

func (c *Call) deliverOne(now time.Time, h gre.Header, payload []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.deliver(now, h, payload)
	return true
}

// Send sends one packet of the call; h must come from the call's gre.Sender, and the order of calls of Send must be that in
// which it gave out the headers. An error other than net.ErrClosed is transient: the packet is lost, the call goes on.
func (c *Call) Send(h gre.Header, payload []byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	p := &c.packet[0]
	p.Remote = c.key.remote
	p.Data = append(h.Append(p.Data[:0]), payload...)
	c.mux.cfg.Tap(c.key.remote, true, p.Data)
	if _, err := c.mux.conn.WriteBatch(c.packet[:]); err != nil {
		return err
	}
	if p.Err != nil {
		return fmt.Errorf("tunnel: send GRE to %s: %w", c.key.remote, p.Err)
	}
	return nil
}

// Close ends the registration: deliver is not called any more when it returns. The Call ID is free again at once; when it is wise to
// use it again is the caller's business.
func (c *Call) Close() {
	m := c.mux
	m.mu.Lock()
	if m.calls[c.key] == c {
		delete(m.calls, c.key)
		if m.byID[c.key.callID]--; m.byID[c.key.callID] == 0 {
			delete(m.byID, c.key.callID)
		}
	}
	m.mu.Unlock()
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
}
