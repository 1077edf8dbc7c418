package main

import (
	"fmt"
	"syscall"
	"time"

	"trunkline.example/shared/measure"
)

const (
	innerServer   = "10.97.0.1"
	responderPort = "5001"
	limitedRate   = 20 // Mbit/s that a session may carry each way
	largeSize     = 1400
	tenfold       = 10
	// limitedFull is how many datagrams a second fill such a session twice.
	limitedFull   = 2 * limitedRate * 1_000_000 / 8 / largeSize
	longFlood     = time.Minute
	speedTime     = 5 * time.Second
	flowWindow    = "64" // echo requests under way in the flow that pings are sent beside
	limitedPolicy = "[policy]\nrate_in = \"%dMbit/s\"\nrate_out = \"%[1]dMbit/s\"\n"
)

// measureLoaded tells what a session does to another one, and whether it is itself again after a flood.
func measureLoaded(r *run, o options) {
	g := newGenerator(r, 2, "")
	g.respond()
	for _, flow := range []struct {
		what string
		args []string
	}{{"pings", []string{"--traffic", "echo", "--window", flowWindow}}, {"datagrams up", []string{"--traffic", "up"}}, {"datagrams down", []string{"--traffic", "down"}}} {
		full := g.load(1, heldNet, append(flow.args, "--responder", innerServer+":"+responderPort, "--duration", heldTime.String())...)
		r.eventually("the session does not come up", time.Minute, func() bool {
			s := g.status()
			return s.Calls == 1 && s.HalfOpen == 0
		})
		time.Sleep(settleTime)
		g.latency(besideFlow(flow.what), 1)
		full.Signal(syscall.SIGINT)
		full.report(0)
	}
	limited := newGenerator(r, 1, fmt.Sprintf(limitedPolicy, limitedRate))
	limited.respond()
	for _, way := range []string{"up", "down"} {
		limited.recovery(way, o.time(longFlood), "--flood-datagrams", fmt.Sprint(tenfold*limitedFull/2))
	}
}

// respond starts the other end of UDP traffic.
func (g *generator) respond() {
	g.start(g.space, "", "pns", "load", "respond", innerServer+":"+responderPort)
}

// recovery floods a session, and compares what it carries from a second later on with what one carries that was not flooded.
func (g *generator) recovery(way string, howLong time.Duration, flood ...string) {
	args := []string{"--traffic", way, "--datagrams", fmt.Sprint(limitedFull), "--responder", innerServer + ":" + responderPort, "--duration", speedTime.String()}
	of := func(r measure.Report) measure.Way {
		if way == "up" {
			return r.Traffic.Up
		}
		return r.Traffic.Down
	}
	before := of(g.load(1, besideNet, args...).report(0))
	got := g.load(1, besideNet, append(append(args, "--flood", way, "--flood-for", howLong.String()), flood...)...).report(0)
	after, lost := of(got), got.Flood.Up
	if way == "down" {
		lost = got.Flood.Down
	}
	if before.Mbps == 0 {
		g.Fatalf("a session that was not flooded carries nothing %s: %+v", way, before)
	}
	g.add(afterFlood(way), 100*after.Mbps/before.Mbps, "%", "%s Mbit/s, %s without; the flood of %v: %d datagrams, %.0f %% lost", digits(after.Mbps), digits(before.Mbps), howLong,
		lost.Received+lost.Lost, 100*lost.LostShare)
}
