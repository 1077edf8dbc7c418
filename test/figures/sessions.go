package main

import (
	"fmt"
	"strings"
	"syscall"
	"time"
)

const (
	latencyPings  = 1000
	latencyEvery  = 5 * time.Millisecond
	floodSessions = 64
	floodWindow   = 4 // echo requests under way in each
	floodTime     = 4 * time.Second
	heldTime      = 10 * time.Minute // longer than anything takes; the run is interrupted
)

// storms are how many calls are set up at one time, and of how many in all.
var storms = []struct{ atOnce, calls int }{{1, 1000}, {16, 4000}, {128, 4000}, {1000, 4000}}

// measureSessions tells what many direct sessions cost.
func measureSessions(r *run, o options) {
	g := newGenerator(r, o.Sessions, "")
	pid := g.pns.PID()
	idle, files := r.memory(pid), r.descriptors(pid)
	r.add("memory of pns without sessions", idle/1024, "MiB RSS", "%d descriptors, %d users in the file", files, o.Sessions)
	g.latency("few sessions", 0)
	for _, s := range storms {
		g.storm(min(s.calls, o.Sessions), s.atOnce)
	}
	for round := 1; ; round++ {
		held := g.hold(o.Sessions)
		g.showMemory(o.Sessions, idle, round)
		if round == 1 {
			g.showIdle(o.Sessions, o.time(idleTime))
			g.latency(fmt.Sprintf("%d sessions", o.Sessions), o.Sessions)
			g.flood(largeEcho, o.time(floodTime), o.Sessions)
			g.flood(smallEcho, o.time(floodTime), o.Sessions)
		}
		if round == o.Rounds {
			g.showGoroutines()
			return
		}
		held.Signal(syscall.SIGINT)
		if got := held.report(0); got.Traffic != nil && got.Traffic.Down.Lost > 0 {
			g.Errorf("%d of %d sessions did not answer a ping", got.Traffic.Down.Lost, o.Sessions)
		}
		r.eventually("pns keeps descriptors open", 10*time.Second, func() bool { return r.descriptors(pid) <= files+2 })
	}
}

// storm sets calls up, so many at one time, and clears them.
func (g *generator) storm(calls, atOnce int) {
	l := g.watch(map[string]int{"pns": g.pns.PID()})
	all := g.load(calls, heldNet, "--at-once", fmt.Sprint(atOnce)).outcome(0)
	got, what := all.SetUp, setUp(atOnce)
	g.add(what, got.PerSecond, "calls/s", "%d calls; the clients share the processors", calls)
	g.add(what+": p99", got.Latency.P99, "ms", "median %s ms, most %s ms", digits(got.Latency.Median), digits(got.Latency.Max))
	g.add(what+": failed", float64(all.Failed), "calls", "of %d", calls)
	g.add(what+": CPU of pns", l.seconds("pns")*1e3/float64(calls), "ms per call", "clearing it included; the generator's, without: %s ms", digits(got.CPUSeconds*1e3/float64(calls)))
}

// hold sets sessions up and has each ping once. They stay until the run is interrupted.
func (g *generator) hold(count int) *loading {
	held := g.load(count, heldNet, "--at-once", "64", "--traffic", "echo", "--interval", "1h", "--duration", heldTime.String())
	g.eventually("the sessions do not come up", time.Minute, func() bool {
		s := g.status()
		return s.Calls == count && s.HalfOpen == 0
	})
	var shown []struct {
		Phase, Encryption, Address string
	}
	up := 0
	g.eventually("pns does not show all sessions as up, with MPPE-128 and an address", 20*time.Second, func() bool {
		up, shown = 0, nil
		g.ask(&shown, "pns", "sessions", "--json", "--admin", g.socket)
		for _, s := range shown {
			if s.Phase == "up" && strings.Contains(s.Encryption, "MPPE-128") && s.Address != "" {
				up++
			}
		}
		return up == count && len(shown) == count
	})
	return held
}

func (g *generator) showMemory(count int, idle float64, round int) {
	time.Sleep(settleTime)
	pid := g.pns.PID()
	rss, again := g.memory(pid), ""
	if round > 1 {
		again = fmt.Sprintf(", time %d", round)
	}
	g.add(fmt.Sprintf("memory of pns with %d sessions%s", count, again), rss/1024, "MiB RSS", "%d descriptors, %.0f threads", g.descriptors(pid), g.field(pid, "Threads"))
	g.add(sessionMemory+again, (rss-idle)/float64(count), "KiB", "difference to no session")
}

func (g *generator) showIdle(count int, howLong time.Duration) {
	l := g.watch(map[string]int{"pns": g.pns.PID()})
	time.Sleep(howLong)
	g.add(fmt.Sprintf("%d idle sessions: CPU of pns", count), l.share("pns"), "% of a core", "over %v, with the LCP echoes of its defaults", howLong)
}

// latency tells the round trip of a ping through the tunnel beside one past it.
func (g *generator) latency(when string, held int) {
	plain := g.plainPings()
	got := g.load(1, besideNet, "--traffic", "echo", "--size", fmt.Sprint(56+28), "--interval", latencyEvery.String(), "--duration", (latencyPings * latencyEvery).String(),
		"--window", "100").report(held).Traffic
	if got.RoundTrip == nil {
		g.Fatalf("%d of %d pings through the tunnel were lost", got.Down.Lost, got.Up.Sent)
	}
	for _, q := range []struct {
		name  string
		value float64 // in ms
		plain time.Duration
	}{{"median", got.RoundTrip.Median, median(plain)}, {"p99", got.RoundTrip.P99, quantile(plain, 0.99)}} {
		past := float64(q.plain) / 1e3
		g.add(pingOf(when, q.name), q.value*1e3, "µs", "%s past it; %d lost", digits(past), got.Down.Lost)
		g.add(addedBy(when, q.name), q.value*1e3-past, "µs", "")
	}
}

// flood fills some sessions with echo requests and replies of a size.
func (g *generator) flood(size int, howLong time.Duration, held int) {
	l := g.watch(map[string]int{"pns": g.pns.PID()})
	got := g.load(min(floodSessions, g.users), besideNet, "--traffic", "echo", "--size", fmt.Sprint(size+28), "--window", fmt.Sprint(floodWindow),
		"--duration", howLong.String()).report(held).Traffic
	cpu := l.seconds("pns")
	packets := got.Up.PacketsPerSecond + got.Down.PacketsPerSecond
	what := fmt.Sprintf("%d sessions full of %d-octet pings", floodSessions, size)
	g.add(what, packets, "packets/s", "both ways together, %.0f Mbit/s, %d lost; the clients share the processors", got.Up.Mbps+got.Down.Mbps, got.Down.Lost)
	g.add(what+": CPU of pns", cpu/(packets*got.Seconds)*1e6, "µs per packet", "%.0f %% of a core; the generator's: %s µs", 100*cpu/got.Seconds, digits(got.CPUSeconds/(packets*got.Seconds)*1e6))
}

// showGoroutines tells how many there are, by pns's own account.
func (g *generator) showGoroutines() {
	g.add("goroutines of pns with them", float64(g.status().Runtime.Goroutines), "goroutines", "without those of Go's runtime")
}
