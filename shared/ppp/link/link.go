// Package link composes the protocols of one PPP link through the phases of RFC 1661
// section 3.2: LCP, then authentication, then CCP with MPPE and IPCP, as the server that
// authenticates its peer and gives it an address, or as the client that asks for one.
//
//	Dead --Up--> Establish --LCP open--> Authenticating --> Network --> Terminate --> Dead
//	                 ^                         |               |
//	                 +------ the peer renegotiates LCP --------+
//
// A Link is a pure machine. It is owned by one goroutine, takes frames, commands and
// the time, and leaves its effects to be drained by Actions. Data frames (IPv4, MPPE)
// never pass through it: the owner sends them to its data plane once NetworkUp
// came, and hands everything else to Receive.
//
// Left out: multilink, callback, IPv6, IPX, header compression, compression other than
// MPPE, EAP. A peer that wants them is refused in the way the RFCs lay down, and
// goes on without.
package link

import (
	"errors"
	"fmt"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/ipcp"
	"trunkline.example/shared/ppp/lcp"
	"trunkline.example/shared/ppp/mppe"
)

// Defaults of Timers.
const (
	DefaultEstablish    = 60 * time.Second
	DefaultAuthenticate = 60 * time.Second
	DefaultEncryption   = 12 * time.Second
	DefaultNetwork      = 60 * time.Second
	DefaultEchoInterval = 30 * time.Second
	DefaultEchoFailures = 4
)

func (t Timers) withDefaults() Timers {
	t.Negotiation = t.Negotiation.WithDefaults()
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{{&t.Establish, DefaultEstablish}, {&t.Authenticate, DefaultAuthenticate}, {&t.Encryption, DefaultEncryption},
		{&t.Network, DefaultNetwork}, {&t.EchoInterval, DefaultEchoInterval}} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	if t.EchoFailures <= 0 {
		t.EchoFailures = DefaultEchoFailures
	}
	return t
}

// Plan is a Config made ready for use, by any number of links.
type Plan struct {
	cfg     Config
	demand  []auth.Protocol // asked of the peer
	willing []auth.Protocol // done for the peer
	lcp     *lcp.Plan
}

// NewPlan fills in the defaults and leaves out what cannot be used. The Config's Seed is not used.
func NewPlan(cfg Config) *Plan {
	cfg.Timers = cfg.Timers.withDefaults()
	if cfg.MTU != 0 {
		cfg.MTU = max(cfg.MTU, lcp.MinMRU)
	}
	p := &Plan{cfg: cfg}
	var able []auth.Protocol
	for _, a := range cfg.Authentication {
		if a.Supported() == nil && (a.GivesKeys() || cfg.Encryption != ccp.Required) && (a.Mutual() || !cfg.Mutual) {
			able = append(able, a)
		}
	}
	if cfg.Side == Server {
		p.demand = able
	} else {
		p.willing = able
	}
	p.lcp = lcp.NewPlan(lcp.Config{Timers: cfg.Timers.Negotiation, MRU: cfg.MRU, Async: cfg.Async, ACCM: cfg.ACCM,
		NoMagic: cfg.NoMagic, PFC: cfg.PFC, ACFC: cfg.ACFC, Demand: p.demand, Willing: p.willing,
		EchoInterval: max(cfg.Timers.EchoInterval, 0), EchoFailures: cfg.Timers.EchoFailures})
	return p
}

// Link is one side of a PPP link.
type Link struct {
	plan    *Plan
	s       OwnState
	lcp     *lcp.Machine
	prover  *auth.Peer          // nil unless we authenticate ourselves
	checker *auth.Authenticator // nil unless the peer authenticates itself, and may still have to be answered
	ccp     *ccp.Machine        // nil outside the network phase, without MPPE, and at rest
	ipcp    *ipcp.Machine       // nil outside the network phase, and at rest
	resting resting
	actions []Action
}

// State is a Link as plain data. It holds MPPE keys.
type State struct {
	LCP     lcp.State
	Prover  *auth.PeerState
	Checker *auth.AuthenticatorState
	CCP     *ccp.State
	IPCP    *ipcp.State
	OwnState
}

