package link

import (
	"errors"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/fsm"
)

// HeldFrame is a control frame that came before the phase it belongs to.
type HeldFrame struct {
	Protocol ppp.Protocol
	Frame    []byte // with header
}

// Bounds on what is held: more than an eager peer sends, and little memory.
const (
	heldMax       = 8
	heldOctetsMax = 512
)

// Receive takes a frame; address, control and protocol may be compressed. It is not
// kept.
func (l *Link) Receive(now time.Time, frame []byte) {
	if l.s.Over || !l.s.Started {
		return
	}
	l.receive(now, frame)
	l.rest()
}

func (l *Link) receive(now time.Time, frame []byte) {
	l.s.Counters.Received++
	proto, info, err := ppp.Split(frame)
	if errors.Is(err, ppp.ErrShort) {
		l.s.Counters.Malformed++
		return
	}
	if l.lcp.Opened() {
		l.lcp.Heard(now)
	}
	switch {
	case proto == ppp.LCP:
		if len(info) > 0 && fsm.Code(info[0]) == fsm.ConfigureRequest {
			l.s.GoneBy = time.Time{} // it has thought better of it
		}
		l.lcp.Receive(now, info)
		l.drainLCP(now)
	case l.s.Phase == Authenticating && (proto == ppp.PAP || proto == ppp.CHAP), l.s.Phase == Network:
		l.dispatch(now, proto, info)
	case l.s.Phase == Authenticating && !proto.Data() && err == nil:
		l.hold(proto, frame)
	case proto.Data():
		l.s.Counters.EarlyData++
	default:
		l.s.Counters.Unexpected++
	}
}

// dispatch hands a packet to its protocol; LCP is open.
func (l *Link) dispatch(now time.Time, proto ppp.Protocol, info []byte) {
	if proto == ppp.CCP || proto == ppp.IPCP {
		l.wake()
	}
	switch {
	case proto == ppp.PAP || proto == ppp.CHAP:
		l.receiveAuth(now, proto, info)
	case proto == ppp.CCP && l.ccp != nil:
		l.ccp.Receive(now, info)
		l.drainCCP(now)
	case proto == ppp.IPCP && l.ipcp != nil:
		// A peer that sends IPCP while CCP still runs (MikroTik) is ready for it.
		l.startIPCP(now)
		if l.ipcp != nil {
			l.ipcp.Receive(now, info)
			l.drainIPCP(now)
		}
	case proto == ppp.IPv4 || proto == ppp.Compressed:
		l.s.Counters.EarlyData++
	default:
		// What CPE and Windows try besides: IPv6CP, CBCP, ACSCP, BACP, and CCP
		// where there is no MPPE to agree on.
		l.s.Counters.UnknownProtocols++
		l.lcp.RejectProtocol(now, proto, info)
		l.drainLCP(now)
	}
}

// hold keeps a frame that came while authentication is not over: an eager peer sends CCP
// and IPCP at once, and would wait three seconds before it asks again. A
// Configure-Request takes the place of an earlier one.
func (l *Link) hold(proto ppp.Protocol, frame []byte) {
	if len(frame) > heldOctetsMax {
		l.s.Counters.HeldDropped++
		return
	}
	own := append([]byte(nil), frame...)
	if isRequest(frame) {
		for i, h := range l.s.Held {
			if h.Protocol == proto && isRequest(h.Frame) {
				l.s.Held[i].Frame = own
				return
			}
		}
	}
	if len(l.s.Held) == heldMax {
		l.s.Counters.HeldDropped++
		return
	}
	l.s.Counters.Held++
	l.s.Held = append(l.s.Held, HeldFrame{proto, own})
}

func isRequest(frame []byte) bool {
	_, info, err := ppp.Split(frame)
	return err == nil && len(info) > 0 && fsm.Code(info[0]) == fsm.ConfigureRequest
}

// replay takes up what was held.
func (l *Link) replay(now time.Time) {
	held := l.s.Held
	l.s.Held = nil
	for _, h := range held {
		if l.s.Phase != Network {
			return
		}
		if _, info, err := ppp.Split(h.Frame); err == nil {
			l.dispatch(now, h.Protocol, info)
		}
	}
}

// send emits a frame of a control protocol.
func (l *Link) send(proto ppp.Protocol, packet []byte) {
	l.s.Counters.Sent++
	frame := make([]byte, 0, ppp.HeaderMax+len(packet))
	frame = ppp.AppendHeader(frame, proto, l.sendACFC(), l.sendPFC())
	l.act(Send{append(frame, packet...)})
}

func (l *Link) sendPFC() bool  { return l.plan.cfg.PFC && l.s.Agreed.PFC }
func (l *Link) sendACFC() bool { return l.plan.cfg.ACFC && l.s.Agreed.ACFC }

// Heard tells that the peer is alive, as data from it arrived since the last call:
// Echo-Requests are put off, so that a busy line is never given up.
func (l *Link) Heard(now time.Time) {
	if !l.s.Over && l.lcp.Opened() {
		l.lcp.Heard(now)
	}
}
