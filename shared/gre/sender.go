package gre

import (
	"errors"
	"fmt"
	"time"
)

// ErrState: a state to restore from contradicts itself or the configuration.
var ErrState = errors.New("gre: invalid state")

// Defaults and bounds of SenderConfig.
const (
	// DefaultAckDelay is how long an acknowledgement waits for a packet to ride on (100 ms as Windows; RFC 2637 is silent).
	DefaultAckDelay = 100 * time.Millisecond
	// DefaultWindow is the receive window to advertise in packets. Never advertise 0: macOS would send one packet at a
	// time. Windows 95 with DUN 1.2 stalls with small ones.
	DefaultWindow = 64
	// MaxWindow bounds the send window that is enforced.
	MaxWindow = 256
	// DefaultMinTimeout bounds the adaptive time-out below. RFC 2637 gives no value; pptp-linux and macOS acknowledge a
	// single packet only after half a second, which must not count as a loss.
	DefaultMinTimeout = 500 * time.Millisecond
	// DefaultMaxTimeout bounds it above (10 s as ng_pptpgre). It also is how long a call may go without its first
	// acknowledgement before the window is switched off.
	DefaultMaxTimeout = 10 * time.Second

	minRTT     = 100 * time.Millisecond // first estimate when the processing delay says less (as ng_pptpgre)
	minHistory = 16                     // send times remembered at least
	// maxInARow time-outs without a word: a peer that has ceased to acknowledge is not waited for any more until it does again.
	maxInARow = 4
)

// The constants of the adaptive time-out (RFC 2637 section 4.4): alpha and beta as divisors.
const (
	alphaDivisor = 8
	betaDivisor  = 4
	chi          = 4
	delta        = 2
)

// SenderConfig is what a Sender is told once.
type SenderConfig struct {
	// CallID goes into each header: the one assigned by the receiver of these packets.
	CallID uint16
	// First is the first sequence number; RFC 2637 section 4.1 says 0.
	First uint32
	// Enforce asks for the sliding window of RFC 2637 section 4.2. It is for peers known to acknowledge promptly, as our
	// own pac does: with others (pptp-linux states a window of 3) a window costs throughput and wins nothing.
	Enforce bool
	// Window is the Packet Recv. Window Size the receiver of these packets stated, in packets. 0 = not stated (a Windows
	// server): nothing is enforced then. More than MaxWindow counts as MaxWindow.
	Window uint16
	// ProcessingDelay is what the receiver of these packets stated (Packet Processing or Transmit Delay; there in tenths
	// of a second). It is the first estimate of the round trip.
	ProcessingDelay time.Duration
	// Advertised is the Packet Recv. Window Size we stated, in packets: half of it received but not acknowledged makes an
	// acknowledgement urgent. 0 = DefaultWindow.
	Advertised uint16
	// AckDelay bounds how long an acknowledgement waits; 0 = DefaultAckDelay.
	AckDelay time.Duration
	// MinTimeout and MaxTimeout bound the adaptive time-out; 0 = the defaults.
	MinTimeout, MaxTimeout time.Duration
}

// Enforcement says what a Sender does about its window.
type Enforcement uint8

const (
	// EnforcementOff: never, because nobody asked, no window was stated, or the other side never acknowledged.
	EnforcementOff Enforcement = iota
	// EnforcementPending: not yet, as nothing has been acknowledged so far (Linux and Android may never do so), or not now, as nothing
	// has been for a long time.
	EnforcementPending
	// EnforcementOn: packets beyond the window are refused.
	EnforcementOn
)

// String returns the name for logs.
func (e Enforcement) String() string {
	switch e {
	case EnforcementOff:
		return "off"
	case EnforcementPending:
		return "pending"
	case EnforcementOn:
		return "on"
	}
	return fmt.Sprintf("enforcement %d", uint8(e))
}

// MarshalText writes the name.
func (e Enforcement) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads the name.
func (e *Enforcement) UnmarshalText(text []byte) error {
	for known := EnforcementOff; known <= EnforcementOn; known++ {
		if known.String() == string(text) {
			*e = known
			return nil
		}
	}
	return fmt.Errorf("gre: %q is no enforcement of a window", text)
}

// SenderCounters count since the beginning of the call.
type SenderCounters struct {
	Packets     uint64 // with a sequence number
	Octets      uint64 // payload of these
	Piggybacked uint64 // of Packets: carried an acknowledgement
	AckOnly     uint64 // stand-alone acknowledgements
	Refused     uint64 // packets refused because the window was full
	Acks        uint64 // acknowledgements received that said something new
	StaleAcks   uint64 // acknowledgements received of what was acknowledged before
	BogusAcks   uint64 // acknowledgements received of what was never sent; ignored
	Timeouts    uint64 // adaptive time-outs
}

