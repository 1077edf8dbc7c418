package main

import (
	"fmt"
	"time"
)

const (
	dialCalls   = 3
	fastLine    = 115200 // bit/s
	slowLine    = 33600
	manyLines   = 8
	idleTime    = 15 * time.Second
	fullTime    = 12 * time.Second
	fewTime     = 6 * time.Second // for the few lines
	settleTime  = 2 * time.Second
	fillTime    = 5 * time.Second // until all buffers of a line are as full as they get
	largeEcho   = 1300            // octets of payload
	smallEcho   = 64
	largeWindow = 8 // echo requests under way, enough to fill a line both ways
	smallWindow = 40
)

// measureDial tells how long a call takes from dialing to the first ping, in the lab's set-up.
func measureDial(r *run, o options) {
	calls := max(int(o.time(dialCalls)), 1)
	for _, rate := range []int{slowLine, fastLine} {
		b := newBank(r, 1, rate)
		var connect, network, ping []time.Duration
		for range calls {
			c := b.call(1, "--pings", "1")
			result := c.finish()
			if !result.Encrypted || result.FirstPing == 0 {
				r.Fatalf("a call without a ping through MPPE: %+v", result)
			}
			at, _ := c.first("connect")
			up, _ := c.first("network")
			connect, network, ping = append(connect, at), append(network, up), append(ping, result.FirstPing)
			b.awaitIdle()
		}
		name := fmt.Sprintf("%d bit/s: dial to ", rate)
		r.add(name+"CONNECT", median(connect).Seconds(), "s", "median of %d calls; the modems train for 0.5 s of it", calls)
		r.add(name+"network up", median(network).Seconds(), "s", "MS-CHAPv2, MPPE-128")
		r.add(name+"first ping", median(ping).Seconds(), "s", "least %.2f, most %.2f", quantile(ping, 0).Seconds(), quantile(ping, 1).Seconds())
		b.pac.Stop()
		b.exchange.Stop()
		b.pns.Stop()
	}
}

// lineModel is how many octets a line of a rate carries per second in one direction: LAPM needs 8.4 bits for each, the serial ports of
// both modems (115200 bit/s) 10.
func lineModel(rate int) float64 { return min(float64(rate)/8.4, 115200/10) }

var bankProcesses = []string{"pac", "pac's driver", "pns", "exchange"}

// measureLines tells what eight calls cost, idle and with full lines.
func measureLines(r *run, o options) {
	b := newBank(r, manyLines, fastLine)
	pids := b.pids()
	measureIdle(b, "no call", pids, o.time(5*time.Second))
	all := b.callAll("pings", "--pings", "1", "--stay", "-1s")
	measureIdle(b, fmt.Sprintf("%d idle calls", manyLines), pids, o.time(fewTime))
	b.hangup(all)
	b.full(pids, o.time(fewTime), largeEcho, largeWindow)
	b.full(pids, o.time(fewTime), smallEcho, smallWindow)
}

// callAll makes a call on every line and waits for a step of each.
func (b *bank) callAll(until string, args ...string) (all []caller) {
	for i := range b.lines {
		all = append(all, b.call(i+1, args...))
	}
	for _, c := range all {
		c.await(until)
	}
	return all
}

func measureIdle(b *bank, what string, pids map[string]int, howLong time.Duration) {
	time.Sleep(settleTime)
	l := b.watch(pids)
	time.Sleep(howLong)
	for _, name := range bankProcesses {
		b.add(what+": CPU of "+name, l.share(name), "% of a core", "over %v", howLong)
	}
}

// full keeps all lines full both ways with echo requests and replies of a size.
func (b *bank) full(pids map[string]int, howLong time.Duration, size, window int) {
	all := b.callAll("ping", "--interval", "0", "--pings", "65535", "--size", fmt.Sprint(size), "--window", fmt.Sprint(window))
	time.Sleep(fillTime)
	before, l := b.calls(), b.watch(pids)
	time.Sleep(howLong)
	shares := map[string]float64{}
	for _, name := range bankProcesses {
		shares[name] = l.share(name)
	}
	seconds := time.Since(l.began).Seconds()
	after := b.calls()
	what := fmt.Sprintf("%d full lines, %d-octet pings: ", b.lines, size)
	for _, name := range bankProcesses {
		b.add(what+"CPU of "+name, shares[name], "% of a core", "over %v", howLong)
	}
	var in, out []float64
	bad := 0
	for line, c := range after {
		in = append(in, (c.Counters.In-before[line].Counters.In)/seconds)
		out = append(out, (c.Counters.Out-before[line].Counters.Out)/seconds)
		bad += c.Counters.FCSErrors + c.Counters.LineDropped + c.Counters.Stalled + c.Counters.Lost
	}
	if len(after) != b.lines || bad > 0 {
		b.Errorf("%d calls of %d are up, %d frames went wrong", len(after), b.lines, bad)
	}
	model := lineModel(fastLine)
	for _, d := range []struct {
		name   string
		octets []float64
	}{{"from the caller", in}, {"to the caller", out}} {
		b.add(what+d.name, mean(d.octets), "octet/s per line", "least %s; the model carries %s: %.1f %%", digits(quantile(d.octets, 0)), digits(model), 100*mean(d.octets)/model)
	}
	b.hangup(all)
}
