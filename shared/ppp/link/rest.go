package link

import (
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/ipcp"
)

// resting is what stands for CCP and IPCP while the network is up and nothing is negotiated. Most of its life a session is only held
// up: then its machines, which are a kilobyte and a half, are made anew of these few octets when the peer has something to say.
type resting struct {
	hasCCP, hasIPCP bool
	ccp             ccp.Rest
	ipcp            ipcp.Rest
}

// rest lets go of the machines that have nothing more to do while the network is up. Whatever comes in, and every tick, ends with it.
func (l *Link) rest() {
	if !l.s.NetworkUp {
		return
	}
	if m := l.checker; m != nil {
		if kept, ok := m.Answered(); ok {
			l.s.Answered, l.checker = &kept, nil
		}
	}
	if m := l.ccp; m != nil {
		if r, ok := m.Rest(); ok {
			l.s.Counters.Discarded += m.Discarded()
			l.resting.ccp, l.resting.hasCCP, l.ccp = r, true, nil
		}
	}
	if m := l.ipcp; m != nil {
		if r, ok := m.Rest(); ok {
			l.s.Counters.Discarded += m.Discarded()
			l.resting.ipcp, l.resting.hasIPCP, l.ipcp = r, true, nil
		}
	}
}

// wake makes the machines again that are at rest.
func (l *Link) wake() {
	l.ccp, l.ipcp = l.awakeCCP(), l.awakeIPCP()
	l.resting = resting{}
}

// awakeCCP is CCP as it is when it does not rest, nil if there is none.
func (l *Link) awakeCCP() *ccp.Machine {
	if l.resting.hasCCP {
		return ccp.Wake(l.ccpConfig(), l.resting.ccp)
	}
	return l.ccp
}

// awakeIPCP is IPCP as it is when it does not rest, nil if there is none.
func (l *Link) awakeIPCP() *ipcp.Machine {
	if l.resting.hasIPCP {
		return ipcp.Wake(l.ipcpConfig(), l.resting.ipcp)
	}
	return l.ipcp
}
