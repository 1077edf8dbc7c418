// Package lcp is the Link Control Protocol (RFC 1661): negotiation of MRU, ACCM
// (RFC 1662 section 7.1), authentication, magic number, PFC and ACFC; loop detection;
// Echo as a keepalive; Protocol-Reject; Identification and Time-Remaining (RFC 1570),
// which are read and otherwise ignored.
//
// Every other option is rejected, among them multilink (MRRU, short sequence
// numbers, endpoint discriminator), callback and FCS alternatives: Windows and old
// stacks offer them, and go on without.
//
// A Machine is pure: time comes in, effects come out of Actions. It is owned by
// one goroutine.
package lcp

import (
	"fmt"
	"slices"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/fsm"
)

// Option types (RFC 1661 section 6, RFC 1662 section 7, RFC 1570, RFC 1990).
const (
	OptionMRU              = 1
	OptionACCM             = 2
	OptionAuthentication   = 3
	OptionQuality          = 4
	OptionMagic            = 5
	OptionPFC              = 7
	OptionACFC             = 8
	OptionFCSAlternatives  = 9
	OptionPadding          = 10
	OptionCallback         = 13
	OptionCompoundFrames   = 15
	OptionMRRU             = 17
	OptionShortSequence    = 18
	OptionEndpoint         = 19
	OptionLinkDiscriminant = 23
)

// MinMRU is the smallest MRU we let a peer have, in octets: pppd's bound; RFC 1661
// names none.
const MinMRU = 128

// DefaultACCM is the map in force where none was negotiated (RFC 1662 section 7.1).
const DefaultACCM = 0xFFFFFFFF

// loopMax is how often our own magic number must come back before we believe that
// the line is looped. Each time we have drawn a new one, so chance is ruled out.
const loopMax = 3

// Config describes one side.
type Config struct {
	Timers  fsm.Timers
	MRU     uint16          // octets we accept; 0 = 1500
	Async   bool            // ask for an ACCM
	ACCM    uint32          // control characters the peer must escape; bit n = octet n
	NoMagic bool            // ask for no magic number
	PFC     bool            // ask to be sent one-octet protocol numbers
	ACFC    bool            // ask to be sent frames without address and control
	Demand  []auth.Protocol // that the peer must authenticate by, strongest first; empty = not asked
	Willing []auth.Protocol // that we are ready to authenticate by, strongest first

	EchoInterval time.Duration // between Echo-Requests; 0 = none
	EchoFailures int           // unanswered ones before the peer counts as gone; at least 1
}

// Source yields the randomness of magic numbers; math/rand/v2.ChaCha8 is one.
type Source interface{ Uint64() uint64 }

// Agreement is what LCP settled.
type Agreement struct {
	MRU            uint16        // that we accept
	PeerMRU        uint16        // that the peer accepts
	SendACCM       uint32        // to be escaped towards the peer
	ReceiveACCM    uint32        // escaped by the peer
	PFC, ACFC      bool          // understood by the peer
	Magic          uint32        // ours; 0 = none
	PeerMagic      uint32        // 0 = none
	Authentication auth.Protocol // the peer authenticates by it
	Proving        auth.Protocol // we authenticate by it
}

// Plan is a Config made ready for use, by any number of machines.
type Plan struct {
	cfg       Config
	automaton fsm.Config
}

// NewPlan fills in the defaults.
func NewPlan(cfg Config) *Plan {
	if cfg.MRU == 0 {
		cfg.MRU = ppp.DefaultMRU
	}
	cfg.EchoFailures = max(cfg.EchoFailures, 1)
	return &Plan{cfg, fsm.Config{Name: "LCP", Timers: cfg.Timers.WithDefaults(), Extensions: extensions}}
}

// State is a Machine as plain data.
type State struct {
	Automaton fsm.Data
	OwnState
}

// OwnState is what LCP knows besides the automaton.
type OwnState struct {
	// What our Configure-Request asks for.
	AskMRU   bool
	MRU      uint16
	AskACCM  bool
	ACCM     uint32
	AskMagic bool
	Magic    uint32
	AskPFC   bool
	AskACFC  bool
	Demand   auth.Protocol // None = not, or no longer, asked
	Refusal  string        // why Demand was given up
	WillNaks int           // how often we proposed another protocol than the peer's

	// What the peer's Configure-Request asks for.
	PeerMRU   uint16
	PeerACCM  uint32
	PeerMagic uint32
	PeerPFC   bool
	PeerACFC  bool
	Proving   auth.Protocol

	Loops          int // sightings of our own magic number
	EchoAt         time.Time
	EchoSentAt     time.Time // zero once answered
	EchoPending    int
	EchoID         uint8
	EchoOff        bool // the peer does not know Echo-Request
	RejectsFrom    time.Time
	Rejects        int // Protocol-Rejects sent since RejectsFrom
	Identification string

	Statistics Statistics
}

