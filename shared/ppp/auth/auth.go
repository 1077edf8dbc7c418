// Package auth is PPP authentication: PAP (RFC 1334 section 2), CHAP with MD5
// (RFC 1994) and MS-CHAP version 2 (RFC 2759), each as a pure machine for both
// sides of the link, and the comparison of an answer with a stored secret.
//
// An Authenticator is the side that wants to know who calls, a Peer the side that
// proves it. Both take packets without the PPP header (the information field of
// protocol C023 or C223) and the time, and leave their effects to be drained by
// Actions. They are owned by one goroutine and not safe for concurrent use.
//
// An Authenticator never sees a secret. It turns what the peer sent into an
// Attempt; its owner asks a password store or RADIUS and hands back a Verdict.
// Verify is all that a password store needs for that.
//
// MS-CHAP version 1 and EAP have names here, so that a refusal can be explained,
// and no machine. Changing an expired password (RFC 2759 section 7) is left out.
package auth

import (
	"errors"
	"fmt"

	"trunkline.example/shared/ppp/internal/legacy"
)

// Protocol is an authentication protocol as LCP option 3 names it.
type Protocol uint8

// The protocols, ordered by strength.
const (
	None     Protocol = iota
	PAP               // RFC 1334: the password in clear
	CHAPMD5           // RFC 1994: needs the plain password at the server
	MSCHAPv1          // RFC 2433: named only
	MSCHAPv2          // RFC 2759: proves both sides and yields MPPE keys
	EAP               // RFC 3748: named only
)

// PPP protocol numbers of the packets.
const (
	NumberPAP  = 0xC023
	NumberCHAP = 0xC223
	NumberEAP  = 0xC227
)

// CHAP algorithms, the octet after C223 in LCP option 3 (RFC 1994 section 3,
// RFC 2433 and 2759 section 3).
const (
	algorithmMD5      = 0x05
	algorithmMSCHAPv1 = 0x80
	algorithmMSCHAPv2 = 0x81
)

var (
	// ErrUnsupported: the protocol has a name here but no machine.
	ErrUnsupported = errors.New("auth: protocol not supported")
	// ErrConfig: a machine cannot be made of this configuration or state.
	ErrConfig = errors.New("auth: unusable configuration")
	// ErrFIPS: the protocol needs an algorithm that is forbidden in this process
	// (GODEBUG=fips140=only). PAP with a plain password needs none.
	ErrFIPS = legacy.ErrFIPS
)

// String is the name for logs and configuration errors.
func (p Protocol) String() string {
	switch p {
	case None:
		return "none"
	case PAP:
		return "PAP"
	case CHAPMD5:
		return "CHAP-MD5"
	case MSCHAPv1:
		return "MS-CHAPv1"
	case MSCHAPv2:
		return "MS-CHAPv2"
	case EAP:
		return "EAP"
	}
	return fmt.Sprintf("Protocol(%d)", uint8(p))
}

// Number is the PPP protocol number of the protocol's packets, 0 for None.
func (p Protocol) Number() uint16 {
	switch p {
	case PAP:
		return NumberPAP
	case CHAPMD5, MSCHAPv1, MSCHAPv2:
		return NumberCHAP
	case EAP:
		return NumberEAP
	}
	return 0
}

// Supported tells whether there is a machine for the protocol and the process
// may run it: nil, ErrUnsupported or ErrFIPS.
func (p Protocol) Supported() error {
	switch p {
	case PAP:
		return nil
	case CHAPMD5, MSCHAPv2:
		if err := legacy.Check(); err != nil {
			return fmt.Errorf("auth: %v: %w", p, err)
		}
		return nil
	}
	return fmt.Errorf("%w: %v", ErrUnsupported, p)
}

// GivesKeys tells whether success yields MPPE keys.
func (p Protocol) GivesKeys() bool { return p == MSCHAPv2 }

// Mutual tells whether success proves to the side that is authenticated who the
// authenticator is.
func (p Protocol) Mutual() bool { return p == MSCHAPv2 }

// AppendOption appends the data of LCP option 3, without its type and length
// octets (RFC 1661 section 6.2). None appends nothing.
func (p Protocol) AppendOption(dst []byte) []byte {
	switch p {
	case PAP:
		return append(dst, 0xC0, 0x23)
	case CHAPMD5:
		return append(dst, 0xC2, 0x23, algorithmMD5)
	case MSCHAPv1:
		return append(dst, 0xC2, 0x23, algorithmMSCHAPv1)
	case MSCHAPv2:
		return append(dst, 0xC2, 0x23, algorithmMSCHAPv2)
	case EAP:
		return append(dst, 0xC2, 0x27)
	}
	return dst
}

// ParseOption reads the data of LCP option 3, without its type and length
// octets. ok is false for anything that has no name here: unknown protocols,
// unknown CHAP algorithms and wrong lengths.
func ParseOption(data []byte) (p Protocol, ok bool) {
	if len(data) < 2 {
		return None, false
	}
	number, rest := uint16(data[0])<<8|uint16(data[1]), data[2:]
	switch {
	case number == NumberPAP && len(rest) == 0:
		return PAP, true
	case number == NumberEAP && len(rest) == 0:
		return EAP, true
	case number == NumberCHAP && len(rest) == 1:
		switch rest[0] {
		case algorithmMD5:
			return CHAPMD5, true
		case algorithmMSCHAPv1:
			return MSCHAPv1, true
		case algorithmMSCHAPv2:
			return MSCHAPv2, true
		}
	}
	return None, false
}
