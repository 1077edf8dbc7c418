package plan

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// testPlan has three lines; 100 hunts over lines 1 and 2.
var testPlan = Config{
	Lines: []Line{{Number: "1", Name: "ONE"}, {Number: "2"}, {Number: "3", Name: "THREE", Withhold: true}, {Number: "4", CallWaiting: true}},
	Hunts: []Hunt{{Number: "100", Lines: []int{1, 2}}},
	Busy:  "300", NoAnswer: "301", Reorder: "302",
}

type rig struct {
	t   *testing.T
	w   *Switch
	now time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	w, err := New(testPlan)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, w: w, now: start}
}

// run lets d pass and returns what the switch did, with the time in ms since the
// beginning of run.
func (r *rig) run(d time.Duration) (did []string) {
	r.t.Helper()
	began, end := r.now, r.now.Add(d)
	for {
		for _, a := range r.w.Actions() {
			did = append(did, fmt.Sprintf("%d %s %+v", r.now.Sub(began).Milliseconds(), strings.TrimPrefix(fmt.Sprintf("%T", a), "plan."), a))
		}
		next := r.w.Deadline()
		if next.IsZero() || next.After(end) {
			break
		}
		if next.After(r.now) {
			r.now = next
		}
		r.w.Tick(r.now)
	}
	r.now = end
	b, err := json.Marshal(r.w.State())
	if err != nil {
		r.t.Fatal(err)
	}
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		r.t.Fatal(err)
	}
	w, err := Restore(testPlan, s)
	if err != nil {
		r.t.Fatal(err)
	}
	if !reflect.DeepEqual(w.State(), r.w.State()) {
		r.t.Fatal("the state changes on its way")
	}
	r.w = w
	return did
}

func (r *rig) want(d time.Duration, want ...string) {
	r.t.Helper()
	if got := r.run(d); strings.Join(got, "\n") != strings.Join(want, "\n") {
		r.t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (r *rig) phases(want ...Phase) {
	r.t.Helper()
	for i, p := range want {
		if got := r.w.Line(i).Phase; got != p {
			r.t.Errorf("line %d is %v, want %v", i, got, p)
		}
	}
}

const ring = "Ring {Line:1 From:0 Burst:%d Caller:{Number:1 Name:ONE Dialed:%s Subaddress:}}"

func TestCall(t *testing.T) {
	r := newRig(t)
	r.w.Dial(r.now, 0, "2")
	r.phases(Dialing, Idle)
	r.want(13*time.Second, "200 Hears {Line:0 Tone:2 Cause:0}", "200 "+fmt.Sprintf(ring, 1, "2"), "6200 "+fmt.Sprintf(ring, 2, "2"), "12200 "+fmt.Sprintf(ring, 3, "2"))
	r.phases(Calling, Ringing)
	r.w.Answer(r.now, 1)
	r.want(time.Minute, "0 Answered {Caller:0 Callee:1}")
	r.phases(Talking, Talking)
	r.w.OnHook(r.now, 0)
	r.want(time.Minute, "0 Cleared {Line:1}")
	r.phases(Idle, Released)
	r.w.Dial(r.now, 2, "2")
	r.want(time.Second, "200 Hears {Line:2 Tone:3 Cause:17}") // busy until it hangs up
	r.w.OnHook(r.now, 1)
	r.want(time.Second)
	r.phases(Idle, Idle, OffHook)
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		number string
		want   []string
	}{
		{"2", []string{"200 Hears {Line:0 Tone:2 Cause:0}", "200 " + fmt.Sprintf(ring, 1, "2")}},
		{"(2)-", []string{"200 Hears {Line:0 Tone:2 Cause:0}", "200 " + fmt.Sprintf(ring, 1, "2")}},
		{"100", []string{"200 Hears {Line:0 Tone:2 Cause:0}", "200 " + fmt.Sprintf(ring, 1, "100")}},
		{"1", []string{"200 Hears {Line:0 Tone:3 Cause:17}"}}, // itself
		{"300", []string{"200 Hears {Line:0 Tone:3 Cause:17}"}},
		{"301", []string{"200 Hears {Line:0 Tone:2 Cause:0}"}},
		{"999", []string{"3200 Hears {Line:0 Tone:4 Cause:1}"}},
		{"", nil},
	} {
		r := newRig(t)
		r.w.Dial(r.now, 0, c.number)
		r.want(5*time.Second, c.want...)
		r.w.OnHook(r.now, 0)
		r.run(time.Minute)
		r.phases(Idle, Idle, Idle, Idle)
		if d := r.w.Deadline(); !d.IsZero() {
			t.Errorf("%s: a deadline is left: %v", c.number, d)
		}
	}
}

func TestHunting(t *testing.T) {
	r := newRig(t)
	hunt := func(caller int, want string) {
		t.Helper()
		r.w.Dial(r.now, caller, "100")
		if got := strings.Join(r.run(time.Second), "\n"); !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %s", got, want)
		}
	}
	hunt(0, "Ring {Line:1")
	hunt(3, "Ring {Line:2")
	r.w.OnHook(r.now, 3)
	r.run(time.Second)
	r.w.SetFault(r.now, 2, FaultBusyOut)
	hunt(3, "Tone:3")
	r.w.OnHook(r.now, 3)
	r.w.SetFault(r.now, 2, FaultDead) // one dead, one busy: busy
	hunt(3, "Tone:3")
	r.w.OnHook(r.now, 3)
	r.w.OnHook(r.now, 0)
	r.run(time.Second)
	hunt(3, "Ring {Line:1")
}

