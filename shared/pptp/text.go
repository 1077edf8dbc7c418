package pptp

import (
	"bytes"
	"fmt"
)

// Text64 is a text field of 64 octets: Host Name, Vendor Name, numbers and
// subaddresses. It is ASCII, filled up with zeros; it may fill all 64 octets
// and then has no terminator.
type Text64 [64]byte

// Text128 is a text field of 128 octets: the Call Statistics.
type Text128 [128]byte

// MakeText64 returns s as a field; what does not fit is cut off.
func MakeText64(s string) (t Text64) {
	copy(t[:], s)
	return t
}

// MakeText128 returns s as a field; what does not fit is cut off.
func MakeText128(s string) (t Text128) {
	copy(t[:], s)
	return t
}

// String returns the text up to the first NUL. Windows 95 leaves rubbish
// behind the terminator.
func (t Text64) String() string { return cut(t[:]) }

// String returns the text up to the first NUL.
func (t Text128) String() string { return cut(t[:]) }

// Digits returns the first n octets, or less if there is a NUL before. It
// reads a number whose valid length stands in a field of its own; a length
// above 64 counts as 64.
func (t Text64) Digits(n uint16) string { return cut(t[:min(int(n), len(t))]) }

func cut(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// makeNumber returns the length and text fields of a telephone number.
func makeNumber(s string) (uint16, Text64) {
	t := MakeText64(s)
	return uint16(min(len(s), len(t))), t
}

// quoted is s for a line that people read: in quotes, with nothing in it that
// could move a cursor or forge another line.
func quoted(s string) string { return fmt.Sprintf("%+q", s) }
