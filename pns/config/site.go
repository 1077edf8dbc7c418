package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"trunkline.example/pns/aaa"
	"trunkline.example/shared/conf"
	"trunkline.example/shared/ppp/auth"
)

// Site is a remote site that this server calls, where it logs in as a client. Either Server or PAC is set.
type Site struct {
	Name           string
	Server         string     // host:port of a PPTP server that pns connects to itself; empty: PAC dials
	Local          netip.Addr // address to call Server from; invalid: the system chooses
	PAC            string     // name of the PAC that dials Number
	Number         string     // told to Server as well, if not empty
	User           string
	SecretFile     string          // its first line is the password
	Authentication []auth.Protocol // that we are ready to do, strongest first; never empty
	Mutual         bool            // the far end must prove that it knows the password too
	Encryption     Encryption      // of the data
	Address        netip.Addr      // ours on the link, which the far end must accept; invalid: the one it gives us
	Routes         []netip.Prefix  // what lies behind the site: routed to it
	Dial           Dial
	IdleTime       time.Duration // the call ends after this long without data; 0 is never
	MTU            int           // most that we send in one packet, in octets
	PerCall        bool          // the call has a control connection of its own (Server)
	Retry          time.Duration // pause after a call has failed, doubled each time
	RetryMost      time.Duration // at most this
}

// Dial says when a site is called.
type Dial uint8

// The choices.
const (
	DialManual     Dial = iota // by `pns call`
	DialPersistent             // always: again after each end
	DialOnDemand               // when there is a packet for Routes
)

var dialNames = [...]string{"manual", "persistent", "on-demand"}

// String is the name in the configuration.
func (d Dial) String() string {
	if int(d) < len(dialNames) {
		return dialNames[d]
	}
	return fmt.Sprintf("Dial(%d)", uint8(d))
}

// MarshalText gives the name in the configuration.
func (d Dial) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText parses the name in the configuration.
func (d *Dial) UnmarshalText(text []byte) error {
	at := slices.Index(dialNames[:], string(text))
	if at < 0 {
		return fmt.Errorf("%q is none of %q", text, dialNames)
	}
	*d = Dial(at)
	return nil
}

// What a site's calls do with control connections to its server.
const (
	connectionShared  = "shared"
	connectionPerCall = "per-call"
)

// rawSite is a [[site]] as it is written.
type rawSite struct {
	Name           string         `toml:"name"`
	Server         string         `toml:"server,omitempty"`
	Local          *conf.Addr     `toml:"local,omitempty"`
	PAC            string         `toml:"pac,omitempty"`
	Number         string         `toml:"number,omitempty"`
	User           string         `toml:"user"`
	SecretFile     string         `toml:"secret_file"`
	Authentication []aaa.Protocol `toml:"authentication"`
	Mutual         bool           `toml:"mutual"`
	Encryption     Encryption     `toml:"encryption"`
	Address        conf.Addr      `toml:"address"`
	Routes         []conf.Prefix  `toml:"routes"`
	Dial           Dial           `toml:"dial"`
	IdleTime       conf.Duration  `toml:"idle_time"`
	MTU            int            `toml:"mtu"`
	Connection     string         `toml:"connection,omitempty"`
	Retry          conf.Duration  `toml:"retry"`
	RetryMost      conf.Duration  `toml:"retry_most"`
}

// Defaults of a site.
const (
	defaultRetry     = 5 * time.Second
	defaultRetryMost = 5 * time.Minute
	defaultIdle      = 5 * time.Minute // on demand
	shortestRetry    = 100 * time.Millisecond
	// sitesMost bounds the sites: each has a loop of its own.
	sitesMost  = 1024
	pptpPort   = 1723
	nameOctets = 64
)

// siteDefaults fills in what an entry leaves out.
func (b *builder) siteDefaults(key string, s rawSite, mtu int) rawSite {
	give := func(name string, set func()) {
		if !b.document.Has(key + "." + name) {
			set()
		}
	}
	give("authentication", func() { s.Authentication = []aaa.Protocol{{Protocol: auth.MSCHAPv2}} })
	give("mutual", func() { s.Mutual = true })
	give("mtu", func() { s.MTU = mtu })
	give("retry", func() { s.Retry.Duration = defaultRetry })
	give("retry_most", func() { s.RetryMost.Duration = max(defaultRetryMost, s.Retry.Duration) })
	if s.Dial == DialOnDemand {
		give("idle_time", func() { s.IdleTime.Duration = defaultIdle })
	}
	if s.Server != "" {
		give("connection", func() { s.Connection = connectionPerCall })
	}
	return s
}

