package modem

import (
	"fmt"
	"strings"
	"time"

	"trunkline.example/modem/at"
)

// Profile is what has to be known of a family of modems. Every string is one
// command line with its AT.
type Profile struct {
	Name     string
	Reset    string   // back to the factory profile
	Base     string   // verbose results without echo; a modem that refuses it is not used
	Init     []string // refused ones are taken apart, and what remains refused is logged
	Optional []string // refused ones do not matter
	Flow     []string // RTS/CTS flow control: alternatives, the first accepted one counts
	CallerID []string // caller identification: alternatives
	Identify []string // alternatives, the first one with something to say counts
	// LineSpeed: the number of a bare CONNECT is the speed of the telephone
	// line even if it looks like that of a serial port.
	LineSpeed bool
}

// generic suits any modem that is near enough to V.250 to answer a call.
var generic = Profile{
	Name:     "generic",
	Reset:    "AT&F",
	Base:     "ATE0Q0V1X4",
	Init:     []string{"AT&C1&D2"},
	Optional: []string{"AT+FCLASS=0"},
	Flow:     []string{"AT+IFC=2,2", "AT&K3"},
	CallerID: []string{"AT+VCID=1", "AT#CID=1"},
	Identify: []string{"AT+GMM", "ATI3", "ATI"},
}

var profiles = map[string]Profile{generic.Name: generic}

// s7 is the most a modem can be told to wait for the carrier.
const s7 = 255 * time.Second

// registers returns the line that sets the S registers as the driver needs
// them: no answer by itself, the wait for the carrier, and whether +++ means
// anything. The caller's data must not be able to hang up the modem with it, so
// it means nothing unless it is the only way to hang up (S2 of 128 and above
// disables it; CVE-1999-1228).
func (c *Config) registers() (required, optional string) {
	wait := uint8(min(c.AnswerTimeout, s7) / time.Second)
	escape := uint8(128)
	if c.Escape {
		escape = '+'
	}
	return "ATS0=0S7=" + fmt.Sprint(wait), at.Register(2, escape)
}

// checkCommand says what is wrong with a configured command line.
func checkCommand(command string) error {
	if len(command) < 2 || !strings.EqualFold(command[:2], "AT") {
		return fmt.Errorf("%q does not begin with AT", command)
	}
	if len(command) > 120 || at.Printable(command, 120) != command {
		return fmt.Errorf("%q is longer than 120 characters or has some that are not printable", command)
	}
	return nil
}
