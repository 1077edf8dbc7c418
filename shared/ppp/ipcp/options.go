package ipcp

import (
	"net/netip"

	"trunkline.example/shared/ppp/fsm"
)

// options is the fsm.Negotiator of a Machine.
type options struct{ *Machine }

func address(kind uint8, a netip.Addr) fsm.Option {
	if !a.Is4() {
		a = netip.IPv4Unspecified()
	}
	return fsm.Option{Type: kind, Data: a.AsSlice()}
}

// serverIndex is the index of a name server option in Servers.
func serverIndex(kind uint8) (int, bool) {
	i := int(kind) - firstServerOption
	return i, i >= 0 && i < serverOptions
}

// Request names our address and asks for name servers.
func (m options) Request(dst []byte) []byte {
	if m.s.AskAddress {
		dst = fsm.AppendOption(dst, address(OptionAddress, m.s.Address))
	}
	for i, ask := range m.s.Ask {
		if ask {
			dst = fsm.AppendOption(dst, address(uint8(firstServerOption+i), m.s.Servers[i]))
		}
	}
	return dst
}

// Begin forgets what the peer asked for before.
func (m options) Begin() { m.s.PeerAddress, m.s.PeerSeen = netip.Addr{}, false }

// Judge rules on the peer's address and on what it wants to know. Van Jacobson
// compression, IP-Addresses and Mobile-IPv4 are rejected.
func (m options) Judge(o fsm.Option) fsm.Ruling {
	if o.Type == OptionAddress {
		return m.judgeAddress(o)
	}
	i, ok := serverIndex(o.Type)
	if !ok || !m.cfg.Server || !m.cfg.Servers[i].Is4() {
		return fsm.Ruling{Verdict: fsm.Reject}
	}
	return want(o, m.cfg.Servers[i])
}

// want accepts an option that names a, and Naks any other with it.
func want(o fsm.Option, a netip.Addr) fsm.Ruling {
	if v, ok := netip.AddrFromSlice(o.Data); ok && v == a {
		return fsm.Ruling{}
	}
	return fsm.Ruling{Verdict: fsm.Nak, Wanted: address(o.Type, a)}
}

func (m options) judgeAddress(o fsm.Option) fsm.Ruling {
	if m.cfg.Server {
		r := want(o, m.cfg.Peer)
		m.s.PeerAddress, m.s.PeerSeen = m.cfg.Peer, true
		return r
	}
	v, ok := netip.AddrFromSlice(o.Data)
	if ok && v.Is4() && !v.IsUnspecified() {
		m.s.PeerAddress, m.s.PeerSeen = v, true
		return fsm.Ruling{}
	}
	// It asks us for an address, or says nothing sensible.
	if m.cfg.Peer.Is4() {
		return want(o, m.cfg.Peer)
	}
	return fsm.Ruling{Verdict: fsm.Reject}
}

// Missing makes the server's peer name the address it is given.
func (m options) Missing(dst []byte) []byte {
	if m.cfg.Server && !m.s.PeerSeen {
		dst = fsm.AppendOption(dst, address(OptionAddress, m.cfg.Peer))
	}
	return dst
}

// Naked takes the address and the name servers that a server gives. A server does
// not let itself be given an address.
func (m options) Naked(o fsm.Option) {
	v, ok := netip.AddrFromSlice(o.Data)
	if !ok || !v.Is4() || m.cfg.Server {
		return
	}
	if o.Type == OptionAddress {
		if !v.IsUnspecified() {
			m.s.AskAddress, m.s.Address = true, v
		}
		return
	}
	i, ok := serverIndex(o.Type)
	if !ok || !m.s.Ask[i] {
		return
	}
	if v.IsUnspecified() {
		m.s.Ask[i] = false // it has none
		return
	}
	m.s.Servers[i] = v
}

// Rejected stops asking for an option.
func (m options) Rejected(o fsm.Option) {
	if o.Type == OptionAddress {
		m.s.AskAddress = false
		return
	}
	if i, ok := serverIndex(o.Type); ok {
		m.s.Ask[i], m.s.Servers[i] = false, netip.Addr{}
	}
}
