package pptp

import "fmt"

// CallClearRequest is sent by the PNS to end a call of either direction (RFC
// 2637 section 2.12).
//
//	 0 Length 16 | PPTP Message Type     4 Magic Cookie
//	 8 Control Message Type 12 | Reserved0
//	12 Call ID | Reserved1
type CallClearRequest struct {
	Reserved0 uint16
	PNSCallID uint16 // Call ID: the one the sender, the PNS, assigned
	Reserved1 uint16
}

// Type implements Message.
func (*CallClearRequest) Type() MessageType { return TypeCallClearRequest }

// Append implements Message.
func (m *CallClearRequest) Append(dst []byte) []byte {
	dst = appendHeader(dst, m.Type(), m.Reserved0)
	dst = put16(dst, m.PNSCallID)
	return put16(dst, m.Reserved1)
}

func (m *CallClearRequest) decode(r reader) {
	m.Reserved0 = r.u16()
	m.PNSCallID = r.u16()
	m.Reserved1 = r.u16()
}

// Summary implements Message.
func (m *CallClearRequest) Summary() string {
	return fmt.Sprintf("%v: PNS Call ID %d", m.Type(), m.PNSCallID)
}

// CallDisconnectNotify is sent by the PAC when a call has ended, for whatever
// reason, also as the answer to a CallClearRequest (RFC 2637 section 2.13).
//
//	 0 Length 148 | PPTP Message Type     4 Magic Cookie
//	 8 Control Message Type 13 | Reserved0
//	12 Call ID | Result Code (1) | Error Code (1)
//	16 Cause Code | Reserved1
//	20 Call Statistics (128)
type CallDisconnectNotify struct {
	Reserved0 uint16
	// PACCallID is the Call ID the sender, the PAC, assigned. accel-ppp sends
	// the PNS's here, and until August 2026 with its octets swapped.
	PACCallID      uint16
	ResultCode     DisconnectResult
	ErrorCode      ErrorCode
	CauseCode      CauseCode
	Reserved1      uint16
	CallStatistics Text128 // vendor-specific text, for logs only
}

// Type implements Message.
func (*CallDisconnectNotify) Type() MessageType { return TypeCallDisconnectNotify }

// Append implements Message.
func (m *CallDisconnectNotify) Append(dst []byte) []byte {
	dst = appendHeader(dst, m.Type(), m.Reserved0)
	dst = put16(dst, m.PACCallID)
	dst = append(dst, byte(m.ResultCode), byte(m.ErrorCode))
	dst = put16(dst, uint16(m.CauseCode))
	dst = put16(dst, m.Reserved1)
	return append(dst, m.CallStatistics[:]...)
}

func (m *CallDisconnectNotify) decode(r reader) {
	m.Reserved0 = r.u16()
	m.PACCallID = r.u16()
	m.ResultCode = DisconnectResult(r.u8())
	m.ErrorCode = ErrorCode(r.u8())
	m.CauseCode = CauseCode(r.u16())
	m.Reserved1 = r.u16()
	r.text(m.CallStatistics[:])
}

// Summary implements Message.
func (m *CallDisconnectNotify) Summary() string {
	s := fmt.Sprintf("%v: PAC Call ID %d, %s, cause %d",
		m.Type(), m.PACCallID, outcome(m.ResultCode, m.ErrorCode), m.CauseCode)
	if t := m.CallStatistics.String(); t != "" {
		s += ", statistics " + quoted(t)
	}
	return s
}
