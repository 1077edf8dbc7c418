// Package exchange is the telephone network of the lab: virtual Hayes modems on
// pseudo-terminals and Unix sockets, a number plan, and calls between them with
// the speed, the delays and the errors of telephone lines.
//
// A directory holds what clients need:
//
//	DIR/line1        symbolic link to the pseudo-terminal of line1; open it as a serial port
//	DIR/line1.sock   the same modem as a Unix stream socket
//	DIR/directory.json   numbers, ports and speeds of all lines (Directory)
//
// Listeners serve clients over the network besides: TCP, Telnet, RFC 2217 and
// WebSocket.
//
// Opening a port raises DTR, closing it drops DTR; one client at a time has a
// line, by whichever way came first. When a carrier is lost in data mode and the
// client's settings say that its port follows the carrier (AT&C1, and CLOCAL off
// on a pseudo-terminal), the port hangs its client up after NO CARRIER: all open
// descriptors of the terminal die, or the socket is closed. Where the process may
// not hang up terminals (TIOCVHANGUP needs CAP_SYS_ADMIN), a fresh pseudo-terminal
// takes the old one's place behind the same link.
//
// The network itself is the pure machine in package office. An Exchange owns it
// with one goroutine; all its methods are safe for concurrent use.
package exchange

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"trunkline.example/modem/exchange/circuit"
	"trunkline.example/modem/exchange/hayes"
	"trunkline.example/modem/exchange/office"
	"trunkline.example/modem/exchange/plan"
)

// Config describes an exchange.
type Config struct {
	Dir    string        // where links, sockets and the directory go; created if missing
	Office office.Config // lines, numbers, times; Seed is drawn at random if it is zero
	Ports  map[string]PortConfig
	// Listeners are where clients reach modems over the network. They need Dir.
	Listeners []Listener
	Logger    *zap.Logger // nil: none
}

// PortConfig is how a line's modem is reached; the zero value serves both a
// pseudo-terminal and a socket.
type PortConfig struct {
	NoTerminal bool // no pseudo-terminal
	NoSocket   bool
	Carrier    CarrierPolicy
}

// CarrierPolicy is what a port does when the carrier is lost in data mode, after
// the modem has said NO CARRIER.
type CarrierPolicy uint8

// The policies.
const (
	CarrierAuto   CarrierPolicy = iota // hang the client up if AT&C1, and on a terminal only if CLOCAL is off
	CarrierText                        // only say NO CARRIER
	CarrierAlways                      // hang the client up if AT&C1, whatever CLOCAL says
)

// Directory is the content of directory.json.
type Directory struct {
	Lines    []DirectoryLine `json:"lines"`
	Hunts    []DirectoryHunt `json:"hunts"`
	Busy     string          `json:"busy"`      // number that is always busy
	NoAnswer string          `json:"no_answer"` // number that nobody answers
	Reorder  string          `json:"reorder"`   // number that the network has no way to

	Listeners []DirectoryListener `json:"listeners"`
}

// DirectoryLine is one line.
type DirectoryLine struct {
	Name    string `json:"name"`
	Number  string `json:"number"`
	Port    string `json:"port"`    // the link; empty: no terminal
	Socket  string `json:"socket"`  // empty: none
	TTY     string `json:"tty"`     // what the link points to at present
	Speed   int    `json:"speed"`   // bits per second it receives at best; 0: unlimited
	Digital bool   `json:"digital"` // ISDN, with a terminal adapter
}

// DirectoryHunt is one hunt group.
type DirectoryHunt struct {
	Number string   `json:"number"`
	Lines  []string `json:"lines"` // names, in the order in which they are tried
}

// DirectoryListener is one listener.
type DirectoryListener struct {
	Address  string   `json:"address"` // where it listens, with the port that the system gave it
	Protocol string   `json:"protocol"`
	Lines    []string `json:"lines"`
	Dial     string   `json:"dial,omitempty"`
}

// ErrStopped says that the exchange does not run.
var ErrStopped = errors.New("exchange: not running")

