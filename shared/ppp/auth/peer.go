package auth

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"slices"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/mppe"
)

// PeerConfig describes the side that proves itself.
type PeerConfig struct {
	Protocol Protocol
	User     string   // at most 255 octets; DOMAIN\user is sent whole, and hashed without the domain
	Secret   Secret   // a password, or for MS-CHAPv2 its NT hash
	Seed     [32]byte // of the peer challenge, from a cryptographic source and never the same twice; MS-CHAPv2 only
	Timers   Timers
}

// Peer answers an authenticator.
//
//	Idle --Start--> Asking --Challenge--> Answered --Success--> Done --Challenge--> Answered
//	                  |                       |
//	                  +--time is up--> Failed <--Failure--+
//
// PAP has no Challenge: Asking goes straight to Done or Failed.
type Peer struct {
	cfg     PeerConfig
	s       PeerState
	actions []Action
}

// PeerState is a Peer as plain data.
type PeerState struct {
	Phase         PeerPhase
	Random        ppp.Random // of peer challenges
	Identifier    byte       // of the last Challenge, or of the PAP request
	Challenge     []byte     // the last one
	Response      []byte     // the packet that answered it
	Transmissions int        // of the PAP request
	Due           time.Time
	Expected      string // the authenticator response that MS-CHAPv2 must bring
	SendKey       mppe.Key
	ReceiveKey    mppe.Key
	Authenticated bool
	Counters      Counters
}

// PeerPhase is the state of a Peer.
type PeerPhase uint8

// The phases of a Peer.
const (
	PeerIdle     PeerPhase = iota
	PeerAsking             // PAP: for the answer to our request; CHAP: for a Challenge
	PeerAnswered           // CHAP: for the Success
	PeerDone
	PeerFailed
	PeerStopped
	peerPhases
)

// String names the phase.
func (p PeerPhase) String() string {
	names := [peerPhases]string{"idle", "asking", "answered", "done", "failed", "stopped"}
	if p < peerPhases {
		return names[p]
	}
	return fmt.Sprintf("PeerPhase(%d)", uint8(p))
}

// NewPeer makes an idle machine. Errors: ErrUnsupported, ErrFIPS, ErrConfig for a
// secret that does not serve the protocol, or that does not fit.
func NewPeer(cfg PeerConfig) (*Peer, error) {
	if err := cfg.Protocol.Supported(); err != nil {
		return nil, err
	}
	password, plain := cfg.Secret.Reveal()
	switch {
	case len(cfg.User) > maxName:
		return nil, fmt.Errorf("%w: name of %d octets", ErrConfig, len(cfg.User))
	case cfg.Secret.IsZero():
		return nil, fmt.Errorf("%w: no password for %q", ErrConfig, cfg.User)
	case cfg.Protocol != MSCHAPv2 && !plain:
		return nil, fmt.Errorf("%w: %v needs the password of %q in clear", ErrConfig, cfg.Protocol, cfg.User)
	case cfg.Protocol == PAP && len(password) > maxName:
		return nil, fmt.Errorf("%w: password of %d octets", ErrConfig, len(password))
	}
	cfg.Timers = cfg.Timers.filled()
	return &Peer{cfg: cfg, s: PeerState{Random: ppp.NewRandom(cfg.Seed)}}, nil
}

// RestorePeer goes on where State left off, under the same Config but for the seed, which is part of the state.
func RestorePeer(cfg PeerConfig, s PeerState) (*Peer, error) {
	p, err := NewPeer(cfg)
	if err != nil {
		return nil, err
	}
	if s.Phase >= peerPhases {
		return nil, fmt.Errorf("%w: state with phase %d", ErrConfig, s.Phase)
	}
	if cfg.Protocol == MSCHAPv2 && s.Random.IsZero() {
		return nil, fmt.Errorf("%w: state without a random generator", ErrConfig)
	}
	p.s = s.clone()
	return p, nil
}

