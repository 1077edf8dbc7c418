package control

import (
	"net/netip"
	"time"
)

// PoolConfig configures a Pool.
type PoolConfig struct {
	// Seed decides where the Call IDs of each pair start.
	Seed [32]byte
	// Quarantine is how long a released Call ID stays out of use, so that late
	// GRE packets of the old call cannot reach a new one. Default 60 s.
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
// a random start, never 0, with a pause before reuse. It is safe for
// concurrent use.
type Pool struct{}

// NewPool returns an empty pool.
func NewPool(cfg PoolConfig) (*Pool, error) { return &Pool{}, nil }

// For returns the Allocator of one pair of addresses. It is a small value
// without state of its own; all Allocators of a pair share the pool's.
func (p *Pool) For(pair Pair) Allocator { return nil }
