// Package linkreport reads what modems say about a call that is over, each maker in his own way: ATI6 of USRobotics, ATI11 of Lucent and Agere,
// AT#UD (Unimodem Diagnostics, with the causes of ITU-T V.58), and ATI6 of the lab's virtual modems. Whatever is not known is left out.
package linkreport

import (
	"regexp"
	"strconv"
	"strings"
)

// MaxReason is the longest Link.Reason, in octets.
const MaxReason = 24

// Link is how a modem found the telephone line during a call. Zero fields are unknown, or there was nothing to count.
type Link struct {
	Reason            string // why the call ended: lower case, with hyphens, as "loss-of-carrier"
	SpeedIn, SpeedOut uint32 // the last ones, in bit/s
	Retrains          uint32 // that either modem asked for
	Resent            uint32 // blocks of the error control that had to be sent again
	RoundTrip         uint32 // in ms
}

// labelled finds a number behind a label, wherever it stands in the text.
type labelled struct {
	label *regexp.Regexp
	into  func(l *Link, n uint32)
}

func label(words string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b` + strings.ReplaceAll(words, " ", `\s+`) + `\s+(\d{1,9})\b`)
}

var labels = []labelled{
	{label("Retrains Requested"), func(l *Link, n uint32) { l.Retrains += n }},
	{label("Retrains Granted"), func(l *Link, n uint32) { l.Retrains += n }},
	{label("Blocks resent"), func(l *Link, n uint32) { l.Resent = n }},
	{label("Final Receive Carrier Rate"), func(l *Link, n uint32) { l.SpeedIn = n }},
	{label("Final Transmit Carrier Rate"), func(l *Link, n uint32) { l.SpeedOut = n }},
	{label("Retrain by Local Modem"), func(l *Link, n uint32) { l.Retrains += n }},
	{label("Retrain by Remote Modem"), func(l *Link, n uint32) { l.Retrains += n }},
	{label("Transmit Frame Error Count"), func(l *Link, n uint32) { l.Resent = n }},
	{label(`Round Trip Delay \(msec\)`), func(l *Link, n uint32) { l.RoundTrip = n }},
	{label("Call Termination Cause"), func(l *Link, n uint32) { l.Reason = terminations[n] }},
}

// terminations are the causes of Lucent's ATI11.
var terminations = map[uint32]string{0: "local", 1: "remote", 2: "no-answer", 3: "training-failed", 4: "protocol-failed"}

var (
	reasonIs = regexp.MustCompile(`(?i)\b(?:Disconnect Reason is|Ended:)\s+([^;\r\n]+)`)
	speeds   = regexp.MustCompile(`(?i)\bSpeed\s+(\d{3,6})/(\d{3,6})\b`) // receiving first
	txrx     = regexp.MustCompile(`(?i)\bspeed TX/RX\s+(\d{3,6})/(\d{3,6})\b`)
	diag     = regexp.MustCompile(`(?i)DIAG\s*<\s*2A4D3263\s+([^>]*)>`)
	pair     = regexp.MustCompile(`\b([0-9A-Fa-f]{1,2})=([0-9A-Fa-f]{1,8})\b`)
)

// Parse reads a report, as Idle.Report of package line has it. A text that says nothing it knows gives the zero Link.
func Parse(text string) Link {
	var l Link
	for _, one := range labels {
		if m := one.label.FindStringSubmatch(text); m != nil {
			one.into(&l, number(m[1], 10))
		}
	}
	if m := speeds.FindStringSubmatch(text); m != nil {
		l.SpeedIn, l.SpeedOut = number(m[1], 10), number(m[2], 10)
	}
	if m := txrx.FindStringSubmatch(text); m != nil {
		l.SpeedOut, l.SpeedIn = number(m[1], 10), number(m[2], 10)
	}
	if m := reasonIs.FindStringSubmatch(text); m != nil {
		l.Reason = word(m[1])
	}
	for _, line := range diag.FindAllStringSubmatch(text, -1) {
		for _, m := range pair.FindAllStringSubmatch(line[1], -1) {
			l.diagnosis(number(m[1], 16), number(m[2], 16))
		}
	}
	return l
}

// number reads what a pattern has found to be one.
func number(digits string, base int) uint32 {
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// word makes a word of a reason: text that the modem sends ends up in a statistics string, in which blanks and equal signs mean something.
func word(text string) string {
	fields := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	out := strings.Join(fields, "-")
	return strings.TrimRight(out[:min(len(out), MaxReason)], "-")
}

// diagnosis takes a pair of AT#UD; key and value are hexadecimal numbers there.
func (l *Link) diagnosis(key, value uint32) {
	switch key {
	case 0x17:
		l.RoundTrip = value
	case 0x32, 0x33:
		l.Retrains += value
	case 0x34:
		l.SpeedOut = value
	case 0x35:
		l.SpeedIn = value
	case 0x58:
		l.Resent = value
	case 0x60:
		l.Reason = causes[value]
	}
}

// causes are those of V.58 that a call that was connected can end with.
var causes = map[uint32]string{
	0x03: "call-waiting", 0x19: "inactivity-timeout", 0x20: "dtr-dropped", 0x2b: "extension-off-hook", 0x2e: "loop-current-interrupted",
	0x34: "long-space", 0x3c: "loss-of-carrier", 0x3d: "training-failed", 0x3e: "no-common-modulation", 0x3f: "retrain-failed", 0x40: "too-many-retrains",
	0x41: "cleardown", 0x50: "keypress-abort", 0x51: "hangup-command", 0x52: "reset-command", 0x5a: "frame-reject", 0x5b: "no-error-control",
	0x5c: "protocol-violation", 0x5d: "retransmit-limit", 0x5e: "negotiation-failed", 0x5f: "disconnect-frame", 0x60: "sabme-frame", 0x64: "loss-of-synchronization",
}
