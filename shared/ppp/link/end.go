package link

import (
	"fmt"
	"strings"
	"time"

	"trunkline.example/shared/ppp/ccp"
)

// Up tells that the lower layer carries frames: LCP starts.
func (l *Link) Up(now time.Time) {
	if l.s.Started || l.s.Over {
		return
	}
	l.s.Started = true
	if text := l.misconfigured(); text != "" {
		l.finish(now, Reason{CodeConfiguration, Here, text})
		return
	}
	l.enter(Establish, "lower layer up")
	l.s.PhaseBy = now.Add(l.plan.cfg.Timers.Establish)
	l.lcp.Up(now)
	l.drainLCP(now)
}

// misconfigured tells what makes the configuration impossible, "" if nothing does.
func (l *Link) misconfigured() string {
	if len(l.plan.demand)+len(l.plan.willing) > 0 {
		return ""
	}
	var why []string
	for _, p := range l.plan.cfg.Authentication {
		if err := p.Supported(); err != nil {
			why = append(why, err.Error())
		} else if l.plan.cfg.Mutual && !p.Mutual() {
			why = append(why, fmt.Sprintf("%v does not prove who the server is", p))
		} else if !p.GivesKeys() {
			why = append(why, fmt.Sprintf("%v gives no MPPE keys", p))
		}
	}
	switch {
	case l.plan.cfg.Encryption == ccp.Required:
		return "MPPE-128 is required, and no authentication protocol gives keys: " + strings.Join(why, ", ")
	case len(why) > 0:
		return "no usable authentication protocol: " + strings.Join(why, ", ")
	}
	return ""
}

// Down tells that the lower layer is gone: the link ends at once.
func (l *Link) Down(now time.Time) {
	l.finish(now, Reason{CodeLowerDown, Line, "the line below went down in phase " + l.s.Phase.String()})
}

// Close ends the link orderly, by Terminate-Request. Ended follows when the peer has
// answered or has had its time to; a link that was never up ends at once. The text goes
// to the peer, too.
func (l *Link) Close(now time.Time, why Reason) {
	if !l.s.Started {
		l.finish(now, why)
		return
	}
	l.terminate(now, why, why.Text)
}

// enter reports a new phase.
func (l *Link) enter(p Phase, detail string) {
	l.s.Phase = p
	l.act(PhaseChanged{p, detail})
}

// terminate closes LCP for a reason; farewell is what the peer may know of it. The first
// reason stands.
func (l *Link) terminate(now time.Time, why Reason, farewell string) {
	if l.s.Over || l.s.Phase == Terminate {
		return
	}
	l.begin(why)
	l.lcp.Close(now, farewell)
	l.drainLCP(now)
}

// begin enters the phase Terminate: nothing but LCP goes on.
func (l *Link) begin(why Reason) {
	l.s.Ending = why
	l.abandon(why.String())
	l.s.PhaseBy, l.s.GoneBy = time.Time{}, time.Time{}
	l.enter(Terminate, why.String())
}

// finish reports the end, once. A reason for terminating that was given before stands.
func (l *Link) finish(now time.Time, why Reason) {
	if l.s.Over {
		return
	}
	if l.s.Ending.Code != CodeNone {
		why = l.s.Ending
	}
	l.abandon(why.String())
	l.s.Ending, l.s.Over = why, true
	l.s.PhaseBy, l.s.GoneBy = time.Time{}, time.Time{}
	l.lcp.Down(now)
	l.lcp.Actions() // nobody is there to be told
	l.s.Phase = Dead
	l.act(Ended{why})
}

// abandon gives up authentication and the network, without a word to the peer.
func (l *Link) abandon(why string) {
	l.networkDown(why)
	l.dropCCP()
	if l.ipcp != nil {
		l.s.Counters.Discarded += l.ipcp.Discarded()
	}
	l.prover, l.checker, l.ipcp, l.resting = nil, nil, nil, resting{}
	l.s.IPCPStarted, l.s.IPCPUp, l.s.Settled, l.s.Encrypted, l.s.WasSecure = false, false, false, false, false
	l.s.ProverOK, l.s.CheckerOK, l.s.Answered = false, false, nil
	l.s.EncryptionBy = time.Time{}
	l.s.Held = nil
}

// dropCCP forgets CCP without a word.
func (l *Link) dropCCP() {
	if l.ccp != nil {
		l.s.Counters.Discarded += l.ccp.Discarded()
		l.ccp = nil
	}
}

func (l *Link) networkDown(why string) {
	if l.s.NetworkUp {
		l.s.NetworkUp = false
		l.act(NetworkDown{why})
	}
}

// quoted shows the peer's text, or that there was none.
func quoted(text string) string {
	if text == "" {
		return "no reason given"
	}
	return fmt.Sprintf("%q", text)
}
