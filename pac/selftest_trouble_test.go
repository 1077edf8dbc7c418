package pac

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"trunkline.example/pac/config"
	"trunkline.example/pac/selftest"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/record"
)

// What an operator does to one of the lines is no failure of the other one.
func TestOperatorEndsASelfTest(t *testing.T) {
	for _, name := range []string{"a", "b"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := exchangeBench(t, "abc", accept, nil)
				x.connectCalls("a", 1)
				done := x.begin()
				<-time.After(5 * time.Second)
				x.must(x.server.Hangup(t.Context(), name))
				if o := <-done; o.Caller.Grade != "" || o.Answerer.Grade != "" || !strings.Contains(o.Caller.Reason+o.Answerer.Reason, "an operator hung up") {
					t.Errorf("%+v", o)
				}
				for _, name := range []string{"a", "b"} {
					if l := x.status(name); l.SelfTest != nil || l.Call != nil || l.Reserved {
						t.Errorf("line %s: %+v, %+v", name, l, l.SelfTest)
					}
				}
				x.finish()
			})
		})
	}
}

// A line that was busy with something else when a self-test was over is free all the same as soon as it is not.
func TestSelfTestLeavesNoLineReserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchangeBench(t, "abc", accept, nil)
		defer x.finish()
		hang := func(name string) {
			go func() {
				_ = x.server.lineOf(name).order(t.Context(), func() error { <-time.After(10 * time.Second); return nil })
			}()
			synctest.Wait()
		}
		hang("a")
		time.AfterFunc(commandLimit/2, func() { hang("b") })
		if o, err := x.server.SelfTest(t.Context(), SelfTestRequest{Line: "a", To: "b"}); err == nil || !strings.Contains(err.Error(), "line a") {
			t.Errorf("a line that hangs was tested: %+v, %v", o, err)
		}
		if l := x.status("b"); !l.Reserved {
			t.Errorf("the line does not hang: %+v", l)
		}
		<-time.After(10 * time.Second)
		if l := x.status("b"); l.Reserved {
			t.Errorf("still reserved: %+v", l)
		}
	})
}

// A line that a self-test is about to call has a call for the operator's commands.
func TestServiceWaitsForTheSelfTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchangeBench(t, "abc", accept, nil)
		defer x.finish()
		x.must(x.lineNamed("a").Plan(t.Context(), linetest.OutcomeBusy))
		x.must(x.server.lineOf("b").order(t.Context(), func() error {
			b := x.server.lineOf("b")
			return b.reserve(x.server.newSelfTest(x.server.lineOf("a"), b, 1, true).answerer)
		}))
		if _, err := x.server.LineCommand(t.Context(), LineRequest{Line: "b", Action: LineBusyOut}); !errors.Is(err, errReserved) {
			t.Errorf("the line was made busy: %v", err)
		}
	})
}

// A test of the schedule that cannot be dialled is an operator's matter. One that only has to wait has not been tried.
func TestScheduledSelfTestTellsWhatIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchangeBench(t, "abcd", accept, func(c *config.Config) {
			c.SelfTest.Numbers, c.SelfTest.CallsPerHour = map[string]string{"a": "w", "b": "x", "c": "y", "d": "z"}, 1
		})
		defer x.finish()
		core, logs := observer.New(zapcore.WarnLevel)
		x.server.log = zap.New(core)
		due := x.server.config().SelfTest
		due.Every = time.Hour
		for range 2 {
			<-time.After(2 * time.Hour)
			logs.TakeAll()
			x.server.testDue(t.Context(), time.Now(), due)
			if all := logs.FilterMessage("a self-test could not be made").All(); len(all) != 1 || !strings.Contains(all[0].ContextMap()["error"].(string), "does not dial") {
				t.Errorf("reported: %+v", all)
			}
			if len(x.server.tests.tried) != 1 {
				t.Errorf("%d lines count as tried by one call", len(x.server.tests.tried))
			}
			clear(x.server.tests.tried)
		}
	})
}

