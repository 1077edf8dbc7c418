package load

import (
	"slices"
	"time"

	"trunkline.example/shared/measure"
)

// progressor tells how far a run is.
type progressor struct {
	e     *engine
	watch func(measure.Progress)
}

// during tells it every second until done is closed, or a shard has failed.
func (p *progressor) during(phase string, done <-chan struct{}, failed chan error) error {
	tick := time.NewTicker(measure.ProgressEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return nil
		case err := <-failed:
			return err
		case <-tick.C:
			if p.watch != nil {
				p.watch(p.e.progress(phase))
			}
		}
	}
}

func (e *engine) progress(phase string) measure.Progress {
	p := measure.Progress{Phase: phase, Elapsed: time.Since(e.began), Sessions: e.cfg.Sessions}
	for _, s := range e.shards {
		t := &s.tally
		p.Started += int(t.started.Load())
		p.Up += int(t.up.Load())
		p.Come += int(t.come.Load())
		p.Gone += int(t.gone.Load())
		p.Ended += int(t.ended.Load())
		p.Failed += int(t.failed.Load())
		p.Dropped += int(t.dropped.Load())
		p.Sent += t.sent.Load()
		p.Received += t.received.Load()
		p.SentOctets += t.sentOctets.Load()
		p.ReceivedOctets += t.receivedOctets.Load()
	}
	return p
}

// collect sums the shards up, which have ended.
func (e *engine) collect(r *measure.Report) {
	p := e.progress("")
	r.Started, r.Up, r.Failed, r.Dropped = p.Started, p.Up, p.Failed, p.Dropped
	fails, drops := measure.Failures{}, measure.Failures{}
	var latency, come measure.Histogram
	counts := measure.Come{Seed: e.cfg.Churn.Seed}
	var ups []time.Duration
	var unsent uint64
	for _, s := range e.shards {
		for _, f := range s.fails.Sorted() {
			fails.Note(f.Reason, f.Example, f.Count)
		}
		for _, f := range s.drops.Sorted() {
			drops.Note(f.Reason, f.Example, f.Count)
		}
		latency.Merge(&s.latency)
		come.Merge(&s.come.trips)
		counts.Add(s.come.counts)
		ups = append(ups, s.ups...)
		c := s.gre.Counters()
		unsent += c.SendFull + c.SendRefused + c.SendTooBig + c.SendFailed
	}
	r.Failures, r.Drops = fails.Sorted(), drops.Sorted()
	r.SetUp.Latency = latency.Latency()
	r.SetUp.Rates(ups, e.cfg.AtOnce)
	stages := []*measure.Carried{r.Flood, r.Traffic}
	for n, c := range slices.DeleteFunc(stages, func(c *measure.Carried) bool { return c == nil }) {
		e.total(n, c)
	}
	if r.Traffic != nil {
		r.Traffic.Unsent = unsent
		if e.cfg.Churn.Rate > 0 {
			counts.PerSecond, counts.Latency = float64(counts.Up)/r.Traffic.Seconds, come.Latency()
			r.Traffic.ComeAndGo = &counts
		}
	}
}

// total sums up what the flows of all shards have counted in stage n.
func (e *engine) total(n int, c *measure.Carried) {
	var all stage
	for _, s := range e.shards {
		if n < len(s.stages) {
			all.up.Merge(s.stages[n].up)
			all.down.Merge(s.stages[n].down)
			all.trips.Merge(&s.stages[n].trips)
		}
	}
	c.Up, c.Down = all.up.Way(c.Seconds), all.down.Way(c.Seconds)
	if all.trips.Count() > 0 {
		l := all.trips.Latency()
		c.RoundTrip = &l
	}
}
