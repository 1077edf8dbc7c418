package config

import (
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"trunkline.example/pac/selftest"
	"trunkline.example/shared/conf"
)

// SelfTest is when lines call each other to be tested, and what becomes of those that fail.
type SelfTest struct {
	Every        time.Duration     // time within which each line is tested once; 0: only by hand
	Hours        conf.Hours        // of the day in which that is done
	Lines        []string          // patterns of line names (path.Match) that are tested; none: all lines
	Numbers      map[string]string // to dial for a line, by its name, where that is not its own number
	CallerIDs    []string          // what an answering line may show as the caller's number, beside the calling line's own
	Duration     time.Duration     // of the traffic of a test
	LeastSpeed   uint32            // bit/s below which a line is poor; 0: none
	Minimum      selftest.Grade    // a line with a lower grade has failed
	Quarantine   int               // a line that has failed so many times in a row takes no calls until it passes; 0: never
	CallsPerHour int               // test calls in all
}

type rawSelfTest struct {
	Every        conf.Duration     `toml:"every"`
	Hours        conf.Hours        `toml:"hours"`
	Lines        []string          `toml:"lines"`
	Numbers      map[string]string `toml:"numbers"`
	CallerIDs    []string          `toml:"caller_ids"`
	Duration     conf.Duration     `toml:"duration"`
	LeastSpeed   uint32            `toml:"least_speed"`
	Minimum      selftest.Grade    `toml:"minimum"`
	Quarantine   int               `toml:"quarantine"`
	CallsPerHour int               `toml:"calls_per_hour"`
}

// Bounds of what can be set.
const (
	leastSelfTestEvery    = 10 * time.Minute
	leastSelfTestDuration = 5 * time.Second
	mostSelfTestDuration  = 5 * time.Minute
	mostSelfTestCalls     = 1000
)

const (
	// leastSelfTestTurn is what a test takes at least until the next one begins, for the schedule has one at a time and looks once a minute.
	leastSelfTestTurn = time.Minute
	// selfTestSetUp is what a test takes beyond its traffic, to dial and train.
	selfTestSetUp = 30 * time.Second
)

func defaultSelfTest() rawSelfTest {
	return rawSelfTest{Lines: []string{}, CallerIDs: []string{}, Duration: duration(15 * time.Second), Minimum: selftest.Poor, CallsPerHour: 20}
}

func (c *checker) selfTest(r rawSelfTest) SelfTest {
	if every := r.Every.Duration; every != 0 && every < leastSelfTestEvery {
		c.fail("selftest.every", "%v is too short: at least %v, or \"0\" for none", r.Every, leastSelfTestEvery)
	}
	for i, p := range r.Lines {
		c.linePattern(fmt.Sprintf("selftest.lines[%d]", i), p)
	}
	of := map[string]string{} // the lines of numbers
	for _, name := range slices.Sorted(maps.Keys(r.Numbers)) {
		key, number := "selftest.numbers."+name, r.Numbers[name]
		if other, twice := of[number]; twice {
			c.fail(key, "%q is that of line %q already: a test needs to know which line it calls", number, other)
		}
		of[number] = name
		if _, ok := c.lines[name]; !ok && !c.unknown {
			c.fail(key, "there is no line %q", name)
		}
		if !Dialable(number) || strings.Trim(number, PauseCharacters) == "" {
			c.fail(key, "%q is no telephone number", number)
		}
	}
	for i, id := range r.CallerIDs {
		if strings.Trim(id, "0123456789") != "" || id == "" {
			c.fail(fmt.Sprintf("selftest.caller_ids[%d]", i), "%q is no number as lines show it: digits", id)
		}
	}
	if d := r.Duration.Duration; d < leastSelfTestDuration || d > mostSelfTestDuration {
		c.fail("selftest.duration", "%v is not between %v and %v", r.Duration, leastSelfTestDuration, mostSelfTestDuration)
	}
	if r.Minimum != selftest.Good && r.Minimum != selftest.Poor {
		c.fail("selftest.minimum", "%q is neither %q nor %q", r.Minimum, selftest.Good, selftest.Poor)
	}
	if r.Quarantine < 0 {
		c.fail("selftest.quarantine", "%d is less than none; 0 means never", r.Quarantine)
	}
	if r.CallsPerHour < 1 || r.CallsPerHour > mostSelfTestCalls {
		c.fail("selftest.calls_per_hour", "%d is not between 1 and %d", r.CallsPerHour, mostSelfTestCalls)
	}
	t := SelfTest{
		Every: r.Every.Duration, Hours: r.Hours, Lines: r.Lines, Numbers: r.Numbers, CallerIDs: r.CallerIDs, Duration: r.Duration.Duration,
		LeastSpeed: r.LeastSpeed, Minimum: r.Minimum, Quarantine: r.Quarantine, CallsPerHour: r.CallsPerHour,
	}
	if !c.unknown && len(c.errors) == 0 {
		if key, why := t.Overdrawn(slices.Collect(maps.Keys(c.lines))); why != "" {
			c.fail(key, "%s", why)
		}
	}
	return t
}