// Statistics counts what the keepalive and Protocol-Reject did.
type Statistics struct {
	EchoesSent        uint64
	EchoReplies       uint64
	RoundTrip         time.Duration // of the last Echo-Request that was answered
	RejectsSuppressed uint64        // Protocol-Rejects not sent because too many were due
}

// Action is an effect, in the order given.
type Action interface{ action() }

// Send asks for a packet to be sent under protocol C021.
type Send struct{ Packet []byte }

// Up: LCP is Opened.
type Up struct{ Agreement Agreement }

// Down: LCP is no longer Opened.
type Down struct{}

// Finished: LCP needs the lower layer no longer.
type Finished struct{ Why fsm.Finish }

// Terminating: the peer sent Terminate-Request, in the state named.
type Terminating struct {
	Text   string
	Former fsm.State
}

// ProtocolRejected: the peer does not know a protocol.
type ProtocolRejected struct{ Protocol ppp.Protocol }

// Refused: the peer rejected LCP or a code that LCP cannot do without; the link ends.
type Refused struct{ What string }

// Looped: our own packets come back.
type Looped struct{}

// Silent: Echo-Requests went unanswered.
type Silent struct{ Unanswered int }

func (Send) action()             {}
func (Up) action()               {}
func (Down) action()             {}
func (Finished) action()         {}
func (Terminating) action()      {}
func (ProtocolRejected) action() {}
func (Refused) action()          {}
func (Looped) action()           {}
func (Silent) action()           {}

// Machine is LCP on one side of a link.
type Machine struct {
	cfg     *Config
	random  Source
	s       OwnState
	fsm     fsm.Machine
	actions []Action
}

// extensions are the codes above 7 that LCP knows.
var extensions = []fsm.Code{fsm.ProtocolReject, fsm.EchoRequest, fsm.EchoReply, fsm.DiscardRequest,
	fsm.Identification, fsm.TimeRemaining}

// New makes a machine in state Initial.
func New(p *Plan, random Source) *Machine { return Restore(p, random, State{}) }

// Restore goes on where State left off.
func Restore(p *Plan, random Source, s State) *Machine {
	m := &Machine{cfg: &p.cfg, random: random, s: s.OwnState}
	m.fsm = *fsm.Restore(&p.automaton, options{m}, s.Automaton)
	return m
}

// State returns a copy of everything the machine knows. Actions must have been drained.
func (m *Machine) State() State { return State{m.fsm.Data(), m.s} }

// Opened tells whether LCP is Opened.
func (m *Machine) Opened() bool { return m.fsm.State() == fsm.Opened }

// Phase is the automaton's state.
func (m *Machine) Phase() fsm.State { return m.fsm.State() }

// Refusal says why no authentication was agreed on although it was demanded; "" if that
// is not so.
func (m *Machine) Refusal() string { return m.s.Refusal }

// Discarded counts packets dropped as malformed, out of place or repeated.
func (m *Machine) Discarded() uint64 { return m.fsm.Discarded() }

// Statistics returns what the keepalive and Protocol-Reject count.
func (m *Machine) Statistics() Statistics { return m.s.Statistics }

// Identification is what the peer said of itself (RFC 1570 section 2.1), "" if
// nothing. Windows names its version and host.
func (m *Machine) Identification() string { return m.s.Identification }

// Open wishes LCP to be up.
func (m *Machine) Open(now time.Time) { m.fsm.Open(now); m.collect(now) }

// Up tells that the lower layer is up; negotiation starts from the configuration.
func (m *Machine) Up(now time.Time) {
	m.reset()
	m.fsm.Up(now)
	m.collect(now)
}

// Down tells that the lower layer is down.
func (m *Machine) Down(now time.Time) { m.fsm.Down(now); m.collect(now) }

// Close terminates the link; text goes into the Terminate-Request.
func (m *Machine) Close(now time.Time, text string) { m.fsm.Close(now, text); m.collect(now) }

// Receive takes the information field of an LCP packet.
func (m *Machine) Receive(now time.Time, info []byte) {
	p, extension := m.fsm.Receive(now, info)
	m.collect(now)
	if extension {
		m.receiveExtension(now, p)
		m.collect(now)
	}
}

