// Package ipcp is the IP Control Protocol (RFC 1332) with the name server options of
// RFC 1877. The server gives the client an address by Configure-Nak and tells it DNS
// and NetBIOS name servers if it has any; the client asks for them. Header
// compression and the obsolete IP-Addresses option are rejected.
//
// A Machine is pure: time comes in, effects come out of Actions. It is owned by one
// goroutine.
package ipcp

import (
	"net/netip"
	"time"

	"trunkline.example/shared/ppp/fsm"
)

// Option types (RFC 1332 section 3, RFC 1877 section 1).
const (
	OptionAddresses    = 1 // obsolete
	OptionCompression  = 2
	OptionAddress      = 3
	OptionPrimaryDNS   = 129
	OptionPrimaryWINS  = 130
	OptionSecondDNS    = 131
	OptionSecondWINS   = 132
	serverOptions      = 4
	firstServerOption  = OptionPrimaryDNS
	secondServerOffset = 2
)

// Servers are the name servers in the order of the option types: primary DNS,
// primary WINS, secondary DNS, secondary WINS. An invalid address is one we lack.
type Servers [serverOptions]netip.Addr

// MakeServers puts DNS and WINS servers, primary first, into the order of the options.
func MakeServers(dns, wins [2]netip.Addr) Servers {
	return Servers{dns[0], wins[0], dns[1], wins[1]}
}

// DNS are the domain name servers, primary first.
func (s Servers) DNS() [2]netip.Addr { return [2]netip.Addr{s[0], s[0+secondServerOffset]} }

// WINS are the NetBIOS name servers, primary first.
func (s Servers) WINS() [2]netip.Addr { return [2]netip.Addr{s[1], s[1+secondServerOffset]} }

// Config describes one side.
type Config struct {
	Timers fsm.Timers
	Local  netip.Addr // ours. Invalid: as a client, have one assigned; as a server, none
	Peer   netip.Addr // the peer's. As a server it must be set; as a client it is what a peer without one is told
	Server bool       // give the peer its address and servers

	Servers Servers // Server: to be told
	AskDNS  bool    // not Server: ask for DNS
	AskWINS bool    // not Server: ask for WINS
}

// State is a Machine as plain data.
type State struct {
	Automaton fsm.Data
	OwnState
}

// Rest is what is left to remember of a server's machine that has nothing under way and has given the peer what it had for it.
type Rest struct {
	Automaton  fsm.Rest
	AskAddress bool
	PeerSeen   bool
}

// OwnState is what IPCP knows besides the automaton.
type OwnState struct {
	AskAddress bool       // our request names an address
	Address    netip.Addr // 0.0.0.0 while it is to be assigned
	Ask        [serverOptions]bool
	Servers    Servers // as told by the peer

	PeerAddress netip.Addr // from the peer's request
	PeerSeen    bool       // the peer's request names an address
}

// Result is what IPCP settled.
type Result struct {
	Local, Peer netip.Addr // invalid if not known
	Servers     Servers    // as a server: to be told; as a client: as told
}

// Machine is IPCP on one side of a link: the automaton, and what its options mean.
// Once it is Opened (fsm.LayerUp), Result tells what is settled.
type Machine struct {
	fsm.Machine
	cfg Config
	s   OwnState
}

// New makes a machine in state Initial.
func New(cfg Config) *Machine { return Restore(cfg, State{OwnState: begin(cfg)}) }

func begin(cfg Config) OwnState {
	s := OwnState{Address: cfg.Local, AskAddress: cfg.Local.IsValid() || !cfg.Server}
	if !cfg.Local.IsValid() {
		s.Address = netip.IPv4Unspecified()
	}
	if !cfg.Server {
		s.Ask = [serverOptions]bool{cfg.AskDNS, cfg.AskWINS, cfg.AskDNS, cfg.AskWINS}
	}
	return s
}

// Restore goes on where State left off.
func Restore(cfg Config, s State) *Machine {
	m := &Machine{cfg: cfg, s: s.OwnState}
	m.Machine = *fsm.Restore(&fsm.Config{Name: "IPCP", Timers: cfg.Timers, Patient: true}, options{m}, s.Automaton)
	return m
}

// State returns a copy of everything the machine knows. Actions must have been drained.
func (m *Machine) State() State { return State{m.Data(), m.s} }

// Rest returns what Wake makes an equal machine of, but for what Discarded counts. ok is false for a client, which has learnt too much, and
// if something is under way. Actions must have been drained.
func (m *Machine) Rest() (r Rest, ok bool) {
	automaton, ok := m.Machine.Rest()
	r = Rest{automaton, m.s.AskAddress, m.s.PeerSeen}
	return r, ok && m.cfg.Server && m.s == r.own(m.cfg)
}

// own is what a server that is at rest knows besides the automaton.
func (r Rest) own(cfg Config) OwnState {
	s := begin(cfg)
	s.AskAddress, s.PeerSeen = r.AskAddress, r.PeerSeen
	if r.PeerSeen {
		s.PeerAddress = cfg.Peer
	}
	return s
}

// Wake makes the machine that was at rest, under the Config that it had.
func Wake(cfg Config, r Rest) *Machine {
	return Restore(cfg, State{r.Automaton.Data(cfg.Timers), r.own(cfg)})
}

// Receive takes the information field of an IPCP packet.
func (m *Machine) Receive(now time.Time, info []byte) {
	m.Machine.Receive(now, info) // IPCP has no codes of its own
}

// Result is what is settled, once IPCP is Opened.
func (m *Machine) Result() Result {
	if m.cfg.Server {
		return Result{Local: m.cfg.Local, Peer: m.cfg.Peer, Servers: m.cfg.Servers}
	}
	r := Result{Peer: m.cfg.Peer, Servers: m.s.Servers}
	if !m.s.Address.IsUnspecified() {
		r.Local = m.s.Address
	}
	if m.s.PeerSeen {
		r.Peer = m.s.PeerAddress
	}
	return r
}
