package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"trunkline.example/shared/admin"
)

// goal is what a figure, or the ratio of two, is meant to reach.
type goal struct {
	What    string  `json:"what"`
	Section string  `json:"section,omitempty"`
	Figure  string  `json:"figure,omitempty"`
	Over    string  `json:"over,omitempty"` // the figure of the section that Figure is divided by; empty: it is taken as it is
	Least   float64 `json:"least,omitempty"`
	Most    float64 `json:"most,omitempty"` // if Least is 0
	// Elsewhere says where it is measured, if not here.
	Elsewhere string `json:"elsewhere,omitempty"`
}

// verdict is what has come of a goal.
type verdict struct {
	goal
	Measured bool    `json:"measured"`
	Value    float64 `json:"value,omitempty"`
	Unit     string  `json:"unit,omitempty"`
	Met      bool    `json:"met"`
}

// judge holds what was measured against a goal.
func (t *table) judge(g goal) verdict {
	v := verdict{goal: g}
	if g.Elsewhere != "" {
		return v
	}
	f, ok := t.find(g.Section, g.Figure)
	v.Value, v.Unit = f.Value, f.Unit
	if g.Over != "" {
		over, found := t.find(g.Section, g.Over)
		if ok = ok && found && over.Value > 0; ok {
			v.Value, v.Unit = f.Value/over.Value, "times"
		}
	}
	if v.Measured = ok; !ok {
		v.Value, v.Unit = 0, ""
		return v
	}
	if v.Met = v.Value <= g.Most; g.Least != 0 {
		v.Met = v.Value >= g.Least
	}
	return v
}

// find returns a figure.
func (t *table) find(section, name string) (figure, bool) {
	if r := t.Sections[section]; r != nil {
		for _, f := range r.Figures {
			if f.Name == name {
				return f, true
			}
		}
	}
	return figure{}, false
}

// judgeAll holds what was measured against all goals.
func (t *table) judgeAll(all []goal) {
	t.Goals = nil
	for _, g := range all {
		t.Goals = append(t.Goals, t.judge(g))
	}
}

// goalTable is the table of goals for people, without those whose sections were not asked for, and what has come of them, counted.
func (t *table) goalTable() (*admin.Table, string) {
	verdicts := map[string]int{}
	rows := &admin.Table{Columns: admin.Columns("goal", ">at least", ">at most", ">measured", "unit", "verdict")}
	for _, v := range t.Goals {
		least, most, value, what := digits(v.Least), "", digits(v.Value), "MISSED"
		if v.Least == 0 {
			least, most = "", digits(v.Most)
		}
		r := t.Sections[v.Section]
		switch {
		case v.Elsewhere != "":
			least, most, value, what = "", "", "", "elsewhere: "+v.Elsewhere
			if len(t.Sections) == 1 {
				continue // somebody who wants one section does not ask
			}
		case r == nil:
			continue
		case !v.Measured && r.Skipped != "":
			value, what = "", "skipped"
		case !v.Measured:
			value, what = "", "not measured"
		case v.Met:
			what = "met"
		}
		verdict, _, _ := strings.Cut(what, ":")
		verdicts[verdict]++
		rows.Add(v.What, least, most, value, v.Unit, what)
	}
	var counts []string
	for _, verdict := range slices.Sorted(maps.Keys(verdicts)) {
		counts = append(counts, fmt.Sprintf("%d %s", verdicts[verdict], verdict))
	}
	return rows, "goals: " + strings.Join(counts, ", ")
}

