package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"trunkline.example/shared/line"
)

// Callers make one call after the other over PACs that share some PNSes, and hang up, or are cut off, wherever they are, while
// drivers and daemons are killed, stopped, drained and started. All calls that nothing comes in between of come up; at the end
// each line takes a call, nothing is left, and both ends have counted the same calls.
func TestDialIn(t *testing.T) {
	s := newSoak(t)
	h, calls, troubles := shape{pacs: 2, drivers: 2, lines: 3, servers: 3}, 3, slice
	if *duration > 0 {
		h, calls, troubles = shape{pacs: 4, drivers: 2, lines: 8, servers: 3}, 0, nil
	}
	b := newBank(s, h)
	phones := b.openPhones()
	b.awaitPhones(phones)
	s.say("%d PACs with %d lines each, %d PNSes and %d phones are up", h.pacs, h.drivers*h.lines, h.servers, len(phones))
	d := &dialing{bank: b, phones: phones}
	d.everyLine("at first")
	first := b.hold(b.processes())
	goroutines, descriptors, err := own()
	if err != nil {
		t.Fatal(err)
	}
	s.say("every line has taken a call, and it is known what the processes hold")

	storm := b.newStorm()
	d.begin(calls)
	if len(troubles) > 0 {
		for _, kind := range troubles {
			storm.make(kind)
		}
	} else {
		d.rage(storm)
	}
	d.end()
	b.awaitPhones(phones)
	b.awaitIdle("after all calls")
	d.everyLine("at the end")
	b.compare(first, b.processes())
	if g, f, err := own(); err != nil || g > goroutines+8 || f > descriptors+8 {
		s.fault("the callers' own process: %d goroutines, %d at first; %d descriptors, %d at first; %v", g, goroutines, f, descriptors, err)
	}
	b.counts(storm)
	d.audit(storm)
	b.stop()
	b.sayings()
}

// slice are the troubles of the short run.
var slice = []string{"driver killed", "pns killed", "line reset", "pns drained", "pac drained", "reloaded"}

// dialing are the callers at work.
type dialing struct {
	*bank
	phones []*phone
	stop   context.CancelFunc // no more calls begin
	wait   sync.WaitGroup

	mu       sync.Mutex
	attempts []attempt
	open     int
}

// awaitPhones waits until all phones can dial.
func (b *bank) awaitPhones(phones []*phone) {
	b.Helper()
	b.await("phones idle", idleLimit, func() string {
		for _, p := range phones {
			if s := p.state(); s != line.StateIdle {
				return fmt.Sprintf("%s is %v", phoneName(p.index), s)
			}
		}
		return ""
	})
}

// everyLine has each line take a call, which must come up; all at once.
func (d *dialing) everyLine(when string) {
	d.Helper()
	var wait sync.WaitGroup
	for i, p := range d.phones {
		wait.Go(func() {
			a := d.call(context.Background(), p, clean(lineNumber(i)))
			d.add(a)
			if a.err != nil {
				d.fault("%s, the call to line%d came as far as %s in %v: %v", when, i+1, a.reached, a.ended.Sub(a.started), a.err)
			}
		})
	}
	wait.Wait()
	d.awaitIdle(when)
}

func (d *dialing) add(a attempt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attempts = append(d.attempts, a)
}

// begin has all phones make so many calls each; 0: until the end.
func (d *dialing) begin(calls int) {
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	d.Cleanup(func() { // when the scenario ends before the calls
		stop()
		d.wait.Wait()
	})
	for i, p := range d.phones {
		d.wait.Go(func() {
			r := d.random(uint64(i))
			for n := 0; (n < calls || calls == 0) && ctx.Err() == nil && d.ready(p); n++ {
				c := d.choose(r, i)
				d.count(1)
				d.add(d.call(context.Background(), p, c))
				d.count(-1)
			}
		})
	}
}

// ready waits until a phone can dial. On a machine that has too much to do its modem may have been found silent, and comes back.
func (d *dialing) ready(p *phone) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(callLimit); p.state() != line.StateIdle; <-tick.C {
		if time.Now().After(end) {
			d.fault("%s is %v, %v after its call", phoneName(p.index), p.state(), callLimit)
			return false
		}
	}
	return true
}

func (d *dialing) count(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open += n
}

// end waits for the calls' ends.
func (d *dialing) end() {
	d.wait.Wait()
	d.stop()
	d.say("no more calls")
}

// rage makes trouble, now and then, until the time is over, and then has the calls end.
func (d *dialing) rage(s *storm) {
	d.Helper()
	all := slices.Sorted(maps.Keys(kinds))
	told := time.Now()
	for end := time.Now().Add(*duration); time.Now().Before(end); {
		kind := all[s.r.IntN(len(all))]
		s.make(kind)
		s.pause(0, 6*time.Second)
		if time.Since(told) > 15*time.Second {
			told = time.Now()
			d.progress(s)
		}
	}
	d.stop()
}

