package soak

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"trunkline.example/shared/record"
)

// books are the call records of all daemons, and what else is known of the calls.
type books struct {
	pac, pns map[string][]record.Record // by the daemon's name
	attempts []attempt
	troubles []trouble
	rings    []ring            // that the exchange gave, in their order
	orders   []order           // of the operator, in their order
	home     map[string]string // the PAC of a line

	pairs    int // calls that both ends have
	passed   int // offers to a PNS that another one took
	excused  int // good calls that failed in somebody's trouble
	mistaken int // good calls that the operator ended for another one
	unpaired int // calls of which a daemon that was killed has no record
	wrong    []string
}

// ring is what the exchange says when it places a call: a modem that is still busy with the end of one call does not hear who calls next.
type ring struct {
	Time    time.Time
	Message string
	Line    string
	Dialing string // phone
}

func (k *books) fault(format string, args ...any) {
	k.wrong = append(k.wrong, fmt.Sprintf(format, args...))
}

// readBooks reads the call records of the daemons.
func (b *bank) readBooks(attempts []attempt, troubles []trouble) *books {
	b.Helper()
	k := &books{pac: map[string][]record.Record{}, pns: map[string][]record.Record{}, attempts: attempts, troubles: troubles, orders: b.orders, home: map[string]string{}}
	for i, m := range b.pacs {
		k.pac[m.name] = b.readRecords(m)
		for n := range b.drivers * b.lines {
			k.home[fmt.Sprintf("line%d", i*b.drivers*b.lines+n+1)] = m.name
		}
	}
	for line := range strings.Lines(b.exchange.daemon.Log()) {
		var r ring
		if json.Unmarshal([]byte(line), &r) == nil && r.Message == "line rings" {
			k.rings = append(k.rings, r)
		}
	}
	for _, m := range b.servers {
		k.pns[m.name] = b.readRecords(m)
	}
	return k
}

func (s *soak) readRecords(m *machine) (all []record.Record) {
	s.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, m.name+".jsonl"))
	if err != nil && !os.IsNotExist(err) {
		s.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var r record.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			s.fault("a call record of %s: %v: %s", m.name, err, line)
			continue
		}
		all = append(all, r)
	}
	return all
}

// freeing is how long a modem may take after a call.
const freeing = 5 * time.Second

// slack is how much the times of two ends may differ for the same call: a PNS that stands learns of a call, and of its end, when it goes on.
const slack = 10 * time.Second

func overlap(a, b record.Record) bool {
	return a.Started.Before(b.Ended.Add(slack)) && b.Started.Before(a.Ended.Add(slack))
}

