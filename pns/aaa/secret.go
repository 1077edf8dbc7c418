package aaa

import (
	"bytes"
	"fmt"

	"trunkline.example/shared/ppp/auth"
)

// maxSecret is the longest password in octets (PAP counts it in one octet, RFC 1334 section 2.2.1).
const maxSecret = 255

// ReadSecret reads the password that a file holds as its first line. Like a users file it must be readable by its owner only. Errors
// name the file, never what is in it.
func ReadSecret(file string) (auth.Secret, error) {
	data, _, err := readFile(file)
	if err != nil {
		return auth.Secret{}, fmt.Errorf("secret file: %w", err)
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 || len(line) > maxSecret {
		return auth.Secret{}, fmt.Errorf("secret file: %s: its first line is the password, of 1 to %d octets", file, maxSecret)
	}
	return auth.PlainSecret(string(line)), nil
}
