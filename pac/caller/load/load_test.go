package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/pac/caller/callertest"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
	"trunkline.example/shared/measure"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/ppp/peer"
)

// office is some lines with a PPP server behind each.
type office struct {
	t         *testing.T
	fake      *linetest.Fake
	lines     []line.Line
	answerers []*callertest.Answerer
	stop      context.CancelFunc
	wg        sync.WaitGroup
}

func newOffice(t *testing.T, lines int) *office {
	t.Helper()
	o := &office{t: t, fake: linetest.NewFake(make([]line.Identity, lines)...)}
	var err error
	if o.lines, err = o.fake.Open(t.Context(), line.Section{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	o.stop = cancel
	for _, far := range o.fake.Lines() {
		if err := far.Plan(ctx, linetest.OutcomeConnect); err != nil {
			t.Fatal(err)
		}
		a := &callertest.Answerer{Far: far}
		o.answerers = append(o.answerers, a)
		o.wg.Go(func() { a.Serve(ctx) })
	}
	return o
}

// close ends all; every line must be free.
func (o *office) close() {
	o.t.Helper()
	o.stop()
	o.wg.Wait()
	for i, l := range o.lines {
		if s := o.fake.Lines()[i].Status(); s.State != line.StateIdle && s.State != line.StateDown {
			o.t.Errorf("line %d is %v after the run", i+1, s.State)
		}
		_ = l.Shutdown(context.WithoutCancel(o.t.Context()))
	}
}

func (o *office) config() Config {
	return Config{
		Number: "1000", Lines: o.lines, Seed: 7,
		Link: link.Config{User: "user%d", Secret: auth.PlainSecret(callertest.Password), Authentication: []auth.Protocol{auth.MSCHAPv2}, Encryption: ccp.Required},
	}
}

func (o *office) run(cfg Config) measure.Report {
	o.t.Helper()
	r, err := Run(o.t.Context(), cfg, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	return r
}

func in(t *testing.T, lines int, f func(*testing.T, *office)) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, lines)
		defer o.close()
		f(t, o)
	})
}

// All calls are held until the last one is up, and carry their traffic then, for the time asked for.
func TestTogether(t *testing.T) {
	in(t, 3, func(t *testing.T, o *office) {
		c := o.config()
		c.Duration, c.Users = 3*time.Second, 2
		c.Traffic, c.Sizes = &peer.Probe{Interval: 100 * time.Millisecond}, []int{100, 200}
		r := o.run(c)
		if !r.OK() || r.Up != 3 || r.Started != 3 || r.Sessions != 3 || r.SetUp.Latency.Count != 3 || r.SetUp.Connect.Count != 3 || r.SetUp.Network.Count != 3 {
			t.Fatalf("%+v", r)
		}
		got := r.Traffic
		if got == nil || got.Shape != "echo" || got.Seconds != 3 || got.Up.Sent < 87 || got.Up.Sent > 93 || got.Down.Received != got.Up.Sent || got.Down.Lost != 0 || got.RoundTrip.Count != got.Up.Sent {
			t.Fatalf("traffic: %+v", got)
		}
		if want := float64(got.Down.Received) / 3 * (100 + 200 + 100 + 3*28) * 8 / 1e6 / 3; got.Down.Mbps < want*0.99 || got.Down.Mbps > want*1.01 {
			t.Errorf("%v Mbit/s, want about %v", got.Down.Mbps, want)
		}
		var users []string
		for _, a := range o.answerers {
			users = append(users, a.User)
		}
		if !slices.Equal(users, []string{"user0", "user1", "user0"}) {
			t.Errorf("users %q", users)
		}
	})
}

// Calls in a row: each is held for itself, and the rate bounds how often one begins.
func TestInARow(t *testing.T) {
	in(t, 2, func(t *testing.T, o *office) {
		c := o.config()
		c.Calls, c.Hold, c.Rate, c.AtOnce = 5, time.Second, 0.5, 2
		c.Traffic = &peer.Probe{Interval: 250 * time.Millisecond}
		began := time.Now()
		r := o.run(c)
		if took := time.Since(began); took < 18*time.Second || took > 30*time.Second {
			t.Errorf("ten calls, one every two seconds, took %v: %+v", took, r)
		}
		if !r.OK() || r.Up != 10 || r.Sessions != 10 || r.Traffic == nil || r.Traffic.Up.Sent < 40 || r.Traffic.Down.Lost != 0 || r.SetUp.PerSecond > 0.55 {
			t.Errorf("%+v %+v", r, r.Traffic)
		}
	})
}

