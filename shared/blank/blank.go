// Package blank makes secrets in PPP unreadable, so that a recording of a call can be shown to others: passwords of PAP, and the
// responses of CHAP, MS-CHAP and EAP, from which passwords can be found by trying. Challenges, names and messages stay, as does all that is
// no authentication: in particular users' data, encrypted or not.
//
// What lies where authentication lies and cannot be understood is a secret: a frame that is odd must not give away what a regular one does
// not. The octets are overwritten with asterisks in place, so that lengths, and with them the length of a password, stay as they are.
//
// It knows no more of PPP than that. The package is pure.
package blank

import (
	"bytes"
	"encoding/binary"

	"trunkline.example/shared/gre"
)

// Filler is what a secret is overwritten with.
const Filler = '*'

// PPP protocol numbers (IANA, "PPP DLL Protocol Numbers").
const (
	protocolLCP  = 0xC021
	protocolPAP  = 0xC023
	protocolLQR  = 0xC025
	protocolCBCP = 0xC029
	protocolBACP = 0xC02B
	protocolBAP  = 0xC02D
	protocolCHAP = 0xC223
	protocolEAP  = 0xC227

	linkProtocols = 0xC000 // from here on: link control, authentication among it (RFC 1661 section 2)
)

// Codes of packets.
const (
	lcpCodeReject     = 7 // RFC 1661 section 5.6
	lcpProtocolReject = 8 // RFC 1661 section 5.7

	papRequest = 1 // RFC 1334 section 2.2
	papNak     = 3

	chapChallenge = 1 // RFC 1994 section 4
	chapResponse  = 2
	chapSuccess   = 3
	chapFailure   = 4

	eapRequest  = 1 // RFC 3748 section 4
	eapResponse = 2

	eapNak = 3 // of the types up to this one none carries a secret (RFC 3748 section 5)
	eapMD5 = 4
)

const (
	packetHeader = 4 // code, identifier, length: all protocols here begin with them
	// deepest is how often a packet may lie within another one that rejects it.
	deepest = 4
)

// Packet blanks the PPP frame in a GRE packet (RFC 2637 section 4.1) and says whether it has changed anything. Of a packet that is no
// enhanced GRE nothing but the first eight octets stays.
func Packet(packet []byte) bool {
	h, payload, err := gre.Parse(packet)
	if err != nil {
		return fill(packet[min(gre.MinHeader, len(packet)):])
	}
	padding := packet[h.Len()+len(payload):]
	if len(payload) == 0 {
		return fill(padding)
	}
	changed := Frame(payload)
	return fill(padding) || changed
}

// Frame blanks a PPP frame, without flags and FCS, and says whether it has changed anything. Address and control may be there or not, the
// protocol field may have one or two octets.
func Frame(frame []byte) bool {
	rest := frame
	if len(rest) >= 2 && rest[0] == 0xFF && rest[1] == 0x03 {
		rest = rest[2:]
	}
	switch {
	case len(rest) < 2:
		return false // not even a protocol field of two octets, as all that matters here have
	case rest[0] == 0xFF:
		return fill(rest[1:]) // no protocol (RFC 1662 section 3.1)
	case rest[0]&1 == 1:
		return false // a protocol below 0100: data
	}
	return information(binary.BigEndian.Uint16(rest), rest[2:], deepest)
}

// information blanks what follows the protocol field.
func information(protocol uint16, info []byte, depth int) bool {
	switch {
	case protocol&0x0101 != 1:
		return fill(info) // no protocol (RFC 1661 section 2)
	case protocol < linkProtocols:
		return false
	}
	switch protocol {
	case protocolLQR, protocolCBCP, protocolBACP, protocolBAP:
		return false
	case protocolLCP:
		return lcp(info, depth)
	case protocolPAP:
		return body(info, pap)
	case protocolCHAP:
		return body(info, chap)
	case protocolEAP:
		return body(info, eap)
	}
	return fill(info) // another way to authenticate, most likely
}

// body takes a packet of authentication apart; what its length does not cover, or cannot, is blanked.
func body(info []byte, blank func(code byte, data []byte) bool) bool {
	if len(info) < packetHeader {
		return fill(info)
	}
	length := int(binary.BigEndian.Uint16(info[2:]))
	if length < packetHeader || length > len(info) {
		return fill(info[packetHeader:])
	}
	changed := fill(info[length:])
	return blank(info[0], info[packetHeader:length]) || changed
}

// lcp blanks what an LCP packet quotes.
func lcp(info []byte, depth int) bool {
	if len(info) < packetHeader {
		return false
	}
	code, quoted := info[0], info[packetHeader:]
	switch {
	case code != lcpCodeReject && code != lcpProtocolReject:
		return false
	case depth == 0:
		return fill(quoted)
	case code == lcpCodeReject:
		return lcp(quoted, depth-1)
	case len(quoted) < 2:
		return false
	}
	return information(binary.BigEndian.Uint16(quoted), quoted[2:], depth-1)
}

// pap blanks the password of an Authenticate-Request.
func pap(code byte, data []byte) bool {
	switch {
	case code > papRequest && code <= papNak:
		return false
	case code != papRequest:
		return fill(data)
	}
	if len(data) < 1 {
		return false
	}
	password := 1 + int(data[0])
	if password >= len(data) { // the peer's identity ends beyond the packet
		return fill(data[1:])
	}
	return fill(data[password+1:])
}

// chap blanks the value of a Response, the proof in MS-CHAPv2's Success, and MS-CHAP's new passwords.
func chap(code byte, data []byte) bool {
	switch code {
	case chapChallenge, chapFailure:
		return false
	case chapResponse:
		return value(data)
	case chapSuccess:
		return proof(data)
	}
	return fill(data)
}

// value blanks a value that has its size before it (RFC 1994 section 4.1); a name follows, and stays.
func value(data []byte) bool {
	if len(data) < 1 {
		return false
	}
	end := 1 + int(data[0])
	if end > len(data) {
		return fill(data[1:])
	}
	return fill(data[1:end])
}

// proofLength is the length of MS-CHAPv2's proof (RFC 2759 section 5).
const proofLength = 40

// proof blanks what follows "S=": whoever sees it may try passwords on it as well. The message behind it stays.
func proof(data []byte) bool {
	at := bytes.Index(data, []byte("S="))
	if at < 0 {
		return false
	}
	secret := data[at+2:]
	end := min(proofLength, len(secret))
	if !bytes.HasPrefix(secret[end:], []byte(" M=")) {
		end = len(secret)
	}
	return fill(secret[:end])
}

// eap blanks what is answered, and what the methods beyond a plain challenge ask.
func eap(code byte, data []byte) bool {
	switch {
	case code != eapRequest && code != eapResponse:
		return fill(data)
	case len(data) < 1 || data[0] >= 1 && data[0] <= eapNak:
		return false
	case data[0] == eapMD5 && code == eapRequest:
		return false
	case data[0] == eapMD5:
		return value(data[1:])
	}
	return fill(data[1:])
}

// fill overwrites a secret, and says whether that has changed anything.
func fill(secret []byte) bool {
	changed := false
	for i := range secret {
		changed = changed || secret[i] != Filler
		secret[i] = Filler
	}
	return changed
}
