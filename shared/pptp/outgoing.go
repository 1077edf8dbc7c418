package pptp

import "fmt"

// OutgoingCallRequest is sent by the PNS to make the PAC dial; a VPN client
// sends it to its server, which plays the PAC (RFC 2637 section 2.7).
//
//	  0 Length 168 | PPTP Message Type     4 Magic Cookie
//	  8 Control Message Type 7 | Reserved0
//	 12 Call ID | Call Serial Number
//	 16 Minimum BPS
//	 20 Maximum BPS
//	 24 Bearer Type
//	 28 Framing Type
//	 32 Packet Recv. Window Size | Packet Processing Delay
//	 36 Phone Number Length | Reserved1
//	 40 Phone Number (64)
//	104 Subaddress (64)
type OutgoingCallRequest struct {
	Reserved0             uint16
	PNSCallID             uint16 // Windows clients have been seen to use 0
	CallSerialNumber      uint16 // assigned by the PNS, for logs only
	MinimumBPS            uint32 // lowest acceptable line speed, bit/s
	MaximumBPS            uint32 // highest acceptable line speed, bit/s
	BearerType            BearerType
	FramingType           FramingType
	PacketRecvWindowSize  uint16 // packets the PNS buffers
	PacketProcessingDelay Tenths // of the PNS
	PhoneNumberLength     uint16 // valid octets of PhoneNumber
	Reserved1             uint16
	PhoneNumber           Text64 // as dialled to set up the call
	Subaddress            Text64
}

// Number returns the valid part of the Phone Number.
func (m *OutgoingCallRequest) Number() string { return m.PhoneNumber.Digits(m.PhoneNumberLength) }

// SetNumber sets Phone Number and its length; beyond 64 octets it is cut.
func (m *OutgoingCallRequest) SetNumber(s string) {
	m.PhoneNumberLength, m.PhoneNumber = makeNumber(s)
}

// Type implements Message.
func (*OutgoingCallRequest) Type() MessageType { return TypeOutgoingCallRequest }

// Append implements Message.
func (m *OutgoingCallRequest) Append(dst []byte) []byte {
	dst = appendHeader(dst, m.Type(), m.Reserved0)
	dst = put16(dst, m.PNSCallID)
	dst = put16(dst, m.CallSerialNumber)
	dst = put32(dst, m.MinimumBPS)
	dst = put32(dst, m.MaximumBPS)
	dst = put32(dst, uint32(m.BearerType))
	dst = put32(dst, uint32(m.FramingType))
	dst = put16(dst, m.PacketRecvWindowSize)
	dst = put16(dst, uint16(m.PacketProcessingDelay))
	dst = put16(dst, m.PhoneNumberLength)
	dst = put16(dst, m.Reserved1)
	dst = append(dst, m.PhoneNumber[:]...)
	return append(dst, m.Subaddress[:]...)
}

func (m *OutgoingCallRequest) decode(r reader) {
	m.Reserved0 = r.u16()
	m.PNSCallID = r.u16()
	m.CallSerialNumber = r.u16()
	m.MinimumBPS = r.u32()
	m.MaximumBPS = r.u32()
	m.BearerType = BearerType(r.u32())
	m.FramingType = FramingType(r.u32())
	m.PacketRecvWindowSize = r.u16()
	m.PacketProcessingDelay = Tenths(r.u16())
	m.PhoneNumberLength = r.u16()
	m.Reserved1 = r.u16()
	r.text(m.PhoneNumber[:])
	r.text(m.Subaddress[:])
}

// Summary implements Message.
func (m *OutgoingCallRequest) Summary() string {
	s := fmt.Sprintf("%v: PNS Call ID %d, serial %d, number %s, %d..%d bit/s, bearer %v, framing %v, window %d, delay %v",
		m.Type(), m.PNSCallID, m.CallSerialNumber, quoted(m.Number()), m.MinimumBPS, m.MaximumBPS,
		m.BearerType, m.FramingType, m.PacketRecvWindowSize, m.PacketProcessingDelay.Duration())
	return s + subaddress(m.Subaddress)
}

// OutgoingCallReply is the PAC's answer to an OutgoingCallRequest, sent when
// the line is connected or when it will not be (RFC 2637 section 2.8).
//
//	 0 Length 32 | PPTP Message Type     4 Magic Cookie
//	 8 Control Message Type 8 | Reserved0
//	12 Call ID | Peer's Call ID
//	16 Result Code (1) | Error Code (1) | Cause Code
//	20 Connect Speed
//	24 Packet Recv. Window Size | Packet Processing Delay
//	28 Physical Channel ID
type OutgoingCallReply struct {
	Reserved0  uint16
	PACCallID  uint16 // a PAC that refuses may send 0
	PNSCallID  uint16 // Peer's Call ID: copied from the request
	ResultCode OutgoingResult
	ErrorCode  ErrorCode
	CauseCode  CauseCode
	// ConnectSpeed is the line's speed in bit/s. Many peers send a constant;
	// nothing may depend on it.
	ConnectSpeed          uint32
	PacketRecvWindowSize  uint16 // packets the PAC buffers; Windows sends 0
	PacketProcessingDelay Tenths // of the PAC
	PhysicalChannelID     uint32 // vendor-specific, for logs only
}

// Type implements Message.
func (*OutgoingCallReply) Type() MessageType { return TypeOutgoingCallReply }

// Append implements Message.
func (m *OutgoingCallReply) Append(dst []byte) []byte {
	dst = appendHeader(dst, m.Type(), m.Reserved0)
	dst = put16(dst, m.PACCallID)
	dst = put16(dst, m.PNSCallID)
	dst = append(dst, byte(m.ResultCode), byte(m.ErrorCode))
	dst = put16(dst, uint16(m.CauseCode))
	dst = put32(dst, m.ConnectSpeed)
	dst = put16(dst, m.PacketRecvWindowSize)
	dst = put16(dst, uint16(m.PacketProcessingDelay))
	return put32(dst, m.PhysicalChannelID)
}

func (m *OutgoingCallReply) decode(r reader) {
	m.Reserved0 = r.u16()
	m.PACCallID = r.u16()
	m.PNSCallID = r.u16()
	m.ResultCode = OutgoingResult(r.u8())
	m.ErrorCode = ErrorCode(r.u8())
	m.CauseCode = CauseCode(r.u16())
	m.ConnectSpeed = r.u32()
	m.PacketRecvWindowSize = r.u16()
	m.PacketProcessingDelay = Tenths(r.u16())
	m.PhysicalChannelID = r.u32()
}

// Summary implements Message.
func (m *OutgoingCallReply) Summary() string {
	return fmt.Sprintf("%v: PAC Call ID %d, PNS Call ID %d, %s, cause %d, %d bit/s, window %d, delay %v, channel %d",
		m.Type(), m.PACCallID, m.PNSCallID, outcome(m.ResultCode, m.ErrorCode), m.CauseCode, m.ConnectSpeed,
		m.PacketRecvWindowSize, m.PacketProcessingDelay.Duration(), m.PhysicalChannelID)
}

// subaddress is the part of a summary for a field that is nearly always empty.
func subaddress(t Text64) string {
	if s := t.String(); s != "" {
		return ", subaddress " + quoted(s)
	}
	return ""
}