// Overdrawn says what keeps a schedule from testing each of these lines in the time that is set, if anything does, and the key that is to be changed
// first. Each test call is one for two lines.
func (t SelfTest) Overdrawn(lines []string) (key, why string) {
	if t.Every == 0 || len(lines) == 0 {
		return "", ""
	}
	tested := slices.DeleteFunc(slices.Clone(lines), func(name string) bool { return !t.Tests(name) })
	if len(tested) == 1 {
		return "selftest.every", fmt.Sprintf("line %q is the only one that is tested (selftest.lines), and a test needs two", tested[0])
	}
	open := min(t.Every, t.Hours.Length()) // of it, the time in which tests are made
	if t.Every > 24*time.Hour {
		open = time.Duration(float64(t.Every) * float64(t.Hours.Length()) / float64(24*time.Hour))
	}
	needed := math.Ceil(float64((len(tested)+1)/2) / open.Hours())
	within := fmt.Sprintf("%d lines are to be tested within %v", len(tested), duration(t.Every))
	if hours := t.Hours.String(); hours != "" {
		within += fmt.Sprintf(" (selftest.hours = %q)", hours)
	}
	within += fmt.Sprintf(", which takes %.0f test calls an hour: ", needed)
	turn := max(leastSelfTestTurn, t.Duration+selfTestSetUp)
	switch most := int(time.Hour / turn); {
	case needed > float64(t.CallsPerHour):
		return "selftest.every", within + fmt.Sprintf("selftest.calls_per_hour = %d allows no more than those", t.CallsPerHour)
	case needed > float64(most):
		return "selftest.every", within + fmt.Sprintf("one after the other, with selftest.duration = %q, there can be no more than %d", duration(t.Duration), most)
	}
	return "", ""
}

// Tests says whether a line of that name is one of those that are tested.
func (t SelfTest) Tests(name string) bool { return anyMatches(t.Lines, name) }

// anyMatches says whether one of the patterns matches a name. If there are none, all names do.
func anyMatches(patterns []string, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { ok, _ := path.Match(p, name); return ok })
}

// table is the section as Effective shows it.
func (t SelfTest) table() map[string]any {
	out := map[string]any{
		"every": duration(t.Every).String(), "lines": t.Lines, "caller_ids": t.CallerIDs, "duration": duration(t.Duration).String(),
		"least_speed": t.LeastSpeed, "minimum": string(t.Minimum), "quarantine": t.Quarantine, "calls_per_hour": t.CallsPerHour,
	}
	if hours := t.Hours.String(); hours != "" {
		out["hours"] = hours
	}
	if len(t.Numbers) > 0 {
		out["numbers"] = t.Numbers
	}
	return out
}
