package fsm

import "fmt"

// Role is what an endpoint is in one call. A control connection has no role:
// one endpoint can be PAC in one of its calls and PNS in the next.
type Role uint8

// The two roles.
const (
	RolePAC Role = 1 // has the line
	RolePNS Role = 2 // has the PPP session; a VPN client is a PNS too
)

// String returns the name for logs.
func (r Role) String() string {
	switch r {
	case RolePAC:
		return "PAC"
	case RolePNS:
		return "PNS"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// Direction is the direction of a call as the PAC's telephone line sees it.
type Direction uint8

// The two directions.
const (
	Incoming Direction = 1 // somebody rang the PAC
	Outgoing Direction = 2 // the PNS asked the PAC to dial
)

// String returns the name for logs.
func (d Direction) String() string {
	switch d {
	case Incoming:
		return "incoming"
	case Outgoing:
		return "outgoing"
	}
	return fmt.Sprintf("direction %d", uint8(d))
}

// Machine names one of the five state machines.
type Machine uint8

// The machines: the control connection (RFC 2637 section 3.1, originator and
// receiver in one), and the calls (sections 3.2.3 and 3.2.4).
const (
	Control Machine = iota
	PACIncoming
	PACOutgoing
	PNSIncoming
	PNSOutgoing

	machines = iota
)

// CallMachines lists the four machines of calls.
func CallMachines() []Machine { return []Machine{PACIncoming, PACOutgoing, PNSIncoming, PNSOutgoing} }

// CallMachine returns the machine of a call.
func CallMachine(r Role, d Direction) Machine {
	switch {
	case r == RolePAC && d == Incoming:
		return PACIncoming
	case r == RolePAC:
		return PACOutgoing
	case d == Incoming:
		return PNSIncoming
	}
	return PNSOutgoing
}

// Role returns the role played in a call with machine m, 0 for Control.
func (m Machine) Role() Role {
	switch m {
	case PACIncoming, PACOutgoing:
		return RolePAC
	case PNSIncoming, PNSOutgoing:
		return RolePNS
	}
	return 0
}

// Direction returns the direction of a call with machine m, 0 for Control.
func (m Machine) Direction() Direction {
	switch m {
	case PACIncoming, PNSIncoming:
		return Incoming
	case PACOutgoing, PNSOutgoing:
		return Outgoing
	}
	return 0
}

// String returns the name for logs.
func (m Machine) String() string {
	if m == Control {
		return "control connection"
	}
	return fmt.Sprintf("%v, %v call", m.Role(), m.Direction())
}

// State is a state of any of the machines; the names are the RFC's where it
// has one.
type State uint8

// The states.
const (
	// StateIdle: no control connection, or no call. A receiver waits for the
	// Start-Control-Connection-Request here.
	StateIdle State = iota
	// StateWaitCtlReply: originator, waiting for the Start reply.
	StateWaitCtlReply
	// StateWaitApproval: receiver, the owner has not decided on the Start
	// request yet (ours; the RFC decides at once).
	StateWaitApproval
	// StateWaitStopReply: we asked to stop the control connection.
	StateWaitStopReply
	// StateWaitReply: PAC waiting for the Incoming-Call-Reply, or PNS waiting
	// for the Outgoing-Call-Reply.
	StateWaitReply
	// StateWaitDecision: PNS, the owner has not decided on an incoming call
	// yet (ours).
	StateWaitDecision
	// StateWaitConnect: PNS waiting for the Incoming-Call-Connected.
	StateWaitConnect
	// StateWaitCSAns: PAC waiting for the circuit-switched line: it dials, or
	// (ours) it answers an accepted incoming call.
	StateWaitCSAns
	// StateWaitHangUp: PAC, the PNS wants the call cleared and the owner has
	// not said yet that the line is down (ours; it lets the
	// Call-Disconnect-Notify carry the call's statistics).
	StateWaitHangUp
	// StateWaitDisconnect: PNS waiting for the Call-Disconnect-Notify.
	StateWaitDisconnect
	// StateEstablished: the control connection or the call is up.
	StateEstablished
	// StateClosed: the control connection is over (the RFC returns to idle;
	// here an end cannot be mistaken for a beginning).
	StateClosed

	states = iota
)

var stateNames = [states]string{
	"idle", "wait_ctl_reply", "wait_approval", "wait_stop_reply", "wait_reply", "wait_decision",
	"wait_connect", "wait_cs_ans", "wait_hang_up", "wait_disconnect", "established", "closed",
}

// String returns the name that RFC 2637 gives the state.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// StatesOf returns the states that machine m can be in.
func StatesOf(m Machine) []State {
	switch m {
	case Control:
		return []State{StateIdle, StateWaitCtlReply, StateWaitApproval, StateWaitStopReply, StateEstablished, StateClosed}
	case PACIncoming:
		return []State{StateIdle, StateWaitReply, StateWaitCSAns, StateWaitHangUp, StateEstablished}
	case PACOutgoing:
		return []State{StateIdle, StateWaitCSAns, StateWaitHangUp, StateEstablished}
	case PNSIncoming:
		return []State{StateIdle, StateWaitDecision, StateWaitConnect, StateWaitDisconnect, StateEstablished}
	case PNSOutgoing:
		return []State{StateIdle, StateWaitReply, StateWaitDisconnect, StateEstablished}
	}
	return nil
}

// StateSet is a set of states.
type StateSet uint16

// Set returns the set of the given states.
func Set(all ...State) (set StateSet) {
	for _, s := range all {
		set |= 1 << s
	}
	return set
}

// Has reports whether s is in the set.
func (set StateSet) Has(s State) bool { return set&(1<<s) != 0 }
