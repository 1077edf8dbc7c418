package pptp

import "fmt"

// StopControlConnectionRequest asks to close the control connection; all its
// calls are cleared with it (RFC 2637 section 2.3).
//
//	 0 Length 16 | PPTP Message Type     4 Magic Cookie
//	 8 Control Message Type 3 | Reserved0
//	12 Reason (1) | Reserved1 (1) | Reserved2
type StopControlConnectionRequest struct {
	Reserved0 uint16
	Reason    StopReason
	Reserved1 uint8
	Reserved2 uint16
}

// Type implements Message.
func (*StopControlConnectionRequest) Type() MessageType { return TypeStopControlConnectionRequest }

// Append implements Message.
func (m *StopControlConnectionRequest) Append(dst []byte) []byte {
	dst = appendHeader(dst, m.Type(), m.Reserved0)
	dst = append(dst, byte(m.Reason), m.Reserved1)
	return put16(dst, m.Reserved2)
}

func (m *StopControlConnectionRequest) decode(r reader) {
	m.Reserved0 = r.u16()
	m.Reason = StopReason(r.u8())
	m.Reserved1 = r.u8()
	m.Reserved2 = r.u16()
}

// Summary implements Message.
func (m *StopControlConnectionRequest) Summary() string {
	return fmt.Sprintf("%v: %v", m.Type(), m.Reason)
}

// StopControlConnectionReply answers a StopControlConnectionRequest (RFC 2637
// section 2.4).
//
//	 0 Length 16 | PPTP Message Type     4 Magic Cookie
//	 8 Control Message Type 4 | Reserved0
//	12 Result Code (1) | Error Code (1) | Reserved1
type StopControlConnectionReply struct {
	Reserved0  uint16
	ResultCode StopResult
	ErrorCode  ErrorCode
	Reserved1  uint16
}

// Type implements Message.
func (*StopControlConnectionReply) Type() MessageType { return TypeStopControlConnectionReply }

// Append implements Message.
func (m *StopControlConnectionReply) Append(dst []byte) []byte {
	dst = appendHeader(dst, m.Type(), m.Reserved0)
	dst = append(dst, byte(m.ResultCode), byte(m.ErrorCode))
	return put16(dst, m.Reserved1)
}

func (m *StopControlConnectionReply) decode(r reader) {
	m.Reserved0 = r.u16()
	m.ResultCode = StopResult(r.u8())
	m.ErrorCode = ErrorCode(r.u8())
	m.Reserved1 = r.u16()
}

// Summary implements Message.
func (m *StopControlConnectionReply) Summary() string {
	return fmt.Sprintf("%v: %s", m.Type(), outcome(m.ResultCode, m.ErrorCode))
}
