package hdlc

import "fmt"

// Detection is what a Detector has found out about the far end of a line.
type Detection uint8

const (
	// Undecided: nothing known so far. It may be noise, a modem negotiating error correction, or a person typing.
	Undecided Detection = iota
	// PPP: an LCP packet begins.
	PPP
	// PPPSevenBit: an LCP packet begins, on a line of 7 data bits or with parity. PPP needs 8 bits; the call cannot work.
	PPPSevenBit
	// SLIP: an IP packet in the framing of RFC 1055.
	SLIP
	// CSLIP: a TCP packet with the type octet of RFC 1144 in the framing of RFC 1055.
	CSLIP
	// Mailer: a FidoNet mailer (EMSI inquiry, TSYNC or YooHoo).
	Mailer
	// DirectCable: the text CLIENT of a Windows null-modem connection, which expects CLIENTSERVER; PPP follows.
	DirectCable
)

var detectionNames = [...]string{"undecided", "PPP", "PPP with 7 bits or parity", "SLIP", "CSLIP", "mailer", "direct cable"}

// String returns the name for logs.
func (d Detection) String() string {
	if int(d) < len(detectionNames) {
		return detectionNames[d]
	}
	return fmt.Sprintf("detection %d", uint8(d))
}

// symbols remembers the last four symbols of a line, the latest lowest. A symbol is an octet, or a flag, which differs from an escaped 7E.
type symbols uint64

const (
	symbolFlag = 0x100 | flag
	symbolBits = 16
)

func (s symbols) push(symbol uint16) symbols { return s<<symbolBits | symbols(symbol) }

// last says whether the latest symbols are these.
func (s symbols) last(pattern symbols, count int) bool {
	return s&(1<<(count*symbolBits)-1) == pattern
}

// The patterns, after unescaping. ACFC and PFC cannot have been negotiated before LCP, but some leave out address and
// control all the same. A flag before FF is not asked for: it may have been lost to noise.
const (
	patternPPP     symbols = 0xFF<<48 | 0x03<<32 | 0xC0<<16 | 0x21
	patternPPPBare symbols = symbolFlag<<32 | 0xC0<<16 | 0x21
	// The same with bit 7 cleared.
	patternSevenBit symbols = 0x7F<<48 | 0x03<<32 | 0x40<<16 | 0x21
	// END, then an IPv4 header without options and type of service.
	patternSLIP symbols = 0xC0<<32 | 0x45<<16
	// END, then the same header with the version replaced by the type "uncompressed TCP".
	patternCSLIP symbols = 0xC0<<32 | 0x75<<16

	textEMSI   = "**EMSI_INQ"
	textClient = "CLIENT"

	tsync, yooHoo = 0xAE, 0xF1
	mailerRun     = 3 // of these in a row: one alone is noise
)

// DetectorState is a Detector as plain data.
type DetectorState struct {
	Found    Detection
	Clean    uint64 // last four symbols, unescaped
	Masked   uint64 // the same for a line whose bit 7 means nothing
	Raw      uint64 // last four octets
	Escaped  bool   // an escape came last
	EscapedM bool   // the same for Masked
	EMSI     int    // octets of the EMSI inquiry matched
	Client   int    // octets of CLIENT matched
	Mailers  int    // TSYNC and YooHoo octets in a row
	Octets   uint64 // looked at until the decision
}

// Detector watches the octets of a line from the moment of CONNECT and tells what the far end speaks: the first pattern
// wins. It keeps no octets; whoever wants the first frame feeds a Deframer with the same octets from the beginning, which
// does not mind the noise in front. It is not safe for concurrent use.
type Detector struct{ s DetectorState }

// NewDetector returns a Detector that has seen nothing.
func NewDetector() *Detector { return &Detector{} }

// RestoreDetector returns a Detector that goes on where State left off.
func RestoreDetector(s DetectorState) *Detector { return &Detector{s} }

// State returns a copy of everything the Detector knows.
func (d *Detector) State() DetectorState { return d.s }

// Found returns what was found so far.
func (d *Detector) Found() Detection { return d.s.Found }

// Feed looks at the next octets of the line, in any split, and returns what is found. Once that is not Undecided it stays.
func (d *Detector) Feed(b []byte) Detection {
	for _, c := range b {
		if d.s.Found != Undecided {
			break
		}
		d.s.Octets++
		d.s.Found = d.octet(c)
	}
	return d.s.Found
}

func (d *Detector) octet(c byte) Detection {
	s := &d.s
	s.Clean, s.Escaped = nextSymbol(s.Clean, s.Escaped, c)
	s.Masked, s.EscapedM = nextSymbol(s.Masked, s.EscapedM, c&0x7F)
	s.Raw = uint64(symbols(s.Raw).push(uint16(c)))
	clean, raw := symbols(s.Clean), symbols(s.Raw)
	switch {
	case clean.last(patternPPP, 4), clean.last(patternPPPBare, 3):
		return PPP
	case symbols(s.Masked).last(patternSevenBit, 4):
		return PPPSevenBit
	case raw.last(patternSLIP, 3):
		return SLIP
	case raw.last(patternCSLIP, 3):
		return CSLIP
	}
	if c == tsync || c == yooHoo {
		s.Mailers++
	} else {
		s.Mailers = 0
	}
	s.EMSI = matchText(textEMSI, s.EMSI, c&0x7F)
	s.Client = matchText(textClient, s.Client, c&0x7F)
	switch {
	case s.Mailers == mailerRun, s.EMSI == len(textEMSI):
		return Mailer
	case s.Client == len(textClient):
		return DirectCable
	}
	return Undecided
}

// nextSymbol takes an octet of the line into the symbols. What is no part of a frame in any map (00, 01 of a ZyXEL, XON,
// XOFF) is passed over.
func nextSymbol(history uint64, escaped bool, c byte) (uint64, bool) {
	const xon, xoff = 0x11, 0x13
	switch {
	case c == flag:
		return uint64(symbols(history).push(symbolFlag)), false
	case c <= 1 || c == xon || c == xoff:
		return history, escaped
	case c == escape && !escaped:
		return history, true
	case escaped:
		c ^= flipBit
	}
	return uint64(symbols(history).push(uint16(c))), false
}

// matchText returns how many octets of text are matched when c comes after matched ones. Neither of the texts repeats more
// than the first octet of its beginning.
func matchText(text string, matched int, c byte) int {
	switch {
	case c == text[matched]:
		return matched + 1
	case c == text[0] && matched == 2 && text[1] == text[0]:
		return 2 // "***": the last two may be the beginning
	case c == text[0]:
		return 1
	}
	return 0
}
