package pns

import (
	"math/rand/v2"
	"testing"
)

func TestCallSet(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	var s callSet
	model := map[uint16]*call{}
	for range 5000 {
		own := uint16(rng.IntN(4))
		if k := model[own]; k != nil {
			s.remove(k)
			delete(model, own)
		} else {
			k = &call{own: own}
			s.add(k)
			model[own] = k
		}
		seen := 0
		for k := range s.all() {
			if model[k.own] != k {
				t.Fatalf("call %d is not in the set", k.own)
			}
			seen++
		}
		if s.len() != len(model) || seen != len(model) {
			t.Fatalf("%d calls, %d seen, want %d", s.len(), seen, len(model))
		}
		for own := range uint16(5) {
			if s.get(own) != model[own] {
				t.Fatalf("call %d is %v, want %v", own, s.get(own), model[own])
			}
		}
	}
	for range s.all() {
		break
	}
	for k := range s.all() {
		s.remove(k)
	}
	if s.len() != 0 {
		t.Errorf("%d calls are left after all were removed", s.len())
	}
}