func (b *builder) sites(r *raw, c *Config) []Site {
	if len(r.Site) > sitesMost {
		b.fail(element("site", sitesMost), "more than %d sites", sitesMost)
		return nil
	}
	var out []Site
	for i := range r.Site {
		key := element("site", i)
		in := b.siteDefaults(key, r.Site[i], r.Network.MTU)
		s := Site{
			Name: in.Name, PAC: in.PAC, Number: in.Number, User: in.User, SecretFile: in.SecretFile, Mutual: in.Mutual, Encryption: in.Encryption,
			Address: in.Address.Addr, Dial: in.Dial, IdleTime: in.IdleTime.Duration, MTU: in.MTU, PerCall: in.Connection == connectionPerCall,
			Retry: in.Retry.Duration, RetryMost: in.RetryMost.Duration, Authentication: protocolsOf(in.Authentication),
		}
		b.siteName(key, s, out)
		s.Server = b.siteFarEnd(key, &in, c)
		if in.Local != nil {
			s.Local = in.Local.Addr
		}
		b.siteLogin(key, &in)
		b.siteLink(key, &in, r.Network.MTU)
		if s.Routes = b.siteRoutes(key, in.Routes, c, out); len(s.Routes) == 0 && s.Dial == DialOnDemand {
			b.fail(key+".routes", "missing: what is to be carried there says when the site is called")
		}
		out = append(out, s)
	}
	return out
}

func (b *builder) siteName(key string, s Site, others []Site) {
	if s.Name == "" || len(s.Name) > nameOctets || strings.ContainsFunc(s.Name, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		b.fail(key+".name", "%q must have 1 to %d octets and no spaces: `pns call` takes it", s.Name, nameOctets)
	}
	for j, other := range others {
		if other.Name == s.Name {
			b.fail(key+".name", "%q is the name of %s too", s.Name, element("site", j))
		}
	}
}

// siteFarEnd checks who is called, and returns the server with its port.
func (b *builder) siteFarEnd(key string, in *rawSite, c *Config) (server string) {
	if len(in.Number) > nameOctets {
		b.fail(key+".number", "longer than %d octets", nameOctets)
	}
	switch {
	case in.Server != "" && in.PAC != "":
		b.fail(key+".server", "either a server is called, or a PAC dials: not both")
	case in.Server == "" && in.PAC == "":
		b.fail(key+".server", "missing: the PPTP server to call, or pac: the PAC that dials the site's number")
	case in.PAC != "":
		if !slices.ContainsFunc(c.PACs, func(p PAC) bool { return p.Name == in.PAC }) {
			b.fail(key+".pac", "there is no [[pac]] %q", in.PAC)
		}
		if in.Number == "" {
			b.fail(key+".number", "missing: what the PAC shall dial")
		}
		if in.Connection != "" {
			b.fail(key+".connection", "has no effect with pac: its control connection is the PAC's own")
		}
		if in.Local != nil {
			b.fail(key+".local", "has no effect with pac: its control connection is the PAC's own")
		}
		return ""
	}
	if l := in.Local; l != nil && l.IsValid() && (l.Is4() == strings.HasPrefix(in.Server, "[") || l.Is4In6() || l.IsUnspecified() || l.IsMulticast()) {
		b.fail(key+".local", "%v is not an address of this host from which the server can be called", l)
	}
	if in.Connection != "" && in.Connection != connectionShared && in.Connection != connectionPerCall {
		b.fail(key+".connection", "%q is neither %q nor %q", in.Connection, connectionShared, connectionPerCall)
	}
	server, err := hostPort(in.Server)
	if err != nil && in.Server != "" {
		b.fail(key+".server", "%w", err)
	}
	return server
}

