package pns

import (
	"net/netip"
	"sync"
	"time"

	"trunkline.example/pns/config"
)

// bans remembers which addresses fail to log in, and keeps those out that do so too often. Safe for concurrent use.
type bans struct {
	mu      sync.Mutex
	rule    config.Ban
	entries map[netip.Addr]*suspect // by sourceOf
}

type suspect struct {
	failures int
	since    time.Time // of the first failure counted
	until    time.Time // banned until then; zero is not banned
}

// banEntries bounds the memory: beyond it, addresses that have failed least recently are forgotten.
const banEntries = 65536

func newBans(rule config.Ban) *bans {
	return &bans{rule: rule, entries: make(map[netip.Addr]*suspect)}
}

func (b *bans) setRule(rule config.Ban) {
	b.mu.Lock()
	b.rule = rule
	b.mu.Unlock()
}

// banned tells whether the address is kept out, and how long still.
func (b *bans) banned(now time.Time, addr netip.Addr) (left time.Duration, yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.entries[sourceOf(addr)]
	if s == nil || !s.until.After(now) {
		return 0, false
	}
	return s.until.Sub(now), true
}

// failed counts a refused login and reports whether it has led to a ban.
func (b *bans) failed(now time.Time, addr netip.Addr) bool {
	addr = sourceOf(addr)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rule.Failures <= 0 {
		return false
	}
	s := b.entries[addr]
	if s == nil || s.over(now, b.rule) {
		if s == nil && len(b.entries) >= banEntries {
			b.purge(now)
		}
		s = &suspect{since: now}
		b.entries[addr] = s
	}
	s.failures++
	if s.failures < b.rule.Failures || s.until.After(now) {
		return false
	}
	s.until = now.Add(b.rule.Time)
	return true
}

// over tells that what is known of a suspect has no weight any more.
func (s *suspect) over(now time.Time, rule config.Ban) bool {
	if s.until.IsZero() {
		return now.Sub(s.since) > rule.Window
	}
	return !s.until.After(now)
}

// succeeded forgets the failures of an address: somebody there knows a password. Others behind the same NAT may go on
// guessing then, but at the price of a successful login in between.
func (b *bans) succeeded(addr netip.Addr) {
	b.mu.Lock()
	delete(b.entries, sourceOf(addr))
	b.mu.Unlock()
}

// purge makes room: what is over goes, and if that is not enough, whatever comes first.
func (b *bans) purge(now time.Time) {
	for addr, s := range b.entries {
		if s.over(now, b.rule) {
			delete(b.entries, addr)
		}
	}
	for addr := range b.entries {
		if len(b.entries) < banEntries {
			return
		}
		delete(b.entries, addr)
	}
}

// list returns the sources that are banned now, with the end of the ban.
func (b *bans) list(now time.Time) map[netip.Addr]time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[netip.Addr]time.Time)
	for addr, s := range b.entries {
		if s.until.After(now) {
			out[addr] = s.until
		}
	}
	return out
}