// short names a record in a fault.
func short(r record.Record) string {
	text, err := json.Marshal(r)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// check compares all that is known.
func (k *books) check() {
	for _, name := range slices.Sorted(maps.Keys(k.pns)) {
		k.atServer(name)
	}
	for _, name := range slices.Sorted(maps.Keys(k.pac)) {
		k.atPAC(name)
	}
	for _, a := range k.attempts {
		k.attempt(a)
	}
}

// killed says whether a daemon was killed in a time, or soon after: a PAC has the record of a call when its modem is free again.
func (k *books) killed(name string, from, to time.Time) bool {
	return slices.ContainsFunc(k.troubles, func(t trouble) bool { return t.lost && t.pac+t.pns == name && t.over(from, to.Add(freeing)) })
}

// passedOn says whether an offer that came to nothing was of a call that another PNS took, with which the PAC was killed.
func (k *books) passedOn(name string, r record.Record) bool {
	for other, list := range k.pns {
		taken := find(list, r, func(t record.Record) bool { return t.PAC == r.PAC && k.killed(t.PAC, t.Started, t.Ended) })
		if other != name && r.Connected.IsZero() && taken != nil {
			return true
		}
	}
	return false
}

// find is the record in a list of the same call as another one.
func find(list []record.Record, r record.Record, also func(record.Record) bool) *record.Record {
	for i, other := range list {
		if other.CallSerial == r.CallSerial && overlap(other, r) && also(other) {
			return &list[i]
		}
	}
	return nil
}

// atServer looks for the other ends of what a PNS has recorded.
func (k *books) atServer(name string) {
	ids := map[string]bool{}
	for _, r := range k.pns[name] {
		if ids[r.ID] {
			k.fault("%s has two records %s", name, r.ID)
		}
		ids[r.ID] = true
		other := find(k.pac[r.PAC], r, func(record.Record) bool { return true })
		switch {
		case other == nil && (k.killed(r.PAC, r.Started, r.Ended) || k.passedOn(name, r)):
			k.unpaired++
		case other == nil:
			k.fault("%s has a call that %s has not: %s", name, r.PAC, short(r))
		case other.PNS != name && r.Connected.IsZero():
			k.passed++
		case other.PNS != name:
			k.fault("%s had a call connected that %s had with another: %s; %s", name, r.PAC, short(r), short(*other))
		default:
			k.pairs++
			k.pair(*other, r)
		}
	}
}

// atPAC does so for a PAC.
func (k *books) atPAC(name string) {
	ids := map[string]bool{}
	for _, r := range k.pac[name] {
		if ids[r.ID] {
			k.fault("%s has two records %s", name, r.ID)
		}
		ids[r.ID] = true
		switch {
		case r.PNS == "" || find(k.pns[r.PNS], r, func(other record.Record) bool { return other.PAC == name }) != nil:
		case k.killed(r.PNS, r.Started, r.Ended):
			k.unpaired++
		default:
			k.fault("%s has a call that %s has not: %s", name, r.PNS, short(r))
		}
	}
}

// pair compares what both ends say of a call. A PAC that gave a call up before the answer came does not know the Call ID in it. What was under way when one end was in trouble may have been lost.
func (k *books) pair(pac, pns record.Record) {
	if pac.Dialed != pns.Dialed || pac.Dialing != pns.Dialing || pac.PACCallID != pns.PACCallID || pac.PNSCallID != 0 && pac.PNSCallID != pns.PNSCallID || pac.Channel != pns.Channel {
		k.fault("both ends have the call, but not the same: %s; %s", short(pac), short(pns))
	}
	if slices.ContainsFunc(k.troubles, func(t trouble) bool { return t.hits(pac) }) {
		return
	}
	if pac.Errors.FCS != pns.Errors.FCS {
		k.fault("%d and %d frames with a bad FCS: %s; %s", pac.Errors.FCS, pns.Errors.FCS, short(pac), short(pns))
	}
	if pac.SpeedIn != pns.SpeedIn && !pns.Connected.IsZero() {
		k.fault("a call of %d and %d bit/s: %s; %s", pac.SpeedIn, pns.SpeedIn, short(pac), short(pns))
	}
}

// rung are the rings of an attempt.
func (k *books) rung(a attempt) (all []ring) {
	for _, g := range k.rings {
		if g.Dialing == phoneName(a.phone) && !g.Time.Before(a.started) && !g.Time.After(a.ended) {
			all = append(all, g)
		}
	}
	return all
}

// lines are those that have rung for an attempt; records those that their PACs have of it.
func (k *books) lines(a attempt) (lines []string, records []record.Record) {
	for _, g := range k.rung(a) {
		lines = append(lines, g.Line)
		for _, r := range k.pac[k.home[g.Line]] {
			if r.Line == g.Line && !r.Started.Before(g.Time) && r.Started.Before(a.ended) {
				records = append(records, r)
			}
		}
	}
	return lines, records
}

// hit says whether somebody who had the call was in trouble meanwhile.
func (k *books) hit(a attempt, lines []string, records []record.Record) bool {
	return slices.ContainsFunc(k.troubles, func(t trouble) bool {
		if t.pns != "" {
			return slices.ContainsFunc(records, t.hits)
		}
		return t.over(a.started, a.ended) && slices.ContainsFunc(lines, func(line string) bool {
			return k.home[line] == t.pac && (t.lines == nil || slices.Contains(t.lines, line))
		})
	})
}

// attempt looks whether a call that a caller made had to become what it did.
func (k *books) attempt(a attempt) {
	lines, records := k.lines(a)
	hit := k.hit(a, lines, records)
	switch {
	case a.replies > 0 && !k.carried(a):
		lost := slices.ContainsFunc(records, func(r record.Record) bool { return k.killed(r.PNS, r.Started, r.Ended) })
		if !hit && !lost {
			k.fault("%s had %d pings answered in a call that began at %v on %v, and no PNS has a record of it; pac: %s", phoneName(a.phone), a.replies, a.started, lines, all(records))
		}
	case a.err == nil || !a.good():
	case hit, a.busy():
		k.excused++
	case k.struck(a):
		k.mistaken++
	default:
		k.fault("the call of %s to %s at %v failed on %v, and nobody was in trouble: it came as far as %s in %v: %v; pac: %s", phoneName(a.phone), a.number,
			a.started.Format(time.StampMilli), lines, a.reached, a.ended.Sub(a.started).Round(time.Millisecond), a.err, all(records))
	}
}

// struck says whether the operator ended the call, and meant that of a phone that had rung its line right before and given up. Of the rings that come while
// a line is being freed from a call its modem does not tell who has given up meanwhile.
func (k *books) struck(a attempt) bool {
	return slices.ContainsFunc(k.rung(a), func(g ring) bool {
		return slices.ContainsFunc(k.orders, func(o order) bool {
			return o.line == g.Line && o.phone != a.phone && !o.time.Before(g.Time) && !o.time.After(a.ended) && k.rangBefore(g, o.phone)
		})
	})
}

// rangBefore says whether a phone had rung the same line right before a ring.
func (k *books) rangBefore(g ring, phone int) bool {
	return slices.ContainsFunc(k.rings, func(r ring) bool {
		return r.Line == g.Line && r.Dialing == phoneName(phone) && r.Time.Before(g.Time) && g.Time.Sub(r.Time) < freeing
	})
}

func all(records []record.Record) string {
	var text []string
	for _, r := range records {
		text = append(text, short(r))
	}
	return strings.Join(text, "; ")
}

// carried says whether a PNS has a connected call of the user at the time.
func (k *books) carried(a attempt) bool {
	for _, list := range k.pns {
		if slices.ContainsFunc(list, func(r record.Record) bool {
			return r.User == phoneUser(a.phone) && !r.Connected.IsZero() && r.Connected.After(a.started) && r.Connected.Before(a.ended)
		}) {
			return true
		}
	}
	return false
}

// failovers counts the calls that began while a PNS took none and went to another one, at PACs that ask it first.
func (k *books) failovers(windows []window, first map[string]string) (n int) {
	for pac, records := range k.pac {
		for _, r := range records {
			for _, w := range windows {
				if w.pns == first[pac] && r.Started.After(w.from) && r.Started.Before(w.to) && r.PNS != "" && r.PNS != w.pns && !r.Connected.IsZero() {
					n++
				}
			}
		}
	}
	return n
}
