package hayes

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Adapter makes a terminal adapter of the modem: its line is an ISDN B channel,
// and it speaks the dialect named. The zero value is a modem.
type Adapter uint8

// The dialects.
const (
	NoAdapter  Adapter = iota
	ELSA               // ELSA MicroLink: RING;from;to, causes behind a semicolon, AT$IBP, S153
	ISDN4Linux         // the ttyI of isdn4linux: RING/to, CALLER NUMBER, causes as /E0011, S13, S14, S23, &E, &L
)

// adapterNames are the dialects' names in configurations, by their values.
var adapterNames = []string{NoAdapter: "none", ELSA: "elsa", ISDN4Linux: "isdn4linux"}

// AdapterNamed returns the dialect of a name; false if there is none.
func AdapterNamed(name string) (a Adapter, known bool) {
	i := slices.Index(adapterNames, name)
	return Adapter(max(i, 0)), i >= 0
}

// AdapterNames returns the names of the dialects.
func AdapterNames() []string { return slices.Clone(adapterNames) }

// Causes of ITU-T Q.850 that an adapter finds by itself.
const (
	causeCleared      = 16 // the other side hung up
	causeNoResponse   = 18 // nobody has answered within S7
	causeTemporary    = 41 // the channel is gone
	causeIncompatible = 88 // the two sides speak different protocols on the B channel
)

// Registers of the dialects.
const (
	regAppended = 153 // ELSA: bit 1 appends the caller's number to RING and CONNECT, bit 2 the called one to RING
	regResults  = 13  // isdn4linux: bit 3 causes, bit 4 CALLER NUMBER once, bit 6 RUNG, and only the first RING
	regLayer2   = 14  // isdn4linux: the protocol
	regNumbers  = 23  // isdn4linux: bit 0 the called number with RING, bit 2 in a line CALLED NUMBER
)

// BChannel is what a B channel carries, in bits per second.
const BChannel = 64000

// Protocol is what an adapter speaks on the B channel. Two adapters understand
// each other if they speak the same.
type Protocol struct {
	Name         string // "HDLC", "X.75", "V120", "V110"
	Rate         int    // bits per second
	ErrorControl bool   // the protocol repeats what is lost
	Convert      bool   // asynchronous PPP at the serial side, synchronous PPP on the line
}

// elsaProtocols are the values of AT$IBP.
var elsaProtocols = map[string]Protocol{
	"HDLCP": {Name: "HDLC", Rate: BChannel, Convert: true},
	"HDLC":  {Name: "HDLC", Rate: BChannel},
	"X75":   {Name: "X.75", Rate: BChannel, ErrorControl: true},
	"V120":  {Name: "V120", Rate: BChannel, ErrorControl: true},
	"V110":  {Name: "V110", Rate: 38400},
}

// layer2 are the values of S14 of isdn4linux.
var layer2 = map[byte]Protocol{
	0: elsaProtocols["X75"], 1: elsaProtocols["X75"], 2: elsaProtocols["X75"], 3: elsaProtocols["HDLC"],
	7: {Name: "V110", Rate: 9600}, 8: {Name: "V110", Rate: 19200}, 9: elsaProtocols["V110"],
}

var adapterIdentities = map[Adapter]Identity{
	ELSA: {Manufacturer: "ELSA", Model: "MicroLink ISDN (virtual)", Revision: "V1.0", Info: []string{
		0: "644", 1: "042", 2: "", 3: "ELSA MicroLink ISDN (virtual)", 4: "", 5: "", 6: "", 7: "V1.0", 8: "", 9: "",
	}},
	ISDN4Linux: {Manufacturer: "Trunkline", Model: "Linux ISDN (virtual)", Revision: "V1.0", Info: []string{
		0: "Linux ISDN", 1: "", 2: "", 3: "isdn4linux ttyI (virtual)", 4: "", 5: "", 6: "", 7: "V1.0", 8: "", 9: "",
	}},
}

// isAdapter says whether the line is a B channel.
func (m *Modem) isAdapter() bool { return m.cfg.Adapter != NoAdapter }

// factory returns the settings of AT&F.
func (m *Modem) factory() Profile {
	p := Factory()
	if m.cfg.Adapter == ISDN4Linux {
		p.Registers[18] = 4 // services: data
	}
	return p
}

// Protocol returns what the adapter speaks as it is set up; false if it cannot
// make calls so, or is a modem.
func (m *Modem) Protocol() (p Protocol, known bool) {
	switch m.cfg.Adapter {
	case ELSA:
		chosen, set := m.s.Active.Extras["$IBP"]
		if !set {
			chosen = "HDLCP"
		}
		p, known = elsaProtocols[chosen]
	case ISDN4Linux:
		p, known = layer2[m.reg(regLayer2)]
	}
	return p, known
}

// adapterCommand does the commands that only an adapter has; false for others.
func (m *Modem) adapterCommand(c command) (done bool, o outcome) {
	switch name := string(c.prefix) + c.name; {
	case m.cfg.Adapter == ELSA && name == "$IBP":
		return true, m.chooseProtocol(c)
	case m.cfg.Adapter == ISDN4Linux && (name == "&E" || name == "&L"):
		m.s.Active.Extras[name] = c.value
		return true, accepted
	case m.cfg.Adapter == ISDN4Linux && name == "&R":
		return true, m.adaptRate(c.n())
	}
	return false, accepted
}

