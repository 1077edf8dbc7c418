package pptp

import (
	"fmt"
	"testing"
)

// TestCodeNames compares names and values of all codes with RFC 2637.
func TestCodeNames(t *testing.T) {
	tests := []struct {
		code fmt.Stringer
		want string
	}{
		{ControlResult(1), "success"}, {ControlResult(2), "general error"}, {ControlResult(3), "a control connection exists already"},
		{ControlResult(4), "not authorised"}, {ControlResult(5), "protocol version not supported"},
		{ControlResult(0), "result 0"}, {ControlResult(6), "result 6"}, {ControlResult(255), "result 255"},
		{ErrorCode(0), "none"}, {ErrorCode(1), "not connected"}, {ErrorCode(2), "bad format"}, {ErrorCode(3), "bad value"},
		{ErrorCode(4), "no resource"}, {ErrorCode(5), "bad Call ID"}, {ErrorCode(6), "PAC error"}, {ErrorCode(7), "error 7"},
		{StopReason(0), "reason 0"}, {StopReason(1), "no reason given"}, {StopReason(2), "protocol version not supported"},
		{StopReason(3), "shutting down"}, {StopReason(4), "reason 4"},
		{StopResult(1), "closed"}, {StopResult(2), "general error"}, {StopResult(3), "result 3"},
		{EchoResult(1), "OK"}, {EchoResult(2), "general error"}, {EchoResult(3), "result 3"},
		{OutgoingResult(1), "connected"}, {OutgoingResult(2), "general error"}, {OutgoingResult(3), "no carrier"},
		{OutgoingResult(4), "busy"}, {OutgoingResult(5), "no dial tone"}, {OutgoingResult(6), "time-out"},
		{OutgoingResult(7), "administratively refused"}, {OutgoingResult(8), "result 8"},
		{IncomingResult(1), "accepted"}, {IncomingResult(2), "general error"}, {IncomingResult(3), "not accepted"}, {IncomingResult(4), "result 4"},
		{DisconnectResult(0), "result 0"}, {DisconnectResult(1), "lost carrier"}, {DisconnectResult(2), "general error"},
		{DisconnectResult(3), "administrative shutdown"}, {DisconnectResult(4), "Call-Clear-Request received"}, {DisconnectResult(5), "result 5"},
		{FramingType(0), "none"}, {FramingType(1), "asynchronous"}, {FramingType(2), "synchronous"}, {FramingType(3), "asynchronous+synchronous"},
		{FramingType(5), "asynchronous+0x4"},
		{BearerType(0), "none"}, {BearerType(1), "analog"}, {BearerType(2), "digital"}, {BearerType(0xfffffffc), "0xfffffffc"},
		{MessageType(0), "control message type 0"}, {MessageType(16), "control message type 16"},
	}
	for _, tt := range tests {
		if got := tt.code.String(); got != tt.want {
			t.Errorf("%T %v, want %q", tt.code, got, tt.want)
		}
	}
	if !ControlResult(0).Success() || !ControlOK.Success() || ControlGeneralError.Success() || ControlResult(6).Success() {
		t.Error("success is result 1, and 0 for some ADSL modems")
	}
}

func TestAbbreviations(t *testing.T) {
	want := []string{"SCCRQ", "SCCRP", "StopCCRQ", "StopCCRP", "Echo-Request", "Echo-Reply", "OCRQ", "OCRP", "ICRQ", "ICRP", "ICCN", "CCRQ", "CDN", "WEN", "SLI"}
	for i, mt := range MessageTypes() {
		if mt.Abbreviation() != want[i] {
			t.Errorf("%v: %s, want %s", mt, mt.Abbreviation(), want[i])
		}
	}
	if got := MessageType(77); got.Abbreviation() != "type 77" || got.Known() || got.New() != nil || got.Length() != 0 {
		t.Error("an unknown type knows too much")
	}
}
