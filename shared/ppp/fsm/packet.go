package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Code is the first octet of a control packet (RFC 1661 section 5).
type Code uint8

// Codes. 1 to 7 are common to all control protocols, 8 to 13 belong to LCP, 14 and 15
// to CCP and ECP.
const (
	VendorSpecific   Code = 0 // RFC 2153
	ConfigureRequest Code = 1
	ConfigureAck     Code = 2
	ConfigureNak     Code = 3
	ConfigureReject  Code = 4
	TerminateRequest Code = 5
	TerminateAck     Code = 6
	CodeReject       Code = 7
	ProtocolReject   Code = 8
	EchoRequest      Code = 9
	EchoReply        Code = 10
	DiscardRequest   Code = 11
	Identification   Code = 12 // RFC 1570
	TimeRemaining    Code = 13 // RFC 1570
	ResetRequest     Code = 14 // RFC 1962
	ResetAck         Code = 15 // RFC 1962
)

var codeNames = [...]string{"Vendor-Specific", "Configure-Request", "Configure-Ack", "Configure-Nak", "Configure-Reject",
	"Terminate-Request", "Terminate-Ack", "Code-Reject", "Protocol-Reject", "Echo-Request", "Echo-Reply",
	"Discard-Request", "Identification", "Time-Remaining", "Reset-Request", "Reset-Ack"}

// String is the RFC's name of the code.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// HeaderLength is the size of code, identifier and length in octets.
const HeaderLength = 4

var (
	// ErrPacket: a control packet shorter than its header or its Length field.
	ErrPacket = errors.New("fsm: control packet truncated")
	// ErrOption: an option list that does not add up.
	ErrOption = errors.New("fsm: malformed option list")
)

// Packet is a control packet (RFC 1661 section 5): code, identifier, length, data.
type Packet struct {
	Code       Code
	Identifier uint8
	Data       []byte // without header and padding
}

// ParsePacket decodes the information field of a control protocol. Octets beyond the
// Length field are padding. Data aliases info.
func ParsePacket(info []byte) (Packet, error) {
	if len(info) < HeaderLength {
		return Packet{}, fmt.Errorf("%w: %d octets", ErrPacket, len(info))
	}
	n := int(binary.BigEndian.Uint16(info[2:]))
	if n < HeaderLength || n > len(info) {
		return Packet{}, fmt.Errorf("%w: %v with length field %d in %d octets", ErrPacket, Code(info[0]), n, len(info))
	}
	return Packet{Code: Code(info[0]), Identifier: info[1], Data: info[HeaderLength:n]}, nil
}

// AppendPacket appends a control packet to dst. Data beyond what the Length field can
// say is cut.
func AppendPacket(dst []byte, p Packet) []byte {
	if most := 0xFFFF - HeaderLength; len(p.Data) > most {
		p.Data = p.Data[:most]
	}
	n := HeaderLength + len(p.Data)
	dst = append(dst, byte(p.Code), p.Identifier, byte(n>>8), byte(n))
	return append(dst, p.Data...)
}

// Option is a configuration option (RFC 1661 section 6): type, length, data.
type Option struct {
	Type uint8
	Data []byte // without type and length
}

// NextOption takes the first option off a list that is not empty. Data and rest
// alias list.
func NextOption(list []byte) (o Option, rest []byte, err error) {
	if len(list) < 2 {
		return Option{}, nil, fmt.Errorf("%w: %d octets left over", ErrOption, len(list))
	}
	n := int(list[1])
	if n < 2 || n > len(list) {
		return Option{}, nil, fmt.Errorf("%w: option %d with length %d in %d octets", ErrOption, list[0], n, len(list))
	}
	return Option{Type: list[0], Data: list[2:n]}, list[n:], nil
}

// CheckOptions tells whether list is a well formed option list.
func CheckOptions(list []byte) error {
	for len(list) > 0 {
		_, rest, err := NextOption(list)
		if err != nil {
			return err
		}
		list = rest
	}
	return nil
}

// AppendOption appends an option to dst. Its data must have at most 253 octets;
// the rest is cut.
func AppendOption(dst []byte, o Option) []byte {
	if len(o.Data) > 253 {
		o.Data = o.Data[:253]
	}
	dst = append(dst, o.Type, byte(2+len(o.Data)))
	return append(dst, o.Data...)
}

// Option16 is an option whose value has two octets.
func Option16(kind uint8, v uint16) Option {
	return Option{kind, binary.BigEndian.AppendUint16(nil, v)}
}

// Option32 is an option whose value has four octets.
func Option32(kind uint8, v uint32) Option {
	return Option{kind, binary.BigEndian.AppendUint32(nil, v)}
}
