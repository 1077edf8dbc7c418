// Package profile knows the families of modems: by what a modem is recognised, and which commands it is given. The
// families are TOML, embedded in the program; a configuration adds its own or changes those there are.
package profile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"trunkline.example/modem/at"
)

// Names with a meaning.
const (
	Generic = "generic" // the family of modems that are recognised as nothing else
	Auto    = "auto"    // no profile: what a configuration says for the one that is recognised
)

// Profile is what has to be known of a family of modems. Every command is a whole line with its AT. Lists of
// alternatives are tried in order until the modem accepts one. {port_speed} in a command of FixedSpeed stands for the
// speed of the serial port.
type Profile struct {
	Name    string `toml:"name"`
	Extends string `toml:"extends"` // the family whose keys hold where this one gives none

	// What the family is recognised by; * stands for anything, case does not matter.
	USB  []string `toml:"usb"`  // vendor:product in hexadecimal
	Says []string `toml:"says"` // whole lines of what the modem says of itself

	Reset        string     `toml:"reset"`         // back to the factory profile
	Base         string     `toml:"base"`          // verbose results without echo; a modem that refuses it is not used
	Init         []string   `toml:"init"`          // refused ones are taken apart, and what remains refused is logged
	Optional     []string   `toml:"optional"`      // refused ones do not matter
	Flow         []string   `toml:"flow"`          // RTS/CTS flow control: alternatives
	ErrorControl []string   `toml:"error_control"` // error control and compression if the caller has them: alternatives
	FixedSpeed   []string   `toml:"fixed_speed"`   // the serial port keeps its speed whatever the connection's is: alternatives
	Rings        []string   `toml:"rings"`         // tell the cadence of the ring: alternatives; given only where it matters
	CallerID     []string   `toml:"caller_id"`     // caller identification: alternatives; given last, for some modems forget it
	RepeatCaller []string   `toml:"repeat_caller"` // tell the last caller again: alternatives
	Identify     []string   `toml:"identify"`      // alternatives, the first one with something to say names the equipment
	EscapeOff    string     `toml:"escape_off"`    // no sequence in the data leaves data state
	EscapeOn     string     `toml:"escape_on"`     // +++ does
	Answer       string     `toml:"answer"`
	DialTone     string     `toml:"dial_tone"`  // the number follows
	DialPulse    string     `toml:"dial_pulse"` // the number follows
	Subaddress   string     `toml:"subaddress"` // follows the number, with {subaddress}; "": the equipment cannot send one
	HangUp       string     `toml:"hang_up"`    // in command state
	OffHook      string     `toml:"off_hook"`   // makes the line busy
	Cap          []Cap      `toml:"cap"`
	Diagnostics  []string   `toml:"diagnostics"` // asked after each call: what the modem says of it goes into call records
	Protocol     []Protocol `toml:"protocol"`
	Numbers      []string   `toml:"numbers"` // a terminal adapter takes calls for its numbers: see Listen

	// LineSpeed: the number of a bare CONNECT is the speed of the telephone line even if it looks like that of a
	// serial port.
	LineSpeed bool `toml:"line_speed"`
}

// Cap is a command that bounds the speed of the telephone line. {speed} in it stands for the speed, {step} for its
// place among Speeds, from 1.
type Cap struct {
	Speeds  []uint32 `toml:"speeds"` // bits per second, growing
	Command string   `toml:"command"`
}

// Protocol is how a terminal adapter is told what to speak on the B channel.
type Protocol struct {
	Name     string   `toml:"name"`     // one of ProtocolNames
	Commands []string `toml:"commands"` // alternatives
}

// ProtocolNames are the protocols of the B channel: conversion of asynchronous to synchronous PPP, transparent HDLC, X.75, V.120, V.110, or a
// modem in the adapter.
var ProtocolNames = []string{"ppp", "hdlc", "x75", "v120", "v110", "modem"}

// Select returns the commands for a protocol, alternatives; nil if the family has none.
func (p Profile) Select(protocol string) []string {
	for _, one := range p.Protocol {
		if one.Name == protocol {
			return one.Commands
		}
	}
	return nil
}

// Has says whether the family has commands for a protocol.
func (p Profile) Has(protocol string) bool { return p.Select(protocol) != nil }

// Listen returns the commands by which the adapter takes calls for its numbers, of which there is one at least. A command with {number}, and {index}
// from 0, is given for each; one with {first} or {numbers}, which are separated by semicolons, is given once.
func (p Profile) Listen(numbers []string) (commands []string) {
	once := strings.NewReplacer("{first}", numbers[0], "{numbers}", strings.Join(numbers, ";"))
	for _, c := range p.Numbers {
		if !strings.Contains(c, "{number}") {
			commands = append(commands, once.Replace(c))
			continue
		}
		for i, number := range numbers {
			commands = append(commands, strings.NewReplacer("{number}", number, "{index}", strconv.Itoa(i)).Replace(c))
		}
	}
	return commands
}

