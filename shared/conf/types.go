package conf

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Duration is a time.Duration written with its unit: "60s", "1h30m", "250ms", and "0" for none. It is a struct, not an
// integer type, so that a bare number cannot slip in as nanoseconds.
type Duration struct{ time.Duration }

// UnmarshalText parses the text; negative durations are refused.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a duration: write a number with its unit, as in \"60s\", \"5m\" or \"1h30m\"", s)
	}
	if v < 0 {
		return fmt.Errorf("%q is negative", s)
	}
	d.Duration = v
	return nil
}

// MarshalText renders the duration without needless zero parts: "1m", not "1m0s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String renders the duration without needless zero parts: "1m", not "1m0s".
func (d Duration) String() string {
	s := d.Duration.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// AddrPort is an IP address and a port: "192.0.2.1:1723", "[::1]:80". ":1723" means every IPv4 address. An IPv4 address that is
// written as an IPv6 one (::ffff:192.0.2.1) becomes what it is, here and in the types below.
type AddrPort struct{ netip.AddrPort }

// UnmarshalText parses the text; host names are refused, since they would have to be looked up.
func (a *AddrPort) UnmarshalText(text []byte) error {
	s := string(text)
	if strings.HasPrefix(s, ":") {
		s = "0.0.0.0" + s
	}
	v, err := netip.ParseAddrPort(s)
	if err != nil {
		return fmt.Errorf("%q is not an IP address with a port, as in \"192.0.2.1:1723\"", text)
	}
	a.AddrPort = netip.AddrPortFrom(v.Addr().Unmap(), v.Port())
	return nil
}

// Addr is an IP address.
type Addr struct{ netip.Addr }

// UnmarshalText parses the text; the empty string gives the zero Addr.
func (a *Addr) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		a.Addr = netip.Addr{}
		return nil
	}
	v, err := netip.ParseAddr(string(text))
	if err != nil {
		return fmt.Errorf("%q is not an IP address", text)
	}
	a.Addr = v.Unmap()
	return nil
}

// Prefix is an IP prefix, "10.0.0.0/24", without host bits; a bare address stands for itself alone (/32 or /128).
type Prefix struct{ netip.Prefix }

// UnmarshalText parses the text.
func (p *Prefix) UnmarshalText(text []byte) error {
	s := string(text)
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return fmt.Errorf("%q is neither an IP prefix nor an IP address", s)
		}
		if a = a.Unmap(); a.Zone() != "" {
			return fmt.Errorf("%q: a prefix has no zone", s)
		}
		p.Prefix = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	v, err := netip.ParsePrefix(s)
	if err != nil {
		return fmt.Errorf("%q is not an IP prefix, as in \"10.0.0.0/24\"", s)
	}
	if mapped := v.Bits() - mappedBits; v.Addr().Is4In6() && mapped >= 0 {
		v = netip.PrefixFrom(v.Addr().Unmap(), mapped)
	}
	if v != v.Masked() {
		return fmt.Errorf("%q has host bits set: the prefix is %q", s, v.Masked())
	}
	p.Prefix = v
	return nil
}

// mappedBits come before the IPv4 address in one that is mapped into IPv6.
const mappedBits = 96

// Range is a run of IP addresses, both ends included: "10.0.0.10-10.0.0.99", a prefix ("10.0.0.0/24") or one address.
// FromPrefix tells a prefix from the range with the same ends: of a prefix, the user of the range may want to leave out
// the first and last address.
type Range struct {
	First, Last netip.Addr
	FromPrefix  bool
}

// UnmarshalText parses the text.
func (r *Range) UnmarshalText(text []byte) error {
	s := string(text)
	if first, last, ok := strings.Cut(s, "-"); ok {
		a, errA := netip.ParseAddr(strings.TrimSpace(first))
		b, errB := netip.ParseAddr(strings.TrimSpace(last))
		switch {
		case errA != nil || errB != nil:
			return fmt.Errorf("%q is not a range of IP addresses, as in \"10.0.0.10-10.0.0.99\"", s)
		case a.BitLen() != b.BitLen():
			return fmt.Errorf("%q mixes IPv4 and IPv6", s)
		case b.Less(a):
			return fmt.Errorf("%q ends before it begins", s)
		}
		*r = Range{First: a, Last: b}
		return nil
	}
	var p Prefix
	if err := p.UnmarshalText(text); err != nil {
		return err
	}
	*r = Range{First: p.Addr(), Last: Last(p.Prefix), FromPrefix: strings.Contains(s, "/")}
	return nil
}

// MarshalText renders the range as it could have been written.
func (r Range) MarshalText() ([]byte, error) {
	if !r.First.IsValid() || !r.Last.IsValid() {
		return nil, errors.New("empty range of IP addresses")
	}
	return []byte(r.String()), nil
}

// String renders the range as it could have been written.
func (r Range) String() string {
	if r.FromPrefix {
		for bits := 0; bits <= r.First.BitLen(); bits++ {
			if p := netip.PrefixFrom(r.First, bits); p == p.Masked() && Last(p) == r.Last {
				return p.String()
			}
		}
	}
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// Contains tells whether the range holds the address.
func (r Range) Contains(a netip.Addr) bool {
	return r.First.IsValid() && a.BitLen() == r.First.BitLen() && !a.Less(r.First) && !r.Last.Less(a)
}

// Last is the last address of a prefix.
func Last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
