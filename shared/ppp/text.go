package ppp

import (
	"strings"
	"unicode/utf8"
)

// textMax bounds what of a peer's text is kept, in octets.
const textMax = 200

// Text makes text that a peer sent fit for logs: what is not printable becomes
// "?", and what goes beyond 200 octets is cut.
func Text(b []byte) string {
	if len(b) > textMax {
		b = b[:textMax]
	}
	var s strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		b = b[n:]
		if r == utf8.RuneError || r < 0x20 || r >= 0x7F && r < 0xA0 {
			r = '?'
		}
		s.WriteRune(r)
	}
	return strings.TrimSpace(s.String())
}
