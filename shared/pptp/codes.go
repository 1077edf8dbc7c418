package pptp

import (
	"fmt"
	"strings"
	"time"
)

// ControlResult is the Result Code of a Start-Control-Connection-Reply (RFC
// 2637 section 2.2).
type ControlResult uint8

// Results of a Start-Control-Connection-Reply.
const (
	ControlOK                 ControlResult = 1 // established
	ControlGeneralError       ControlResult = 2 // the Error Code says what
	ControlAlreadyExists      ControlResult = 3 // there is a control connection already
	ControlNotAuthorized      ControlResult = 4 // requester is not authorised
	ControlVersionUnsupported ControlResult = 5 // requester's protocol version is not supported
)

// Success reports whether the connection is established. RFC 2637 has only
// result 1; some ADSL modems answer 0 and mean success (pptp-linux and MPD
// accept it too).
func (r ControlResult) Success() bool { return r == ControlOK || r == 0 }

// String returns the meaning of the code in words, unknown ones as a number.
func (r ControlResult) String() string {
	return name(uint32(r), "result",
		"", "success", "general error", "a control connection exists already", "not authorised",
		"protocol version not supported")
}

// ErrorCode is the general Error Code that goes with a Result Code of 2 (RFC
// 2637 section 2.16). It is sent as 0 with every other result.
type ErrorCode uint8

// General error codes.
const (
	ErrorNone         ErrorCode = 0
	ErrorNotConnected ErrorCode = 1 // no control connection between this PAC and PNS yet
	ErrorBadFormat    ErrorCode = 2 // length or magic cookie is wrong
	ErrorBadValue     ErrorCode = 3 // a field is out of range, or a reserved field is not zero
	ErrorNoResource   ErrorCode = 4 // not enough resources now
	ErrorBadCallID    ErrorCode = 5 // the Call ID is wrong here
	ErrorPACError     ErrorCode = 6 // vendor-specific error in the PAC
)

// String returns the meaning of the code in words, unknown ones as a number.
func (e ErrorCode) String() string {
	return name(uint32(e), "error",
		"none", "not connected", "bad format", "bad value", "no resource", "bad Call ID", "PAC error")
}

// StopReason is the Reason of a Stop-Control-Connection-Request (RFC 2637
// section 2.3). accel-ppp sends 0.
type StopReason uint8

// Reasons for stopping a control connection.
const (
	StopNone     StopReason = 1 // general request to clear the connection
	StopProtocol StopReason = 2 // the other side's protocol version cannot be supported
	StopShutdown StopReason = 3 // the requester is shutting down
)

// String returns the meaning of the code in words, unknown ones as a number.
func (r StopReason) String() string {
	return name(uint32(r), "reason",
		"", "no reason given", "protocol version not supported", "shutting down")
}

// StopResult is the Result Code of a Stop-Control-Connection-Reply (RFC 2637
// section 2.4).
type StopResult uint8

// Results of a Stop-Control-Connection-Reply.
const (
	StopOK           StopResult = 1
	StopGeneralError StopResult = 2 // not closed; the Error Code says why
)

// String returns the meaning of the code in words, unknown ones as a number.
func (r StopResult) String() string {
	return name(uint32(r), "result",
		"", "closed", "general error")
}

// EchoResult is the Result Code of an Echo-Reply (RFC 2637 section 2.6).
type EchoResult uint8

// Results of an Echo-Reply.
const (
	EchoOK           EchoResult = 1
	EchoGeneralError EchoResult = 2 // the Error Code says what
)

// String returns the meaning of the code in words, unknown ones as a number.
func (r EchoResult) String() string {
	return name(uint32(r), "result",
		"", "OK", "general error")
}

// OutgoingResult is the Result Code of an Outgoing-Call-Reply (RFC 2637
// section 2.8).
type OutgoingResult uint8

// Results of an Outgoing-Call-Reply.
const (
	OutgoingConnected    OutgoingResult = 1
	OutgoingGeneralError OutgoingResult = 2 // the Error Code says what
	OutgoingNoCarrier    OutgoingResult = 3
	OutgoingBusy         OutgoingResult = 4
	OutgoingNoDialTone   OutgoingResult = 5
	OutgoingTimeOut      OutgoingResult = 6 // not connected within the PAC's time
	OutgoingDoNotAccept  OutgoingResult = 7 // administratively refused
)

