package fsm

import "trunkline.example/shared/pptp"

// Party is who may send a message.
type Party uint8

// The parties.
const (
	PartyEither     Party = iota + 1
	PartyOriginator       // opened the TCP connection
	PartyReceiver         // accepted it
	PartyPAC              // of the call the message is about
	PartyPNS              // of the call the message is about
)

// Finder is how a message finds its call.
type Finder uint8

// The finders.
const (
	FindNothing Finder = iota // the message is about the control connection
	FindNew                   // the message begins a call
	FindByPAC                 // the PAC's Call ID in the message names it
	FindByPNS                 // the PNS's Call ID in the message names it
)

// Assigner returns the role that assigned the Call ID by which the message
// finds its call, 0 if it does not find one.
func (f Finder) Assigner() Role {
	switch f {
	case FindByPAC:
		return RolePAC
	case FindByPNS:
		return RolePNS
	}
	return 0
}

// Scope is how much something kills.
type Scope uint8

// The scopes, the larger the worse.
const (
	ScopeNothing Scope = iota
	ScopeCall
	ScopeConnection
)

// Row is what is true of one control message, whatever it contains.
type Row struct {
	Type   pptp.MessageType
	Sender Party
	// Admit holds the states of the receiving machine that admit the message:
	// the control connection's for FindNothing, otherwise the call's. Messages
	// about calls need the control connection to be established besides.
	Admit StateSet
	Finds Finder
	// Reply is the answer the sender expects, 0 for none, Wait how long it
	// waits, and Missing what dies if no answer comes.
	Reply   pptp.MessageType
	Wait    Timer
	Missing Scope
	// Disown, if not 0, is sent back when a good reply names a call that the
	// receiver does not have (ours): it has given up waiting, and the sender
	// would keep the call for ever.
	Disown pptp.MessageType
}

// Machine returns the machine that receives a message with this row in a call
// of direction d; for messages about the control connection d is ignored. ok
// is false if no call of that direction receives it.
func (r *Row) Machine(d Direction) (m Machine, ok bool) {
	switch {
	case r.Finds == FindNothing:
		return Control, true
	case r.Type == pptp.TypeOutgoingCallRequest || r.Type == pptp.TypeOutgoingCallReply:
		ok = d == Outgoing
	case r.Type == pptp.TypeIncomingCallRequest || r.Type == pptp.TypeIncomingCallReply || r.Type == pptp.TypeIncomingCallConnected:
		ok = d == Incoming
	default:
		ok = d == Incoming || d == Outgoing
	}
	return CallMachine(r.Receiver(), d), ok
}

// Receiver returns the role in which an endpoint receives the message, 0 if
// the message is not about a call.
func (r *Row) Receiver() Role {
	switch r.Sender {
	case PartyPAC:
		return RolePNS
	case PartyPNS:
		return RolePAC
	}
	return 0
}

// rows is indexed by message type.
var rows = [...]Row{
	pptp.TypeStartControlConnectionRequest: {
		Sender: PartyOriginator,
		Admit:  Set(StateIdle, StateEstablished, StateWaitStopReply),
		Reply:  pptp.TypeStartControlConnectionReply, Wait: TimerEstablish, Missing: ScopeConnection,
	},
	pptp.TypeStartControlConnectionReply: {
		Sender: PartyReceiver,
		Admit:  Set(StateIdle, StateWaitCtlReply, StateWaitStopReply),
	},
	pptp.TypeStopControlConnectionRequest: {
		Sender: PartyEither,
		Admit:  Set(StateIdle, StateWaitCtlReply, StateEstablished, StateWaitStopReply),
		Reply:  pptp.TypeStopControlConnectionReply, Wait: TimerStop, Missing: ScopeConnection,
	},
	pptp.TypeStopControlConnectionReply: {
		Sender: PartyEither,
		Admit:  Set(StateIdle, StateWaitStopReply),
	},
	pptp.TypeEchoRequest: {
		Sender: PartyEither,
		Admit:  Set(StateIdle, StateWaitCtlReply, StateEstablished, StateWaitStopReply),
		Reply:  pptp.TypeEchoReply, Wait: TimerEchoReply, Missing: ScopeConnection,
	},
	pptp.TypeEchoReply: {
		Sender: PartyEither,
		Admit:  Set(StateIdle, StateEstablished, StateWaitStopReply),
	},
	pptp.TypeOutgoingCallRequest: {
		Sender: PartyPNS, Finds: FindNew,
		Admit: Set(StateIdle),
		Reply: pptp.TypeOutgoingCallReply, Wait: TimerOutgoing, Missing: ScopeCall,
	},
	pptp.TypeOutgoingCallReply: {
		Sender: PartyPAC, Finds: FindByPNS,
		Admit:  Set(StateWaitReply, StateWaitDisconnect),
		Disown: pptp.TypeCallClearRequest,
	},
	pptp.TypeIncomingCallRequest: {
		Sender: PartyPAC, Finds: FindNew,
		Admit: Set(StateIdle),
		Reply: pptp.TypeIncomingCallReply, Wait: TimerReply, Missing: ScopeCall,
	},
	pptp.TypeIncomingCallReply: {
		Sender: PartyPNS, Finds: FindByPAC,
		Admit: Set(StateWaitReply),
		Reply: pptp.TypeIncomingCallConnected, Wait: TimerConnect, Missing: ScopeCall,
		Disown: pptp.TypeCallDisconnectNotify,
	},
	pptp.TypeIncomingCallConnected: {
		Sender: PartyPAC, Finds: FindByPNS,
		Admit: Set(StateWaitConnect, StateWaitDisconnect),
	},
	pptp.TypeCallClearRequest: {
		Sender: PartyPNS, Finds: FindByPNS,
		Admit: Set(StateWaitReply, StateWaitCSAns, StateEstablished, StateWaitHangUp),
		Reply: pptp.TypeCallDisconnectNotify, Wait: TimerDisconnect, Missing: ScopeCall,
	},
	pptp.TypeCallDisconnectNotify: {
		Sender: PartyPAC, Finds: FindByPAC,
		Admit: Set(StateWaitReply, StateWaitDecision, StateWaitConnect, StateEstablished, StateWaitDisconnect),
	},
	pptp.TypeWANErrorNotify: {
		Sender: PartyPAC, Finds: FindByPNS,
		Admit: Set(StateWaitConnect, StateEstablished, StateWaitDisconnect),
	},
	pptp.TypeSetLinkInfo: {
		Sender: PartyPNS, Finds: FindByPAC,
		Admit: Set(StateWaitCSAns, StateEstablished, StateWaitHangUp),
	},
}

func init() {
	for t := range rows {
		rows[t].Type = pptp.MessageType(t)
	}
}

// RowOf returns the row of message type t, or nil if t is unknown.
func RowOf(t pptp.MessageType) *Row {
	if t == 0 || int(t) >= len(rows) {
		return nil
	}
	return &rows[t]
}
