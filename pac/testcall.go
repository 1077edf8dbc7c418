package pac

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"trunkline.example/pac/config"
	"trunkline.example/pac/selftest"
	"trunkline.example/shared/line"
)

// selfTest is a call that one of our lines makes to another one. Whoever runs it gives orders to the owners of both; they tell what
// happens by news.
type selfTest struct {
	server   *Server
	settings config.SelfTest
	byHand   bool
	number   string // that is dialled
	token    uint32
	began    time.Time

	caller, answerer *testEnd

	dialing atomic.Bool // from here on the answering line may ring for it
	taken   atomic.Bool // the answering line rang for somebody else
	meddled atomic.Bool // an operator has ended the call of one line, which the other one hears
	news    chan testNews
}

// testEnd is one line's part in a self-test.
type testEnd struct {
	test  *selfTest
	owner *owner
	other *testEnd
	sound bool // the other line has passed its last test: if this one fails, that is its own fault

	// Touched by the line's goroutine only.
	traffic *selftest.Traffic
	judged  bool

	// Touched by the test's goroutine only.
	rang   bool
	up     *testUp
	result *SelfTestResult // once the line is done with the test
}

// testUp is a test call that is connected.
type testUp struct {
	connected line.Connected
	traffic   *selftest.Traffic
}

// testNews is what happens at one end. Exactly one field beside end says something.
type testNews struct {
	end   *testEnd
	rang  bool
	taken bool
	up    *testUp
	over  *SelfTestResult
	busy  bool // beside over: the number dialled is busy
}

// newsRoom is for all that the two ends can ever say.
const newsRoom = 8

const (
	testLook    = 100 * time.Millisecond // how often a test is looked after
	testAnswer  = 15 * time.Second       // what it may take beyond the time for a connection, with rings that are waited for
	testHear    = 15 * time.Second       // from the connection until both ends have heard each other
	testArrive  = 10 * time.Second       // for what is under way when the traffic ends
	testSilence = 2 * time.Second        // after which nothing is under way any more
	testSlack   = 30 * time.Second       // after which a line ends a test by itself
)

// broken is why a test did not go through.
type broken struct {
	reason string
	blamed []*testEnd // who failed; nobody: it says nothing about the lines
}

func (s *Server) newSelfTest(caller, answerer *owner, number string, token uint32, byHand bool) *selfTest {
	t := &selfTest{server: s, settings: s.config().SelfTest, byHand: byHand, number: number, token: token, began: time.Now(), news: make(chan testNews, newsRoom)}
	t.caller, t.answerer = &testEnd{test: t, owner: caller}, &testEnd{test: t, owner: answerer}
	t.caller.other, t.answerer.other = t.answerer, t.caller
	for _, e := range t.ends() {
		last := e.other.owner.shown.Load().SelfTest
		e.sound = last != nil && last.Failures == 0
	}
	return t
}

func (t *selfTest) ends() []*testEnd { return []*testEnd{t.caller, t.answerer} }

func (e *testEnd) name() string { return e.owner.identity.Name }

// tell tells the test's goroutine; it never blocks.
func (e *testEnd) tell(n testNews) {
	n.end = e
	e.test.news <- n
}

// order has the line of an end do something, also when the test is being given up.
func (e *testEnd) order(do func() error) error {
	ctx, cancel := lineCommand()
	defer cancel()
	err := e.owner.order(ctx, do)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("line %s takes no orders: %w", e.name(), err)
	}
	return err
}

// run makes the call. The error says why none came about.
func (t *selfTest) run(ctx context.Context) (SelfTestOutcome, error) {
	defer func() {
		for _, e := range t.ends() {
			e.owner.mail.put(message{tested: e})
		}
	}()
	if err := t.answerer.order(func() error { return t.answerer.owner.reserve(t.answerer) }); err != nil {
		return SelfTestOutcome{}, err
	}
	t.dialing.Store(true)
	if err := t.caller.order(func() error { return t.caller.owner.dialTest(t.caller) }); err != nil {
		return SelfTestOutcome{}, err
	}
	return t.conclude(t.talk(ctx)), nil
}

// talk waits until the two lines have talked to each other; it returns nil if they have.
func (t *selfTest) talk(ctx context.Context) *broken {
	if b := t.wait(ctx, t.server.config().Timers.Connect+testAnswer, t.connected, t.unconnected); b != nil {
		return b
	}
	if b := t.wait(ctx, testHear, t.heard, func() *broken { return t.both("connected, but the two lines do not hear each other") }); b != nil {
		return b
	}
	over := func() *broken { return nil }
	if b := t.wait(ctx, t.settings.Duration, func() bool { return false }, over); b != nil {
		return b
	}
	for _, e := range t.ends() {
		e.up.traffic.Stop()
	}
	return t.wait(ctx, testArrive, t.arrived(), over)
}

// wait looks after the test until done says so, or the limit is over, which is what late says.
func (t *selfTest) wait(ctx context.Context, limit time.Duration, done func() bool, late func() *broken) *broken {
	look, end := time.NewTicker(testLook), time.NewTimer(limit)
	defer look.Stop()
	defer end.Stop()
	for !done() {
		select {
		case n := <-t.news:
			if b := t.note(n); b != nil {
				return b
			}
		case <-look.C:
			if b := t.look(); b != nil {
				return b
			}
		case <-end.C:
			return late()
		case <-ctx.Done():
			return &broken{reason: "it was given up"}
		}
	}
	return nil
}