// Why calls fail is counted: a busy number, a password that is wrong, a line that does not work, a link that ends early.
func TestFailures(t *testing.T) {
	cases := map[string]struct {
		lines   int
		prepare func(o *office, c *Config)
		fails   string
		drops   string
	}{
		"busy":     {2, func(o *office, _ *Config) { o.plan(linetest.OutcomeBusy) }, "call: busy", ""},
		"password": {2, func(_ *office, c *Config) { c.Link.Secret = auth.PlainSecret("wrong") }, "PPP: auth-failed (by peer)", ""},
		"down": {1, func(o *office, _ *Config) {
			<-o.lines[0].Events() // it was up
			o.fake.Lines()[0].Fail(line.Cause{Code: line.CauseDevice, Text: "no such file"})
		}, "the line is not usable", ""},
		"lost": {1, func(o *office, _ *Config) {
			time.AfterFunc(5*time.Second, func() { _ = o.fake.Lines()[0].HangUp(context.Background()) })
		}, "", "PPP: "},
	}
	for name, tc := range cases {
		in(t, tc.lines, func(t *testing.T, o *office) {
			c := o.config()
			c.Duration = time.Minute
			tc.prepare(o, &c)
			r := o.run(c)
			for _, got := range []struct {
				list []measure.Failure
				n    int
				want string
			}{{r.Failures, r.Failed, tc.fails}, {r.Drops, r.Dropped, tc.drops}} {
				if got.want == "" {
					if got.n != 0 {
						t.Errorf("%s: %+v", name, r)
					}
				} else if got.n != tc.lines || len(got.list) != 1 || !strings.HasPrefix(got.list[0].Reason, got.want) || !strings.HasPrefix(got.list[0].Example, "line") {
					t.Errorf("%s: %d, %+v; want %q", name, got.n, got.list, got.want)
				}
			}
		})
	}
}

// Calls of which none came up have carried nothing: the report tells of no traffic.
func TestNoTrafficWithoutCalls(t *testing.T) {
	in(t, 2, func(t *testing.T, o *office) {
		o.plan(linetest.OutcomeBusy)
		c := o.config()
		c.Hold, c.Traffic = time.Second, &peer.Probe{Interval: time.Second}
		if r := o.run(c); r.Failed != 2 || r.Traffic != nil {
			t.Errorf("%+v, traffic %+v", r, r.Traffic)
		}
	})
}

func (o *office) plan(outcome linetest.Outcome) {
	o.t.Helper()
	for _, far := range o.fake.Lines() {
		if err := far.Plan(o.t.Context(), outcome); err != nil {
			o.t.Fatal(err)
		}
	}
}

// An interruption ends all calls orderly, and is no failure.
func TestInterrupted(t *testing.T) {
	in(t, 2, func(t *testing.T, o *office) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := o.config()
		c.Duration = time.Hour
		c.Traffic = &peer.Probe{Interval: time.Second}
		var phases []string
		r, err := Run(ctx, c, func(p measure.Progress) {
			if !slices.Contains(phases, p.Phase) {
				phases = append(phases, p.Phase)
			}
			if p.Received >= 6 {
				cancel()
			}
		})
		if err != nil || !r.Interrupted || !r.OK() || r.Up != 2 || r.Traffic.Up.Received < 6 || !slices.Contains(phases, "carrying") {
			t.Errorf("%v %+v %q", err, r, phases)
		}
	})
}

func TestConfig(t *testing.T) {
	good := Config{Lines: make([]line.Line, 2)}
	if c, err := good.filled(); err != nil || c.Calls != 1 || c.AtOnce != 2 || c.Users != 2 || c.Limit != DefaultLimit {
		t.Errorf("%+v %v", c, err)
	}
	for i, change := range []func(*Config){
		func(c *Config) { c.Lines = nil }, func(c *Config) { c.Calls = -1 }, func(c *Config) { c.AtOnce = -1 }, func(c *Config) { c.Users = -1 },
		func(c *Config) { c.Rate = -1 }, func(c *Config) { c.Limit = -1 }, func(c *Config) { c.Hold = -1 }, func(c *Config) { c.Sizes = []int{peer.MaxSize + 1} },
		func(c *Config) { c.Duration, c.Hold = 1, 1 }, func(c *Config) { c.Duration, c.Calls = 1, 2 },
	} {
		c := good
		change(&c)
		if _, err := Run(t.Context(), c, nil); !errors.Is(err, ErrConfig) {
			t.Errorf("case %d (%+v): %v", i, fmt.Sprint(c), err)
		}
	}
}