func TestGivingUp(t *testing.T) {
	r := newRig(t)
	r.w.Dial(r.now, 0, "2")
	r.run(time.Second)
	r.w.OnHook(r.now, 0)
	r.want(time.Minute, "0 RingEnd {Line:1}")
	r.phases(Idle, Idle)
	r.w.Answer(r.now, 1) // too late: it hears a dial tone
	r.want(time.Second)
	r.phases(Idle, OffHook)
	r.w.OnHook(r.now, 1)

	r.w.Dial(r.now, 0, "2")
	did := r.run(5 * time.Minute)
	if n := len(did); n != 1+30+2 || did[n-2] != "180200 RingEnd {Line:1}" || did[n-1] != "180200 Hears {Line:0 Tone:4 Cause:18}" {
		t.Errorf("ringing without end: %d, %v", n, did[n-2:])
	}
	r.phases(OffHook, Idle)
}

func TestGlareAndRefusals(t *testing.T) {
	r := newRig(t)
	r.w.Dial(r.now, 0, "2")
	r.run(time.Second)
	r.w.OnHook(r.now, 1) // it is on hook
	r.phases(Calling, Ringing)
	r.w.Dial(r.now, 1, "3") // goes off hook while it rings
	r.want(time.Minute, "0 Answered {Caller:0 Callee:1}")
	r.w.Dial(r.now, 0, "3") // digits in a call go nowhere
	r.w.Answer(r.now, 0)
	r.want(time.Minute)
	r.phases(Talking, Talking)
}

func TestFaults(t *testing.T) {
	r := newRig(t)
	r.w.SetFault(r.now, 0, FaultDead)
	r.w.Dial(r.now, 0, "2")
	r.want(5*time.Second, "1000 Hears {Line:0 Tone:1 Cause:34}")
	r.w.OnHook(r.now, 0)
	r.w.Dial(r.now, 2, "1")
	r.want(5*time.Second, "3200 Hears {Line:2 Tone:4 Cause:27}")
	r.w.OnHook(r.now, 2)
	r.w.SetFault(r.now, 0, FaultNone)
	r.w.SetFault(r.now, 1, FaultBusyOut)
	r.w.Dial(r.now, 0, "2")
	r.want(5*time.Second, "200 Hears {Line:0 Tone:3 Cause:17}")
	r.w.OnHook(r.now, 0)
	r.w.Dial(r.now, 1, "1") // busied out, but it can call
	r.run(time.Second)
	r.w.Answer(r.now, 0)
	r.run(time.Second)
	r.w.SetFault(r.now, 1, FaultDead)
	r.want(time.Second, "0 Cleared {Line:1}", "0 Cleared {Line:0}")
	r.phases(Released, Released)
}

