package load

import (
	"context"
	"crypto/rand"
	"errors"
	"math/bits"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/measure"
)

// engine is one run.
type engine struct {
	cfg       Config
	id        uint32 // random
	lowBits   uint8  // of Call IDs, which name the shard
	shards    []*shard
	began     time.Time
	shardDone chan int // a shard has no call to set up any more

	mu     sync.Mutex
	random *mathrand.ChaCha8
}

const drainLook = 20 * time.Millisecond

// Run makes a load. It returns when all calls have ended: after Config.Duration of traffic, or, orderly as well, when ctx
// does. watch, unless nil, is told every second how far it is. Calls that fail are in the report; the error is for what keeps
// the run from being made at all: ErrConfig, wrapped, or the system's.
func Run(ctx context.Context, cfg Config, watch func(measure.Progress)) (measure.Report, error) {
	cfg, err := cfg.filled()
	if err != nil {
		return measure.Report{}, err
	}
	raiseDescriptors()
	e := &engine{cfg: cfg, lowBits: uint8(bits.Len(uint(cfg.Shards - 1))), shardDone: make(chan int, cfg.Shards), began: time.Now()}
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // it has no way to fail
	e.random = mathrand.NewChaCha8(seed)
	e.id = uint32(e.random.Uint64())
	if e.cfg.Churn.Seed == 0 {
		e.cfg.Churn.Seed = e.random.Uint64()
	}
	defer func() {
		for _, s := range e.shards {
			s.close()
		}
	}()
	for i := range cfg.Shards {
		s, err := newShard(e, i)
		e.shards = append(e.shards, s)
		if err != nil {
			return measure.Report{}, err
		}
	}
	e.share()
	return e.run(ctx, watch)
}

// seed returns fresh octets. It is safe for concurrent use.
func (e *engine) seed() (seed [32]byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, _ = e.random.Read(seed[:]) // it has no way to fail
	return seed
}

// share divides sessions, calls at once and rate among the shards.
func (e *engine) share() {
	part := func(all, i int) int { return all * i / len(e.shards) }
	for i, s := range e.shards {
		s.first, s.last = part(e.cfg.Sessions, i), part(e.cfg.Sessions, i+1)
		s.next = s.first
		s.atOnce = part(e.cfg.AtOnce, i+1) - part(e.cfg.AtOnce, i)
		s.rate = e.cfg.Rate * float64(s.last-s.first) / float64(e.cfg.Sessions)
		if slots := e.cfg.Churn.slots(); slots > 0 {
			first := part(slots, i)
			s.come = churner{random: mathrand.New(mathrand.NewPCG(e.cfg.Churn.Seed, uint64(i))), rate: e.cfg.Churn.Rate / float64(len(e.shards)),
				first: e.cfg.Sessions + first, slots: part(slots, i+1) - first}
		}
		if e.cfg.AsPAC {
			first, last := part(e.cfg.Connections, i), part(e.cfg.Connections, i+1)
			s.asks = append(s.asks, func() { s.openTrunks(first, last-first) })
		}
	}
}

// run goes through the phases while the shards work.
func (e *engine) run(ctx context.Context, watch func(measure.Progress)) (measure.Report, error) {
	var wg sync.WaitGroup
	failed := make(chan error, len(e.shards))
	for _, s := range e.shards {
		wg.Go(func() {
			if err := s.run(); err != nil {
				failed <- err
			}
		})
	}
	p := progressor{e: e, watch: watch}
	r := measure.Report{Server: e.cfg.Server.String(), Sessions: e.cfg.Sessions}
	cpu := measure.CPUTime()
	err := e.setUp(ctx, &p, failed)
	r.SetUp.CPUSeconds = (measure.CPUTime() - cpu).Seconds()
	if err == nil {
		err = e.carryAll(ctx, &p, &r, failed)
	}
	r.Interrupted = ctx.Err() != nil
	e.each((*shard).end)
	ended := make(chan struct{})
	go func() {
		wg.Wait()
		close(ended)
	}()
	p.during("ending", ended, nil)
	select {
	case other := <-failed:
		err = errors.Join(err, other)
	default:
	}
	e.collect(&r)
	return r, err
}

// each has every shard run f.
func (e *engine) each(f func(*shard)) {
	for _, s := range e.shards {
		s.ask(func() { f(s) })
	}
}

// setUp waits until every call is up or has failed.
func (e *engine) setUp(ctx context.Context, p *progressor, failed chan error) error {
	all := make(chan struct{})
	go func() {
		defer close(all)
		for range e.shards {
			select {
			case <-e.shardDone:
			case <-ctx.Done():
				return
			}
		}
	}()
	return p.during("setting up", all, failed)
}

// carryAll has the sessions carry the flood, and a moment after its end the traffic.
func (e *engine) carryAll(ctx context.Context, p *progressor, r *measure.Report, failed chan error) (err error) {
	if f := &e.cfg.Flood; f.Duration > 0 && ctx.Err() == nil {
		if r.Flood, err = e.carry(ctx, p, "flooding", &f.Traffic, f.Duration, failed); err != nil {
			return err
		}
		rest, cancel := context.WithTimeout(ctx, f.Rest)
		defer cancel()
		e.drain(f.Traffic.patience())
		if err := p.during("resting", rest.Done(), failed); err != nil {
			return err
		}
	}
	if e.cfg.Duration > 0 && ctx.Err() == nil {
		r.Traffic, err = e.carry(ctx, p, "carrying", &e.cfg.Traffic, e.cfg.Duration, failed)
		e.drain(e.cfg.Traffic.patience())
	}
	return err
}

// carry has the sessions carry traffic for a time.
func (e *engine) carry(ctx context.Context, p *progressor, phase string, t *Traffic, duration time.Duration, failed chan error) (*measure.Carried, error) {
	before, began := measure.CPUTime(), time.Now()
	for _, s := range e.shards {
		s.tally.drained.Store(false)
	}
	e.each(func(s *shard) { s.carry(t) })
	timed, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	if err := p.during(phase, timed.Done(), failed); err != nil {
		return nil, err
	}
	return &measure.Carried{Shape: t.Shape.String(), Seconds: time.Since(began).Seconds(), CPUSeconds: (measure.CPUTime() - before).Seconds()}, nil
}

// drain ends the traffic and waits until what is under way has come, but not longer than the timeout.
func (e *engine) drain(timeout time.Duration) {
	e.each((*shard).drain)
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for end := time.Now().Add(timeout); time.Now().Before(end) && e.under() > 0; {
		<-tick.C
	}
}

// under is how many packets are under way, or about to be: a shard that has not heard yet that the traffic is over counts for one.
func (e *engine) under() (n int64) {
	for _, s := range e.shards {
		if !s.tally.drained.Load() {
			n++
		}
		n += s.tally.under.Load()
	}
	return n
}

// raiseDescriptors lets this process open as many files as the system admits.
func raiseDescriptors() {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil && l.Cur < l.Max {
		l.Cur = l.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &l) // with less, the calls that find none say so
	}
}
