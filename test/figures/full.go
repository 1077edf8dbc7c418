package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"trunkline.example/shared/measure"
	"trunkline.example/test/daemon"
	"trunkline.example/test/farend"
	"trunkline.example/test/netns"
)

const (
	fullLines   = 256
	heldLines   = 1000
	fullFrame   = 1304 // octets: a ping of 1,300 would be little more
	smallFrame  = 92
	bareTime    = 4 * time.Second // that a bare relay is measured for, before pac and afterwards
	bareLate    = 20              // ms at the p99 of a bare relay beyond which a machine is too busy for the goal
	relayName   = "figures-relay" // the program that is a bare relay
	nearAddress = "127.0.0.1"     // of pac, or of the relay
	farAddress  = "127.0.0.2"     // of the network server that the far end plays
	callsWithin = 60 * time.Second
)

// fullSizes are those of the frames.
var fullSizes = []int{fullFrame, smallFrame}

// full is a pac, or a bare relay, whose lines and network server are played by test/farend.
type full struct {
	*bank
	far  *farend.Bank
	stop func() // ends the far end
	bare *daemon.Daemon
}

// newFar starts the far end of so many lines.
func newFar(r *run, lines int) *full {
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
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.Errorf("the far end: %v", err)
		}
	})
	r.Cleanup(f.stop)
	return f
}

// newFull starts a pac with so many lines.
func newFull(r *run, lines int) *full {
	f := newFar(r, lines)
	f.pac = r.daemon(f.space, "pac", "run", "--config", r.writeFile(f.dir, "pac.toml", f.pacConfig(f.far.Paths())))
	f.awaitIdle()
	return f
}

// newBare starts a bare relay with so many lines, all in a call.
func newBare(r *run, lines int) *full {
	f := newFar(r, lines)
	f.bare = r.start(f.space, "", relayName, append([]string{nearAddress, farAddress}, f.far.Paths()...)...)
	f.far.Bare(netip.MustParseAddr(nearAddress))
	return f
}

// relay is the process of a bare relay; it returns its exit status.
func relay(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	r, err := farend.NewRelay(args[2:], netip.MustParseAddr(args[0]), netip.MustParseAddr(args[1]))
	if err == nil {
		err = r.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "relay:", err)
		return 1
	}
	return 0
}

// cpu are the processes of pac.
func (f *full) cpu() map[string]int {
	return map[string]int{"pac": f.pac.PID(), "pac's driver": f.driver()}
}

// measureFull tells what many full lines, and many idle ones, cost pac and its driver, and how much later frames come than by the line alone. A
// bare relay before and afterwards tells how much of that is none of pac's.
func measureFull(r *run, o options) {
	before := measureBare(r, o)
	f := newFull(r, fullLines)
	if err := f.far.Ring(); err != nil {
		r.Fatal(err)
	}
	r.eventually("the calls do not come up", callsWithin, func() bool {
		connected, _ := f.far.Calls()
		return connected == f.lines
	})
	full := map[int]*carried{}
	for _, size := range fullSizes {
		full[size] = f.carry(size, f.cpu(), o.time(fullTime), func(l *usage, c *carried) {
			busy := c.busy(f.lines)
			if busy != "" && before[size].busy(f.lines) == "" {
				busy = " (lines that a bare relay keeps full were not)"
			}
			f.shares(fullWhat(size)+busy, l, c.lasted.Round(time.Second/10))
		})
		f.show(fullWhat(size), full[size])
	}
	f.far.Send(0)
	f.idle(fmt.Sprintf("%d idle calls", f.lines), o.time(fewTime))
	f.pac.Stop()
	f.stop()
	after := measureBare(r, o)
	for _, size := range fullSizes {
		for _, way := range lineWays {
			with, first, second := way.p99(full[size]), way.p99(before[size]), way.p99(after[size])
			busy := before[size].busy(f.lines)
			if busy == "" && min(first, second) > bareLate {
				busy = wasBusy
			}
			f.add(fullAdded(size, way.name)+busy, with-min(first, second), "ms", "p99 with pac %s, with the bare relay %s before and %s afterwards, of which the lesser counts",
				digits(with), digits(first), digits(second))
		}
		both := before[size]
		both.Merge(&after[size].Traffic)
		both.lasted += after[size].lasted
		f.show(fullWhat(size)+", by a bare relay", both)
	}

	held := newFull(r, heldLines)
	held.idle(heldWhat, o.time(idleTime))
	held.pac.Stop()
}