// OwnState is what a Link knows besides what its parts do.
type OwnState struct {
	Phase   Phase
	Started bool // Up came
	Over    bool // Ended was reported
	Ending  Reason
	Random  ppp.Random // of magic numbers and the seeds of authentication
	Agreed  lcp.Agreement
	Epoch   uint32 // how often LCP was opened; the high half of an Attempt's generation

	// What authentication left.
	User      string
	HasKeys   bool
	Keys      mppe.Params
	Policy    ccp.Policy // in force for this user
	ProverOK  bool
	CheckerOK bool
	Granted   Grant
	Answered  *auth.Answered // stands for the Authenticator when that has nothing more to do

	IPCPStarted bool // negotiation of IPCP has begun
	IPCPUp      bool
	Settled     bool // encryption is settled as the policy wants
	Encrypted   bool // MPPE is agreed on
	WasSecure   bool // it was, at some time in this network phase
	NetworkUp   bool

	PhaseBy      time.Time // the phase must be over; zero = no bound
	EncryptionBy time.Time // without an answer to CCP there is no encryption
	GoneBy       time.Time // the peer said good-bye in the middle of negotiation and is gone unless it asks again
	GoneText     string
	RestartsFrom time.Time // when Restarts was last zero
	Restarts     int       // renegotiations by the peer since
	Held         []HeldFrame
	Counters     Counters
}

// New makes a link whose lower layer is still down.
func New(now time.Time, cfg Config) *Link { return NewPlan(cfg).New(now, cfg.Seed) }

// New makes a link of the plan whose lower layer is still down; seed is what a Config's is.
func (p *Plan) New(now time.Time, seed [32]byte) *Link {
	l := &Link{plan: p, s: OwnState{Random: ppp.NewRandom(seed)}}
	l.lcp = lcp.New(p.lcp, &l.s.Random)
	l.lcp.Open(now)
	l.drainLCP(now)
	return l
}

// Restore goes on where State left off, under the same Config but for the seed, which is part of the state.
func Restore(cfg Config, s State) (*Link, error) { return NewPlan(cfg).Restore(s) }

// Restore goes on where State left off, under the same Plan.
func (p *Plan) Restore(s State) (*Link, error) {
	if s.Random.IsZero() {
		return nil, errors.New("link: restore: state without a random generator")
	}
	l := &Link{plan: p, s: s.OwnState.clone()}
	l.lcp = lcp.Restore(p.lcp, &l.s.Random, s.LCP)
	var err error
	if s.Prover != nil {
		if l.prover, err = auth.RestorePeer(l.proverConfig(), *s.Prover); err != nil {
			return nil, fmt.Errorf("link: restore: %w", err)
		}
	}
	if s.Checker != nil {
		if l.checker, err = auth.RestoreAuthenticator(l.checkerConfig(), *s.Checker); err != nil {
			return nil, fmt.Errorf("link: restore: %w", err)
		}
	}
	if s.CCP != nil {
		l.ccp = ccp.Restore(l.ccpConfig(), *s.CCP)
	}
	if s.IPCP != nil {
		l.ipcp = ipcp.Restore(l.ipcpConfig(), *s.IPCP)
	}
	return l, nil
}

func (s OwnState) clone() OwnState {
	s.Held = append([]HeldFrame(nil), s.Held...)
	for i := range s.Held {
		s.Held[i].Frame = append([]byte(nil), s.Held[i].Frame...)
	}
	return s
}

// State returns a deep copy of everything the link knows. Actions must have been
// drained.
func (l *Link) State() State {
	s := State{LCP: l.lcp.State(), OwnState: l.s.clone()}
	if l.prover != nil {
		p := l.prover.State()
		s.Prover = &p
	}
	if l.checker != nil {
		c := l.checker.State()
		s.Checker = &c
	}
	if m := l.awakeCCP(); m != nil {
		c := m.State()
		s.CCP = &c
	}
	if m := l.awakeIPCP(); m != nil {
		i := m.State()
		s.IPCP = &i
	}
	return s
}

