package pptp

import "fmt"

// StartControlConnectionRequest asks for a control connection; whoever opened
// the TCP connection sends it first (RFC 2637 section 2.1).
//
//	 0 Length 156 | PPTP Message Type     4 Magic Cookie
//	 8 Control Message Type 1 | Reserved0
//	12 Protocol Version | Reserved1
//	16 Framing Capabilities
//	20 Bearer Capabilities
//	24 Maximum Channels | Firmware Revision
//	28 Host Name (64)
//	92 Vendor String (64)
type StartControlConnectionRequest struct {
	Reserved0       uint16
	ProtocolVersion ProtocolVersion // the version the sender wishes to use
	Reserved1       uint16
	// FramingCapabilities and BearerCapabilities are what the sender can do.
	// Windows clients claim 1 and 1, others 0; never refuse because of them.
	FramingCapabilities FramingType
	BearerCapabilities  BearerType
	MaximumChannels     uint16 // sessions a PAC can support; a PNS sends 0
	FirmwareRevision    uint16 // of the PAC, or of the PNS's driver
	HostName            Text64 // DNS name of the sender; may be empty
	VendorName          Text64
}

// Type implements Message.
func (*StartControlConnectionRequest) Type() MessageType { return TypeStartControlConnectionRequest }

// Append implements Message.
func (m *StartControlConnectionRequest) Append(dst []byte) []byte {
	dst = appendHeader(dst, m.Type(), m.Reserved0)
	dst = put16(dst, uint16(m.ProtocolVersion))
	dst = put16(dst, m.Reserved1)
	dst = put32(dst, uint32(m.FramingCapabilities))
	dst = put32(dst, uint32(m.BearerCapabilities))
	dst = put16(dst, m.MaximumChannels)
	dst = put16(dst, m.FirmwareRevision)
	dst = append(dst, m.HostName[:]...)
	return append(dst, m.VendorName[:]...)
}

func (m *StartControlConnectionRequest) decode(r reader) {
	m.Reserved0 = r.u16()
	m.ProtocolVersion = ProtocolVersion(r.u16())
	m.Reserved1 = r.u16()
	m.FramingCapabilities = FramingType(r.u32())
	m.BearerCapabilities = BearerType(r.u32())
	m.MaximumChannels = r.u16()
	m.FirmwareRevision = r.u16()
	r.text(m.HostName[:])
	r.text(m.VendorName[:])
}

// Summary implements Message.
func (m *StartControlConnectionRequest) Summary() string {
	return fmt.Sprintf("%v: version %v, framing %v, bearer %v, %d channels, firmware %d, host %s, vendor %s",
		m.Type(), m.ProtocolVersion, m.FramingCapabilities, m.BearerCapabilities,
		m.MaximumChannels, m.FirmwareRevision, quoted(m.HostName.String()), quoted(m.VendorName.String()))
}

// StartControlConnectionReply answers a StartControlConnectionRequest (RFC
// 2637 section 2.2).
//
//	 0 Length 156 | PPTP Message Type     4 Magic Cookie
//	 8 Control Message Type 2 | Reserved0
//	12 Protocol Version | Result Code (1) | Error Code (1)
//	16 Framing Capabilities
//	20 Bearer Capabilities
//	24 Maximum Channels | Firmware Revision
//	28 Host Name (64)
//	92 Vendor String (64)
type StartControlConnectionReply struct {
	Reserved0           uint16
	ProtocolVersion     ProtocolVersion // the version to be used
	ResultCode          ControlResult
	ErrorCode           ErrorCode
	FramingCapabilities FramingType
	BearerCapabilities  BearerType
	MaximumChannels     uint16
	FirmwareRevision    uint16
	HostName            Text64
	VendorName          Text64
}

// Type implements Message.
func (*StartControlConnectionReply) Type() MessageType { return TypeStartControlConnectionReply }

// Append implements Message.
func (m *StartControlConnectionReply) Append(dst []byte) []byte {
	dst = appendHeader(dst, m.Type(), m.Reserved0)
	dst = put16(dst, uint16(m.ProtocolVersion))
	dst = append(dst, byte(m.ResultCode), byte(m.ErrorCode))
	dst = put32(dst, uint32(m.FramingCapabilities))
	dst = put32(dst, uint32(m.BearerCapabilities))
	dst = put16(dst, m.MaximumChannels)
	dst = put16(dst, m.FirmwareRevision)
	dst = append(dst, m.HostName[:]...)
	return append(dst, m.VendorName[:]...)
}

func (m *StartControlConnectionReply) decode(r reader) {
	m.Reserved0 = r.u16()
	m.ProtocolVersion = ProtocolVersion(r.u16())
	m.ResultCode = ControlResult(r.u8())
	m.ErrorCode = ErrorCode(r.u8())
	m.FramingCapabilities = FramingType(r.u32())
	m.BearerCapabilities = BearerType(r.u32())
	m.MaximumChannels = r.u16()
	m.FirmwareRevision = r.u16()
	r.text(m.HostName[:])
	r.text(m.VendorName[:])
}

// Summary implements Message.
func (m *StartControlConnectionReply) Summary() string {
	return fmt.Sprintf("%v: %s, version %v, framing %v, bearer %v, %d channels, firmware %d, host %s, vendor %s",
		m.Type(), outcome(m.ResultCode, m.ErrorCode), m.ProtocolVersion, m.FramingCapabilities, m.BearerCapabilities,
		m.MaximumChannels, m.FirmwareRevision, quoted(m.HostName.String()), quoted(m.VendorName.String()))
}

// outcome joins a Result Code and an Error Code for people.
func outcome(result fmt.Stringer, code ErrorCode) string {
	if code == ErrorNone {
		return result.String()
	}
	return fmt.Sprintf("%v (%v)", result, code)
}
