package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"trunkline.example/shared/measure"
	"trunkline.example/test/farend"
	"trunkline.example/test/netns"
)

const (
	fullLines   = 256
	heldLines   = 1000
	fullFrame   = 1304 // octets: a ping of 1,300 would be little more
	smallFrame  = 92
	farAddress  = "127.0.0.2" // of the network server that the far end plays
	callsWithin = 60 * time.Second
)

// full is a pac whose lines and network server are played by test/farend.
type full struct {
	*bank
	far *farend.Bank
}

// newFull starts a pac with so many lines.
func newFull(r *run, lines int) *full {
	f := &full{bank: &bank{run: r, dir: r.TempDir(), lines: lines, space: netns.New(r)}}
	var err error
	if err = f.space.Do(func() (err error) {
		f.far, err = farend.New(lines, netip.MustParseAddr(farAddress))
		return err
	}); err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.far.Run(ctx) }()
	r.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.Errorf("the far end: %v", err)
		}
	})
	f.pac = r.daemon(f.space, "pac", "run", "--config", r.writeFile(f.dir, "pac.toml", f.pacConfig(f.far.Paths())))
	f.awaitIdle()
	return f
}

// cpu are the processes of pac.
func (f *full) cpu() map[string]int {
	return map[string]int{"pac": f.pac.PID(), "pac's driver": f.driver()}
}

// measureFull tells what many full lines, and many idle ones, cost pac and its driver, and how much later frames come than by the line alone.
func measureFull(r *run, o options) {
	f := newFull(r, fullLines)
	if err := f.far.Ring(); err != nil {
		r.Fatal(err)
	}
	r.eventually("the calls do not come up", callsWithin, func() bool {
		connected, _ := f.far.Calls()
		return connected == f.lines
	})
	for _, size := range []int{fullFrame, smallFrame} {
		f.carry(size, o.time(fullTime))
	}
	f.far.Send(0)
	f.idle(fmt.Sprintf("%d idle calls", f.lines), o.time(idleTime))
	f.pac.Stop()

	held := newFull(r, heldLines)
	held.idle(heldWhat, o.time(idleTime))
	held.pac.Stop()
}

// idle tells what pac costs while nothing happens.
func (f *full) idle(what string, howLong time.Duration) {
	time.Sleep(settleTime)
	l := f.watch(f.cpu())
	time.Sleep(howLong)
	f.shares(what, l, howLong)
}

// shares adds what the processes of pac have used, each and together.
func (f *full) shares(what string, l *usage, howLong time.Duration) {
	pac, driver := l.share("pac"), l.share("pac's driver")
	f.add(what+": CPU of pac", pac, "% of a core", "over %v", howLong)
	f.add(what+": CPU of pac's driver", driver, "% of a core", "over %v", howLong)
	f.add(what+": CPU of both", pac+driver, "% of a core", "over %v", howLong)
}

// heldWhat is what the figures of many idle lines begin with.
var heldWhat = fmt.Sprintf("%d idle lines", heldLines)

// The two ways.
const (
	fromLines = "from the lines"
	toLines   = "to the lines"
)

// fullLate is the figure of how much later than by the line alone frames come.
func fullLate(size int, way, quantile string) string {
	return fullWhat(size) + ": " + way + ", later than the line alone: " + quantile
}

// fullWhat is what the figures of many full lines begin with.
func fullWhat(size int) string {
	return fmt.Sprintf("%d full lines, frames of %d octets", fullLines, size)
}

// carry has all lines carry frames of a size both ways.
func (f *full) carry(size int, howLong time.Duration) {
	f.far.Send(size)
	f.eventually("not all calls carry frames both ways", callsWithin, func() bool {
		_, both := f.far.Calls()
		return both == f.lines
	})
	time.Sleep(settleTime)
	f.far.Reset()
	l := f.watch(f.cpu())
	began := time.Now()
	time.Sleep(howLong)
	what := fullWhat(size)
	f.shares(what, l, howLong)
	t := f.far.Reset()
	seconds := time.Since(began).Seconds()
	for _, way := range []struct {
		name   string
		octets uint64
		late   *measure.Histogram
	}{{fromLines, t.UpOctets, &t.Up}, {toLines, t.DownOctets, &t.Down}} {
		late := way.late.Latency()
		f.add(what+": "+way.name, float64(way.octets)/seconds/float64(f.lines), "octet/s per line", "without framing; %.0f frames/s in all", float64(late.Count)/seconds)
		f.add(fullLate(size, way.name, "median"), late.Median, "ms", "")
		f.add(fullLate(size, way.name, "p99"), late.P99, "ms", "p90 %s, most %s", digits(late.P90), digits(late.Max))
	}
	if t.Lost > 0 {
		f.Errorf("%s: %d frames were lost", what, t.Lost)
	}
}

// pacConfig is the configuration of a pac with lines on some devices.
func (b *bank) pacConfig(devices []string) string {
	var text strings.Builder
	fmt.Fprintf(&text, `
[admin]
socket = %q
[records]
file = %q
[timers]
reconnect = "200ms"
[[pns]]
name = "pns"
address = "%s:1723"
local = "127.0.0.1"
[[driver]]
name = "exchange"
kind = "modem"
[driver.options]
connect_speed = "line"
`, b.socket(), filepath.Join(b.dir, "pac-calls.jsonl"), farAddress)
	for i, device := range devices {
		fmt.Fprintf(&text, "[[driver.options.line]]\nname = \"line%d\"\ndevice = %q\nnumber = \"%d\"\n", i+1, device, 1001+i)
	}
	return text.String()
}
