// Package office is the telephone network of the lab as one pure machine: the
// switch, a modem on each line, and the circuits of the calls between them.
//
//	client octets -> modem -> circuit -> modem -> client octets
//	                   \-> switch (numbers, ringing, clearing)
//
// Time comes in with each input; effects are drained by Actions; Deadline says
// when Tick is due. All that changes is one State. With the same seed and the
// same inputs at the same times it does the same things, octet for octet. An
// Office is owned by one goroutine.
package office

import (
	"errors"
	"fmt"
	"time"

	"trunkline.example/modem/exchange/hayes"
	"trunkline.example/modem/exchange/plan"
)

// Speeds of the telephone lines, in bits per second.
const (
	DefaultRate = 33600
	Unlimited   = -1
)

// Config describes an office; zero values give the defaults named.
type Config struct {
	Lines    []Line
	Hunts    []Hunt
	Busy     string // number that is always busy; empty: none
	NoAnswer string // number that nobody answers; empty: none
	Reorder  string // number that the network has no way to; empty: none
	Timing   plan.Timing
	Training Training
	Latency  time.Duration // one way, of every call
	Step     time.Duration // data moves at multiples of it; 5 ms; negative: exact to the octet
	Seed     [32]byte      // of all that is random
}

// Line is one subscriber: a telephone line with a modem on it, or an ISDN line
// with a terminal adapter, if Modem.Adapter says so. Transmit, Receive and
// NoErrorControl are a modem's; an adapter has what its protocol has.
type Line struct {
	Name           string   // unique; names the port
	Number         string   // unique digits
	Numbers        []string // further ones of the same line (MSN)
	Subscriber     string   // name told with its calls; may be empty
	Withhold       bool     // its number and name are not told
	CallWaiting    bool     // a caller while it is in a call rings on, and each ring disturbs the call
	Transmit       int      // bits per second its modem sends at most; 0: DefaultRate; Unlimited both ways also frees the serial side
	Receive        int      // and receives
	NoErrorControl bool     // its modem has none
	Latency        time.Duration
	Trouble        Trouble
	Modem          hayes.Config
}

// Digital says whether the line is a B channel.
func (l Line) Digital() bool { return l.Modem.Adapter != hayes.NoAdapter }

// Speed is what it receives at best, in bits per second; 0: without limit.
func (l Line) Speed() int {
	if l.Digital() {
		return hayes.BChannel
	}
	return max(l.Receive, 0)
}

// Hunt is a number that rings the first free one of its lines, in order.
type Hunt struct {
	Number string
	Lines  []string // names
}

// Training is what happens between the answer and CONNECT.
type Training struct {
	Time        time.Duration // 500 ms; negative: none
	Spread      float64       // 0.1: from 90 % to 110 % of Time; negative: none
	FailureRate float64       // probability that the modems find no carrier
	Digital     time.Duration // instead of Time between terminal adapters, without the rest; 300 ms; negative: none
}

func (c Config) withDefaults() Config {
	if c.Training.Time == 0 {
		c.Training.Time = 500 * time.Millisecond
	}
	if c.Training.Spread == 0 {
		c.Training.Spread = 0.1
	}
	if c.Training.Digital == 0 {
		c.Training.Digital = 300 * time.Millisecond
	}
	if c.Step == 0 {
		c.Step = 5 * time.Millisecond
	}
	lines := make([]Line, len(c.Lines))
	for i, l := range c.Lines {
		if l.Transmit == 0 {
			l.Transmit = DefaultRate
		}
		if l.Receive == 0 {
			l.Receive = DefaultRate
		}
		l.Modem.Step = c.Step
		l.Modem.Unpaced = l.Modem.Unpaced || l.Transmit < 0 && l.Receive < 0 && !l.Digital()
		lines[i] = l
	}
	c.Lines = lines
	return c
}

// numbers returns the switch's view of the configuration.
func (c Config) numbers() (plan.Config, error) {
	p := plan.Config{Busy: c.Busy, NoAnswer: c.NoAnswer, Reorder: c.Reorder, Timing: c.Timing}
	index := map[string]int{}
	for i, l := range c.Lines {
		if l.Name == "" {
			return p, fmt.Errorf("office: line %d has no name", i)
		}
		if j, dup := index[l.Name]; dup {
			return p, fmt.Errorf("office: lines %d and %d are both named %s", j, i, l.Name)
		}
		index[l.Name] = i
		p.Lines = append(p.Lines, plan.Line{Number: l.Number, Numbers: l.Numbers, Name: l.Subscriber, Digital: l.Digital(), Withhold: l.Withhold, CallWaiting: l.CallWaiting})
	}
	for _, h := range c.Hunts {
		hunt := plan.Hunt{Number: h.Number}
		for _, name := range h.Lines {
			i, known := index[name]
			if !known {
				return p, fmt.Errorf("office: hunt group %s: there is no line named %q", h.Number, name)
			}
			hunt.Lines = append(hunt.Lines, i)
		}
		p.Hunts = append(p.Hunts, hunt)
	}
	return p, nil
}

// Errors of the commands.
var (
	ErrNoLine = errors.New("no such line")
	ErrNoCall = errors.New("the line has no call that is up")
)

// Action is an effect outside the office.
type Action interface{ action() }

// DropClient says that the carrier of a line is gone, that its client asked to
// be told by its port (AT&C1), and that all octets for it have been taken.
type DropClient struct{ Line int }

// CallRinging says that a call has been placed.
type CallRinging struct {
	Caller, Callee int
	Dialed         string
}

// CallUp says that two modems have connected.
type CallUp struct{ Call CallStatus }

// CallEnded says that a call is over, connected or not.
type CallEnded struct{ Call CallStatus }

func (DropClient) action()  {}
func (CallRinging) action() {}
func (CallUp) action()      {}
func (CallEnded) action()   {}
