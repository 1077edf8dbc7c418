package main

import "testing"

// Memory is given back when a storm is over, not during it, and once.
func TestTidiness(t *testing.T) {
	var of tidiness
	for i, look := range []struct {
		calls, files uint64
		want         bool
	}{
		{0, 0, false}, {calmCalls, 0, false}, // nothing to speak of
		{2 * tidyAfter, 0, false}, {4 * tidyAfter, 0, false}, // the storm
		{4*tidyAfter + calmCalls, 0, true}, {4*tidyAfter + calmCalls, 0, false},
		{5*tidyAfter + calmCalls, 0, false}, {5*tidyAfter + calmCalls, 1, true}, // files are read again in a storm
		{5*tidyAfter + calmCalls, 1, false}, {5*tidyAfter + calmCalls, 2, true}, {5*tidyAfter + calmCalls, 2, false},
	} {
		if got := of.due(look.calls, look.files); got != look.want {
			t.Errorf("look %d, %d calls and files read %d times: %v", i, look.calls, look.files, got)
		}
	}
	of = tidiness{}
	tidied := 0
	for calls := uint64(0); calls < 10*tidyAfter; calls += calmCalls { // few calls, for ever
		if of.due(calls, 0) {
			tidied++
		}
	}
	if tidied != 9 {
		t.Errorf("tidied %d times in %d calls that came slowly", tidied, 10*tidyAfter)
	}
}
