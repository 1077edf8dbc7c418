package loop

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestDeadlines(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	var d Deadlines
	base := time.Unix(1000, 0)
	items := make([]Timed, 200)
	model := map[*Timed]time.Time{}
	earliest := func() (at time.Time) {
		for _, m := range model {
			if at.IsZero() || m.Before(at) {
				at = m
			}
		}
		return at
	}
	for range 20_000 {
		item := &items[rng.IntN(len(items))]
		switch rng.IntN(4) {
		case 0, 1:
			at := base.Add(time.Duration(rng.IntN(1000)))
			d.Set(item, at)
			model[item] = at
		case 2:
			d.Set(item, time.Time{})
			delete(model, item)
		case 3:
			now := base.Add(time.Duration(rng.IntN(300)))
			got, want := d.Pop(now), earliest()
			if want.IsZero() || want.After(now) {
				if got != nil {
					t.Fatal("something popped before its time")
				}
			} else if got == nil || !model[got].Equal(want) {
				t.Fatalf("popped %v, want one due at %v", got, want)
			}
			delete(model, got)
		}
		if !d.Next().Equal(earliest()) || len(d.heap) != len(model) {
			t.Fatalf("next is %v of %d, want %v of %d", d.Next(), len(d.heap), earliest(), len(model))
		}
	}
}
