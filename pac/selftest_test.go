package pac

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/pac/config"
	"trunkline.example/pac/selftest"
	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/record"
)

// testBench is a bench with lines that call each other through a telephone network.
type testBench struct {
	*bench
	records string
	lines   map[string]*linetest.FakeLine // by number

	// The network's part.
	caller func(line string) string                    // number shown for a line's calls; nil: its own
	damage func(to string, octets []byte, written int) // what the line to that number does to the octets, the written-th piece
}

// exchangeBench runs a server with lines "a", "b", ... whose numbers are "501", "502", ...
func exchangeBench(t *testing.T, lines string, answer *pptp.IncomingResult, change func(*config.Config)) *testBench {
	t.Helper()
	x := &testBench{lines: map[string]*linetest.FakeLine{}, records: filepath.Join(t.TempDir(), "records")}
	x.bench = startOn(t, answer, answer, func(c *config.Config) {
		c.SelfTest = config.SelfTest{Duration: 15 * time.Second, Minimum: selftest.Poor, CallsPerHour: 1000}
		if change != nil {
			change(c)
		}
	}, func(b *bench) Driver {
		var all []line.Identity
		for i, name := range strings.Split(lines, "") {
			all = append(all, line.Identity{Name: name, Number: "50" + string(rune('1'+i))})
		}
		b.fake = linetest.NewFake(all...)
		return fakeDriver{b.fake}
	})
	writer, err := record.Open(x.records, record.Options{})
	x.must(err)
	x.server.records = writer
	for _, l := range x.fake.Lines() {
		x.lines[l.Identity().Number] = l
	}
	return x
}

// connectCalls is the telephone network, for as many calls of that line as are wanted: it rings the line whose number is dialled.
func (x *testBench) connectCalls(from string, calls int) {
	caller := x.lineNamed(from)
	go func() {
		for range calls {
			number, err := caller.Dialed(x.t.Context())
			if err != nil {
				return
			}
			to := x.lines[number]
			shown := caller.Identity().Number
			if x.caller != nil {
				shown = x.caller(from)
			}
			if to == nil || to.Ring(x.t.Context(), linetest.Caller{Number: shown}) != nil || to.Connected(x.t.Context()) != nil {
				continue
			}
			go x.carry(caller, to, number)
			x.carry(to, caller, caller.Identity().Number)
		}
	}()
}

// carry carries one direction of a call, until an end hangs up.
func (x *testBench) carry(from, to *linetest.FakeLine, number string) {
	for n := 1; ; n++ {
		octets, err := from.Receive(context.Background(), 1)
		if err != nil {
			_ = to.HangUp(context.Background())
			return
		}
		if x.damage != nil {
			x.damage(number, octets, n)
		}
		if to.Send(context.Background(), octets) != nil {
			return
		}
	}
}

func (x *testBench) lineNamed(name string) *linetest.FakeLine {
	for _, l := range x.lines {
		if l.Identity().Name == name {
			return l
		}
	}
	x.t.Fatalf("there is no line %q", name)
	return nil
}

// begin has line "a" call line "b"; what came of it is told later.
func (x *testBench) begin() <-chan SelfTestOutcome {
	done := make(chan SelfTestOutcome, 1)
	go func() {
		o, err := x.server.SelfTest(x.t.Context(), SelfTestRequest{Line: "a", To: "b"})
		if err != nil {
			x.t.Error(err)
		}
		done <- o
	}()
	return done
}

func (x *testBench) status(name string) LineStatus {
	synctest.Wait()
	for _, l := range x.server.Lines() {
		if l.Name == name {
			return l
		}
	}
	x.t.Fatalf("there is no line %q", name)
	return LineStatus{}
}

// finish ends the server and returns its call records by line.
func (x *testBench) finish() map[string][]record.Record {
	x.t.Helper()
	x.end()
	x.must(x.server.records.Close())
	text, err := os.ReadFile(x.records)
	x.must(err)
	all := map[string][]record.Record{}
	for d := json.NewDecoder(bytes.NewReader(text)); d.More(); {
		var r record.Record
		x.must(d.Decode(&r))
		all[r.Line] = append(all[r.Line], r)
	}
	return all
}

func TestSelfTestGradesBothLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchangeBench(t, "abc", accept, nil)
		x.damage = func(to string, octets []byte, n int) {
			if to == "502" && n > 3000 && n%1500 == 0 {
				octets[0] ^= 0x04
			}
		}
		x.connectCalls("a", 1)
		o, err := x.server.SelfTest(t.Context(), SelfTestRequest{Line: "a", To: "b"})
		x.must(err)
		if r := o.Caller; r.Grade != selftest.Good || r.Reason != "" || r.With != "b" || r.Role != RoleCaller || r.SpeedIn != 31200 || r.SpeedOut != 33600 ||
			r.ErrorControl != "LAPM" || r.FramesLost+r.OctetsLost+r.Damaged != 0 || r.FramesReceived < 200 || r.FramesSent < 200 {
			t.Errorf("the caller: %+v", r)
		}
		if r := o.Answerer; r.Grade != selftest.Poor || r.Reason == "" || r.FramesLost < 10 || r.Damaged < 10 || r.OctetsLost < r.FramesLost*128 || r.Role != RoleAnswerer || r.Dialed != "502" {
			t.Errorf("the answerer: %+v", r)
		}
		for name, want := range map[string]SelfTestResult{"a": o.Caller, "b": o.Answerer} {
			if l := x.status(name); l.SelfTest == nil || l.SelfTest.SelfTestResult != want || l.SelfTest.Failures != 0 || l.State != line.StateIdle || l.Call != nil || l.Reserved {
				t.Errorf("line %s: %+v, %+v", name, l, l.SelfTest)
			}
		}
		if len(x.server.budget.made) != 0 {
			t.Error("it counts as a call that was dialled for a network server")
		}
		all := x.finish()
		if a, b := all["a"], all["b"]; len(a) != 1 || len(b) != 1 || len(all) != 2 {
			t.Fatalf("records: %+v", all)
		}
		r := all["b"][0]
		if r.Kind != record.KindSelfTest || r.SelfTest.Grade != "poor" || r.SelfTest.With != "a" || r.SelfTest.FramesLost != o.Answerer.FramesLost || r.PacketsIn != o.Answerer.FramesReceived ||
			r.Dialed != "502" || r.Dialing != "501" || r.Seconds < 15 || r.PNS != "" || r.Result != 0 || r.EndedBy != record.SideSelf {
			t.Errorf("record: %+v", r)
		}
	})
}

// A test that does not come about tells what it says about the lines.
func TestSelfTestFails(t *testing.T) {
	for name, c := range map[string]struct {
		outcome          linetest.Outcome
		caller, answerer selftest.Grade
		reason           string
	}{
		"no answer":   {linetest.OutcomeNoAnswer, selftest.Failed, selftest.Failed, "no-answer"},
		"no dialtone": {linetest.OutcomeNoDialtone, selftest.Failed, "", "no-dialtone"},
		"busy":        {linetest.OutcomeBusy, "", "", "502 is busy"},
		"unanswered":  {linetest.OutcomeUnanswered, selftest.Failed, selftest.Failed, "no connection in time"},
		"elsewhere":   {linetest.OutcomeConnect, selftest.Failed, selftest.Failed, "502 is answered, but not by line b"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := exchangeBench(t, "abc", accept, nil)
				defer x.finish()
				x.must(x.lineNamed("a").Plan(t.Context(), c.outcome))
				o, err := x.server.SelfTest(t.Context(), SelfTestRequest{Line: "a", To: "b"})
				x.must(err)
				if o.Caller.Grade != c.caller || o.Answerer.Grade != c.answerer || !strings.Contains(o.Caller.Reason, c.reason) || !strings.Contains(o.Answerer.Reason, c.reason) {
					t.Errorf("%+v", o)
				}
				for _, l := range []LineStatus{x.status("a"), x.status("b")} {
					if l.State != line.StateIdle || l.Call != nil || l.Reserved {
						t.Errorf("left behind: %+v", l)
					}
				}
			})
		})
	}
}

// Somebody else who calls the line is served as ever, and the test says nothing about either line.
func TestCallerComesBeforeTheSelfTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchangeBench(t, "abc", accept, nil)
		defer x.finish()
		x.must(x.lineNamed("a").Plan(t.Context(), linetest.OutcomeUnanswered))
		done := x.begin()
		synctest.Wait()
		x.must(x.lineNamed("b").Ring(t.Context(), linetest.Caller{Number: "030123"}))
		if call := next[control.IncomingConnected](x.pns["a"]).Call; call.DialingNumber != "030123" {
			t.Errorf("the network server was told %+v", call)
		}
		if o := <-done; o.Caller.Grade != "" || o.Answerer.Grade != "" || !strings.Contains(o.Caller.Reason, "called by somebody else") {
			t.Errorf("%+v", o)
		}
		if l := x.status("b"); l.Call == nil || l.Call.Stage != "established" || l.SelfTest != nil {
			t.Errorf("the caller's line: %+v", l)
		}
	})
}