// A line whose device is gone has failed alone, whichever of the two lines is heard first, and also if it shows only when it is hung up. Of a driver that
// died nothing follows for a line.
func TestDeviceIsGoneInASelfTest(t *testing.T) {
	device, carrier := line.Cause{Code: line.CauseDevice, Text: "unplugged"}, line.Cause{Code: line.CauseCarrierLost}
	for name, c := range map[string]struct {
		happens func(gone, other *linetest.FakeLine)
		grade   selftest.Grade
		reason  string
	}{
		"gone":               {func(gone, _ *linetest.FakeLine) { gone.Fail(device) }, selftest.Failed, "device: unplugged"},
		"the other is first": {func(gone, other *linetest.FakeLine) { gone.Hold(); other.EndCall(carrier); gone.Fail(device) }, selftest.Failed, "device: unplugged"},
		"at hang-up": {func(gone, other *linetest.FakeLine) {
			gone.Hold()
			other.EndCall(carrier)
			synctest.Wait()
			gone.Fail(line.Cause{Code: line.CauseUnresponsive})
		}, selftest.Failed, "unresponsive"},
		"driver": {func(gone, other *linetest.FakeLine) {
			gone.Hold()
			other.EndCall(carrier)
			synctest.Wait()
			gone.Fail(line.Cause{Code: line.CauseDriver})
		}, "", "driver"},
		"driver of both": {func(gone, other *linetest.FakeLine) {
			gone.Fail(line.Cause{Code: line.CauseDriver})
			other.Fail(line.Cause{Code: line.CauseDriver})
		}, "", "driver"},
	} {
		for _, end := range []string{"a", "b"} {
			t.Run(name+" "+end, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					x := exchangeBench(t, "abc", accept, nil)
					x.connectCalls("a", 1)
					done := x.begin()
					<-time.After(5 * time.Second)
					other := map[string]string{"a": "b", "b": "a"}[end]
					// What one line's end tells the other one is up to the network: here the test says it.
					c.happens(x.lineNamed(end), x.lineNamed(other))
					o := <-done
					results := map[string]SelfTestResult{"a": o.Caller, "b": o.Answerer}
					if r := results[end]; r.Grade != c.grade || !strings.Contains(r.Reason, c.reason) || c.grade != "" && !strings.Contains(r.Reason, "line "+end) {
						t.Errorf("the line that is gone: %+v", r)
					}
					if r := results[other]; r.Grade != "" || !strings.Contains(r.Reason, c.reason) {
						t.Errorf("the other one: %+v", r)
					}
					if l := x.status(other); l.SelfTest != nil {
						t.Errorf("the other one: %+v", l.SelfTest)
					}
					for name, records := range x.finish() {
						if r := records[0].SelfTest; len(records) != 1 || r.Grade != string(results[name].Grade) || r.Reason != results[name].Reason {
							t.Errorf("records of line %s: %+v", name, records)
						}
					}
				})
			})
		}
	}
}

// The line that waits for the test's call can go down before it rings: the calling line hears nobody answer, and has not failed.
func TestWaitingLineOfASelfTestGoesDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchangeBench(t, "abc", accept, nil)
		x.must(x.lineNamed("a").Plan(t.Context(), linetest.OutcomeUnanswered))
		done := x.begin()
		synctest.Wait()
		began := time.Now()
		x.lineNamed("b").Fail(line.Cause{Code: line.CauseDevice, Text: "unplugged"})
		if o := <-done; o.Caller.Grade != "" || o.Answerer.Grade != selftest.Failed || o.Answerer.Reason != "line b: device: unplugged" || time.Since(began) > time.Second {
			t.Errorf("after %v: %+v", time.Since(began), o)
		}
		if r := x.finish(); len(r["a"]) != 1 || r["a"][0].SelfTest.Grade != "" || len(r["b"]) != 0 {
			t.Errorf("records: %+v", r)
		}
	})
}

// A line that rings before the other one has been told to dial has a caller: nothing is dialled, and he is served.
func TestSelfTestDoesNotDialALineThatRings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchangeBench(t, "abc", accept, nil)
		defer x.finish()
		blocked := make(chan struct{})
		go func() { _ = x.server.lineOf("a").order(t.Context(), func() error { <-blocked; return nil }) }()
		synctest.Wait()
		failed := make(chan error, 1)
		go func() {
			_, err := x.server.SelfTest(t.Context(), SelfTestRequest{Line: "a", To: "b"})
			failed <- err
		}()
		synctest.Wait()
		x.must(x.lineNamed("b").Ring(t.Context(), linetest.Caller{}))
		synctest.Wait()
		close(blocked)
		if err := <-failed; !errors.Is(err, errNotFree) || !strings.Contains(err.Error(), "called by somebody else") {
			t.Errorf("the test: %v", err)
		}
		next[control.IncomingConnected](x.pns["a"])
		if l := x.status("a"); l.SelfTests != 0 || l.Call != nil {
			t.Errorf("line a has dialled: %+v", l)
		}
		if l := x.status("b"); l.Call == nil || l.Call.Stage != "established" {
			t.Errorf("the caller's line: %+v", l)
		}
		if len(x.server.tests.budget.made) != 0 {
			t.Error("a call that was not made counts")
		}
	})
}