// State returns a deep copy of everything the machine knows. Actions must have been
// drained.
func (p *Peer) State() PeerState { return p.s.clone() }

func (s PeerState) clone() PeerState {
	s.Challenge = slices.Clone(s.Challenge)
	s.Response = slices.Clone(s.Response)
	return s
}

// Phase is where the machine stands.
func (p *Peer) Phase() PeerPhase { return p.s.Phase }

// Counters returns the counts of packets that were not acted upon.
func (p *Peer) Counters() Counters { return p.s.Counters }

// Deadline is when Tick wants to be called next; zero is never.
func (p *Peer) Deadline() time.Time { return p.s.Due }

// Actions drains the effects in order.
func (p *Peer) Actions() []Action {
	out := p.actions
	p.actions = nil
	return out
}

func (p *Peer) do(a Action) { p.actions = append(p.actions, a) }

// Start begins: PAP sends its request, CHAP waits for a Challenge. It does nothing
// unless the machine is idle.
func (p *Peer) Start(now time.Time) {
	if p.s.Phase != PeerIdle {
		return
	}
	p.s.Phase = PeerAsking
	if p.cfg.Protocol != PAP {
		p.s.Due = now.Add(p.cfg.Timers.patience())
		return
	}
	password, _ := p.cfg.Secret.Reveal()
	p.s.Identifier = 1
	p.s.Response = packet{papRequest, p.s.Identifier, papRequestBody(p.cfg.User, password)}.append(nil)
	p.request(now)
}

func (p *Peer) request(now time.Time) {
	p.s.Transmissions++
	p.s.Due = now.Add(p.cfg.Timers.Restart)
	p.do(Send{slices.Clone(p.s.Response)})
}

// Stop ends the machine silently: the lower layer is down.
func (p *Peer) Stop(time.Time) { p.s.Phase, p.s.Due = PeerStopped, time.Time{} }

// Tick lets timers that are due run; it does nothing when early.
func (p *Peer) Tick(now time.Time) {
	switch {
	case p.s.Due.IsZero() || now.Before(p.s.Due):
	case (p.cfg.Protocol == PAP || p.s.Phase == PeerAnswered) && p.s.Transmissions < p.cfg.Timers.MaxTransmit:
		// A CHAP authenticator that has sent its Success repeats it only when it sees the
		// Response again (RFC 1994 section 4.1).
		p.request(now)
	case p.s.Phase == PeerAsking && p.cfg.Protocol != PAP:
		p.fail(Failed{Reason: FailTimeout, Text: "the authenticator sent no Challenge"})
	default:
		p.fail(Failed{Reason: FailTimeout, Text: "the authenticator did not say whether it accepts us"})
	}
}

func (p *Peer) fail(f Failed) {
	p.s.Phase, p.s.Due = PeerFailed, time.Time{}
	f.User = p.cfg.User
	p.do(f)
}

func (p *Peer) succeed(message string) {
	s := Succeeded{Again: p.s.Authenticated, User: p.cfg.User, Message: message}
	if p.cfg.Protocol.GivesKeys() && !s.Again {
		s.HasKeys, s.SendKey, s.ReceiveKey = true, p.s.SendKey, p.s.ReceiveKey
	}
	p.s.Phase, p.s.Due, p.s.Authenticated = PeerDone, time.Time{}, true
	p.do(s)
}

// Receive takes the information field of a packet of the protocol's number.
// Malformed and unexpected packets are counted and dropped. packet is not retained.
func (p *Peer) Receive(now time.Time, info []byte) {
	k, err := parsePacket(info, p.cfg.Protocol == PAP)
	if err != nil {
		p.s.Counters.Malformed++
		return
	}
	alive := p.s.Phase == PeerAsking || p.s.Phase == PeerAnswered || p.s.Phase == PeerDone
	switch {
	case !alive:
		p.s.Counters.Unexpected++
	case p.cfg.Protocol == PAP:
		p.papReply(k)
	case k.code == chapChallenge:
		p.challenged(now, k)
	case (k.code == chapSuccess || k.code == chapFailure) && p.s.Phase == PeerAnswered && k.identifier == p.s.Identifier:
		p.chapReply(k)
	default:
		p.s.Counters.Unexpected++
	}
}

