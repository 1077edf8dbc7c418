package measure

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"trunkline.example/shared/admin"
)

// Show makes a run, with its progress on a terminal, and writes what it has found: as JSON, or as a table. The error is that of the run, of
// writing, or tells that calls have failed.
func Show(out, progress io.Writer, asJSON bool, run func(watch func(Progress)) (Report, error)) error {
	var watch func(Progress)
	if t, ok := progress.(*os.File); ok && term.IsTerminal(int(t.Fd())) {
		watch = func(p Progress) { fmt.Fprint(progress, clearLine, p) }
	}
	r, err := run(watch)
	if watch != nil {
		fmt.Fprint(progress, clearLine)
	}
	if err != nil {
		return err
	}
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(r)
	} else {
		err = r.table().Write(out)
	}
	if err == nil && !r.OK() {
		err = r.failed()
	}
	return err
}

// failed is the error of a run in which not all calls came up and stayed.
func (r *Report) failed() error {
	started, up := r.Started, r.Up
	if r.Traffic != nil && r.Traffic.ComeAndGo != nil {
		started, up = started+r.Traffic.ComeAndGo.Started, up+r.Traffic.ComeAndGo.Up
	}
	return fmt.Errorf("%d of %d calls failed, %d of %d that were up were lost", r.Failed, started, r.Dropped, up)
}

// clearLine empties a terminal's line.
const clearLine = "\r\x1b[K"

// String is one line for a terminal.
func (p Progress) String() string {
	line := fmt.Sprintf("%4.0f s  %s: %d of %d up, %d failed, %d lost", p.Elapsed.Seconds(), p.Phase, p.Up, p.Sessions, p.Failed, p.Dropped)
	if p.Come > 0 {
		line += fmt.Sprintf("; %d came, %d went", p.Come, p.Gone)
	}
	if p.Sent > 0 {
		line += fmt.Sprintf("; %d packets sent, %d received", p.Sent, p.Received)
	}
	return line
}

// rows are those of a report's table.
type rows struct{ *admin.Table }

func (t rows) number(what string, v float64, unit string) {
	t.Add(what, strings.TrimSuffix(fmt.Sprintf("%.2f", v), ".00"), unit)
}

func (t rows) latency(what string, l Latency) {
	for _, q := range []struct {
		name  string
		value float64
	}{{"median", l.Median}, {"p90", l.P90}, {"p99", l.P99}, {"max", l.Max}} {
		t.number(what+", "+q.name, q.value, "ms")
	}
}

func (t rows) failures(all []Failure) {
	for _, f := range all {
		text := "  " + f.Reason
		if f.Example != "" {
			text += ": " + f.Example
		}
		t.Add(text, f.Count)
	}
}

// table is the report for people.
func (r *Report) table() *admin.Table {
	t := rows{&admin.Table{Columns: admin.Columns("what", ">value", "unit")}}
	if r.Interrupted {
		t.Add("interrupted", "yes")
	}
	if r.Seed != 0 {
		t.Add("seed", r.Seed)
	}
	t.Add("calls up", r.Up, fmt.Sprintf("of %d", r.Sessions))
	t.Add("calls failed", r.Failed)
	t.failures(r.Failures)
	t.Add("calls lost", r.Dropped)
	t.failures(r.Drops)
	if r.Up > 0 {
		t.setUp(&r.SetUp)
	}
	t.number("own processor time of set-up", r.SetUp.CPUSeconds, "s")
	for _, c := range []struct {
		prefix  string
		carried *Carried
	}{{"flood, ", r.Flood}, {"", r.Traffic}} {
		if x := c.carried; x != nil && (x.Up.Sent+x.Down.Sent > 0 || x.ComeAndGo != nil) {
			t.carried(c.prefix, x)
		}
	}
	return t.Table
}

func (t rows) setUp(u *SetUp) {
	t.number("set-up", u.PerSecond, "calls/s")
	if u.LastPerSecond > 0 {
		t.number(fmt.Sprintf("set-up, first %d", u.Part), u.FirstPerSecond, "calls/s")
		t.number(fmt.Sprintf("set-up, last %d", u.Part), u.LastPerSecond, "calls/s")
	}
	t.latency("set-up", u.Latency)
	if u.Connect != nil {
		t.latency("dial to CONNECT", *u.Connect)
	}
	if u.Network != nil {
		t.latency("CONNECT to network up", *u.Network)
	}
}

// carried shows traffic; the names of the rows begin with prefix.
func (t rows) carried(prefix string, c *Carried) {
	for _, w := range []struct {
		name string
		way  Way
	}{{prefix + "up", c.Up}, {prefix + "down", c.Down}} {
		t.number(w.name, w.way.Mbps, "Mbit/s")
		t.number(w.name, w.way.PacketsPerSecond, "packets/s")
		t.Add(w.name+", lost", w.way.Lost, fmt.Sprintf("%.4f %% of %d", 100*w.way.LostShare, w.way.Received+w.way.Lost))
		t.number(w.name+", jitter", w.way.Jitter, "ms")
	}
	if c.RoundTrip != nil {
		t.latency(prefix+"round trip", *c.RoundTrip)
	}
	if g := c.ComeAndGo; g != nil {
		t.Add("calls come and gone", g.Up, fmt.Sprintf("of %d, %d of them without a word; seed %d", g.Started, g.Cut, g.Seed))
		t.number("come and gone", g.PerSecond, "calls/s")
		t.latency("come and gone, set-up", g.Latency)
	}
	t.number(prefix+"own processor time of traffic", c.CPUSeconds, "s")
}
