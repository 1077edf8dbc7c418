package fsm

import (
	"fmt"

	"trunkline.example/shared/pptp"
)

// Act is one thing to do in a transition. The values 1 to 15 are "send the
// message of that type"; the others report to the owner or end something.
type Act uint8

// The acts besides sending.
const (
	// ActAskApproval: ask the owner whether it wants this control connection.
	ActAskApproval Act = iota + 32
	// ActReportEstablished: the control connection is up.
	ActReportEstablished
	// ActEndCalls: give EventLost to every call.
	ActEndCalls
	// ActClose: report the end and close TCP once everything is written.
	ActClose

	// ActReportOffered: PNS, decide on this incoming call.
	ActReportOffered
	// ActReportRequested: PAC, place this outgoing call.
	ActReportRequested
	// ActReportAccepted: PAC, answer the line.
	ActReportAccepted
	// ActReportConnected: PNS, the call is up.
	ActReportConnected
	// ActReportClear: PAC, take the line down and say when it is.
	ActReportClear
	// ActReportLinkInfo: PAC, use these ACCMs.
	ActReportLinkInfo
	// ActReportWANErrors: PNS, the line has had these errors.
	ActReportWANErrors
	// ActReportEnded: the call is over. It is reported once, though the call
	// may be remembered for a while.
	ActReportEnded
)

// Sends returns the type of the message to send, ok false if a is no sending.
func (a Act) Sends() (t pptp.MessageType, ok bool) {
	t = pptp.MessageType(a)
	return t, t.Known()
}

// String returns the name for logs.
func (a Act) String() string {
	if t, ok := a.Sends(); ok {
		return "send " + t.Abbreviation()
	}
	names := [...]string{
		"ask approval", "report established", "end calls", "close", "report offered", "report requested",
		"report accepted", "report connected", "report clear", "report link info", "report WAN errors", "report ended",
	}
	if i := int(a) - int(ActAskApproval); i >= 0 && i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("act %d", uint8(a))
}

// Transition is what an event does in a state.
type Transition struct {
	Next State
	Do   []Act // in this order; read-only
}

// Step looks up what event e does to machine m in state s. ok is false if the
// event is not legal there. A call whose next state is idle is over and
// forgotten.
func Step(m Machine, s State, e Event) (t Transition, ok bool) {
	if int(m) >= machines || int(s) >= states || int(e) >= events {
		return Transition{}, false
	}
	c := &table[m][s][e]
	return c.Transition, c.legal
}

// WaitOf returns the timer that bounds state s of machine m; when it expires,
// the machine gets EventTimeOut. TimerNone: the state may last.
func WaitOf(m Machine, s State) Timer {
	if int(m) >= machines || int(s) >= states {
		return TimerNone
	}
	return waits[m][s]
}

// waits bounds every state in which something is waited for. The control
// connection's established state has timers of its own (TimerIdle and
// TimerEchoReply), counted from what was heard last.
var waits = [machines][states]Timer{
	Control: {
		StateIdle:          TimerEstablish,
		StateWaitCtlReply:  TimerEstablish,
		StateWaitApproval:  TimerEstablish,
		StateWaitStopReply: TimerStop,
	},
	PACIncoming: {
		StateWaitReply:  TimerReply,
		StateWaitCSAns:  TimerAnswer,
		StateWaitHangUp: TimerHangUp,
	},
	PACOutgoing: {
		StateWaitCSAns:  TimerDial,
		StateWaitHangUp: TimerHangUp,
	},
	PNSIncoming: {
		StateWaitDecision:   TimerDecision,
		StateWaitConnect:    TimerConnect,
		StateWaitDisconnect: TimerDisconnect,
	},
	PNSOutgoing: {
		StateWaitReply:      TimerOutgoing,
		StateWaitDisconnect: TimerDisconnect,
	},
}

// cell is one entry of the table.
type cell struct {
	Transition
	legal bool
}

// entry is how the transitions are written down.
type entry struct {
	event Event
	next  State
	do    []Act
}

// table is transitions in a form that is quick to look up.
var table = build()

func build() (t [machines][states][events]cell) {
	for m, byState := range transitions {
		for s, entries := range byState {
			for _, e := range entries {
				c := &t[m][s][e.event]
				if c.legal {
					panic(fmt.Sprintf("fsm: two entries for %v, %v, %v", m, s, e.event))
				}
				*c = cell{Transition{Next: e.next, Do: e.do}, true}
			}
		}
	}
	return t
}
