package pac

import (
	"errors"
	"fmt"
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
	case o.call != nil || o.reserved != nil || o.status.State != line.StateIdle:
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

// dialTest makes the call of a self-test.
func (o *owner) dialTest(e *testEnd) error {
	if err := o.testable(e.test.byHand); err != nil {
		return err
	}
	ctx, cancel := lineCommand()
	defer cancel()
	number, err := o.line.Dial(ctx, line.DialRequest{Number: e.test.number})
	if err != nil {
		return fmt.Errorf("line %s does not dial %s: %w", o.identity.Name, e.test.number, err)
	}
	c := o.beginTest(e, number, line.Ringing{})
	c.stage = stageDialing
	c.deadline = c.began.Add(o.server.config().Timers.Connect + testAnswer + testSlack)
	o.schedule(c.deadline)
	c.log.Info("dialing for a self-test", zap.String(logging.KeyDialed, c.called), zap.String("with", e.other.name()))
	return nil
}

func (o *owner) beginTest(e *testEnd, number line.Call, r line.Ringing) *call {
	o.calls++
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
	if e.test.dialing.Load() && e.showsCaller(r.Dialing) {
		return e
	}
	e.test.taken.Store(true)
	e.tell(testNews{taken: true})
	return nil
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

// adopt makes the call that the line has answered for a self-test that of a caller who came instead: network servers are asked for it,
// though it is up already. PPP repeats what was not answered (RFC 1661 section 4.6).
func (o *owner) adopt(e *testEnd) {
	c := o.call
	if c == nil || c.test != e || c.stage != stageTesting {
		return
	}
	o.stopData(c)
	e.test.taken.Store(true)
	c.log = c.log.With(zap.Uint16(logging.KeyCallSerial, c.serial))
	c.log.Info("the call that was answered for a self-test is a caller's")
	c.kind, c.test, c.data = record.KindIncoming, nil, nil
	c.called = calledNumber(*o.server.config(), o.identity.Name, c.ringing.Dialed, o.identity.Number)
	c.stage = stageOffering
	o.route(c)
}

// settle takes the result of a test. It returns whether there is still a call to be hung up: its end is told then.
func (o *owner) settle(e *testEnd, r SelfTestResult) bool {
	o.release(e)
	c := o.call
	if c == nil || c.test != e {
		o.judge(e, r)
		return false
	}
	c.result, c.ending = &r, testEnding
	return true
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
	if c.result == nil {
		c.result = o.cutShort(c, cause)
	}
	c.result.LineErrors = lineErrors(c.counters)
	o.judge(e, *c.result)
	e.tell(testNews{over: c.result, busy: cause.Code == line.CauseBusy})
}

// cutShort is the result of a call that ended before the test did.
func (o *owner) cutShort(c *call, cause line.Cause) *SelfTestResult {
	r := c.test.blank()
	if c.test.traffic != nil {
		r.connection(c.line)
		r.counters(c.test.traffic.Counters())
	}
	r.Reason = c.ending.reason
	r.alone = cause.Code == line.CauseNoDialtone || cause.Code == line.CauseDevice || cause.Code == line.CauseUnresponsive || cause.Code == line.CauseDriver
	switch {
	case c.test.test.taken.Load():
		r.Reason = c.test.test.takenReason()
	case c.ending.by == byOperator, cause.Code == line.CauseNotAllowed:
	case c.test.test.meddled.Load():
		r.Reason = fmt.Sprintf("an operator hung up line %s", c.test.other.name())
	case cause.Code == line.CauseBusy: // somebody may have called it at this very moment
		r.Reason = fmt.Sprintf("%s is busy", c.called)
	default:
		r.Grade = selftest.Failed
	}
	return &r
}

// judge keeps what a test says about the line, and acts on it.
func (o *owner) judge(e *testEnd, r SelfTestResult) {
	if e.judged {
		return
	}
	e.judged = true
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
