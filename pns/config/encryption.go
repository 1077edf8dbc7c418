package config

import "fmt"

// Encryption is a policy about MPPE-128.
type Encryption uint8

// The policies.
const (
	EncryptionRequired  Encryption = iota // no session without it
	EncryptionPreferred                   // offered; a client that cannot goes without
	EncryptionNone                        // not offered, and refused
)

var encryptionNames = [...]string{"required", "preferred", "none"}

// String is the name in the configuration.
func (e Encryption) String() string {
	if int(e) < len(encryptionNames) {
		return encryptionNames[e]
	}
	return fmt.Sprintf("Encryption(%d)", uint8(e))
}

// MarshalText gives the name in the configuration.
func (e Encryption) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText parses the name in the configuration.
func (e *Encryption) UnmarshalText(text []byte) error {
	for i, name := range encryptionNames {
		if name == string(text) {
			*e = Encryption(i)
			return nil
		}
	}
	return fmt.Errorf("%q is none of \"required\", \"preferred\", \"none\"", text)
}
