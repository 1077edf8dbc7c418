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
	"trunkline.example/shared/record"
)

// selfTest is a call that one of our lines makes to another one. Whoever runs it gives orders to the owners of both; they tell what
// happens by news, and he tells them what it says about their lines.
type selfTest struct {
	server   *Server
	settings config.SelfTest
	byHand   bool
	number   string // that is dialled
	token    uint32
	began    time.Time

	caller, answerer *testEnd

	phase atomic.Int32
	news  chan testNews
}

// The phases of a test.
const (
	testWaiting int32 = iota // the answering line is kept free
	testDialing              // it may ring for the test from here on
	testTaken                // it rang for somebody else, or nothing was dialled: whoever rings is that
)

// testEnd is one line's part in a self-test.
type testEnd struct {
	test  *selfTest
	owner *owner
	other *testEnd
	sound bool // the other line has passed its last test: if this one fails, that is its own fault

	// Touched by the line's goroutine only.
	traffic *selftest.Traffic
	facts   SelfTestResult  // of a call that is over, as far as the line knows
	verdict *SelfTestResult // nil: still open
	record  *record.Record  // of the call, if its line was free before there was a verdict

	// Touched by the test's goroutine only.
	rang bool
	up   *testUp
	over *testOver
	free bool // the line will say no more
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
	over  *testOver
	free  bool
	down  *line.Cause // instead of being free again
}

// newsRoom is for all that the two ends can ever say.
const newsRoom = 12

const (
	testLook    = 100 * time.Millisecond // how often a test is looked after
	testAnswer  = 15 * time.Second       // what it may take beyond the time for a connection, with rings that are waited for
	testHear    = 15 * time.Second       // from the connection until both ends have heard each other
	testArrive  = 10 * time.Second       // for what is under way when the traffic ends
	testSilence = 2 * time.Second        // after which nothing is under way any more
	testSlack   = 30 * time.Second       // after which a line ends a test by itself
)

func (s *Server) newSelfTest(caller, answerer *owner, token uint32, byHand bool) *selfTest {
	t := &selfTest{server: s, settings: s.config().SelfTest, byHand: byHand, number: s.testNumber(answerer), token: token, began: time.Now(), news: make(chan testNews, newsRoom)}
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
	case t.caller.over != nil: // somebody else's call, of whom nothing was heard
		return t.ended(t.caller)
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

// note takes news.
func (t *selfTest) note(n testNews) *broken {
	e := n.end
	e.noted(n)
	switch {
	case n.taken:
		return t.taken()
	case n.over != nil:
		if n.over.cause.Code == line.CauseBusy && t.answerer.over == nil {
			switch t.handOver() {
			case handedOver:
				return t.taken()
			case unheard:
				return nil // he must not suffer: what he says tells that he is somebody else
			}
		}
		return t.ended(e)
	case n.down != nil:
		return t.ended(e)
	}
	return nil
}

// noted keeps what news say of an end.
func (e *testEnd) noted(n testNews) {
	switch {
	case n.rang:
		e.rang = true
	case n.up != nil:
		e.up = n.up
	case n.over != nil:
		e.over = n.over
	case n.free:
		e.free = true
	case n.down != nil:
		e.free = true
		if e.over == nil {
			e.over = &testOver{ending: endingOf(*n.down)}
		}
		e.over.cause, e.over.down = *n.down, true
	}
}

// handOver gives the answering line's call to whom it belongs, if that is known not to be the calling line.
func (t *selfTest) handOver() (a adoption) {
	if t.answerer.order(func() error { a = t.answerer.owner.adopt(t.answerer); return nil }) != nil {
		return nobodys
	}
	return a
}

// look looks for strangers, and whether the lines are wanted for something better.
func (t *selfTest) look() *broken {
	for _, e := range t.ends() {
		if e.up == nil || !e.up.traffic.Strange() {
			continue
		}
		if e == t.caller {
			return t.both(fmt.Sprintf("%s leads to somebody else, who speaks PPP", t.number))
		}
		t.handOver() // it fails only if the call, or the line, has ended
		return t.taken()
	}
	if t.server.draining.Load() && !t.byHand {
		return &broken{reason: "no new calls are taken at present (drain)"}
	}
	if err := t.server.spare(t.caller.owner, t.answerer.owner); err != nil {
		return &broken{reason: err.Error()}
	}
	return nil
}

// conclude hangs up, and when both lines are done with the call it grades them.
func (t *selfTest) conclude(b *broken) SelfTestOutcome {
	results := [2]SelfTestResult{}
	for i, e := range t.ends() {
		results[i] = t.measured(e, b)
	}
	for _, e := range t.ends() { // both before any hangs up: the other would take that for a failure
		left := true
		_ = e.order(func() error { left = e.owner.settle(e); return nil })
		e.free = e.free || !left
	}
	for len(t.news) > 0 {
		n := <-t.news
		n.end.noted(n)
	}
	for _, e := range t.ends() {
		if !e.free {
			_ = e.order(func() error { e.owner.endTest(e); return nil })
		}
	}
	limit := time.NewTimer(t.server.config().Timers.Hangup + commandLimit)
	defer limit.Stop()
	for late := false; !late && !(t.caller.free && t.answerer.free); {
		select {
		case n := <-t.news:
			n.end.noted(n)
		case <-limit.C:
			late = true
		}
	}
	b = t.explained(b)
	for i, e := range t.ends() {
		r := results[i]
		e.judge(&r, b)
		_ = e.order(func() error { e.owner.judge(e, r); return nil })
		results[i] = r
	}
	return SelfTestOutcome{Caller: results[0], Answerer: results[1], Minimum: t.settings.Minimum}
}
