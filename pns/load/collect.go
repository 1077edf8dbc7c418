package load

import (
	"slices"
	"time"
)

// progressor tells how far a run is.
type progressor struct {
	e     *engine
	watch func(Progress)
}

// during tells it every second until done is closed, or a shard has failed.
func (p *progressor) during(phase string, done <-chan struct{}, failed chan error) error {
	tick := time.NewTicker(progressEvery)
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

func (e *engine) progress(phase string) Progress {
	p := Progress{Phase: phase, Elapsed: time.Since(e.began), Sessions: e.cfg.Sessions}
	for _, s := range e.shards {
		t := &s.tally
		p.Started += int(t.started.Load())
		p.Up += int(t.up.Load())
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
func (e *engine) collect(r *Report) {
	p := e.progress("")
	r.Started, r.Up, r.Failed, r.Dropped = p.Started, p.Up, p.Failed, p.Dropped
	fails, drops := failures{}, failures{}
	var latency, trips histogram
	var total sums
	var ups []time.Duration
	var unsent uint64
	for _, s := range e.shards {
		for _, f := range s.fails.sorted() {
			fails.note(f.Reason, f.Example, f.Count)
		}
		for _, f := range s.drops.sorted() {
			drops.note(f.Reason, f.Example, f.Count)
		}
		latency.merge(&s.latency)
		trips.merge(&s.trips)
		total.up.merge(s.sums.up)
		total.down.merge(s.sums.down)
		ups = append(ups, s.ups...)
		c := s.gre.Counters()
		unsent += c.SendFull + c.SendRefused + c.SendTooBig + c.SendFailed
	}
	r.Failures, r.Drops = fails.sorted(), drops.sorted()
	r.SetUp.Latency = latency.latency()
	r.SetUp.rates(ups, e.cfg.AtOnce)
	if r.Traffic != nil {
		r.Traffic.Unsent = unsent
		r.Traffic.Up, r.Traffic.Down = total.up.way(r.Traffic.Seconds), total.down.way(r.Traffic.Seconds)
		if trips.n > 0 {
			l := trips.latency()
			r.Traffic.RoundTrip = &l
		}
	}
}

// tenths is of how many calls, for each that is set up at one time, the first and the last tenth are told: of fewer they say nothing.
const tenths = 20

// rates tells calls per second: of all, and of the first and last tenth of many.
func (u *SetUp) rates(ups []time.Duration, atOnce int) {
	if len(ups) == 0 {
		return
	}
	slices.Sort(ups)
	last := len(ups) - 1
	u.Seconds = ups[last].Seconds()
	u.PerSecond = float64(len(ups)) / u.Seconds
	if tenth := len(ups) / 10; len(ups) >= tenths*atOnce && tenth > 0 && ups[last] > ups[last-tenth] {
		u.FirstPerSecond = float64(tenth) / ups[tenth-1].Seconds()
		u.LastPerSecond = float64(tenth) / (ups[last] - ups[last-tenth]).Seconds()
	}
}

func (w *wayCount) way(seconds float64) Way {
	out := Way{Sent: w.sent, Received: w.received, Lost: w.lost, Damaged: w.damaged,
		PacketsPerSecond: float64(w.received) / seconds, Mbps: float64(w.octets) * 8 / 1e6 / seconds}
	if all := w.received + w.lost; all > 0 {
		out.LostShare = float64(w.lost) / float64(all)
	}
	if w.jitters > 0 {
		out.Jitter = float64(w.jitter) / 1e6 / float64(w.jitters)
	}
	return out
}