// String returns the meaning of the code in words, unknown ones as a number.
func (r OutgoingResult) String() string {
	return name(uint32(r), "result",
		"", "connected", "general error", "no carrier", "busy", "no dial tone", "time-out", "administratively refused")
}

// IncomingResult is the Result Code of an Incoming-Call-Reply (RFC 2637
// section 2.10).
type IncomingResult uint8

// Results of an Incoming-Call-Reply.
const (
	IncomingAccept       IncomingResult = 1 // the PAC should answer the call
	IncomingGeneralError IncomingResult = 2 // the Error Code says what
	IncomingDoNotAccept  IncomingResult = 3 // the PAC should hang up or give busy
)

// String returns the meaning of the code in words, unknown ones as a number.
func (r IncomingResult) String() string {
	return name(uint32(r), "result",
		"", "accepted", "general error", "not accepted")
}

// DisconnectResult is the Result Code of a Call-Disconnect-Notify (RFC 2637
// section 2.13). Windows sends 0 always and ignores what it gets.
type DisconnectResult uint8

// Results of a Call-Disconnect-Notify.
const (
	DisconnectLostCarrier   DisconnectResult = 1
	DisconnectGeneralError  DisconnectResult = 2 // the Error Code says what
	DisconnectAdminShutdown DisconnectResult = 3 // an operator or a policy ended the call
	DisconnectRequest       DisconnectResult = 4 // a Call-Clear-Request was received
)

// String returns the meaning of the code in words, unknown ones as a number.
func (r DisconnectResult) String() string {
	return name(uint32(r), "result",
		"", "lost carrier", "general error", "administrative shutdown", "Call-Clear-Request received")
}

// CauseCode is a vendor-specific cause; for an ISDN call it is the Q.931 cause
// (RFC 2637 sections 2.8 and 2.13).
type CauseCode uint16

// FramingType is a set of PPP framings: what an endpoint can do, what an
// outgoing call may use, or the one that a call has.
type FramingType uint32

// Framing bits (RFC 2637 sections 2.1, 2.7 and 2.11).
const (
	FramingAsynchronous FramingType = 1
	FramingSynchronous  FramingType = 2
	FramingEither       FramingType = FramingAsynchronous | FramingSynchronous
)

// String lists the bits that are set.
func (f FramingType) String() string {
	return bits(uint32(f), "asynchronous", "synchronous")
}

// BearerType is a set of bearer channels, used like FramingType.
type BearerType uint32

// Bearer bits (RFC 2637 sections 2.1, 2.7 and 2.9).
const (
	BearerAnalog  BearerType = 1
	BearerDigital BearerType = 2
	BearerAny     BearerType = BearerAnalog | BearerDigital
)

// String lists the bits that are set.
func (b BearerType) String() string { return bits(uint32(b), "analog", "digital") }

// Tenths is a time in tenths of a second, the unit of the Packet Processing
// Delay fields.
type Tenths uint16

// Duration returns t as a time.Duration.
func (t Tenths) Duration() time.Duration { return time.Duration(t) * 100 * time.Millisecond }

// TenthsOf converts d, rounding to the nearest tenth and stopping at the ends
// of the range.
func TenthsOf(d time.Duration) Tenths {
	n := (d + 50*time.Millisecond) / (100 * time.Millisecond)
	return Tenths(min(max(n, 0), 0xffff))
}

// name returns the text for a code, or the kind and number of an unknown one.
func name(code uint32, kind string, names ...string) string {
	if code < uint32(len(names)) && names[code] != "" {
		return names[code]
	}
	return fmt.Sprintf("%s %d", kind, code)
}

// bits names the two lowest bits of a set; further bits appear in hex.
func bits(set uint32, first, second string) string {
	var parts []string
	if set&1 != 0 {
		parts = append(parts, first)
	}
	if set&2 != 0 {
		parts = append(parts, second)
	}
	if rest := set &^ 3; rest != 0 {
		parts = append(parts, fmt.Sprintf("0x%x", rest))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, "+")
}
