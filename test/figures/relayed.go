package main

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"trunkline.example/shared/measure"
)

const (
	relayConnections = 8
	relayTime        = 65 * time.Second // with the Echoes of control connections and links, one a minute and one in half a minute
	relayStorms      = 3
	relayedPAC       = "[[pac]]\nname = \"load\"\naddress = [\"198.18.0.2\"]\n[pool]\nrest = \"1s\"\n" // a network of 65,536 addresses, for three storms of 50,000
	relayedGrowth    = "set-up of the last thousand relayed calls, beside the first"
)

var relayedCPU = fmt.Sprintf("%d relayed calls, idle: CPU of pns", mostCalls)

// measureRelayed tells what calls cost that a PAC relays, many on each of a few control connections.
func measureRelayed(r *run, o options) {
	g := newGenerator(r, 1, relayedPAC)
	idle := r.memory(g.pns.PID())
	calls := mostCalls
	if o.Quick {
		calls /= 10
	}
	held := g.relay(calls, "--duration", heldTime.String())
	r.eventually("the relayed calls do not come up", 5*time.Minute, func() bool {
		s := g.status()
		return s.Calls == calls && s.HalfOpen == 0
	})
	time.Sleep(tidyTime)
	g.add("memory of pns per relayed call", (r.memory(g.pns.PID())-idle)/float64(calls), "KiB", "%d calls on %d control connections", calls, relayConnections)
	l := g.watch(map[string]int{"pns": g.pns.PID(), "load": held.PID()})
	time.Sleep(o.time(relayTime))
	if s := g.status(); s.Calls != calls {
		g.Fatalf("%d of %d relayed calls are left", s.Calls, calls)
	}
	if calls == mostCalls { // the goal is for so many
		g.add(relayedCPU, l.share("pns"), "% of a core", "over %v; the other end's: %s", o.time(relayTime), digits(l.share("load")))
	}
	held.Signal(syscall.SIGINT)
	storms := []measure.SetUp{held.report(0).SetUp}
	for len(storms) < relayStorms && !o.Quick {
		g.eventually("pns keeps calls", time.Minute, func() bool { return g.status().Calls == 0 })
		storms = append(storms, g.relay(calls).report(0).SetUp)
	}
	g.growth(calls, storms)
}

// relay has a PAC relay so many calls; the other arguments are those of `pns load`.
func (g *generator) relay(calls int, args ...string) *loading {
	return g.load(calls, "198.18.0.2", append([]string{"--as-pac", "--connections", fmt.Sprint(relayConnections), "--at-once", "64"}, args...)...)
}

// growth tells how fast relayed calls were set up, the last ones and the first. A thousand take a seventh of a second, in which whatever else
// the machine does halves their rate: what counts is the middle one of several storms.
func (g *generator) growth(calls int, storms []measure.SetUp) {
	var rates, shares []float64
	var each []string
	for _, s := range storms {
		rates, shares = append(rates, s.PerSecond), append(shares, 100*s.LastPerSecond/max(s.FirstPerSecond, 1))
		each = append(each, fmt.Sprintf("%s and %s", digits(s.LastPerSecond), digits(s.FirstPerSecond)))
	}
	first := storms[0]
	g.add("set-up of relayed calls", median(rates), "calls/s", "median of %d storms, 64 at once; of the first, median %s ms, p99 %s ms each", len(storms), digits(first.Latency.Median), digits(first.Latency.P99))
	what := relayedGrowth
	if calls != mostCalls {
		what = fmt.Sprintf("set-up of the last %d of %d relayed calls, beside the first", first.Part, calls)
	}
	g.add(what, median(shares), "%", "median of %d storms: %s calls/s", len(storms), strings.Join(each, ", "))
}
