package ppp

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

func TestRandom(t *testing.T) {
	seed := [32]byte{1, 2, 3}
	r := NewRandom(seed)
	var got [70]byte
	r.Fill(got[:])
	var want []byte
	for i := range byte(3) {
		sum := sha256.Sum256(append(append([]byte(nil), seed[:]...), 0, 0, 0, 0, 0, 0, 0, i))
		want = append(want, sum[:]...)
	}
	if !bytes.Equal(got[:], want[:70]) {
		t.Errorf("%x, want %x", got, want[:70])
	}
	copied := r
	if a, b := r.Uint64(), copied.Uint64(); a != b {
		t.Errorf("a copy goes on with %x, not with %x", b, a)
	}
	if a, b := r.Uint64(), r.Uint64(); a == b || a == 0 {
		t.Errorf("%x twice", a)
	}
	other := NewRandom([32]byte{1, 2, 4})
	var differs [70]byte
	if other.Fill(differs[:]); differs == got {
		t.Error("two seeds, one sequence")
	}
	if r.IsZero() || !(&Random{}).IsZero() {
		t.Error("a generator without a seed is not told from one with")
	}
	if n := testing.AllocsPerRun(100, func() { r.Uint64(); r.Fill(got[:]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
