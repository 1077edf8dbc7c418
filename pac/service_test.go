package pac

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/record"
)

// A disabled line keeps its call and takes no other.
func TestDisabledLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, nil)
		defer x.end()
		first, _ := x.up()
		for _, name := range []string{"line1", "line2"} {
			status, err := x.server.LineCommand(t.Context(), LineRequest{Line: name, Action: LineDisable})
			if x.must(err); !status.Disabled {
				t.Errorf("%+v", status)
			}
		}
		second := x.fake.Lines()[1]
		x.must(second.Ring(t.Context(), linetest.Caller{Number: "1"}))
		<-time.After(time.Minute)
		if s := second.Status(); s.State != line.StateRinging {
			t.Errorf("the disabled line is %v", s.State)
		}
		if s := first.Status(); s.State != line.StateConnected {
			t.Errorf("the call in progress is %v", s.State)
		}
		if lines := x.server.linesFor(control.Call{}); len(lines) != 0 {
			t.Errorf("%d lines would dial", len(lines))
		}
		x.must(second.GiveUp(t.Context()))
		status, err := x.server.LineCommand(t.Context(), LineRequest{Line: "line2", Action: LineEnable})
		if x.must(err); status.Disabled || status.State != line.StateIdle {
			t.Errorf("%+v", status)
		}
		x.must(second.Ring(t.Context(), linetest.Caller{Number: "1"}))
		next[control.IncomingConnected](x.pns["a"])
	})
}

func TestLineActions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, nil)
		defer x.end()
		x.up()
		for _, test := range []struct {
			line   string
			action LineAction
			state  line.State
			want   error
		}{
			{"line1", LineReset, 0, errHasCall}, {"nobody", LineTest, 0, errNoLineOfName}, {"line2", "paint", 0, errNoAction},
			{"line2", LineTest, line.StateIdle, nil}, {"line2", LineReset, line.StateIdle, nil}, {"line2", LineBusyOut, line.StateDown, nil},
			{"line2", LineEnable, line.StateIdle, nil},
		} {
			status, err := x.server.LineCommand(t.Context(), LineRequest{Line: test.line, Action: test.action})
			if !errors.Is(err, test.want) || err == nil && status.State != test.state {
				t.Errorf("%s %s: %v, %v", test.action, test.line, status.State, err)
			}
		}
	})
}

// A device that fails its test is told to the operator with the reason.
func TestLineThatFailsItsTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, s := scripted(t, nil, nil)
		defer x.end()
		done := make(chan error, 1)
		go func() {
			_, err := x.server.LineCommand(t.Context(), LineRequest{Line: "line1", Action: LineTest})
			done <- err
		}()
		synctest.Wait()
		s.say(0, line.Down{Cause: line.Cause{Code: line.CauseMaintenance, Text: "test"}})
		select {
		case err := <-done:
			t.Fatal(err)
		default:
		}
		s.say(0, line.Down{Cause: line.Cause{Code: line.CauseUnresponsive, Text: "nothing after AT"}, Retry: time.Minute})
		if err := <-done; err == nil || !strings.Contains(err.Error(), "line line1 is down: unresponsive: nothing after AT") {
			t.Error(err)
		}
	})
}

// What the modem says of a call goes into its record, which is written when the line is free, or will not be.
func TestRecordHasTheReportOfTheLine(t *testing.T) {
	for name, c := range map[string]struct {
		last line.Body
		call line.Call
		want string
	}{
		"free": {line.Idle{Report: "Retrains 2"}, 1, "Retrains 2"}, "down": {line.Down{Cause: line.Cause{Code: line.CauseDevice}}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "records")
			synctest.Test(t, func(t *testing.T) {
				x, s := scripted(t, accept, nil)
				defer x.end()
				records, err := record.Open(file, record.Options{})
				x.must(err)
				x.server.records = records
				s.connect(1)
				s.say(1, line.Lost{Cause: line.Cause{Code: line.CauseCarrierLost}})
				<-time.After(5 * time.Second) // the script's Read hangs
				if n := records.Counters(); n.Written+uint64(n.Waiting) != 0 {
					t.Errorf("written before the line is free: %+v", n)
				}
				s.say(c.call, c.last)
				x.must(records.Close())
			})
			text, err := os.ReadFile(file)
			if err != nil || strings.Count(string(text), "\n") != 1 || strings.Contains(string(text), `"line_report":"Retrains 2"`) != (c.want != "") {
				t.Errorf("%s, %v", text, err)
			}
		})
	}
}

// Enabling a line ends a busy-out also while that is still under way.
func TestEnableOvertakesBusyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, nil)
		defer x.end()
		o := x.server.lineOf("line1")
		busy, enabled := make(chan error, 1), make(chan error, 1)
		x.must(o.order(t.Context(), func() error {
			x.must(o.act(LineBusyOut, busy))
			return o.act(LineEnable, enabled)
		}))
		if err := <-busy; err == nil {
			t.Error("the busy-out has come about")
		}
		x.must(<-enabled)
		synctest.Wait()
		if l := x.server.Lines()[0]; l.State != line.StateIdle {
			t.Errorf("the line is %v: %s", l.State, l.Cause)
		}
	})
}

// A line that rings, though it has not said so yet, has no call that an operator could hang up.
func TestServiceOfALineThatRings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, nil)
		defer x.end()
		o := x.server.lineOf("line1")
		x.must(o.order(t.Context(), func() error {
			x.must(x.fake.Lines()[0].Ring(t.Context(), linetest.Caller{}))
			if err := o.act(LineReset, make(chan error, 1)); !errors.Is(err, errActing) {
				t.Errorf("reset: %v", err)
			}
			return nil
		}))
		next[control.IncomingConnected](x.pns["a"])
		if _, err := x.server.LineCommand(t.Context(), LineRequest{Line: "line1", Action: LineReset}); !errors.Is(err, errHasCall) {
			t.Errorf("reset: %v", err)
		}
	})
}
