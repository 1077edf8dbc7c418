package config

import (
	"fmt"
	"maps"
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
	for _, name := range slices.Sorted(maps.Keys(r.Numbers)) {
		key, number := "selftest.numbers."+name, r.Numbers[name]
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
	return SelfTest{
		Every: r.Every.Duration, Hours: r.Hours, Lines: r.Lines, Numbers: r.Numbers, CallerIDs: r.CallerIDs, Duration: r.Duration.Duration,
		LeastSpeed: r.LeastSpeed, Minimum: r.Minimum, Quarantine: r.Quarantine, CallsPerHour: r.CallsPerHour,
	}
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
