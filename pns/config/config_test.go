package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trunkline.example/shared/conf"
	"trunkline.example/shared/ppp/auth"
)

var compare = []cmp.Option{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Transformer("empty", func(s []string) []string { return append([]string{}, s...) }),
	cmp.Transformer("empty", func(s []netip.Addr) []netip.Addr { return append([]netip.Addr{}, s...) }),
}

func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("pns.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultsAreSecure(t *testing.T) {
	c := Default()
	if len(c.Listeners) != 1 || c.Listeners[0].Address.String() != "0.0.0.0:1723" || len(c.PACs) != 0 {
		t.Fatalf("listeners %+v, PACs %+v", c.Listeners, c.PACs)
	}
	p := c.Listeners[0].Policy
	if !reflect.DeepEqual(p.Authentication, []auth.Protocol{auth.MSCHAPv2}) || p.Encryption != EncryptionRequired || p.MTU != 1400 {
		t.Errorf("policy %+v", p)
	}
	if !c.Network.Isolation || c.Network.Masquerade || !c.Network.Forwarding || !c.Network.ClampMSS || c.Network.NoOffload {
		t.Errorf("network %+v", c.Network)
	}
	if c.Admin.Mode != 0o660 || c.Users.Ban.Failures == 0 || c.Limits.HalfOpenPerSource == 0 || c.Limits.MessagesPerSecond == 0 {
		t.Errorf("admin %+v, users %+v, limits %+v", c.Admin, c.Users, c.Limits)
	}
	if c.Network.Address != c.Pool.Server || fmt.Sprint(c.Network.Prefixes) != "[10.97.0.0/16]" || fmt.Sprint(c.Pool.Exclude) != "[10.97.0.1]" {
		t.Errorf("pool %+v, network %+v", c.Pool, c.Network)
	}
	if c.Timers.Echo != time.Minute || c.Timers.LCPEcho != 30*time.Second || c.Timers.LCPEchoFailures != 4 || c.Timers.Call != 2*time.Minute {
		t.Errorf("timers %+v", c.Timers)
	}
}

