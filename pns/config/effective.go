package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/pelletier/go-toml/v2"

	"trunkline.example/pns/aaa"
	"trunkline.example/shared/conf"
)

// Effective renders everything in force as a file that would give the same Config.
func (c *Config) Effective() string {
	text, err := toml.Marshal(c.raw())
	if err != nil { // every value came from a file, or could have
		return fmt.Sprintf("# %v\n", err)
	}
	return string(text)
}

func (c *Config) raw() raw {
	r := raw{Name: c.Name, Limits: rawLimits(c.Limits)}
	for _, l := range c.Listeners {
		r.Listener = append(r.Listener, rawListener{Name: l.Name, Address: conf.AddrPort{AddrPort: l.Address}, rawPolicy: l.Policy.raw()})
	}
	for _, p := range c.PACs {
		out := rawPAC{Name: p.Name, HostName: p.HostName, rawPolicy: p.Policy.raw()}
		for _, a := range p.Addresses {
			out.Address = append(out.Address, conf.Prefix{Prefix: a})
		}
		r.PAC = append(r.PAC, out)
	}
	for _, s := range c.Sites {
		r.Site = append(r.Site, s.raw())
	}
	for _, f := range c.Filters {
		out := rawFilter{Name: f.Name, Rules: f.Rules, Otherwise: otherwiseAccept}
		if f.Drop {
			out.Otherwise = otherwiseDrop
		}
		r.Filter = append(r.Filter, out)
	}
	r.Pool = rawPool{Ranges: c.Pool.Ranges, Server: conf.Addr{Addr: c.Pool.Server}, Rest: conf.Duration{Duration: max(c.Pool.Rest, 0)}}
	u := c.Users
	r.Users = rawUsers{
		File: u.File, KeepDomain: u.KeepNames, Sessions: u.Sessions, WhenExceeded: whenRefuse, Timeout: conf.Duration{Duration: u.Timeout},
		Ban: rawBan{Failures: u.Ban.Failures, Window: conf.Duration{Duration: u.Ban.Window}, Time: conf.Duration{Duration: u.Ban.Time}},
	}
	if u.Replace {
		r.Users.WhenExceeded = whenReplace
	}
	r.Timers = c.Timers.raw()
	n := c.Network
	r.Network = rawNetwork{
		Interface: n.Interface, MTU: n.MTU, Offload: !n.NoOffload, Forwarding: n.Forwarding, Uplinks: n.Uplinks,
		Isolation: n.Isolation, Masquerade: n.Masquerade, ClampMSS: n.ClampMSS, Table: n.Table,
	}
	r.Admin, r.Records, r.Log = c.Admin, c.Records, c.Log
	return r
}

func (p Policy) raw() rawPolicy {
	addresses := func(in []netip.Addr) []conf.Addr {
		out := make([]conf.Addr, len(in))
		for i, a := range in {
			out[i] = conf.Addr{Addr: a}
		}
		return out
	}
	r := rawPolicy{
		Encryption: p.Encryption, DNS: addresses(p.DNS), WINS: addresses(p.WINS), MTU: p.MTU,
		SessionTime: conf.Duration{Duration: p.SessionTime}, IdleTime: conf.Duration{Duration: p.IdleTime},
		Filter: p.Filter, RateIn: conf.BitRate{PerSecond: p.RateIn}, RateOut: conf.BitRate{PerSecond: p.RateOut}, RateBurst: conf.Duration{Duration: p.RateBurst},
		SetLinkInfo: p.SetLinkInfo,
	}
	for _, a := range p.Authentication {
		r.Authentication = append(r.Authentication, aaa.Protocol{Protocol: a})
	}
	return r
}

func (t Timers) raw() rawTimers {
	d := func(x time.Duration) conf.Duration { return conf.Duration{Duration: x} }
	return rawTimers{
		Establish: d(t.Establish), Echo: d(t.Echo), EchoReply: d(t.EchoReply), Reply: d(t.Reply), Call: d(t.Call), Probe: d(t.Probe), Message: d(t.Message),
		Restart: d(t.Restart), Authentication: d(t.Authentication), Encryption: d(t.Encryption), LCPEcho: d(t.LCPEcho),
		LCPEchoFailures: t.LCPEchoFailures, Shutdown: d(t.Shutdown),
	}
}

// NeedsRestart names the tables and keys that differ between two configurations and cannot be changed while running.
func (c *Config) NeedsRestart(next *Config) []string {
	var keys []string
	differ := func(key string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			keys = append(keys, key)
		}
	}
	addresses := func(c *Config) (all []string) {
		for _, l := range c.Listeners {
			all = append(all, l.Name+" "+l.Address.String())
		}
		slices.Sort(all)
		return all
	}
	differ("listener", addresses(c), addresses(next))
	differ("site", c.Sites, next.Sites)
	differ("pool", c.Pool, next.Pool)
	differ("users.file", c.Users.File, next.Users.File)
	differ("users.keep_domain", c.Users.KeepNames, next.Users.KeepNames)
	differ("network", c.Network, next.Network) // with the routes of the sites
	differ("admin", c.Admin, next.Admin)
	differ("records", c.Records, next.Records)
	differ("log.format", c.Log.Format, next.Log.Format)
	differ("log.time", c.Log.Time, next.Log.Time)
	return keys
}
