package at

import "strings"

// Kind is what a line from a modem means.
type Kind uint8

// Kinds of lines.
const (
	Information Kind = iota // anything else: identification, register values, noise
	OK                      // command done
	Error                   // command refused
	Connect                 // data from here on
	Detail                  // a report that goes before CONNECT: CARRIER, PROTOCOL, +MCR, ...
	Ring                    // the line rings
	RingStopped             // the caller gave up, says an adapter that knows (isdn4linux RUNG)
	Caller                  // caller identification
	NoCarrier
	NoDialtone
	Busy
	NoAnswer
	NotData  // a voice or a fax is at the other end
	Delayed  // national redial limits
	Progress // of a call being set up
	Numeric  // one to three digits: the modem is in V0
)

var kindNames = [...]string{"information", "ok", "error", "connect", "detail", "ring", "ring-stopped", "caller", "no-carrier",
	"no-dialtone", "busy", "no-answer", "not-data", "delayed", "progress", "numeric"}

// String returns the name of the kind.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind"
}

// Final says whether the line ends the reply to a command.
func (k Kind) Final() bool {
	switch k {
	case OK, Error, Connect, NoCarrier, NoDialtone, Busy, NoAnswer, NotData, Delayed:
		return true
	}
	return false
}

// whole lists results that are a whole line, in upper case.
var whole = map[string]Kind{
	"OK": OK, "ERROR": Error, "NO CARRIER": NoCarrier, "BUSY": Busy, "NO ANSWER": NoAnswer,
	"NO DIALTONE": NoDialtone, "NO DIAL TONE": NoDialtone, "NO LINE": NoDialtone, "LINE IN USE": NoDialtone, "NO MSN/EAZ": NoDialtone,
	"VOICE": NotData, "FAX": NotData, "VCON": NotData, "+FCERROR": NotData, "FCERROR": NotData,
	"BLACKLISTED": Delayed, "BLACKLIST FULL": Delayed, "RUNG": RingStopped,
	"RINGING": Progress, "RRING": Progress, "CALL SENT": Progress, "ALERTING": Progress, "CONNECTING": Progress, "DATA": Progress,
	"CALL WAITING": Progress, "FLASH": Progress, "STAS": Progress, "CIDM": Progress, "POLARITY REVERSAL": Progress,
}

// prefixes lists results by how they begin, in upper case. The first match
// counts.
var prefixes = []struct {
	text string
	kind Kind
}{
	{"CONNECT", Connect}, {"NO CARRIER", NoCarrier}, {"+FCO", NotData}, {"DELAYED", Delayed}, {"BLACKLISTED", Delayed},
	{"+CME ERROR", Error}, {"NO ANSWER", NoAnswer}, {"BUSY", Busy}, {"NO DIALTONE", NoDialtone}, {"NO DIAL TONE", NoDialtone},
	{"CARRIER ", Detail}, {"PROTOCOL", Detail}, {"COMPRESSION", Detail}, {"MODULATION", Detail},
	{"+MCR", Detail}, {"+MRR", Detail}, {"+ER:", Detail}, {"+DR:", Detail}, {"+ILRR", Detail},
}

// Classify tells what a line means. Case does not matter, nor do spaces around
// it; a NO CARRIER may follow noise of the dying carrier on the same line.
func Classify(text string) Kind {
	upper := upperASCII(strings.TrimSpace(text))
	if k, ok := whole[upper]; ok {
		return k
	}
	if isRing(upper) {
		return Ring
	}
	for _, p := range prefixes {
		if strings.HasPrefix(upper, p.text) && (p.kind != Connect || isConnect(upper)) {
			return p.kind
		}
	}
	switch {
	case isDigits(upper) && len(upper) <= 3:
		return Numeric
	case strings.HasSuffix(upper, "NO CARRIER"):
		return NoCarrier
	}
	var id CallerID
	if id.Add(text) {
		return Caller
	}
	return Information
}

func isConnect(upper string) bool {
	rest := strings.TrimPrefix(upper, "CONNECT")
	return rest == "" || strings.ContainsAny(rest[:1], " /:;") || isDigits(rest[:1])
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