// chooseProtocol does AT$IBP.
func (m *Modem) chooseProtocol(c command) outcome {
	switch c.verb {
	case set:
		value := strings.ToUpper(c.value)
		if _, known := elsaProtocols[value]; !known {
			return refused
		}
		m.s.Active.Extras["$IBP"] = value
	case query:
		value, chosen := m.s.Active.Extras["$IBP"]
		if !chosen {
			value = "HDLCP"
		}
		m.info(value)
	case test:
		m.info("(HDLCP,HDLC,X75,V120,V110)")
	default:
		return refused
	}
	return accepted
}

// adaptRate does AT&R of isdn4linux: V.110 at a rate, or X.75 again.
func (m *Modem) adaptRate(rate int) outcome {
	value, known := map[int]byte{0: 0, 9600: 7, 19200: 8, 38400: 9}[rate]
	if !known {
		return refused
	}
	m.setReg(regLayer2, value)
	return accepted
}

// listens says whether the adapter takes calls for a number: those of the
// patterns of &L, or else its own, &E; without both it takes all calls of its
// line.
func (m *Modem) listens(dialed string) bool {
	own, list := m.s.Active.Extras["&E"], m.s.Active.Extras["&L"]
	if own == "" && list == "" {
		return true
	}
	if list == "" {
		list = own
	}
	for _, pattern := range strings.Split(list, ";") {
		if match, err := path.Match(pattern, dialed); err == nil && match {
			return true
		}
	}
	return false
}

// tellRing says RING, and who calls whom, as the dialect does.
func (m *Modem) tellRing() {
	c := m.s.Caller
	if m.cfg.Adapter == ELSA {
		what := m.reg(regAppended)
		text, called := "RING", c.Dialed
		if c.Subaddress != "" {
			called += "/" + c.Subaddress
		}
		if what&6 != 0 {
			text += ";"
		}
		if what&2 != 0 {
			text += c.Number
		}
		if what&4 != 0 {
			text += ";" + called
		}
		m.resultText(int(codeRing), text)
		return
	}
	if m.reg(regResults)&0x40 != 0 && m.s.Rings > 1 { // who wants RUNG needs no other
		return
	}
	once := m.reg(regResults)&0x10 != 0
	if !once {
		m.tellNumbers()
	}
	text := codeTexts[codeRing]
	if m.reg(regNumbers)&1 != 0 {
		text += "/" + c.Dialed
	}
	m.resultText(int(codeRing), text)
	if once && m.s.Rings == 1 {
		m.tellNumbers()
	}
}

// tellNumbers prints the numbers of a call in the manner of isdn4linux.
func (m *Modem) tellNumbers() {
	if !m.s.Active.Verbose {
		return
	}
	m.resultLine("CALLER NUMBER: " + m.s.Caller.Number)
	if m.reg(regNumbers)&4 != 0 {
		m.resultLine("CALLED NUMBER: " + m.s.Caller.Dialed)
	}
}

// callerGone is the end of a call that rang.
func (m *Modem) callerGone() {
	rang := m.s.Rings > 0
	m.stopRings()
	if rang && m.cfg.Adapter == ISDN4Linux && m.reg(regResults)&0x40 != 0 {
		m.resultText(12, "RUNG")
	}
}

// nothingRings is the result of ATA when nothing does.
func (m *Modem) nothingRings() code {
	if m.cfg.Adapter == ISDN4Linux {
		return codeNoAnswer
	}
	return codeNoCarrier
}

// Refused is Hear with the network's reason, a cause of ITU-T Q.850. A modem
// hears the tone only.
func (m *Modem) Refused(now time.Time, t Tone, cause uint8) {
	if m.s.Phase == Dialing {
		m.s.Cause = cause
	}
	m.Hear(now, t)
}

// adapterHears ends an attempt that the network refuses.
func (m *Modem) adapterHears(now time.Time, t Tone) {
	switch {
	case t == Ringback:
	case m.s.Cause == 17:
		m.fail(now, codeBusy)
	case m.s.Cause == causeNoResponse:
		m.fail(now, codeNoAnswer)
	case m.s.Cause == 34:
		m.fail(now, codeNoDialTone)
	default:
		m.fail(now, codeNoCarrier)
	}
}

// cleared is the end of a call that the network tells.
func (m *Modem) cleared(now time.Time, orderly bool) {
	m.s.Cause = causeTemporary
	if orderly {
		m.s.Cause = causeCleared
	}
	m.hangUp(now, "the network cleared the call", false)
	m.resultText(int(codeNoCarrier), codeTexts[codeNoCarrier]+m.causeText())
}

// causeText is what the dialect appends to the result of a call that failed, or is over.
func (m *Modem) causeText() string {
	switch {
	case m.s.Cause == 0 || m.s.Active.Extended == 0:
	case m.cfg.Adapter == ELSA:
		return fmt.Sprintf(";%d", m.s.Cause)
	case m.cfg.Adapter == ISDN4Linux && m.reg(regResults)&8 != 0:
		return fmt.Sprintf("/E00%02X", m.s.Cause)
	}
	return ""
}

// adapterConnect tells CONNECT in the dialect.
func (m *Modem) adapterConnect() {
	l := m.s.Link
	switch {
	case m.s.Active.Extended == 0:
		m.result(codeConnect)
	case m.cfg.Adapter == ELSA:
		text := fmt.Sprintf("CONNECT %d/ISDN/%s", l.Receive, strings.ReplaceAll(l.Modulation, ".", ""))
		if m.s.Last.Answered && m.reg(regAppended)&2 != 0 {
			text += ";" + m.s.Caller.Number
		}
		m.resultText(221, text)
	case l.Modulation == "V110":
		m.resultText(5, fmt.Sprintf("CONNECT %d/V110/%d", BChannel, l.Receive))
	default:
		m.resultText(5, fmt.Sprintf("CONNECT %d/%s", l.Receive, l.Modulation))
	}
}