// SenderState is a Sender as plain data. Times are relative to Epoch where they are durations.
type SenderState struct {
	Epoch time.Time
	Next  uint32 // sequence number of the next packet

	Owed      Ack       // latest from the Receiver
	AckedUpTo uint32    // what our last acknowledgement said, or one less than the first number owed
	OwedSince time.Time // zero = nothing is owed

	Enforcement  Enforcement
	Window       uint32          // packets allowed in flight
	MaxWindow    uint32          // bound of Window
	Floor        uint32          // first number in flight; a time-out counts as acknowledgement here
	Unacked      uint32          // first number never acknowledged
	Mark         uint32          // Window grows when Floor gets here
	WaitingSince time.Time       // since when the adaptive time-out runs; zero = nothing in flight
	SentAt       []time.Duration // when the number n was sent: SentAt[n % len], for the last len numbers
	RTT          time.Duration
	Deviation    time.Duration
	Timeout      time.Duration
	InARow       uint32 // time-outs since the last acknowledgement that said something new

	Counters SenderCounters
}

// Sender is the sending half of one call's flow. It hands out the header of each packet, with an acknowledgement riding
// on it when there is news, says when an acknowledgement must travel alone, and keeps the window. It is not safe for
// concurrent use.
type Sender struct {
	cfg  SenderConfig
	mask uint32
	s    SenderState
}

// NewSender returns a Sender that has sent nothing. now is the origin of its times.
func NewSender(now time.Time, cfg SenderConfig) *Sender {
	s := &Sender{cfg: withDefaults(cfg)}
	s.s = SenderState{Epoch: now, Next: cfg.First, RTT: max(cfg.ProcessingDelay, minRTT)}
	s.adapt()
	s.SetWindow(cfg.Window)
	return s
}

// SetCallID tells SenderConfig.CallID when it becomes known only after the Sender was made, as with Outgoing-Call-Reply. It must be
// called before anything is sent.
func (s *Sender) SetCallID(id uint16) { s.cfg.CallID = id }

// SetWindow tells SenderConfig.Window when it becomes known only after the Sender was made, as with
// Incoming-Call-Connected. It begins with an empty window: nothing sent before counts or is waited for.
func (s *Sender) SetWindow(window uint16) {
	s.cfg.Window = window
	st := &s.s
	st.MaxWindow = min(uint32(window), MaxWindow)
	history := uint32(minHistory)
	for history < st.MaxWindow {
		history <<= 1
	}
	s.mask = history - 1
	st.SentAt = make([]time.Duration, history)
	// Half the window to begin with (RFC 2637 section 4.2.1).
	st.Window = max((st.MaxWindow+1)/2, 1)
	st.Floor, st.Unacked, st.Mark = st.Next, st.Next, st.Next+st.Window
	st.WaitingSince = time.Time{}
	st.Enforcement = EnforcementOff
	if s.cfg.Enforce && window > 0 {
		st.Enforcement = EnforcementPending
	}
}

func withDefaults(cfg SenderConfig) SenderConfig {
	if cfg.Advertised == 0 {
		cfg.Advertised = DefaultWindow
	}
	if cfg.AckDelay <= 0 {
		cfg.AckDelay = DefaultAckDelay
	}
	if cfg.MinTimeout <= 0 {
		cfg.MinTimeout = DefaultMinTimeout
	}
	if cfg.MaxTimeout <= 0 {
		cfg.MaxTimeout = DefaultMaxTimeout
	}
	return cfg
}

// Next returns the header of the next packet, whose payload has length octets (at most MaxPayload). ok is false when the
// window is full: the packet must be dropped or kept back, before it is encrypted. Every header returned must be sent, in
// this order: receivers as old as Windows 2000 drop what is out of order.
func (s *Sender) Next(now time.Time, length int) (h Header, ok bool) {
	if s.s.Enforcement == EnforcementOn && s.s.Next-s.s.Floor >= s.s.Window {
		s.Tick(now)
		if s.s.Next-s.s.Floor >= s.s.Window {
			s.s.Counters.Refused++
			return Header{}, false
		}
	}
	return s.NextUrgent(now, length), true
}

