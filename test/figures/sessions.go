package main

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/measure"
)

const (
	latencyPings  = 600
	latencyEvery  = 5 * time.Millisecond
	latencyLimit  = 2 * time.Second // a ping without an answer by then is lost
	floodSessions = 64
	floodWindow   = 4 // echo requests under way in each
	floodTime     = 3 * time.Second
	heldTime      = 10 * time.Minute // longer than anything takes; the run is interrupted
	fillHold      = 30 * time.Second
	// spareDescriptors are those of pns, or of the clients, that are not sessions'.
	spareDescriptors = 1000
)

// tidyTime is after which pns has given back what the set-up of many calls has left.
const tidyTime = 6 * time.Second

// storms are how many calls are set up at one time, and of how many in all.
var storms = []struct{ atOnce, calls int }{{1, 1000}, {16, 4000}, {128, 4000}, {1000, 4000}}

// measureSessions tells what many direct sessions cost.
func measureSessions(r *run, o options) {
	most := maxSessions
	if limit := descriptorLimit(); limit-spareDescriptors < most {
		most = max(limit-spareDescriptors, 1)
	}
	count := min(o.Sessions, most)
	g := newGenerator(r, most, "")
	pid := g.pns.PID()
	idle, files := r.memory(pid), r.descriptors(pid)
	r.add("memory of pns without sessions", idle/1024, "MiB RSS", "%d descriptors, %d users in the file", files, most)
	g.latency("few sessions", 0)
	alone := []float64{g.full(0, o.time(floodTime))}

	kernel := kernelMemory()
	held := g.hold(count)
	g.showIdle(count, o.time(idleTime))
	g.showMemory(count, idle)
	g.add(memoryOf(count)+": beside it the kernel's", (kernelMemory()-kernel)/float64(count), "KiB", "of all the machine's kernel, with the clients' ends of the sessions; the difference to none")
	g.latency(fmt.Sprintf("%d sessions", count), count)
	g.flood(largeEcho, o.time(floodTime), count)
	g.flood(smallEcho, o.time(floodTime), count)
	beside := []float64{g.full(count, o.time(floodTime)), g.full(count, o.time(floodTime))}
	g.release(held, files)
	alone = append(alone, g.full(0, o.time(floodTime)))
	g.add(fullBeside(count), 100*mean(beside)/mean(alone), "%", "%s and %s Mbit/s both ways together, %s and %s alone, before and afterwards", digits(beside[0]), digits(beside[1]),
		digits(alone[0]), digits(alone[1]))

	g.ceiling(o)
	for _, s := range storms {
		g.storm(min(s.calls, count), s.atOnce)
	}
	g.fill(most, idle)
}

// fill sets up as many sessions as descriptors allow; those that fail are counted.
func (g *generator) fill(most int, idle float64) {
	held := g.load(most, heldNet, "--at-once", "64", "--duration", fillHold.String())
	over := false
	g.eventually("neither do all sessions come up nor is the run over", 4*time.Minute, func() bool {
		select {
		case <-held.Done():
			over = true
		default:
		}
		return over || g.status().Calls == most
	})
	if !over {
		g.showMemory(most, idle)
		g.showGoroutines()
	}
	held.Signal(syscall.SIGINT)
	got := held.outcome(0)
	g.add(mostFailed, float64(got.Failed+got.Dropped), "sessions", "of %d, with %d descriptors allowed; set up 64 at once, %s calls/s", most, descriptorLimit(), digits(got.SetUp.PerSecond))
}

// release ends the sessions that are held.
func (g *generator) release(held *loading, files int) {
	held.Signal(syscall.SIGINT)
	held.report(0)
	pid := g.pns.PID()
	g.eventually("pns keeps descriptors open", 10*time.Second, func() bool { return g.descriptors(pid) <= files+2 })
}

// descriptorLimit is how many files one process may have open.
func descriptorLimit() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 1024
	}
	return int(min(limit.Max, 1<<30))
}

// full is what one session carries that is full of pings, both ways together, in Mbit/s, beside those that are held.
func (g *generator) full(held int, howLong time.Duration) float64 {
	got := g.load(1, besideNet, append(fullEcho(), "--duration", howLong.String())...).report(held).Traffic
	return got.Up.Mbps + got.Down.Mbps
}

// fullBeside is the figure of how fast one session is beside many.
func fullBeside(count int) string {
	return fmt.Sprintf("one session full of pings beside %d idle ones, to alone", count)
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

// hold sets sessions up. They stay until the run is interrupted.
func (g *generator) hold(count int) *loading {
	held := g.load(count, heldNet, "--at-once", "64", "--duration", heldTime.String())
	g.eventually("the sessions do not come up", 2*time.Minute, func() bool {
		s := g.status()
		return s.Calls == count && s.HalfOpen == 0
	})
	var shown []struct {
		Phase, Encryption, Address string
	}
	up := 0
	g.eventually("pns does not show all sessions as up, with MPPE-128 and an address", time.Minute, func() bool {
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

// showMemory tells what the sessions that are held take.
func (g *generator) showMemory(count int, idle float64) {
	time.Sleep(tidyTime)
	pid := g.pns.PID()
	rss := g.memory(pid)
	g.add(fmt.Sprintf("memory of pns with %d sessions", count), rss/1024, "MiB RSS", "%d descriptors, %.0f threads", g.descriptors(pid), g.field(pid, "Threads"))
	g.add(memoryOf(count), (rss-idle)/float64(count), "KiB", "the difference to none")
}

func (g *generator) showIdle(count int, howLong time.Duration) {
	l := g.watch(map[string]int{"pns": g.pns.PID()})
	time.Sleep(howLong)
	g.add(fmt.Sprintf("%d idle sessions: CPU of pns", count), l.share("pns"), "% of a core", "over %v, with the LCP echoes of its defaults", howLong)
}

// latency tells the round trip of a ping through the tunnel beside one past it. One that is lost counts as one of latencyLimit.
func (g *generator) latency(when string, held int) {
	plain := g.plainPings()
	got := g.load(1, besideNet, "--traffic", "echo", "--size", fmt.Sprint(56+28), "--interval", latencyEvery.String(), "--duration", (latencyPings * latencyEvery).String(),
		"--window", "100", "--timeout", latencyLimit.String()).report(held).Traffic
	if got.RoundTrip == nil {
		got.RoundTrip = &measure.Latency{}
	}
	lost := float64(got.Down.Lost) / float64(max(got.Up.Sent, 1))
	for _, q := range []struct {
		name  string
		share float64
		value float64 // in ms
		plain time.Duration
	}{{"median", 0.5, got.RoundTrip.Median, median(plain)}, {"p99", 0.99, got.RoundTrip.P99, quantile(plain, 0.99)}} {
		past := float64(q.plain) / 1e3
		if lost >= 1-q.share {
			q.value = float64(latencyLimit) / 1e6
		}
		g.add(pingOf(when, q.name), q.value*1e3, "µs", "%s past it; %d of %d lost", digits(past), got.Down.Lost, got.Up.Sent)
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
