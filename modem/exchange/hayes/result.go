package hayes

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// code is a result code with its number in Hayes' set.
type code int

// The codes that all families share.
const (
	codeOK         code = 0
	codeConnect    code = 1
	codeRing       code = 2
	codeNoCarrier  code = 3
	codeError      code = 4
	codeNoDialTone code = 6
	codeBusy       code = 7
	codeNoAnswer   code = 8
)

var codeTexts = map[code]string{
	codeOK: "OK", codeConnect: "CONNECT", codeRing: "RING", codeNoCarrier: "NO CARRIER", codeError: "ERROR",
	codeNoDialTone: "NO DIALTONE", codeBusy: "BUSY", codeNoAnswer: "NO ANSWER",
}

// connectCodes are the numbers of CONNECT with a speed, in Rockwell's set.
var connectCodes = map[int]int{
	300: 1, 1200: 5, 2400: 10, 4800: 11, 7200: 13, 9600: 12, 12000: 14, 14400: 15, 16800: 59, 19200: 16, 21600: 61, 24000: 62,
	26400: 63, 28800: 64, 31200: 91, 33600: 84, 38400: 17, 57600: 18, 115200: 19,
}

// serialSpeeds are line speeds of the lab that programs would take for the speed
// of a serial port if a bare CONNECT named them.
var serialSpeeds = map[int]bool{38400: true, 57600: true, 115200: true, 230400: true}

// unreadLimit bounds what gathers for a client that reads nothing.
const unreadLimit = 4096

// out queues octets for the client. They are dropped, and counted, if it reads
// none.
func (m *Modem) out(b []byte) {
	if len(m.s.Out)+len(b) > max(unreadLimit, 2*m.cfg.Buffer) {
		m.s.Dropped += uint64(len(b))
		return
	}
	m.s.Out = append(m.s.Out, b...)
}

// line queues one line of text in the form that V asks for.
func (m *Modem) line(text string) {
	cr, lf := string(m.reg(3)), string(m.reg(4))
	if m.s.Active.Verbose {
		m.out([]byte(cr + lf + text + cr + lf))
		return
	}
	m.out([]byte(text + cr + lf))
}

// info queues a line of information text.
func (m *Modem) info(text string) { m.line(text) }

// result queues a result code.
func (m *Modem) result(c code) { m.resultText(int(c), codeTexts[c]) }

func (m *Modem) resultText(number int, text string) {
	if m.s.Active.Quiet == 1 || m.s.Active.Quiet == 2 && (number == int(codeRing) || m.s.Phase == Answering) {
		return
	}
	if !m.s.Active.Verbose {
		m.out(append(strconv.AppendInt(nil, int64(number), 10), m.reg(3)))
		return
	}
	m.line(text)
}

// shown returns a line speed as it is reported: the serial speed if the line
// has none of its own.
func (m *Modem) shown(rate int) int {
	if rate <= 0 {
		return m.s.WireSpeed
	}
	return rate
}

func protocolName(l Link, ec, none string) string {
	if l.ErrorControl {
		return ec
	}
	return none
}

func compressionName(l Link, name string) string {
	if l.Compression {
		return name
	}
	return "NONE"
}

// connectResult tells CONNECT as the settings ask for.
func (m *Modem) connectResult() {
	if m.isAdapter() {
		m.adapterConnect()
		return
	}
	p, l := &m.s.Active, m.s.Link
	tx, rx := m.shown(l.Transmit), m.shown(l.Receive)
	m.progressReports(l, tx, rx)
	if p.Extended == 0 {
		m.result(codeConnect)
		return
	}
	extras := m.reg(95)
	ambiguous := p.Report == 2 && p.ARQ == 0 && p.SingleLine == 0 && serialSpeeds[rx]
	if p.Report == 1 || extras&4 != 0 || ambiguous {
		m.resultLine(fmt.Sprintf("CARRIER %d", rx))
	}
	if p.Report == 1 || extras&8 != 0 {
		m.resultLine("PROTOCOL: " + protocolName(l, "LAPM", "NONE"))
	}
	if p.Report == 1 || extras&32 != 0 {
		m.resultLine("COMPRESSION: " + compressionName(l, "V.42BIS"))
	}
	speed := m.s.WireSpeed
	if p.Report == 2 || extras&1 != 0 {
		speed = rx
	}
	text := fmt.Sprintf("CONNECT %d", speed)
	switch {
	case p.ARQ > 0:
		text = fmt.Sprintf("CONNECT %d", rx) + arqLabels(p.ARQ, l)
	case p.SingleLine > 0:
		text = fmt.Sprintf("CONNECT %d/%s/%s/%s/%d:TX/%d:RX", m.s.WireSpeed, l.Modulation, protocolName(l, "LAPM", "NONE"),
			compressionName(l, "V42BIS"), tx, rx)
	case extras&2 != 0 && l.ErrorControl:
		text += "/ARQ"
	}
	number, known := connectCodes[speed]
	if !known {
		number = int(codeConnect)
	}
	m.resultText(number, text)
}

