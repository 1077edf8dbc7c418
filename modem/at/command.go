package at

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxDial is the longest dial string, in octets after ATDT; many modems refuse
// longer lines.
const MaxDial = 60

// ErrNumber is a number that no modem can dial.
var ErrNumber = errors.New("at: number cannot be dialed")

// DialString returns what may follow ATDT for a number: digits and A to D, *
// and #, pauses and waits (, W @ !). Spaces, dots, hyphens and parentheses are
// left out, and so is a leading +. Anything else is an ErrNumber: in a command
// it would be a command.
func DialString(number string) (string, error) {
	var b []byte
	for i, c := range []byte(upperASCII(number)) {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'D', c == '*', c == '#', c == ',', c == 'W', c == '@', c == '!':
			b = append(b, c)
		case c == ' ', c == '-', c == '.', c == '(', c == ')', c == '+' && i == 0:
		default:
			return "", fmt.Errorf("%w: %q at position %d", ErrNumber, c, i+1)
		}
	}
	switch {
	case !strings.ContainsAny(string(b), "0123456789ABCD*#"):
		return "", fmt.Errorf("%w: no digit", ErrNumber)
	case len(b) > MaxDial:
		return "", fmt.Errorf("%w: %d characters, at most %d", ErrNumber, len(b), MaxDial)
	}
	return string(b), nil
}

// CheckSubaddress refuses what is no subaddress of ISDN that can be typed: at most 20 letters and digits (ITU-T Q.931 section 4.5.9).
func CheckSubaddress(s string) error {
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return fmt.Errorf("%w: subaddress %q has other characters than letters and digits", ErrNumber, Printable(s, 40))
		}
	}
	if len(s) > 20 {
		return fmt.Errorf("%w: the subaddress is longer than 20 characters", ErrNumber)
	}
	return nil
}

// DialTime is how long dialing itself may take, before the wait for the
// carrier (S7) begins: a tenth of a second for each digit, pause (S8) for each
// comma, ten seconds for each W or @.
func DialTime(dial string, pause time.Duration) time.Duration {
	t := time.Duration(len(dial)) * 100 * time.Millisecond
	t += time.Duration(strings.Count(dial, ",")) * pause
	t += time.Duration(strings.Count(dial, "W")+strings.Count(dial, "@")) * 10 * time.Second
	return t
}

// IsEcho says whether a line is the echo of a command, or of its tail when the
// modem missed its beginning.
func IsEcho(text, command string) bool {
	text, command = squeeze(text), squeeze(command)
	return text != "" && (text == command || len(text) >= 2 && len(command) > len(text) && strings.HasSuffix(command, text) && Classify(text) == Information)
}

func squeeze(s string) string { return upperASCII(strings.ReplaceAll(s, " ", "")) }

// Register returns the command that sets an S register.
func Register(number, value uint8) string {
	return "ATS" + strconv.Itoa(int(number)) + "=" + strconv.Itoa(int(value))
}

// Split takes a command line apart into lines of one command each, so that
// after an ERROR the rest can still be given and the culprit be named. A line
// that cannot be taken apart, or that would make the modem go off hook if it
// were (A, D, O), comes back whole.
func Split(command string) []string {
	upper := upperASCII(strings.TrimSpace(command))
	rest, ok := strings.CutPrefix(upper, "AT")
	if !ok || strings.Trim(rest, " ;") == "" {
		return []string{command}
	}
	var parts []string
	for {
		rest = strings.TrimLeft(rest, " ;")
		if rest == "" {
			return parts
		}
		n := commandLength(rest)
		if n == 0 || strings.IndexByte("ADO", rest[0]) >= 0 {
			return []string{command}
		}
		parts = append(parts, "AT"+strings.TrimSpace(rest[:n]))
		rest = rest[n:]
	}
}

// commandLength returns the length of the first command in s, which is not
// empty; 0 if s does not begin with one.
func commandLength(s string) int {
	switch c := s[0]; {
	case c == '+' || c == '#' || c == '-' || c == '$': // extended: to the semicolon
		if i := strings.IndexByte(s, ';'); i > 0 {
			return i
		}
		return len(s)
	case c == 'S':
		n := 1 + digits(s[1:])
		if n < len(s) && (s[n] == '=' || s[n] == '.') {
			n++
			n += digits(s[n:])
			if n < len(s) && s[n] == '=' { // S13.0=1
				n++
				n += digits(s[n:])
			}
		} else if n < len(s) && s[n] == '?' {
			n++
		}
		return n
	case strings.IndexByte(`&\%*@~^`, c) >= 0:
		if len(s) < 2 || s[1] < 'A' || s[1] > 'Z' {
			return 0
		}
		n := 2 + digits(s[2:])
		if n < len(s) && s[n] == '=' {
			n++
			n += digits(s[n:])
		}
		return n
	case c >= 'A' && c <= 'Z':
		return 1 + digits(s[1:])
	}
	return 0
}

func digits(s string) int {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return i
		}
	}
	return len(s)
}
