package lcp

import (
	"encoding/binary"
	"fmt"
	"slices"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/fsm"
)

// options is the fsm.Negotiator of a Machine.
type options struct{ *Machine }

// Request appends the options of our Configure-Request.
func (m options) Request(dst []byte) []byte {
	if m.s.AskMRU {
		dst = fsm.AppendOption(dst, fsm.Option16(OptionMRU, m.s.MRU))
	}
	if m.s.AskACCM {
		dst = fsm.AppendOption(dst, fsm.Option32(OptionACCM, m.s.ACCM))
	}
	if m.s.Demand != auth.None {
		dst = fsm.AppendOption(dst, authOption(m.s.Demand))
	}
	if m.s.AskMagic {
		dst = fsm.AppendOption(dst, fsm.Option32(OptionMagic, m.s.Magic))
	}
	if m.s.AskPFC {
		dst = fsm.AppendOption(dst, fsm.Option{Type: OptionPFC})
	}
	if m.s.AskACFC {
		dst = fsm.AppendOption(dst, fsm.Option{Type: OptionACFC})
	}
	return dst
}

func authOption(p auth.Protocol) fsm.Option {
	return fsm.Option{Type: OptionAuthentication, Data: p.AppendOption(nil)}
}

// Begin forgets what the peer asked for before.
func (m options) Begin() {
	m.s.PeerMRU, m.s.PeerACCM, m.s.PeerMagic = ppp.DefaultMRU, DefaultACCM, 0
	m.s.PeerPFC, m.s.PeerACFC, m.s.Proving = false, false, auth.None
}

// Missing adds nothing: there is no option that a peer must ask for.
func (m options) Missing(dst []byte) []byte { return dst }

// Judge rules on an option of the peer's request.
func (m options) Judge(o fsm.Option) fsm.Ruling {
	switch o.Type {
	case OptionMRU:
		if len(o.Data) != 2 {
			return nak(fsm.Option16(OptionMRU, ppp.DefaultMRU))
		}
		if m.s.PeerMRU = binary.BigEndian.Uint16(o.Data); m.s.PeerMRU < MinMRU {
			return nak(fsm.Option16(OptionMRU, MinMRU))
		}
		return fsm.Ruling{}
	case OptionACCM:
		if len(o.Data) != 4 {
			return nak(fsm.Option32(OptionACCM, DefaultACCM))
		}
		m.s.PeerACCM = binary.BigEndian.Uint32(o.Data)
		return fsm.Ruling{}
	case OptionAuthentication:
		return m.judgeAuthentication(o)
	case OptionMagic:
		return m.judgeMagic(o)
	case OptionPFC, OptionACFC:
		if len(o.Data) != 0 {
			return fsm.Ruling{Verdict: fsm.Reject}
		}
		if o.Type == OptionPFC {
			m.s.PeerPFC = true
		} else {
			m.s.PeerACFC = true
		}
		return fsm.Ruling{}
	}
	return fsm.Ruling{Verdict: fsm.Reject}
}

func nak(o fsm.Option) fsm.Ruling { return fsm.Ruling{Verdict: fsm.Nak, Wanted: o} }

// judgeAuthentication answers a peer that wants us to authenticate: yes, by another
// protocol (each of ours in turn), or not at all.
func (m *Machine) judgeAuthentication(o fsm.Option) fsm.Ruling {
	p, ok := auth.ParseOption(o.Data)
	if ok && slices.Contains(m.cfg.Willing, p) {
		m.s.Proving = p
		return fsm.Ruling{}
	}
	if len(m.cfg.Willing) == 0 {
		return fsm.Ruling{Verdict: fsm.Reject}
	}
	other := m.cfg.Willing[m.s.WillNaks%len(m.cfg.Willing)]
	m.s.WillNaks++
	return nak(authOption(other))
}

// judgeMagic looks for a loop (RFC 1661 section 6.4): a request with the number we
// sent last is our own.
func (m *Machine) judgeMagic(o fsm.Option) fsm.Ruling {
	if len(o.Data) != 4 {
		return nak(fsm.Option32(OptionMagic, uint32(m.random.Uint64())|1))
	}
	m.s.PeerMagic = binary.BigEndian.Uint32(o.Data)
	own := m.s.AskMagic && m.s.PeerMagic == m.s.Magic
	if own {
		m.sawOwnMagic()
	}
	if own || m.s.PeerMagic == 0 {
		return nak(fsm.Option32(OptionMagic, uint32(m.random.Uint64())|1))
	}
	return fsm.Ruling{}
}

// sawOwnMagic counts sightings of our own magic number.
func (m *Machine) sawOwnMagic() {
	if m.s.Loops++; m.s.Loops == loopMax {
		m.actions = append(m.actions, Looped{})
	}
}

// Naked takes an option of a Configure-Nak.
func (m options) Naked(o fsm.Option) {
	switch o.Type {
	case OptionMRU:
		m.nakedMRU(o)
	case OptionACCM:
		// RFC 1662 section 7.1: the peer wants more characters escaped.
		if m.s.AskACCM && len(o.Data) == 4 {
			m.s.ACCM |= binary.BigEndian.Uint32(o.Data)
		}
	case OptionAuthentication:
		if m.s.Demand != auth.None {
			m.nakedAuthentication(o)
		}
	case OptionMagic:
		// Draw a number of our own rather than take the peer's: if this is a
		// loop, the peer is we.
		m.drawMagic()
	case OptionPFC, OptionACFC:
		m.Rejected(o) // what is only on or off cannot be Naked
	}
}

// nakedMRU takes a smaller MRU. Anything else ends the negotiation of it: the default
// has to be accepted anyhow. Windows 2000 Naks with our own value.
func (m *Machine) nakedMRU(o fsm.Option) {
	if len(o.Data) != 2 {
		return
	}
	v := binary.BigEndian.Uint16(o.Data)
	if v >= MinMRU && v < min(m.s.MRU, ppp.DefaultMRU) {
		m.s.AskMRU, m.s.MRU = true, v
		return
	}
	m.s.AskMRU = false
}

// nakedAuthentication takes the peer's proposal if it is among ours, else turns to our
// next weaker one, else gives up.
func (m *Machine) nakedAuthentication(o fsm.Option) {
	p, known := auth.ParseOption(o.Data)
	if known && slices.Contains(m.cfg.Demand, p) {
		m.s.Demand = p
		return
	}
	wants := fmt.Sprintf("option %x", o.Data)
	if known {
		wants = p.String()
	}
	m.giveUpDemand(m.weaker(m.s.Demand), fmt.Sprintf("peer wants to authenticate by %s, we accept %s", wants, names(m.cfg.Demand)))
}

func (m *Machine) giveUpDemand(next auth.Protocol, why string) {
	if m.s.Demand = next; next == auth.None {
		m.s.Refusal = why
	}
}

func names(list []auth.Protocol) string {
	s := ""
	for i, p := range list {
		if i > 0 {
			s += ", "
		}
		s += p.String()
	}
	return s
}

// Rejected takes an option of ours that the peer does not want to negotiate.
func (m options) Rejected(o fsm.Option) {
	switch o.Type {
	case OptionMRU:
		m.s.AskMRU = false
	case OptionACCM:
		m.s.AskACCM = false
	case OptionAuthentication:
		m.giveUpDemand(auth.None, "peer refused to authenticate, we accept "+names(m.cfg.Demand))
	case OptionMagic:
		m.s.AskMagic = false
	case OptionPFC:
		m.s.AskPFC = false
	case OptionACFC:
		m.s.AskACFC = false
	}
}
