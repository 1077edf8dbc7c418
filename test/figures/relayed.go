package main

import (
	"fmt"
	"syscall"
	"time"
)

const (
	relayConnections = 8
	relayTime        = 65 * time.Second // with the Echoes of control connections and links, one a minute and one in half a minute
	relayedPAC       = "[[pac]]\nname = \"load\"\naddress = [\"198.18.0.2\"]\n"
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
	held := g.load(calls, "198.18.0.2", "--as-pac", "--connections", fmt.Sprint(relayConnections), "--at-once", "64", "--duration", heldTime.String())
	r.eventually("the relayed calls do not come up", 5*time.Minute, func() bool {
		s := g.status()
		return s.Calls == calls && s.HalfOpen == 0
	})
	time.Sleep(settleTime)
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
	got := held.report(0)
	g.add("set-up of relayed calls", got.SetUp.PerSecond, "calls/s", "64 at once; median %s ms, p99 %s ms each", digits(got.SetUp.Latency.Median), digits(got.SetUp.Latency.P99))
	what := relayedGrowth
	if calls != mostCalls {
		what = fmt.Sprintf("set-up of the last %d of %d relayed calls, beside the first", got.SetUp.Part, calls)
	}
	g.add(what, 100*got.SetUp.LastPerSecond/max(got.SetUp.FirstPerSecond, 1), "%", "%s and %s calls/s", digits(got.SetUp.LastPerSecond), digits(got.SetUp.FirstPerSecond))
}
