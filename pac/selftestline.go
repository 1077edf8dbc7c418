package pac

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"trunkline.example/pac/selftest"
	"trunkline.example/shared/line"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/record"
)

var (
	errNotFree  = errors.New("it is not free")
	errDisabled = errors.New(disabledWhy)
)

// quarantinedWhy is the reason of a call that is refused by a line in quarantine.
const quarantinedWhy = "the line has failed its self-tests"

// outOfService is why the line takes no calls; empty: it does.
func (o *owner) outOfService() string {
	switch {
	case o.disabled:
		return disabledWhy
	case o.quarantined:
		return quarantinedWhy
	}
	return ""
}

// testable says why the line cannot be tested now. An operator may have one tested that he has disabled.
func (o *owner) testable(byHand bool) error {
	var err error
	switch {
	case o.call != nil || o.reserved != nil || o.waiting != nil || o.status.State != line.StateIdle:
		err = errNotFree
	case o.disabled && !byHand:
		err = errDisabled
	default:
		return nil
	}
	return fmt.Errorf("line %s cannot be tested: %w", o.identity.Name, err)
}

// reserve keeps the line free for the answer of a self-test.
func (o *owner) reserve(e *testEnd) error {
	err := o.testable(e.test.byHand)
	if err == nil {
		o.reserved = e
	}
	return err
}

// release ends that.
func (o *owner) release(e *testEnd) {
	if o.reserved == e {
		o.reserved = nil
	}
}

// dialTest makes the call of a self-test, unless the other line has rung meanwhile.
func (o *owner) dialTest(e *testEnd) error {
	if err := o.testable(e.test.byHand); err != nil {
		return err
	}
	if !e.test.phase.CompareAndSwap(testWaiting, testDialing) {
		return fmt.Errorf("line %s cannot be tested: %w: it was called by somebody else", e.other.name(), errNotFree)
	}
	number, err := o.dialNumber(e)
	if err != nil {
		e.test.phase.Store(testTaken) // whoever calls the other line now, or has done so since, is somebody else
		return err
	}
	c := o.beginTest(e, number, line.Ringing{})
	c.stage = stageDialing
	c.deadline = c.began.Add(o.server.config().Timers.Connect + testAnswer + testSlack)
	o.schedule(c.deadline)
	c.log.Info("dialing for a self-test", zap.String(logging.KeyDialed, c.called), zap.String("with", e.other.name()))
	return nil
}

// dialNumber has the line dial, as far as the budget goes.
func (o *owner) dialNumber(e *testEnd) (line.Call, error) {
	if err := o.server.tests.budget.take(time.Now(), e.test.settings.CallsPerHour); err != nil {
		return 0, notNow{err}
	}
	ctx, cancel := lineCommand()
	defer cancel()
	number, err := o.line.Dial(ctx, line.DialRequest{Number: e.test.number})
	switch {
	case errors.Is(err, line.ErrBusy): // it rings, and has not said so yet
		return 0, fmt.Errorf("line %s cannot be tested: %w", o.identity.Name, errNotFree)
	case err != nil:
		return 0, fmt.Errorf("line %s does not dial %s: %w", o.identity.Name, e.test.number, err)
	}
	return number, nil
}

func (o *owner) beginTest(e *testEnd, number line.Call, r line.Ringing) *call {
	o.tests++
	c := &call{kind: record.KindSelfTest, number: number, ringing: r, began: time.Now(), called: e.test.number, test: e}
	c.id, c.serial = o.server.nextCall()
	c.log = o.log.With(zap.String(logging.KeyCall, c.id))
	o.call = c
	return c
}

// expected returns the self-test for which the line rings. If somebody else calls a line that is kept free for one, he has it.
func (o *owner) expected(r line.Ringing) *testEnd {
	e := o.reserved
	if e == nil {
		return nil
	}
	o.reserved = nil
	if !e.test.phase.CompareAndSwap(testWaiting, testTaken) && e.test.phase.Load() == testDialing && e.showsCaller(r.Dialing) {
		return e
	}
	e.test.phase.Store(testTaken)
	e.tell(testNews{taken: true})
	return nil
}

// failReserved ends the self-test that waits for the line, which is down.
func (o *owner) failReserved(cause line.Cause) {
	if e := o.reserved; e != nil {
		o.reserved = nil
		e.tell(testNews{down: &cause})
	}
}

// leastShown is how many digits of a number must agree, where one of the two has more of it.
const leastShown = 3

// showsCaller says whether the number that the line shows can be the calling line's. None at all can.
func (e *testEnd) showsCaller(shown string) bool {
	own := strings.TrimLeft(e.other.owner.identity.Number, "+")
	if shown == "" || own == "" {
		return true
	}
	for _, id := range append([]string{own}, e.test.settings.CallerIDs...) {
		if shown == id || min(len(shown), len(id)) >= leastShown && (strings.HasSuffix(shown, id) || strings.HasSuffix(id, shown)) {
			return true
		}
	}
	return false
}

// answerTest answers the call of a self-test.
func (o *owner) answerTest(e *testEnd, number line.Call, r line.Ringing) {
	c := o.beginTest(e, number, r)
	e.tell(testNews{rang: true})
	o.answer(c)
}