// hostPort adds PPTP's port to a host that is named without. An IPv6 address stands in brackets, as in what is returned.
func hostPort(text string) (string, error) {
	if rest, ok := strings.CutPrefix(text, "["); ok {
		return hostPort6(text, rest)
	}
	host, port, found := strings.Cut(text, ":")
	if !found {
		port = strconv.Itoa(pptpPort)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || host == "" || strings.ContainsAny(host, " /[]@") {
		return "", fmt.Errorf("%q is not the name or IPv4 address of a host, or an IPv6 address in brackets, with its port if that is not %d", text, pptpPort)
	}
	return host + ":" + port, nil
}

// hostPort6 is hostPort for what begins with a bracket, behind which is rest.
func hostPort6(text, rest string) (string, error) {
	if strings.HasSuffix(rest, "]") {
		text = fmt.Sprintf("%s:%d", text, pptpPort)
	}
	a, err := netip.ParseAddrPort(text)
	if err == nil && a.Port() == 0 {
		err = fmt.Errorf("%q: port 0", text)
	}
	if err == nil {
		err = conf.CheckHost(a.Addr())
	}
	if err == nil && a.Addr().Is4In6() {
		err = fmt.Errorf("%q is the IPv4 address %v", text, a.Addr().Unmap())
	}
	return a.String(), err
}

func (b *builder) siteLogin(key string, in *rawSite) {
	if in.User == "" || len(in.User) > 255 {
		b.fail(key+".user", "missing: the name to log in with at the site, of at most 255 octets")
	}
	if !strings.HasPrefix(in.SecretFile, "/") {
		b.fail(key+".secret_file", "%q is not the absolute path of the file whose first line is the password", in.SecretFile)
	}
	if len(in.Authentication) == 0 {
		b.fail(key+".authentication", "empty: we could not log in")
	}
	for i, a := range in.Authentication {
		at := element(key+".authentication", i)
		switch {
		case a.GivesKeys():
		case in.Encryption == EncryptionRequired:
			b.fail(at, "%v gives no keys for encryption: set encryption = \"preferred\" for this entry, or leave it out", a)
		case in.Mutual:
			b.fail(at, "%v does not prove who the far end is: set mutual = false for this entry, or leave it out", a)
		}
	}
}

func (b *builder) siteLink(key string, in *rawSite, mtu int) {
	if a := in.Address; a.IsValid() && (!a.Is4() || a.As4()[0] == 0 || a.As4()[0] == 127 || a.As4()[0] >= 224) {
		b.fail(key+".address", "%v is no IPv4 address for our end of the link", a)
	}
	if in.MTU < smallestMTU || in.MTU > mtu {
		b.fail(key+".mtu", "%d is not between %d and the MTU of the TUN interface, %d (network.mtu)", in.MTU, smallestMTU, mtu)
	}
	if in.Retry.Duration < shortestRetry {
		b.fail(key+".retry", "%v is shorter than %v", in.Retry, shortestRetry)
	}
	if in.RetryMost.Duration < in.Retry.Duration {
		b.fail(key+".retry_most", "%v is shorter than retry, %v", in.RetryMost, in.Retry)
	}
}

// siteRoutes checks what shall be routed to a site. No two sites may have the same, or part of it: where a packet goes must not depend
// on which of them is up.
func (b *builder) siteRoutes(key string, routes []conf.Prefix, c *Config, others []Site) (out []netip.Prefix) {
	for i, r := range routes {
		at, p := element(key+".routes", i), r.Prefix
		first := p.Addr()
		switch {
		case !first.Is4() || first.As4()[0] == 127 || first.As4()[0] >= 224:
			b.fail(at, "%v is not an IPv4 network that can lie behind a site", p)
		case p.Bits() == 0:
			b.fail(at, "the default route cannot lie behind a site: the tunnel itself would be routed into it")
		case p.Contains(c.Pool.Server) || slices.ContainsFunc(c.Pool.Prefixes, p.Overlaps):
			b.fail(at, "%v overlaps with the pool", p)
		case slices.ContainsFunc(out, p.Overlaps):
			b.fail(at, "%v overlaps with another route of the site", p)
		}
		for j, other := range others {
			if overlap(other.Routes, []netip.Prefix{p}) {
				b.fail(at, "%v overlaps with a route of %s", p, element("site", j))
			}
		}
		out = append(out, p)
	}
	return out
}

func (s Site) raw() rawSite {
	d := func(x time.Duration) conf.Duration { return conf.Duration{Duration: x} }
	r := rawSite{
		Name: s.Name, Server: s.Server, PAC: s.PAC, Number: s.Number, User: s.User, SecretFile: s.SecretFile, Mutual: s.Mutual, Encryption: s.Encryption,
		Address: conf.Addr{Addr: s.Address}, Routes: []conf.Prefix{}, Dial: s.Dial, IdleTime: d(s.IdleTime), MTU: s.MTU, Retry: d(s.Retry), RetryMost: d(s.RetryMost),
	}
	for _, p := range s.Routes {
		r.Routes = append(r.Routes, conf.Prefix{Prefix: p})
	}
	for _, a := range s.Authentication {
		r.Authentication = append(r.Authentication, aaa.Protocol{Protocol: a})
	}
	if s.Server != "" {
		r.Local = &conf.Addr{Addr: s.Local}
		r.Connection = connectionShared
		if s.PerCall {
			r.Connection = connectionPerCall
		}
	}
	return r
}
