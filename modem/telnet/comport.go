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
	NotifyModem  Command = 7 // as an answer: ModemState. Some clients ask for it, without a value
	FlowSuspend  Command = 8
	FlowResume   Command = 9
	SetLineMask  Command = 10
	SetModemMask Command = 11
	PurgeData    Command = 12 // of the server's buffers
	Answer       Command = 100
)

// Values of SetControl (RFC 2217 section 3). Those that begin with Ask change nothing: the answer is the value that is in force.
const (
	AskFlow      = 0 // both ways, or what goes out
	FlowNone     = 1
	FlowXON      = 2
	FlowHardware = 3
	AskBreak     = 4
	BreakOn      = 5
	BreakOff     = 6
	AskDTR       = 7
	DTROn        = 8
	DTROff       = 9
	AskRTS       = 10
	RTSOn        = 11
	RTSOff       = 12
	AskInbound   = 13 // flow control of what comes in, if it is another one
	InboundNone  = 14
	InboundXON   = 15
	InboundRTS   = 16
	FlowDCD      = 17
	InboundDTR   = 18
	FlowDSR      = 19
)

// Values of PurgeData.
const (
	PurgeReceived = 1 // what came from the modem
	PurgeUnsent   = 2 // what is for it
	PurgeBoth     = 3
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

// Values of SetDataSize, SetParity and SetStopSize: those for 8N1, and the bounds.
const (
	DataBits5   = 5
	DataBits8   = 8
	ParityNone  = 1
	ParitySpace = 5
	StopBits1   = 1
	StopBits15  = 3 // 1.5
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
	if c == NotifyModem {
		return c, value, true
	}
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
