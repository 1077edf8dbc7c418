package sim

import (
	"strings"
	"testing"
)

// sabotages are the ways to break the simulation, each with what must be said of it.
var sabotages = map[sabotage]string{
	deliverTwice:      " after ",
	deliverCorrupted:  "is corrupted",
	forgetEnd:         "its owner knows",
	forgetCall:        "is leaked",
	forgetTick:        "has passed",
	reuseEarly:        "in its quarantine",
	sendAfterEnd:      "is sent after its end",
	loseOctets:        "bad length",
	miscount:          "the sender counts",
	keepAfterClose:    "after Close",
	queueWithoutBound: "wait for the window",
}

// TestInvariantsBite: whatever is broken on purpose is found within a few seeds, and called by its name.
func TestInvariantsBite(t *testing.T) {
	for broken, want := range sabotages {
		t.Run(strings.ReplaceAll(string(broken), " ", "_"), func(t *testing.T) {
			for seed := uint64(1); seed <= 10; seed++ {
				_, failure := simulate(seed, broken)
				if failure == "" {
					continue
				}
				verdict, _, _ := strings.Cut(failure, "\nthe last events")
				if !strings.Contains(verdict, want) {
					t.Errorf("%q, want %q", verdict, want)
				}
				if !strings.HasPrefix(failure, "seed ") || !strings.Contains(failure, " TCP is cut") && !strings.Contains(failure, ": control.") {
					t.Errorf("a failure without its seed or last events: %s", failure)
				}
				if _, again := simulate(seed, broken); again != failure {
					t.Errorf("seed %d fails in another way the second time:\n%s\n%s", seed, failure, again)
				}
				return
			}
			t.Error("ten seeds find nothing")
		})
	}
}