func TestCut(t *testing.T) {
	for i := range 2 { // from either side, while ringing and in a call
		r := newRig(t)
		r.w.Dial(r.now, 0, "2")
		r.run(time.Second)
		r.w.Cut(r.now, i)
		r.want(time.Minute, "0 RingEnd {Line:1}", "0 Hears {Line:0 Tone:4 Cause:18}")
		r.phases(OffHook, Idle)
		r.w.OnHook(r.now, 0)
		r.w.Cut(r.now, i) // nothing to cut
		r.want(time.Minute)
		r.w.Dial(r.now, 0, "2")
		r.run(time.Second)
		r.w.Answer(r.now, 1)
		r.run(time.Second)
		r.w.Cut(r.now, i)
		if did := r.run(time.Minute); len(did) != 2 {
			t.Error(did)
		}
		r.phases(Released, Released)
	}
}

// A number that the network has no way to, and a caller who is not told.
func TestReorderAndWithheld(t *testing.T) {
	r := newRig(t)
	r.w.Dial(r.now, 2, "302")
	r.want(time.Second, "200 Hears {Line:2 Tone:5 Cause:34}")
	r.w.Dial(r.now, 2, "2")
	r.want(time.Second, "200 Hears {Line:2 Tone:2 Cause:0}", "200 Ring {Line:1 From:2 Burst:1 Caller:{Number:P Name: Dialed:2 Subaddress:}}")
}

// Who calls a line with call waiting in its call is heard in it, and rings the line once it is on hook; a third one finds it busy.
func TestCallWaiting(t *testing.T) {
	r := newRig(t)
	talking := func() {
		t.Helper()
		r.w.Dial(r.now, 0, "4")
		r.run(time.Second)
		r.w.Answer(r.now, 3)
		r.run(time.Second)
	}
	talking()
	r.w.Dial(r.now, 1, "4")
	r.want(7*time.Second, "200 Hears {Line:1 Tone:2 Cause:0}", "200 Waiting {Line:3}", "6200 Waiting {Line:3}")
	r.w.Dial(r.now, 2, "4")
	r.want(time.Second, "200 Hears {Line:2 Tone:3 Cause:17}")
	r.phases(Talking, Calling, OffHook, Talking)
	r.w.OnHook(r.now, 3)
	r.want(6*time.Second, "0 Cleared {Line:0}", "4200 Hears {Line:1 Tone:2 Cause:0}", "4200 Ring {Line:3 From:1 Burst:1 Caller:{Number:2 Name: Dialed:4 Subaddress:}}")
	r.w.Answer(r.now, 3)
	r.want(time.Minute, "0 Answered {Caller:1 Callee:3}")
	r.phases(Released, Talking, OffHook, Talking)

	r.w.OnHook(r.now, 0)
	r.w.OnHook(r.now, 1)
	r.w.OnHook(r.now, 3)
	talking()
	r.w.OnHook(r.now, 2)
	r.w.Dial(r.now, 2, "4") // gives up himself
	r.run(time.Second)
	r.w.OnHook(r.now, 2)
	r.want(time.Minute)
	r.w.Dial(r.now, 2, "4") // is given up
	if did := r.run(4 * time.Minute); len(did) != 32 || did[31] != "180200 Hears {Line:2 Tone:4 Cause:18}" {
		t.Error(len(did), did)
	}
	r.phases(Talking, Idle, OffHook, Talking)
}

