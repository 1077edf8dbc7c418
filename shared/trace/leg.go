package trace

import (
	"net/netip"
	"slices"
	"time"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// Leg is a call on a control connection.
type Leg struct {
	About
	Connection uint64
	Role       fsm.Role // ours
	Own        uint16   // Call ID that we assigned
	Theirs     uint16   // Call ID that the other end assigned
	Identified bool     // Theirs is known; if not, it is learnt from the messages
}

// legacy is how long a call that has ended is still recognized: what is late, and the last messages, come after its end.
const legacy = 2 * time.Second

// legState is a leg of a trace.
type legState struct {
	Leg
	ended time.Time // zero: not yet
}

// ids returns the Call IDs by who assigned them, and whether each is known.
func (l *legState) ids() (pac, pns uint16, pacKnown, pnsKnown bool) {
	if l.Role == fsm.RolePAC {
		return l.Own, l.Theirs, true, l.Identified
	}
	return l.Theirs, l.Own, l.Identified, true
}

// learn stores the Call ID of the other end, if it is new.
func (l *legState) learn(theirs uint16) (changed bool) {
	if l.Identified {
		return false
	}
	l.Theirs, l.Identified = theirs, true
	return true
}

// greKey is what tells the GRE packets of a call in one direction.
type greKey struct {
	remote netip.Addr
	callID uint16
	sent   bool
}

// Begin is the Hub's Begin for a call that was there before the trace.
func (t *Trace) Begin(now time.Time, l Leg) {
	if t.scope.Peer.IsValid() || !t.scope.takes(l.About) {
		return // a peer's are known by its address
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.legs = slices.DeleteFunc(t.legs, func(old *legState) bool {
		return !old.ended.IsZero() && now.Sub(old.ended) > legacy || old.Connection == l.Connection && old.Own == l.Own
	})
	t.legs = append(t.legs, &legState{Leg: l})
	t.refilter()
}

// end notes that a leg has ended.
func (t *Trace) end(now time.Time, connection uint64, own uint16) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.legs {
		if l.Connection == connection && l.Own == own {
			l.ended = now
		}
	}
}

// refilter publishes what GRE packets are wanted. The caller holds mu.
func (t *Trace) refilter() {
	wanted := make(map[greKey]bool, 2*len(t.legs))
	for _, l := range t.legs {
		wanted[greKey{l.Remote, l.Own, false}] = true
		if l.Identified {
			wanted[greKey{l.Remote, l.Theirs, true}] = true
		}
	}
	t.wanted.Store(&wanted)
}

// gre takes a packet, if it is wanted. For those that are not it takes no lock.
func (t *Trace) gre(now time.Time, local, remote netip.Addr, sent bool, packet []byte) {
	if t.scope.Peer.IsValid() {
		if remote != t.scope.Peer {
			return
		}
	} else {
		h, _, err := gre.Parse(packet)
		if wanted := t.wanted.Load(); err != nil || wanted == nil || !(*wanted)[greKey{remote, h.CallID, sent}] {
			return
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.push(network, record{kind: kindGRE, at: now, sent: sent, local: netip.AddrPortFrom(local, 0), remote: netip.AddrPortFrom(remote, 0)}, packet)
}

// concerns tells whether a control message, on the connection of a leg, is about one of the legs or about the connection as such. What is
// told on the way is learnt. The caller holds mu.
func (t *Trace) concerns(c Connection, sent bool, octets []byte) bool {
	m, err := pptp.Decode(octets)
	if err != nil {
		return true
	}
	row := fsm.RowOf(m.Type())
	id := callIDs(m)
	if !id.hasPAC && !id.hasPNS {
		return true
	}
	ours := row.Receiver()
	if sent {
		ours = fsm.RolePAC + fsm.RolePNS - ours
	}
	for _, l := range t.legs {
		if l.Connection != c.ID || l.Role != ours || !l.named(id) {
			continue
		}
		if ours == fsm.RolePAC && id.hasPNS && l.learn(id.pns) || ours == fsm.RolePNS && id.hasPAC && l.learn(id.pac) {
			t.refilter()
		}
		return true
	}
	return false
}

// named are the Call IDs in a message, by who assigned them.
type named struct {
	pac, pns       uint16
	hasPAC, hasPNS bool
	either         bool // real peers put the one where the other belongs
}

// named tells whether the Call IDs are those of the leg.
func (l *legState) named(id named) bool {
	pac, pns, pacKnown, pnsKnown := l.ids()
	if id.either {
		one := id.pac
		if id.hasPNS {
			one = id.pns
		}
		return pacKnown && one == pac || pnsKnown && one == pns
	}
	if id.hasPAC && pacKnown && id.pac != pac || id.hasPNS && pnsKnown && id.pns != pns {
		return false
	}
	return id.hasPAC && pacKnown || id.hasPNS && pnsKnown
}

// callIDs returns the Call IDs in a message (RFC 2637 section 2).
func callIDs(m pptp.Message) named {
	switch m := m.(type) {
	case *pptp.OutgoingCallRequest:
		return named{pns: m.PNSCallID, hasPNS: true}
	case *pptp.OutgoingCallReply:
		return named{pac: m.PACCallID, pns: m.PNSCallID, hasPAC: m.ResultCode == pptp.OutgoingConnected, hasPNS: true}
	case *pptp.IncomingCallRequest:
		return named{pac: m.PACCallID, hasPAC: true}
	case *pptp.IncomingCallReply:
		return named{pac: m.PACCallID, pns: m.PNSCallID, hasPAC: true, hasPNS: m.ResultCode == pptp.IncomingAccept}
	case *pptp.IncomingCallConnected:
		return named{pns: m.PNSCallID, hasPNS: true}
	case *pptp.CallClearRequest:
		return named{pns: m.PNSCallID, hasPNS: true, either: true}
	case *pptp.CallDisconnectNotify:
		return named{pac: m.PACCallID, hasPAC: true, either: true}
	case *pptp.WANErrorNotify:
		return named{pns: m.PNSCallID, hasPNS: true}
	case *pptp.SetLinkInfo:
		return named{pac: m.PACCallID, hasPAC: true}
	}
	return named{}
}
