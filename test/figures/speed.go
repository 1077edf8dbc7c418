package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"time"

	"trunkline.example/shared/measure"
)

const (
	coreTime  = 5 * time.Second
	smallSize = floodSize + 28 // octets of the IP packet
	// searchSessions share the rate that is searched for: the responder gives a session at most a burst in a millisecond.
	searchSessions = 4
	searchTime     = time.Second
	halvings       = 6
	searchTries    = 2 // at each rate: what another program on the machine loses is not the rate's
)

// The two ways of traffic, as `pns load` and the tables call them.
var bothWays = []string{"up", "down"}

// coreSpeed is the figure of what pns carries for each core that it uses alone.
func coreSpeed(way string) string {
	return fmt.Sprintf("one session, datagrams of %d octets %s: for each core that pns uses", largeSize, way)
}

// lossFree is the figure of the highest rate at which no small packet is lost.
func lossFree(way string) string { return small(way) + ", the most without a loss" }

// measureSpeed tells what pns carries: as many large datagrams as go in one session, and one TCP flow, for the processor time of pns alone, and
// small datagrams in a few sessions, up to the rate at which the first is lost.
func measureSpeed(r *run, o options) {
	g := newGenerator(r, searchSessions, "")
	g.respond()
	for _, way := range bothWays {
		g.core(way, o.time(coreTime))
	}
	for _, way := range bothWays {
		g.lossFree(way, o.time(searchTime))
	}
	g.branch()
	for _, way := range bothWays {
		g.flow(way, o.time(coreTime))
	}
}

// core tells how many Mbit/s pns carries in one direction for each core that it uses, in a session that is offered as many datagrams as go. What it
// has written to the TUN, or read from it, counts: a datagram that somebody else loses afterwards has cost it the same.
func (g *generator) core(way string, howLong time.Duration) {
	g.perCore(coreSpeed(way), way, func() string {
		got := g.stream(way, 1, "--size", fmt.Sprint(largeSize), "--duration", howLong.String())
		return fmt.Sprintf("%s Mbit/s arrive, %s %% of what is offered is lost", digits(got.Mbps), digits(100*got.LostShare))
	})
}

// perCore adds the figure of what pns carries one way, for the processor time that it takes, while carry lasts, which returns what is worth noting.
func (g *generator) perCore(name, way string, carry func() (note string)) {
	before, l := g.tunOctets(way), g.watch(map[string]int{"pns": g.pns.PID()})
	note := carry()
	cpu, octets := l.seconds("pns"), g.tunOctets(way)-before
	if cpu == 0 || octets == 0 {
		g.Fatalf("%s: pns has carried %.0f octets in %.2f s of its time", name, octets, cpu)
	}
	g.add(name, octets*8/1e6/cpu, "Mbit/s per core", "%s s of the time of pns; %s", digits(cpu), note)
}

// lossFree searches for the highest rate of small packets without a loss.
func (g *generator) lossFree(way string, howLong time.Duration) {
	args := []string{"--size", fmt.Sprint(smallSize), "--duration", howLong.String()}
	full := g.stream(way, searchSessions, args...)
	most, trials := search(full.PacketsPerSecond, func(rate float64) (float64, bool) {
		got := g.stream(way, searchSessions, append(args, "--datagrams", fmt.Sprint(max(int(rate/searchSessions), 1)))...)
		return got.PacketsPerSecond, got.Lost == 0
	})
	if full.Lost == 0 && full.PacketsPerSecond > most {
		most = full.PacketsPerSecond
	}
	g.add(lossFree(way), most/1e3, "kpackets/s", "in %d sessions, %d rates tried for %v; of as many as go %s arrive, %s %% are lost", searchSessions, trials, howLong,
		digits(full.PacketsPerSecond/1e3), digits(100*full.LostShare))
}

// search looks for the highest rate up to a limit at which nothing is lost, by halving, and returns what was carried then, or 0, and how many
// rates were tried. A trial tells what it carried and whether all of what it offered: less may have been offered than was asked for.
func search(limit float64, trial func(rate float64) (carried float64, whole bool)) (most float64, trials int) {
	below, above := 0.0, limit
	for rate := limit; trials <= halvings && below < limit; rate = (below + above) / 2 {
		trials++
		lossy := true
		for try := 0; lossy && try < searchTries; try++ {
			if carried, whole := trial(rate); whole {
				most, lossy = max(most, carried), false
			}
		}
		if lossy {
			above = rate
		} else {
			below = rate
		}
	}
	return most, trials
}

// stream has sessions carry datagrams one way, and returns what came of them.
func (g *generator) stream(way string, sessions int, args ...string) measure.Way {
	return wayOf(way, g.load(sessions, besideNet, append(streamArgs(way), args...)...).report(0).Traffic)
}

// streamArgs are the arguments of `pns load` for datagrams one way.
func streamArgs(way string) []string {
	return []string{"--traffic", way, "--responder", innerServer + ":" + responderPort}
}

// wayOf is one of the two ways.
func wayOf(way string, of *measure.Carried) measure.Way {
	if way == "up" {
		return of.Up
	}
	return of.Down
}

// tunOctets is what pns has written to its TUN (up) or read from it (down), as the kernel has counted it.
func (g *generator) tunOctets(way string) (octets float64) {
	var links []struct {
		Info struct {
			Kind string `json:"info_kind"`
		} `json:"linkinfo"`
		Stats struct{ RX, TX struct{ Bytes float64 } } `json:"stats64"`
	}
	out, err := exec.Command("ip", "-n", g.space.Name, "-s", "-j", "-d", "link").Output()
	if err == nil {
		err = json.Unmarshal(out, &links)
	}
	if err != nil {
		g.Fatalf("ip -s link: %v", err)
	}
	for _, l := range links {
		if l.Info.Kind == "tun" {
			octets += map[string]float64{"up": l.Stats.RX.Bytes, "down": l.Stats.TX.Bytes}[way]
		}
	}
	return octets
}
