package measure

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	var h, whole Histogram
	for i := range 1000 {
		h.Add(time.Duration(i+1) * time.Microsecond)
	}
	whole.Merge(&h)
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Microsecond, 0.9: 900 * time.Microsecond, 0.99: 990 * time.Microsecond, 1: time.Millisecond} {
		if got := whole.quantile(q); got < want-want/50 || got > want+want/50 {
			t.Errorf("quantile %v: %v, want about %v", q, got, want)
		}
	}
	for _, d := range []time.Duration{0, 1, 127, 128, 1000, time.Second, time.Hour} {
		if s := step(d); d < time.Hour && (least(s) > d || least(s+1) <= d) || s >= mostSteps {
			t.Errorf("%v is counted in step %d, from %v to %v", d, s, least(s), least(s+1))
		}
	}
}

func TestRates(t *testing.T) {
	var even []time.Duration
	for i := range 200 {
		even = append(even, time.Duration(i+1)*10*time.Millisecond)
	}
	var u SetUp
	if u.Rates(even, 10); u.Seconds != 2 || u.PerSecond != 100 || u.Part != 20 || u.FirstPerSecond != 100 || u.LastPerSecond != 100 {
		t.Errorf("%+v", u)
	}
	slowing := slices.Clone(even) // of very many calls, the first and the last thousand
	for i := len(slowing); i < 20_000; i++ {
		slowing = append(slowing, slowing[i-1]+time.Duration(10+i/1000)*time.Millisecond)
	}
	if u.Rates(slowing, 10); u.Part != 1000 || u.FirstPerSecond != 100 || math.Round(u.LastPerSecond*29) != 1000 {
		t.Errorf("%+v", u)
	}
	for name, c := range map[string]struct {
		ups    []time.Duration
		atOnce int
	}{"all at one time": {slices.Repeat([]time.Duration{time.Second}, 100), 1}, "few": {even, 11}} {
		var u SetUp
		if u.Rates(c.ups, c.atOnce); u.PerSecond != 100 || u.FirstPerSecond != 0 || u.LastPerSecond != 0 {
			t.Errorf("%s: %+v", name, u)
		}
	}
}

// The report as a table, and the line of progress.
func TestTable(t *testing.T) {
	r := Report{Sessions: 3, Started: 3, Up: 2, Failed: 1, Seed: 77, Failures: []Failure{{Reason: "TCP: refused", Count: 1, Example: "why"}},
		SetUp:   SetUp{PerSecond: 123.456, Latency: Latency{Count: 2, Median: 1.5}, Connect: &Latency{Median: 1440}, Network: &Latency{P99: 240}},
		Flood:   &Carried{Up: Way{Sent: 10, Received: 5, Lost: 5, LostShare: 0.5}},
		Traffic: &Carried{Up: Way{Sent: 10, Received: 9, Lost: 1, LostShare: 0.1}, RoundTrip: &Latency{Max: 7}, ComeAndGo: &Come{Seed: 99, Started: 40, Up: 30, Cut: 3}}}
	var out bytes.Buffer
	if err := r.table().Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"of 3", "77", "TCP: refused: why", "123.46", "calls/s", "10.0000 % of 10", "flood, up, lost", "50.0000 % of 10", "round trip, max", "dial to CONNECT, median", "CONNECT to network up, p99", "of 40, 3 of them without a word; seed 99"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if err := r.failed(); err.Error() != "1 of 43 calls failed, 0 of 32 that were up were lost" {
		t.Error(err)
	}
	p := Progress{Phase: "carrying", Up: 2, Sessions: 3, Come: 9, Gone: 7, Sent: 5, Received: 4}
	if line := p.String(); !strings.Contains(line, "carrying: 2 of 3 up") || !strings.Contains(line, "; 9 came, 7 went; 5 packets sent, 4 received") {
		t.Error(line)
	}
}

// What a run prints: the report alone, and an error if calls have failed.
func TestShow(t *testing.T) {
	for _, c := range []struct {
		json  bool
		r     Report
		err   error
		says  string
		fails string
	}{
		{true, Report{Server: "1000", Up: 1, Started: 1}, nil, `"server": "1000"`, ""},
		{false, Report{Up: 1, Started: 3, Failed: 2}, nil, "calls failed", "2 of 3 calls failed"},
		{true, Report{}, errors.New("no socket"), "", "no socket"},
	} {
		var out, progress bytes.Buffer
		err := Show(&out, &progress, c.json, func(watch func(Progress)) (Report, error) {
			if watch != nil {
				t.Error("progress is told though there is no terminal")
			}
			return c.r, c.err
		})
		if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) || !strings.Contains(out.String(), c.says) || progress.Len() > 0 {
			t.Errorf("%+v: %v\n%s%s", c, err, out.String(), progress.String())
		}
	}
}

// Of many reasons the first ones are told apart, the rest counted together.
func TestFailures(t *testing.T) {
	f := Failures{}
	f.Note("busy", "line 1", 1)
	f.Note("busy", "line 2", 1)
	for i := range 2 * maxReasons {
		f.Note(strings.Repeat("x", i+1), "", 1)
	}
	all := f.Sorted()
	if len(all) != maxReasons+1 || all[0] != (Failure{Reason: otherReason, Count: 2*maxReasons - maxReasons + 1}) || all[1] != (Failure{Reason: "busy", Example: "line 1", Count: 2}) {
		t.Errorf("%d reasons: %+v", len(all), all[:2])
	}
}

func TestWay(t *testing.T) {
	var c, whole Count
	var transit Transit
	for _, d := range []time.Duration{10, 12, 9} {
		transit.Add(&c, 1000, d*time.Millisecond)
	}
	c.Sent, c.Lost = 4, 1
	whole.Merge(c)
	if w := whole.Way(2); w != (Way{Sent: 4, Received: 3, Lost: 1, LostShare: 0.25, PacketsPerSecond: 1.5, Mbps: 0.012, Jitter: 2.5}) {
		t.Errorf("%+v", w)
	}
}
