package fsm

import (
	"fmt"
	"time"
)

// Timer names a waiting time.
type Timer uint8

// The timers. TimerNone waits for nothing.
const (
	TimerNone Timer = iota
	TimerEstablish
	TimerIdle
	TimerEchoReply
	TimerProbe
	TimerMessage
	TimerStop
	TimerReply
	TimerDecision
	TimerConnect
	TimerOutgoing
	TimerDial
	TimerAnswer
	TimerHangUp
	TimerDisconnect
	TimerWANErrors

	timers = iota
)

// Timers are the lengths of all waiting times. A zero field means the default.
//
// RFC 2637 section 3.1.4 has one length for all, 60 seconds, and closes the
// whole control connection when any reply or call state takes longer. That
// would end a thousand calls because one telephone rang for a minute, and the
// RFC itself remarks that dialling may take that long. Here a missing reply
// about a call ends that call (Rows says so).
type Timers struct {
	Establish  time.Duration // not established since TCP opened: close. Default 60 s (RFC 3.1.4)
	Idle       time.Duration // no message heard: send an Echo-Request. Default 60 s (RFC 3.1.4)
	EchoReply  time.Duration // nothing heard since the Echo-Request: close. Default 60 s (RFC 3.1.4)
	Probe      time.Duration // the same after Probe. Default 10 s (ours)
	Message    time.Duration // a message begun is not finished: close. Default 30 s (ours; pptpd waits for ever)
	Stop       time.Duration // no Stop-Control-Connection-Reply: close. Default 3 s (as MPD; RFC 60 s)
	Reply      time.Duration // PAC: no Incoming-Call-Reply: end the call. Default 60 s (RFC 3.1.4)
	Decision   time.Duration // PNS: the owner does not decide on an incoming call: refuse it. Default 30 s (ours)
	Connect    time.Duration // PNS: no Incoming-Call-Connected: end the call. Default 90 s (as MPD; modems train long)
	Outgoing   time.Duration // PNS: no Outgoing-Call-Reply: end the call. Default 90 s (as MPD)
	Dial       time.Duration // PAC: the owner does not answer an Outgoing-Call-Request: time-out. Default 85 s (ours, below Outgoing)
	Answer     time.Duration // PAC: an accepted incoming call does not connect: end it. Default 85 s (ours, below Connect)
	HangUp     time.Duration // PAC: the owner does not confirm that a cleared call is down: go ahead. Default 5 s (ours)
	Disconnect time.Duration // PNS: no Call-Disconnect-Notify after Call-Clear-Request: forget the call. Default 60 s (RFC 3.1.4)
	WANErrors  time.Duration // PAC: least time between two WAN-Error-Notify of a call. Default 60 s (RFC 2.14)
}

var timerDefaults = [timers]time.Duration{
	TimerEstablish:  60 * time.Second,
	TimerIdle:       60 * time.Second,
	TimerEchoReply:  60 * time.Second,
	TimerProbe:      10 * time.Second,
	TimerMessage:    30 * time.Second,
	TimerStop:       3 * time.Second,
	TimerReply:      60 * time.Second,
	TimerDecision:   30 * time.Second,
	TimerConnect:    90 * time.Second,
	TimerOutgoing:   90 * time.Second,
	TimerDial:       85 * time.Second,
	TimerAnswer:     85 * time.Second,
	TimerHangUp:     5 * time.Second,
	TimerDisconnect: 60 * time.Second,
	TimerWANErrors:  60 * time.Second,
}

// Of returns the length of timer t: the field, or its default if that is zero
// or negative. TimerNone has length 0.
func (t *Timers) Of(timer Timer) time.Duration {
	var d time.Duration
	switch timer {
	case TimerEstablish:
		d = t.Establish
	case TimerIdle:
		d = t.Idle
	case TimerEchoReply:
		d = t.EchoReply
	case TimerProbe:
		d = t.Probe
	case TimerMessage:
		d = t.Message
	case TimerStop:
		d = t.Stop
	case TimerReply:
		d = t.Reply
	case TimerDecision:
		d = t.Decision
	case TimerConnect:
		d = t.Connect
	case TimerOutgoing:
		d = t.Outgoing
	case TimerDial:
		d = t.Dial
	case TimerAnswer:
		d = t.Answer
	case TimerHangUp:
		d = t.HangUp
	case TimerDisconnect:
		d = t.Disconnect
	case TimerWANErrors:
		d = t.WANErrors
	}
	if d <= 0 && int(timer) < len(timerDefaults) {
		d = timerDefaults[timer]
	}
	return d
}

// String returns the name for logs.
func (t Timer) String() string {
	names := [timers]string{
		"none", "establish", "idle", "echo reply", "probe", "message", "stop", "reply", "decision",
		"connect", "outgoing", "dial", "answer", "hang up", "disconnect", "WAN errors",
	}
	if int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("timer %d", uint8(t))
}
