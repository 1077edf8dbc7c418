// Package ccp negotiates MPPE by the Compression Control Protocol (RFC 1962, RFC 3078
// section 2): 128-bit keys in stateless mode, in both directions, and nothing else.
// Other compressors are rejected; other key lengths, stateful mode and MPPC are Naked
// away.
//
// An option in one side's request says what that side can decode. Old Windows cannot do
// MPPE one way, so a peer that does not ask for it is asked to (in a
// Configure-Nak), and one direction alone counts as none.
//
// A Machine is pure: time comes in, effects come out of Actions. It is owned by one
// goroutine.
package ccp

import (
	"fmt"
	"time"

	"trunkline.example/shared/ppp/fsm"
)

// Policy says whether the network may come up without encryption.
type Policy uint8

// The policies.
const (
	Required  Policy = iota // no network without MPPE-128 in both directions
	Preferred               // MPPE-128 if the peer can and authentication gave keys, else none
	None                    // no MPPE: CCP is rejected
)

// String is the policy's name in configuration and logs.
func (p Policy) String() string {
	switch p {
	case Required:
		return "required"
	case Preferred:
		return "preferred"
	case None:
		return "none"
	}
	return fmt.Sprintf("policy %d", uint8(p))
}

// Option types (RFC 1962 section 3; the registry of IANA).
const (
	OptionOUI        = 0
	OptionPredictor1 = 1
	OptionPredictor2 = 2
	OptionStac       = 17
	OptionMPPE       = 18
	OptionBSD        = 21
	OptionLZSDCP     = 23
	OptionMagnalink  = 24 // an old draft number of Deflate, too
	OptionDeflate    = 26
)

// Bits are the supported bits of option 18 (RFC 3078 section 2.1).
type Bits uint32

// The supported bits.
const (
	Stateless Bits = 0x01000000 // H
	Key56     Bits = 0x00000080 // M
	Key128    Bits = 0x00000040 // S
	Key40     Bits = 0x00000020 // L
	Obsolete  Bits = 0x00000010 // D
	MPPC      Bits = 0x00000001 // C

	// Wanted is the only word that we offer and acknowledge.
	Wanted = Stateless | Key128
)

// String names the bits: "128-bit stateless".
func (b Bits) String() string {
	s := ""
	for _, k := range []struct {
		bit  Bits
		name string
	}{{Key128, "128"}, {Key56, "56"}, {Key40, "40"}} {
		if b&k.bit == 0 {
			continue
		}
		if s != "" {
			s += "/"
		}
		s += k.name
	}
	switch {
	case s == "":
		s = "no encryption"
	case b&Stateless != 0:
		s += "-bit stateless"
	default:
		s += "-bit stateful"
	}
	if b&MPPC != 0 {
		s += " with MPPC"
	}
	return s
}

// patience is how often a peer is told in vain what we want before its proposal (in its
// request, or its Nak of ours) is taken as the best it can do.
const patience = 1

// Config describes one side.
type Config struct{ Timers fsm.Timers }

// State is a Machine as plain data.
type State struct {
	Automaton fsm.Data
	OwnState
}

// OwnState is what CCP knows besides the automaton.
type OwnState struct {
	Ask       bool   // our request has option 18
	PeerAsks  bool   // the peer's request has it, as we want it
	PeerSeen  bool   // the peer's request has it, in whatever form
	Weak      int    // requests of the peer that lacked 128-bit keys or stateless mode
	NaksOfOur int    // Naks of ours that proposed what we cannot accept
	Refusal   string // what the peer did instead of agreeing
}

// Rest is what is left to remember of a machine that has agreed on MPPE and has nothing under way.
type Rest struct {
	Automaton fsm.Rest
	Weak      int
	NaksOfOur int
}

// Machine is CCP on one side of a link: the automaton, and what its options mean. Once
// it is Opened (fsm.LayerUp), Agreed tells what is settled.
type Machine struct {
	fsm.Machine
	s OwnState
}

var extensions = []fsm.Code{fsm.ResetRequest, fsm.ResetAck}

// New makes a machine in state Initial.
func New(cfg Config) *Machine { return Restore(cfg, State{OwnState: OwnState{Ask: true}}) }

// Restore goes on where State left off.
func Restore(cfg Config, s State) *Machine {
	m := &Machine{s: s.OwnState}
	m.Machine = *fsm.Restore(&fsm.Config{Name: "CCP", Timers: cfg.Timers, Patient: true, Extensions: extensions}, options{m}, s.Automaton)
	return m
}

// State returns a copy of everything the machine knows. Actions must have been drained.
func (m *Machine) State() State { return State{m.Data(), m.s} }

// Rest returns what Wake makes an equal machine of, but for what Discarded counts. ok is false if MPPE is not agreed on or something is
// under way. Actions must have been drained.
func (m *Machine) Rest() (r Rest, ok bool) {
	automaton, ok := m.Machine.Rest()
	agreed, _ := m.Agreed()
	return Rest{automaton, m.s.Weak, m.s.NaksOfOur}, ok && agreed && m.s.Refusal == ""
}

// Wake makes the machine that was at rest.
func Wake(cfg Config, r Rest) *Machine {
	return Restore(cfg, State{r.Automaton.Data(cfg.Timers), OwnState{Ask: true, PeerAsks: true, PeerSeen: true, Weak: r.Weak, NaksOfOur: r.NaksOfOur}})
}

// Receive takes the information field of a CCP packet.
func (m *Machine) Receive(now time.Time, info []byte) {
	p, extension := m.Machine.Receive(now, info)
	// Stateless MPPE needs no reset: RFC 1962 wants the request acknowledged all the
	// same, RFC 3078 section 8 lets the Ack be ignored.
	if extension && p.Code == fsm.ResetRequest {
		m.Transmit(fsm.Packet{Code: fsm.ResetAck, Identifier: p.Identifier, Data: p.Data})
	}
}

// Empty tells whether nothing of MPPE is left in the negotiation, in neither direction: it
// may then go on to its end on nothing, as old peers are used to.
func (m *Machine) Empty() bool { return !m.s.Ask && !m.s.PeerAsks }

// Agreed tells whether both directions are to be encrypted, once CCP is Opened.
// Otherwise, or if it comes to nothing before, why is the reason for people, "" if there
// is none yet.
func (m *Machine) Agreed() (mppe bool, why string) {
	if m.s.Ask && m.s.PeerAsks && m.Machine.State() == fsm.Opened {
		return true, ""
	}
	if m.s.Refusal == "" && m.Machine.State() == fsm.Opened {
		return false, "peer does not ask for MPPE"
	}
	return false, m.s.Refusal
}
