package main

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"trunkline.example/shared/measure"
)

const (
	innerServer   = "10.97.0.1"
	responderPort = "5001"
	largeSize     = 1400
	flowWindow    = 64 // echo requests under way in the flow that pings are sent beside

	// A session may carry limitedRate Mbit/s each way, that is limitedPackets small packets a second.
	limitedRate    = 1
	limitedPackets = limitedRate * 1_000_000 / 8 / smallSize
	limitedPolicy  = "[policy]\nrate_in = \"%dMbit/s\"\nrate_out = \"%[1]dMbit/s\"\n"
	tenfold        = 10
	floodfold      = 12 // is asked for, as the generator passes over what it is late with
	fullEnough     = 0.9
	longFlood      = time.Minute
	speedTime      = 5 * time.Second
)

// flow is what fills a session that pings are sent beside in another one.
type flow struct {
	what string
	args []string
}

// flows are pings of which a few are always under way, and as many datagrams as go.
var flows = []flow{{"pings", fullEcho()}, {"datagrams up", streamArgs("up")}, {"datagrams down", streamArgs("down")}}

// fullEcho are the arguments of `pns load` for a session that is full both ways.
func fullEcho() []string {
	return []string{"--traffic", "echo", "--size", fmt.Sprint(largeSize), "--window", fmt.Sprint(flowWindow)}
}

// measureLoaded tells what a session does to another one, and whether it is itself again after a flood.
func measureLoaded(r *run, o options) {
	g := newGenerator(r, 2, "")
	g.respond()
	for _, f := range flows {
		full := g.load(1, heldNet, append(slices.Clone(f.args), "--duration", heldTime.String())...)
		r.eventually("the session does not come up", time.Minute, func() bool {
			s := g.status()
			return s.Calls == 1 && s.HalfOpen == 0
		})
		time.Sleep(settleTime)
		g.latency(besideFlow(f.what), 1)
		full.Signal(syscall.SIGINT)
		full.report(0)
	}
	limited := newGenerator(r, len(bothWays), fmt.Sprintf(limitedPolicy, limitedRate))
	limited.respond()
	limited.recovery(o.time(longFlood))
}

// respond starts the other end of UDP traffic.
func (g *generator) respond() {
	g.start(g.space, "", "pns", "load", "respond", innerServer+":"+responderPort)
}

// recovery floods two sessions, one up and one down, with small packets at ten times what they may carry, and compares what each carries from a second
// later on with what it carries without a flood. Both are far from what the machine carries, so they can be flooded at one time; what was no such
// flood, or no full session, is no figure of a goal.
func (g *generator) recovery(howLong time.Duration) {
	before, after := g.bothAtOnce(0), g.bothAtOnce(howLong)
	for _, way := range bothWays {
		was, is, flood := wayOf(way, before[way].Traffic), wayOf(way, after[way].Traffic), wayOf(way, after[way].Flood)
		if was.Mbps == 0 {
			g.Fatalf("a session that was not flooded carries nothing %s: %+v", way, was)
		}
		offered := float64(flood.Received+flood.Lost) / howLong.Seconds()
		what := afterFlood(way)
		if was.Mbps < fullEnough*limitedRate || offered < tenfold*limitedPackets {
			what += wasBusy
		}
		g.add(what, 100*is.Mbps/was.Mbps, "%", "%s kbit/s, %s without; UDP of %d octets for %v at %s times the session's %d a second, %s %% lost",
			digits(is.Mbps*1e3), digits(was.Mbps*1e3), floodSize, howLong, digits(offered/limitedPackets), limitedPackets, digits(100*flood.LostShare))
	}
}

// bothAtOnce offers twice what they may carry to one session up and to another one down, at one time, after a flood unless it is of no time.
func (g *generator) bothAtOnce(flood time.Duration) map[string]measure.Report {
	loads, reports := map[string]*loading{}, map[string]measure.Report{}
	for i, way := range bothWays {
		of := append(streamArgs(way), "--user", fmt.Sprintf("user%d", i), "--users", "1", "--size", fmt.Sprint(smallSize), "--datagrams", fmt.Sprint(2*limitedPackets),
			"--duration", speedTime.String())
		if flood > 0 {
			of = append(of, "--flood", way, "--flood-for", flood.String(), "--flood-datagrams", fmt.Sprint(floodfold*limitedPackets))
		}
		loads[way] = g.load(1, []string{heldNet, besideNet}[i], of...)
	}
	for _, way := range bothWays {
		<-loads[way].Done()
	}
	for _, way := range bothWays {
		reports[way] = loads[way].report(0)
	}
	return reports
}
