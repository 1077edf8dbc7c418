// Package linetest checks that a driver keeps the contract of package line,
// and holds an in-memory driver, Fake, for tests of hosts.
//
// The suite needs one line of the driver and somebody at the other end of the
// telephone: a FarEnd. It uses no sleeps and no times of its own except a
// generous limit for each wait, so it runs on real devices, over process
// boundaries and, case by case, inside a synctest bubble.
package linetest

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"trunkline.example/shared/line"
)

// Wait is how long the suite waits for anything before it fails.
const Wait = 60 * time.Second

// Caller is who calls the line. A driver whose capabilities exclude the
// numbers need not report them.
type Caller struct {
	Number string
	Name   string
	Dialed string // number the caller dialed
}

// Outcome is what becomes of a number that the line dials.
type Outcome uint8

// Outcomes.
const (
	OutcomeConnect Outcome = iota
	OutcomeBusy
	OutcomeNoAnswer // the network ends the attempt
	OutcomeNoCarrier
	OutcomeNoDialtone
	OutcomeUnanswered // rings until the line gives up
)

// FarEnd is the telephone network and the party at its other end. One test
// goroutine uses it at a time. Every wait ends with ctx.
type FarEnd interface {
	// Ring calls the line; it rings until it answers or GiveUp is called.
	Ring(ctx context.Context, from Caller) error
	// GiveUp hangs up before the line has answered.
	GiveUp(ctx context.Context) error
	// Plan sets what becomes of the next number the line dials.
	Plan(ctx context.Context, outcome Outcome) error
	// Dialed waits until the line has dialed and returns the number.
	Dialed(ctx context.Context) (string, error)
	// Connected waits until the data path of the call is up at this end.
	Connected(ctx context.Context) error
	// Send sends data to the line; it waits while the line takes nothing.
	Send(ctx context.Context, data []byte) error
	// Receive waits for exactly n octets from the line.
	Receive(ctx context.Context, n int) ([]byte, error)
	// HangUp ends the call at this end: the carrier is gone.
	HangUp(ctx context.Context) error
	// Released waits until the line has hung up its end.
	Released(ctx context.Context) error
}

// Fixture is one driver under test with one line.
type Fixture struct {
	Driver  line.Driver
	Section line.Section // opens exactly one line
	Far     FarEnd
	// Number is one that the line may dial; "5550100" if empty.
	Number string
}

// Factory makes a fresh fixture; it cleans up with t.Cleanup.
type Factory func(t *testing.T) Fixture

// Case is one test of the suite.
type Case struct {
	Name  string
	needs func(line.Capabilities) bool
	run   func(*bench)
}

// Run runs every case against the driver, each with a fixture of its own.
func Run(t *testing.T, factory Factory) {
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, factory) })
	}
}

// Run runs one case and checks that the driver leaves no goroutine behind. What
// the driver's capabilities exclude, the case checks to be refused instead.
func (c Case) Run(t *testing.T, factory Factory) {
	ignore := goleak.IgnoreCurrent()
	// Registered first, so run last: after the clean-up of the factory.
	t.Cleanup(func() {
		if err := goleak.Find(ignore); err != nil {
			t.Errorf("left behind: %v", err)
		}
	})
	f := factory(t)
	if f.Number == "" {
		f.Number = "5550100"
	}
	b := newBench(t, f)
	if caps := f.Driver.Info().Capabilities; c.needs != nil && !c.needs(caps) {
		b.refused(caps)
	} else {
		c.run(b)
	}
	b.finish()
}
