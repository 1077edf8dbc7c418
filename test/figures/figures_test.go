package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	values := []float64{5, 1, 4, 2, 3}
	for q, want := range map[float64]float64{0: 1, 0.5: 3, 0.99: 5, 1: 5} {
		if got := quantile(values, q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if values[0] != 5 || median(values) != 3 || quantile([]float64(nil), 0.5) != 0 || mean(values) != 3 || mean(nil) != 0 {
		t.Error("values changed, or a wrong median or mean")
	}
}

func TestLineModel(t *testing.T) {
	// A fast line is bound by the serial ports, a slow one by itself.
	if fast, slow := lineModel(115200), lineModel(33600); fast != 11520 || slow != 4000 {
		t.Errorf("%v, %v octets per second", fast, slow)
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"--only", "dial,sessions", "--sessions", "50", "--quick"})
	if err != nil || !o.wants("dial") || o.wants("lines") || o.time(10*time.Second) != time.Second {
		t.Errorf("%+v, %v", o, err)
	}
	if all, err := parse(nil); err != nil || !all.wants("lines") || all.time(time.Second) != time.Second {
		t.Errorf("%+v, %v", all, err)
	}
	for _, bad := range [][]string{{"--only", "nothing"}, {"--sessions", "0"}, {"--sessions", "60000"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// A section that fails or cannot be measured here says so, and is cleaned up after.
func TestMeasure(t *testing.T) {
	var cleaned []int
	got := measureSection(section{measure: func(r *run) {
		r.Cleanup(func() { cleaned = append(cleaned, 1) })
		r.Cleanup(func() { cleaned = append(cleaned, 2); r.Errorf("and this") })
		r.add("one", 1.5, "s", "of %d", 2)
		r.Fatalf("no %s", "more")
	}})
	if got.Problem != "no more" || len(got.Figures) != 1 || got.Figures[0].Note != "of 2" || len(cleaned) != 2 || cleaned[0] != 2 {
		t.Errorf("%+v, cleaned %v", got, cleaned)
	}
	got = measureSection(section{measure: func(r *run) { r.Skip("needs", "root") }})
	if got.Skipped != "needs root" || got.Problem != "" {
		t.Errorf("%+v", got)
	}
}

// A section that is not over in time has a problem.
func TestWithin(t *testing.T) {
	got := within(time.Millisecond, section{measure: func(r *run) {
		r.eventually("no end", time.Minute, r.Failed)
	}})
	if !strings.Contains(got.Problem, "not over within 1ms") || got.Seconds == 0 {
		t.Errorf("%+v", got)
	}
	if got := within(time.Minute, section{measure: func(*run) {}}); got.Problem != "" {
		t.Errorf("%+v", got)
	}
}

func TestTable(t *testing.T) {
	var all table
	all.take("dial", result{Figures: []figure{{"first ping", 1.744, "s", "median"}}})
	all.take("lines", result{Skipped: "needs root"})
	all.take("client", result{Problem: "it ended"})
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		if err := all.print(&out, asJSON); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"first ping", "1.74", "needs root", "client: it ended"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q is not in\n%s", want, out.String())
			}
		}
	}
	for v, want := range map[float64]string{0: "0", 0.0334: "0.033", 3.14159: "3.14", 31.4159: "31.4", 3141.59: "3142", -12.34: "-12.3"} {
		if got := digits(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}

func TestGoals(t *testing.T) {
	var all table
	all.take("kernel", result{Figures: []figure{{"pns: a", 150, "Mbit/s", ""}, {"pptpd: a", 7.5, "Mbit/s", ""}, {"late", 5, "ms", ""}, {"none", 0, "calls", ""}, {"early", -1, "ms", ""}}})
	all.judgeAll([]goal{
		{What: "ratio", Section: "kernel", Figure: "pns: a", Over: "pptpd: a", Least: 20},
		{What: "missed", Section: "kernel", Figure: "pns: a", Least: 151},
		{What: "in time", Section: "kernel", Figure: "late", Most: 5},
		{What: "too late", Section: "kernel", Figure: "late", Most: 4.9},
		{What: "sooner", Section: "kernel", Figure: "early", Most: 5},
		{What: "nothing fails", Section: "kernel", Figure: "none", Most: 0},
		{What: "unknown", Section: "kernel", Figure: "absent", Least: 1},
		{What: "of nothing", Section: "kernel", Figure: "pns: a", Over: "none", Least: 1},
		{What: "elsewhere", Section: "lines", Figure: "absent", Least: 1},
	})
	var got []string
	for _, v := range all.Goals {
		got = append(got, fmt.Sprint(v.What, " ", v.Measured, " ", v.Met, " ", v.Value))
	}
	want := []string{"ratio true true 20", "missed true false 150", "in time true true 5", "too late true false 5", "sooner true true -1", "nothing fails true true 0",
		"unknown false false 0", "of nothing false false 0", "elsewhere false false 0"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	var out bytes.Buffer
	if err := all.print(&out, false); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"MISSED", "not measured", "20.0"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no %q in\n%s", line, out.String())
		}
	}
	if strings.Contains(out.String(), "elsewhere") {
		t.Error("a goal of a section that was not asked for is shown")
	}
}

// A goal that another program judges is shown beside those of this one, and a skipped section is told from one that went wrong.
func TestVerdicts(t *testing.T) {
	var all table
	all.take("kernel", result{Skipped: "no kernel"})
	all.take("load", result{Figures: []figure{{"a", 1, "ms", ""}}})
	all.judgeAll([]goal{
		{What: "soak", Elsewhere: "make soak"}, {What: "skipped one", Section: "kernel", Figure: "a", Least: 1}, {What: "missing one", Section: "load", Figure: "b", Least: 1},
		{What: "good one", Section: "load", Figure: "a", Least: 1},
	})
	rows, counts := all.goalTable()
	var out bytes.Buffer
	if err := rows.Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"elsewhere: make soak", "skipped\n", "not measured\n", "met\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if counts != "goals: 1 elsewhere, 1 met, 1 not measured, 1 skipped" {
		t.Error(counts)
	}
}

