package peer

import (
	"fmt"
	"slices"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/ppp/mppe"
)

// Peer is a PPP link with a host behind it.
type Peer struct {
	cfg     Config
	link    *link.Link
	seal    *mppe.Encryptor // nil: packets go in clear
	open    *mppe.Decryptor
	work    mppe.Worker
	s       State
	actions []Action
	scratch []byte // for decrypting
}

// State is a Peer as plain data. It holds keys.
type State struct {
	Link           link.State
	Network        *link.NetworkUp // nil: down
	Encryptor      *mppe.EncryptorState
	Decryptor      *mppe.DecryptorState
	Waiting        [][]byte // packets, not encrypted
	InFlight       int      // data frames not yet reported by Written
	Identification uint16   // of the next IPv4 packet
	NextProbe      uint16
	Probes         []ProbeState
	Partial        []Partial
	Over           bool
	Counters       Counters
}

// New makes a peer whose lower layer is still down.
func New(now time.Time, cfg Config) *Peer {
	return &Peer{cfg: cfg.filled(), link: link.New(now, cfg.Link), s: State{NextProbe: 1}}
}

func (c Config) filled() Config {
	if c.Queue <= 0 {
		c.Queue = defaultQueue
	}
	c.Ports = slices.Clone(c.Ports)
	return c
}

