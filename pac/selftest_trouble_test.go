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
	"trunkline.example/shared/line/linetest"
)

// What an operator does to one of the lines is no failure of the other one.
func TestOperatorEndsASelfTest(t *testing.T) {
	for _, name := range []string{"a", "b"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := exchangeBench(t, "ab", accept, nil)
				x.connectCalls("a", 1)
				done := x.begin()
				<-time.After(5 * time.Second)
				x.must(x.server.Hangup(t.Context(), name))
				if o := <-done; o.Caller.Grade != "" || o.Answerer.Grade != "" || !strings.Contains(o.Caller.Reason+o.Answerer.Reason, "an operator hung up") {
					t.Errorf("%+v", o)
				}
				for _, line := range []string{"a", "b"} {
					if l := x.status(line); l.SelfTest != nil || l.Call != nil || l.Reserved {
						t.Errorf("line %s: %+v, %+v", line, l, l.SelfTest)
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
		x := exchangeBench(t, "ab", accept, nil)
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
		x := exchangeBench(t, "ab", accept, nil)
		defer x.finish()
		x.must(x.lineNamed("a").Plan(t.Context(), linetest.OutcomeBusy))
		x.must(x.server.lineOf("b").order(t.Context(), func() error {
			b := x.server.lineOf("b")
			return b.reserve(x.server.newSelfTest(x.server.lineOf("a"), b, "502", 1, true).answerer)
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
			c.SelfTest.Numbers, c.SelfTest.CallsPerHour = map[string]string{"a": "x", "b": "x", "c": "x", "d": "x"}, 1
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
			if all := logs.All(); len(all) != 1 || !strings.Contains(all[0].ContextMap()["error"].(string), "does not dial") {
				t.Errorf("reported: %+v", all)
			}
			if len(x.server.tests.tried) != 1 {
				t.Errorf("%d lines count as tried by one call", len(x.server.tests.tried))
			}
			clear(x.server.tests.tried)
		}
	})
}
