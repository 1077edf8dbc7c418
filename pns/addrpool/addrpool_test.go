package addrpool

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"trunkline.example/shared/conf"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func ranges(t *testing.T, texts ...string) []conf.Range {
	t.Helper()
	out := make([]conf.Range, len(texts))
	for i, s := range texts {
		if err := out[i].UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func pool(t *testing.T, texts ...string) *Pool {
	t.Helper()
	p, err := New(Config{Ranges: ranges(t, texts...), Rest: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func lease(t *testing.T, p *Pool, now time.Time, user string, want string) netip.Addr {
	t.Helper()
	l, err := p.Lease(now, Request{User: user})
	if err != nil {
		t.Fatalf("lease for %q: %v", user, err)
	}
	if want != "" && l.Address.String() != want {
		t.Fatalf("lease for %q: %v, want %s", user, l.Address, want)
	}
	return l.Address
}

func TestRangesAndSizes(t *testing.T) {
	for _, c := range []struct {
		ranges []string
		size   int
		first  string
	}{
		{[]string{"10.0.0.0/24"}, 254, "10.0.0.1"},
		{[]string{"10.0.0.0/30"}, 2, "10.0.0.1"},
		{[]string{"10.0.0.0/31"}, 2, "10.0.0.0"},
		{[]string{"10.0.0.9"}, 1, "10.0.0.9"},
		{[]string{"10.0.0.0-10.0.0.255"}, 256, "10.0.0.0"},
		{[]string{"10.0.2.0/30", "10.0.0.5-10.0.0.6"}, 4, "10.0.0.5"},
		{[]string{"255.255.255.254-255.255.255.255"}, 2, "255.255.255.254"},
	} {
		p := pool(t, c.ranges...)
		if got := p.Stats(start).Size; got != c.size {
			t.Errorf("%v: size %d, want %d", c.ranges, got, c.size)
		}
		seen := map[netip.Addr]bool{lease(t, p, start, "", c.first): true}
		for i := 1; i < c.size; i++ {
			a := lease(t, p, start, "", "")
			if seen[a] || !p.Contains(a) {
				t.Fatalf("%v: %v leased twice or from outside", c.ranges, a)
			}
			seen[a] = true
		}
		if _, err := p.Lease(start, Request{}); !errors.Is(err, ErrExhausted) {
			t.Errorf("%v: the lease after the last gave %v", c.ranges, err)
		}
	}
}

func TestRefusedRanges(t *testing.T) {
	for _, texts := range [][]string{{"fd00::/120"}, {"10.0.0.0/24", "10.0.0.7"}, {"10.0.0.1-10.0.0.9", "10.0.0.9-10.0.0.20"}} {
		if _, err := New(Config{Ranges: ranges(t, texts...)}); err == nil {
			t.Errorf("%v accepted", texts)
		}
	}
}

func TestExcludedAddressIsNeverLeased(t *testing.T) {
	p, err := New(Config{Ranges: ranges(t, "10.0.0.0/29"), Exclude: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.0.2.1")}})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Stats(start).Size; got != 5 {
		t.Errorf("size %d, want 5", got)
	}
	lease(t, p, start, "", "10.0.0.2")
	if _, err := p.Lease(start, Request{Fixed: netip.MustParseAddr("10.0.0.1")}); !errors.Is(err, ErrInUse) {
		t.Errorf("the server's address as a fixed one: %v", err)
	}
}

func TestUserGetsHisAddressAgain(t *testing.T) {
	p := pool(t, "10.0.0.0/29")
	a := lease(t, p, start, "ann", "10.0.0.1")
	lease(t, p, start, "bob", "10.0.0.2")
	p.Release(start, a)
	lease(t, p, start, "cid", "10.0.0.3")
	lease(t, p, start.Add(time.Second), "ann", "10.0.0.1") // rested or not: it is the same user
	second := lease(t, p, start, "ann", "10.0.0.4")        // a second session at a time
	p.Release(start, second)
	p.Release(start, a)
	lease(t, p, start, "ann", "10.0.0.1")
}

func TestAddressRestsAndTheLongestFreeGoesFirst(t *testing.T) {
	p := pool(t, "10.0.0.1-10.0.0.3")
	for i, user := range []string{"a", "b", "c"} {
		lease(t, p, start, user, fmt.Sprintf("10.0.0.%d", i+1))
	}
	p.Release(start.Add(1*time.Second), netip.MustParseAddr("10.0.0.2"))
	p.Release(start.Add(2*time.Second), netip.MustParseAddr("10.0.0.1"))
	if s := p.Stats(start.Add(3 * time.Second)); s.Resting != 2 || s.Leased != 1 {
		t.Errorf("stats %+v", s)
	}
	if _, err := p.Lease(start.Add(60*time.Second), Request{User: "d"}); !errors.Is(err, ErrExhausted) {
		t.Errorf("an address that rested 59 s of 60 was leased: %v", err)
	}
	lease(t, p, start.Add(61*time.Second), "d", "10.0.0.2")
	if s := p.Stats(start.Add(61 * time.Second)); s.Resting != 1 || s.Leased != 2 {
		t.Errorf("stats %+v", s)
	}
	// b has lost his address to d, and gets the one that is left.
	lease(t, p, start.Add(62*time.Second), "b", "10.0.0.1")
}

func TestNeverUsedAddressesGoFirst(t *testing.T) {
	p := pool(t, "10.0.0.1-10.0.0.3")
	p.Release(start, lease(t, p, start, "a", "10.0.0.1"))
	lease(t, p, start.Add(time.Hour), "b", "10.0.0.2")
	lease(t, p, start.Add(time.Hour), "c", "10.0.0.3")
	lease(t, p, start.Add(time.Hour), "d", "10.0.0.1")
}

func TestFixedAddresses(t *testing.T) {
	p := pool(t, "10.0.0.1-10.0.0.3")
	inside, outside := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.0.2.9")
	p.Reserve([]netip.Addr{inside, outside})
	lease(t, p, start, "a", "10.0.0.2")
	for _, a := range []netip.Addr{inside, outside} {
		l, err := p.Lease(start, Request{User: "f", Fixed: a})
		if err != nil || l.Address != a || !l.Fixed {
			t.Fatalf("fixed %v: %+v, %v", a, l, err)
		}
		if _, err := p.Lease(start, Request{User: "g", Fixed: a}); !errors.Is(err, ErrInUse) {
			t.Errorf("fixed %v leased twice: %v", a, err)
		}
	}
	if s := p.Stats(start); s != (Stats{Size: 2, Leased: 1, Fixed: 2, Reserved: 1}) {
		t.Errorf("stats %+v", s)
	}
	if p.Contains(outside) || !p.Contains(inside) {
		t.Error("Contains is wrong about a fixed address")
	}
	p.Release(start, inside)
	p.Release(start, outside)
	lease(t, p, start.Add(time.Hour), "b", "10.0.0.3")
	if _, err := p.Lease(start.Add(time.Hour), Request{}); !errors.Is(err, ErrExhausted) {
		t.Errorf("a reserved address was leased: %v", err)
	}
	p.Reserve(nil)
	lease(t, p, start.Add(time.Hour), "c", "10.0.0.1")
	if _, err := p.Lease(start, Request{Fixed: netip.MustParseAddr("fd00::1")}); !errors.Is(err, ErrNotIPv4) {
		t.Errorf("an IPv6 address: %v", err)
	}
}

func TestReleaseOfWhatIsNotLeased(t *testing.T) {
	p := pool(t, "10.0.0.1-10.0.0.2")
	a := lease(t, p, start, "", "")
	p.Release(start, a)
	p.Release(start, a)
	p.Release(start, netip.MustParseAddr("10.0.0.2"))
	p.Release(start, netip.Addr{})
	lease(t, p, start.Add(time.Hour), "", "10.0.0.2")
	lease(t, p, start.Add(time.Hour), "", "10.0.0.1")
	if _, err := p.Lease(start.Add(time.Hour), Request{}); !errors.Is(err, ErrExhausted) {
		t.Errorf("an address came twice: %v", err)
	}
}

func TestStateGoesOnElsewhere(t *testing.T) {
	c := Config{Ranges: ranges(t, "10.0.0.1-10.0.0.6"), Rest: time.Minute}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	p.Reserve([]netip.Addr{netip.MustParseAddr("10.0.0.6")})
	lease(t, p, start, "a", "10.0.0.1")
	p.Release(start, lease(t, p, start, "b", "10.0.0.2"))
	if _, err := p.Lease(start, Request{Fixed: netip.MustParseAddr("10.0.0.6")}); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p.State())
	if err != nil {
		t.Fatal(err)
	}
	var s State
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	c.Ranges = ranges(t, "10.0.0.1-10.0.0.7") // and the pool may have grown meanwhile
	q, err := Restore(c, s)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(q.Leases()), fmt.Sprint(p.Leases()); got != want {
		t.Errorf("leases %s, want %s", got, want)
	}
	now := start.Add(time.Second)
	lease(t, q, now, "b", "10.0.0.2")
	for _, want := range []string{"10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.7"} {
		lease(t, q, now, "", want)
	}
	if _, err := q.Lease(now, Request{}); !errors.Is(err, ErrExhausted) {
		t.Errorf("one too many: %v", err)
	}
}

// A random life: no address is ever held twice, none comes back unrested to another user, and every one is found again.
func TestRandomLife(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	p := pool(t, "10.0.0.0/27", "10.0.1.1-10.0.1.9")
	size := p.Stats(start).Size
	type freed struct {
		at   time.Time
		user string
	}
	now, held, gone := start, map[netip.Addr]string{}, map[netip.Addr]freed{}
	for range 20000 {
		now = now.Add(time.Duration(random.IntN(5000)) * time.Millisecond)
		if len(held) > 0 && random.IntN(2) == 0 {
			for a, user := range held {
				p.Release(now, a)
				gone[a] = freed{now, user}
				delete(held, a)
				break
			}
			continue
		}
		user := fmt.Sprint("user", random.IntN(60))
		l, err := p.Lease(now, Request{User: user})
		if err != nil {
			if free := size - len(held); free > 0 && p.Stats(now).Resting != free {
				t.Fatalf("refused with %d free and %d resting: %v", free, p.Stats(now).Resting, err)
			}
			continue
		}
		if other, ok := held[l.Address]; ok {
			t.Fatalf("%v leased to %s while %s has it", l.Address, user, other)
		}
		if f, ok := gone[l.Address]; ok && f.user != user && now.Sub(f.at) < time.Minute {
			t.Fatalf("%v of %s leased to %s after %v", l.Address, f.user, user, now.Sub(f.at))
		}
		held[l.Address] = user
	}
	if s := p.Stats(now); s.Leased != len(held) {
		t.Errorf("stats %+v, %d held", s, len(held))
	}
	if len(p.last) != len(p.owner) || len(p.last) > size {
		t.Errorf("%d users remembered, %d owners, %d addresses", len(p.last), len(p.owner), size)
	}
}

func BenchmarkLeaseRelease(b *testing.B) {
	r := conf.Range{First: netip.MustParseAddr("10.0.0.0"), Last: netip.MustParseAddr("10.255.255.255"), FromPrefix: true}
	p, err := New(Config{Ranges: []conf.Range{r}, Rest: -1})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		l, err := p.Lease(start, Request{User: "user"})
		if err != nil {
			b.Fatal(err)
		}
		p.Release(start, l.Address)
	}
}