// arqLabels are what USRobotics modems append at &A1, &A2 and &A3.
func arqLabels(level uint8, l Link) string {
	var b strings.Builder
	if l.ErrorControl {
		b.WriteString("/ARQ")
	} else if level >= 3 {
		b.WriteString("/NONE")
	}
	if level >= 2 {
		b.WriteString("/" + l.Modulation)
	}
	if level >= 3 && l.ErrorControl {
		b.WriteString("/LAPM/" + compressionName(l, "V42BIS"))
	}
	return b.String()
}

// progressReports tells what V.250's +MR, +ER, +DR and +ILRR ask for.
func (m *Modem) progressReports(l Link, tx, rx int) {
	on := func(name string) bool { return m.extra(name) == "1" }
	if on("+MR") {
		m.resultLine("+MCR: " + l.Modulation)
		m.resultLine(fmt.Sprintf("+MRR: %d,%d", tx, rx))
	}
	if on("+ER") {
		m.resultLine("+ER: " + protocolName(l, "LAPM", "NONE"))
	}
	if on("+DR") {
		m.resultLine("+DR: " + compressionName(l, "V42B"))
	}
	if on("+ILRR") {
		m.resultLine(fmt.Sprintf("+ILRR: %d", m.s.WireSpeed))
	}
}

// resultLine is a line that belongs to a result code.
func (m *Modem) resultLine(text string) {
	if m.s.Active.Quiet == 0 {
		m.line(text)
	}
}

// tellCaller prints the caller ID of the call that rings.
func (m *Modem) tellCaller() {
	if m.s.Active.CallerID > 0 && m.s.Rings > 0 {
		m.callerLines(m.s.Active.CallerID)
	}
}

// callerLines prints the caller ID, formatted (1) or as the network sent it (2).
func (m *Modem) callerLines(format uint8) {
	c, at := m.s.Caller, m.s.CallerSince
	tag := func(name, value string) {
		sep := "="
		if m.s.Active.TagSpaces {
			sep = " = "
		}
		m.line(name + sep + value)
	}
	if format == 2 {
		tag("MESG", fmt.Sprintf("%X", multipleData(c, at)))
		return
	}
	tag("DATE", at.Format("0102"))
	tag("TIME", at.Format("1504"))
	number := c.Number
	if number == "" {
		number = "O"
	}
	tag("NMBR", number)
	if c.Name != "" {
		tag("NAME", c.Name)
	}
}

// multipleData encodes a caller ID as the multiple data message that the
// exchange sends between the first two rings (Telcordia GR-30).
func multipleData(c Caller, at time.Time) []byte {
	field := func(kind byte, v string) []byte {
		v = v[:min(len(v), 50)]
		return append([]byte{kind, byte(len(v))}, v...)
	}
	body := field(1, at.Format("01021504"))
	switch c.Number {
	case "", "P":
		absent := "O"
		if c.Number == "P" {
			absent = "P"
		}
		body = slices.Concat(body, field(4, absent))
	default:
		body = slices.Concat(body, field(2, c.Number))
	}
	if c.Name != "" {
		body = slices.Concat(body, field(7, c.Name))
	}
	msg := append([]byte{0x80, byte(len(body))}, body...)
	var sum byte
	for _, b := range msg {
		sum += b
	}
	return append(msg, -sum)
}

// tellCadence prints the burst that has just ended as +VDR=1 asks for, in
// units of 100 ms.
func (m *Modem) tellCadence() {
	if m.s.Rings == 0 {
		return
	}
	off := 40
	if m.s.Rings == 1 {
		off = 0
	}
	m.line(fmt.Sprintf("DROF=%d", off))
	m.line(fmt.Sprintf("DRON=%d", int(ringBurst/(100*time.Millisecond))))
}