// Every goal names a section that there is, is met by something, and none of two is the same.
func TestGoalsAreSound(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range goals {
		known := slices.ContainsFunc(sections(options{}), func(s section) bool { return s.name == g.Section })
		known = known || g.Section == wholeRun
		if known == (g.Elsewhere != "") || g.Elsewhere == "" && g.Figure == "" || g.Least < 0 || g.Most < 0 || g.Least > 0 && g.Most > 0 {
			t.Errorf("%+v", g)
		}
		if seen[g.What] {
			t.Errorf("two goals are called %q", g.What)
		}
		seen[g.What] = true
	}
}

// The search finds the rate at which the first is lost, believes a second trial, and counts what was carried instead of what was asked for.
func TestSearch(t *testing.T) {
	for name, c := range map[string]struct {
		trial       func(rate float64) (float64, bool)
		least, most float64
		trials      int
	}{
		"a limit in between": {func(rate float64) (float64, bool) { return rate, rate <= 40 }, 38, 40, halvings + 1},
		"none is lost":       {func(rate float64) (float64, bool) { return rate, true }, 100, 100, 1},
		"all is lost":        {func(float64) (float64, bool) { return 0, false }, 0, 0, halvings + 1},
		"less is offered":    {func(rate float64) (float64, bool) { return min(rate, 30), true }, 30, 30, 1},
	} {
		if most, trials := search(100, c.trial); most < c.least || most > c.most || trials != c.trials {
			t.Errorf("%s: %v after %d trials", name, most, trials)
		}
	}
	tries := 0
	if most, _ := search(100, func(rate float64) (float64, bool) { tries++; return rate, tries == 2 }); most != 100 {
		t.Errorf("the second trial is not believed: %v", most)
	}
}

// A lost frame counts as late; of two ways each has its own.
func TestLostFrames(t *testing.T) {
	c := &carried{}
	for range 99 {
		c.Up.Add(3 * time.Millisecond)
		c.Down.Add(3 * time.Millisecond)
	}
	if up, down := lineWays[0].p99(c), lineWays[1].p99(c); up > 3.1 || down > 3.1 {
		t.Errorf("%v, %v ms with no frame lost", up, down)
	}
	c.lasted = time.Second
	if c.UpOctets, c.DownOctets = 11_000, 10_500; c.busy(1) != "" {
		t.Error("a full line is not full")
	}
	if c.DownOctets = 9000; c.busy(1) != wasBusy || c.busy(2) != wasBusy {
		t.Error("a line that is not full is")
	}
	c.DownLost = 1
	if up, down := lineWays[0].p99(c), lineWays[1].p99(c); up > 3.1 || down != lostFrame {
		t.Errorf("%v, %v ms with one of a hundred lost on the way to the lines", up, down)
	}
}

func TestBenchmarked(t *testing.T) {
	got := benchmarked("goos: linux\nBenchmarkSetUp/MS-CHAPv2,_MPPE/as_PAC_false-2   400   644898 ns/op   1967 calls/s   180.5 own-us/call\nPASS\n")
	if len(got) != 3 || got["calls/s"] != 1967 || got["own-us/call"] != 180.5 {
		t.Error(got)
	}
}

// What was saved can be shown again, and every plot that can be drawn is.
func TestSave(t *testing.T) {
	dir := t.TempDir()
	var all table
	for _, c := range charts {
		for _, s := range c.Series {
			if colours[s.Name] == nil {
				t.Errorf("%s: %s has no colour", c.File, s.Name)
			}
			if len(s.Figures) != len(c.Groups) {
				t.Errorf("%s: %s has %d figures for %d groups", c.File, s.Name, len(s.Figures), len(c.Groups))
			}
			for i, name := range s.Figures {
				r := all.Sections[c.Section]
				if r == nil {
					all.take(c.Section, result{})
					r = all.Sections[c.Section]
				}
				r.Figures = append(r.Figures, figure{name, float64(i + 1), c.Unit, ""})
			}
		}
	}
	if err := all.save(dir); err != nil {
		t.Fatal(err)
	}
	var again table
	if err := again.load(filepath.Join(dir, savedName)); err != nil || len(again.Order) != len(all.Order) {
		t.Errorf("%v: %v", again.Order, err)
	}
	for _, c := range charts {
		text, err := os.ReadFile(filepath.Join(dir, c.File))
		for _, want := range append([]string{c.Title, c.Unit}, c.Groups...) {
			if err != nil || !strings.Contains(string(text), want) {
				t.Errorf("%s has no %q (%v)", c.File, want, err)
			}
		}
		if strings.Contains(string(text), "not measured") {
			t.Errorf("%s lacks figures", c.File)
		}
	}
}
