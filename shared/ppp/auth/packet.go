package auth

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Codes of PAP (RFC 1334 section 2.2).
const (
	papRequest = 1
	papAck     = 2
	papNak     = 3
)

// Codes of CHAP (RFC 1994 section 4).
const (
	chapChallenge = 1
	chapResponse  = 2
	chapSuccess   = 3
	chapFailure   = 4
)

const (
	headerLength = 4
	maxName      = 255 // octets of a name or a PAP password
	maxMessage   = 255 // octets of a PAP message; CHAP would have room for more
)

// errPacket: a PAP or CHAP packet that cannot be read.
var errPacket = errors.New("auth: malformed packet")

// packet is the frame that PAP and CHAP share: code, identifier, length, data.
// body aliases what it was parsed from.
type packet struct {
	code, identifier byte
	body             []byte
}

// parsePacket reads the header and cuts off padding. With lenient a length that
// is not to be believed gives way to what is there.
func parsePacket(b []byte, lenient bool) (packet, error) {
	if len(b) < headerLength {
		return packet{}, fmt.Errorf("%w: %d octets", errPacket, len(b))
	}
	length := int(binary.BigEndian.Uint16(b[2:]))
	if length < headerLength || length > len(b) {
		if !lenient {
			return packet{}, fmt.Errorf("%w: length %d in %d octets", errPacket, length, len(b))
		}
		length = len(b)
	}
	return packet{b[0], b[1], b[headerLength:length]}, nil
}

func (p packet) append(dst []byte) []byte {
	dst = append(dst, p.code, p.identifier)
	dst = binary.BigEndian.AppendUint16(dst, uint16(headerLength+len(p.body)))
	return append(dst, p.body...)
}

// parsePAPRequest reads name and password. Some senders get the lengths wrong
// (mpd's changelog tells of "incorrect PAP implementations"), so a password that
// claims to be longer than the packet ends with it, one that is missing is
// empty, and what follows it is ignored. The name's length has to fit.
func parsePAPRequest(body []byte) (user, password string, err error) {
	name, rest, ok := cutCounted(body)
	if !ok {
		return "", "", fmt.Errorf("%w: name length in %d octets", errPacket, len(body))
	}
	return string(name), counted(rest), nil
}

func papRequestBody(user, password string) []byte {
	body := append([]byte{byte(len(user))}, user...)
	body = append(body, byte(len(password)))
	return append(body, password...)
}

// papReplyBody is a message with its length, cut to what fits.
func papReplyBody(message string) []byte {
	message = message[:min(len(message), maxMessage)]
	return append([]byte{byte(len(message))}, message...)
}

// parsePAPReply reads the message; one without a length is tolerated.
func parsePAPReply(body []byte) string {
	return counted(body)
}

// cutCounted splits behind a field that starts with its length.
func cutCounted(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 1 || int(b[0]) > len(b)-1 {
		return nil, nil, false
	}
	end := 1 + int(b[0])
	return b[1:end], b[end:], true
}

// counted reads such a field as far as it is there.
func counted(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return string(b[1:min(len(b), 1+int(b[0]))])
}

// parseValue reads the value and the name of a Challenge or Response. value
// aliases body.
func parseValue(body []byte) (value []byte, name string, err error) {
	value, rest, ok := cutCounted(body)
	if !ok || len(value) == 0 {
		return nil, "", fmt.Errorf("%w: value size in %d octets", errPacket, len(body))
	}
	if len(rest) > maxName {
		return nil, "", fmt.Errorf("%w: name of %d octets", errPacket, len(rest))
	}
	// Names are not NUL-terminated, but some send one.
	return value, string(bytes.TrimRight(rest, "\x00")), nil
}

func valueBody(value []byte, name string) []byte {
	body := append([]byte{byte(len(value))}, value...)
	return append(body, name...)
}
