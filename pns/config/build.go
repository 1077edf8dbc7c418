package config

import (
	"fmt"
	"net/netip"
	"regexp"

	"trunkline.example/pns/addrpool"
	"trunkline.example/pns/hostnet"
	"trunkline.example/shared/conf"
)

func element(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

func (b *builder) pool(r *rawPool) Pool {
	p := Pool{Server: r.Server.Addr}
	if !p.Server.Is4() || p.Server.IsUnspecified() || p.Server.IsMulticast() {
		b.fail("pool.server", "%q is not an IPv4 address for our end of the links", r.Server)
	}
	p.Config = addrpool.Config{Ranges: r.Ranges, Exclude: []netip.Addr{p.Server}, Rest: r.Rest.Duration}
	if p.Rest == 0 {
		p.Rest = -1 // none; to the pool itself 0 means its default
	}
	good := true
	for i, one := range r.Ranges {
		switch {
		case !one.First.Is4():
			b.fail(element("pool.ranges", i), "%v is not IPv4", one)
			good = false
		case one.First.As4()[0] == 0 || one.Last.As4()[0] >= 224:
			b.fail(element("pool.ranges", i), "%v holds addresses that are not for hosts", one)
			good = false
		default:
			p.Prefixes = append(p.Prefixes, prefixes(one)...)
		}
	}
	if !good {
		return p
	}
	if _, err := addrpool.New(p.Config); err != nil {
		b.fail("pool.ranges", "%w", err)
	}
	return p
}

// prefixes covers a range of IPv4 addresses exactly.
func prefixes(r conf.Range) []netip.Prefix {
	var out []netip.Prefix
	for first := r.First; ; {
		bits := 32
		for bits > 0 {
			wider := netip.PrefixFrom(first, bits-1)
			if wider.Masked().Addr() != first || r.Last.Less(conf.Last(wider)) {
				break
			}
			bits--
		}
		p := netip.PrefixFrom(first, bits)
		out = append(out, p)
		if conf.Last(p) == r.Last {
			return out
		}
		first = conf.Last(p).Next()
	}
}

func (b *builder) users(r *rawUsers) Users {
	if r.File == "" {
		b.fail("users.file", "missing")
	}
	if r.WhenExceeded != whenRefuse && r.WhenExceeded != whenReplace {
		b.fail("users.when_exceeded", "%q is neither %q nor %q", r.WhenExceeded, whenRefuse, whenReplace)
	}
	b.atLeast("users.sessions", r.Sessions, 0)
	b.atLeast("users.ban.failures", r.Ban.Failures, 0)
	b.positive("users.timeout", r.Timeout)
	if r.Ban.Failures > 0 {
		b.positive("users.ban.window", r.Ban.Window)
		b.positive("users.ban.time", r.Ban.Time)
	}
	return Users{
		File: r.File, KeepNames: r.KeepDomain, Sessions: r.Sessions, Replace: r.WhenExceeded == whenReplace, Timeout: r.Timeout.Duration,
		Ban: Ban{Failures: r.Ban.Failures, Window: r.Ban.Window.Duration, Time: r.Ban.Time.Duration},
	}
}

func (b *builder) atLeast(key string, n, least int) {
	if n < least {
		b.fail(key, "%d is less than %d", n, least)
	}
}

func (b *builder) positive(key string, d conf.Duration) {
	if d.Duration <= 0 {
		b.fail(key, "must be longer than 0")
	}
}

func (b *builder) limits(r *rawLimits) Limits {
	for _, l := range []struct {
		key string
		n   int
	}{
		{"connections", r.Connections}, {"connections_per_source", r.ConnectionsPerSource}, {"half_open_calls", r.HalfOpen},
		{"half_open_calls_per_source", r.HalfOpenPerSource}, {"sessions", r.Sessions}, {"calls_per_connection", r.CallsPerConnection},
		{"messages_per_second", r.MessagesPerSecond}, {"messages_burst", r.MessagesBurst}, {"messages_per_second_per_source", r.MessagesPerSecondPerSource},
	} {
		b.atLeast("limits."+l.key, l.n, 0)
	}
	return Limits(*r)
}

func (b *builder) timers(r *rawTimers) Timers {
	for _, t := range []struct {
		key string
		d   conf.Duration
	}{
		{"establish", r.Establish}, {"echo", r.Echo}, {"echo_reply", r.EchoReply}, {"reply", r.Reply}, {"call", r.Call}, {"probe", r.Probe}, {"message", r.Message},
		{"restart", r.Restart}, {"authentication", r.Authentication}, {"encryption", r.Encryption}, {"lcp_echo", r.LCPEcho}, {"shutdown", r.Shutdown},
	} {
		b.positive("timers."+t.key, t.d)
	}
	b.atLeast("timers.lcp_echo_failures", r.LCPEchoFailures, 1)
	return Timers{
		Establish: r.Establish.Duration, Echo: r.Echo.Duration, EchoReply: r.EchoReply.Duration, Reply: r.Reply.Duration,
		Call: r.Call.Duration, Probe: r.Probe.Duration, Message: r.Message.Duration, Restart: r.Restart.Duration, Authentication: r.Authentication.Duration,
		Encryption: r.Encryption.Duration, LCPEcho: r.LCPEcho.Duration, LCPEchoFailures: r.LCPEchoFailures, Shutdown: r.Shutdown.Duration,
	}
}

var (
	interfaceName = regexp.MustCompile(`^[A-Za-z0-9_.%-]{1,15}$`)
	tableName     = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,30}$`)
)

func (b *builder) network(r *rawNetwork) Network {
	if !interfaceName.MatchString(r.Interface) {
		b.fail("network.interface", "%q is no name for an interface: 1 to 15 letters, digits, or any of _ . -", r.Interface)
	}
	for i, name := range r.Uplinks {
		if !interfaceName.MatchString(name) || name == r.Interface {
			b.fail(element("network.uplinks", i), "%q is no name of another interface", name)
		}
	}
	if r.MTU < 576 || r.MTU > 1500 {
		b.fail("network.mtu", "%d is not between 576 and 1500", r.MTU)
	}
	if !tableName.MatchString(r.Table) {
		b.fail("network.nftables_table", "%q is no name for a table: letters, digits and _", r.Table)
	}
	if r.Masquerade && !r.Forwarding {
		b.fail("network.masquerade", "has no effect without network.forwarding")
	}
	return Network{
		Config: hostnet.Config{
			Interface: r.Interface, MTU: r.MTU, Forwarding: r.Forwarding, Uplinks: r.Uplinks, Isolation: r.Isolation,
			Masquerade: r.Masquerade, ClampMSS: r.ClampMSS, Table: r.Table,
		},
		NoOffload: !r.Offload,
	}
}
