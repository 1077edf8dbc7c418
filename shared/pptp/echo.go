package pptp

import "fmt"

// EchoRequest asks for a sign of life (RFC 2637 section 2.5).
//
//	 0 Length 16 | PPTP Message Type     4 Magic Cookie
//	 8 Control Message Type 5 | Reserved0
//	12 Identifier
type EchoRequest struct {
	Reserved0  uint16
	Identifier uint32 // chosen by the sender to match the reply
}

// Type implements Message.
func (*EchoRequest) Type() MessageType { return TypeEchoRequest }

// Append implements Message.
func (m *EchoRequest) Append(dst []byte) []byte {
	dst = appendHeader(dst, m.Type(), m.Reserved0)
	return put32(dst, m.Identifier)
}

func (m *EchoRequest) decode(r reader) {
	m.Reserved0 = r.u16()
	m.Identifier = r.u32()
}

// Summary implements Message.
func (m *EchoRequest) Summary() string { return fmt.Sprintf("%v %d", m.Type(), m.Identifier) }

// EchoReply answers an EchoRequest (RFC 2637 section 2.6).
//
//	 0 Length 20 | PPTP Message Type     4 Magic Cookie
//	 8 Control Message Type 6 | Reserved0
//	12 Identifier
//	16 Result Code (1) | Error Code (1) | Reserved1
type EchoReply struct {
	Reserved0  uint16
	Identifier uint32 // copied from the request
	ResultCode EchoResult
	ErrorCode  ErrorCode
	Reserved1  uint16
}

// Type implements Message.
func (*EchoReply) Type() MessageType { return TypeEchoReply }

// Append implements Message.
func (m *EchoReply) Append(dst []byte) []byte {
	dst = appendHeader(dst, m.Type(), m.Reserved0)
	dst = put32(dst, m.Identifier)
	dst = append(dst, byte(m.ResultCode), byte(m.ErrorCode))
	return put16(dst, m.Reserved1)
}

func (m *EchoReply) decode(r reader) {
	m.Reserved0 = r.u16()
	m.Identifier = r.u32()
	m.ResultCode = EchoResult(r.u8())
	m.ErrorCode = ErrorCode(r.u8())
	m.Reserved1 = r.u16()
}

// Summary implements Message.
func (m *EchoReply) Summary() string {
	return fmt.Sprintf("%v %d: %s", m.Type(), m.Identifier, outcome(m.ResultCode, m.ErrorCode))
}
