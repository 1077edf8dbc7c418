package pac

import (
	"trunkline.example/shared/line"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
)

// meaning is what a line's cause means in the codes of RFC 2637.
type meaning struct {
	by         by                    // who ended the call, if nobody had before
	disconnect pptp.DisconnectResult // in a Call-Disconnect-Notify (section 2.13)
	outgoing   pptp.OutgoingResult   // in an Outgoing-Call-Reply (section 2.8)
	error      pptp.ErrorCode        // with either's general error
}

// meanings has every cause that a line can give. The drivers have turned the V.250 result codes (NO CARRIER, BUSY, NO ANSWER,
// NO DIALTONE, ERROR, ...) into causes.
var meanings = map[line.CauseCode]meaning{
	line.CauseUnknown:      {byCaller, lostCarrier, pptp.OutgoingNoCarrier, 0},
	line.CauseCarrierLost:  {byCaller, lostCarrier, pptp.OutgoingNoCarrier, 0},
	line.CauseNoCarrier:    {byCaller, lostCarrier, pptp.OutgoingNoCarrier, 0},
	line.CauseBusy:         {byCaller, lostCarrier, pptp.OutgoingBusy, 0},
	line.CauseNoAnswer:     {byCaller, lostCarrier, pptp.OutgoingNoCarrier, 0},
	line.CauseNoDialtone:   {byCaller, lostCarrier, pptp.OutgoingNoDialTone, 0},
	line.CauseNotAllowed:   {byCaller, lostCarrier, pptp.OutgoingDoNotAccept, 0},
	line.CauseBadNumber:    {byCaller, lostCarrier, pptp.OutgoingNoCarrier, 0},
	line.CauseNotData:      {byCaller, lostCarrier, pptp.OutgoingNoCarrier, 0},
	line.CauseTimeout:      {byCaller, lostCarrier, pptp.OutgoingTimeOut, 0},
	line.CauseHangup:       {byCaller, lostCarrier, pptp.OutgoingDoNotAccept, 0},
	line.CauseCallerGaveUp: {byCaller, lostCarrier, pptp.OutgoingNoCarrier, 0},
	line.CauseRejected:     {byCaller, lostCarrier, pptp.OutgoingDoNotAccept, 0},
	line.CauseDevice:       {bySelf, generalError, pptp.OutgoingGeneralError, pptp.ErrorPACError},
	line.CauseUnresponsive: {bySelf, generalError, pptp.OutgoingGeneralError, pptp.ErrorPACError},
	line.CauseShutdown:     {byOperator, adminShutdown, pptp.OutgoingDoNotAccept, 0},
	line.CauseDriver:       {bySelf, generalError, pptp.OutgoingGeneralError, pptp.ErrorPACError},
	line.CauseNotSupported: {byCaller, lostCarrier, pptp.OutgoingGeneralError, pptp.ErrorBadValue},
	line.CauseNetwork:      {byCaller, lostCarrier, pptp.OutgoingNoCarrier, 0},
}

// q850 are the causes of ITU-T Q.850 that say more than a line that only knows that there is no carrier.
var q850 = map[uint8]line.CauseCode{
	1: line.CauseBadNumber, 2: line.CauseBadNumber, 3: line.CauseBadNumber, 28: line.CauseBadNumber, 22: line.CauseBadNumber,
	17: line.CauseBusy, 18: line.CauseNoAnswer, 19: line.CauseNoAnswer, 20: line.CauseNoAnswer,
	21: line.CauseRejected, 34: line.CauseNoDialtone, 44: line.CauseNoDialtone, 27: line.CauseNetwork, 38: line.CauseNetwork,
	41: line.CauseNetwork, 42: line.CauseNetwork, 47: line.CauseNetwork, 50: line.CauseNotAllowed, 57: line.CauseNotAllowed,
	58: line.CauseNoDialtone, 63: line.CauseNotSupported, 65: line.CauseNotSupported, 79: line.CauseNotSupported, 88: line.CauseNotSupported,
	102: line.CauseTimeout,
}

// meaningOf looks a cause up. Codes of a later version of the contract mean no more than the loss of the carrier.
func meaningOf(cause line.Cause) meaning {
	code := cause.Code
	if told, ok := q850[cause.Q850]; ok && (code == line.CauseUnknown || code == line.CauseNoCarrier) {
		code = told
	}
	if m, ok := meanings[code]; ok {
		return m
	}
	return meanings[line.CauseUnknown]
}

// endingOf says what the line's cause means when nobody had ended the call before.
func endingOf(cause line.Cause) ending {
	m := meaningOf(cause)
	e := ending{by: m.by, result: m.disconnect, reason: cause.String()}
	if m.disconnect == generalError {
		e.error = m.error
	}
	return e
}

// outgoingFailure is the answer to an Outgoing-Call-Request whose call did not come about: for the reason we ended it, or else for
// the line's.
func outgoingFailure(e ending, cause line.Cause) control.OutgoingAnswer {
	a := control.OutgoingAnswer{Result: e.outgoing, Error: e.error, Cause: pptp.CauseCode(cause.Q850)}
	switch {
	case a.Result != 0:
	case e.by == byOperator:
		a.Result = pptp.OutgoingDoNotAccept
	default:
		m := meaningOf(cause)
		a.Result, a.Error = m.outgoing, m.error
	}
	return a
}
