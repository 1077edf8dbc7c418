package caller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/pac/caller/callertest"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/ppp/peer"
)

func config(l line.Line, password string) Config {
	return Config{
		Line: l, Dial: line.DialRequest{Number: "5550100"},
		Link:   link.Config{User: "alice", Secret: auth.PlainSecret(password), Authentication: []auth.Protocol{auth.MSCHAPv2}, Encryption: ccp.Required, Seed: [32]byte{1}},
		Probes: []peer.Probe{{Count: 3, Size: 56}, {Count: 2, Size: 1400}},
	}
}

// dial makes a call over a fake line and returns what came of it.
func dial(t *testing.T, outcome linetest.Outcome, password string) (Result, []Event, error) {
	t.Helper()
	fake := linetest.NewFake(line.Identity{Name: "caller"})
	lines, err := fake.Open(t.Context(), line.Section{})
	if err != nil {
		t.Fatal(err)
	}
	far := fake.Lines()[0]
	if err := far.Plan(t.Context(), outcome); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&callertest.Answerer{Far: far}).Serve(ctx)
	}()
	var events []Event
	result, err := Run(t.Context(), config(lines[0], password), func(e Event) { events = append(events, e) })
	cancel()
	<-done
	if s := far.Status(); s.State != line.StateIdle {
		t.Errorf("the line is %v after the call", s.State)
	}
	if err := lines[0].Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	return result, events, err
}

func has(events []Event, kind Kind, text string) bool {
	for _, e := range events {
		if e.Kind == kind && strings.Contains(e.Text, text) {
			return true
		}
	}
	return false
}

func TestCallWithPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result, events, err := dial(t, linetest.OutcomeConnect, "secret")
		if err != nil {
			t.Fatal(err, events)
		}
		if !result.Encrypted || result.Address != "10.0.0.2" || len(result.Probes) != 2 || result.Probes[0].Received != 3 || result.Probes[1].Received != 2 {
			t.Errorf("result %+v", result)
		}
		for kind, text := range map[Kind]string{KindDialing: "5550100", KindConnect: "CONNECT 33600", KindPhase: "LCP open", KindNetwork: "MPPE-128", KindReply: "1400 octets from 10.0.0.1", KindHangup: "hangup"} {
			if !has(events, kind, text) {
				t.Errorf("no %s event says %q in %+v", kind, text, events)
			}
		}
	})
}

func TestWrongPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, events, err := dial(t, linetest.OutcomeConnect, "wrong")
		if !errors.Is(err, ErrLink) || !strings.Contains(err.Error(), "auth-failed") {
			t.Errorf("error %v after %+v", err, events)
		}
	})
}

// A line that does not work is no line to wait for.
func TestLineThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := linetest.NewFake(line.Identity{Name: "caller"})
		lines, err := fake.Open(t.Context(), line.Section{})
		if err != nil {
			t.Fatal(err)
		}
		<-lines[0].Events()
		fake.Lines()[0].Fail(line.Cause{Code: line.CauseDevice, Text: "no such file"})
		began := time.Now()
		if _, err := Run(t.Context(), config(lines[0], "secret"), func(Event) {}); !errors.Is(err, ErrLine) || !strings.Contains(err.Error(), "no such file") {
			t.Errorf("error %v", err)
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("it waited for %v", waited)
		}
		_ = lines[0].Shutdown(t.Context())
	})
}

func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, err := dial(t, linetest.OutcomeBusy, "secret")
		if !errors.Is(err, ErrDial) || !strings.Contains(err.Error(), "busy") {
			t.Errorf("error %v", err)
		}
	})
}

// On a line that loses frames a call has worked if anything came back; what came back damaged is never right, nor is a link that has ended before
// all was sent.
func TestLossyCalls(t *testing.T) {
	lost, none, corrupt := peer.Statistics{Sent: 5, Received: 4}, peer.Statistics{Sent: 5}, peer.Statistics{Sent: 5, Received: 5, Corrupt: 1}
	short, whole := peer.Statistics{Sent: 2, Received: 2}, peer.Statistics{Sent: 5, Received: 5}
	for _, c := range []struct {
		lossy bool
		s     peer.Statistics
		ok    bool
	}{{false, lost, false}, {true, lost, true}, {true, none, false}, {true, corrupt, false}, {false, short, false}, {true, short, false}, {false, whole, true}} {
		one := call{cfg: Config{Lossy: c.lossy, Probes: []peer.Probe{{Count: 5}}}, ended: &link.Reason{}, result: Result{Network: &link.NetworkUp{}, Probes: []peer.Statistics{c.s}}}
		if err := one.verdict(t.Context()); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrProbes) {
			t.Errorf("lossy %v, %+v: %v", c.lossy, c.s, err)
		}
	}
}