// goals are what Trunkline is meant to reach, in the order of docs/performance.md.
var goals = []goal{
	{What: "TCP up, MPPE-128, beside pptpd", Section: "kernel", Figure: "pns, MPPE-128: TCP up", Over: "pptpd, MPPE-128: TCP up", Least: 20},
	{What: "TCP down, MPPE-128, beside pptpd", Section: "kernel", Figure: "pns, MPPE-128: TCP down", Over: "pptpd, MPPE-128: TCP down", Least: 20},
	{What: "TCP up, MPPE-128, beside the kernel's own path", Section: "kernel", Figure: "pns, MPPE-128: TCP up", Over: kernelsOwn + ", MPPE-128: TCP up", Least: 1.3},
	{What: "TCP down, MPPE-128, beside the kernel's own path", Section: "kernel", Figure: "pns, MPPE-128: TCP down", Over: kernelsOwn + ", MPPE-128: TCP down", Least: 1.3},
	{What: "what a core of pns carries in (up), one TCP flow", Section: "speed", Figure: flowSpeed("up"), Least: 1900},
	{What: "what a core of pns carries out (down), one TCP flow", Section: "speed", Figure: flowSpeed("down"), Least: 1400},
	{What: "what a core of pns carries in (up), single datagrams", Section: "speed", Figure: coreSpeed("up"), Least: 1900},
	{What: "what a core of pns carries out (down), single datagrams", Section: "speed", Figure: coreSpeed("down"), Least: 1400},
	{What: "small packets up, beside pptpd's down", Section: "kernel", Figure: "pns, MPPE-128: " + small("up"), Over: "pptpd, MPPE-128: " + small("down"), Least: 1.3},
	{What: "small packets down, beside pptpd's", Section: "kernel", Figure: "pns, MPPE-128: " + small("down"), Over: "pptpd, MPPE-128: " + small("down"), Least: 1.3},
	{What: "speed after a minute's flood up at ten times it", Section: "load", Figure: afterFlood("up"), Least: 90},
	{What: "speed after a minute's flood down at ten times it", Section: "load", Figure: afterFlood("down"), Least: 90},
	{What: "set-up in the guest, 16 at once", Section: "kernel", Figure: "pns: " + setUp(16), Least: 400},
	{What: "set-up, 128 at once", Section: "sessions", Figure: setUp(128), Least: 3000},
	{What: "set-up, 128 at once: p99", Section: "sessions", Figure: setUp(128) + ": p99", Most: 100},
	{What: "set-up, 1000 at once: failures", Section: "sessions", Figure: setUp(1000) + ": failed", Most: 0},
	{What: "memory of a session, of 10,000", Section: "sessions", Figure: memoryOf(manySessions), Most: 12},
	{What: "as many sessions as descriptors allow: failures", Section: "sessions", Figure: mostFailed, Most: 0},
	{What: "pns with 50,000 relayed calls, idle", Section: "relayed", Figure: relayedCPU, Most: 50},
	{What: "speed beside 10,000 sessions, to alone", Section: "sessions", Figure: fullBeside(manySessions), Least: 90},
	{What: "set-up of the last 1,000 of 50,000 relayed calls, to the first", Section: "relayed", Figure: relayedGrowth, Least: 80},
	{What: "what pns adds to a ping, few sessions: median", Section: "sessions", Figure: addedBy("few sessions", "median"), Most: 100},
	{What: "ping beside a session full of pings: p99", Section: "load", Figure: pingOf(besideFlow("pings"), "p99"), Most: 5000},
	{What: "ping beside a session full of datagrams up: p99", Section: "load", Figure: pingOf(besideFlow("datagrams up"), "p99"), Most: 5000},
	{What: "ping beside a session full of datagrams down: p99", Section: "load", Figure: pingOf(besideFlow("datagrams down"), "p99"), Most: 5000},
	{What: "pac and its driver, 256 full lines", Section: "bank", Figure: fullWhat(fullFrame) + ": CPU of both", Most: 100},
	{What: "frames from 256 full lines: p99, what pac adds", Section: "bank", Figure: fullAdded(fullFrame, fromLines), Most: 5},
	{What: "frames to 256 full lines: p99, what pac adds", Section: "bank", Figure: fullAdded(fullFrame, toLines), Most: 5},
	{What: "pac and its driver, 1000 idle lines", Section: "bank", Figure: heldWhat + ": CPU of both", Most: 5},
	{What: "the whole run", Section: wholeRun, Figure: wholeRun, Most: 900},
	{What: "half an hour at full load leaves nothing behind", Elsewhere: "make soak SCENARIO=Direct, 30 minutes"},
}

// The names of figures that goals and plots name too.
const (
	wholeRun     = "run" // a section of its own as well
	manySessions = 10_000
	mostFailed   = "sessions that fail when as many are held as descriptors allow"
)

func memoryOf(sessions int) string {
	return fmt.Sprintf("memory of pns for each of %d sessions", sessions)
}

func small(way string) string { return fmt.Sprintf("UDP of %d octets %s", floodSize, way) }

func setUp(atOnce int) string { return fmt.Sprintf("set-up, %d at once", atOnce) }

func pingOf(when, quantile string) string {
	return "ping through the tunnel, " + when + ": " + quantile
}

func besideFlow(what string) string { return "beside a session full of " + what }

func afterFlood(way string) string {
	return "speed a second after a flood " + way + ", beside that without"
}

func addedBy(when, quantile string) string {
	return "what pns adds to a ping, " + when + ": " + quantile
}
