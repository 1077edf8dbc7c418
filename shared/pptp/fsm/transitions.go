package fsm

import "trunkline.example/shared/pptp"

// Short names of the sendings, for the tables below.
const (
	sendSCCRQ    = Act(pptp.TypeStartControlConnectionRequest)
	sendSCCRP    = Act(pptp.TypeStartControlConnectionReply)
	sendStopCCRQ = Act(pptp.TypeStopControlConnectionRequest)
	sendStopCCRP = Act(pptp.TypeStopControlConnectionReply)
	sendEchoRQ   = Act(pptp.TypeEchoRequest)
	sendEchoRP   = Act(pptp.TypeEchoReply)
	sendOCRQ     = Act(pptp.TypeOutgoingCallRequest)
	sendOCRP     = Act(pptp.TypeOutgoingCallReply)
	sendICRQ     = Act(pptp.TypeIncomingCallRequest)
	sendICRP     = Act(pptp.TypeIncomingCallReply)
	sendICCN     = Act(pptp.TypeIncomingCallConnected)
	sendCCRQ     = Act(pptp.TypeCallClearRequest)
	sendCDN      = Act(pptp.TypeCallDisconnectNotify)
	sendWEN      = Act(pptp.TypeWANErrorNotify)
	sendSLI      = Act(pptp.TypeSetLinkInfo)
)

func do(acts ...Act) []Act { return acts }

// transitions is the truth about all five machines. A message that arrives
// late because it crossed another one is legal and does nothing; what is
// missing here is a mistake of the sender.
var transitions = map[Machine]map[State][]entry{
	Control:     control,
	PACIncoming: pacIncoming,
	PACOutgoing: pacOutgoing,
	PNSIncoming: pnsIncoming,
	PNSOutgoing: pnsOutgoing,
}

// control is the control connection, RFC 2637 sections 3.1.1 and 3.1.2.
var control = map[State][]entry{
	StateIdle: {
		{EventOpen, StateWaitCtlReply, do(sendSCCRQ)},
		{EventStartRequest, StateWaitApproval, do(ActAskApproval)},
		{EventStartRequestUnsupported, StateClosed, do(sendSCCRP, ActClose)},
		// Whoever begins with anything else does not speak PPTP.
		{EventStartReplyAccepted, StateClosed, do(ActClose)},
		{EventStartReplyUnsupported, StateClosed, do(ActClose)},
		{EventStartReplyRefused, StateClosed, do(ActClose)},
		{EventStopRequest, StateClosed, do(ActClose)},
		{EventStopReply, StateClosed, do(ActClose)},
		{EventEchoRequest, StateClosed, do(ActClose)},
		{EventEchoReply, StateClosed, do(ActClose)},
		{EventCallMessage, StateClosed, do(ActClose)},
		{EventStop, StateClosed, do(ActClose)},
		{EventTimeOut, StateClosed, do(ActClose)},
		{EventLost, StateClosed, do(ActClose)},
	},
	// Messages that arrive in wait_approval are held back until the owner has
	// decided, so that a client may send its call request right behind.
	StateWaitApproval: {
		{EventApprove, StateEstablished, do(sendSCCRP, ActReportEstablished)},
		{EventRefuse, StateClosed, do(sendSCCRP, ActClose)},
		{EventTimeOut, StateClosed, do(sendSCCRP, ActClose)},
		{EventStop, StateClosed, do(ActClose)},
		{EventLost, StateClosed, do(ActClose)},
	},
	StateWaitCtlReply: {
		{EventStartReplyAccepted, StateEstablished, do(ActReportEstablished)},
		{EventStartReplyUnsupported, StateWaitStopReply, do(sendStopCCRQ)},
		{EventStartReplyRefused, StateClosed, do(ActClose)},
		{EventStopRequest, StateClosed, do(sendStopCCRP, ActClose)},
		{EventEchoRequest, StateWaitCtlReply, do(sendEchoRP)},
		{EventStop, StateClosed, do(ActClose)},
		{EventTimeOut, StateClosed, do(ActClose)},
		{EventLost, StateClosed, do(ActClose)},
	},
	StateEstablished: {
		// A second Start request on one connection is refused with "exists
		// already", as accel-ppp does; MPD closes.
		{EventStartRequest, StateEstablished, do(sendSCCRP)},
		{EventStartRequestUnsupported, StateEstablished, do(sendSCCRP)},
		{EventStopRequest, StateClosed, do(sendStopCCRP, ActEndCalls, ActClose)},
		{EventEchoRequest, StateEstablished, do(sendEchoRP)},
		{EventEchoReply, StateEstablished, nil},
		{EventCallMessage, StateEstablished, nil},
		{EventStop, StateWaitStopReply, do(ActEndCalls, sendStopCCRQ)},
		{EventSilence, StateEstablished, do(sendEchoRQ)},
		{EventTimeOut, StateClosed, do(ActEndCalls, ActClose)},
		{EventLost, StateClosed, do(ActEndCalls, ActClose)},
	},
	StateWaitStopReply: {
		{EventStopReply, StateClosed, do(ActClose)},
		{EventStopRequest, StateClosed, do(sendStopCCRP, ActClose)},
		{EventTimeOut, StateClosed, do(ActClose)},
		{EventLost, StateClosed, do(ActClose)},
		// Whatever else was on its way comes too late.
		{EventStartRequest, StateWaitStopReply, nil},
		{EventStartRequestUnsupported, StateWaitStopReply, nil},
		{EventStartReplyAccepted, StateWaitStopReply, nil},
		{EventStartReplyUnsupported, StateWaitStopReply, nil},
		{EventStartReplyRefused, StateWaitStopReply, nil},
		{EventEchoRequest, StateWaitStopReply, nil},
		{EventEchoReply, StateWaitStopReply, nil},
		{EventCallMessage, StateWaitStopReply, nil},
		{EventStop, StateWaitStopReply, nil},
	},
	StateClosed: {
		{EventStop, StateClosed, nil},
		{EventLost, StateClosed, nil},
	},
}

