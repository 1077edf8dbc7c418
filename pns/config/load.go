package config

import (
	"net/netip"
	"os"
	"slices"

	"trunkline.example/pns/aaa"
	"trunkline.example/pns/filter"
	"trunkline.example/shared/conf"
	"trunkline.example/shared/ppp/auth"
)

// Default returns the configuration that holds without any file.
func Default() *Config {
	c, err := Parse("", nil)
	if err != nil {
		panic("config: the defaults are invalid: " + err.Error())
	}
	return c
}

// Load reads and validates a file; an empty path gives the defaults. Errors of the content are of type conf.Errors, all
// of them at once; an unreadable file gives the error of os.ReadFile.
func Load(file string) (*Config, error) {
	if file == "" {
		return Parse("", nil)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return Parse(file, data)
}

// Parse validates a document; file only serves the error texts.
func Parse(file string, data []byte) (*Config, error) {
	document, err := conf.Parse(file, data)
	if err != nil {
		return nil, err
	}
	r := defaults()
	if err := document.Decode(&r); err != nil {
		return nil, err
	}
	b := builder{document: document}
	c := b.config(file, &r)
	if len(b.errors) > 0 {
		return nil, b.errors
	}
	return c, nil
}

// builder turns what is written into what it means, and collects what is wrong with it.
type builder struct {
	document *conf.Document
	errors   conf.Errors
	filters  []filter.Filter
}

func (b *builder) fail(key, format string, args ...any) {
	b.errors = append(b.errors, b.document.Errorf(key, format, args...))
}

func (b *builder) config(file string, r *raw) *Config {
	if r.Name == "" || len(r.Name) > 64 {
		b.fail("name", "%q must have 1 to 64 octets", r.Name)
	}
	c := &Config{File: file, Name: r.Name}
	c.Network = b.network(&r.Network)
	b.filters = b.filtersOf(r)
	c.Filters = b.filters
	if !b.document.Has("policy.mtu") {
		r.Policy.MTU = r.Network.MTU
	}
	b.policy("policy", *r.Policy, r.Network.MTU, nil)
	c.Listeners = b.listeners(r)
	c.PACs = b.pacs(r)
	c.Pool = b.pool(&r.Pool)
	c.Sites = b.sites(r, c)
	for _, s := range c.Sites {
		c.Network.Routes = append(c.Network.Routes, s.Routes...)
	}
	c.Network.Address, c.Network.Prefixes = c.Pool.Server, c.Pool.Prefixes
	c.Users = b.users(&r.Users)
	c.Limits = b.limits(&r.Limits)
	c.Timers = b.timers(&r.Timers)
	r.Admin.Check(b.fail)
	r.Log.Check(b.fail)
	c.Admin, c.Records, c.Log = r.Admin, r.Records, r.Log
	return c
}

func (b *builder) listeners(r *raw) []Listener {
	if len(r.Listener) == 0 {
		return []Listener{{Name: defaultAddress.String(), Address: defaultAddress, Policy: policyOf(*r.Policy)}}
	}
	var out []Listener
	for i := range r.Listener {
		key, in := element("listener", i), &r.Listener[i]
		l := Listener{Name: in.Name, Address: in.Address.AddrPort, Policy: b.policy(key, in.rawPolicy, r.Network.MTU, r.Policy)}
		switch {
		case !l.Address.IsValid():
			b.fail(key+".address", "missing: the address and port to listen on, as in \"0.0.0.0:1723\" or \"[::]:1723\"")
		case !l.Address.Addr().IsUnspecified() && conf.CheckHost(l.Address.Addr()) != nil:
			b.fail(key+".address", "%w", conf.CheckHost(l.Address.Addr()))
		case l.Address.Port() == 0:
			b.fail(key+".address", "port 0")
		}
		if l.Name == "" {
			l.Name = l.Address.String()
		}
		for j, other := range out {
			if other.Name == l.Name || other.Address == l.Address {
				b.fail(key, "has the name or the address of %s", element("listener", j))
			}
		}
		out = append(out, l)
	}
	return out
}

func (b *builder) pacs(r *raw) []PAC {
	var out []PAC
	for i := range r.PAC {
		key, in := element("pac", i), &r.PAC[i]
		p := PAC{Name: in.Name, HostName: in.HostName, Policy: b.policy(key, in.rawPolicy, r.Network.MTU, r.Policy)}
		if p.Name == "" {
			b.fail(key+".name", "missing: logs and call records name the PAC by it")
		}
		for _, a := range in.Address {
			p.Addresses = append(p.Addresses, a.Prefix)
		}
		if len(p.Addresses) == 0 {
			b.fail(key+".address", "missing: a PAC is known by where it connects from, since anybody can claim its name")
		}
		for j, other := range out {
			if other.Name == p.Name {
				b.fail(key+".name", "%q is the name of %s too", p.Name, element("pac", j))
			}
			if (other.HostName == "" || other.HostName == p.HostName) && overlap(other.Addresses, p.Addresses) {
				b.fail(key+".address", "overlaps with that of %s, which comes first: this entry would never be used; put entries with a host_name before those without",
					element("pac", j))
			}
		}
		out = append(out, p)
	}
	return out
}

func (b *builder) filtersOf(r *raw) (out []filter.Filter) {
	for i, in := range r.Filter {
		key := element("filter", i)
		f := filter.Filter{Name: in.Name, Rules: in.Rules, Drop: in.Otherwise == otherwiseDrop}
		if f.Name == "" {
			b.fail(key+".name", "missing: policies and users name the filter by it")
		}
		if slices.ContainsFunc(out, func(o filter.Filter) bool { return o.Name == f.Name }) {
			b.fail(key+".name", "%q is the name of another filter too", f.Name)
		}
		if in.Otherwise != otherwiseDrop && in.Otherwise != otherwiseAccept {
			b.fail(key+".otherwise", "%q is neither %q nor %q", in.Otherwise, otherwiseDrop, otherwiseAccept)
		}
		if len(f.Rules) > maxRules {
			b.fail(key+".rules", "%d rules are more than %d: each packet is held against them in turn", len(f.Rules), maxRules)
		}
		out = append(out, f)
	}
	return out
}

// maxRules of one filter.
const maxRules = 256

func overlap(a, b []netip.Prefix) bool {
	return slices.ContainsFunc(a, func(p netip.Prefix) bool { return slices.ContainsFunc(b, p.Overlaps) })
}

// policy fills what an entry leaves out from the policy for all, if there is one, and checks the result. mtu is that of
// the TUN interface.
func (b *builder) policy(key string, p rawPolicy, mtu int, all *rawPolicy) Policy {
	if all != nil {
		p = b.inherit(key, p, *all)
	}
	b.servers(key+".dns", p.DNS)
	b.servers(key+".wins", p.WINS)
	if p.MTU < smallestMTU || p.MTU > mtu {
		b.fail(key+".mtu", "%d is not between %d and the MTU of the TUN interface, %d (network.mtu)", p.MTU, smallestMTU, mtu)
	}
	if p.Filter != "" && b.document.Has(key+".filter") && !slices.ContainsFunc(b.filters, func(f filter.Filter) bool { return f.Name == p.Filter }) {
		b.fail(key+".filter", "there is no [[filter]] named %q", p.Filter)
	}
	if len(p.Authentication) == 0 {
		b.fail(key+".authentication", "empty: nobody could log in")
	}
	for i, a := range p.Authentication {
		if p.Encryption != EncryptionRequired || a.GivesKeys() {
			continue
		}
		at := element(key+".authentication", i)
		if !b.document.Has(at) {
			at = key + ".encryption"
		}
		b.fail(at, "%v gives no keys for encryption: with encryption = \"required\" nobody could use it; set encryption = \"preferred\" for this entry, or leave it out", a)
	}
	return policyOf(p)
}

func (b *builder) inherit(key string, p, all rawPolicy) rawPolicy {
	take := func(name string, from func()) {
		if !b.document.Has(key + "." + name) {
			from()
		}
	}
	take("authentication", func() { p.Authentication = all.Authentication })
	take("encryption", func() { p.Encryption = all.Encryption })
	take("dns", func() { p.DNS = all.DNS })
	take("wins", func() { p.WINS = all.WINS })
	take("mtu", func() { p.MTU = all.MTU })
	take("session_time", func() { p.SessionTime = all.SessionTime })
	take("idle_time", func() { p.IdleTime = all.IdleTime })
	take("filter", func() { p.Filter = all.Filter })
	take("rate_in", func() { p.RateIn = all.RateIn })
	take("rate_out", func() { p.RateOut = all.RateOut })
	take("rate_burst", func() { p.RateBurst = all.RateBurst })
	take("set_link_info", func() { p.SetLinkInfo = all.SetLinkInfo })
	return p
}

func (b *builder) servers(key string, servers []conf.Addr) {
	if len(servers) > 2 {
		b.fail(key, "%d addresses: a client can be told two (RFC 1877)", len(servers))
	}
	for i, a := range servers {
		if !a.Is4() || a.IsUnspecified() {
			b.fail(element(key, i), "%v is not an IPv4 address to be told to clients", a)
		}
	}
}

// protocolsOf puts the strongest protocol first, and each once.
func protocolsOf(in []aaa.Protocol) (out []auth.Protocol) {
	for _, a := range in {
		if !slices.Contains(out, a.Protocol) {
			out = append(out, a.Protocol)
		}
	}
	slices.SortFunc(out, func(x, y auth.Protocol) int { return int(y) - int(x) })
	return out
}

// policyOf converts what has been checked.
func policyOf(p rawPolicy) Policy {
	out := Policy{
		Encryption: p.Encryption, MTU: p.MTU, SessionTime: p.SessionTime.Duration, IdleTime: p.IdleTime.Duration,
		Filter: p.Filter, RateIn: p.RateIn.PerSecond, RateOut: p.RateOut.PerSecond, RateBurst: p.RateBurst.Duration,
		SetLinkInfo: p.SetLinkInfo,
	}
	out.Authentication = protocolsOf(p.Authentication)
	for _, a := range p.DNS {
		out.DNS = append(out.DNS, a.Addr)
	}
	for _, a := range p.WINS {
		out.WINS = append(out.WINS, a.Addr)
	}
	return out
}
