// Package addrpool leases IPv4 addresses to sessions: dynamic ones from ranges, and fixed ones named by the user's entry.
//
// A user gets the address that he had before if it is free; otherwise one that was never used, or else the one that has
// been free for the longest time, and none before it has rested: so a packet still under way for the last holder, or a
// connection that somebody kept open to him, does not reach the next one. A fixed address inside the ranges must be
// reserved, so that nobody gets it by chance.
package addrpool

import (
	"container/list"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
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
	Ranges  []conf.Range  // of a range written as a prefix of 30 bits or less the first and the last address are left out
	Exclude []netip.Addr  // never leased: the server's own address
	Rest    time.Duration // 0 means DefaultRest; negative means none
}

// Request asks for an address.
type Request struct {
	User  string     // who gets the same address again; empty for nobody
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
type Pool struct {
	mu       sync.Mutex
	ranges   []span // sorted, apart from each other
	exclude  map[netip.Addr]bool
	rest     time.Duration
	reserved map[netip.Addr]bool
	leases   map[netip.Addr]Lease
	fixed    int // leases that are Fixed

	// Addresses of the ranges that have been leased and are free again, the longest rested in front.
	free   *list.List // of rested
	inFree map[netip.Addr]*list.Element

	// The next address to look at for one that is in no lease and not in free: it was never leased.
	span   int
	offset uint64

	last  map[string]netip.Addr // the address each user had last; at most one user per address
	owner map[netip.Addr]string // the reverse
}

// rested is a free address.
type rested struct {
	address netip.Addr
	since   time.Time // zero: it was never leased
}

// span is a run of addresses in host byte order, both ends included.
type span struct{ first, last uint32 }

// New makes a pool. Ranges must be IPv4 and must not overlap.
func New(c Config) (*Pool, error) {
	p := &Pool{
		exclude: map[netip.Addr]bool{}, reserved: map[netip.Addr]bool{}, leases: map[netip.Addr]Lease{},
		free: list.New(), inFree: map[netip.Addr]*list.Element{},
		last: map[string]netip.Addr{}, owner: map[netip.Addr]string{}, rest: c.Rest,
	}
	if c.Rest == 0 {
		p.rest = DefaultRest
	}
	for _, r := range c.Ranges {
		s, err := spanOf(r)
		if err != nil {
			return nil, err
		}
		p.ranges = append(p.ranges, s)
	}
	slices.SortFunc(p.ranges, func(a, b span) int { return int(int64(a.first) - int64(b.first)) })
	for i := 1; i < len(p.ranges); i++ {
		if a, b := p.ranges[i-1], p.ranges[i]; b.first <= a.last {
			return nil, fmt.Errorf("address pool: %v-%v and %v-%v overlap", address(a.first), address(a.last), address(b.first), address(b.last))
		}
	}
	for _, a := range c.Exclude {
		if p.covers(a) {
			p.exclude[a] = true
		}
	}
	return p, nil
}

func spanOf(r conf.Range) (span, error) {
	if !r.First.Is4() || !r.Last.Is4() || r.Last.Less(r.First) {
		return span{}, fmt.Errorf("address pool: range %v: %w", r, ErrNotIPv4)
	}
	s := span{number(r.First), number(r.Last)}
	if r.FromPrefix && s.last-s.first >= 3 {
		s.first++
		s.last--
	}
	return s, nil
}

// Lease takes an address. The error wraps ErrExhausted, ErrInUse or ErrNotIPv4.
func (p *Pool) Lease(now time.Time, r Request) (Lease, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := Lease{Address: r.Fixed, User: r.User, Fixed: r.Fixed.IsValid(), Since: now}
	if l.Fixed {
		if err := p.mayTake(l.Address); err != nil {
			return Lease{}, err
		}
		p.fixed++
	} else {
		a, err := p.choose(now, r.User)
		if err != nil {
			return Lease{}, err
		}
		l.Address = a
		p.remember(r.User, a)
	}
	p.unlist(l.Address)
	p.leases[l.Address] = l
	return l, nil
}

func (p *Pool) mayTake(a netip.Addr) error {
	if !a.Is4() {
		return fmt.Errorf("fixed address %v: %w", a, ErrNotIPv4)
	}
	if p.exclude[a] {
		return fmt.Errorf("%w: %v is the server's own", ErrInUse, a)
	}
	if held, ok := p.leases[a]; ok {
		return fmt.Errorf("%w: %v by %q since %s", ErrInUse, a, held.User, held.Since.Format(time.RFC3339))
	}
	return nil
}

// choose finds a dynamic address.
func (p *Pool) choose(now time.Time, user string) (netip.Addr, error) {
	if a, ok := p.last[user]; ok && user != "" && p.usable(a) {
		return a, nil
	}
	if a, ok := p.unused(); ok {
		return a, nil
	}
	front := p.free.Front()
	if front == nil {
		return netip.Addr{}, fmt.Errorf("%w: all %d are in use", ErrExhausted, p.size())
	}
	longest := front.Value.(rested)
	if now.Sub(longest.since) < p.rest {
		return netip.Addr{}, fmt.Errorf("%w: the %d that are not in use have been given back less than %v ago", ErrExhausted, p.free.Len(), p.rest)
	}
	return longest.address, nil
}

// usable tells whether an address can be leased dynamically, rested or not.
func (p *Pool) usable(a netip.Addr) bool {
	_, leased := p.leases[a]
	return !leased && !p.exclude[a] && !p.reserved[a]
}

// unused steps to the next address that was never leased and returns it.
func (p *Pool) unused() (netip.Addr, bool) {
	for p.span < len(p.ranges) {
		s := p.ranges[p.span]
		if p.offset > uint64(s.last-s.first) {
			p.span, p.offset = p.span+1, 0
			continue
		}
		a := address(s.first + uint32(p.offset))
		p.offset++
		if _, known := p.inFree[a]; !known && p.usable(a) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func (p *Pool) remember(user string, a netip.Addr) {
	if before, ok := p.owner[a]; ok && before != user {
		delete(p.last, before)
		delete(p.owner, a)
	}
	if user == "" {
		return
	}
	if had, ok := p.last[user]; ok && had != a {
		// A second session at a time: the first address stays the one to come back to.
		if _, leased := p.leases[had]; leased {
			return
		}
		delete(p.owner, had)
	}
	p.last[user], p.owner[a] = a, user
}

// Release gives an address back. Releasing what is not leased does nothing.
func (p *Pool) Release(now time.Time, a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.leases[a]
	if !ok {
		return
	}
	delete(p.leases, a)
	if l.Fixed {
		p.fixed--
	}
	if p.covers(a) && p.usable(a) {
		p.inFree[a] = p.free.PushBack(rested{a, now})
	}
}

// Reserve replaces the set of addresses that only a Request naming them gets. Leases that stand are not touched.
func (p *Pool) Reserve(addresses []netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.reserved
	p.reserved = map[netip.Addr]bool{}
	for _, a := range addresses {
		if p.covers(a) && !p.exclude[a] {
			p.reserved[a] = true
			p.unlist(a)
		}
	}
	for a := range before {
		if p.usable(a) && p.inFree[a] == nil {
			p.inFree[a] = p.free.PushFront(rested{address: a})
		}
	}
}

func (p *Pool) unlist(a netip.Addr) {
	if e, ok := p.inFree[a]; ok {
		p.free.Remove(e)
		delete(p.inFree, a)
	}
}

// Contains tells whether the address lies in the ranges, whoever has it.
func (p *Pool) Contains(a netip.Addr) bool { return p.covers(a) }

func (p *Pool) covers(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	n := number(a)
	return slices.ContainsFunc(p.ranges, func(s span) bool { return s.first <= n && n <= s.last })
}

// Leases lists what is leased, by address.
func (p *Pool) Leases() []Lease {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Lease, 0, len(p.leases))
	for _, l := range p.leases {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b Lease) int { return a.Address.Compare(b.Address) })
	return all
}

// Stats counts addresses.
func (p *Pool) Stats(now time.Time) Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats{Size: p.size(), Fixed: p.fixed, Leased: len(p.leases) - p.fixed, Reserved: len(p.reserved)}
	for e := p.free.Back(); e != nil && now.Sub(e.Value.(rested).since) < p.rest; e = e.Prev() {
		s.Resting++
	}
	return s
}

// size counts the addresses that can be leased dynamically.
func (p *Pool) size() int {
	n := -len(p.exclude) - len(p.reserved)
	for _, s := range p.ranges {
		n += int(s.last-s.first) + 1
	}
	return n
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func address(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
