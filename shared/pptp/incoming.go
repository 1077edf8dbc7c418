package pptp

import "fmt"

// IncomingCallRequest is sent by the PAC when a line rings (RFC 2637 section
// 2.9). It is the longest message.
//
//	  0 Length 220 | PPTP Message Type     4 Magic Cookie
//	  8 Control Message Type 9 | Reserved0
//	 12 Call ID | Call Serial Number
//	 16 Call Bearer Type
//	 20 Physical Channel ID
//	 24 Dialed Number Length | Dialing Number Length
//	 28 Dialed Number (64)
//	 92 Dialing Number (64)
//	156 Subaddress (64)
type IncomingCallRequest struct {
	Reserved0           uint16
	PACCallID           uint16
	CallSerialNumber    uint16 // assigned by the PAC, for logs only
	CallBearerType      BearerType
	PhysicalChannelID   uint32 // vendor-specific, for logs only
	DialedNumberLength  uint16 // valid octets of DialedNumber
	DialingNumberLength uint16 // valid octets of DialingNumber
	DialedNumber        Text64 // the number that was called (DNIS)
	DialingNumber       Text64 // the caller's number (CLID)
	Subaddress          Text64
}

// Dialed returns the valid part of the Dialed Number.
func (m *IncomingCallRequest) Dialed() string { return m.DialedNumber.Digits(m.DialedNumberLength) }

// Dialing returns the valid part of the Dialing Number.
func (m *IncomingCallRequest) Dialing() string { return m.DialingNumber.Digits(m.DialingNumberLength) }

// SetNumbers sets both numbers and their lengths; beyond 64 octets they are cut.
func (m *IncomingCallRequest) SetNumbers(dialed, dialing string) {
	m.DialedNumberLength, m.DialedNumber = makeNumber(dialed)
	m.DialingNumberLength, m.DialingNumber = makeNumber(dialing)
}

// Type implements Message.
func (*IncomingCallRequest) Type() MessageType { return TypeIncomingCallRequest }

// Append implements Message.
func (m *IncomingCallRequest) Append(dst []byte) []byte {
	dst = appendHeader(dst, m.Type(), m.Reserved0)
	dst = put16(dst, m.PACCallID)
	dst = put16(dst, m.CallSerialNumber)
	dst = put32(dst, uint32(m.CallBearerType))
	dst = put32(dst, m.PhysicalChannelID)
	dst = put16(dst, m.DialedNumberLength)
	dst = put16(dst, m.DialingNumberLength)
	dst = append(dst, m.DialedNumber[:]...)
	dst = append(dst, m.DialingNumber[:]...)
	return append(dst, m.Subaddress[:]...)
}

func (m *IncomingCallRequest) decode(r reader) {
	m.Reserved0 = r.u16()
	m.PACCallID = r.u16()
	m.CallSerialNumber = r.u16()
	m.CallBearerType = BearerType(r.u32())
	m.PhysicalChannelID = r.u32()
	m.DialedNumberLength = r.u16()
	m.DialingNumberLength = r.u16()
	r.text(m.DialedNumber[:])
	r.text(m.DialingNumber[:])
	r.text(m.Subaddress[:])
}

// Summary implements Message.
func (m *IncomingCallRequest) Summary() string {
	s := fmt.Sprintf("%v: PAC Call ID %d, serial %d, dialed %s, dialing %s, bearer %v, channel %d",
		m.Type(), m.PACCallID, m.CallSerialNumber, quoted(m.Dialed()), quoted(m.Dialing()),
		m.CallBearerType, m.PhysicalChannelID)
	return s + subaddress(m.Subaddress)
}

// IncomingCallReply is the PNS's answer to an IncomingCallRequest (RFC 2637
// section 2.10).
//
//	 0 Length 24 | PPTP Message Type     4 Magic Cookie
//	 8 Control Message Type 10 | Reserved0
//	12 Call ID | Peer's Call ID
//	16 Result Code (1) | Error Code (1) | Packet Recv. Window Size
//	20 Packet Transmit Delay | Reserved1
type IncomingCallReply struct {
	Reserved0  uint16
	PNSCallID  uint16
	PACCallID  uint16 // Peer's Call ID: copied from the request
	ResultCode IncomingResult
	ErrorCode  ErrorCode
	// PacketRecvWindowSize is how many packets the PNS buffers. RFC 2637 says
	// "PAC" here, an evident slip: a window is always the sender's.
	PacketRecvWindowSize uint16
	PacketTransmitDelay  Tenths // of the PNS
	Reserved1            uint16
}

