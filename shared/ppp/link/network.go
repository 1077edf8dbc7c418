package link

import (
	"fmt"
	"net/netip"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/fsm"
	"trunkline.example/shared/ppp/ipcp"
	"trunkline.example/shared/ppp/mppe"
)

func (l *Link) ccpConfig() ccp.Config { return ccp.Config{Timers: l.plan.cfg.Timers.Negotiation} }

func (l *Link) ipcpConfig() ipcp.Config {
	local, peer, dns, wins := l.addresses()
	return ipcp.Config{Timers: l.plan.cfg.Timers.Negotiation, Server: l.plan.cfg.Side == Server, Local: local, Peer: peer,
		Servers: ipcp.MakeServers(dns, wins), AskDNS: l.plan.cfg.AskDNS, AskWINS: l.plan.cfg.AskWINS}
}

// addresses are those of the Verdict, else of the Config.
func (l *Link) addresses() (local, peer netip.Addr, dns, wins [2]netip.Addr) {
	or := func(a, b netip.Addr) netip.Addr {
		if a.IsValid() {
			return a
		}
		return b
	}
	local, peer = or(l.s.Granted.LocalAddress, l.plan.cfg.LocalAddress), or(l.s.Granted.PeerAddress, l.plan.cfg.PeerAddress)
	dns, wins = l.plan.cfg.DNS, l.plan.cfg.WINS
	if l.s.Granted.DNS[0].IsValid() || l.s.Granted.DNS[1].IsValid() {
		dns = l.s.Granted.DNS
	}
	if l.s.Granted.WINS[0].IsValid() || l.s.Granted.WINS[1].IsValid() {
		wins = l.s.Granted.WINS
	}
	return local, peer, dns, wins
}

// startNetwork begins CCP and, at once or after it, IPCP.
//
// pppd with MPPE starts IPCP only when CCP is open, and answers an earlier request with
// a Terminate-Ack that costs a restart period. MikroTik starts both at once. So our IPCP
// waits for CCP to be settled, or for the first IPCP packet of the peer, whichever is
// earlier.
func (l *Link) startNetwork(now time.Time) {
	l.s.PhaseBy = now.Add(l.plan.cfg.Timers.Network)
	if l.plan.cfg.Side == Server {
		if _, peer, _, _ := l.addresses(); !peer.Is4() {
			l.terminate(now, Reason{CodeResources, Here, "no address for the peer"}, "no address available")
			return
		}
	}
	l.ipcp = ipcp.New(l.ipcpConfig())
	l.ipcp.Open(now)
	if l.s.Policy != ccp.None && l.s.HasKeys {
		l.ccp = ccp.New(l.ccpConfig())
		l.ccp.Open(now)
		l.ccp.Up(now)
		if l.s.Policy == ccp.Preferred {
			l.s.EncryptionBy = now.Add(l.plan.cfg.Timers.Encryption)
		}
		l.drainCCP(now)
	} else {
		l.withoutEncryption(now, Here, "authentication gave no keys")
	}
	l.replay(now)
}

func (l *Link) startIPCP(now time.Time) {
	if l.ipcp == nil || l.s.IPCPStarted {
		return
	}
	l.s.IPCPStarted = true
	l.ipcp.Up(now)
	l.drainIPCP(now)
}

// drainCCP performs what CCP wants.
func (l *Link) drainCCP(now time.Time) {
	m := l.ccp
	for _, a := range m.Actions() {
		if l.ccp != m {
			return
		}
		switch a := a.(type) {
		case fsm.Send:
			l.send(ppp.CCP, a.Packet)
		case fsm.LayerUp:
			l.ccpUp(now)
		case fsm.LayerDown:
			l.ccpDown(now)
		case fsm.LayerFinished:
			l.ccpOver(now, party(a.Why), "CCP ended: "+a.Why.String())
		case fsm.Terminating:
			l.ccpOver(now, There, "peer terminated CCP: "+quoted(a.Text))
		case fsm.LayerStarted, fsm.CodeRejected: // we started it; CCP needs no code of its own
		}
	}
	if l.ccp != m {
		return
	}
	// A refusal need not wait until CCP has opened on nothing.
	if _, why := m.Agreed(); why != "" && !l.s.Settled {
		l.withoutEncryption(now, There, why)
	}
}

// party is who ended a layer that we did not close.
func party(why fsm.Finish) Party {
	if why == fsm.FinishClosed {
		return Here
	}
	return There
}

func (l *Link) ccpUp(now time.Time) {
	if secure, _ := l.ccp.Agreed(); secure {
		l.s.Settled, l.s.Encrypted, l.s.WasSecure = true, true, true
		l.s.EncryptionBy = time.Time{}
		l.startIPCP(now)
		l.checkNetwork(now)
	}
}

