package dataplane

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

func TestTableAgainstMap(t *testing.T) {
	type value struct{ key uint64 }
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	var tab table[value]
	model := map[uint64]*value{}
	for range 200_000 {
		key := rng.Uint64N(500) << rng.Uint64N(40) &^ occupied
		switch rng.IntN(3) {
		case 0:
			v := &value{key}
			_, exists := model[key]
			if tab.insert(key, v) == exists {
				t.Fatalf("insert of key %d: existing is %v", key, exists)
			}
			if !exists {
				model[key] = v
			}
		case 1:
			v := model[key]
			if tab.remove(key, v) != (v != nil) {
				t.Fatalf("remove of key %d, value %v", key, v)
			}
			delete(model, key)
			if tab.remove(key, &value{key}) {
				t.Fatal("removed a value that is not in the table")
			}
		case 2:
			if got := tab.get(key); got != model[key] {
				t.Fatalf("get(%d) = %v, want %v", key, got, model[key])
			}
		}
	}
	if tab.len() != len(model) {
		t.Fatalf("len %d, want %d", tab.len(), len(model))
	}
	seen := 0
	tab.each(func(v *value) {
		seen++
		if model[v.key] != v {
			t.Fatalf("each shows key %d that is not there", v.key)
		}
	})
	if seen != len(model) {
		t.Fatalf("each shows %d, want %d", seen, len(model))
	}
}

func TestTableZero(t *testing.T) {
	var tab table[int]
	if tab.get(0) != nil || tab.remove(0, new(int)) || tab.len() != 0 {
		t.Fatal("an empty table holds something")
	}
	tab.each(func(*int) { t.Fatal("value in an empty table") })
	v := new(int)
	if !tab.insert(0, v) || tab.get(0) != v {
		t.Fatal("key 0 is a key like any other")
	}
}

// Readers must never see the value of another key while writers come and go.
func TestTableConcurrent(t *testing.T) {
	type value struct{ key uint64 }
	var tab table[value]
	var stop atomic.Bool
	var readers sync.WaitGroup
	for r := range 3 {
		readers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(r), 2))
			for !stop.Load() {
				key := rng.Uint64N(64)
				if v := tab.get(key); v != nil && v.key != key {
					t.Errorf("key %d gave the value of %d", key, v.key)
					return
				}
			}
		})
	}
	rng := rand.New(rand.NewPCG(9, 9))
	for range 50_000 {
		key := rng.Uint64N(64)
		if v := tab.get(key); v != nil {
			tab.remove(key, v)
		} else {
			tab.insert(key, &value{key})
		}
	}
	stop.Store(true)
	readers.Wait()
}

func BenchmarkTableGet(b *testing.B) {
	var tab table[int]
	for i := range 10_000 {
		tab.insert(uint64(i)<<16|uint64(i*7&0xffff), new(int))
	}
	b.ReportAllocs()
	i := uint64(0)
	for b.Loop() {
		k := i % 10_000
		if tab.get(k<<16|k*7&0xffff) == nil {
			b.Fatal("missing")
		}
		i++
	}
}