// The sample shows every key, with the value that holds without it.
func TestSampleIsTheDefault(t *testing.T) {
	file := filepath.Join("..", "..", "etc", "pns.toml")
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.File = file
	if d := cmp.Diff(want, c, compare...); d != "" {
		t.Error(d)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range regexp.MustCompile(`(?m)^(\w+) =`).FindAllStringSubmatch(want.Effective(), -1) {
		if !regexp.MustCompile(`(?m)^#?` + key[1] + ` = `).Match(data) {
			t.Errorf("the sample does not show %s", key[1])
		}
	}
	uncommented := regexp.MustCompile(`(?m)^#(\w+ =|\[\[)`).ReplaceAllString(string(data), "$1")
	if c, err := Parse(file, []byte(uncommented)); err != nil || len(c.PACs) != 1 || len(c.Sites) != 2 || c.Name != "pns.example.net" {
		t.Errorf("with everything that is commented out: %v", err)
	}
}

const rich = `
name = "here"
[policy]
dns = ["192.0.2.53", "192.0.2.54"]
session_time = "8h"
[[filter]]
name = "guests"
rules = ["drop tcp port 25", "accept out host 192.0.2.0/24 client-port 1-1023"]
[[filter]]
name = "open"
rules = []
otherwise = "accept"
[[listener]]
address = "192.0.2.1:1723"
filter = "guests"
[[listener]]
name = "inside"
address = ":1724"
authentication = ["PAP", "chapmd5", "MS-CHAPv2", "pap"]
encryption = "preferred"
dns = []
[[pac]]
name = "bank"
address = "192.0.2.7"
host_name = "bank.example"
encryption = "none"
mtu = 576
idle_time = "10m"
[[pac]]
name = "others"
address = ["192.0.2.0/24", "198.51.100.1"]
[[site]]
name = "branch"
pac = "bank"
number = "5550199"
user = "us"
secret_file = "/etc/branch"
authentication = ["pap", "ms-chapv2"]
encryption = "preferred"
mutual = false
address = "192.0.2.9"
routes = ["172.16.0.0/16", "203.0.113.9"]
dial = "persistent"
idle_time = "5m"
retry = "10m"
[[site]]
name = "office"
server = "vpn.example.net"
user = "them"
secret_file = "/etc/office"
dial = "on-demand"
routes = ["192.0.2.128/25"]
[pool]
ranges = ["10.0.0.10-10.0.0.20", "10.1.0.0/24"]
server = "10.0.0.10"
rest = "0"
[users]
when_exceeded = "replace"
sessions = 1
keep_domain = true
[network]
interface = "ppp%d"
uplinks = ["eth0", "eth1"]
masquerade = true
isolation = false
offload = false
[admin]
group = "operators"
mode = "0600"
[records]
file = ""
sync = "2s"
[log]
level = "debug"
format = "json"
time = false
`

func TestEveryPartReachesTheConfig(t *testing.T) {
	c := parse(t, rich)
	outside, inside := c.Listeners[0], c.Listeners[1]
	if outside.Name != "192.0.2.1:1723" || inside.Name != "inside" || inside.Address.String() != "0.0.0.0:1724" {
		t.Errorf("listeners %+v", c.Listeners)
	}
	if len(outside.Policy.DNS) != 2 || len(inside.Policy.DNS) != 0 || inside.Policy.SessionTime != 8*time.Hour {
		t.Errorf("policies %+v and %+v", outside.Policy, inside.Policy)
	}
	if want := []auth.Protocol{auth.MSCHAPv2, auth.CHAPMD5, auth.PAP}; !reflect.DeepEqual(inside.Policy.Authentication, want) {
		t.Errorf("authentication %v, want the strongest first, each once", inside.Policy.Authentication)
	}
	bank, others := c.PACs[0], c.PACs[1]
	if bank.Policy.MTU != 576 || bank.Policy.Encryption != EncryptionNone || bank.Policy.IdleTime != 10*time.Minute || bank.HostName != "bank.example" {
		t.Errorf("bank %+v", bank)
	}
	if others.Policy.Encryption != EncryptionRequired || others.Policy.MTU != 1400 || fmt.Sprint(others.Addresses) != "[192.0.2.0/24 198.51.100.1/32]" {
		t.Errorf("others %+v", others)
	}
	guests, open := c.Filter("guests"), c.Filter("open")
	if outside.Policy.Filter != "guests" || inside.Policy.Filter != "" || len(guests.Rules) != 2 || !guests.Drop || guests.Rules[0].String() != "drop tcp port 25" || open.Drop || c.Filter("") != nil {
		t.Errorf("filters %+v", c.Filters)
	}
	branch, office := c.Sites[0], c.Sites[1]
	if branch.Retry != 10*time.Minute || branch.RetryMost != branch.Retry || branch.Authentication[0] != auth.MSCHAPv2 || branch.Mutual || branch.Dial != DialPersistent ||
		fmt.Sprint(branch.Routes) != "[172.16.0.0/16 203.0.113.9/32]" || branch.MTU != 1400 || branch.PerCall || fmt.Sprint(c.Network.Routes) != "[172.16.0.0/16 203.0.113.9/32 192.0.2.128/25]" {
		t.Errorf("branch %+v", branch)
	}
	if office.Server != "vpn.example.net:1723" || !office.PerCall || !office.Mutual || office.Encryption != EncryptionRequired || office.Dial != DialOnDemand || office.IdleTime != 5*time.Minute || office.Address.IsValid() {
		t.Errorf("office %+v", office)
	}
	if got := fmt.Sprint(c.Network.Prefixes); got != "[10.0.0.10/31 10.0.0.12/30 10.0.0.16/30 10.0.0.20/32 10.1.0.0/24]" {
		t.Errorf("prefixes %s", got)
	}
	if c.Pool.Rest >= 0 || !c.Users.Replace || !c.Users.KeepNames || c.Users.Sessions != 1 || c.Records.Sync.Duration != 2*time.Second || c.Admin.Mode != 0o600 {
		t.Errorf("%+v", c)
	}
}

func TestEffectiveGivesTheSameConfig(t *testing.T) {
	for name, text := range map[string]string{"defaults": "", "rich": rich} {
		c := parse(t, text)
		again, err := Parse("pns.toml", []byte(c.Effective()))
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, c.Effective())
		}
		if d := cmp.Diff(c, again, compare...); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// Every key of the file can be set, and to something else than its default: none is forgotten on the way.
func TestEveryKeyMatters(t *testing.T) {
	base := parse(t, "policy = { encryption = \"preferred\", mtu = 900 }\n[[filter]]\nname = \"f\"\nrules = [\"accept\"]\n[[filter]]\nname = \"g\"\n[[listener]]\naddress = \"192.0.2.1:1\"\n[[pac]]\nname = \"p\"\naddress = \"192.0.2.7\"\n"+
		"[[site]]\nname = \"s\"\nserver = \"192.0.2.8\"\nuser = \"u\"\nsecret_file = \"/s\"\nencryption = \"preferred\"\nnumber = \"1\"\nmutual = false\nmtu = 900\n")
	table := ""
	seen := 0
	for _, line := range strings.Split(base.Effective(), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			table = line
			continue
		}
		key, value, ok := strings.Cut(line, " = ")
		if !ok {
			continue
		}
		seen++
		other := otherValue(table, key, value)
		text := replaceIn(base.Effective(), table, line, key+" = "+other)
		c, err := Parse("pns.toml", []byte(text))
		if err != nil {
			t.Errorf("%s %s: %v", table, line, err)
			continue
		}
		if cmp.Equal(base, c, compare...) {
			t.Errorf("%s %s: %s changes nothing", table, key, other)
		}
	}
	if seen < 81 {
		t.Errorf("only %d keys", seen)
	}
}