// pacIncoming is RFC 2637 section 3.2.3.1.
var pacIncoming = map[State][]entry{
	StateIdle: {
		{EventOffer, StateWaitReply, do(sendICRQ)},
	},
	StateWaitReply: {
		{EventIncomingReplyAccepted, StateWaitCSAns, do(ActReportAccepted)},
		{EventIncomingReplyRefused, StateIdle, do(ActReportEnded)},
		{EventCallClear, StateWaitHangUp, do(ActReportClear)},
		{EventHangUp, StateIdle, do(sendCDN, ActReportEnded)},
		{EventTimeOut, StateIdle, do(sendCDN, ActReportEnded)},
		{EventLost, StateIdle, do(ActReportEnded)},
	},
	// The RFC sends the Incoming-Call-Connected from wait_reply; the line needs
	// time to be answered and to train, which is this state.
	StateWaitCSAns: {
		{EventLineUp, StateEstablished, do(sendICCN)},
		{EventCallClear, StateWaitHangUp, do(ActReportClear)},
		{EventLinkInfo, StateWaitCSAns, do(ActReportLinkInfo)},
		{EventHangUp, StateIdle, do(sendCDN, ActReportEnded)},
		{EventTimeOut, StateIdle, do(sendCDN, ActReportEnded)},
		{EventLost, StateIdle, do(ActReportEnded)},
	},
	StateEstablished: pacEstablished,
	StateWaitHangUp:  pacWaitHangUp,
}

// pacOutgoing is RFC 2637 section 3.2.4.1.
var pacOutgoing = map[State][]entry{
	StateIdle: {
		{EventOutgoingCallRequest, StateWaitCSAns, do(ActReportRequested)},
		{EventOutgoingCallUnacceptable, StateIdle, do(sendOCRP)},
	},
	StateWaitCSAns: {
		{EventLineUp, StateEstablished, do(sendOCRP)},
		{EventRefuse, StateIdle, do(sendOCRP, ActReportEnded)},
		{EventHangUp, StateIdle, do(sendOCRP, ActReportEnded)},
		{EventTimeOut, StateIdle, do(sendOCRP, ActReportEnded)},
		{EventCallClear, StateWaitHangUp, do(ActReportClear)},
		{EventLinkInfo, StateWaitCSAns, do(ActReportLinkInfo)},
		{EventLost, StateIdle, do(ActReportEnded)},
	},
	StateEstablished: pacEstablished,
	StateWaitHangUp:  pacWaitHangUp,
}

