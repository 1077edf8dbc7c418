package ccp

import (
	"encoding/binary"
	"fmt"

	"trunkline.example/shared/ppp/fsm"
)

// options is the fsm.Negotiator of a Machine.
type options struct{ *Machine }

func wanted() fsm.Option { return fsm.Option32(OptionMPPE, uint32(Wanted)) }

// Request asks for MPPE as long as the peer has not refused it.
func (m options) Request(dst []byte) []byte {
	if m.s.Ask {
		dst = fsm.AppendOption(dst, wanted())
	}
	return dst
}

// Begin forgets what the peer asked for before.
func (m options) Begin() { m.s.PeerAsks, m.s.PeerSeen = false, false }

// Judge brings the peer to 128-bit stateless MPPE and rejects everything else.
func (m options) Judge(o fsm.Option) fsm.Ruling {
	if o.Type != OptionMPPE || !m.s.Ask {
		return fsm.Ruling{Verdict: fsm.Reject}
	}
	m.s.PeerSeen = true
	nak := fsm.Ruling{Verdict: fsm.Nak, Wanted: wanted()}
	if len(o.Data) != 4 {
		return nak
	}
	bits := Bits(binary.BigEndian.Uint32(o.Data))
	switch {
	case bits == Wanted:
		m.s.PeerAsks = true
		return fsm.Ruling{}
	case bits&Wanted == Wanted:
		// It offers what it can (pppd, Windows): Nak down to the one we want.
		return nak
	}
	// A peer that knows only stateful mode or short keys is asked once, then
	// told that this will not do.
	if m.s.Weak++; m.s.Weak <= patience {
		return nak
	}
	m.s.Refusal = fmt.Sprintf("peer insists on MPPE %v", bits)
	return fsm.Ruling{Verdict: fsm.Reject}
}

// Missing asks a peer that does not mention MPPE to ask for it: Windows 95 and 98
// cannot do it one way.
func (m options) Missing(dst []byte) []byte {
	if m.s.Ask && !m.s.PeerSeen {
		dst = fsm.AppendOption(dst, wanted())
	}
	return dst
}

// Naked repeats our request once, in case the peer Naks out of habit; a peer that
// insists on something else cannot do what we want.
func (m options) Naked(o fsm.Option) {
	if o.Type != OptionMPPE || len(o.Data) != 4 {
		return
	}
	bits := Bits(binary.BigEndian.Uint32(o.Data))
	if bits&Wanted == Wanted {
		return
	}
	if m.s.NaksOfOur++; m.s.NaksOfOur > patience {
		m.refused(fmt.Sprintf("peer offers MPPE %v instead", bits))
	}
}

// Rejected takes it that the peer has no MPPE.
func (m options) Rejected(o fsm.Option) {
	if o.Type == OptionMPPE {
		m.refused("peer rejected MPPE")
	}
}

func (m options) refused(why string) { m.s.Ask, m.s.Refusal = false, why }