// papReply takes an Ack or Nak. Its identifier does not matter: there is only one
// request, and some servers answer the first of its copies late.
func (p *Peer) papReply(k packet) {
	switch {
	case p.s.Phase == PeerAsking && k.code == papAck:
		p.succeed(parsePAPReply(k.body))
	case p.s.Phase == PeerAsking && k.code == papNak:
		p.fail(Failed{Reason: FailRefused, Message: parsePAPReply(k.body)})
	default:
		p.s.Counters.Unexpected++
	}
}

// challenged answers a Challenge; the same one again gets the same Response.
func (p *Peer) challenged(now time.Time, k packet) {
	challenge, _, err := parseValue(k.body)
	if err != nil || p.cfg.Protocol == MSCHAPv2 && len(challenge) != challengeLength {
		p.s.Counters.Malformed++
		return
	}
	if p.s.Response != nil && k.identifier == p.s.Identifier && bytes.Equal(challenge, p.s.Challenge) {
		p.s.Counters.Duplicates++
		p.do(Send{slices.Clone(p.s.Response)})
		return
	}
	value, err := p.answer(k.identifier, challenge)
	if err != nil {
		p.fail(Failed{Reason: FailImpossible, Text: err.Error()})
		return
	}
	p.s.Identifier, p.s.Challenge = k.identifier, slices.Clone(challenge)
	p.s.Response = packet{chapResponse, k.identifier, valueBody(value, p.cfg.User)}.append(nil)
	p.s.Phase, p.s.Transmissions = PeerAnswered, 0
	p.request(now)
}

// answer computes the value of a Response and what to expect for it.
func (p *Peer) answer(identifier byte, challenge []byte) ([]byte, error) {
	if p.cfg.Protocol == CHAPMD5 {
		password, _ := p.cfg.Secret.Reveal()
		sum, err := md5Response(identifier, password, challenge)
		return sum[:], err
	}
	hash, err := p.cfg.Secret.NTHash()
	if err != nil {
		return nil, err
	}
	var r MSCHAPv2Response
	p.s.Random.Fill(r.PeerChallenge[:])
	short, err := challengeHash(r.PeerChallenge, [16]byte(challenge), hashedNames(p.cfg.User)[0])
	if err != nil {
		return nil, err
	}
	if r.NTResponse, err = challengeResponse(short, hash); err != nil {
		return nil, err
	}
	res, err := mschapv2Success(short, r.NTResponse, hash)
	if err != nil {
		return nil, err
	}
	p.s.Expected = res.authenticatorResponse
	if !p.s.Authenticated {
		p.s.SendKey, p.s.ReceiveKey = res.serverReceive, res.serverSends
	}
	return r.Append(nil), nil
}

// chapReply takes the Success or Failure to our Response.
func (p *Peer) chapReply(k packet) {
	text := string(k.body)
	switch {
	case k.code == chapFailure && p.cfg.Protocol == MSCHAPv2:
		f := ParseFailure(text)
		p.fail(Failed{Reason: FailRefused, Code: f.Code, Message: f.Message})
	case k.code == chapFailure:
		p.fail(Failed{Reason: FailRefused, Message: text})
	case p.cfg.Protocol != MSCHAPv2:
		p.succeed(text)
	default:
		// The authenticator must prove that it knows the password (RFC 2759 section 5).
		proof := text[:min(len(text), len(p.s.Expected))]
		_, message, _ := cutMessage(text)
		if subtle.ConstantTimeCompare([]byte(proof), []byte(p.s.Expected)) != 1 {
			p.fail(Failed{Reason: FailUnproven, Message: message, Text: "the authenticator response is wrong"})
			return
		}
		p.succeed(message)
	}
}
