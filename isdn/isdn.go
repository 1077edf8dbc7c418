// Package isdn is the driver for ISDN terminal adapters on serial lines. They speak AT like modems, and the dialogue is that of package modem;
// what differs is here: the families, the protocols of the B channel, the numbers (MSN) an adapter takes calls for, and the causes of
// ITU-T Q.850 that it tells.
//
// With asynchronous to synchronous conversion ("ppp") the B channel carries HDLC frames, and the adapter turns them into the octets of
// RFC 1662 and back; with transparent HDLC, X.75, V.120 and V.110 it is a pipe of octets. Bundling of channels is left to Multilink: in the adapter, where the
// driver sees one call of 128,000 bit/s, or at the network server, where it sees two.
package isdn

import (
	_ "embed"
	"strings"
	"sync"

	"trunkline.example/modem"
	"trunkline.example/modem/at"
	"trunkline.example/modem/profile"
	"trunkline.example/shared/line"
)

// Name is the name of the driver.
const Name = "isdn"

//go:embed families.toml
var families []byte

// Families returns the terminal adapters that are built in.
var Families = sync.OnceValue(func() profile.Set { return profile.MustParse("isdn/families.toml", families) })

// Dialect is the dialect of terminal adapters, for modem.New and modem.ParseSection.
var Dialect = &modem.Dialect{
	Name: Name, Noun: "a terminal adapter", Families: Families, Bearers: line.BearerDigital, CalledNumber: true, AssumedSpeed: channel,
	SlowestSpeed: 300, FastestSpeed: 2 * channel,
	Connected: connected, Q850: Cause,
}

// channel is what one B channel carries, in bit/s.
const channel = 64000

// transparent is the Modulation of a call whose HDLC frames carry the octets of asynchronous PPP as they come: only "HDLC", with conversion, is
// synchronous PPP.
const transparent = "HDLC transparent"

// New returns the driver.
func New(o modem.Options) *modem.Driver {
	o.Dialect = Dialect
	return modem.New(o)
}

// connected tells the calls of an adapter's modem from those of a B channel.
func connected(said at.Connection, protocol string, c *line.Connected) {
	if said.Modulation == "HDLC" && protocol == "hdlc" {
		c.Modulation = transparent
	}
	switch said.Modulation {
	case "", "HDLC", "X.75", "V.110", "V.120":
		c.Bearer = line.BearerDigital
		if c.ErrorControl == "" && (said.Modulation == "X.75" || said.Modulation == "V.120") {
			c.ErrorControl = "LAPB"
			if said.Modulation == "V.120" {
				c.ErrorControl = "LAPD"
			}
		}
		if c.Compression == "" {
			c.Compression = "none"
		}
	default:
		c.Bearer = line.BearerAnalog
	}
}

// Cause finds the cause of ITU-T Q.850 in what an adapter says instead of CONNECT; 0: it tells none. Known are the forms "E001B" and
// "/E001B" (location and cause in hexadecimal: isdn4linux), "3490" (a CAPI reason: cFos, AVM), and a decimal number behind a semicolon, a
// colon or in parentheses (ELSA and others).
func Cause(result string) uint8 {
	for _, field := range strings.FieldsFunc(result, func(r rune) bool { return strings.ContainsRune(" /,;:()=", r) }) {
		if c := causeIn(strings.ToUpper(field), strings.ContainsAny(result, ";:(=")); c != 0 {
			return c
		}
	}
	return 0
}

// causeIn reads one word.
func causeIn(word string, decimal bool) uint8 {
	digits, euro := strings.CutPrefix(word, "E")
	value, ok := hexadecimal(digits)
	switch {
	case !ok:
	case euro && len(digits) == 4: // location, cause
		return uint8(value & 0x7f)
	case !euro && len(digits) == 4 && value>>8 == 0x34: // CAPI: the network's reason
		return uint8(value & 0x7f)
	case !euro && decimal && len(digits) <= 3 && strings.Trim(digits, "0123456789") == "":
		n := 0
		for _, d := range digits {
			n = n*10 + int(d-'0')
		}
		if n < 128 {
			return uint8(n)
		}
	}
	return 0
}

func hexadecimal(text string) (value int, ok bool) {
	for _, c := range text {
		d := strings.IndexRune("0123456789ABCDEF", c)
		if d < 0 {
			return 0, false
		}
		value = value<<4 | d
	}
	return value, text != "" && len(text) <= 4
}