// measureBare has a bare relay carry the same.
func measureBare(r *run, o options) map[int]*carried {
	f, all := newBare(r, fullLines), map[int]*carried{}
	for _, size := range fullSizes {
		all[size] = f.carry(size, nil, o.time(bareTime), func(*usage, *carried) {})
	}
	f.bare.Stop()
	f.stop()
	return all
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

// lineWay is one of the two ways of frames.
type lineWay struct {
	name string
	late func(*farend.Traffic) *measure.Histogram
	sum  func(*farend.Traffic) uint64 // octets
	lost func(*farend.Traffic) uint64
}

// lostFrame is how many ms a frame that is lost counts as late.
const lostFrame = 1000

// p99 is by how many ms more than the line alone 1 % of the frames are late at least.
func (w lineWay) p99(c *carried) float64 {
	late := w.late(&c.Traffic).Latency()
	if lost := w.lost(&c.Traffic); lost*100 >= late.Count+lost {
		return max(late.P99, lostFrame)
	}
	return late.P99
}

// lineWays are both.
var lineWays = []lineWay{
	{fromLines, func(t *farend.Traffic) *measure.Histogram { return &t.Up }, func(t *farend.Traffic) uint64 { return t.UpOctets },
		func(t *farend.Traffic) uint64 { return t.UpLost }},
	{toLines, func(t *farend.Traffic) *measure.Histogram { return &t.Down }, func(t *farend.Traffic) uint64 { return t.DownOctets },
		func(t *farend.Traffic) uint64 { return t.DownLost }},
}

// The names of the two ways.
const (
	fromLines = "from the lines"
	toLines   = "to the lines"
)

// fullAdded is the figure of how much of the delay of frames is none of the line's, the terminals' and the machine's.
func fullAdded(size int, way string) string {
	return fullWhat(size) + ": " + way + ", p99 later than by a bare relay"
}

// fullWhat is what the figures of many full lines begin with.
func fullWhat(size int) string {
	return fmt.Sprintf("%d full lines, frames of %d octets", fullLines, size)
}

// carried is what all lines have carried.
type carried struct {
	farend.Traffic
	lasted time.Duration
}

// wasBusy is behind the names of figures that nothing can be told from about a goal.
const wasBusy = " (the machine was busy)"

// busy is wasBusy if so many lines were not full both ways.
func (c *carried) busy(lines int) string {
	for _, way := range lineWays {
		if float64(way.sum(&c.Traffic))/c.lasted.Seconds()/float64(lines) < fullEnough*lineModel(fastLine) {
			return wasBusy
		}
	}
	return ""
}

// carry has all lines carry frames of a size both ways, and tells used what the processes have used meanwhile.
func (f *full) carry(size int, pids map[string]int, howLong time.Duration, used func(*usage, *carried)) *carried {
	f.far.Send(size)
	f.eventually("not all calls carry frames both ways", callsWithin, func() bool {
		if f.bare != nil {
			select {
			case <-f.bare.Done():
				f.Fatalf("the bare relay has ended: %v\n%s", f.bare.Err(), f.bare.Log())
			default:
			}
		}
		_, both := f.far.Calls()
		return both == f.lines
	})
	time.Sleep(settleTime)
	f.far.Reset()
	l := f.watch(pids)
	began := time.Now()
	time.Sleep(howLong)
	c := &carried{f.far.Reset(), time.Since(began)}
	used(l, c)
	return c
}

// show adds how much was carried, and how much later than by the line alone it came.
func (f *full) show(what string, c *carried) {
	t, seconds := &c.Traffic, c.lasted.Seconds()
	for _, way := range lineWays {
		late := way.late(t).Latency()
		f.add(what+": "+way.name, float64(way.sum(t))/seconds/float64(f.lines), "octet/s per line", "without framing; %.0f frames/s in all", float64(late.Count)/seconds)
		f.add(what+": "+way.name+", later than the line alone: median", late.Median, "ms", "")
		f.add(what+": "+way.name+", later than the line alone: p99", way.p99(c), "ms", "p90 %s, most %s; %d frames lost", digits(late.P90), digits(late.Max), way.lost(t))
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
