// Package mppe is Microsoft Point-to-Point Encryption (RFC 3078) and the
// derivation of its keys from MS-CHAPv2 (RFC 3079).
//
// An Encryptor and a Decryptor are the two directions of one call. They are
// plain values without locks, owned by whoever carries that direction's packets,
// and neither allocates per packet. Only stateless mode is here, for 128-bit
// keys and, as they cost nothing more, 40 and 56 bits; which of them may be
// negotiated is CCP's business. MPPC compression is left out.
//
// MPPE has no integrity check: a packet decrypted with the wrong key is noise,
// not an error.
package mppe

import (
	"errors"
	"fmt"

	"trunkline.example/shared/ppp/internal/legacy"
)

// Protocol is the PPP protocol number under which encrypted packets travel
// ("compressed datagram", RFC 3078 section 3).
const Protocol = 0x00FD

// HeaderLength is the size in octets of the MPPE header: four flag bits and a
// 12-bit coherency count (RFC 3078 section 3.1).
const HeaderLength = 2

// Overhead is what MPPE takes from a link's MTU: the header, and the two octets
// of the protocol number that moves into the encrypted part.
const Overhead = HeaderLength + 2

// Flag bits and the count of the MPPE header (RFC 3078 section 3.1).
const (
	FlagFlushed    = 0x8000 // A: the key was changed for this packet; always set in stateless mode
	FlagAtFront    = 0x4000 // B: MPPC only
	FlagCompressed = 0x2000 // C: MPPC only
	FlagEncrypted  = 0x1000 // D
	CountMask      = 0x0FFF
	counts         = CountMask + 1
)

var (
	// ErrShort: no room for the MPPE header and one octet of data.
	ErrShort = errors.New("mppe: packet too short")
	// ErrNotEncrypted: bit D is clear.
	ErrNotEncrypted = errors.New("mppe: encrypted bit is clear")
	// ErrCompressed: bit C is set, and MPPC was not negotiated.
	ErrCompressed = errors.New("mppe: packet is MPPC compressed")
	// ErrNotFlushed: bit A is clear, which stateless mode does not allow.
	ErrNotFlushed = errors.New("mppe: flushed bit is clear in stateless mode")
	// ErrLate: the coherency count is that of a packet before the last one; the
	// packet is dropped and the key stays.
	ErrLate = errors.New("mppe: late or repeated packet")
	// ErrBehind: more keys were skipped than may be computed at once; the
	// packet is dropped, and the following ones go on from there.
	ErrBehind = errors.New("mppe: too many key changes at once")
	// ErrParams: the parameters ask for something that is not implemented.
	ErrParams = errors.New("mppe: unsupported parameters")
	// ErrFIPS: RC4 and SHA-1 are forbidden in this process.
	ErrFIPS = legacy.ErrFIPS
)

// Available tells whether MPPE can be used at all: it returns ErrFIPS when the
// process runs with GODEBUG=fips140=only, else nil.
func Available() error { return legacy.Check() }

// KeyLength is the negotiated strength in bits.
type KeyLength uint8

// The key lengths of RFC 3078 section 2.1.
const (
	Bits40  KeyLength = 40
	Bits56  KeyLength = 56
	Bits128 KeyLength = 128
)

// octets is the length L of the session key in octets (RFC 3079 section 2).
func (k KeyLength) octets() int {
	if k == Bits128 {
		return 16
	}
	return 8
}

// Key is a start key or a session key. Of 40- and 56-bit keys only the first 8
// octets are used. It prints as "[redacted]".
type Key [16]byte

// String hides the key.
func (Key) String() string { return redacted }

// GoString hides the key.
func (Key) GoString() string { return redacted }

// Format hides the key under every verb.
func (Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

const redacted = "[redacted]"

// Params is what CCP and authentication agreed on for one call, as seen by the
// side that holds it. The keys are start keys (RFC 3079 section 3.3, and the
// values of RADIUS MS-MPPE-Send-Key and MS-MPPE-Recv-Key), not session keys.
type Params struct {
	KeyLength  KeyLength
	Stateless  bool
	SendKey    Key // of what this side sends
	ReceiveKey Key // of what this side receives
}

// Validate says whether the parameters are implemented.
func (p Params) Validate() error {
	switch p.KeyLength {
	case Bits40, Bits56, Bits128:
	default:
		return fmt.Errorf("%w: key length of %d bits", ErrParams, p.KeyLength)
	}
	if !p.Stateless {
		return fmt.Errorf("%w: stateful mode", ErrParams)
	}
	return nil
}

// Encrypts tells whether a packet of this PPP protocol must be encrypted once
// MPPE is up: 0021 to 00FA (RFC 3078 section 3). The rest travels in clear, and
// one of these that arrives in clear must be dropped.
func Encrypts(protocol uint16) bool { return protocol >= 0x0021 && protocol <= 0x00FA }
