package addrpool

import (
	"net/netip"
	"slices"
	"time"
)

// State is what a Pool knows beyond its Config, as plain data.
type State struct {
	Leases   []Lease
	Reserved []netip.Addr
	Free     []Free // the longest rested first
	Last     map[string]netip.Addr
}

// Free is an address that was leased and is free again.
type Free struct {
	Address netip.Addr
	Since   time.Time
}

// State copies what the pool knows.
func (p *Pool) State() State {
	leases := p.Leases()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := State{Leases: leases, Last: map[string]netip.Addr{}}
	for a := range p.reserved {
		s.Reserved = append(s.Reserved, a)
	}
	slices.SortFunc(s.Reserved, netip.Addr.Compare)
	for e := p.free.Front(); e != nil; e = e.Next() {
		r := e.Value.(rested)
		s.Free = append(s.Free, Free{r.address, r.since})
	}
	for user, a := range p.last {
		s.Last[user] = a
	}
	return s
}

// Restore makes a pool that goes on where State was taken. The Config may differ: leases outside its ranges stand until
// they are released.
func Restore(c Config, s State) (*Pool, error) {
	p, err := New(c)
	if err != nil {
		return nil, err
	}
	for _, l := range s.Leases {
		p.leases[l.Address] = l
		if l.Fixed {
			p.fixed++
		}
	}
	p.Reserve(s.Reserved)
	for _, f := range s.Free {
		if p.covers(f.Address) && p.usable(f.Address) {
			p.inFree[f.Address] = p.free.PushBack(rested{f.Address, f.Since})
		}
	}
	for user, a := range s.Last {
		if p.covers(a) {
			p.last[user], p.owner[a] = a, user
		}
	}
	return p, nil
}
