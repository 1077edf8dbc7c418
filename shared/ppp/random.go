package ppp

import (
	"crypto/sha256"
	"encoding/binary"
)

// Random generates what the peer must not foresee and little is needed of: magic numbers, challenges, seeds. It is SHA-256 over a seed and a
// count, and plain data: a link keeps 40 octets of it, where math/rand/v2.ChaCha8 takes 320. Not safe for concurrent use.
type Random struct {
	Seed  [32]byte // from a cryptographic source, never the same twice
	Drawn uint64   // blocks drawn so far
}

// NewRandom makes a generator of a seed.
func NewRandom(seed [32]byte) Random { return Random{Seed: seed} }

// IsZero tells that no seed was ever given, as in a state that is not one.
func (r *Random) IsZero() bool { return *r == Random{} }

func (r *Random) block() [sha256.Size]byte {
	var text [len(r.Seed) + 8]byte
	copy(text[:], r.Seed[:])
	binary.BigEndian.PutUint64(text[len(r.Seed):], r.Drawn)
	r.Drawn++
	return sha256.Sum256(text[:])
}

// Uint64 draws a number.
func (r *Random) Uint64() uint64 {
	b := r.block()
	return binary.BigEndian.Uint64(b[:])
}

// Fill draws len(p) octets.
func (r *Random) Fill(p []byte) {
	for len(p) > 0 {
		b := r.block()
		p = p[copy(p, b[:]):]
	}
}