// NextUrgent is Next without regard to the window, for packets the call's life depends on (LCP, authentication).
func (s *Sender) NextUrgent(now time.Time, length int) Header {
	h := Header{PayloadLength: uint16(length), CallID: s.cfg.CallID, HasSequence: true, Sequence: s.s.Next}
	s.s.SentAt[s.s.Next&s.mask] = now.Sub(s.s.Epoch)
	if s.s.Next == s.s.Floor {
		s.s.WaitingSince = now
	}
	s.s.Next++
	s.s.Counters.Packets++
	s.s.Counters.Octets += uint64(length)
	if ack, ok := s.owed(); ok {
		h.HasAck, h.Ack = true, ack
		s.acknowledge(ack)
		s.s.Counters.Piggybacked++
	}
	return h
}

// Full says whether Next would refuse a packet unless a time-out is due.
func (s *Sender) Full() bool {
	return s.s.Enforcement == EnforcementOn && s.s.Next-s.s.Floor >= s.s.Window
}

// Owe tells what the Receiver of the other direction would acknowledge (Receiver.Ack). It may be called for every packet,
// once for a batch, or just before Next and AckDue; the delay of the acknowledgement begins with it.
func (s *Sender) Owe(now time.Time, ack Ack) {
	if ack == s.s.Owed {
		return
	}
	sequence, ok := ack.Sequence()
	if !ok {
		return
	}
	if s.s.Owed == 0 {
		s.s.AckedUpTo = sequence - 1
	}
	s.s.Owed = ack
	if sequence == s.s.AckedUpTo {
		s.s.OwedSince = time.Time{}
	} else if s.s.OwedSince.IsZero() {
		s.s.OwedSince = now
	}
}

// owed returns the acknowledgement that has not been sent yet.
func (s *Sender) owed() (uint32, bool) {
	if s.s.OwedSince.IsZero() {
		return 0, false
	}
	return s.s.Owed.Sequence()
}

func (s *Sender) acknowledge(sequence uint32) {
	s.s.AckedUpTo = sequence
	s.s.OwedSince = time.Time{}
}

// AckDue returns the header of a stand-alone acknowledgement when one must be sent now: after AckDelay, or at once when
// half of the advertised window is unacknowledged. Before the first packet with a payload has come there is none: it would upset
// old peers.
func (s *Sender) AckDue(now time.Time) (Header, bool) {
	ack, ok := s.owed()
	if !ok {
		return Header{}, false
	}
	// A sequence that was restarted may lie behind what was acknowledged; the difference is large then.
	if ack-s.s.AckedUpTo < max(uint32(s.cfg.Advertised)/2, 1) && now.Sub(s.s.OwedSince) < s.cfg.AckDelay {
		return Header{}, false
	}
	return s.FlushAck()
}

// FlushAck returns the header of a stand-alone acknowledgement if any is owed, without waiting.
func (s *Sender) FlushAck() (Header, bool) {
	ack, ok := s.owed()
	if !ok {
		return Header{}, false
	}
	s.acknowledge(ack)
	s.s.Counters.AckOnly++
	return Header{CallID: s.cfg.CallID, HasAck: true, Ack: ack}, true
}

// Acknowledged takes an acknowledgement number from a packet received. Numbers beyond what was sent are ignored, older ones
// than the last are stale.
func (s *Sender) Acknowledged(now time.Time, sequence uint32) {
	st := &s.s
	switch {
	case !Before(sequence, st.Next):
		st.Counters.BogusAcks++
		return
	case Before(sequence, st.Unacked):
		st.Counters.StaleAcks++
		return
	}
	st.Counters.Acks++
	st.InARow = 0
	st.Unacked = sequence + 1
	if st.Next-sequence <= uint32(len(st.SentAt)) {
		s.sample(now.Sub(st.Epoch) - st.SentAt[sequence&s.mask])
	}
	if st.Enforcement == EnforcementPending {
		st.Enforcement = EnforcementOn
	}
	if Before(sequence, st.Floor) {
		return
	}
	st.Floor = sequence + 1
	if st.Floor == st.Next {
		st.WaitingSince = time.Time{}
	} else {
		st.WaitingSince = now
	}
	if !Before(st.Floor, st.Mark) {
		st.Window = min(st.Window+1, max(st.MaxWindow, 1))
		st.Mark = st.Floor + st.Window
	}
}

// sample takes a measured round trip into the estimates (RFC 2637 section 4.4).
func (s *Sender) sample(rtt time.Duration) {
	diff := rtt - s.s.RTT
	s.s.Deviation += (max(diff, -diff) - s.s.Deviation) / betaDivisor
	s.s.RTT += diff / alphaDivisor
	s.adapt()
}