// replaceIn replaces the first such line after the header of its table.
func replaceIn(text, table, line, with string) string {
	if table == "" {
		return strings.Replace(text, line, with, 1)
	}
	head, tail, _ := strings.Cut(text, table+"\n")
	return head + table + "\n" + strings.Replace(tail, line, with, 1)
}

func otherValue(table, key, value string) string {
	switch {
	case table == "[timers]" && key != "lcp_echo_failures":
		return `"17s"`
	case value == "true":
		return "false"
	case key == "masquerade":
		return "true"
	case value == "false":
		return "true"
	case key == "mtu":
		return "1000"
	}
	if other, ok := map[string]string{
		"server": `"192.0.2.9:1"`, "local": `"192.0.2.1"`, "address": `"192.0.2.1"`, "dial": `"persistent"`, "connection": `"shared"`, "routes": `["192.0.2.0/24"]`, "number": `"2"`,
		"user": `"x"`, "secret_file": `"/x"`, "retry_most": `"17m"`,
	}[key]; ok && table == "[[site]]" {
		return other
	}
	special := map[string]string{
		"address": `"198.51.100.1:2"`, "authentication": `["ms-chapv2", "pap"]`, "encryption": `"required"`,
		"dns": `["192.0.2.3"]`, "wins": `["192.0.2.3"]`, "ranges": `["10.0.0.0/24"]`, "server": `"10.0.0.9"`, "when_exceeded": `"replace"`,
		"uplinks": `["eth0"]`, "mode": `"0600"`, "level": `"warn"`, "format": `"json"`, "socket": `"/run/x"`, "file": `"/x"`, "name": `"x"`,
		"interface": `"x0"`, "nftables_table": `"x"`, "group": `"x"`, "host_name": `"x"`,
		"rules": `["drop"]`, "otherwise": `"accept"`, "filter": `"g"`,
		"rate_in": `"10Mbit/s"`, "rate_out": `"10Mbit/s"`,
	}
	if v, ok := special[key]; ok {
		if key == "address" && strings.HasPrefix(value, "[") {
			return `["198.51.100.1"]`
		}
		return v
	}
	if strings.HasPrefix(value, "'") {
		return `"17s"`
	}
	return "17"
}

// site is a table of a site, in which some keys are missing.
func site(more string) string { return "[[site]]\nname = \"s\"\nserver = \"h\"\n" + more }

