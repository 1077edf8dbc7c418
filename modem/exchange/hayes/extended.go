package hayes

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parameter is an extended command with a value.
type parameter struct {
	initial string   // value after AT&F
	ranges  string   // answer to =?
	values  []string // what may be set; nil: anything
	apply   func(m *Modem, value string) outcome
}

// parameters are the extended commands, by prefix and name. Those without
// apply are kept and told when asked.
var parameters map[string]parameter

func init() {
	switches := []string{"0", "1"}
	parameters = map[string]parameter{
		"+FCLASS": {initial: "0", ranges: "0", values: []string{"0", "0.0"}},
		"#CLS":    {initial: "0", ranges: "0", values: []string{"0"}},
		"+VCID":   {initial: "0", ranges: "(0-2)", values: []string{"0", "1", "2"}, apply: callerIDPlain},
		"#CID":    {initial: "0", ranges: "(0-2)", values: []string{"0", "1", "2"}, apply: callerIDSpaced},
		"+VDR":    {initial: "0,0", ranges: "(0,1),(0-255)"},
		"+MS":     {initial: "V34,1,0,0,0,0", ranges: "(V21,V22,V22B,V32,V32B,V34,V90,V92),(0,1),(0-115200),(0-115200),(0-115200),(0-115200)", apply: modulation},
		"+ES":     {initial: "3,0,2", ranges: "(0-7),(0-4),(0-9)", apply: errorSelection},
		"+DS":     {initial: "0,0,2048,32", ranges: "(0-3),(0,1),(512-2048),(6-250)", apply: dataCompression},
		"+DS44":   {initial: "0,0", ranges: "(0-3),(0,1)", apply: dataCompression},
		"+MR":     {initial: "0", ranges: "(0,1)", values: switches},
		"+ER":     {initial: "0", ranges: "(0,1)", values: switches},
		"+DR":     {initial: "0", ranges: "(0,1)", values: switches},
		"+ILRR":   {initial: "0", ranges: "(0,1)", values: switches},
		"+IPR":    {initial: "0", ranges: "(0,300,600,1200,2400,4800,9600,14400,19200,28800,38400,57600,115200,230400)"},
		"+IFC":    {initial: "2,2", ranges: "(0-2),(0-2)", apply: interfaceFlow},
		"+ICF":    {initial: "3,4", ranges: "(1-6),(0-4)"},
		"+EB":     {initial: "0,0,0", ranges: "(0,1),(0,1),(0-255)"},
		"+EFCS":   {initial: "1", ranges: "(0-2)"},
		"+GCI":    {initial: "B5", ranges: "(00,04,09,0F,26,31,3D,42,50,54,59,69,7B,82,8A,A0,A5,B4,B5)"},
		"+PMH":    {initial: "1", ranges: "(0,1)"},
		"+PMHT":   {initial: "0", ranges: "(0-13)"},
		"+PIG":    {initial: "1", ranges: "(0,1)"},
		"+PCW":    {initial: "0", ranges: "(0-2)"},
		"+PQC":    {initial: "3", ranges: "(0-3)"},
		"+PSS":    {initial: "0", ranges: "(0-2)"},
		"-SDR":    {initial: "0", ranges: "(0-7)"},
		"-V90":    {initial: "0", ranges: "(0,1)"},
	}
}

func callerIDPlain(m *Modem, v string) outcome  { return callerID(m, v, false) }
func callerIDSpaced(m *Modem, v string) outcome { return callerID(m, v, true) }

func callerID(m *Modem, v string, spaces bool) outcome {
	n, _ := strconv.Atoi(v)
	m.s.Active.CallerID, m.s.Active.TagSpaces = uint8(n), spaces
	for _, name := range []string{"+VCID", "#CID"} { // two names of one switch
		m.s.Active.Extras[name] = v
	}
	return accepted
}

// carriers are the modulations of +MS with their greatest speed.
var carriers = map[string]int{
	"B103": 300, "V21": 300, "B212": 1200, "V22": 1200, "V22B": 2400, "V23C": 1200, "V32": 9600, "V32B": 14400, "V34": 33600,
	"K56": 56000, "V90": 56000, "V92": 56000,
	"56": 56000, "12": 56000, "11": 33600, "10": 14400, "9": 9600, "2": 2400, "1": 1200, "0": 300, // older Rockwell numbers
}

func modulation(m *Modem, v string) outcome {
	f := strings.Split(v, ",")
	if _, known := carriers[strings.ToUpper(f[0])]; !known && f[0] != "" {
		return refused
	}
	for _, n := range f[1:] {
		if _, err := strconv.Atoi(n); err != nil && n != "" {
			return refused
		}
	}
	return accepted
}

func errorSelection(m *Modem, v string) outcome {
	f := strings.Split(v, ",")
	switch f[0] {
	case "0", "1", "5", "6":
		m.s.Active.EC = ECOff
	case "", "2", "3", "4", "7":
		m.s.Active.EC = ECAuto
		if len(f) > 1 && (f[1] == "2" || f[1] == "3" || f[1] == "4") {
			m.s.Active.EC = ECRequired
		}
	default:
		return refused
	}
	return accepted
}

