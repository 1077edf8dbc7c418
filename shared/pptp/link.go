package pptp

import "fmt"

// WANErrors counts the errors of one call's line since the call was set up
// (RFC 2637 section 2.14). The counters are cumulative.
type WANErrors struct {
	CRCErrors        uint32 // PPP frames with a bad FCS
	FramingErrors    uint32 // PPP frames badly framed
	HardwareOverruns uint32 // receiver FIFO overflowed
	BufferOverruns   uint32 // no buffer for a frame
	TimeoutErrors    uint32
	AlignmentErrors  uint32
}

// WANErrorNotify is sent by the PAC after errors on the line of a call, at
// most once in 60 seconds (RFC 2637 section 2.14).
//
//	 0 Length 40 | PPTP Message Type     4 Magic Cookie
//	 8 Control Message Type 14 | Reserved0
//	12 Peer's Call ID | Reserved1
//	16 CRC Errors            20 Framing Errors
//	24 Hardware Overruns     28 Buffer Overruns
//	32 Time-out Errors       36 Alignment Errors
type WANErrorNotify struct {
	Reserved0 uint16
	PNSCallID uint16 // Peer's Call ID: the one the PNS assigned
	Reserved1 uint16
	WANErrors
}

// Type implements Message.
func (*WANErrorNotify) Type() MessageType { return TypeWANErrorNotify }

// Append implements Message.
func (m *WANErrorNotify) Append(dst []byte) []byte {
	dst = appendHeader(dst, m.Type(), m.Reserved0)
	dst = put16(dst, m.PNSCallID)
	dst = put16(dst, m.Reserved1)
	dst = put32(dst, m.CRCErrors)
	dst = put32(dst, m.FramingErrors)
	dst = put32(dst, m.HardwareOverruns)
	dst = put32(dst, m.BufferOverruns)
	dst = put32(dst, m.TimeoutErrors)
	return put32(dst, m.AlignmentErrors)
}

func (m *WANErrorNotify) decode(r reader) {
	m.Reserved0 = r.u16()
	m.PNSCallID = r.u16()
	m.Reserved1 = r.u16()
	m.CRCErrors = r.u32()
	m.FramingErrors = r.u32()
	m.HardwareOverruns = r.u32()
	m.BufferOverruns = r.u32()
	m.TimeoutErrors = r.u32()
	m.AlignmentErrors = r.u32()
}

// Summary implements Message.
func (m *WANErrorNotify) Summary() string {
	return fmt.Sprintf("%v: PNS Call ID %d, %d CRC, %d framing, %d hardware overruns, %d buffer overruns, %d time-outs, %d alignment",
		m.Type(), m.PNSCallID, m.CRCErrors, m.FramingErrors, m.HardwareOverruns,
		m.BufferOverruns, m.TimeoutErrors, m.AlignmentErrors)
}

// SetLinkInfo is sent by the PNS to tell the PAC which characters LCP agreed
// to escape on the asynchronous line (RFC 2637 section 2.15). It may come at
// any time during a call. Some NAT routers drop a control connection when they
// see one sent by the PAC.
//
//	 0 Length 24 | PPTP Message Type     4 Magic Cookie
//	 8 Control Message Type 15 | Reserved0
//	12 Peer's Call ID | Reserved1
//	16 Send ACCM
//	20 Receive ACCM
type SetLinkInfo struct {
	Reserved0 uint16
	PACCallID uint16 // Peer's Call ID: the one the PAC assigned (the PNS, should a PAC send it)
	Reserved1 uint16
	// SendACCM has bit n set if octet n (0..31) is escaped in what the PAC
	// sends on the line; ReceiveACCM is for what it receives. Until told
	// otherwise a PAC uses 0xFFFFFFFF for both.
	SendACCM    uint32
	ReceiveACCM uint32
}

// Type implements Message.
func (*SetLinkInfo) Type() MessageType { return TypeSetLinkInfo }

// Append implements Message.
func (m *SetLinkInfo) Append(dst []byte) []byte {
	dst = appendHeader(dst, m.Type(), m.Reserved0)
	dst = put16(dst, m.PACCallID)
	dst = put16(dst, m.Reserved1)
	dst = put32(dst, m.SendACCM)
	return put32(dst, m.ReceiveACCM)
}

func (m *SetLinkInfo) decode(r reader) {
	m.Reserved0 = r.u16()
	m.PACCallID = r.u16()
	m.Reserved1 = r.u16()
	m.SendACCM = r.u32()
	m.ReceiveACCM = r.u32()
}

// Summary implements Message.
func (m *SetLinkInfo) Summary() string {
	return fmt.Sprintf("%v: PAC Call ID %d, send ACCM 0x%08x, receive ACCM 0x%08x",
		m.Type(), m.PACCallID, m.SendACCM, m.ReceiveACCM)
}
