// Package lab brings a whole Trunkline up on one machine, without hardware, configuration or privileges: pns, pac, a telephone exchange
// with virtual modems and a caller, each as a process of the programs that an operator would run.
//
// Everything lives in a network, a PID and a mount namespace of its own, and in a user namespace where the lab was not started by root.
// Process 1 of the PID namespace is Init, which Launch starts by executing the program again. When process 1 ends, for whatever reason,
// the kernel kills everything else in there; when Launch's process ends, process 1 does. All files lie in a tmpfs over /run that only the
// mount namespace sees. So nothing can stay behind, whoever is killed.
//
// The package starts commands and reads what they say: JSON logs, call records, the caller's events. It imports nothing of what they do.
package lab

import (
	"errors"
	"fmt"
	"time"
)

// Options are what the lab is told.
type Options struct {
	Lines      int    `json:"lines"`   // that answer, under 1001, 1002, ... and all of them under 1000
	Phones     int    `json:"phones"`  // for callers, under 2001, 2002, ...
	ISDN       int    `json:"isdn"`    // terminal adapters that answer, under 4001, 4002, ... and 4000, and as many for callers, under 5001, 5002, ...
	Dialect    string `json:"dialect"` // of those adapters, as `pac exchange --isdn-dialect` has it; empty: elsa
	Impair     string `json:"impair"`  // what the phones' lines are like, as `pac exchange --impair` has it; empty: clean
	Seed       string `json:"seed"`    // of the lines' errors; empty: random
	Once       bool   `json:"once"`    // end after the built-in call
	WithParent bool   `json:"-"`       // end when the parent process does
	Number     string `json:"number"`  // whom the built-in call dials
	Password   string `json:"password"`
}

// The lab's fixed names and addresses.
const (
	User       = "demo"         // the only user
	Password   = "demo"         // of User
	HuntNumber = "1000"         // all lines
	isdnNumber = "4000"         // all terminal adapters that answer
	cleanLines = "clean"        // Options.Impair: lines that do no harm
	maxLines   = 500            // of each kind; the number plan has room for 999
	pnsAddress = "127.0.0.2"    // each daemon needs one of its own: both read GRE from raw sockets
	pacAddress = "127.0.0.1"    //
	innerPNS   = "10.97.0.1"    // pns inside the calls
	pool       = "10.97.0.0/16" //
)

// The lab's files, as they are called inside.
const (
	runDir      = "/run/trunkline"
	linesDir    = runDir + "/lines"
	binDir      = runDir + "/bin"
	tmpDir      = runDir + "/tmp"
	pnsConfig   = runDir + "/pns.toml"
	pacConfig   = runDir + "/pac.toml"
	usersFile   = runDir + "/users.toml"
	pacSocket   = runDir + "/pac.sock"
	pnsSocket   = runDir + "/pns.sock"
	pacRecords  = runDir + "/pac-calls.jsonl"
	pnsRecords  = runDir + "/pns-calls.jsonl"
	wvdialFile  = runDir + "/wvdial.conf"
	shellFile   = runDir + "/shell"
	directory   = linesDir + "/directory.json"
	initCommand = "lab-init"
)

// The lab's time limits.
const (
	readyLimit  = 30 * time.Second // for a daemon to be ready
	idleLimit   = 60 * time.Second // for all lines to be idle after that
	recordLimit = 5 * time.Second  // for both call records after the caller's end
	stopLimit   = 30 * time.Second // for process 1 to end when it is asked to; its own limits add up to less
)

// InitCommand is the name of the command that Launch has the program executed with; it must call Init.
const InitCommand = initCommand

// check fills in what was left out and refuses what cannot be.
func (o *Options) check() error {
	if o.Number == "" {
		o.Number = HuntNumber
	}
	if o.Password == "" {
		o.Password = Password
	}
	if o.Dialect == "" {
		o.Dialect = "elsa"
	}
	if o.Impair == "" {
		o.Impair = cleanLines
	}
	switch {
	case o.Lines < 1 || o.Lines > maxLines:
		return fmt.Errorf("--lines %d is not between 1 and %d", o.Lines, maxLines)
	case o.Phones < 1 || o.Phones > maxLines:
		return fmt.Errorf("--phones %d is not between 1 and %d", o.Phones, maxLines)
	case o.ISDN < 0 || o.ISDN > maxLines:
		return fmt.Errorf("--isdn %d is not between 0 and %d", o.ISDN, maxLines)
	}
	return nil
}

// ErrUsage is wrapped by errors about the Options.
var ErrUsage = errors.New("wrong usage")
