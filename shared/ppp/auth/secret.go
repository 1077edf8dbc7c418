package auth

import (
	"fmt"

	"trunkline.example/shared/ppp/internal/legacy"
)

const redacted = "[redacted]"

// Secret is a password, or the NT hash of one. However it is printed, logged or
// marshalled it shows as "[redacted]"; Reveal and NTHash are the only ways in. The
// zero Secret is no secret at all and matches nothing.
type Secret struct {
	kind secretKind
	text string
	hash [16]byte
}

type secretKind uint8

const (
	secretNone secretKind = iota
	secretPlain
	secretHash
)

// PlainSecret is a password in clear. It serves every protocol.
func PlainSecret(password string) Secret { return Secret{kind: secretPlain, text: password} }

// HashSecret is an NT hash: MD4 of the password in UTF-16LE (RFC 2759 section
// 8.3). It serves PAP and MS-CHAPv2, never CHAP-MD5.
func HashSecret(ntHash [16]byte) Secret { return Secret{kind: secretHash, hash: ntHash} }

// IsZero tells whether this is no secret at all.
func (s Secret) IsZero() bool { return s.kind == secretNone }

// Reveal returns the password in clear; ok is false when only its hash is known.
func (s Secret) Reveal() (password string, ok bool) { return s.text, s.kind == secretPlain }

// NTHash returns the NT hash, computed if need be. The error is ErrFIPS.
func (s Secret) NTHash() ([16]byte, error) {
	if s.kind == secretHash {
		return s.hash, legacy.Check()
	}
	return NTHash(s.text)
}

// String hides the secret.
func (Secret) String() string { return redacted }

// GoString hides the secret.
func (Secret) GoString() string { return redacted }

// Format hides the secret under every verb.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// MarshalText hides the secret from JSON, TOML and every logger that reflects.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
