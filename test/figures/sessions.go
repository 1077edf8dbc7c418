package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	latencyPings  = 1000
	latencyEvery  = 5 * time.Millisecond
	loneCalls     = 20
	floodSessions = 64
	floodWindow   = 4 // echo requests under way in each
	floodTime     = 4 * time.Second
)

// measureSessions tells what many direct sessions cost.
func measureSessions(r *run, o options) {
	g := newGenerator(r, o.Sessions, o.Sharing)
	pid := g.pns.pid()
	idle, files := r.memory(pid), r.descriptors(pid)
	r.add("memory of pns without sessions", idle/1024, "MiB RSS", "%d descriptors, %d users in the file", files, o.Sessions)
	alone := min(loneCalls, o.Sessions)
	r.add("set-up of one call alone", median(g.connectAll(alone, 1)).Seconds()*1e3, "ms", "from connect to IPCP open; median of %d", alone)
	g.latency("with few sessions")
	g.disconnectAll()

	g.setUp(o.Sessions, "")
	g.showMemory(o.Sessions, idle)
	g.showIdle(o.Sessions, o.time(idleTime))
	g.latency(fmt.Sprintf("with %d sessions", o.Sessions))
	g.pingAll()
	g.flood(largeEcho, o.time(floodTime))
	g.flood(smallEcho, o.time(floodTime))
	for round := 2; round <= o.Rounds; round++ {
		before := r.memory(pid)
		g.disconnectAll()
		r.eventually("pns keeps descriptors open", 10*time.Second, func() bool { return r.descriptors(pid) <= files+2 })
		g.setUp(o.Sessions, fmt.Sprintf(", time %d", round))
		r.add(fmt.Sprintf("memory of pns with %d sessions, time %d", o.Sessions, round), r.memory(pid)/1024, "MiB RSS", "%s before all were ended", digits(before/1024))
	}
	g.showGoroutines()
}

// setUp sets all sessions up as fast as it goes.
func (g *generator) setUp(count int, again string) {
	l := g.watch(map[string]int{"pns": g.pns.pid()})
	took := g.connectAll(count, dialers)
	seconds := time.Since(l.began).Seconds()
	cpu := l.seconds("pns")
	what := fmt.Sprintf("set-up of %d calls%s", count, again)
	g.add(what, float64(count)/seconds, "calls/s", "in %.1f s, %d at a time: median %.0f ms, p99 %.0f ms each; the clients share the processors", seconds, dialers,
		median(took).Seconds()*1e3, quantile(took, 0.99).Seconds()*1e3)
	g.add(what+": CPU of pns", cpu*1e3/float64(count), "ms per call", "%.2f s in all", cpu)
	var shown []struct {
		Phase, Encryption, Address string
	}
	g.ask(&shown, "pns", "sessions", "--json", "--admin", g.socket)
	up := 0
	for _, s := range shown {
		if s.Phase == "up" && strings.Contains(s.Encryption, "MPPE-128") && s.Address != "" {
			up++
		}
	}
	if up != count || len(shown) != count {
		g.Fatalf("pns shows %d sessions, %d of them up with MPPE-128 and an address, of %d", len(shown), up, count)
	}
}

func (g *generator) showMemory(count int, idle float64) {
	time.Sleep(settleTime)
	pid := g.pns.pid()
	rss := g.memory(pid)
	g.add(fmt.Sprintf("memory of pns with %d sessions", count), rss/1024, "MiB RSS", "%d descriptors, %.0f threads", g.descriptors(pid), g.field(pid, "Threads"))
	g.add("memory of pns per session", (rss-idle)/float64(count), "KiB", "difference to no session")
}

func (g *generator) showIdle(count int, howLong time.Duration) {
	l := g.watch(map[string]int{"pns": g.pns.pid()})
	time.Sleep(howLong)
	g.add(fmt.Sprintf("%d idle sessions: CPU of pns", count), l.share("pns"), "% of a core", "over %v, with the LCP echoes of its defaults", howLong)
}

// latency tells the round trip of a ping through the tunnel beside one past it.
func (g *generator) latency(when string) {
	plain := g.plainPings()
	s := g.all[len(g.all)/2]
	probed, err := s.ping(latencyPings, latencyEvery)
	if err != nil {
		g.Fatal(err)
	}
	var trips []time.Duration
	select {
	case trips = <-probed:
	case <-time.After(time.Minute):
		g.Fatal("the pings through the tunnel do not end")
	}
	if len(trips) != latencyPings {
		g.Errorf("%d of %d pings through the tunnel were lost", latencyPings-len(trips), latencyPings)
	}
	micros := func(all []time.Duration, q float64) float64 { return float64(quantile(all, q)) / 1e3 }
	for _, q := range []struct {
		name  string
		value float64
	}{{"median", 0.5}, {"p99", 0.99}} {
		g.add("ping through the tunnel "+when+": "+q.name, micros(trips, q.value), "µs", "%s past it: pns adds %s", digits(micros(plain, q.value)), digits(micros(trips, q.value)-micros(plain, q.value)))
	}
}

// pingAll pings once through every session, a hundred at a time.
func (g *generator) pingAll() {
	answered := 0
	for some := range slices.Chunk(g.all, 100) {
		var waiting []<-chan []time.Duration
		for _, s := range some {
			probed, err := s.ping(1, time.Second)
			if err != nil {
				g.Fatal(err)
			}
			waiting = append(waiting, probed)
		}
		for _, probed := range waiting {
			answered += len(<-probed) // it comes, if only when the ping is given up
		}
	}
	g.add("sessions that answered a ping at the end", float64(answered), "sessions", "of %d", len(g.all))
	if answered != len(g.all) {
		g.Errorf("%d of %d sessions have answered a ping", answered, len(g.all))
	}
}

// flood fills some sessions with echo requests and replies of a size.
func (g *generator) flood(size int, howLong time.Duration) {
	some := g.all[:min(floodSessions, len(g.all))]
	for _, s := range some {
		if err := s.stream(size); err != nil {
			g.Fatal(err)
		}
	}
	packets := func() (n float64) {
		for _, s := range some {
			n += s.packets()
		}
		return n
	}
	time.Sleep(howLong / 4)
	before, l := packets(), g.watch(map[string]int{"pns": g.pns.pid()})
	time.Sleep(howLong)
	seconds, cpu, carried := time.Since(l.began).Seconds(), l.seconds("pns"), packets()-before
	for _, s := range some {
		s.cancel()
	}
	what := fmt.Sprintf("%d sessions full of %d-octet pings", len(some), size)
	g.add(what, carried/seconds, "packets/s", "both ways together, %.0f Mbit/s; the clients share the processors", carried*float64(size+28)*8/1e6/seconds)
	g.add(what+": CPU of pns", cpu/carried*1e6, "µs per packet", "%.0f %% of a core", 100*cpu/seconds)
}

// showGoroutines ends pns by a signal at which a Go program tells where all goroutines are.
func (g *generator) showGoroutines() {
	_ = g.pns.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-g.pns.done:
		g.add("goroutines of pns with them", float64(strings.Count(g.pns.out.String(), "\ngoroutine ")), "goroutines", "the runtime's own included")
	case <-time.After(sessionLimit):
		g.Errorf("pns did not end at SIGQUIT")
	}
}
