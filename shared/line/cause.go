package line

import (
	"fmt"
	"strconv"
	"strings"
)

// Cause says why a call ended or a line is down: a code for programs, a text
// for people and, where the network gave one, the cause of Q.850.
type Cause struct {
	Code CauseCode
	Q850 uint8  // cause value of ITU-T Q.850; 0 if there is none
	Text string // what the device or the system said, printable ASCII; may be empty
}

// String returns the cause for a log line.
func (c Cause) String() string {
	s := c.Code.String()
	if c.Q850 != 0 {
		s += " (Q.850 " + strconv.Itoa(int(c.Q850)) + ")"
	}
	if c.Text != "" {
		s += ": " + c.Text
	}
	return s
}

// CauseCode enumerates causes. The values are part of the contract; unknown
// ones must be treated as CauseUnknown.
type CauseCode uint8

// Cause codes.
const (
	CauseUnknown      CauseCode = iota
	CauseCarrierLost            // the far side hung up or the connection broke
	CauseNoCarrier              // no connection came about
	CauseBusy                   // called party busy
	CauseNoAnswer               // called party did not answer
	CauseNoDialtone             // the line is dead, in use, or the network has no circuit
	CauseNotAllowed             // the device or the network forbids it, now (redial limits) or for good; or the speed is outside the bounds
	CauseBadNumber              // no such number
	CauseNotData                // a voice or a fax answered
	CauseTimeout                // a time limit of the driver ran out
	CauseHangup                 // the host asked for it
	CauseCallerGaveUp           // the caller hung up before the answer
	CauseRejected               // the host rejected the call
	CauseDevice                 // the device vanished, or reading or writing it fails
	CauseUnresponsive           // the device does not answer commands
	CauseShutdown               // the line was shut down
	CauseDriver                 // the driver's process died or hangs
	CauseNotSupported           // the bearer or service of the call cannot be handled
	CauseNetwork                // the telephone network failed
	CauseMaintenance            // the operator does something with the line
)

var causeNames = [...]string{
	CauseUnknown: "unknown", CauseCarrierLost: "carrier-lost", CauseNoCarrier: "no-carrier", CauseBusy: "busy",
	CauseNoAnswer: "no-answer", CauseNoDialtone: "no-dialtone", CauseNotAllowed: "not-allowed",
	CauseBadNumber: "bad-number", CauseNotData: "not-data", CauseTimeout: "timeout", CauseHangup: "hangup",
	CauseCallerGaveUp: "caller-gave-up", CauseRejected: "rejected", CauseDevice: "device",
	CauseUnresponsive: "unresponsive", CauseShutdown: "shutdown", CauseDriver: "driver",
	CauseNotSupported: "not-supported", CauseNetwork: "network", CauseMaintenance: "maintenance",
}

// String returns the name of the code.
func (c CauseCode) String() string { return enumName(causeNames[:], int(c), "cause") }

// MarshalText returns the name of the code.
func (c CauseCode) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText accepts what MarshalText produced, numbers of codes unknown
// to this version included.
func (c *CauseCode) UnmarshalText(text []byte) error {
	n, err := enumValue(causeNames[:], string(text), "cause")
	*c = CauseCode(n)
	return err
}

// enumName names value i of an enumeration, or numbers it if it has no name.
func enumName(names []string, i int, noun string) string {
	if i < len(names) && names[i] != "" {
		return names[i]
	}
	return noun + "-" + strconv.Itoa(i)
}

// enumValue is the inverse of enumName for enumerations of 8 bits.
func enumValue(names []string, name, noun string) (uint8, error) {
	for i, n := range names {
		if n == name && n != "" {
			return uint8(i), nil
		}
	}
	if rest, ok := strings.CutPrefix(name, noun+"-"); ok {
		if n, err := strconv.ParseUint(rest, 10, 8); err == nil {
			return uint8(n), nil
		}
	}
	return 0, fmt.Errorf("line: unknown %s %q", noun, name)
}
