package control

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"
)

var (
	pairA = Pair{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")}
	pairB = Pair{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.2")}
)

func newPool(t *testing.T, cfg PoolConfig) *Pool {
	t.Helper()
	p, err := NewPool(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustAllocate(t *testing.T, a Allocator, now time.Time) uint16 {
	t.Helper()
	id, ok := a.Allocate(now)
	if !ok || id == 0 {
		t.Fatalf("Call ID %d, %v", id, ok)
	}
	return id
}

func TestPoolUniquePerPair(t *testing.T) {
	p := newPool(t, PoolConfig{Seed: [32]byte{1}})
	first, second := p.For(pairA), p.For(pairA) // two connections of one pair
	seen := make(map[uint16]bool)
	for i := range 65535 {
		a := first
		if i%2 == 1 {
			a = second
		}
		id := mustAllocate(t, a, epoch)
		if seen[id] {
			t.Fatalf("Call ID %d twice", id)
		}
		seen[id] = true
	}
	if id, ok := first.Allocate(epoch); ok {
		t.Errorf("Call ID %d beyond all", id)
	}
	mustAllocate(t, p.For(pairB), epoch) // another pair has its own
	mapped := Pair{netip.MustParseAddr("::ffff:192.0.2.1"), pairA.Theirs}
	if _, ok := p.For(mapped).Allocate(epoch); ok {
		t.Error("a mapped address is another address")
	}
}

func TestPoolStartsAtRandom(t *testing.T) {
	starts := make(map[uint16]bool)
	for i := range byte(50) {
		p := newPool(t, PoolConfig{Seed: [32]byte{i}})
		starts[mustAllocate(t, p.For(pairA), epoch)] = true
		starts[mustAllocate(t, p.For(pairB), epoch)] = true
	}
	if len(starts) < 95 {
		t.Errorf("100 pairs start at %d Call IDs", len(starts))
	}
	p := newPool(t, PoolConfig{Seed: [32]byte{3}})
	q := newPool(t, PoolConfig{Seed: [32]byte{3}})
	if mustAllocate(t, p.For(pairA), epoch) != mustAllocate(t, q.For(pairA), epoch) {
		t.Error("the seed does not decide")
	}
}

func TestPoolQuarantine(t *testing.T) {
	p := newPool(t, PoolConfig{Quarantine: 10 * time.Second, LowBits: 12, Low: 5}) // 16 Call IDs
	a := p.For(pairA)
	var ids []uint16
	for range 16 {
		ids = append(ids, mustAllocate(t, a, epoch))
	}
	now := epoch
	for _, id := range ids {
		a.Release(now, id)
		a.Release(now, id) // twice is once
		now = now.Add(time.Second / 4)
	}
	if id := mustAllocate(t, a, epoch.Add(10*time.Second)); id != ids[0] {
		t.Errorf("Call ID %d, want %d", id, ids[0])
	}
	if id := mustAllocate(t, a, epoch.Add(10*time.Second+time.Second/4)); id != ids[1] {
		t.Errorf("Call ID %d, want %d", id, ids[1])
	}
	a.Release(now, 1) // never handed out
	p.For(pairB).Release(now, ids[0])
	for _, id := range ids[:2] {
		a.Release(now, id)
	}
	// A pair without Call IDs in use or in quarantine is forgotten.
	later := now.Add(time.Minute)
	mustAllocate(t, p.For(pairB), later)
	if s := p.State(); len(s.Pairs) != 1 || len(s.Resting) != 0 {
		t.Errorf("%+v", s)
	}
}

// Whoever asks for calls and clears them as fast as it can takes no Call ID away from those that share its address, and costs
// nobody time.
func TestPoolUnderFlood(t *testing.T) {
	p := newPool(t, PoolConfig{})
	a := p.For(pairA)
	held := mustAllocate(t, a, epoch)
	var before []uint16
	now := epoch
	for i := range 300_000 {
		id := mustAllocate(t, a, now)
		if id == held {
			t.Fatal("a Call ID in use was handed out again")
		}
		if n := len(before) - 60_000; n >= 0 && i%1000 == 0 && slices.Contains(before[n:], id) {
			t.Fatalf("Call ID %d has rested for less than 60,000 others", id)
		}
		before = append(before, id)
		a.Release(now, id)
		now = now.Add(50 * time.Microsecond)
	}
	if s := p.State(); len(s.Resting) > 65535 {
		t.Errorf("%d Call IDs in quarantine", len(s.Resting))
	}
	if got := cap(p.watch); got > 16 {
		t.Errorf("the pair is watched %d times", got)
	}
	now = now.Add(DefaultQuarantine)
	a.Release(now, held)
	mustAllocate(t, p.For(pairB), now.Add(2*DefaultQuarantine))
	if s := p.State(); len(s.Pairs) != 1 || len(p.pairs) != 1 {
		t.Errorf("%d pairs remembered", len(p.pairs))
	}
}

func TestPoolLowBits(t *testing.T) {
	for bits := range uint8(13) {
		low := uint16(rand.New(rand.NewPCG(1, uint64(bits))).IntN(1 << bits))
		p := newPool(t, PoolConfig{LowBits: bits, Low: low})
		a := p.For(pairA)
		want := 1 << (16 - bits)
		if low == 0 {
			want-- // without 0
		}
		n := 0
		for {
			id, ok := a.Allocate(epoch)
			if !ok {
				break
			}
			if n++; id&(1<<bits-1) != low || id == 0 {
				t.Fatalf("%d low bits: Call ID %b, want %b", bits, id, low)
			}
		}
		if n != want {
			t.Errorf("%d low bits: %d Call IDs, want %d", bits, n, want)
		}
	}
	for _, cfg := range []PoolConfig{{LowBits: 13}, {Low: 1}, {LowBits: 2, Low: 4}} {
		if _, err := NewPool(cfg); !errors.Is(err, ErrBadPool) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// TestPoolRestore: a pool that is written out and read back goes on as the
// original does.
func TestPoolRestore(t *testing.T) {
	cfg := PoolConfig{Seed: [32]byte{9}, Quarantine: 5 * time.Second, LowBits: 8, Low: 7}
	run := func(swap func(*Pool) *Pool) (log []string) {
		p := newPool(t, cfg)
		random := rand.New(rand.NewPCG(1, 2))
		held := make(map[Pair][]uint16)
		now := epoch
		for range 3000 {
			pair := Pair{pairA.Ours, netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(5))})}
			if n := len(held[pair]); n > 0 && random.IntN(2) == 0 {
				i := random.IntN(n)
				p.For(pair).Release(now, held[pair][i])
				held[pair] = append(held[pair][:i:i], held[pair][i+1:]...)
			} else if id, ok := p.For(pair).Allocate(now); ok {
				held[pair] = append(held[pair], id)
				log = append(log, fmt.Sprint(pair, id))
			}
			now = now.Add(time.Duration(random.IntN(100)) * time.Millisecond)
			if swap != nil {
				p = swap(p)
			}
		}
		return log
	}
	want := run(nil)
	if got := run(func(p *Pool) *Pool {
		before := p.State()
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(before); err != nil {
			t.Fatal(err)
		}
		var s PoolState
		if err := gob.NewDecoder(&b).Decode(&s); err != nil {
			t.Fatal(err)
		}
		q, err := RestorePool(cfg, s)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}); !reflect.DeepEqual(got, want) {
		t.Error("a restored pool goes another way")
	}
	p := newPool(t, cfg)
	mustAllocate(t, p.For(pairA), epoch)
	text, err := json.Marshal(p.State())
	if err != nil {
		t.Fatal(err)
	}
	var s PoolState
	if err := json.Unmarshal(text, &s); err != nil || !reflect.DeepEqual(s, p.State()) {
		t.Errorf("%v: %+v, want %+v", err, s, p.State())
	}
}

func TestPoolRestoreRefuses(t *testing.T) {
	good := func() PoolState {
		p := newPool(t, PoolConfig{})
		a := p.For(pairA)
		id := mustAllocate(t, a, epoch)
		mustAllocate(t, a, epoch)
		a.Release(epoch, id)
		return p.State()
	}
	if _, err := RestorePool(PoolConfig{}, good()); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(s *PoolState){
		"random":           func(s *PoolState) { s.Random = s.Random[1:] },
		"pair twice":       func(s *PoolState) { s.Pairs = append(s.Pairs, s.Pairs[0]) },
		"not in order":     func(s *PoolState) { s.Pairs[0].InUse = []uint16{2, 1} },
		"resting and used": func(s *PoolState) { s.Resting[0].ID = s.Pairs[0].InUse[0] },
		"resting twice":    func(s *PoolState) { s.Resting = append(s.Resting, s.Resting[0]) },
		"resting, no pair": func(s *PoolState) { s.Resting[0].Pair = pairB },
	} {
		s := good()
		spoil(&s)
		if _, err := RestorePool(PoolConfig{}, s); !errors.Is(err, ErrBadPool) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := RestorePool(PoolConfig{LowBits: 99}, good()); !errors.Is(err, ErrBadPool) {
		t.Error(err)
	}
}

func BenchmarkPool(b *testing.B) {
	p, err := NewPool(PoolConfig{})
	if err != nil {
		b.Fatal(err)
	}
	a := p.For(pairA)
	now := epoch
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(20 * time.Millisecond)
		id, ok := a.Allocate(now)
		if !ok {
			b.Fatal("none left")
		}
		a.Release(now, id)
	}
}
