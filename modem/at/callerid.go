package at

import (
	"encoding/hex"
	"strings"
)

// CallerID collects what the lines around RING tell of a call. The zero value
// knows nothing. Number and Dialed are digits, Name printable ASCII.
type CallerID struct {
	Number string
	Name   string
	Dialed string
	// Subaddress is the called party's (ISDN).
	Subaddress string
	Withheld   bool // the caller asked not to be shown
	NoNumber   bool // the network says that there is no number
	named      bool // a name came, perhaps an empty one
}

// Complete says whether nothing more is to be expected: a number, or that
// there is none, and a name.
func (c *CallerID) Complete() bool { return (c.Number != "" || c.NoNumber) && c.named }

// Known says whether a number came, or the news that there is none.
func (c *CallerID) Known() bool { return c.Number != "" || c.NoNumber }

// Contradicts says whether what is told later, perhaps of a call that rings in the
// place of this one, is another caller's. A number that has more in front, or
// zeros for a plus, is the same.
func (c *CallerID) Contradicts(later *CallerID) bool {
	if !c.Known() {
		return false
	}
	own, other := strings.TrimLeft(c.Number, "+0"), strings.TrimLeft(later.Number, "+0")
	return c.NoNumber != later.NoNumber || (own == "") != (other == "") || !strings.HasSuffix(own, other) && !strings.HasSuffix(other, own)
}

// callerTag is one way to name a field; it is followed by = or a colon, with
// spaces around it.
type callerTag struct {
	tag string // upper case
	add func(*CallerID, string)
}

var callerTags = []callerTag{
	{"NMBR", (*CallerID).number}, {"DDN_NMBR", (*CallerID).number}, {"NBR", (*CallerID).number}, {"ANID", (*CallerID).number},
	{"CALLER NUMBER", (*CallerID).number}, {"CALLER'S NUMBER", (*CallerID).number}, {"CALLERID", (*CallerID).number},
	{"CID", (*CallerID).number}, {"+CLIP", (*CallerID).clip},
	{"NAME", (*CallerID).name}, {"CALLER NAME", (*CallerID).name},
	{"NDID", (*CallerID).dialed}, {"DAD", (*CallerID).dialed}, {"CALLED NUMBER", (*CallerID).dialed}, {"TO", (*CallerID).dialed},
	{"FM", (*CallerID).fromTo}, {"MESG", (*CallerID).message}, {"REASON FOR NO CALLER NUMBER", (*CallerID).reason},
	{"DATE", ignored}, {"TIME", ignored}, {"DRON", ignored}, {"DROF", ignored},
}

func ignored(*CallerID, string) {}

// Add reads one line and says whether it was caller identification. It knows
// the tags of Rockwell and V.253 (NMBR, NAME, DATE, TIME, MESG), ZyXEL, USR,
// Diva, isdn4linux and GSM modems, and the raw message that #CID=2 prints.
func (c *CallerID) Add(text string) bool {
	text = strings.TrimSpace(text)
	upper := upperASCII(text)
	for _, t := range callerTags {
		rest, ok := strings.CutPrefix(upper, t.tag)
		if !ok {
			continue
		}
		trimmed := strings.TrimSpace(rest)
		if trimmed == "" || trimmed[0] != '=' && trimmed[0] != ':' {
			continue
		}
		value := text[len(text)-len(rest):]
		value = value[strings.IndexAny(value, "=:")+1:]
		t.add(c, strings.TrimSpace(value))
		return true
	}
	switch {
	case upper == "OUT_OF_AREA" || upper == "OUT OF AREA":
		c.NoNumber = true
		return true
	case isDigits(text) && len(text) >= 5: // ELINK prints the bare number
		c.number(text)
		return true
	}
	return c.raw(text)
}

func (c *CallerID) number(value string) {
	switch upperASCII(value) {
	case "P", "PRIVATE":
		c.Withheld, c.NoNumber = true, true
	case "O", "OUT_OF_AREA", "OUT OF AREA", "UNAVAILABLE", "":
		c.NoNumber = true
	default:
		if n := Number(value); n != "" {
			c.Number = n
		}
	}
}

func (c *CallerID) name(value string) {
	c.named = true
	switch upperASCII(value) {
	case "P", "O": // private, out of area
	default:
		c.Name = Printable(value, 64)
	}
}

func (c *CallerID) dialed(value string) {
	value, sub, _ := strings.Cut(value, "/") // ZyXEL appends the subaddress
	c.Dialed, c.Subaddress = Number(value), Printable(strings.TrimSuffix(sub, "/"), 64)
}

// clip reads the GSM form "number",type,...
func (c *CallerID) clip(value string) {
	value, _, _ = strings.Cut(value, ",")
	c.number(strings.Trim(value, `"`))
}

// fromTo reads the ZyXEL ISDN form FM:from[/sub/] TO:to[/sub/].
func (c *CallerID) fromTo(value string) {
	from, to, ok := strings.Cut(upperASCII(value), "TO:")
	from, _, _ = strings.Cut(from, "/")
	c.number(strings.TrimSpace(from))
	if ok {
		c.dialed(to)
	}
}

func (c *CallerID) reason(value string) {
	c.NoNumber = true
	if strings.Contains(upperASCII(value), "PRIVATE") {
		c.Withheld = true
	}
}

// message reads MESG, a parameter the modem did not know: the Bell Canada
// style has 03, a length and the digits in ASCII.
func (c *CallerID) message(value string) {
	b, err := hex.DecodeString(value)
	if err != nil || len(b) < 2 || b[0] != 0x03 || int(b[1]) > len(b)-2 {
		return
	}
	if digits := string(b[2 : 2+int(b[1])]); isDigits(digits) {
		c.number(digits)
	}
}

// raw reads the message of the telephone exchange as hexadecimal digits, as
// #CID=2 and +VCID=2 print it (Bellcore GR-30): type, length, parameters,
// checksum.
func (c *CallerID) raw(text string) bool {
	if len(text) < 8 || len(text)%2 != 0 || !strings.HasPrefix(text, "80") && !strings.HasPrefix(text, "04") {
		return false
	}
	b, err := hex.DecodeString(text)
	if err != nil || int(b[1]) != len(b)-3 {
		return false
	}
	var sum byte
	for _, v := range b {
		sum += v
	}
	if sum != 0 {
		return false
	}
	body := b[2 : len(b)-1]
	if b[0] == 0x04 { // single data: date and time, then the number
		if len(body) > 8 {
			c.number(string(body[8:]))
		}
		return true
	}
	for len(body) >= 2 && int(body[1]) <= len(body)-2 {
		value := string(body[2 : 2+int(body[1])])
		switch body[0] {
		case 0x02, 0x04: // number, or why there is none
			c.number(value)
		case 0x03: // called number
			c.dialed(value)
		case 0x07, 0x08: // name, or why there is none
			c.name(value)
		}
		body = body[2+int(body[1]):]
	}
	return true
}