func dataCompression(m *Modem, v string) outcome {
	m.s.Active.Compression = v != "" && v[0] != '0'
	return accepted
}

func interfaceFlow(m *Modem, v string) outcome {
	by, _, _ := strings.Cut(v, ",")
	k, known := map[string]int{"0": 0, "1": 4, "2": 3, "": 3}[by]
	if !known {
		return refused
	}
	return m.flow(k)
}

// extended does the commands with other prefixes.
func (m *Modem) extended(c command) outcome {
	full := string(c.prefix) + c.name
	if done, o := m.inquiry(full, c); done {
		return o
	}
	p, known := parameters[full]
	if !known {
		return m.unknown()
	}
	switch c.verb {
	case test:
		m.info(p.ranges)
	case query:
		v := m.extra(full)
		if c.prefix == '+' && full != "+FCLASS" {
			v = full + ": " + v
		}
		m.info(v)
	case set:
		if p.values != nil && !contains(p.values, c.value) {
			return refused
		}
		v := strings.ToUpper(strings.ReplaceAll(c.value, " ", ""))
		if p.apply != nil {
			if o := p.apply(m, v); o != accepted {
				return o
			}
		}
		m.s.Active.Extras[full] = v
	default: // +MS alone and the like: the initial value
		delete(m.s.Active.Extras, full)
	}
	return accepted
}

func contains(values []string, v string) bool {
	for _, s := range values {
		if s == v {
			return true
		}
	}
	return false
}

// extra returns the value of an extended command.
func (m *Modem) extra(name string) string {
	if v, ok := m.s.Active.Extras[name]; ok {
		return v
	}
	return parameters[name].initial
}

// inquiry does the extended commands that only tell something.
func (m *Modem) inquiry(full string, c command) (bool, outcome) {
	id := m.cfg.Identity
	var text string
	switch full {
	case "+GMI", "+FMI":
		text = id.Manufacturer
	case "+GMM", "+FMM":
		text = id.Model
	case "+GMR", "+FMR":
		text = id.Revision
	case "+GSN":
		text = "0"
	case "+GCAP":
		text = "+GCAP: +MS,+ES,+DS"
	case "+VRID":
		if m.s.HaveCaller {
			m.callerLines(1)
		}
		return true, accepted
	case "#UD":
		m.lastCallReport()
		return true, accepted
	default:
		return false, accepted
	}
	if c.verb == set {
		return true, refused
	}
	if c.verb != test {
		m.info(text)
	}
	return true, accepted
}

// identify does ATI.
func (m *Modem) identify(n int) outcome {
	if n == 6 || n == 11 {
		m.lastCallReport()
		return accepted
	}
	if n >= len(m.cfg.Identity.Info) {
		return m.unknown()
	}
	if s := m.cfg.Identity.Info[n]; s != "" {
		m.info(s)
	}
	return accepted
}

// lastCallReport tells about the present or last call.
func (m *Modem) lastCallReport() {
	l := m.s.Last
	if l.Began.IsZero() {
		m.info("No call yet")
		return
	}
	kind, ended := "ORIGINATE", l.Reason
	if l.Answered {
		kind = "ANSWER"
	}
	var lasted time.Duration
	if l.Ended.IsZero() {
		ended = "call in progress"
	} else {
		lasted = l.Ended.Sub(l.Began)
	}
	m.info("Last call " + kind)
	m.info(fmt.Sprintf("Line speed TX/RX %d/%d", m.shown(l.Link.Transmit), m.shown(l.Link.Receive)))
	m.info("Modulation " + l.Link.Modulation + " protocol " + protocolName(l.Link, "LAPM", "NONE"))
	m.info(fmt.Sprintf("Octets sent %d received %d", l.Sent, l.Received))
	m.info(fmt.Sprintf("Duration %d s", int(lasted.Seconds())))
	m.info("Ended: " + ended)
}

// showProfiles does AT&V.
func (m *Modem) showProfiles() {
	show := func(title string, p Profile) {
		m.info(title)
		m.info(fmt.Sprintf("E%d Q%d V%d X%d W%d &C%d &D%d &K%d \\V%d %%C%d", bit(p.Echo), p.Quiet, bit(p.Verbose), p.Extended,
			p.Report, p.CarrierMode, p.DTRMode, p.FlowMode, p.SingleLine, bit(p.Compression)))
		var b strings.Builder
		for _, r := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 25, 30} {
			fmt.Fprintf(&b, "S%02d:%03d ", r, p.Registers[r])
		}
		m.info(strings.TrimSpace(b.String()))
	}
	show("ACTIVE PROFILE:", m.s.Active)
	show("STORED PROFILE 0:", m.s.Stored[0])
	show("STORED PROFILE 1:", m.s.Stored[1])
	for i, n := range m.s.Numbers {
		m.info(fmt.Sprintf("&Z%d=%s", i, n))
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
