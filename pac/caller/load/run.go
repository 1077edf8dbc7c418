package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"trunkline.example/shared/measure"
)

// engine is one run.
type engine struct {
	cfg   Config
	began time.Time // when all lines were ready
	slots chan struct{}
	next  atomic.Int64 // number of the next call

	ready   sync.WaitGroup // lines that are not ready yet
	opened  chan struct{}  // closed when every line is ready, or is none
	setUp   sync.WaitGroup // calls that are not up yet and have not failed, when all are held together
	traffic chan struct{}  // closed when the traffic of all may begin
	over    chan struct{}  // closed when it is over

	mu     sync.Mutex // guards what follows
	counts counts
	fails  measure.Failures
	drops  measure.Failures
	first  time.Time // when the first call was up, and when the last one ended
	last   time.Time

	tally tally
}

// counts are what calls have measured.
type counts struct {
	connect, network, whole, trips measure.Histogram
	ups                            []time.Duration // since the run began
	up, down                       measure.Count
}

// tally is what others look at while the run goes on.
type tally struct {
	started, up, ended, failed, dropped        atomic.Int64
	sent, received, sentOctets, receivedOctets atomic.Uint64
}

// Run makes a load. It returns when all calls have ended, orderly as well when ctx does. watch, unless nil, is told every second how far it is. Calls
// that fail are in the report; the error is ErrConfig, wrapped.
func Run(ctx context.Context, cfg Config, watch func(measure.Progress)) (measure.Report, error) {
	cfg, err := cfg.filled()
	if err != nil {
		return measure.Report{}, err
	}
	e := &engine{
		cfg: cfg, began: time.Now(), slots: make(chan struct{}, cfg.AtOnce), opened: make(chan struct{}), traffic: make(chan struct{}), over: make(chan struct{}),
		fails: measure.Failures{}, drops: measure.Failures{},
	}
	e.ready.Add(len(cfg.Lines))
	if cfg.together() {
		e.setUp.Add(len(cfg.Lines))
	}
	var lines sync.WaitGroup
	for i := range cfg.Lines {
		lines.Go(func() { newCaller(e, i).run(ctx) })
	}
	r := measure.Report{Server: cfg.Number, Seed: cfg.Seed, Sessions: len(cfg.Lines) * cfg.Calls}
	e.during("opening the lines", watch, waited(&e.ready))
	e.began = time.Now()
	cpu := measure.CPUTime()
	close(e.opened)
	if cfg.together() {
		e.during("setting up", watch, waited(&e.setUp))
		r.SetUp.CPUSeconds = (measure.CPUTime() - cpu).Seconds()
		e.carry(ctx, &r, watch)
	} else {
		e.during("calling", watch, waited(&lines))
		r.SetUp.CPUSeconds = (measure.CPUTime() - cpu).Seconds()
		if !e.first.IsZero() {
			r.Traffic = &measure.Carried{Seconds: e.last.Sub(e.first).Seconds(), CPUSeconds: r.SetUp.CPUSeconds}
		}
	}
	close(e.over)
	e.during("ending", watch, waited(&lines))
	r.Interrupted = ctx.Err() != nil
	e.collect(&r)
	return r, nil
}

// carry has all calls carry their traffic for the time asked for.
func (e *engine) carry(ctx context.Context, r *measure.Report, watch func(measure.Progress)) {
	if e.cfg.Duration == 0 || ctx.Err() != nil {
		return
	}
	before, began := measure.CPUTime(), time.Now()
	close(e.traffic)
	timed, cancel := context.WithTimeout(ctx, e.cfg.Duration)
	defer cancel()
	e.during("carrying", watch, timed.Done())
	r.Traffic = &measure.Carried{Seconds: time.Since(began).Seconds(), CPUSeconds: (measure.CPUTime() - before).Seconds()}
}

// waited returns a channel that is closed when a group is done.
func waited(g *sync.WaitGroup) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		g.Wait()
		close(done)
	}()
	return done
}

// during tells every second how far the run is, until done is closed.
func (e *engine) during(phase string, watch func(measure.Progress), done <-chan struct{}) {
	tick := time.NewTicker(measure.ProgressEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if watch != nil {
				watch(e.progress(phase))
			}
		}
	}
}

func (e *engine) progress(phase string) measure.Progress {
	t := &e.tally
	return measure.Progress{
		Phase: phase, Elapsed: time.Since(e.began), Sessions: len(e.cfg.Lines) * e.cfg.Calls,
		Started: int(t.started.Load()), Up: int(t.up.Load()), Ended: int(t.ended.Load()), Failed: int(t.failed.Load()), Dropped: int(t.dropped.Load()),
		Sent: t.sent.Load(), Received: t.received.Load(), SentOctets: t.sentOctets.Load(), ReceivedOctets: t.receivedOctets.Load(),
	}
}

// collect sums up what the lines, which have ended, have found.
func (e *engine) collect(r *measure.Report) {
	p := e.progress("")
	r.Started, r.Up, r.Failed, r.Dropped = p.Started, p.Up, p.Failed, p.Dropped
	r.Failures, r.Drops = e.fails.Sorted(), e.drops.Sorted()
	c := &e.counts
	r.SetUp.Latency = c.whole.Latency()
	r.SetUp.Rates(c.ups, e.cfg.AtOnce)
	optional := func(h *measure.Histogram) *measure.Latency {
		if h.Count() == 0 {
			return nil
		}
		l := h.Latency()
		return &l
	}
	r.SetUp.Connect, r.SetUp.Network = optional(&c.connect), optional(&c.network)
	if r.Traffic == nil || r.Traffic.Seconds <= 0 {
		r.Traffic = nil
		return
	}
	r.Traffic.Shape = "idle"
	if e.cfg.Traffic != nil {
		r.Traffic.Shape = "echo"
	}
	r.Traffic.Up, r.Traffic.Down, r.Traffic.RoundTrip = c.up.Way(r.Traffic.Seconds), c.down.Way(r.Traffic.Seconds), optional(&c.trips)
}