// ccpDown: the peer negotiates CCP again, or ends it. Nothing may be sent meanwhile.
func (l *Link) ccpDown(now time.Time) {
	if !l.s.Encrypted {
		return
	}
	l.s.Settled, l.s.Encrypted = false, false
	l.networkDown("CCP is negotiated again")
	if l.restless(now) {
		return
	}
	l.s.PhaseBy = now.Add(l.plan.cfg.Timers.Network)
}

// ccpOver: CCP has come, or is coming, to its end.
func (l *Link) ccpOver(now time.Time, by Party, why string) {
	if l.s.Settled && !l.s.Encrypted {
		return // we go on without, and have said so
	}
	l.withoutEncryption(now, by, why)
}

// withoutEncryption goes on in clear, if the policy allows. A peer that had
// encryption and ends it is not followed there.
func (l *Link) withoutEncryption(now time.Time, by Party, why string) {
	switch {
	case l.s.Policy == ccp.Required:
		l.terminate(now, Reason{CodeEncryptionRefused, by, "MPPE-128 stateless is required: " + why}, "MPPE-128 required")
		return
	case l.s.WasSecure:
		l.terminate(now, Reason{CodeEncryptionRefused, by, "MPPE was in use and was given up: " + why}, "MPPE given up")
		return
	}
	l.s.Settled, l.s.Encrypted = true, false
	l.s.EncryptionBy = time.Time{}
	if m := l.ccp; m != nil && !m.Empty() {
		m.Close(now, "no MPPE") // half an agreement is worse than none
		l.drainCCP(now)
	}
	l.startIPCP(now)
	l.checkNetwork(now)
}

// drainIPCP performs what IPCP wants.
func (l *Link) drainIPCP(now time.Time) {
	m := l.ipcp
	for _, a := range m.Actions() {
		if l.ipcp != m {
			return
		}
		switch a := a.(type) {
		case fsm.Send:
			l.send(ppp.IPCP, a.Packet)
		case fsm.LayerUp:
			l.s.IPCPUp = true
			l.checkNetwork(now)
		case fsm.LayerDown:
			l.s.IPCPUp = false
			l.networkDown("IPCP is negotiated again")
			if l.restless(now) {
				return
			}
			l.s.PhaseBy = now.Add(l.plan.cfg.Timers.Network)
		case fsm.LayerFinished:
			l.terminate(now, Reason{CodeNetworkFailed, party(a.Why), "IPCP ended: " + a.Why.String()}, "no network protocol left")
		case fsm.Terminating, fsm.LayerStarted, fsm.CodeRejected: // the automaton goes on to LayerFinished where it matters
		}
	}
}

// checkNetwork reports NetworkUp when IPCP is open and encryption is settled.
func (l *Link) checkNetwork(now time.Time) {
	if l.s.NetworkUp || !l.s.IPCPUp || !l.s.Settled {
		return
	}
	r := l.ipcp.Result()
	if !r.Local.IsValid() && l.plan.cfg.Side == Client {
		l.terminate(now, Reason{CodeNetworkFailed, There, "peer assigned no address"}, "no address assigned")
		return
	}
	if l.plan.cfg.KeepAddress && r.Local != l.plan.cfg.LocalAddress {
		l.terminate(now, Reason{CodeNetworkFailed, There, fmt.Sprintf("peer does not let us be %v but wants %v", l.plan.cfg.LocalAddress, r.Local)}, "address not accepted")
		return
	}
	up := NetworkUp{User: l.s.User, LocalAddress: r.Local, PeerAddress: r.Peer, DNS: r.Servers.DNS(), WINS: r.Servers.WINS(),
		MRU: l.s.Agreed.MRU, MTU: l.s.Agreed.PeerMRU, PFC: l.sendPFC(), ACFC: l.sendACFC()}
	if l.plan.cfg.MTU != 0 {
		up.MTU = min(up.MTU, l.plan.cfg.MTU)
	}
	if l.s.Encrypted {
		keys := l.s.Keys
		up.Encryption = &keys
		up.MTU -= mppe.Overhead
	}
	l.s.NetworkUp = true
	l.s.PhaseBy = time.Time{}
	l.act(up)
}

// networkTooLate ends a link whose network did not come up in time.
func (l *Link) networkTooLate(now time.Time) {
	if !l.s.Settled {
		l.terminate(now, Reason{CodeEncryptionRefused, There, "no agreement on MPPE in time"}, "MPPE-128 required")
		return
	}
	l.terminate(now, Reason{CodeNetworkFailed, There, fmt.Sprintf("IPCP did not open in %v", l.plan.cfg.Timers.Network)}, "no network protocol left")
}
