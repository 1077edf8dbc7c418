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
	"fmt"
	"math/rand/v2"
	"time"

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

// Link is one side of a PPP link.
type Link struct {
	cfg     Config
	demand  []auth.Protocol // asked of the peer
	willing []auth.Protocol // done for the peer
	s       State           // the parts below keep their own
	random  *rand.ChaCha8
	lcp     *lcp.Machine
	prover  *auth.Peer          // nil unless we authenticate ourselves
	checker *auth.Authenticator // nil unless the peer authenticates itself
	ccp     *ccp.Machine        // nil outside the network phase and without MPPE
	ipcp    *ipcp.Machine       // nil outside the network phase
	actions []Action
}

// State is a Link as plain data. It holds MPPE keys.
type State struct {
	Phase    Phase
	Started  bool // Up came
	Over     bool // Ended was reported
	Ending   Reason
	Random   []byte // of math/rand/v2.ChaCha8
	LCP      lcp.State
	Prover   *auth.PeerState
	Checker  *auth.AuthenticatorState
	AuthSeed [32]byte // of Prover or Checker
	Agreed   lcp.Agreement
	Epoch    uint32 // how often LCP was opened; the high half of an Attempt's generation

	// What authentication left.
	User      string
	HasKeys   bool
	Keys      mppe.Params
	Policy    ccp.Policy // in force for this user
	Granted   Grant
	ProverOK  bool
	CheckerOK bool

	CCP         *ccp.State
	IPCP        *ipcp.State
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
func New(now time.Time, cfg Config) *Link {
	l := newLink(cfg, rand.NewChaCha8(cfg.Seed))
	l.lcp = lcp.New(l.lcpConfig(), l.random)
	l.lcp.Open(now)
	l.drainLCP(now)
	return l
}

func newLink(cfg Config, random *rand.ChaCha8) *Link {
	cfg.Timers = cfg.Timers.withDefaults()
	if cfg.MTU != 0 {
		cfg.MTU = max(cfg.MTU, lcp.MinMRU)
	}
	l := &Link{cfg: cfg, random: random}
	var able []auth.Protocol
	for _, p := range cfg.Authentication {
		if p.Supported() == nil && (p.GivesKeys() || cfg.Encryption != ccp.Required) && (p.Mutual() || !cfg.Mutual) {
			able = append(able, p)
		}
	}
	if cfg.Side == Server {
		l.demand = able
	} else {
		l.willing = able
	}
	return l
}

func (l *Link) lcpConfig() lcp.Config {
	return lcp.Config{Timers: l.cfg.Timers.Negotiation, MRU: l.cfg.MRU, Async: l.cfg.Async, ACCM: l.cfg.ACCM,
		NoMagic: l.cfg.NoMagic, PFC: l.cfg.PFC, ACFC: l.cfg.ACFC, Demand: l.demand, Willing: l.willing,
		EchoInterval: max(l.cfg.Timers.EchoInterval, 0), EchoFailures: l.cfg.Timers.EchoFailures}
}

// Restore goes on where State left off, under the same Config.
func Restore(cfg Config, s State) (*Link, error) {
	random := rand.NewChaCha8(cfg.Seed)
	if err := random.UnmarshalBinary(s.Random); err != nil {
		return nil, fmt.Errorf("link: restore: random state: %w", err)
	}
	l := newLink(cfg, random)
	l.s = s.clone()
	l.lcp = lcp.Restore(l.lcpConfig(), random, s.LCP)
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

func (s State) clone() State {
	s.Held = append([]HeldFrame(nil), s.Held...)
	for i := range s.Held {
		s.Held[i].Frame = append([]byte(nil), s.Held[i].Frame...)
	}
	return s
}

// State returns a deep copy of everything the link knows. Actions must have been
// drained.
func (l *Link) State() State {
	s := l.s.clone()
	s.LCP = l.lcp.State()
	s.Random, _ = l.random.MarshalBinary() // cannot fail
	s.Prover, s.Checker, s.CCP, s.IPCP = nil, nil, nil, nil
	if l.prover != nil {
		p := l.prover.State()
		s.Prover = &p
	}
	if l.checker != nil {
		c := l.checker.State()
		s.Checker = &c
	}
	if l.ccp != nil {
		c := l.ccp.State()
		s.CCP = &c
	}
	if l.ipcp != nil {
		i := l.ipcp.State()
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
