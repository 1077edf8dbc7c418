package sim

import (
	"flag"
	"testing"
	"time"
)

var (
	oneSeed = flag.Uint64("seed", 0, "play only this seed")
	seeds   = flag.Uint64("seeds", 20, "how many seeds are played")
)

// TestSim plays seeds from 1 on; a failing one is named with its last events.
func TestSim(t *testing.T) {
	first, last := uint64(1), *seeds
	if *oneSeed != 0 {
		first, last = *oneSeed, *oneSeed
	}
	var sum stats
	began := time.Now()
	for seed := first; seed <= last; seed++ {
		s, failure := simulate(seed, soundly)
		if failure != "" {
			t.Fatalf("%s\nagain: go test ./test/sim -run Sim -seed %d", failure, seed)
		}
		sum.add(s)
	}
	t.Logf("%d seeds in %v: %+v", last-first+1, time.Since(began).Round(time.Millisecond), sum)
	if *oneSeed == 0 && last >= 20 {
		sum.checkVaried(t)
	}
}

// checkVaried sees to it that the simulation goes where it should.
func (s stats) checkVaried(t *testing.T) {
	t.Helper()
	for name, n := range map[string]int{
		"collisions": s.collisions, "silent peers": s.echoes, "orderly stops": s.stops, "cut connections": s.cuts, "dead hosts": s.deaths,
		"established calls": s.established, "refused calls": s.refused, "calls timed out": s.timedOut, "calls cut off": s.broke,
		"lost packets": int(s.lost), "duplicates": int(s.duplicates), "reordered packets": int(s.reordered),
	} {
		if n == 0 {
			t.Errorf("no %s: the simulation has become too peaceful", name)
		}
	}
}

// TestSameSeedSameWorld: nothing but the seed decides.
func TestSameSeedSameWorld(t *testing.T) {
	a, failure := simulate(7, soundly)
	if failure != "" {
		t.Fatal(failure)
	}
	if b, _ := simulate(7, soundly); a != b {
		t.Errorf("seed 7 gives\n%+v, then\n%+v", a, b)
	}
}
