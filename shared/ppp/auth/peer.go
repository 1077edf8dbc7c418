package auth

import "time"

// PeerConfig describes the side that proves itself.
type PeerConfig struct {
	Protocol Protocol
	User     string
	Secret   Secret   // a password, or for MS-CHAPv2 its NT hash
	Seed     [32]byte // of the peer challenge, from a cryptographic source; MS-CHAPv2 only
	Timers   Timers
}

// Peer answers an authenticator.
type Peer struct {
	cfg     PeerConfig
	s       PeerState
	actions []Action
}

// PeerState is a Peer as plain data.
type PeerState struct {
	Phase PeerPhase
}

// PeerPhase is the state of a Peer.
type PeerPhase uint8

// NewPeer makes an idle machine. Errors: ErrUnsupported, ErrFIPS, and one for a
// secret that does not serve the protocol.
func NewPeer(cfg PeerConfig) (*Peer, error) { return &Peer{cfg: cfg}, nil }

// RestorePeer goes on where State left off, under the same Config.
func RestorePeer(cfg PeerConfig, s PeerState) (*Peer, error) { return &Peer{cfg: cfg, s: s}, nil }

// State returns a deep copy of everything the machine knows.
func (p *Peer) State() PeerState { return p.s }

// Start begins: PAP sends its request, CHAP waits for a Challenge.
func (p *Peer) Start(now time.Time) {}

// Receive takes the information field of a packet of the protocol's number.
// Malformed and unexpected packets are counted and dropped. packet is not retained.
func (p *Peer) Receive(now time.Time, packet []byte) {}

// Stop ends the machine silently: the lower layer is down.
func (p *Peer) Stop(now time.Time) {}

// Tick lets timers that are due run; it does nothing when early.
func (p *Peer) Tick(now time.Time) {}

// Deadline is when Tick wants to be called next; zero is never.
func (p *Peer) Deadline() time.Time { return time.Time{} }

// Actions drains the effects in order.
func (p *Peer) Actions() []Action {
	out := p.actions
	p.actions = nil
	return out
}