func TestErrorsNameTheirPlace(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"listen = 1", `pns.toml:1:1: listen: unknown key (did you mean "listener"?)`},
		{"[limits]\nsesions = 1", `pns.toml:2:1: limits.sesions: unknown key (did you mean "sessions"?)`},
		{"[[listener]]\naddress = \"0.0.0.0\"", `pns.toml:2:1: listener[0].address: "0.0.0.0" is not an IP address with a port`},
		{"[[listener]]\nname = \"x\"", `pns.toml:1:3: listener[0].address: missing`},
		{"[[listener]]\naddress = \"[fe80::1]:1723\"", `pns.toml:2:1: listener[0].address: fe80::1 is an address on one link: the name of the interface is missing`},
		{"[[listener]]\naddress = \"[ff02::1%eth0]:1723\"", `listener[0].address: ff02::1%eth0 is not the address of a host`},
		{"[[listener]]\naddress = \"[::]:0\"", `listener[0].address: port 0`},
		{"[[listener]]\naddress = \"0.0.0.0:1\"\n[[listener]]\naddress = \"[::ffff:0.0.0.0]:1\"", `listener[1]: has the name or the address of listener[0]`},
		{"[[listener]]\naddress = \":1\"\n[[listener]]\naddress = \":1\"", `pns.toml:3:3: listener[1]: has the name or the address of listener[0]`},
		{"[policy]\nauthentication = [\"pap\"]", `pns.toml:2:19: policy.authentication[0]: PAP gives no keys for encryption`},
		{"[policy]\nauthentication = []", `pns.toml:2:1: policy.authentication: empty`},
		{"[policy]\nauthentication = [\"ms-chapv1\"]", `MS-CHAPv1 is not supported: choose among "ms-chapv2", "chap-md5", "pap"`},
		{"[policy]\nauthentication = [\"spam\"]", `"spam" is no authentication protocol`},
		{"[policy]\nencryption = \"maybe\"", `"maybe" is none of "required", "preferred", "none"`},
		{"[policy]\nauthentication = [\"pap\"]\nencryption = \"none\"\n[[pac]]\nname = \"x\"\naddress = \"192.0.2.1\"\nencryption = \"required\"",
			`pns.toml:7:1: pac[0].encryption: PAP gives no keys`},
		{"[policy]\ndns = [\"192.0.2.1\", \"::1\", \"192.0.2.3\"]", "policy.dns: 3 addresses"},
		{"[policy]\nmtu = 1401", "pns.toml:2:1: policy.mtu: 1401 is not between 128 and the MTU of the TUN interface, 1400"},
		{"[policy]\nmtu = \"1400\"", "policy.mtu: 1400 must be a whole number, not a string"},
		{"[[pac]]\naddress = \"192.0.2.1\"", "pac[0].name: missing"},
		{"[[pac]]\nname = \"x\"\nhost_name = \"y\"", "pac[0].address: missing: a PAC is known by where it connects from"},
		{"[[pac]]\nname = \"x\"\naddress = \"192.0.2.0/24\"\n[[pac]]\nname = \"y\"\naddress = \"192.0.2.1\"\nhost_name = \"z\"", "pns.toml:6:1: pac[1].address: overlaps with that of pac[0]"},
		{"[[pac]]\nname = \"x\"\naddress = \"192.0.2.1/24\"", `"192.0.2.1/24" has host bits set: the prefix is "192.0.2.0/24"`},
		{"[policy]\nfilter = \"x\"", `pns.toml:2:1: policy.filter: there is no [[filter]] named "x"`},
		{"[[listener]]\naddress = \":1\"\nfilter = \"x\"\n[[filter]]\nname = \"y\"", `pns.toml:3:1: listener[0].filter: there is no`},
		{"[[filter]]\nrules = []", `filter[0].name: missing`},
		{"[[filter]]\nname = \"a\"\n[[filter]]\nname = \"a\"", `pns.toml:4:1: filter[1].name: "a" is the name of another`},
		{"[[filter]]\nname = \"a\"\notherwise = \"pass\"", `filter[0].otherwise: "pass" is neither "drop" nor "accept"`},
		{"[[filter]]\nname = \"a\"\nrules = [\"accept\", \"deny\"]", `pns.toml:3:20: filter[0].rules[1]: "deny" does not begin with "accept" or "drop"`},
		{"[[filter]]\nname = \"a\"\nrules = [" + strings.Repeat("\"drop\",", 257) + "]", `filter[0].rules: 257 rules are more than 256`},
		{site(``), `pns.toml:1:3: site[0].user: missing`},
		{"[[site]]\nname = \"a b\"", `pns.toml:2:1: site[0].name: "a b" must have 1 to 64 octets and no spaces`},
		{"[[site]]\nname = \"a\"", `pns.toml:1:3: site[0].server: missing: the PPTP server to call, or pac`},
		{site("number = \"1\"\npac = \"x\"\n"), `site[0].server: either a server is called, or a PAC dials`},
		{"[[site]]\npac = \"x\"", `pns.toml:2:1: site[0].pac: there is no [[pac]] "x"`},
		{"[[site]]\npac = \"x\"", `site[0].number: missing: what the PAC shall dial`},
		{"[[site]]\npac = \"x\"\nconnection = \"shared\"", `pns.toml:3:1: site[0].connection: has no effect with pac`},
		{site("connection = \"one\"\n"), `site[0].connection: "one" is neither "shared" nor "per-call"`},
		{"[[site]]\nserver = \"::1\"", `pns.toml:2:1: site[0].server: "::1" is not the name or IPv4 address of a host, or an IPv6 address in brackets`},
		{"[[site]]\nserver = \"[::1]:0\"", `site[0].server: "[::1]:0": port 0`},
		{"[[site]]\nserver = \"[::]\"", `site[0].server: :: is not the address of a host`},
		{"[[site]]\nserver = \"[fe80::1]\"", `site[0].server: fe80::1 is an address on one link`},
		{"[[site]]\nserver = \"[::ffff:192.0.2.1]\"", `site[0].server: "[::ffff:192.0.2.1]:1723" is the IPv4 address 192.0.2.1`},
		{"[[site]]\nserver = \"[x\"", `site[0].server: `},
		{"[[site]]\npac = \"x\"\nlocal = \"192.0.2.1\"", `pns.toml:3:1: site[0].local: has no effect with pac`},
		{site("local = \"::1\"\n"), `pns.toml:4:1: site[0].local: ::1 is not an address of this host from which the server can be called`},
		{"[[site]]\nserver = \"[2001:db8::1]\"\nlocal = \"192.0.2.1\"", `pns.toml:3:1: site[0].local: 192.0.2.1 is not an address of this host from which`},
		{"[[site]]\nserver = \"a:0\"", `"a:0" is not the name or IPv4 address`},
		{site("number = \"" + strings.Repeat("1", 65) + "\"\n"), `site[0].number: longer than 64 octets`},
		{site("secret_file = \"x\"\n"), `site[0].secret_file: "x" is not the absolute path`},
		{site("authentication = []\n"), `site[0].authentication: empty`},
		{site("authentication = [\"pap\"]\n"), `site[0].authentication[0]: PAP gives no keys`},
		{site("authentication = [\"pap\"]\nencryption = \"none\"\n"), `site[0].authentication[0]: PAP does not prove who the far end is`},
		{site("address = \"::1\"\n"), `site[0].address: ::1 is no IPv4 address`},
		{site("mtu = 1500\n"), `site[0].mtu: 1500 is not between 128 and`},
		{site("dial = \"often\"\n"), `site[0].dial: "often" is none of`},
		{site("dial = \"on-demand\"\n"), `site[0].routes: missing: what is to be carried there`},
		{site("retry = \"1ms\"\n"), `site[0].retry: 1ms is shorter than 100ms`},
		{site("retry = \"1m\"\nretry_most = \"1s\"\n"), `site[0].retry_most: 1s is shorter than retry, 1m`},
		{site("routes = [\"0.0.0.0/0\"]\n"), `site[0].routes[0]: the default route cannot lie behind a site`},
		{site("routes = [\"::/64\"]\n"), `site[0].routes[0]: ::/64 is not an IPv4 network`},
		{site("routes = [\"10.96.0.0/15\"]\n"), `site[0].routes[0]: 10.96.0.0/15 overlaps with the pool`},
		{site("routes = [\"192.0.2.0/24\", \"192.0.2.1\"]\n"), `site[0].routes[1]: 192.0.2.1/32 overlaps with another route of the site`},
		{site("routes = [\"192.0.2.0/24\"]\n") + site("routes = [\"192.0.2.1\"]\n"), `site[1].routes[0]: 192.0.2.1/32 overlaps with a route of site[0]`},
		{site("") + site(""), `site[1].name: "s" is the name of site[0] too`},
		{"[pool]\nranges = [\"fd00::/64\"]", "pns.toml:2:11: pool.ranges[0]: fd00::/64 is not IPv4"},
		{"[pool]\nranges = [\"10.0.0.0/24\", \"10.0.0.7\"]", "pool.ranges: address pool: 10.0.0.1-10.0.0.254 and 10.0.0.7-10.0.0.7 overlap"},
		{"[pool]\nranges = [\"230.0.0.0/24\"]", "not for hosts"},
		{"[pool]\nserver = \"\"", "pool.server"},
		{"[pool]\nrest = 60", "pool.rest: 60 must be a string in quotes"},
		{"[users]\nwhen_exceeded = \"kick\"", `users.when_exceeded: "kick" is neither "refuse" nor "replace"`},
		{"[users.ban]\nfailures = 3\ntime = \"0\"", "users.ban.time: must be longer than 0"},
		{"[limits]\nsessions = -1", "limits.sessions: -1 is less than 0"},
		{"[timers]\necho = \"0\"", "timers.echo: must be longer than 0"},
		{"[timers]\necho = \"60\"", `"60" is not a duration`},
		{"[timers]\nlcp_echo_failures = 0", "timers.lcp_echo_failures: 0 is less than 1"},
		{"[network]\nmtu = 70000", "network.mtu: 70000 is not between 576 and 1500"},
		{"[network]\ninterface = \"a/b\"", "network.interface"},
		{"[network]\nuplinks = [\"trunk0\"]", "network.uplinks[0]"},
		{"[network]\nnftables_table = \"a b\"", "network.nftables_table"},
		{"[network]\nforwarding = false\nmasquerade = true", "pns.toml:3:1: network.masquerade"},
		{"[admin]\nmode = \"0666\"", "would let everybody control the daemon"},
		{"[admin]\nmode = \"9\"", "admin.mode"},
		{"[admin]\nsocket = \"x.sock\"", "not an absolute path"},
		{"[log]\nlevel = \"loud\"", "log.level"},
		{"[log]\nformat = \"xml\"", "log.format"},
		{"name = \"\"", "pns.toml:1:1: name"},
		{"name = ", "pns.toml:1:"},
		{"name = \"a\"\nname = \"b\"", "pns.toml:2:1"},
	} {
		_, err := Parse("pns.toml", []byte(c.text))
		var all conf.Errors
		if !errors.As(err, &all) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "pns.toml:") {
			t.Errorf("%q:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestIPv6OnTheOutside(t *testing.T) {
	for server, want := range map[string]string{
		"[2001:db8::1]": "[2001:db8::1]:1723", "[2001:db8::1]:5": "[2001:db8::1]:5", "[fe80::1%eth0]": "[fe80::1%eth0]:1723", "h": "h:1723", "192.0.2.1:5": "192.0.2.1:5",
	} {
		if got, err := hostPort(server); got != want || err != nil {
			t.Errorf("server %s: %s, %v; want %s", server, got, err, want)
		}
	}
	c, err := Parse("", []byte(`
[[listener]]
address = "0.0.0.0:1723"
[[listener]]
address = "[::]:1723"
[[listener]]
address = "[fe80::1%eth0]:1724"
[[pac]]
name = "p"
address = ["2001:db8:1::/48", "2001:db8::5", "fe80::/10"]
`))
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("", []byte(c.Effective()))
	if err != nil || len(c.Listeners) != 3 || c.Listeners[1].Name != "[::]:1723" || again.Effective() != c.Effective() {
		t.Errorf("%+v, and again %+v, %v", c, again, err)
	}
}

func TestNeedsRestart(t *testing.T) {
	a := parse(t, rich)
	live := parse(t, strings.Replace(strings.Replace(rich, "mtu = 576", "mtu = 600", 1), "sessions = 1", "sessions = 2", 1))
	if got := a.NeedsRestart(live); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := a.NeedsRestart(Default()); !reflect.DeepEqual(got, []string{"listener", "site", "pool", "users.keep_domain", "network", "admin", "records", "log.format", "log.time"}) {
		t.Errorf("%v", got)
	}
}

func TestLoadOfNoFile(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if c, err := Load(""); err != nil || c.File != "" {
		t.Error(c, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(rich))
	f.Add([]byte("[[pac]]\nname = 1\n[pac.x]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("pns.toml", data)
		if err != nil {
			return
		}
		if _, err := Parse("pns.toml", []byte(c.Effective())); err != nil {
			t.Errorf("effective text does not parse: %v\n%s", err, c.Effective())
		}
	})
}