func TestBadPlans(t *testing.T) {
	for want, change := range map[string]func(c *Config){
		`number "" of line 0`:             func(c *Config) { c.Lines[0].Number = "" },
		`number "1-2" of line 0`:          func(c *Config) { c.Lines[0].Number = "1-2" },
		"is that of line 0 already":       func(c *Config) { c.Lines[1].Number = "1" },
		"the busy number is that of line": func(c *Config) { c.Busy = "1" },
		"is that of the busy number":      func(c *Config) { c.NoAnswer = "300" },
		"without a way is that of line":   func(c *Config) { c.Reorder = "2" },
		"hunt group 100 has no lines":     func(c *Config) { c.Hunts[0].Lines = nil },
		"there is no line 9":              func(c *Config) { c.Hunts[0].Lines = []int{9} },
		"hunt group 0 is that of line 3":  func(c *Config) { c.Hunts[0].Number = "4" },
	} {
		c := testPlan
		c.Lines = append([]Line(nil), c.Lines...)
		c.Hunts = append([]Hunt(nil), c.Hunts...)
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := Restore(testPlan, State{}); err == nil {
		t.Error("a state without lines is restored")
	}
	s := newRig(t).w.State()
	s.Lines[0].Other = 17
	if _, err := Restore(testPlan, s); err == nil {
		t.Error("a state with a call to nowhere is restored")
	}
}

// Random walks: calls stay symmetric, and all lines come to rest when all hang up.
func TestWalk(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		r := newRig(t)
		for range 100 {
			line := rng.IntN(4)
			switch rng.IntN(7) {
			case 0, 1:
				r.w.Dial(r.now, line, []string{"1", "2", "3", "4", "100", "300", "301", "302", "9"}[rng.IntN(9)])
			case 2, 3:
				r.w.Answer(r.now, line)
			case 4:
				r.w.OnHook(r.now, line)
			case 5:
				r.w.Cut(r.now, line)
			case 6:
				r.w.SetFault(r.now, line, Fault(rng.IntN(3)))
			}
			r.run(time.Duration(rng.IntN(4000)) * time.Millisecond)
			for i, l := range r.w.s.Lines {
				connected := l.Phase == Ringing || l.Phase == Talking || l.Phase == Calling && l.Number != "301" && l.WaitsFor == 0
				if l.WaitsFor > 0 && l.Phase != Calling || connected != (l.Other >= 0) || connected && r.w.s.Lines[l.Other].Other != i {
					t.Fatalf("seed %d: line %d: %+v", seed, i, r.w.s.Lines)
				}
			}
		}
		for i := range 4 {
			r.w.OnHook(r.now, i)
		}
		r.run(time.Second)
		r.phases(Idle, Idle, Idle, Idle)
		if !r.w.Deadline().IsZero() {
			t.Fatalf("seed %d: a deadline is left", seed)
		}
	}
}

// Digital calls reach digital lines only, analog ones the others, also in a hunt
// group; who is refused hears why. A line may have several numbers.
func TestBearers(t *testing.T) {
	w, err := New(Config{
		Lines: []Line{{Number: "1"}, {Number: "2"}, {Number: "3", Digital: true}, {Number: "4", Digital: true, Numbers: []string{"41", "42"}}},
		Hunts: []Hunt{{Number: "100", Lines: []int{1, 3}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from   int
		digits string
		want   Action
	}{
		{0, "3", Hears{Line: 0, Tone: Intercept, Cause: CauseIncompatible}},
		{2, "1", Hears{Line: 2, Tone: Intercept, Cause: CauseNoBearer}},
		{2, "9", Hears{Line: 2, Tone: Intercept, Cause: CauseUnassigned}},
		{0, "100", Ring{Line: 1, Burst: 1, Caller: Caller{Number: "1", Dialed: "100"}}},
		{2, "100", Ring{Line: 3, From: 2, Burst: 1, Caller: Caller{Number: "3", Dialed: "100"}}},
		{2, "42/7", Ring{Line: 3, From: 2, Burst: 1, Caller: Caller{Number: "3", Dialed: "42", Subaddress: "7"}}},
	} {
		w.Dial(start, c.from, c.digits)
		w.Tick(start.Add(time.Second)) // set up
		w.Tick(start.Add(5 * time.Second))
		did := w.Actions()
		if len(did) == 0 || did[len(did)-1] != c.want {
			t.Errorf("%s from line %d: %+v, want %+v", c.digits, c.from, did, c.want)
		}
		w.OnHook(start, c.from)
		w.Actions()
	}
	if _, err := New(Config{Lines: []Line{{Number: "1"}, {Number: "2", Numbers: []string{"1"}}}}); err == nil {
		t.Error("two lines have one number")
	}
}
