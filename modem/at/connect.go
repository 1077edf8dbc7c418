package at

import (
	"strconv"
	"strings"
)

// Connection is what a modem tells of a connection.
type Connection struct {
	// TxSpeed and RxSpeed are the speeds on the telephone line in bits per
	// second as this modem sends and receives; 0 if it did not tell.
	TxSpeed, RxSpeed uint32
	DTESpeed         uint32 // between the modem and us, if told
	Modulation       string // "V.34", ...; empty if not told
	ErrorControl     string // "LAPM", "MNP", "V.42", "ARQ" (some kind), "none"; empty if not told
	Compression      string // "V.42bis", "V.44", "MNP5", "yes" (some kind), "none"; empty if not told
}

// names maps the spellings of modems, in upper case without dots, to ours.
var (
	modulations = map[string]string{
		"V21": "V.21", "V22": "V.22", "V22B": "V.22bis", "V22BIS": "V.22bis", "V23": "V.23", "V32": "V.32", "V32B": "V.32bis",
		"V32BIS": "V.32bis", "V32T": "V.32terbo", "VFC": "V.FC", "V34": "V.34", "V34B": "V.34", "V34PLUS": "V.34", "V90": "V.90",
		"V92": "V.92", "K56": "K56flex", "K56FLEX": "K56flex", "X2": "X2", "HST": "HST", "B103": "Bell 103", "B212": "Bell 212A",
		"BELL103": "Bell 103", "BELL212A": "Bell 212A", "V110": "V.110", "V120": "V.120", "X75": "X.75", "HDLC": "HDLC",
	}
	errorControls = map[string]string{
		"ARQ": "ARQ", "LAPM": "LAPM", "LAP-M": "LAPM", "MNP": "MNP", "MNP2": "MNP", "MNP3": "MNP", "MNP4": "MNP", "MNP10": "MNP10",
		"V42": "V.42", "EC": "ARQ", "REL": "ARQ", "RELIABLE": "ARQ", "ALT": "MNP", "NOEC": "none", "NORMAL": "none", "DIRECT": "none",
	}
	compressions = map[string]string{
		"V42B": "V.42bis", "V42BIS": "V.42bis", "V44": "V.44", "MNP5": "MNP5", "CLASS5": "MNP5", "COMPRESSED": "yes", "COMP": "yes",
	}
	dteSpeeds = map[uint32]bool{38400: true, 57600: true, 76800: true, 115200: true, 153600: true, 230400: true, 307200: true, 460800: true, 921600: true}
)

// ParseConnect reads the CONNECT line and the Detail lines that came before
// it. dce says that this modem's bare CONNECT is the speed of the telephone
// line even if it looks like one of a serial port.
//
// The speed is taken, in this order, from +MRR, CARRIER, a field labelled TX
// or RX, the last of several numbers, and a single number that is no usual
// speed of a serial port.
func ParseConnect(connect string, details []string, dce bool) Connection {
	var c Connection
	var r connectReader
	text, _, _ := strings.Cut(upperASCII(connect), ";") // ELSA appends the caller
	r.read(&c, strings.TrimPrefix(strings.TrimSpace(text), "CONNECT"))
	r.speeds(&c, dce)
	for _, d := range details {
		c.detail(upperASCII(strings.TrimSpace(d)))
	}
	if c.RxSpeed == 0 {
		c.RxSpeed = c.TxSpeed
	}
	if c.TxSpeed == 0 {
		c.TxSpeed = c.RxSpeed
	}
	return c
}

// connectReader collects the numbers of a CONNECT line.
type connectReader struct {
	rates  []uint32
	tx, rx uint32
}

func isSeparator(r rune) bool { return r == '/' || r == ' ' || r == ',' }

func (r *connectReader) read(c *Connection, text string) {
	for _, field := range strings.FieldsFunc(text, isSeparator) {
		number, label, _ := strings.Cut(field, ":")
		if rate, ok := speed(number); ok {
			switch label {
			case "TX":
				r.tx = rate
			case "RX":
				r.rx = rate
			default:
				r.rates = append(r.rates, rate)
				if second, ok := speed(label); ok { // tx:rx
					r.tx, r.rx = rate, second
				}
			}
			continue
		}
		c.word(strings.ReplaceAll(field, ".", ""))
	}
}

func (c *Connection) word(w string) {
	if m, ok := modulations[w]; ok && c.Modulation == "" {
		c.Modulation = m
		return
	}
	if e, ok := errorControls[w]; ok && (c.ErrorControl == "" || c.ErrorControl == "ARQ") {
		c.ErrorControl = e
		return
	}
	if z, ok := compressions[w]; ok {
		c.Compression = z
		if c.ErrorControl == "" { // no modem compresses without error control
			c.ErrorControl = "ARQ"
		}
		return
	}
	if w != "NONE" {
		return
	}
	if c.ErrorControl == "" {
		c.ErrorControl = "none"
	} else {
		c.Compression = "none"
	}
}

func (r *connectReader) speeds(c *Connection, dce bool) {
	switch n := len(r.rates); {
	case r.tx != 0 || r.rx != 0:
		c.TxSpeed, c.RxSpeed = r.tx, r.rx
		if n > 0 && r.rates[0] != r.tx {
			c.DTESpeed = r.rates[0]
		}
	case n >= 2:
		c.DTESpeed, c.TxSpeed = r.rates[0], r.rates[n-1]
	case n == 1 && (dce || !dteSpeeds[r.rates[0]]):
		c.TxSpeed = r.rates[0]
	case n == 1:
		c.DTESpeed = r.rates[0]
	}
}

// detail reads one report that went before CONNECT.
func (c *Connection) detail(d string) {
	name, value, _ := strings.Cut(d, ":")
	value = strings.TrimSpace(value)
	switch {
	case name == "+MRR":
		tx, rx, both := strings.Cut(value, ",")
		c.TxSpeed, _ = speed(strings.TrimSpace(tx))
		c.RxSpeed = c.TxSpeed
		if n, ok := speed(strings.TrimSpace(rx)); both && ok {
			c.RxSpeed = n
		}
	case name == "+ILRR":
		value, _, _ = strings.Cut(value, ",")
		c.DTESpeed, _ = speed(value)
	case strings.HasPrefix(d, "CARRIER "):
		for _, field := range strings.FieldsFunc(strings.TrimPrefix(d, "CARRIER "), isSeparator) {
			if n, ok := speed(field); ok {
				c.TxSpeed, c.RxSpeed = n, n
			}
		}
	case name == "+MCR" || name == "MODULATION":
		c.Modulation = known(modulations, value)
	case name == "+ER" || name == "PROTOCOL":
		c.ErrorControl = known(errorControls, value)
	case name == "+DR" || name == "COMPRESSION":
		c.Compression = known(compressions, value)
	}
}

func known(names map[string]string, value string) string {
	value = strings.ReplaceAll(value, ".", "")
	if n, ok := names[value]; ok {
		return n
	}
	first, _, _ := strings.Cut(value, "/")
	if n, ok := names[strings.ReplaceAll(first, " ", "")]; ok {
		return n
	}
	if value == "NONE" {
		return "none"
	}
	return Printable(value, 32)
}

// speed reads a number that can be a speed.
func speed(s string) (uint32, bool) {
	if !isDigits(s) {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n >= 75 && n <= 2000000
}