// Where no number is shown, a caller who comes at this very moment is known by his PPP, and has his call all the same.
func TestStrangerIsHandedOver(t *testing.T) {
	for name, answer := range map[string]*pptp.IncomingResult{"served": accept, "our call is busy": accept, "refused": refuse} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := exchangeBench(t, "abc", answer, nil)
				a, b := x.lineNamed("a"), x.lineNamed("b")
				x.must(a.Plan(t.Context(), linetest.OutcomeUnanswered))
				done := x.begin()
				synctest.Wait()
				x.must(b.Ring(t.Context(), linetest.Caller{}))
				x.must(b.Connected(t.Context()))
				if name == "our call is busy" {
					a.EndCall(line.Cause{Code: line.CauseBusy})
				}
				<-time.After(3 * time.Second)
				x.must(b.Send(t.Context(), hdlc.AppendFrame(nil, lcpRequest, hdlc.DefaultACCM)))
				if o := <-done; o.Caller.Grade != "" || o.Answerer.Grade != "" {
					t.Errorf("%+v", o)
				}
				if answer == refuse {
					x.must(b.Released(t.Context()))
					x.finish()
					return
				}
				call := next[control.IncomingConnected](x.pns["a"]).Call
				x.must(b.Send(t.Context(), hdlc.AppendFrame(nil, lcpRequest, hdlc.DefaultACCM)))
				if h, payload := x.pns["a"].receive(); !bytes.Equal(payload, lcpRequest) || h.CallID != call.PNSCallID {
					t.Errorf("GRE %+v carries % x", h, payload)
				}
				x.must(b.HangUp(t.Context()))
				synctest.Wait()
				if r := x.finish()["b"]; len(r) != 1 || r[0].Kind != record.KindIncoming || r[0].PNS == "" || r[0].SelfTest != (record.SelfTest{}) {
					t.Errorf("records: %+v", r)
				}
			})
		})
	}
}

// The last free line that a call could take is for callers and for network servers, also when that becomes so while the test is on.
func TestSelfTestLeavesALineForCallers(t *testing.T) {
	for name, change := range map[string]func(*config.Config){
		`hunt group "public"`: func(c *config.Config) { c.Hunts = []config.Hunt{{Name: "public", Lines: []string{"*"}}} },
		"the bank":            nil,
		"what is in no hunt group": func(c *config.Config) {
			c.Hunts = []config.Hunt{{Name: "other", Lines: []string{"d"}}}
		},
		"what dials for network servers (dialout.lines)": func(c *config.Config) {
			c.Hunts = []config.Hunt{{Name: "public", Lines: []string{"*"}}}
			c.Dialout = config.Dialout{Allow: []string{""}, Lines: []string{"[abc]"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			lines := "abcd"
			if name == "the bank" || strings.HasPrefix(name, "hunt") {
				lines = "abc"
			}
			synctest.Test(t, func(t *testing.T) {
				x := exchangeBench(t, lines, accept, change)
				defer x.finish()
				x.connectCalls("a", 2)
				done := x.begin()
				<-time.After(5 * time.Second)
				began := time.Now()
				if _, err := x.server.SelfTest(t.Context(), SelfTestRequest{Line: "c"}); !errors.Is(err, errTesting) {
					t.Errorf("a second test at once: %v", err)
				}
				c := x.lineNamed("c")
				x.must(c.Ring(t.Context(), linetest.Caller{Number: "030123"}))
				if o := <-done; o.Caller.Grade != "" || !strings.Contains(o.Caller.Reason, name+" has no other free line") || time.Since(began) > time.Second {
					t.Errorf("after %v: %+v", time.Since(began), o)
				}
				if _, err := x.server.SelfTest(t.Context(), SelfTestRequest{Line: "a", To: "b"}); err == nil || !strings.Contains(err.Error(), "callers come first") {
					t.Errorf("a test of the last free lines: %v", err)
				}
				for _, name := range []string{"a", "b"} {
					_, err := x.server.LineCommand(t.Context(), LineRequest{Line: name, Action: LineDisable})
					x.must(err)
				}
				if o, err := x.server.SelfTest(t.Context(), SelfTestRequest{Line: "a", To: "b"}); err != nil || o.Answerer.Grade != selftest.Good {
					t.Errorf("a test of disabled lines: %+v, %v", o, err)
				}
			})
		})
	}
}

// By the schedule each line is tested once in the time, and those that fail again and again take no calls until they pass.
func TestScheduledSelfTests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchangeBench(t, "abcd", accept, func(c *config.Config) {
			allow("")(c)
			c.SelfTest.Every, c.SelfTest.Quarantine, c.SelfTest.Duration = time.Hour, 2, 5*time.Second
		})
		var broken atomic.Bool
		broken.Store(true)
		x.damage = func(to string, octets []byte, _ int) {
			if to == "502" && broken.Load() {
				octets[0] = 0x7e
			}
		}
		for _, name := range []string{"a", "b", "c", "d"} {
			x.lineNamed(name).SetConnected(line.Connected{RxSpeed: 9600, TxSpeed: 9600, Framing: line.FramingAsync, Bearer: line.BearerAnalog})
			x.connectCalls(name, 1000)
		}
		<-time.After(5 * time.Hour)
		for _, name := range []string{"a", "c", "d"} {
			if l := x.status(name); l.SelfTest == nil || l.Quarantined || l.Calls != 0 || l.SelfTests > 15 || l.SelfTests < 3 {
				t.Errorf("line %s: %+v", name, l)
			}
		}
		if l := x.status("b"); l.SelfTest == nil || !l.Quarantined || l.SelfTest.Failures < 2 {
			t.Errorf("the broken line: %+v, %+v", l, l.SelfTest)
		}
		for _, o := range x.server.linesFor(control.Call{}) {
			if o.identity.Name == "b" {
				t.Error("a line in quarantine is dialled on")
			}
		}
		broken.Store(false)
		<-time.After(2 * time.Hour)
		if l := x.status("b"); l.Quarantined || l.SelfTest.Failures != 0 || l.SelfTest.Grade != selftest.Good {
			t.Errorf("the mended line: %+v, %+v", l, l.SelfTest)
		}
		x.finish()
	})
}

func TestSelfTestIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchangeBench(t, "abc", accept, func(c *config.Config) { c.SelfTest.CallsPerHour = 1 })
		defer x.finish()
		for r, want := range map[SelfTestRequest]string{
			{Line: "x"}: errNoLineOfName.Error(), {Line: "a", To: "x"}: errNoLineOfName.Error(), {Line: "a", To: "a"}: "cannot call itself",
		} {
			if _, err := x.server.SelfTest(t.Context(), r); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v", r, err)
			}
		}
		x.must(x.lineNamed("a").Plan(t.Context(), linetest.OutcomeBusy))
		if _, err := x.server.SelfTest(t.Context(), SelfTestRequest{Line: "a"}); err != nil {
			t.Error(err)
		}
		if _, err := x.server.SelfTest(t.Context(), SelfTestRequest{Line: "a"}); err == nil || !strings.Contains(err.Error(), "selftest.calls_per_hour") {
			t.Errorf("a second call in the hour: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		<-time.After(time.Hour)
		x.must(x.lineNamed("a").Plan(t.Context(), linetest.OutcomeUnanswered))
		time.AfterFunc(time.Second, cancel)
		if o, err := x.server.SelfTest(ctx, SelfTestRequest{Line: "a"}); err != nil || o.Caller.Grade != "" || o.Caller.Reason != "it was given up" {
			t.Errorf("given up: %+v, %v", o, err)
		}
		x.lineNamed("b").Fail(line.Cause{Code: line.CauseDevice})
		synctest.Wait()
		if _, err := x.server.SelfTest(t.Context(), SelfTestRequest{Line: "a", To: "b"}); !errors.Is(err, errNotFree) || !strings.Contains(err.Error(), "(down, device)") {
			t.Errorf("without another line: %v", err)
		}
	})
}

// The numbers that lines show differ by what networks leave out or put before them.
func TestCallerNumberOfASelfTest(t *testing.T) {
	e := &testEnd{test: &selfTest{settings: config.SelfTest{CallerIDs: []string{"7000"}}}}
	for _, c := range []struct {
		own, shown string
		want       bool
	}{
		{"5550101", "", true}, {"", "5550101", true}, {"5550101", "5550101", true}, {"+4930123", "4930123", true}, {"+4930123", "030123", false}, {"101", "0305550101", true},
		{"030123", "123", true}, {"1", "5550101", false}, {"1", "1", true}, {"101", "102", false}, {"101", "7000", true}, {"5550101", "0101", true},
	} {
		e.other = &testEnd{owner: &owner{identity: line.Identity{Number: c.own}}}
		if got := e.showsCaller(c.shown); got != c.want {
			t.Errorf("the line of %q, %q is shown: %v", c.own, c.shown, got)
		}
	}
}

// Lines of ISDN and of modems do not test each other.
func TestSelfTestNeedsABearer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := startOn(t, accept, accept, nil, func(x *bench) Driver {
			x.fake = linetest.NewFake(line.Identity{Name: "a", Number: "501"}, line.Identity{Name: "b", Number: "502", Bearers: line.BearerDigital},
				line.Identity{Name: "c", Number: "503", Bearers: line.BearerAnalog | line.BearerDigital},
				line.Identity{Name: "d", Number: "504"}, line.Identity{Name: "e", Number: "505", Bearers: line.BearerDigital})
			return fakeDriver{x.fake}
		})
		defer x.end()
		if _, err := x.server.SelfTest(t.Context(), SelfTestRequest{Line: "a", To: "b"}); err == nil || !strings.Contains(err.Error(), "one is digital, the other analog") {
			t.Errorf("a modem called a terminal adapter: %v", err)
		}
		for _, caller := range []string{"a", "b"} {
			if err := x.server.fits(x.server.lineOf(caller), x.server.lineOf("c"), true); err != nil {
				t.Errorf("%s cannot call a line with both: %v", caller, err)
			}
		}
	})
}