// Our call is busy while the line answers: it is a caller whom it answers, and he need not speak first.
func TestSilentCallerIsKnownByBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchangeBench(t, "abc", accept, nil)
		a, b := x.lineNamed("a"), x.lineNamed("b")
		x.must(a.Plan(t.Context(), linetest.OutcomeUnanswered))
		b.Train(true)
		done := x.begin()
		synctest.Wait()
		x.must(b.Ring(t.Context(), linetest.Caller{}))
		synctest.Wait()
		a.EndCall(line.Cause{Code: line.CauseBusy})
		if o := <-done; o.Caller.Grade != "" || o.Answerer.Grade != "" || !strings.Contains(o.Caller.Reason, "called by somebody else") {
			t.Errorf("%+v", o)
		}
		b.Train(false)
		next[control.IncomingConnected](x.pns["a"])
		x.must(b.HangUp(t.Context()))
		synctest.Wait()
		if r := x.finish()["b"]; len(r) != 1 || r[0].Kind != record.KindIncoming || r[0].PNS == "" {
			t.Errorf("records: %+v", r)
		}
	})
}

// What is dialled for a line must lead to it.
func TestSelfTestNeedsANumberOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchangeBench(t, "abc", accept, func(c *config.Config) { c.SelfTest.Numbers = map[string]string{"b": "503"} })
		defer x.finish()
		for _, to := range []string{"b", "c"} {
			if _, err := x.server.SelfTest(t.Context(), SelfTestRequest{Line: "a", To: to}); err == nil || !strings.Contains(err.Error(), "its number, 503, is also that of line") {
				t.Errorf("line %s: %v", to, err)
			}
		}
	})
}

// A drain ends a test of the schedule, but not one that somebody waits for; neither is a call whose end a drain waits for.
func TestDrainEndsASelfTest(t *testing.T) {
	for _, byHand := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			x := exchangeBench(t, "abc", accept, nil)
			defer x.finish()
			x.connectCalls("a", 1)
			done := make(chan SelfTestOutcome, 1)
			go func() {
				o, err := x.server.newSelfTest(x.server.lineOf("a"), x.server.lineOf("b"), 1, byHand).run(t.Context())
				if err != nil {
					t.Error(err)
				}
				done <- o
			}()
			<-time.After(5 * time.Second)
			if l := x.status("a"); l.Call == nil || x.server.callsTaken() != 0 {
				t.Errorf("%d calls: %+v", x.server.callsTaken(), l)
			}
			began := time.Now()
			x.server.Drain(true)
			o := <-done
			if byHand && o.Answerer.Grade != selftest.Good || !byHand && (o.Answerer.Grade != "" || time.Since(began) > time.Second || !strings.Contains(o.Caller.Reason, "drain")) {
				t.Errorf("by hand %v, after %v: %+v", byHand, time.Since(began), o)
			}
		})
	}
}

// A line that the schedule cannot test for long is told of, once in the time. So is a schedule that has not enough calls, where the lines were not
// known when the configuration was read.
func TestScheduleThatTestsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchangeBench(t, "abc", accept, nil)
		defer x.finish()
		_, err := x.server.LineCommand(t.Context(), LineRequest{Line: "c", Action: LineDisable})
		x.must(err)
		core, logs := observer.New(zapcore.WarnLevel)
		x.server.log = zap.New(core)
		fresh := *x.server.config()
		fresh.SelfTest.Every = time.Hour
		x.server.Reload(fresh)
		if all := logs.TakeAll(); len(all) != 0 {
			t.Errorf("reported of three lines: %+v", all)
		}
		<-time.After(5*time.Hour + time.Minute)
		told := map[string]int{}
		for _, e := range logs.TakeAll() {
			if !strings.Contains(e.ContextMap()["error"].(string), "callers come first") {
				t.Errorf("%+v", e)
			}
			told[e.ContextMap()["line"].(string)]++
		}
		if told["a"] != 4 || told["b"] != 4 || told["c"] != 0 {
			t.Errorf("reported %v times in five hours", told)
		}
		fresh.SelfTest.Every, fresh.SelfTest.CallsPerHour = 10*time.Minute, 5
		x.server.Reload(fresh)
		if all := logs.TakeAll(); len(all) != 1 || !strings.Contains(all[0].ContextMap()["reason"].(string), "selftest.calls_per_hour = 5") {
			t.Errorf("reported: %+v", all)
		}
	})
}

// An operator's action that is under way is no moment to test a line.
func TestSelfTestWaitsForTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchangeBench(t, "abc", accept, nil)
		defer x.finish()
		b := x.server.lineOf("b")
		x.must(b.order(t.Context(), func() error {
			x.must(b.act(LineReset, make(chan error, 1)))
			if err := b.testable(true); !errors.Is(err, errNotFree) {
				t.Errorf("in the middle of a reset: %v", err)
			}
			return nil
		}))
	})
}

