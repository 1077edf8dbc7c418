package link

import (
	"fmt"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/fsm"
	"trunkline.example/shared/ppp/lcp"
)

// drainLCP performs what LCP wants.
func (l *Link) drainLCP(now time.Time) {
	for _, a := range l.lcp.Actions() {
		if l.s.Over {
			return
		}
		switch a := a.(type) {
		case lcp.Send:
			l.send(ppp.LCP, a.Packet)
		case lcp.Up:
			l.linkUp(now, a.Agreement)
		case lcp.Down:
			l.linkDown(now)
		case lcp.Finished:
			l.finish(now, lcpFinished(a.Why))
		case lcp.Terminating:
			l.peerTerminates(now, a)
		case lcp.ProtocolRejected:
			l.protocolRejected(now, a.Protocol)
		case lcp.Refused:
			if l.s.Phase != Terminate {
				l.begin(Reason{CodeProtocolError, There, "peer rejected " + a.What})
			}
		case lcp.Looped:
			l.terminate(now, Reason{CodeLoopback, Line,
				"our own frames come back: the line is looped, or the far end is a modem in command mode or a login shell that echoes"}, "loop")
		case lcp.Silent:
			l.terminate(now, Reason{CodeEchoTimeout, There, fmt.Sprintf("%d LCP Echo-Requests unanswered", a.Unanswered)}, "no answer to Echo-Requests")
		}
	}
}

// lcpFinished explains the end of an LCP that nobody closed.
func lcpFinished(why fsm.Finish) Reason {
	switch why {
	case fsm.FinishSilent:
		return Reason{CodeNoAnswer, There, "no answer to LCP Configure-Requests"}
	case fsm.FinishUnsettled:
		return Reason{CodeNoAgreement, There, "no agreement on LCP options"}
	case fsm.FinishRejected, fsm.FinishClosed, fsm.FinishPeer: // the reason was given before
	}
	return Reason{CodePeerTerminated, There, "LCP " + why.String()}
}

// linkUp goes on to authentication, or without it to the network.
func (l *Link) linkUp(now time.Time, agreed lcp.Agreement) {
	if l.s.Phase == Terminate {
		return
	}
	l.s.Agreed = agreed
	if l.s.Epoch++; l.s.Epoch > 1 {
		l.s.Counters.Renegotiations++
	}
	l.s.GoneBy = time.Time{}
	l.act(LinkUp{MRU: agreed.MRU, PeerMRU: agreed.PeerMRU, SendACCM: agreed.SendACCM, ReceiveACCM: agreed.ReceiveACCM,
		PFC: l.sendPFC(), ACFC: l.sendACFC(), Authentication: max(agreed.Authentication, agreed.Proving)})
	if len(l.plan.demand) > 0 && agreed.Authentication == auth.None {
		l.terminate(now, Reason{CodeAuthRefused, There, l.lcp.Refusal()}, "authentication is required")
		return
	}
	if l.plan.cfg.Mutual && !agreed.Proving.Mutual() {
		l.terminate(now, Reason{CodeAuthRefused, There, "peer does not ask for an authentication that proves who it is as well"}, "mutual authentication is required")
		return
	}
	l.enter(Authenticating, agreed.String())
	l.s.PhaseBy = now.Add(l.plan.cfg.Timers.Authenticate)
	l.startAuth(now)
}

// linkDown: the peer renegotiates, or LCP is being terminated.
func (l *Link) linkDown(now time.Time) {
	if l.s.Phase == Terminate {
		return
	}
	l.abandon("LCP is negotiated again")
	if l.restless(now) {
		return
	}
	l.s.Agreed = lcp.Agreement{}
	l.enter(Establish, "LCP is negotiated again")
	l.s.PhaseBy = now.Add(l.plan.cfg.Timers.Establish)
}

// Bound on renegotiations, which cost us more than the peer.
const (
	restartsMax    = 20
	restartsWithin = time.Minute
)

// restless counts a renegotiation by the peer and ends the link if there were too many.
func (l *Link) restless(now time.Time) bool {
	if now.Sub(l.s.RestartsFrom) >= restartsWithin {
		l.s.RestartsFrom, l.s.Restarts = now, 0
	}
	if l.s.Restarts++; l.s.Restarts <= restartsMax {
		return false
	}
	l.terminate(now, Reason{CodeNoAgreement, There, fmt.Sprintf("peer negotiated again more than %d times in %v", restartsMax, restartsWithin)}, "too many negotiations")
	return true
}

// peerTerminates notes a Terminate-Request. If LCP is open the automaton winds it up;
// during negotiation RFC 1661 goes on asking, but a peer that said good-bye will
// hardly answer: it is given one restart period to ask again.
func (l *Link) peerTerminates(now time.Time, a lcp.Terminating) {
	switch {
	case l.s.Phase == Terminate:
	case a.Former == fsm.Opened:
		l.begin(Reason{CodePeerTerminated, There, quoted(a.Text)})
	case a.Former >= fsm.ReqSent:
		l.s.GoneBy, l.s.GoneText = now.Add(l.plan.cfg.Timers.Negotiation.Restart), a.Text
	}
}

// protocolRejected: the peer does not know a protocol (RFC 1661 section 5.7).
func (l *Link) protocolRejected(now time.Time, proto ppp.Protocol) {
	l.s.Counters.ProtocolsRejected++
	l.wake()
	switch proto {
	case ppp.CCP:
		if l.ccp != nil {
			l.dropCCP() // nothing more may be sent under a rejected protocol
			l.ccpOver(now, There, "peer rejected CCP")
		}
	case ppp.IPCP:
		if l.ipcp != nil {
			l.terminate(now, Reason{CodeNetworkFailed, There, "peer rejected IPCP"}, "no network protocol left")
		}
	case ppp.PAP, ppp.CHAP:
		if l.s.Phase == Authenticating {
			l.terminate(now, Reason{CodeAuthRefused, There, fmt.Sprintf("peer rejected %v after it had agreed to it", proto)}, "authentication is required")
		}
	}
}
