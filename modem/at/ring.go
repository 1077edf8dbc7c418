package at

import "strings"

// RingLine is what a line that says RING tells besides.
type RingLine struct {
	Cadence string // distinctive ring: "1".."5", "A".."E"
	From    string // calling number
	To      string // called number
	Sub     string // its subaddress
}

// isRing recognises the forms of ParseRing.
func isRing(upper string) bool {
	rest, ok := strings.CutPrefix(upper, "RING")
	if !ok {
		rest, ok = strings.CutPrefix(upper, "+CRING")
		return ok && (rest == "" || rest[0] == ':')
	}
	return rest == "" || strings.ContainsAny(rest[:1], " ;/:") || isDigits(rest)
}

// ParseRing reads a line that Classify calls Ring: RING alone, with the number
// or letter of a distinctive ring, with the calling number (USR), as
// RING;from;to[/subaddress] (ELSA), as RING/to (isdn4linux), or +CRING.
func ParseRing(text string) RingLine {
	rest := strings.TrimSpace(text)
	if len(rest) < 4 || strings.EqualFold(rest[:1], "+") {
		return RingLine{}
	}
	rest = rest[4:]
	switch {
	case rest == "":
	case rest[0] == ';':
		from, to, _ := strings.Cut(rest[1:], ";")
		to, sub, _ := strings.Cut(to, "/")
		return RingLine{From: Number(from), To: Number(to), Sub: Printable(sub, 64)}
	case rest[0] == '/':
		return RingLine{To: Number(rest[1:])}
	case rest[0] == ':':
	default:
		word := upperASCII(strings.TrimSpace(rest))
		if len(word) == 1 && (word[0] >= '1' && word[0] <= '9' || word[0] >= 'A' && word[0] <= 'E') {
			return RingLine{Cadence: word}
		}
		return RingLine{From: Number(word)}
	}
	return RingLine{}
}

// Number reduces a telephone number to what may stand in one, at most 64
// octets (RFC 2637 section 2.7): digits, *, # and a leading +.
func Number(s string) string {
	var b []byte
	for _, c := range []byte(s) {
		if len(b) < 64 && (c >= '0' && c <= '9' || c == '*' || c == '#' || c == '+' && len(b) == 0) {
			b = append(b, c)
		}
	}
	if len(b) == 1 && b[0] == '+' {
		return ""
	}
	return string(b)
}

// IsNumber says whether a text is nothing but digits.
func IsNumber(text string) bool { return isDigits(text) }

// Printable reduces a text to printable ASCII of at most max octets, without
// spaces at its ends.
func Printable(s string, max int) string {
	var b []byte
	for _, c := range []byte(s) {
		if c >= ' ' && c < 0x7f {
			b = append(b, c)
		}
	}
	s = strings.TrimSpace(string(b))
	return strings.TrimSpace(s[:min(len(s), max)])
}

// upperASCII is strings.ToUpper for ASCII; other octets stay as they are, so
// that lengths do.
func upperASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}
