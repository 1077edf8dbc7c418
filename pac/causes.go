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
	line.CauseNoAnswer:     {byCaller, lostCarrier, pptp.OutgoingTimeOut, 0},
	line.CauseNoDialtone:   {byCaller, lostCarrier, pptp.OutgoingNoDialTone, 0},
	line.CauseNotAllowed:   {byCaller, lostCarrier, pptp.OutgoingDoNotAccept, 0},
	line.CauseBadNumber:    {byCaller, lostCarrier, pptp.OutgoingGeneralError, pptp.ErrorBadValue},
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

// dialFailure is what a cause of ITU-T Q.850 means in an Outgoing-Call-Reply (section 2.8).
type dialFailure struct {
	result pptp.OutgoingResult
	error  pptp.ErrorCode // with a general error
}

// q850 are the causes of ITU-T Q.850 that say more than a line that only knows that there is no carrier.
var q850 = func() map[uint8]dialFailure {
	all := map[uint8]dialFailure{}
	for _, group := range []struct {
		means  dialFailure
		causes []uint8
	}{
		// The number: nobody who takes such calls has it.
		{dialFailure{pptp.OutgoingGeneralError, pptp.ErrorBadValue}, []uint8{1, 2, 3, 22, 28, 88}},
		// The network has no such bearer here.
		{dialFailure{pptp.OutgoingGeneralError, pptp.ErrorNoResource}, []uint8{49, 58, 63, 65, 66, 69, 70, 79}},
		// Signalling.
		{dialFailure{pptp.OutgoingGeneralError, pptp.ErrorPACError}, []uint8{6, 7, 26, 81, 82, 83, 84, 85, 86, 91, 95, 96, 97, 98, 99, 100, 101, 111}},
		{dialFailure{result: pptp.OutgoingBusy}, []uint8{17}},
		{dialFailure{result: pptp.OutgoingTimeOut}, []uint8{18, 19, 102}},
		{dialFailure{result: pptp.OutgoingNoCarrier}, []uint8{16, 20, 27, 30, 31, 127}},
		{dialFailure{result: pptp.OutgoingDoNotAccept}, []uint8{21, 29, 50, 52, 54, 57}},
		{dialFailure{result: pptp.OutgoingNoDialTone}, []uint8{34, 38, 41, 42, 43, 44, 47}},
	} {
		for _, cause := range group.causes {
			all[cause] = group.means
		}
	}
	return all
}()

// meaningOf looks a cause up. Codes of a later version of the contract mean no more than the loss of the carrier.
func meaningOf(cause line.Cause) meaning {
	m, ok := meanings[cause.Code]
	if !ok {
		m = meanings[line.CauseUnknown]
	}
	if told, ok := q850[cause.Q850]; ok && (cause.Code == line.CauseUnknown || cause.Code == line.CauseNoCarrier) {
		m.outgoing, m.error = told.result, told.error
	}
	return m
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
