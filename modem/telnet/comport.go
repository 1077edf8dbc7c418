package telnet

import "encoding/binary"

// Command is a command of COM-PORT-OPTION (RFC 2217 section 2). The client
// sends it as it is; what the server answers or notifies is Answer higher.
type Command byte

// The commands.
const (
	Signature    Command = 0
	SetBaudrate  Command = 1 // four octets, bits per second; 0 asks for the present speed
	SetDataSize  Command = 2
	SetParity    Command = 3
	SetStopSize  Command = 4
	SetControl   Command = 5 // see Control
	NotifyLine   Command = 6 // only as an answer: LineState
	NotifyModem  Command = 7 // only as an answer: ModemState
	FlowSuspend  Command = 8
	FlowResume   Command = 9
	SetLineMask  Command = 10
	SetModemMask Command = 11
	PurgeData    Command = 12 // 1 receive, 2 transmit buffer of the server, 3 both
	Answer       Command = 100
)

// Values of SetControl (RFC 2217 section 4).
const (
	FlowNone     = 1
	FlowXON      = 2
	FlowHardware = 3
	BreakOn      = 5
	BreakOff     = 6
	DTROn        = 8
	DTROff       = 9
	RTSOn        = 11
	RTSOff       = 12
)

// Bits of NotifyModem.
const (
	ModemCD      = 0x80
	ModemRI      = 0x40
	ModemDSR     = 0x20
	ModemCTS     = 0x10
	DeltaCD      = 0x08
	TrailingRI   = 0x04
	DeltaDSR     = 0x02
	DeltaCTS     = 0x01
	ModemSignals = ModemCD | ModemRI | ModemDSR | ModemCTS
)

// Bits of NotifyLine.
const (
	LineBreak   = 0x10
	LineFraming = 0x08
	LineParity  = 0x04
	LineOverrun = 0x02
)

// Values of SetDataSize, SetParity and SetStopSize for 8N1.
const (
	DataBits8  = 8
	ParityNone = 1
	StopBits1  = 1
)

// AppendCommand appends a command with its value.
func AppendCommand(dst []byte, c Command, value ...byte) []byte {
	return AppendSub(dst, ComPort, append([]byte{byte(c)}, value...)...)
}

// Baudrate encodes a speed in bits per second.
func Baudrate(bps int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(bps)) }

// ComPort returns the command in a subnegotiation; false if it is none, or has
// no value where it needs one.
func (s Sub) ComPort() (c Command, value []byte, ok bool) {
	if s.Option != ComPort || len(s.Data) == 0 {
		return 0, nil, false
	}
	c, value = Command(s.Data[0]), s.Data[1:]
	switch c % Answer {
	case Signature, FlowSuspend, FlowResume:
		return c, value, true
	case SetBaudrate:
		return c, value, len(value) >= 4
	}
	return c, value, len(value) >= 1
}

// BaudrateOf decodes the value of SetBaudrate.
func BaudrateOf(value []byte) int { return int(binary.BigEndian.Uint32(value)) }
