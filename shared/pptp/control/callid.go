package control

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// DefaultQuarantine is how long a released Call ID rests if others are free
// (ours). Late GRE packets are seconds old at most; the rest is for peers that
// have not noticed the end of a call.
const DefaultQuarantine = 60 * time.Second

// maximumLowBits leaves 16 Call IDs at least for each value of the low bits.
const maximumLowBits = 12

// PoolConfig configures a Pool.
type PoolConfig struct {
	// Seed decides where the Call IDs of each pair start.
	Seed [32]byte
	// Quarantine is how long a released Call ID stays out of use, so that late
	// GRE packets of the old call cannot reach a new one, unless no other is
	// left. Zero means DefaultQuarantine.
	Quarantine time.Duration
	// LowBits is how many low bits of every Call ID (0 to 12) are Low: an
	// owner with several loops can tell from a Call ID whose it is.
	LowBits uint8
	Low     uint16
}

// Pair is the pair of addresses that GRE packets of a call travel between.
type Pair struct {
	Ours   netip.Addr
	Theirs netip.Addr
}

// Pool hands out Call IDs that are unique per pair of addresses, in order from
// a random start, never 0 (Linux conntrack and other peers take 0 for none),
// with a pause before reuse. It is safe for concurrent use.
//
// Where all Call IDs of a pair are in use or in quarantine, the one that has
// rested longest is handed out: whoever asks for calls and clears them fast
// enough could otherwise lock out all others that share its address.
//
// Its memory is bounded by the Call IDs in use and in quarantine; a pair that
// has neither is forgotten.
type Pool struct {
	cfg PoolConfig

	mu     sync.Mutex
	random *rand.ChaCha8
	pairs  map[Pair]*pairIDs
	watch  []pairDue // from head on, the earliest first: pairs with Call IDs in quarantine, each once
	head   int
}

// pairDue is when to look at a pair again.
type pairDue struct {
	pair Pair
	at   time.Time
}

// pairIDs are the Call IDs of one pair.
type pairIDs struct {
	next    uint16      // where the search for a free one goes on, without the low bits
	inUse   []uint16    // ascending
	resting []uint16    // ascending
	order   []RestingID // of resting, from head on, in the order in which their time is up
	head    int
	watched bool // in Pool.watch
}

// PoolState is the mutable state of a Pool as plain data.
type PoolState struct {
	Random  []byte
	Pairs   []PairState
	Resting []RestingID
}

// PairState is the state of one pair.
type PairState struct {
	Pair  Pair
	Next  uint16
	InUse []uint16 // ascending
}

// RestingID is a Call ID in quarantine.
type RestingID struct {
	Pair  Pair
	ID    uint16
	Until time.Time
}

// ErrBadPool is returned for a PoolConfig or PoolState that makes no sense.
var ErrBadPool = errors.New("bad Call ID pool")

// NewPool returns an empty pool. It fails with ErrBadPool.
func NewPool(cfg PoolConfig) (*Pool, error) {
	if cfg.LowBits > maximumLowBits || cfg.Low >= 1<<cfg.LowBits {
		return nil, fmt.Errorf("%w: low bits %d of %d", ErrBadPool, cfg.Low, cfg.LowBits)
	}
	if cfg.Quarantine <= 0 {
		cfg.Quarantine = DefaultQuarantine
	}
	return &Pool{cfg: cfg, random: rand.NewChaCha8(cfg.Seed), pairs: make(map[Pair]*pairIDs)}, nil
}

// RestorePool returns a pool that goes on from s. It fails with ErrBadPool.
func RestorePool(cfg PoolConfig, s PoolState) (*Pool, error) {
	p, err := NewPool(cfg)
	if err != nil {
		return nil, err
	}
	if err := p.random.UnmarshalBinary(s.Random); err != nil {
		return nil, fmt.Errorf("%w: random state: %w", ErrBadPool, err)
	}
	for _, pair := range s.Pairs {
		if !slices.IsSorted(pair.InUse) || p.pairs[pair.Pair] != nil {
			return nil, fmt.Errorf("%w: Call IDs of %v", ErrBadPool, pair.Pair)
		}
		p.pairs[pair.Pair] = &pairIDs{next: pair.Next, inUse: slices.Clone(pair.InUse)}
	}
	for _, r := range s.Resting {
		ids := p.pairs[r.Pair]
		if ids == nil || has(ids.inUse, r.ID) || has(ids.resting, r.ID) {
			return nil, fmt.Errorf("%w: resting Call ID %d of %v", ErrBadPool, r.ID, r.Pair)
		}
		p.rest(ids, r)
	}
	return p, nil
}

// State returns a deep copy of the pool's mutable state.
func (p *Pool) State() PoolState {
	p.mu.Lock()
	defer p.mu.Unlock()
	// MarshalBinary of ChaCha8 has no way to fail.
	random, _ := p.random.MarshalBinary()
	s := PoolState{Random: random}
	for pair, ids := range p.pairs {
		if ids.empty() {
			continue
		}
		s.Pairs = append(s.Pairs, PairState{Pair: pair, Next: ids.next, InUse: slices.Clone(ids.inUse)})
	}
	slices.SortFunc(s.Pairs, func(a, b PairState) int {
		if order := a.Pair.Ours.Compare(b.Pair.Ours); order != 0 {
			return order
		}
		return a.Pair.Theirs.Compare(b.Pair.Theirs)
	})
	for _, pair := range s.Pairs {
		ids := p.pairs[pair.Pair]
		s.Resting = append(s.Resting, ids.order[ids.head:]...)
	}
	slices.SortStableFunc(s.Resting, func(a, b RestingID) int { return a.Until.Compare(b.Until) })
	return s
}