// Called returns what is dialed for a number and a subaddress ("": none); false if the family cannot send one.
func (p Profile) Called(number, subaddress string) (digits string, ok bool) {
	if subaddress == "" {
		return number, true
	}
	return number + strings.ReplaceAll(p.Subaddress, "{subaddress}", subaddress), p.Subaddress != ""
}

// CapAt returns the command that keeps connections at or below a speed, in bits per second; "" if the family has none
// for it.
func (p Profile) CapAt(limit uint32) string {
	var best uint32
	var command string
	for _, c := range p.Cap {
		for i, speed := range c.Speeds {
			if speed > best && speed <= limit {
				best = speed
				command = strings.NewReplacer("{speed}", strconv.Itoa(int(speed)), "{step}", strconv.Itoa(i+1)).Replace(c.Command)
			}
		}
	}
	return command
}

// Fixed returns FixedSpeed for a serial port of that speed.
func (p Profile) Fixed(speed int) []string {
	commands := make([]string, len(p.FixedSpeed))
	for i, c := range p.FixedSpeed {
		commands[i] = strings.ReplaceAll(c, "{port_speed}", strconv.Itoa(speed))
	}
	return commands
}

// CheckCommand says what is wrong with a command line.
func CheckCommand(command string) error {
	if len(command) < 2 || !strings.EqualFold(command[:2], "AT") {
		return fmt.Errorf("%q does not begin with AT", command)
	}
	if len(command) > 120 || at.Printable(command, 120) != command {
		return fmt.Errorf("%q is longer than 120 characters or has some that are not printable", command)
	}
	return nil
}

// check tells fail what is wrong with the profile, by key.
func (p Profile) check(fail func(key string, err error)) {
	commands := func(key string, lines ...string) {
		for _, l := range lines {
			if err := CheckCommand(l); err != nil {
				fail(key, err)
			}
		}
	}
	commands("reset", p.Reset)
	commands("base", p.Base)
	commands("init", p.Init...)
	commands("optional", p.Optional...)
	commands("flow", p.Flow...)
	commands("error_control", p.ErrorControl...)
	commands("fixed_speed", p.FixedSpeed...)
	commands("rings", p.Rings...)
	commands("caller_id", p.CallerID...)
	commands("repeat_caller", p.RepeatCaller...)
	commands("identify", p.Identify...)
	commands("escape_off", p.EscapeOff)
	commands("escape_on", p.EscapeOn)
	commands("answer", p.Answer)
	commands("dial_tone", p.DialTone)
	commands("dial_pulse", p.DialPulse)
	commands("hang_up", p.HangUp)
	commands("off_hook", p.OffHook)
	commands("numbers", p.Numbers...)
	commands("diagnostics", p.Diagnostics...)
	if p.Subaddress != "" && (!strings.Contains(p.Subaddress, "{subaddress}") || at.Printable(p.Subaddress, 40) != p.Subaddress) {
		fail("subaddress", fmt.Errorf("%q is not a text of at most 40 printable characters with {subaddress} in it", p.Subaddress))
	}
	for i, one := range p.Protocol {
		key := fmt.Sprintf("protocol[%d]", i)
		if !slices.Contains(ProtocolNames, one.Name) {
			fail(key+".name", fmt.Errorf("%q is none of %s", one.Name, strings.Join(ProtocolNames, ", ")))
		}
		commands(key+".commands", one.Commands...)
	}
	for i, c := range p.Cap {
		key := fmt.Sprintf("cap[%d]", i)
		commands(key+".command", c.Command)
		for j, speed := range c.Speeds {
			if speed == 0 || j > 0 && speed <= c.Speeds[j-1] {
				fail(key+".speeds", fmt.Errorf("%d: speeds must grow", speed))
			}
		}
	}
	for _, id := range p.USB {
		vendor, product, ok := strings.Cut(id, ":")
		if !ok || !isHex(vendor) || product != "*" && !isHex(product) {
			fail("usb", fmt.Errorf("%q is not vendor:product in four hexadecimal digits each, or vendor:*", id))
		}
	}
	for _, text := range p.Says {
		if strings.Trim(text, "* ") == "" {
			fail("says", fmt.Errorf("%q matches everything", text))
		}
	}
}

func isHex(s string) bool {
	_, err := strconv.ParseUint(s, 16, 16)
	return err == nil && len(s) == 4
}