// Restore goes on where State left off, under the same Config.
func Restore(cfg Config, s State) (*Peer, error) {
	l, err := link.Restore(cfg.Link, s.Link)
	if err != nil {
		return nil, err
	}
	p := &Peer{cfg: cfg.filled(), link: l, s: s.clone()}
	if (s.Encryptor == nil) != (s.Decryptor == nil) || s.Encryptor != nil && s.Network == nil {
		return nil, fmt.Errorf("%w: encryption without its other half", ErrConfig)
	}
	if s.Encryptor != nil {
		if p.seal, err = mppe.RestoreEncryptor(*s.Encryptor); err != nil {
			return nil, err
		}
		if p.open, err = mppe.RestoreDecryptor(*s.Decryptor); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// State returns a deep copy of everything the peer knows. Actions must have been
// drained.
func (p *Peer) State() State {
	s := p.s.clone()
	s.Link = p.link.State()
	s.Encryptor, s.Decryptor = nil, nil
	if p.seal != nil {
		e, d := p.seal.State(), p.open.State()
		s.Encryptor, s.Decryptor = &e, &d
	}
	return s
}

func (s State) clone() State {
	if s.Network != nil {
		n := *s.Network
		if n.Encryption != nil {
			e := *n.Encryption
			n.Encryption = &e
		}
		s.Network = &n
	}
	s.Waiting = slices.Clone(s.Waiting)
	for i, w := range s.Waiting {
		s.Waiting[i] = slices.Clone(w)
	}
	s.Probes = slices.Clone(s.Probes)
	for i, b := range s.Probes {
		s.Probes[i].Outstanding = slices.Clone(b.Outstanding)
	}
	s.Partial = slices.Clone(s.Partial)
	for i, f := range s.Partial {
		s.Partial[i] = f.clone()
	}
	return s
}

// Network is what IPCP and CCP agreed on; ok is false while the network is down.
func (p *Peer) Network() (up link.NetworkUp, ok bool) {
	if p.s.Network == nil {
		return link.NetworkUp{}, false
	}
	return *p.s.Network, true
}

// Counters returns a copy of the host's counters.
func (p *Peer) Counters() Counters { return p.s.Counters }

// Decryption returns MPPE's counters of the receiving direction, zero without MPPE.
func (p *Peer) Decryption() mppe.DecryptorCounters {
	if p.open == nil {
		return mppe.DecryptorCounters{}
	}
	return p.open.Counters()
}

// Up tells that the lower layer carries frames: LCP starts.
func (p *Peer) Up(now time.Time) {
	p.link.Up(now)
	p.drainLink(now)
}

// Down tells that the lower layer is gone.
func (p *Peer) Down(now time.Time) {
	p.link.Down(now)
	p.drainLink(now)
}

// Close ends the link orderly.
func (p *Peer) Close(now time.Time, why link.Reason) {
	p.link.Close(now, why)
	p.drainLink(now)
}

// Authenticated answers the Authenticate event (server side).
func (p *Peer) Authenticated(now time.Time, v auth.Verdict) {
	p.link.Authenticated(now, v)
	p.drainLink(now)
}

// Written tells that data frames have left for good, so that the window has room.
func (p *Peer) Written(now time.Time, frames int) {
	p.s.InFlight = max(p.s.InFlight-frames, 0)
	p.pump()
	p.runProbes(now)
}

// Tick lets timers that are due run; early calls do nothing.
func (p *Peer) Tick(now time.Time) {
	p.link.Tick(now)
	p.drainLink(now)
	p.runProbes(now)
}

// Deadline is when Tick wants to be called next; zero is never.
func (p *Peer) Deadline() time.Time {
	due := p.link.Deadline()
	for i := range p.s.Probes {
		if d := p.probeDeadline(&p.s.Probes[i]); !d.IsZero() && (due.IsZero() || d.Before(due)) {
			due = d
		}
	}
	return due
}

// Actions drains the effects, in order.
func (p *Peer) Actions() []Action {
	out := p.actions
	p.actions = nil
	return out
}

func (p *Peer) act(a Action) { p.actions = append(p.actions, a) }

// drainLink passes on what the link wants and follows it up and down.
func (p *Peer) drainLink(now time.Time) {
	for _, a := range p.link.Actions() {
		switch a := a.(type) {
		case link.Send:
			p.act(Send{Frame: a.Frame})
			continue
		case link.NetworkUp:
			p.act(Event{a})
			p.networkUp(now, a)
			continue
		case link.NetworkDown:
			p.networkDown()
		case link.Ended:
			p.networkDown()
			p.s.Over = true
			p.act(Event{a})
			p.endProbes(now, "the link is over")
			continue
		}
		p.act(Event{a})
	}
}

func (p *Peer) networkUp(now time.Time, up link.NetworkUp) {
	p.networkDown()
	if up.Encryption != nil {
		var err error
		if p.seal, err = mppe.NewEncryptor(*up.Encryption); err == nil {
			p.open, err = mppe.NewDecryptor(*up.Encryption)
		}
		if err != nil {
			p.seal = nil
			p.Close(now, link.Reason{Code: link.CodeConfiguration, By: link.Here, Text: err.Error()})
			return
		}
		keys := *up.Encryption
		up.Encryption = &keys
	}
	p.s.Network = &up
	p.runProbes(now)
}

// networkDown forgets what belongs to the network; packets that wait are lost.
func (p *Peer) networkDown() {
	p.s.Network, p.seal, p.open = nil, nil, nil
	p.s.Counters.QueueDropped += uint64(len(p.s.Waiting))
	for _, f := range p.s.Partial {
		p.s.Counters.FragmentsDropped += uint64(len(f.Pieces))
	}
	p.s.Waiting, p.s.Partial = nil, nil
}

// Receive takes a frame; address, control and protocol may be compressed. It is not
// kept. lost is how many frames the layer below knows to be missing just before
// this one (gaps in GRE sequence numbers), 0 on a line.
func (p *Peer) Receive(now time.Time, frame []byte, lost uint32) {
	proto, info, err := ppp.Split(frame)
	data := err == nil && proto.Data()
	if p.s.Network == nil || !data {
		p.link.Receive(now, frame)
		p.drainLink(now)
		return
	}
	p.link.Heard(now)
	switch {
	case proto == mppe.Protocol && p.open != nil:
		p.encrypted(now, info, lost)
	case p.open != nil && mppe.Encrypts(uint16(proto)):
		p.s.Counters.InClear++
	case proto == ppp.IPv4:
		p.receiveIP(now, info)
	default:
		p.s.Counters.OtherProtocols++
	}
	p.runProbes(now)
}

func (p *Peer) encrypted(now time.Time, info []byte, lost uint32) {
	plain, err := p.open.Open(&p.work, p.scratch[:0], info, lost)
	if err != nil {
		p.s.Counters.Undecrypted++
		return
	}
	p.scratch = plain
	proto, packet, err := ppp.Split(plain)
	if err != nil || proto != ppp.IPv4 {
		p.s.Counters.OtherProtocols++
		return
	}
	p.receiveIP(now, packet)
}

// queue takes an IP packet, which then belongs to it.
func (p *Peer) queue(packet []byte) {
	if p.s.Network == nil || len(p.s.Waiting) >= p.cfg.Queue {
		p.s.Counters.QueueDropped++
		return
	}
	p.s.Waiting = append(p.s.Waiting, packet)
	p.pump()
}

// pump turns waiting packets into frames as far as the window allows.
func (p *Peer) pump() {
	for len(p.s.Waiting) > 0 && (p.cfg.Window <= 0 || p.s.InFlight < p.cfg.Window) {
		packet := p.s.Waiting[0]
		p.s.Waiting = p.s.Waiting[1:]
		if p.cfg.Window > 0 {
			p.s.InFlight++
		}
		p.s.Counters.SentPackets++
		p.s.Counters.SentOctets += uint64(len(packet))
		p.act(Send{Frame: p.frame(packet), Data: true})
	}
}

// frame wraps an IP packet, encrypted if that was agreed on.
func (p *Peer) frame(packet []byte) []byte {
	n := p.s.Network
	buf := make([]byte, 0, ppp.HeaderMax+mppe.Overhead+len(packet))
	if p.seal == nil {
		return append(ppp.AppendHeader(buf, ppp.IPv4, n.ACFC, n.PFC), packet...)
	}
	buf = ppp.AppendHeader(buf, mppe.Protocol, n.ACFC, n.PFC)
	at := len(buf) + mppe.HeaderLength
	plain := ppp.AppendHeader(buf[:at], ppp.IPv4, true, n.PFC)[at:]
	plain = append(plain, packet...)
	return p.seal.Seal(&p.work, buf, plain)
}