// Tick lets timers that are due run.
func (m *Machine) Tick(now time.Time) {
	m.fsm.Tick(now)
	m.collect(now)
	m.tickEcho(now)
}

// Deadline is when Tick wants to be called next; zero is never.
func (m *Machine) Deadline() time.Time {
	d := m.fsm.Deadline()
	if m.echoing() && (d.IsZero() || m.s.EchoAt.Before(d)) {
		d = m.s.EchoAt
	}
	return d
}

// Actions drains the effects, in order.
func (m *Machine) Actions() []Action {
	a := m.actions
	m.actions = nil
	return a
}

// collect turns the automaton's actions into LCP's.
func (m *Machine) collect(now time.Time) {
	for _, a := range m.fsm.Actions() {
		switch a := a.(type) {
		case fsm.Send:
			m.actions = append(m.actions, Send{a.Packet})
		case fsm.LayerUp:
			m.s.EchoPending, m.s.EchoAt = 0, now.Add(m.cfg.EchoInterval)
			m.fsm.SetReplyMax(int(m.s.PeerMRU))
			m.actions = append(m.actions, Up{m.Agreement()})
		case fsm.LayerDown:
			m.actions = append(m.actions, Down{})
		case fsm.LayerFinished:
			m.actions = append(m.actions, Finished{a.Why})
		case fsm.Terminating:
			m.actions = append(m.actions, Terminating{a.Text, a.Former})
		case fsm.CodeRejected:
			switch {
			case a.Code >= fsm.ConfigureRequest && a.Code <= fsm.CodeReject:
				m.actions = append(m.actions, Refused{a.Code.String()})
			case a.Code == fsm.EchoRequest:
				// RFC 1661 wants Echo to be known, but some stack may lack it.
				m.s.EchoOff = true
			}
		case fsm.LayerStarted: // the owner starts us, not the other way round
		}
	}
}

// Agreement is what is settled, once LCP is Opened.
func (m *Machine) Agreement() Agreement {
	a := Agreement{MRU: ppp.DefaultMRU, PeerMRU: m.s.PeerMRU, SendACCM: m.s.PeerACCM, ReceiveACCM: DefaultACCM,
		PFC: m.s.PeerPFC, ACFC: m.s.PeerACFC, PeerMagic: m.s.PeerMagic,
		Authentication: m.s.Demand, Proving: m.s.Proving}
	if m.s.AskMRU {
		a.MRU = m.s.MRU
	}
	if m.s.AskACCM {
		a.ReceiveACCM = m.s.ACCM
	}
	if m.s.AskMagic {
		a.Magic = m.s.Magic
	}
	return a
}

// String says it for people, in one line.
func (a Agreement) String() string {
	s := fmt.Sprintf("MRU %d here, %d there, ACCM %08x in, %08x out", a.MRU, a.PeerMRU, a.ReceiveACCM, a.SendACCM)
	for _, o := range []struct {
		on   bool
		name string
	}{{a.PFC, "PFC"}, {a.ACFC, "ACFC"}, {a.Magic != 0, "magic"}} {
		if o.on {
			s += ", " + o.name
		}
	}
	if a.Authentication != auth.None {
		s += fmt.Sprintf(", the peer authenticates by %v", a.Authentication)
	}
	if a.Proving != auth.None {
		s += fmt.Sprintf(", we authenticate by %v", a.Proving)
	}
	return s
}

// reset starts a negotiation afresh.
func (m *Machine) reset() {
	m.s = OwnState{AskMRU: m.cfg.MRU != ppp.DefaultMRU, MRU: m.cfg.MRU,
		AskACCM: m.cfg.Async && m.cfg.ACCM != DefaultACCM, ACCM: m.cfg.ACCM,
		AskMagic: !m.cfg.NoMagic, AskPFC: m.cfg.PFC, AskACFC: m.cfg.ACFC,
		PeerMRU: ppp.DefaultMRU, PeerACCM: DefaultACCM}
	if len(m.cfg.Demand) > 0 {
		m.s.Demand = m.cfg.Demand[0]
	}
	m.drawMagic()
}

// drawMagic draws a new magic number, never zero.
func (m *Machine) drawMagic() {
	for m.s.Magic = 0; m.s.Magic == 0; {
		m.s.Magic = uint32(m.random.Uint64())
	}
}

// weaker returns the demand to try after p was refused, None if there is none.
func (m *Machine) weaker(p auth.Protocol) auth.Protocol {
	if i := slices.Index(m.cfg.Demand, p); i >= 0 && i+1 < len(m.cfg.Demand) {
		return m.cfg.Demand[i+1]
	}
	return auth.None
}
