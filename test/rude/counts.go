package rude

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Counts joins a victim's counters under the names of Deed.Counts. The keys of gre are unknown_call, foreign_address and malformed.
func Counts(faults, refused, gre map[string]uint64) map[string]uint64 {
	all := make(map[string]uint64)
	for prefix, counters := range map[string]map[string]uint64{"faults.": faults, "refused.": refused, "gre.": gre} {
		for name, n := range counters {
			all[prefix+name] = n
		}
	}
	return all
}

// Counted checks that a deed, and it alone, was counted between two readings of the victim's counters.
func Counted(d Deed, before, after map[string]uint64) error {
	expected := make(map[string]bool)
	for _, names := range d.Counts {
		risen := false
		for name := range strings.SplitSeq(names, "|") {
			expected[name] = true
			risen = risen || name == "" || after[name] > before[name]
		}
		if !risen {
			return fmt.Errorf("%s is not counted as %s: %v", d.Name, names, after)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if after[name] != before[name] && !expected[name] {
			return fmt.Errorf("%s is counted as %s too: %v", d.Name, name, after)
		}
	}
	return nil
}