func (t *selfTest) connected() bool { return t.caller.up != nil && t.answerer.up != nil }

// unconnected is why there is no connection after all the time.
func (t *selfTest) unconnected() *broken {
	switch {
	case t.caller.result != nil: // somebody else's call, of whom nothing was heard
		return &broken{reason: t.caller.result.Reason}
	case t.caller.up != nil && !t.answerer.rang:
		return t.both(fmt.Sprintf("%s is answered, but not by line %s", t.number, t.answerer.name()))
	}
	return t.both("no connection in time")
}

func (t *selfTest) heard() bool {
	for _, e := range t.ends() {
		select {
		case <-e.up.traffic.Heard():
		default:
			return false
		}
	}
	return true
}

// arrived says when nothing is under way any more.
func (t *selfTest) arrived() func() bool {
	var last [2]uint64
	since := time.Now()
	return func() bool {
		caller, answerer := t.caller.up.traffic.Counters(), t.answerer.up.traffic.Counters()
		if now := [2]uint64{caller.FramesReceived, answerer.FramesReceived}; now != last {
			last, since = now, time.Now()
		}
		whole := caller.FramesReceived == answerer.FramesSent && answerer.FramesReceived == caller.FramesSent
		return whole || time.Since(since) >= testSilence
	}
}

// both blames both lines: there is no telling which of them it is.
func (t *selfTest) both(reason string) *broken { return &broken{reason: reason, blamed: t.ends()} }

// note takes news.
func (t *selfTest) note(n testNews) *broken {
	switch e := n.end; {
	case n.rang:
		e.rang = true
	case n.taken:
		return &broken{reason: t.takenReason()}
	case n.up != nil:
		e.up = n.up
	case n.over != nil:
		e.result = n.over
		if n.busy && t.answerer.rang && t.answerer.result == nil {
			return nil // it rings for somebody else, who must not suffer: what he says tells that he is
		}
		return t.over(e)
	}
	return nil
}

// over is what the early end of an end's call says about both.
func (t *selfTest) over(e *testEnd) *broken {
	b := &broken{reason: fmt.Sprintf("line %s: %s", e.name(), e.result.Reason)}
	if e.result.Grade != "" && !e.result.alone {
		b.blamed = t.ends()
	}
	return b
}

func (t *selfTest) takenReason() string {
	return fmt.Sprintf("line %s was called by somebody else", t.answerer.name())
}

// look looks for strangers, and whether the lines are wanted for something better.
func (t *selfTest) look() *broken {
	for _, e := range t.ends() {
		if e.up == nil {
			continue
		}
		select {
		case <-e.up.traffic.Stranger():
		default:
			continue
		}
		if e == t.caller {
			return t.both(fmt.Sprintf("%s leads to somebody else, who speaks PPP", t.number))
		}
		_ = e.order(func() error { e.owner.adopt(e); return nil }) // fails only if the call, or the line, has ended
		return &broken{reason: t.takenReason()}
	}
	if err := t.server.spare(t.caller.owner, t.answerer.owner); err != nil {
		return &broken{reason: err.Error()}
	}
	return nil
}

// conclude grades the lines, hangs up and waits until that is done.
func (t *selfTest) conclude(b *broken) SelfTestOutcome {
	for _, e := range t.ends() { // both before any hangs up: the other would take that for a failure
		r := t.judge(e, b)
		active := false
		_ = e.order(func() error { active = e.owner.settle(e, r); return nil })
		if e.result == nil && !active {
			e.result = &r
		}
	}
	for _, e := range t.ends() {
		if e.result == nil {
			_ = e.order(func() error { e.owner.endTest(e); return nil })
		}
	}
	limit := time.NewTimer(t.server.config().Timers.Hangup + commandLimit)
	defer limit.Stop()
	for t.caller.result == nil || t.answerer.result == nil {
		select {
		case n := <-t.news:
			if n.over != nil {
				n.end.result = n.over
			}
		case <-limit.C:
			for _, e := range t.ends() {
				if e.result == nil {
					r := t.judge(e, b)
					e.result = &r
				}
			}
		}
	}
	return SelfTestOutcome{Caller: *t.caller.result, Answerer: *t.answerer.result, Minimum: t.settings.Minimum}
}

// judge is the result of an end.
func (t *selfTest) judge(e *testEnd, b *broken) SelfTestResult {
	r := e.blank()
	if e.up != nil {
		r.connection(e.up.connected)
		r.counters(e.up.traffic.Counters())
	}
	if b == nil {
		sent := e.other.up.traffic.Counters()
		own := e.up.traffic.Counters()
		r.Grade, r.Reason = selftest.Judge(sent, own, e.up.connected.RxSpeed, t.settings.LeastSpeed)
		r.FramesLost, r.OctetsLost = selftest.Lost(sent, own)
		return r
	}
	r.Reason = b.reason
	for _, blamed := range b.blamed {
		if blamed == e {
			r.Grade = selftest.Failed
		}
	}
	return r
}