var pacEstablished = []entry{
	{EventCallClear, StateWaitHangUp, do(ActReportClear)},
	{EventHangUp, StateIdle, do(sendCDN, ActReportEnded)},
	{EventLinkInfo, StateEstablished, do(ActReportLinkInfo)},
	{EventSendLinkInfo, StateEstablished, do(sendSLI)}, // not in the RFC: servers of clients do it
	{EventSendWANErrors, StateEstablished, do(sendWEN)},
	{EventLost, StateIdle, do(ActReportEnded)},
}

var pacWaitHangUp = []entry{
	{EventHangUp, StateIdle, do(sendCDN, ActReportEnded)},
	{EventTimeOut, StateIdle, do(sendCDN, ActReportEnded)},
	{EventCallClear, StateWaitHangUp, nil},
	{EventLinkInfo, StateWaitHangUp, nil},
	{EventLost, StateIdle, do(ActReportEnded)},
}

// pnsIncoming is RFC 2637 section 3.2.3.2.
var pnsIncoming = map[State][]entry{
	StateIdle: {
		{EventIncomingCallRequest, StateWaitDecision, do(ActReportOffered)},
		{EventIncomingCallUnacceptable, StateIdle, do(sendICRP)},
	},
	StateWaitDecision: {
		{EventAccept, StateWaitConnect, do(sendICRP)},
		{EventRefuse, StateIdle, do(sendICRP, ActReportEnded)},
		{EventClear, StateIdle, do(sendICRP, ActReportEnded)},
		{EventTimeOut, StateIdle, do(sendICRP, ActReportEnded)},
		{EventDisconnectNotify, StateIdle, do(ActReportEnded)},
		{EventLost, StateIdle, do(ActReportEnded)},
	},
	StateWaitConnect: {
		{EventIncomingCallConnected, StateEstablished, do(ActReportConnected)},
		{EventWANErrors, StateWaitConnect, do(ActReportWANErrors)},
		{EventDisconnectNotify, StateIdle, do(ActReportEnded)},
		{EventClear, StateWaitDisconnect, do(sendCCRQ)},
		{EventTimeOut, StateWaitDisconnect, do(sendCCRQ, ActReportEnded)},
		{EventLost, StateIdle, do(ActReportEnded)},
	},
	StateEstablished: pnsEstablished,
	StateWaitDisconnect: append([]entry{
		{EventIncomingCallConnected, StateWaitDisconnect, nil},
	}, pnsWaitDisconnect...),
}

// pnsOutgoing is RFC 2637 section 3.2.4.2.
var pnsOutgoing = map[State][]entry{
	StateIdle: {
		{EventRequest, StateWaitReply, do(sendOCRQ)},
	},
	StateWaitReply: {
		{EventOutgoingReplyConnected, StateEstablished, do(ActReportConnected)},
		{EventOutgoingReplyFailed, StateIdle, do(ActReportEnded)},
		{EventDisconnectNotify, StateIdle, do(ActReportEnded)},
		{EventClear, StateWaitDisconnect, do(sendCCRQ)},
		// The owner learns at once; the PAC is told to stop dialling, and its
		// Call ID stays ours until it has.
		{EventTimeOut, StateWaitDisconnect, do(sendCCRQ, ActReportEnded)},
		{EventLost, StateIdle, do(ActReportEnded)},
	},
	StateEstablished: pnsEstablished,
	// A reply that crossed the Call-Clear-Request: after a good one the
	// Call-Disconnect-Notify still comes, after a bad one nothing does.
	StateWaitDisconnect: append([]entry{
		{EventOutgoingReplyConnected, StateWaitDisconnect, nil},
		{EventOutgoingReplyFailed, StateIdle, do(ActReportEnded)},
	}, pnsWaitDisconnect...),
}

var pnsEstablished = []entry{
	{EventDisconnectNotify, StateIdle, do(ActReportEnded)},
	{EventClear, StateWaitDisconnect, do(sendCCRQ)},
	{EventWANErrors, StateEstablished, do(ActReportWANErrors)},
	{EventSendLinkInfo, StateEstablished, do(sendSLI)},
	{EventLost, StateIdle, do(ActReportEnded)},
}

var pnsWaitDisconnect = []entry{
	{EventDisconnectNotify, StateIdle, do(ActReportEnded)},
	{EventTimeOut, StateIdle, do(ActReportEnded)},
	{EventClear, StateWaitDisconnect, nil},
	{EventWANErrors, StateWaitDisconnect, nil},
	{EventLost, StateIdle, do(ActReportEnded)},
}
