package load

import (
	"context"
	"testing"
	"time"

	"trunkline.example/shared/measure"
)

// churned runs until so many calls have come and gone.
func churned(t *testing.T, cfg Config, gone int) (r measure.Report, most int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg.Duration = time.Hour
	r, err := Run(ctx, cfg, func(p measure.Progress) {
		most = max(most, p.Come-p.Gone)
		if p.Gone >= gone {
			cancel()
		}
	})
	if err != nil || !r.OK() {
		t.Fatalf("%+v %v", r, err)
	}
	return r, most
}

// Calls come and go beside those that are held, carry traffic without a loss, and leave nothing.
func TestChurn(t *testing.T) {
	for name, pac := range map[string]bool{"clients": false, "as a PAC": true} {
		t.Run(name, func(t *testing.T) {
			cfg := against(startNull(t, "127.81.0.10", secure), 4)
			cfg.AsPAC = pac
			cfg.Churn = Churn{Rate: 60, Life: 100 * time.Millisecond, Cut: 0.5, Seed: 1}
			cfg.Traffic = Traffic{Shape: Echo, Size: 200, Interval: 5 * time.Millisecond, Window: 100, Timeout: time.Minute}
			r, _ := churned(t, cfg, 30)
			if r.Started != 4 || r.Up != 4 || r.SetUp.Latency.Count != 4 {
				t.Fatalf("%+v", r)
			}
			c := r.Traffic.ComeAndGo
			if c == nil || c.Seed != 1 || c.Started < 30 || c.Up < 30 || c.Up > c.Started || c.Latency.Count != uint64(c.Up) || c.Cut == 0 || c.Cut == c.Up || c.PerSecond <= 0 {
				t.Fatalf("%+v", c)
			}
			if w := r.Traffic; w.Up.Sent < 30 || w.Down.Received != w.Up.Sent || w.Down.Lost != 0 {
				t.Fatalf("%+v", w)
			}
		})
	}
}

// A shard's part for itself: slots are used again, and never more than there are.
func TestChurnSlots(t *testing.T) {
	cfg := against(startNull(t, "127.81.0.11", secure), 1)
	cfg.Shards = 1
	cfg.Churn = Churn{Rate: 300, Life: 10 * time.Millisecond}
	slots := cfg.Churn.slots()
	r, most := churned(t, cfg, slots+1)
	if c := r.Traffic.ComeAndGo; c.Up <= slots || c.Seed == 0 || most > slots {
		t.Errorf("%d calls, at most %d at one time, in %d slots; seed %d", c.Up, most, slots, c.Seed)
	}
}

// The seed decides when calls come.
func TestChurnSeed(t *testing.T) {
	gaps := func(seed uint64, of int) (all [3]time.Duration) {
		e := &engine{cfg: Config{Sessions: 1, Churn: Churn{Rate: 10, Life: time.Second, Seed: seed}}, shards: []*shard{{}, {}}}
		e.share()
		for i := range all {
			all[i] = e.shards[of].come.next()
		}
		return all
	}
	if a := gaps(7, 0); a != gaps(7, 0) || a == gaps(8, 0) || a == gaps(7, 1) || a[0] <= 0 || a[0] == a[1] {
		t.Error(a, gaps(7, 0), gaps(8, 0), gaps(7, 1))
	}
	for churn, want := range map[Churn]int{{}: 0, {Rate: 10, Life: time.Second}: 36, {Rate: 0.1, Life: time.Second}: 17, {Rate: measure.MostRate, Life: time.Hour}: MaxSessions + 16} {
		if got := churn.slots(); got != want {
			t.Errorf("%+v: %d slots, want %d", churn, got, want)
		}
	}
}
