// Package addrpool leases IPv4 addresses to sessions: dynamic ones from ranges, and fixed ones named by the user's entry.
//
// A user gets the address that he had before if it is free (sticky); otherwise the one that has been free for the
// longest time, never used ones first, and no address before it has rested for the configured time, so that a packet
// still under way for the last holder does not reach the next one. A fixed address inside the ranges must be reserved, so that nobody gets it by chance.
package addrpool

import (
	"errors"
	"net/netip"
	"time"

	"trunkline.example/shared/conf"
)

// Reasons why there is no lease.
var (
	ErrExhausted = errors.New("no address is free in the pool")
	ErrInUse     = errors.New("the fixed address is in use")
	ErrNotIPv4   = errors.New("not an IPv4 address")
)

// DefaultRest is how long an address stays unused after a lease ends, unless its last holder comes back.
const DefaultRest = 60 * time.Second

// Config describes a pool.
type Config struct {
	Ranges  []conf.Range  // the first and the last address of a range written as a prefix of 30 bits or less are left out
	Exclude []netip.Addr  // never leased: the server's own address
	Rest    time.Duration // 0 means DefaultRest; negative means none
}

// Request asks for an address.
type Request struct {
	User  string     // for stickiness; empty for none
	Fixed netip.Addr // valid: this address and no other; it may lie outside the ranges
}

// Lease is an address in use.
type Lease struct {
	Address netip.Addr
	User    string
	Fixed   bool
	Since   time.Time
}

// Stats count addresses.
type Stats struct {
	Size     int // dynamic addresses in all
	Leased   int // dynamic addresses in use
	Resting  int // dynamic addresses free but not yet rested
	Fixed    int // fixed addresses in use, in the ranges or not
	Reserved int // addresses in the ranges kept for their users
}

// Pool leases addresses. Safe for concurrent use.
type Pool struct{}

// New makes a pool. Ranges must be IPv4 and must not overlap.
func New(c Config) (*Pool, error) { return &Pool{}, nil }

// Lease takes an address. The error is one of ErrExhausted, ErrInUse, ErrNotIPv4, wrapped.
func (p *Pool) Lease(now time.Time, r Request) (Lease, error) { return Lease{}, nil }

// Release gives an address back. Releasing what is not leased does nothing.
func (p *Pool) Release(now time.Time, address netip.Addr) {}

// Reserve replaces the set of addresses that only a Request naming them gets. Leases that stand are not touched.
func (p *Pool) Reserve(addresses []netip.Addr) {}

// Contains tells whether the address lies in the ranges, whoever has it: then the route of the pool covers it.
func (p *Pool) Contains(address netip.Addr) bool { return false }

// Leases lists what is leased, by address.
func (p *Pool) Leases() []Lease { return nil }

// Stats counts addresses.
func (p *Pool) Stats(now time.Time) Stats { return Stats{} }
