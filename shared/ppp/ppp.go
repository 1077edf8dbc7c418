// Package ppp holds what every part of PPP shares: protocol numbers and the frame
// header with its two compressions (RFC 1661 section 2, RFC 1662 section 3.1). A
// frame here is address, control, protocol, information and padding: octet
// stuffing and FCS belong to shared/hdlc and are absent inside a tunnel.
//
// The protocols themselves live below: fsm (the automaton of RFC 1661), lcp, auth,
// ccp, mppe, ipcp, and link, which composes them.
package ppp

import (
	"errors"
	"fmt"
)

// The first two octets of a frame whose Address-and-Control field is not
// compressed (RFC 1662 section 3.1).
const (
	Address = 0xFF // All-Stations
	Control = 0x03 // Unnumbered Information
)

// HeaderMax is the most octets a frame header takes: address, control and a
// protocol field of two octets.
const HeaderMax = 4

// DefaultMRU is the Maximum-Receive-Unit before and without negotiation, in octets of
// information field (RFC 1661 section 6.1).
const DefaultMRU = 1500

var (
	// ErrShort: the frame ends inside its header.
	ErrShort = errors.New("ppp: frame too short")
	// ErrProtocol: the number in the protocol field cannot be one (Protocol.Valid).
	ErrProtocol = errors.New("ppp: malformed protocol field")
)

// Split takes a frame apart, without allocating unless it fails. Address and control may be there or not, the protocol
// field may have one or two octets: both compressions are understood whether or not
// they were negotiated, as their forms cannot be confused (00FF is no protocol).
// info aliases frame and keeps any padding.
func Split(frame []byte) (proto Protocol, info []byte, err error) {
	rest := frame
	if len(rest) >= 2 && rest[0] == Address && rest[1] == Control {
		rest = rest[2:]
	}
	if len(rest) == 0 {
		return 0, nil, fmt.Errorf("%w: no protocol field in %d octets", ErrShort, len(frame))
	}
	switch {
	case rest[0]&1 == 1:
		proto, info = Protocol(rest[0]), rest[1:]
	case len(rest) == 1:
		return 0, nil, fmt.Errorf("%w: half a protocol field in %d octets", ErrShort, len(frame))
	default:
		proto, info = Protocol(rest[0])<<8|Protocol(rest[1]), rest[2:]
	}
	if !proto.Valid() {
		return proto, info, fmt.Errorf("%w: %04X", ErrProtocol, uint16(proto))
	}
	return proto, info, nil
}

// AppendHeader appends the header of a frame that carries proto. With acfc address
// and control are left out, with pfc a protocol number below 0100 takes one octet.
// An LCP frame is never compressed (RFC 1661 sections 6.5, 6.6).
func AppendHeader(dst []byte, proto Protocol, acfc, pfc bool) []byte {
	if !acfc || proto == LCP {
		dst = append(dst, Address, Control)
	}
	if pfc && proto < 0x100 {
		return append(dst, byte(proto))
	}
	return append(dst, byte(proto>>8), byte(proto))
}