// progress prints a line.
func (d *dialing) progress(s *storm) {
	d.mu.Lock()
	defer d.mu.Unlock()
	good, busy, failed := 0, 0, 0
	for _, a := range d.attempts {
		switch {
		case !a.good():
		case a.err == nil:
			good++
		case a.busy():
			busy++
		default:
			failed++
		}
	}
	d.say("%d calls (of the good ones %d came up, %d found their line busy, %d failed), %d open; %d troubles, the last: %s", len(d.attempts), good, busy, failed, d.open,
		len(s.troubles), s.last)
}

// counts compares the daemons' counters with their records. What they counted before they were started again is gone.
func (b *bank) counts(s *storm) {
	b.Helper()
	for _, m := range append(append([]*machine{}, b.pacs...), b.servers...) {
		if m.starts > 1 {
			continue
		}
		records, counted := len(b.readRecords(m)), 0
		if m.program == "pns" {
			v, _ := tryRead[serverView](m, "/status")
			counted = v.CallsEnded
		} else {
			lines, _ := tryRead[[]lineView](m, "/lines")
			for _, l := range lines {
				counted += l.Calls
			}
		}
		if counted != records {
			b.fault("%s has counted %d calls, and has %d records", m.name, counted, records)
		}
	}
}

// audit compares the call records with each other and with what the callers saw, and prints the table.
func (d *dialing) audit(s *storm) {
	d.Helper()
	d.keep(s)
	k := d.readBooks(d.attempts, s.troubles)
	k.check()
	for _, text := range k.wrong {
		d.fault("%s", text)
	}
	over := k.failovers(s.windows, d.first())
	if len(s.windows) > 0 && over == 0 {
		d.fault("no call went to another PNS in %d times in which one took none", len(s.windows))
	}
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "calls that shall end at\tby\tcalls\tconnected\twith traffic")
	for _, until := range stages {
		d.rows(t, until)
	}
	_ = t.Flush()
	d.say("%d calls; both ends have %d, of %d one end was killed, %d offers were passed over, %d calls went on to another PNS while the first took none,\n"+
		"%d good calls failed in somebody's trouble, %d since the operator took them for another one\n%s", len(d.attempts), k.pairs, k.unpaired, k.passed, over, k.excused, k.mistaken, text.String())
	for _, kind := range slices.Sorted(maps.Keys(s.counts)) {
		d.say("%4d x %s", s.counts[kind], kind)
	}
}

// keep writes down what was done, for people who look for what went wrong.
func (d *dialing) keep(s *storm) {
	d.Helper()
	var text strings.Builder
	for _, a := range d.attempts {
		fmt.Fprintf(&text, "%s %6.1fs %s to %s until %s by %q, came to %s, %d replies, %v, %v\n", a.started.Format(time.StampMilli), a.ended.Sub(a.started).Seconds(),
			phoneName(a.phone), a.number, a.until, a.by, a.reached, a.replies, a.cause, a.err)
	}
	for _, t := range s.troubles {
		fmt.Fprintf(&text, "%s %6.1fs %s\n", t.from.Format(time.StampMilli), t.to.Sub(t.from).Seconds(), t)
	}
	d.write("attempts.txt", text.String())
}

// rows are those of one stage.
func (d *dialing) rows(t *tabwriter.Writer, until stage) {
	type row struct{ calls, connected, traffic int }
	all := map[string]*row{}
	for _, a := range d.attempts {
		if a.until != until {
			continue
		}
		by := string(a.by)
		switch {
		case by == "" && a.damage == nil:
			by = "itself, clean"
		case by == "":
			by = "itself, damaged"
		}
		r := all[by]
		if r == nil {
			r = &row{}
			all[by] = r
		}
		r.calls++
		if slices.Index(stages, a.reached) >= slices.Index(stages, stageLCP) {
			r.connected++
		}
		if a.replies > 0 {
			r.traffic++
		}
	}
	for _, by := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\n", until, by, all[by].calls, all[by].connected, all[by].traffic)
	}
}

// sayings looks for what no daemon may say, and prints how often each warning and error was said.
func (s *soak) sayings() {
	s.Helper()
	said := map[string]int{}
	s.logs(func(file, text string) {
		var l struct{ Level, Message string }
		if json.Unmarshal([]byte(text), &l) != nil {
			return
		}
		if l.Level == "error" || l.Level == "warn" {
			said[l.Level+" of "+strings.TrimRight(strings.SplitN(file, ".", 2)[0], "0123456789")+": "+l.Message]++
		}
		if strings.Contains(l.Message, "breaks the contract") || strings.Contains(l.Message, "record was lost") {
			s.fault("%s: %s", file, text)
		}
	})
	for _, text := range slices.Sorted(maps.Keys(said)) {
		s.say("%4d x %s", said[text], text)
	}
}