// Actions drains the effects, in order.
func (l *Link) Actions() []Action {
	a := l.actions
	l.actions = nil
	return a
}

func (l *Link) act(a Action) { l.actions = append(l.actions, a) }

// Phase is where the link stands.
func (l *Link) Phase() Phase { return l.s.Phase }

// Echo sends an LCP Echo-Request now, if Echo-Requests are sent at all. Counters tells when it has been answered: then the peer has
// handled everything that was sent before.
func (l *Link) Echo(now time.Time) {
	l.lcp.Echo(now)
	l.drainLCP(now)
}

// PeerIdentification is what the peer said of itself in LCP Identification, "" if
// nothing. Windows names its version and host.
func (l *Link) PeerIdentification() string { return l.lcp.Identification() }

// Counters returns a copy of the counters.
func (l *Link) Counters() Counters {
	c := l.s.Counters
	s := l.lcp.Statistics()
	c.EchoesSent, c.EchoReplies, c.EchoRoundTrip, c.RejectsSuppressed = s.EchoesSent, s.EchoReplies, s.RoundTrip, s.RejectsSuppressed
	c.Discarded += l.lcp.Discarded()
	if l.ccp != nil {
		c.Discarded += l.ccp.Discarded()
	}
	if l.ipcp != nil {
		c.Discarded += l.ipcp.Discarded()
	}
	return c
}

// Deadline is when Tick wants to be called next; zero is never.
func (l *Link) Deadline() time.Time {
	if l.s.Over || !l.s.Started {
		return time.Time{}
	}
	d := l.lcp.Deadline()
	sooner := func(t time.Time) {
		if !t.IsZero() && (d.IsZero() || t.Before(d)) {
			d = t
		}
	}
	sooner(l.s.PhaseBy)
	sooner(l.s.EncryptionBy)
	sooner(l.s.GoneBy)
	if l.prover != nil {
		sooner(l.prover.Deadline())
	}
	if l.checker != nil {
		sooner(l.checker.Deadline())
	}
	if l.ccp != nil {
		sooner(l.ccp.Deadline())
	}
	if l.ipcp != nil {
		sooner(l.ipcp.Deadline())
	}
	return d
}

// Tick lets timers that are due run; early calls do nothing.
func (l *Link) Tick(now time.Time) {
	if l.s.Over || !l.s.Started {
		return
	}
	l.lcp.Tick(now)
	l.drainLCP(now)
	if l.prover != nil {
		l.prover.Tick(now)
		l.drainProver(now)
	}
	if l.checker != nil {
		l.checker.Tick(now)
		l.drainChecker(now)
	}
	if l.ccp != nil {
		l.ccp.Tick(now)
		l.drainCCP(now)
	}
	if l.ipcp != nil {
		l.ipcp.Tick(now)
		l.drainIPCP(now)
	}
	l.checkBounds(now)
	l.rest()
}

// due tells whether a bound has been reached, and lifts it.
func due(now time.Time, bound *time.Time) bool {
	if bound.IsZero() || now.Before(*bound) {
		return false
	}
	*bound = time.Time{}
	return true
}

// checkBounds ends what has taken too long.
func (l *Link) checkBounds(now time.Time) {
	if l.s.Over {
		return
	}
	if due(now, &l.s.GoneBy) {
		l.finish(now, Reason{CodePeerTerminated, There, "during negotiation: " + quoted(l.s.GoneText)})
		return
	}
	if due(now, &l.s.EncryptionBy) && !l.s.Settled {
		l.withoutEncryption(now, There, "no answer to CCP")
	}
	if !due(now, &l.s.PhaseBy) {
		return
	}
	switch l.s.Phase {
	case Establish:
		l.terminate(now, Reason{CodeNoAgreement, There, "LCP did not open in time"}, "negotiation takes too long")
	case Authenticating:
		l.terminate(now, Reason{CodeAuthTimeout, There, "authentication did not end in time"}, "authentication takes too long")
	case Network:
		l.networkTooLate(now)
	case Dead, Terminate: // nothing to wait for
	}
}