// Who names a line that is not there is told which.
func TestSelfTestOfNoLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchangeBench(t, "abc", accept, nil)
		defer x.finish()
		for want, r := range map[string]SelfTestRequest{`there is no line "x"`: {Line: "x"}, `there is no line "y"`: {Line: "a", To: "y"}} {
			if err := x.server.noSuchLines(r); err.Error() != want {
				t.Errorf("%+v: %v", r, err)
			}
		}
	})
}

// A line that takes long to be free keeps neither the test nor, in the end, its record from having the grade; one that is shut down in mid-test leaves its
// record without any.
func TestRecordsOfSelfTests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchangeBench(t, "abc", accept, nil)
		x.connectCalls("a", 2)
		b := x.lineNamed("b")
		b.Hold()
		began := time.Now()
		if o := <-x.begin(); o.Answerer.Grade != selftest.Good || time.Since(began) < 15*time.Second+30*time.Second {
			t.Errorf("after %v: %+v", time.Since(began), o)
		}
		b.Release()
		synctest.Wait()
		done := x.begin()
		<-time.After(5 * time.Second)
		records := x.finish()
		if o := <-done; o.Caller.Grade != "" || o.Answerer.Grade != "" {
			t.Errorf("shut down: %+v", o)
		}
		for _, name := range []string{"a", "b"} {
			if r := records[name]; len(r) != 2 || r[0].SelfTest.Grade != "good" || r[1].SelfTest.Grade != "" || r[1].SelfTest.Role == "" || !strings.Contains(r[1].SelfTest.Reason, "shutting down") {
				t.Errorf("records of line %s: %+v", name, r)
			}
		}
	})
}

// A line that rings, though it has not said so yet, does not dial for a self-test, and its caller is served.
func TestSelfTestDoesNotDialOnALineThatRings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchangeBench(t, "abc", accept, nil)
		defer x.finish()
		a, b := x.server.lineOf("a"), x.server.lineOf("b")
		e := x.server.newSelfTest(a, b, 1, false)
		x.must(a.order(t.Context(), func() error {
			x.must(x.lineNamed("a").Ring(t.Context(), linetest.Caller{}))
			if err := a.dialTest(e.caller); !errors.Is(err, errNotFree) {
				t.Errorf("it dials: %v", err)
			}
			return nil
		}))
		next[control.IncomingConnected](x.pns["a"])
	})
}

// Where nothing could be dialled for a self-test, who calls the line that waited for it is somebody else, also if he rang when it seemed to be dialled.
func TestCallerOfATestThatIsNotDialled(t *testing.T) {
	for _, before := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			x := exchangeBench(t, "abc", accept, nil)
			defer x.finish()
			a, b := x.server.lineOf("a"), x.server.lineOf("b")
			e := x.server.newSelfTest(a, b, 1, true)
			x.must(b.order(t.Context(), func() error { return b.reserve(e.answerer) }))
			rings := func() {
				x.must(x.lineNamed("b").Ring(t.Context(), linetest.Caller{}))
				synctest.Wait()
			}
			x.lineNamed("b").Train(true)
			if before {
				e.phase.Store(testDialing)
				rings()
				e.phase.Store(testWaiting)
			}
			x.must(a.order(t.Context(), func() error {
				x.must(x.lineNamed("a").Ring(t.Context(), linetest.Caller{Number: "555"}))
				if err := a.dialTest(e.caller); !errors.Is(err, errNotFree) {
					t.Errorf("it dials: %v", err)
				}
				return nil
			}))
			if !before {
				rings()
			}
			b.mail.put(message{tested: e.answerer})
			synctest.Wait()
			x.lineNamed("b").Train(false)
			if l := x.status("b"); l.Call == nil || l.Call.Stage != "established" || l.SelfTests != 0 {
				t.Errorf("before the test was given up: %v: %+v, %+v", before, l, l.Call)
			}
		})
	}
}

// A line whose number is another one's as well can be tested by calls of its own only: it makes the next one, too.
func TestLineThatCannotBeCalledIsTestedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchangeBench(t, "abc", accept, func(c *config.Config) { c.SelfTest.Numbers = map[string]string{"b": "501"} })
		defer x.finish()
		x.connectCalls("a", 1)
		a, c := x.server.lineOf("a"), x.server.lineOf("c")
		o, err := x.server.SelfTest(t.Context(), SelfTestRequest{Line: "a", To: "c"})
		if x.must(err); o.Caller.Grade != selftest.Good {
			t.Errorf("%+v", o)
		}
		synctest.Wait()
		if caller, answerer, err := x.server.testPair(a); caller != a || answerer != c || err != nil {
			t.Errorf("the next test: %v", err)
		}
	})
}