// For returns the Allocator of one pair of addresses. It is a small value
// without state of its own; all Allocators of a pair share the pool's.
func (p *Pool) For(pair Pair) Allocator {
	pair.Ours, pair.Theirs = pair.Ours.Unmap(), pair.Theirs.Unmap()
	return pairAllocator{p, pair}
}

type pairAllocator struct {
	pool *Pool
	pair Pair
}

func (a pairAllocator) Allocate(now time.Time) (uint16, bool) { return a.pool.allocate(now, a.pair) }
func (a pairAllocator) Release(now time.Time, id uint16)      { a.pool.release(now, a.pair, id) }

func (p *Pool) allocate(now time.Time, pair Pair) (uint16, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake(now)
	ids := p.pairs[pair]
	if ids == nil {
		ids = &pairIDs{}
		p.pairs[pair] = ids
	}
	ids.wake(now)
	if ids.empty() {
		ids.next = uint16(p.random.Uint64())
	}
	id, ok := p.free(ids)
	if !ok {
		return 0, false
	}
	ids.next = id>>p.cfg.LowBits + 1
	ids.inUse = insert(ids.inUse, id)
	return id, true
}

// free finds a Call ID for use: the next one that is free, or else the one that has rested longest.
func (p *Pool) free(ids *pairIDs) (uint16, bool) {
	all := 1 << (16 - p.cfg.LowBits)
	if p.cfg.Low == 0 {
		all-- // 0 itself
	}
	if len(ids.inUse)+len(ids.resting) >= all {
		return ids.longest()
	}
	for n := ids.next; ; n++ {
		id := n<<p.cfg.LowBits | p.cfg.Low
		if id != 0 && !has(ids.inUse, id) && !has(ids.resting, id) {
			return id, true
		}
	}
}

func (p *Pool) release(now time.Time, pair Pair, id uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake(now)
	ids := p.pairs[pair]
	if ids == nil || !has(ids.inUse, id) {
		return
	}
	ids.wake(now)
	ids.inUse = remove(ids.inUse, id)
	p.rest(ids, RestingID{Pair: pair, ID: id, Until: now.Add(p.cfg.Quarantine)})
}

// rest puts a Call ID into quarantine.
func (p *Pool) rest(ids *pairIDs, r RestingID) {
	ids.resting = insert(ids.resting, r.ID)
	ids.order = append(ids.order, r)
	if !ids.watched {
		ids.watched = true
		p.watch = append(p.watch, pairDue{r.Pair, r.Until})
	}
}

// wake looks at the pairs that are due, and forgets those that have no Call ID in use or in quarantine.
func (p *Pool) wake(now time.Time) {
	for p.head < len(p.watch) && !now.Before(p.watch[p.head].at) {
		pair := p.watch[p.head].pair
		p.head++
		ids := p.pairs[pair]
		ids.wake(now)
		ids.watched = len(ids.resting) > 0
		switch {
		case ids.watched:
			p.watch = append(p.watch, pairDue{pair, now.Add(p.cfg.Quarantine)})
		case ids.empty():
			delete(p.pairs, pair)
		}
	}
	if p.head > len(p.watch)/2 {
		p.watch = append(p.watch[:0], p.watch[p.head:]...)
		p.head = 0
	}
}

// empty tells that nothing need be known of the pair.
func (ids *pairIDs) empty() bool { return len(ids.inUse)+len(ids.resting) == 0 }

// wake frees the Call IDs whose quarantine is over.
func (ids *pairIDs) wake(now time.Time) {
	for ids.head < len(ids.order) && !now.Before(ids.order[ids.head].Until) {
		ids.longest()
	}
}

// longest takes the Call ID out of quarantine that has been there for the longest time, if there is one.
func (ids *pairIDs) longest() (uint16, bool) {
	if ids.head == len(ids.order) {
		return 0, false
	}
	id := ids.order[ids.head].ID
	if ids.head++; ids.head > len(ids.order)/2 {
		ids.order = append(ids.order[:0], ids.order[ids.head:]...)
		ids.head = 0
	}
	ids.resting = remove(ids.resting, id)
	return id, true
}

// Ascending slices as small sets.
func has(set []uint16, id uint16) bool {
	_, found := slices.BinarySearch(set, id)
	return found
}

func insert(set []uint16, id uint16) []uint16 {
	i, _ := slices.BinarySearch(set, id)
	return slices.Insert(set, i, id)
}

func remove(set []uint16, id uint16) []uint16 {
	if i, found := slices.BinarySearch(set, id); found {
		set = slices.Delete(set, i, i+1)
	}
	return set
}

// String returns the pair as "ours - theirs".
func (p Pair) String() string { return fmt.Sprintf("%v - %v", p.Ours, p.Theirs) }