// adapt computes the time-out from the estimates.
func (s *Sender) adapt() {
	s.s.Timeout = max(s.cfg.MinTimeout, min(s.s.RTT+chi*s.s.Deviation, s.cfg.MaxTimeout))
}

// Tick performs the adaptive time-out when it is due: what is in flight no longer counts, the window is halved. When
// nothing was ever acknowledged the window is switched off for the call instead, and when nothing is any more, until something is
// again: peers that never acknowledge are common, and none may stall a call.
func (s *Sender) Tick(now time.Time) {
	at := s.timeoutAt()
	if at.IsZero() || now.Before(at) {
		return
	}
	st := &s.s
	st.Counters.Timeouts++
	st.Floor = st.Next
	st.WaitingSince = time.Time{}
	if st.Enforcement == EnforcementPending {
		if st.Counters.Acks == 0 {
			st.Enforcement = EnforcementOff
		}
		return
	}
	if st.InARow++; st.InARow >= maxInARow {
		st.Enforcement = EnforcementPending
	}
	st.RTT = min(st.RTT*delta, s.cfg.MaxTimeout)
	s.adapt()
	st.Window = max((st.Window+1)/2, 1)
	st.Mark = st.Next + st.Window
}

// timeoutAt returns when the adaptive time-out is due, or the zero time.
func (s *Sender) timeoutAt() time.Time {
	if s.s.WaitingSince.IsZero() {
		return time.Time{}
	}
	switch s.s.Enforcement {
	case EnforcementOn:
		return s.s.WaitingSince.Add(s.s.Timeout)
	case EnforcementPending:
		return s.s.WaitingSince.Add(s.cfg.MaxTimeout)
	}
	return time.Time{}
}

// Deadline returns when Tick or AckDue will have something to do, the zero time when neither.
func (s *Sender) Deadline() time.Time {
	at := s.timeoutAt()
	if !s.s.OwedSince.IsZero() {
		if ack := s.s.OwedSince.Add(s.cfg.AckDelay); at.IsZero() || ack.Before(at) {
			at = ack
		}
	}
	return at
}

// Flow is how a Sender's window stands.
type Flow struct {
	RTT         time.Duration `json:"rtt"` // estimate of the round trip, 0 until something has been acknowledged
	Enforcement Enforcement   `json:"enforcement"`
	Window      uint32        `json:"window"`    // packets allowed in flight; 0 unless Enforcement is on
	InFlight    uint32        `json:"in_flight"` // packets not acknowledged, nor given up by a time-out
	Timeouts    uint64        `json:"timeouts"`  // adaptive time-outs (RFC 2637 section 4.4)
}

// String describes it for people.
func (f Flow) String() string {
	rtt, window := "unknown", f.Enforcement.String()
	if f.RTT > 0 {
		rtt = f.RTT.Round(100 * time.Microsecond).String()
	}
	if f.Enforcement == EnforcementOn {
		window = fmt.Sprint(f.Window)
	}
	return fmt.Sprintf("round trip %s, window %s, %d in flight, %d time-outs", rtt, window, f.InFlight, f.Timeouts)
}

// Flow returns how the window stands.
func (s *Sender) Flow() Flow {
	f := Flow{Enforcement: s.s.Enforcement, Timeouts: s.s.Counters.Timeouts}
	if s.s.Counters.Acks > 0 {
		f.RTT, f.InFlight = s.s.RTT, s.s.Next-s.s.Floor
	}
	if s.s.Enforcement == EnforcementOn {
		f.Window = s.s.Window
	}
	return f
}

// Counters returns the counters.
func (s *Sender) Counters() SenderCounters { return s.s.Counters }

// State returns a copy of everything the Sender knows, except for its configuration.
func (s *Sender) State() SenderState {
	st := s.s
	st.SentAt = append([]time.Duration(nil), st.SentAt...)
	return st
}

// RestoreSender returns a Sender that goes on where State left off. cfg is the configuration of the former one.
func RestoreSender(cfg SenderConfig, st SenderState) (*Sender, error) {
	s := NewSender(st.Epoch, cfg)
	if len(st.SentAt) != len(s.s.SentAt) {
		return nil, fmt.Errorf("gre: %d send times remembered, want %d: %w", len(st.SentAt), len(s.s.SentAt), ErrState)
	}
	if st.Next-st.Floor > st.Next-st.Unacked || st.Enforcement > EnforcementOn || st.Window < 1 || st.MaxWindow != s.s.MaxWindow {
		return nil, fmt.Errorf("gre: window of the sender: %w", ErrState)
	}
	s.s = st
	s.s.SentAt = append([]time.Duration(nil), st.SentAt...)
	return s, nil
}
