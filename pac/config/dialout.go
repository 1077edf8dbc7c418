package config

import (
	"fmt"
	"strings"
)

// Dialout is the policy for calls that PNSes ask for (Outgoing-Call-Request, RFC 2637 section 2.7): which numbers may be dialled, and
// on which lines.
type Dialout struct {
	Allow        []string // prefixes of numbers that may be dialled; none: nothing may
	Deny         []string // prefixes of numbers that may not, though allowed
	Lines        []string // patterns of line names (path.Match); none: all lines
	CallsPerHour int      // dialled in all; 0: no limit
	State        string   // file that notes the calls of the last hour, for the next run; "" is none
}

type rawDialout struct {
	Allow        []string `toml:"allow"`
	Deny         []string `toml:"deny"`
	Lines        []string `toml:"lines"`
	CallsPerHour int      `toml:"calls_per_hour"`
	State        string   `toml:"state"`
}

// DialCharacters are what a telephone number may be made of: whatever else a peer sends could be a command to a modem.
const DialCharacters = "0123456789*#+,W"

// PauseCharacters are those of DialCharacters that the network never sees.
const PauseCharacters = ",W"

// Dialable says whether a number has no other characters.
func Dialable(number string) bool {
	return !strings.ContainsFunc(number, func(r rune) bool { return !strings.ContainsRune(DialCharacters, r) })
}

func (c *checker) dialout(r rawDialout) Dialout {
	for list, prefixes := range map[string][]string{"allow": r.Allow, "deny": r.Deny} {
		for i, p := range prefixes {
			key := fmt.Sprintf("dialout.%s[%d]", list, i)
			switch {
			case !Dialable(p):
				c.fail(key, "%q has other characters than those of telephone numbers, %s", p, DialCharacters)
			case strings.ContainsAny(p, PauseCharacters):
				c.fail(key, "%q has a pause: numbers are compared without them", p)
			case p == "" && list == "deny":
				c.fail(key, "is empty, which denies every number: leave allow empty instead")
			}
		}
	}
	for i, p := range r.Lines {
		c.linePattern(fmt.Sprintf("dialout.lines[%d]", i), p)
	}
	if r.CallsPerHour < 0 {
		c.fail("dialout.calls_per_hour", "%d is less than none; 0 means no limit", r.CallsPerHour)
	}
	return Dialout(r)
}

// Takes says whether calls are dialled on a line of that name.
func (d Dialout) Takes(name string) bool { return anyMatches(d.Lines, name) }

// table is the section as Effective shows it.
func (d Dialout) table() map[string]any {
	return map[string]any{"allow": d.Allow, "deny": d.Deny, "lines": d.Lines, "calls_per_hour": d.CallsPerHour, "state": d.State}
}
