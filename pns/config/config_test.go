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
	if c, err := Parse(file, []byte(uncommented)); err != nil || len(c.PACs) != 1 || c.Name != "pns.example.net" {
		t.Errorf("with everything that is commented out: %v", err)
	}
}

const rich = `
name = "here"
[policy]
dns = ["192.0.2.53", "192.0.2.54"]
session_time = "8h"
[[listener]]
address = "192.0.2.1:1723"
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
	base := parse(t, "policy = { encryption = \"preferred\", mtu = 900 }\n[[listener]]\naddress = \"192.0.2.1:1\"\n[[pac]]\nname = \"p\"\naddress = \"192.0.2.7\"\n")
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
	if seen < 60 {
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
	special := map[string]string{
		"address": `"198.51.100.1:2"`, "authentication": `["ms-chapv2", "pap"]`, "encryption": `"required"`,
		"dns": `["192.0.2.3"]`, "wins": `["192.0.2.3"]`, "ranges": `["10.0.0.0/24"]`, "server": `"10.0.0.9"`, "when_exceeded": `"replace"`,
		"uplinks": `["eth0"]`, "mode": `"0600"`, "level": `"warn"`, "format": `"json"`, "socket": `"/run/x"`, "file": `"/x"`, "name": `"x"`,
		"interface": `"x0"`, "nftables_table": `"x"`, "group": `"x"`, "host_name": `"x"`,
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

func TestErrorsNameTheirPlace(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"listen = 1", `pns.toml:1:1: listen: unknown key (did you mean "listener"?)`},
		{"[limits]\nsesions = 1", `pns.toml:2:1: limits.sesions: unknown key (did you mean "sessions"?)`},
		{"[[listener]]\naddress = \"0.0.0.0\"", `pns.toml:2:1: listener[0].address: "0.0.0.0" is not an IP address with a port`},
		{"[[listener]]\nname = \"x\"", `pns.toml:1:3: listener[0].address: missing`},
		{"[[listener]]\naddress = \"[::1]:1723\"", `listener[0].address: [::1]:1723 is not IPv4`},
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

func TestNeedsRestart(t *testing.T) {
	a := parse(t, rich)
	live := parse(t, strings.Replace(strings.Replace(rich, "mtu = 576", "mtu = 600", 1), "sessions = 1", "sessions = 2", 1))
	if got := a.NeedsRestart(live); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := a.NeedsRestart(Default()); !reflect.DeepEqual(got, []string{"listener", "pool", "users.keep_domain", "network", "admin", "records", "log.format", "log.time"}) {
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