// Type implements Message.
func (*IncomingCallReply) Type() MessageType { return TypeIncomingCallReply }

// Append implements Message.
func (m *IncomingCallReply) Append(dst []byte) []byte {
	dst = appendHeader(dst, m.Type(), m.Reserved0)
	dst = put16(dst, m.PNSCallID)
	dst = put16(dst, m.PACCallID)
	dst = append(dst, byte(m.ResultCode), byte(m.ErrorCode))
	dst = put16(dst, m.PacketRecvWindowSize)
	dst = put16(dst, uint16(m.PacketTransmitDelay))
	return put16(dst, m.Reserved1)
}

func (m *IncomingCallReply) decode(r reader) {
	m.Reserved0 = r.u16()
	m.PNSCallID = r.u16()
	m.PACCallID = r.u16()
	m.ResultCode = IncomingResult(r.u8())
	m.ErrorCode = ErrorCode(r.u8())
	m.PacketRecvWindowSize = r.u16()
	m.PacketTransmitDelay = Tenths(r.u16())
	m.Reserved1 = r.u16()
}

// Summary implements Message.
func (m *IncomingCallReply) Summary() string {
	return fmt.Sprintf("%v: PAC Call ID %d, PNS Call ID %d, %s, window %d, delay %v",
		m.Type(), m.PACCallID, m.PNSCallID, outcome(m.ResultCode, m.ErrorCode),
		m.PacketRecvWindowSize, m.PacketTransmitDelay.Duration())
}

// IncomingCallConnected is sent by the PAC when it has answered the line and
// the line is up (RFC 2637 section 2.11).
//
//	 0 Length 28 | PPTP Message Type     4 Magic Cookie
//	 8 Control Message Type 11 | Reserved0
//	12 Peer's Call ID | Reserved1
//	16 Connect Speed
//	20 Packet Recv. Window Size | Packet Transmit Delay
//	24 Framing Type
type IncomingCallConnected struct {
	Reserved0            uint16
	PNSCallID            uint16 // Peer's Call ID: copied from the reply
	Reserved1            uint16
	ConnectSpeed         uint32 // bit/s
	PacketRecvWindowSize uint16 // packets the PAC buffers
	PacketTransmitDelay  Tenths // of the PAC
	FramingType          FramingType
}

// Type implements Message.
func (*IncomingCallConnected) Type() MessageType { return TypeIncomingCallConnected }

// Append implements Message.
func (m *IncomingCallConnected) Append(dst []byte) []byte {
	dst = appendHeader(dst, m.Type(), m.Reserved0)
	dst = put16(dst, m.PNSCallID)
	dst = put16(dst, m.Reserved1)
	dst = put32(dst, m.ConnectSpeed)
	dst = put16(dst, m.PacketRecvWindowSize)
	dst = put16(dst, uint16(m.PacketTransmitDelay))
	return put32(dst, uint32(m.FramingType))
}

func (m *IncomingCallConnected) decode(r reader) {
	m.Reserved0 = r.u16()
	m.PNSCallID = r.u16()
	m.Reserved1 = r.u16()
	m.ConnectSpeed = r.u32()
	m.PacketRecvWindowSize = r.u16()
	m.PacketTransmitDelay = Tenths(r.u16())
	m.FramingType = FramingType(r.u32())
}

// Summary implements Message.
func (m *IncomingCallConnected) Summary() string {
	return fmt.Sprintf("%v: PNS Call ID %d, %d bit/s, framing %v, window %d, delay %v",
		m.Type(), m.PNSCallID, m.ConnectSpeed, m.FramingType,
		m.PacketRecvWindowSize, m.PacketTransmitDelay.Duration())
}
