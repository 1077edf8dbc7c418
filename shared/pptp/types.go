package pptp

import "fmt"

// Constants of the control connection (RFC 2637).
const (
	// Port is the TCP port a PAC or PNS listens on.
	Port = 1723
	// MagicCookie stands in every message at offset 4 and proves that the
	// stream is still in step.
	MagicCookie uint32 = 0x1A2B3C4D
	// ControlMessage is the only PPTP Message Type that RFC 2637 defines.
	// Type 2, management, is named there but has no messages.
	ControlMessage uint16 = 1
)

// Lengths in octets.
const (
	// HeaderLength covers Length, PPTP Message Type, Magic Cookie, Control
	// Message Type and Reserved0. RFC 2637 section 1.4 calls only the first
	// eight octets the fixed part; every message has all twelve.
	HeaderLength = 12
	// LongestMessage is the length of the longest message, the
	// Incoming-Call-Request.
	LongestMessage = 220
	// MaximumLength is the longest Length field the Framer and Decode accept
	// (ours). It leaves room for messages of unknown type and for messages
	// that were padded, and bounds what one peer can make us hold.
	MaximumLength = 1024
)

// ProtocolVersion is a version of PPTP: the high octet is the version, the low
// octet the revision (RFC 2637 section 2.1).
type ProtocolVersion uint16

// Version10 is version 1 revision 0, the only one there is.
const Version10 ProtocolVersion = 0x0100

// Supported reports whether we can speak v. Any revision of version 1 will do:
// there is none but 0, and nothing could be gained by refusing.
func (v ProtocolVersion) Supported() bool { return v>>8 == Version10>>8 }

// String returns the version as "1.0".
func (v ProtocolVersion) String() string { return fmt.Sprintf("%d.%d", v>>8, v&0xff) }

// MessageType is the Control Message Type of a message (RFC 2637 section 1.4).
type MessageType uint16

// The fifteen Control Message Types.
const (
	TypeStartControlConnectionRequest MessageType = 1
	TypeStartControlConnectionReply   MessageType = 2
	TypeStopControlConnectionRequest  MessageType = 3
	TypeStopControlConnectionReply    MessageType = 4
	TypeEchoRequest                   MessageType = 5
	TypeEchoReply                     MessageType = 6
	TypeOutgoingCallRequest           MessageType = 7
	TypeOutgoingCallReply             MessageType = 8
	TypeIncomingCallRequest           MessageType = 9
	TypeIncomingCallReply             MessageType = 10
	TypeIncomingCallConnected         MessageType = 11
	TypeCallClearRequest              MessageType = 12
	TypeCallDisconnectNotify          MessageType = 13
	TypeWANErrorNotify                MessageType = 14
	TypeSetLinkInfo                   MessageType = 15
)

// layout is what the codec knows of one message type.
type layout struct {
	name         string
	abbreviation string
	length       int
	empty        func() body
}

// body is a message that can fill itself from the octets after the header.
type body interface {
	Message
	decode(r reader)
}

// layouts is indexed by MessageType; entry 0 is unused.
var layouts = [...]layout{
	TypeStartControlConnectionRequest: {"Start-Control-Connection-Request", "SCCRQ", 156, func() body { return new(StartControlConnectionRequest) }},
	TypeStartControlConnectionReply:   {"Start-Control-Connection-Reply", "SCCRP", 156, func() body { return new(StartControlConnectionReply) }},
	TypeStopControlConnectionRequest:  {"Stop-Control-Connection-Request", "StopCCRQ", 16, func() body { return new(StopControlConnectionRequest) }},
	TypeStopControlConnectionReply:    {"Stop-Control-Connection-Reply", "StopCCRP", 16, func() body { return new(StopControlConnectionReply) }},
	TypeEchoRequest:                   {"Echo-Request", "Echo-Request", 16, func() body { return new(EchoRequest) }},
	TypeEchoReply:                     {"Echo-Reply", "Echo-Reply", 20, func() body { return new(EchoReply) }},
	TypeOutgoingCallRequest:           {"Outgoing-Call-Request", "OCRQ", 168, func() body { return new(OutgoingCallRequest) }},
	TypeOutgoingCallReply:             {"Outgoing-Call-Reply", "OCRP", 32, func() body { return new(OutgoingCallReply) }},
	TypeIncomingCallRequest:           {"Incoming-Call-Request", "ICRQ", LongestMessage, func() body { return new(IncomingCallRequest) }},
	TypeIncomingCallReply:             {"Incoming-Call-Reply", "ICRP", 24, func() body { return new(IncomingCallReply) }},
	TypeIncomingCallConnected:         {"Incoming-Call-Connected", "ICCN", 28, func() body { return new(IncomingCallConnected) }},
	TypeCallClearRequest:              {"Call-Clear-Request", "CCRQ", 16, func() body { return new(CallClearRequest) }},
	TypeCallDisconnectNotify:          {"Call-Disconnect-Notify", "CDN", 148, func() body { return new(CallDisconnectNotify) }},
	TypeWANErrorNotify:                {"WAN-Error-Notify", "WEN", 40, func() body { return new(WANErrorNotify) }},
	TypeSetLinkInfo:                   {"Set-Link-Info", "SLI", 24, func() body { return new(SetLinkInfo) }},
}

// MessageTypes returns the fifteen known types in ascending order.
func MessageTypes() []MessageType {
	all := make([]MessageType, 0, len(layouts)-1)
	for t := 1; t < len(layouts); t++ {
		all = append(all, MessageType(t))
	}
	return all
}

// Known reports whether t is one of the fifteen types of RFC 2637.
func (t MessageType) Known() bool { return t > 0 && int(t) < len(layouts) }

// Length returns the length in octets of a message of type t, header included,
// or 0 if the type is unknown.
func (t MessageType) Length() int {
	if !t.Known() {
		return 0
	}
	return layouts[t].length
}

// New returns an empty message of type t, or nil if the type is unknown.
func (t MessageType) New() Message {
	if !t.Known() {
		return nil
	}
	return layouts[t].empty()
}

// String returns the RFC's name of the message, such as "Echo-Request".
func (t MessageType) String() string {
	if !t.Known() {
		return fmt.Sprintf("control message type %d", uint16(t))
	}
	return layouts[t].name
}

// Abbreviation returns the usual short form, such as "SCCRQ", for logs.
func (t MessageType) Abbreviation() string {
	if !t.Known() {
		return fmt.Sprintf("type %d", uint16(t))
	}
	return layouts[t].abbreviation
}