// testConnected begins the traffic.
func (o *owner) testConnected(c *call) {
	e := c.test
	t := selftest.Start(selftest.Config{
		Line: o.line, Framing: c.line.Framing, Speed: c.line.TxSpeed, Token: e.test.token, Caller: e == e.test.caller, Tap: o.traceFrame(o.about(c)),
	})
	c.stage, c.data, e.traffic = stageTesting, t, t
	c.deadline = c.connected.Add(o.server.config().Timers.Connect + testAnswer + testHear + e.test.settings.Duration + testArrive + testSlack)
	o.schedule(c.deadline)
	e.tell(testNews{up: &testUp{connected: c.line, traffic: t}})
}

// adoption is what became of the call of the line that answers a self-test, when somebody else may have called it.
type adoption uint8

const (
	nobodys    adoption = iota // there is none
	handedOver                 // it is a caller's
	unheard                    // it is up, and nothing has been heard that tells
)

// adopt makes the call that the line has answered for a self-test that of a caller who came instead: network servers are asked for it,
// though it is up already, or as soon as it is. PPP repeats what was not answered (RFC 1661 section 4.6).
func (o *owner) adopt(e *testEnd) adoption {
	c := o.call
	switch {
	case c == nil || c.test != e || c.stage != stageTesting && c.stage != stageAnswering:
		return nobodys
	case c.stage == stageTesting && !e.traffic.Strange():
		return unheard
	}
	o.stopData(c)
	e.test.phase.Store(testTaken)
	c.log = c.log.With(zap.Uint16(logging.KeyCallSerial, c.serial))
	c.log.Info("the call that was answered for a self-test is a caller's")
	c.kind, c.test, c.data = record.KindIncoming, nil, nil
	o.calls++
	o.tests--
	c.called = calledNumber(*o.server.config(), o.identity.Name, c.ringing.Dialed, o.identity.Number)
	if c.stage == stageTesting {
		c.stage = stageOffering
		o.route(c)
	}
	return handedOver
}

// settle: the test is over. It returns whether the line has still something to say of it.
func (o *owner) settle(e *testEnd) bool {
	o.release(e)
	if c := o.call; c != nil && c.test == e {
		if c.stage != stageEnding {
			c.ending = testEnding
		}
		return true
	}
	return o.unwritten != nil && o.unwrittenTest == e
}

// testEnding is the same at both ends, whoever hangs up first.
var testEnding = ending{by: bySelf, reason: "the self-test is over"}

// endTest hangs up.
func (o *owner) endTest(e *testEnd) {
	if c := o.call; c != nil && c.test == e {
		o.end(c, testEnding)
	}
}

// testOver is the end of a test's call.
func (o *owner) testOver(c *call, cause line.Cause) {
	e := c.test
	e.facts = e.blank()
	if e.traffic != nil {
		e.facts.connection(c.line)
		e.facts.counters(e.traffic.Counters())
	}
	e.facts.Reason, e.facts.LineErrors = c.ending.reason, lineErrors(c.counters)
	e.tell(testNews{over: &testOver{ending: c.ending, cause: cause, errors: e.facts.LineErrors}})
}

// freed: the line of a test's call, whose record is complete but for the verdict, is free or down.
func (o *owner) freed(e *testEnd, r *record.Record) {
	if cause := o.status.Cause; o.status.State == line.StateDown || o.status.State == line.StateClosed {
		e.tell(testNews{down: &cause})
	} else {
		e.tell(testNews{free: true})
	}
	e.record = r
	if e.verdict != nil {
		o.keepTested(e)
	} else {
		o.unjudged = append(o.unjudged, e)
	}
}

// keepTested writes the record of a test's call.
func (o *owner) keepTested(e *testEnd) {
	if e.record == nil {
		return
	}
	if e.verdict == nil {
		e.verdict = &e.facts
	}
	e.verdict.fill(e.record)
	o.keep(e.record)
	e.record = nil
	o.unjudged = slices.DeleteFunc(o.unjudged, func(one *testEnd) bool { return one == e })
}

// keepUnjudged writes the records that no test will judge any more.
func (o *owner) keepUnjudged() {
	for _, e := range slices.Clone(o.unjudged) {
		o.keepTested(e)
	}
}

// judge keeps what a test says about the line, and acts on it.
func (o *owner) judge(e *testEnd, r SelfTestResult) {
	if e.verdict != nil {
		return
	}
	e.verdict = &r
	o.keepTested(e)
	told := []zap.Field{zap.String("with", r.With), zap.String("role", r.Role), zap.String("grade", string(r.Grade)), zap.String(logging.KeyReason, r.Reason)}
	if r.Grade == "" {
		o.log.Info("the self-test was not carried out", told...)
		return
	}
	s := &SelfTestStatus{SelfTestResult: r}
	if r.Grade.Passes(e.test.settings.Minimum) {
		o.log.Info("self-test", told...)
		if o.quarantined {
			o.quarantined = false
			o.log.Info("the line takes calls again")
		}
	} else {
		if s.Failures = 1; o.tested != nil {
			s.Failures += o.tested.Failures
		}
		o.log.Warn("self-test failed", append(told, zap.Int("failures", s.Failures))...)
		if most := e.test.settings.Quarantine; most > 0 && s.Failures >= most && e.sound && !o.quarantined {
			o.quarantined = true
			o.log.Error("the line takes no more calls until it passes a self-test, or an operator enables it")
		}
	}
	o.tested = s
}
