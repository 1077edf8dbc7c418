package pns

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestDeadlines(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	var d deadlines
	base := time.Unix(1000, 0)
	items := make([]timed, 200)
	model := map[*timed]time.Time{}
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
			d.set(item, at)
			model[item] = at
		case 2:
			d.set(item, time.Time{})
			delete(model, item)
		case 3:
			now := base.Add(time.Duration(rng.IntN(300)))
			got, want := d.pop(now), earliest()
			if want.IsZero() || want.After(now) {
				if got != nil {
					t.Fatal("something popped before its time")
				}
			} else if got == nil || !model[got].Equal(want) {
				t.Fatalf("popped %v, want one due at %v", got, want)
			}
			delete(model, got)
		}
		if !d.next().Equal(earliest()) || len(d.heap) != len(model) {
			t.Fatalf("next is %v of %d, want %v of %d", d.next(), len(d.heap), earliest(), len(model))
		}
	}
}
