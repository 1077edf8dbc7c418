package fsm

import "fmt"

// State is a state of the automaton (RFC 1661 section 4.2).
type State uint8

// The states, numbered as in RFC 1661 section 4.1.
const (
	Initial  State = iota // lower layer down, not opened
	Starting              // lower layer down, opened
	Closed                // lower layer up, not opened
	Stopped               // opened, waiting for the peer
	Closing               // Terminate-Request sent after Close
	Stopping              // Terminate-Request sent or answered after failure or by the peer's wish
	ReqSent               // Configure-Request sent
	AckRcvd               // our request acknowledged
	AckSent               // the peer's request acknowledged
	Opened                // both
	states
)

var stateNames = [states]string{"Initial", "Starting", "Closed", "Stopped", "Closing", "Stopping",
	"Req-Sent", "Ack-Rcvd", "Ack-Sent", "Opened"}

// String is the RFC's name of the state.
func (s State) String() string {
	if s < states {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Event is an event of the automaton (RFC 1661 section 4.3).
type Event uint8

// The events, in the order of the table in RFC 1661 section 4.1.
const (
	EventUp       Event = iota // lower layer is up
	EventDown                  // lower layer is down
	EventOpen                  // administrative open
	EventClose                 // administrative close
	EventTOPlus                // time-out with restart counter above zero
	EventTOMinus               // time-out with restart counter expired
	EventRCRPlus               // good Configure-Request received
	EventRCRMinus              // bad Configure-Request received
	EventRCA                   // Configure-Ack received
	EventRCN                   // Configure-Nak or -Reject received
	EventRTR                   // Terminate-Request received
	EventRTA                   // Terminate-Ack received
	EventRUC                   // unknown code received
	EventRXJPlus               // permitted Code-Reject or Protocol-Reject received
	EventRXJMinus              // catastrophic Code-Reject or Protocol-Reject received
	EventRXR                   // Echo-Request, Echo-Reply or Discard-Request received
	events
)

var eventNames = [events]string{"Up", "Down", "Open", "Close", "TO+", "TO-", "RCR+", "RCR-", "RCA",
	"RCN", "RTR", "RTA", "RUC", "RXJ+", "RXJ-", "RXR"}

// String is the RFC's short name of the event.
func (e Event) String() string {
	if e < events {
		return eventNames[e]
	}
	return fmt.Sprintf("event %d", uint8(e))
}

// Step is an action of the automaton (RFC 1661 section 4.4).
type Step uint8

// The actions, by the RFC's short names.
const (
	TLU Step = iota // this layer up
	TLD             // this layer down
	TLS             // this layer started
	TLF             // this layer finished
	IRC             // initialise restart counter
	ZRC             // zero restart counter
	SCR             // send Configure-Request
	SCA             // send Configure-Ack
	SCN             // send Configure-Nak or -Reject
	STR             // send Terminate-Request
	STA             // send Terminate-Ack
	SCJ             // send Code-Reject
	SER             // send Echo-Reply
	steps
)

var stepNames = [steps]string{"tlu", "tld", "tls", "tlf", "irc", "zrc", "scr", "sca", "scn", "str", "sta", "scj", "ser"}

// String is the RFC's short name of the action.
func (s Step) String() string {
	if s < steps {
		return stepNames[s]
	}
	return fmt.Sprintf("step %d", uint8(s))
}

// cell is one entry of the table. The zero cell is an event that cannot occur.
type cell struct {
	possible bool
	next     State
	steps    []Step
}

func to(next State, steps ...Step) cell { return cell{true, next, steps} }

// table is the state transition table of RFC 1661 section 4.1. The options (r)
// restart and (p) passive are not taken; (x), a crossed connection, is.
var table = [events][states]cell{
	EventUp: {Initial: to(Closed), Starting: to(ReqSent, IRC, SCR)},
	EventDown: {Closed: to(Initial), Stopped: to(Starting, TLS), Closing: to(Initial), Stopping: to(Starting),
		ReqSent: to(Starting), AckRcvd: to(Starting), AckSent: to(Starting), Opened: to(Starting, TLD)},
	EventOpen: {Initial: to(Starting, TLS), Starting: to(Starting), Closed: to(ReqSent, IRC, SCR), Stopped: to(Stopped),
		Closing: to(Stopping), Stopping: to(Stopping),
		ReqSent: to(ReqSent), AckRcvd: to(AckRcvd), AckSent: to(AckSent), Opened: to(Opened)},
	EventClose: {Initial: to(Initial), Starting: to(Initial, TLF), Closed: to(Closed), Stopped: to(Closed),
		Closing: to(Closing), Stopping: to(Closing),
		ReqSent: to(Closing, IRC, STR), AckRcvd: to(Closing, IRC, STR), AckSent: to(Closing, IRC, STR),
		Opened: to(Closing, TLD, IRC, STR)},
	EventTOPlus: {Closing: to(Closing, STR), Stopping: to(Stopping, STR),
		ReqSent: to(ReqSent, SCR), AckRcvd: to(ReqSent, SCR), AckSent: to(AckSent, SCR)},
	EventTOMinus: {Closing: to(Closed, TLF), Stopping: to(Stopped, TLF),
		ReqSent: to(Stopped, TLF), AckRcvd: to(Stopped, TLF), AckSent: to(Stopped, TLF)},
	EventRCRPlus: {Closed: to(Closed, STA), Stopped: to(AckSent, IRC, SCR, SCA), Closing: to(Closing), Stopping: to(Stopping),
		ReqSent: to(AckSent, SCA), AckRcvd: to(Opened, SCA, TLU), AckSent: to(AckSent, SCA), Opened: to(AckSent, TLD, SCR, SCA)},
	EventRCRMinus: {Closed: to(Closed, STA), Stopped: to(ReqSent, IRC, SCR, SCN), Closing: to(Closing), Stopping: to(Stopping),
		ReqSent: to(ReqSent, SCN), AckRcvd: to(AckRcvd, SCN), AckSent: to(ReqSent, SCN), Opened: to(ReqSent, TLD, SCR, SCN)},
	EventRCA: {Closed: to(Closed, STA), Stopped: to(Stopped, STA), Closing: to(Closing), Stopping: to(Stopping),
		ReqSent: to(AckRcvd, IRC), AckRcvd: to(ReqSent, SCR), AckSent: to(Opened, IRC, TLU), Opened: to(ReqSent, TLD, SCR)},
	EventRCN: {Closed: to(Closed, STA), Stopped: to(Stopped, STA), Closing: to(Closing), Stopping: to(Stopping),
		ReqSent: to(ReqSent, IRC, SCR), AckRcvd: to(ReqSent, SCR), AckSent: to(AckSent, IRC, SCR), Opened: to(ReqSent, TLD, SCR)},
	EventRTR: {Closed: to(Closed, STA), Stopped: to(Stopped, STA), Closing: to(Closing, STA), Stopping: to(Stopping, STA),
		ReqSent: to(ReqSent, STA), AckRcvd: to(ReqSent, STA), AckSent: to(ReqSent, STA), Opened: to(Stopping, TLD, ZRC, STA)},
	EventRTA: {Closed: to(Closed), Stopped: to(Stopped), Closing: to(Closed, TLF), Stopping: to(Stopped, TLF),
		ReqSent: to(ReqSent), AckRcvd: to(ReqSent), AckSent: to(AckSent), Opened: to(ReqSent, TLD, SCR)},
	EventRUC: {Closed: to(Closed, SCJ), Stopped: to(Stopped, SCJ), Closing: to(Closing, SCJ), Stopping: to(Stopping, SCJ),
		ReqSent: to(ReqSent, SCJ), AckRcvd: to(AckRcvd, SCJ), AckSent: to(AckSent, SCJ), Opened: to(Opened, SCJ)},
	EventRXJPlus: {Closed: to(Closed), Stopped: to(Stopped), Closing: to(Closing), Stopping: to(Stopping),
		ReqSent: to(ReqSent), AckRcvd: to(ReqSent), AckSent: to(AckSent), Opened: to(Opened)},
	EventRXJMinus: {Closed: to(Closed, TLF), Stopped: to(Stopped, TLF), Closing: to(Closed, TLF), Stopping: to(Stopped, TLF),
		ReqSent: to(Stopped, TLF), AckRcvd: to(Stopped, TLF), AckSent: to(Stopped, TLF), Opened: to(Stopping, TLD, IRC, STR)},
	EventRXR: {Closed: to(Closed), Stopped: to(Stopped), Closing: to(Closing), Stopping: to(Stopping),
		ReqSent: to(ReqSent), AckRcvd: to(AckRcvd), AckSent: to(AckSent), Opened: to(Opened, SER)},
}

// Transition looks up the table of RFC 1661 section 4.1: the state that follows and
// the actions on the way, in order. ok is false for an event that cannot occur in s;
// the state then stays. The actions belong to the table and must not be changed.
func Transition(s State, e Event) (next State, actions []Step, ok bool) {
	if s >= states || e >= events {
		return s, nil, false
	}
	c := table[e][s]
	if !c.possible {
		return s, nil, false
	}
	return c.next, c.steps, true
}