// Lab returns the configuration of a lab: answering lines line1, line2, ... with
// the numbers 1001, 1002, ... in the hunt group 1000; phone1, phone2, ... with
// 2001, 2002, ...; 3001 is always busy, nobody answers 3002, and there is no way to 3003. Any other number
// is unassigned.
func Lab(dir string, answering, phones int) Config {
	c := Config{Dir: dir, Office: office.Config{Busy: "3001", NoAnswer: "3002", Reorder: "3003"}}
	hunt := office.Hunt{Number: "1000"}
	for i := range answering {
		name := fmt.Sprintf("line%d", i+1)
		c.Office.Lines = append(c.Office.Lines, office.Line{Name: name, Number: fmt.Sprint(1001 + i)})
		hunt.Lines = append(hunt.Lines, name)
	}
	for i := range phones {
		c.Office.Lines = append(c.Office.Lines, office.Line{
			Name: fmt.Sprintf("phone%d", i+1), Number: fmt.Sprint(2001 + i), Subscriber: fmt.Sprintf("PHONE %d", i+1),
		})
	}
	if answering > 0 {
		c.Office.Hunts = []office.Hunt{hunt}
	}
	return c
}

// AddISDN adds n answering terminal adapters isdn1, isdn2, ... with the numbers
// 4001, 4002, ... in the hunt group 4000, and as many for callers, ta1, ta2, ...
// with 5001, 5002, ...
func (c *Config) AddISDN(n int, dialect hayes.Adapter) {
	hunt := office.Hunt{Number: "4000"}
	for _, kind := range []struct {
		name  string
		first int
	}{{"isdn", 4001}, {"ta", 5001}} {
		for i := range n {
			l := office.Line{Name: fmt.Sprint(kind.name, i+1), Number: fmt.Sprint(kind.first + i)}
			l.Modem.Adapter = dialect
			c.Office.Lines = append(c.Office.Lines, l)
			if kind.name == "isdn" {
				hunt.Lines = append(hunt.Lines, l.Name)
			}
		}
	}
	if n > 0 {
		c.Office.Hunts = append(c.Office.Hunts, hunt)
	}
}

// Status returns a snapshot of lines and calls.
func (e *Exchange) Status() (s office.Status, err error) {
	err = e.call(func(now time.Time) error { s = e.office.Status(now); return nil })
	return s, err
}

// Directory returns what directory.json says.
func (e *Exchange) Directory() (d Directory, err error) {
	err = e.call(func(time.Time) error { d = e.directory(); return nil })
	return d, err
}

// Impair sets lasting damage to one direction of a line's calls, or only of the
// present one; the zero Impairment ends it. The line is given by name or number.
func (e *Exchange) Impair(line string, d office.Direction, i circuit.Impairment, callOnly bool) error {
	return e.onLine(line, func(now time.Time, n int) error { return e.office.Impair(now, n, d, i, callOnly) })
}

// Inject does damage once to one direction of a line's present call.
func (e *Exchange) Inject(line string, d office.Direction, i circuit.Injection) error {
	return e.onLine(line, func(now time.Time, n int) error { return e.office.Inject(now, n, d, i) })
}

// Cut cuts the wire of a line's call: both modems lose the carrier.
func (e *Exchange) Cut(line string) error {
	return e.onLine(line, func(now time.Time, n int) error { return e.office.Cut(now, n) })
}

// SetFault sets or clears a line's fault; an empty line means all of them.
func (e *Exchange) SetFault(line string, f plan.Fault) error {
	if line == "" {
		return e.call(func(now time.Time) error { e.office.SetFaultAll(now, f); return nil })
	}
	return e.onLine(line, func(now time.Time, n int) error { e.office.SetFault(now, n, f); return nil })
}

// Unplug takes the client's port away, as if a USB modem were unplugged, and
// gives the line a fresh one.
func (e *Exchange) Unplug(line string) error {
	return e.onLine(line, func(_ time.Time, n int) error { return e.unplug(n) })
}
