package hostnet

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"trunkline.example/pns/tun"
	"trunkline.example/test/netns"
)

var update = flag.Bool("update", false, "write the golden files")

var full = Config{
	Interface: "trunk0", MTU: 1400, Address: netip.MustParseAddr("10.97.0.1"), Prefixes: []netip.Prefix{netip.MustParsePrefix("10.97.0.0/16")},
	Forwarding: true, Isolation: true, Masquerade: true, ClampMSS: true,
}

// host is a network namespace with a TUN interface and two others, of which eth1 has no address.
func host(t *testing.T) tun.Device {
	t.Helper()
	netns.Here(t)
	ip(t, "link set lo up")
	for _, name := range []string{"eth0", "eth1"} {
		ip(t, "link add "+name+" type veth peer name far-"+name)
		ip(t, "link set far-"+name+" up")
		ip(t, "link set "+name+" up")
	}
	ip(t, "address add 192.0.2.1/24 dev eth0")
	d, err := tun.Open(tun.Options{Name: "trunk0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func ip(t *testing.T, args string) string {
	t.Helper()
	return command(t, "ip", strings.Fields(args)...)
}

func setup(t *testing.T, c Config, wantWarnings ...string) *Network {
	t.Helper()
	n, warnings, err := Setup(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if len(warnings) != len(wantWarnings) {
		t.Fatalf("warnings %q, want %q", warnings, wantWarnings)
	}
	for i, want := range wantWarnings {
		if !strings.Contains(warnings[i], want) {
			t.Errorf("warning %q does not contain %q", warnings[i], want)
		}
	}
	return n
}

func forwarding(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(sysctlDir, name, "forwarding"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func expectForwarding(t *testing.T, when string, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := forwarding(t, name); got != value {
			t.Errorf("%s: forwarding of %s is %s, want %s", when, name, got, value)
		}
	}
}

func golden(t *testing.T, file string) {
	t.Helper()
	got := command(t, "nft", "list", "table", "inet", "trunkline")
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the table is not %s but\n%s", path, got)
	}
}

func TestTables(t *testing.T) {
	for file, change := range map[string]func(*Config){
		"full.nft":    func(*Config) {},
		"least.nft":   func(c *Config) { c.Isolation, c.Masquerade, c.ClampMSS, c.Forwarding = false, false, false, false },
		"default.nft": func(c *Config) { c.Masquerade = false },
		"ranges.nft": func(c *Config) {
			c.Interface, c.Prefixes, c.Address = "trunk0", []netip.Prefix{netip.MustParsePrefix("10.0.0.16/30"), netip.MustParsePrefix("10.0.0.10/31"),
				netip.MustParsePrefix("10.0.0.12/30"), netip.MustParsePrefix("10.1.0.0/24")}, netip.Addr{}
		},
	} {
		t.Run(file, func(t *testing.T) {
			host(t)
			c := full
			change(&c)
			n := setup(t, c)
			golden(t, file)
			if err := n.Close(); err != nil {
				t.Error(err)
			}
			if got := command(t, "nft", "list", "ruleset"); got != "" {
				t.Errorf("left after Close:\n%s", got)
			}
		})
	}
}

func TestLinkAndRoutes(t *testing.T) {
	host(t)
	before := ip(t, "address show") + ip(t, "route show table all")
	c := full
	c.Routes = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	n := setup(t, c)
	if got := ip(t, "-o link show dev trunk0"); !strings.Contains(got, "mtu 1400") || !strings.Contains(got, "qlen 2048") || !strings.Contains(got, ",UP") {
		t.Errorf("link %s", got)
	}
	if got := ip(t, "-o address show dev trunk0"); !strings.Contains(got, "inet 10.97.0.1/32") || strings.Contains(got, "inet6") {
		t.Errorf("addresses %s", got)
	}
	if got := ip(t, "route show dev trunk0"); got != "10.97.0.0/16 scope link src 10.97.0.1 \n203.0.113.0/24 scope link src 10.97.0.1 \n" {
		t.Errorf("routes %q", got)
	}
	fixed, slow := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("10.97.0.9")
	for range 2 {
		if err := errors.Join(n.AddRoute(fixed), n.AddRouteMTU(slow, 576)); err != nil {
			t.Fatal(err)
		}
	}
	if got := ip(t, "route show dev trunk0"); !strings.Contains(got, "198.51.100.7 scope link src 10.97.0.1 \n") ||
		!strings.Contains(got, "10.97.0.9 scope link src 10.97.0.1 mtu 576 \n") {
		t.Errorf("routes %s", got)
	}
	for range 2 {
		if err := errors.Join(n.RemoveRoute(fixed), n.RemoveRoute(slow)); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	ip(t, "link set trunk0 down")
	ip(t, "link set trunk0 mtu 1500")
	if after := ip(t, "address show") + ip(t, "route show table all"); stripFlags(after) != stripFlags(before) {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
}

// stripFlags leaves out the lines of links, whose flags and queues change.
func stripFlags(s string) string {
	lines := slices.DeleteFunc(strings.Split(s, "\n"), func(l string) bool { return strings.Contains(l, ": <") || strings.Contains(l, "link/none") })
	return strings.Join(lines, "\n")
}

func TestForwardingIsBorrowedPerInterface(t *testing.T) {
	host(t)
	n := setup(t, full)
	expectForwarding(t, "after setup", map[string]string{"all": "0", "default": "0", "lo": "0", "trunk0": "1", "eth0": "1", "eth1": "0"})
	if got := n.Uplinks(); !slices.Equal(got, []string{"eth0"}) {
		t.Errorf("uplinks %q", got)
	}
	// An uplink that gets its address later.
	ip(t, "address add 198.51.100.1/24 dev eth1")
	n.Refresh()
	expectForwarding(t, "after an address came", map[string]string{"all": "0", "eth1": "1"})
	if got := command(t, "nft", "list", "set", "inet", "trunkline", "uplinks"); !strings.Contains(got, `"eth0"`) || !strings.Contains(got, `"eth1"`) {
		t.Errorf("set %s", got)
	}
	ip(t, "link del eth1")
	n.Refresh()
	if got := n.Uplinks(); !slices.Equal(got, []string{"eth0"}) {
		t.Errorf("uplinks %q after eth1 has gone", got)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	expectForwarding(t, "after Close", map[string]string{"all": "0", "eth0": "0"})
}

func TestForwardingOfOthersStays(t *testing.T) {
	host(t)
	ip(t, "address add 198.51.100.1/24 dev eth1")
	command(t, "sysctl", "-qw", "net.ipv4.conf.eth1.forwarding=1")
	n := setup(t, full)
	if got := n.Uplinks(); !slices.Equal(got, []string{"eth0"}) {
		t.Errorf("uplinks %q", got)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	expectForwarding(t, "after Close", map[string]string{"eth0": "0", "eth1": "1"})
	// Somebody makes a router of the host while we run: it stays one, and our rule no longer is in its way.
	n = setup(t, full)
	command(t, "sysctl", "-qw", "net.ipv4.ip_forward=1")
	n.Refresh()
	if got := command(t, "nft", "list", "set", "inet", "trunkline", "uplinks"); strings.Contains(got, "eth0") {
		t.Errorf("set %s", got)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	expectForwarding(t, "after Close of a router", map[string]string{"all": "1", "eth0": "1", "eth1": "1"})
}

func TestNamedUplinks(t *testing.T) {
	host(t)
	c := full
	c.Uplinks = []string{"eth1", "absent0"}
	setup(t, c)
	expectForwarding(t, "after setup", map[string]string{"trunk0": "1", "eth0": "0", "eth1": "1"})
}

func TestNoForwarding(t *testing.T) {
	host(t)
	c := full
	c.Forwarding, c.Masquerade = false, false
	setup(t, c)
	expectForwarding(t, "after setup", map[string]string{"all": "0", "trunk0": "0", "eth0": "0"})
}

// After a crash the table and the forwarding of uplinks are left, the interface has gone.
func TestWhatACrashLeftIsReclaimed(t *testing.T) {
	d := host(t)
	crashed := setup(t, full)
	if err := crashed.AddRoute(netip.MustParseAddr("198.51.100.7")); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := tun.Open(tun.Options{Name: "trunk0"})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	n := setup(t, full)
	golden(t, "full.nft")
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	expectForwarding(t, "after Close", map[string]string{"eth0": "0", "all": "0"})
	if got := command(t, "nft", "list", "ruleset"); got != "" {
		t.Errorf("left after Close:\n%s", got)
	}
}

// A successor takes over an interface that is set up already.
func TestSetupTwice(t *testing.T) {
	host(t)
	setup(t, full)
	setup(t, full)
	golden(t, "full.nft")
}

// Two servers on one host must not share a table: the second would take it from the first.
func TestTableOfAnotherServer(t *testing.T) {
	host(t)
	setup(t, full)
	other, err := tun.Open(tun.Options{Name: "trunk1"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	c := full
	c.Interface, c.Address, c.Prefixes = "trunk1", netip.MustParseAddr("10.98.0.1"), []netip.Prefix{netip.MustParsePrefix("10.98.0.0/16")}
	if _, _, err := Setup(c); err == nil || !strings.Contains(err.Error(), "trunk0") || !strings.Contains(err.Error(), "nftables_table") {
		t.Errorf("error %v", err)
	}
	golden(t, "full.nft")
	c.Table = "second"
	n := setup(t, c)
	golden(t, "full.nft")
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

// What a firewall or a network manager removes when it starts anew is made again.
func TestRefreshRepairs(t *testing.T) {
	host(t)
	var reports []string
	c := full
	c.Report = func(text string) { reports = append(reports, text) }
	n := setup(t, c)
	routes := ip(t, "address show dev trunk0") + ip(t, "route show")
	for _, damage := range [][]string{{"nft", "flush", "ruleset"}, {"nft", "flush", "table", "inet", "trunkline"}, {"nft", "delete", "table", "inet", "trunkline"},
		{"ip", "address", "flush", "dev", "trunk0"}, {"ip", "route", "flush", "dev", "trunk0"}} {
		reports = nil
		command(t, damage[0], damage[1:]...)
		n.Refresh()
		golden(t, "full.nft")
		if got := ip(t, "address show dev trunk0") + ip(t, "route show"); got != routes {
			t.Errorf("%q left\n%s", damage, got)
		}
		if len(reports) != 1 || !strings.Contains(reports[0], "made again") {
			t.Errorf("%q: reports %q", damage, reports)
		}
		if n.Refresh(); len(reports) != 1 {
			t.Errorf("%q: reports %q", damage, reports)
		}
	}
	expectForwarding(t, "at the end", map[string]string{"eth0": "1"})
}

func TestForeignDropPolicyIsReported(t *testing.T) {
	host(t)
	command(t, "nft", "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; };"+
		" add table inet fw; add chain inet fw through { type filter hook forward priority 10; policy drop; };"+
		" add chain inet fw arriving { type filter hook input priority 0; policy drop; }; add chain inet fw good { type filter hook forward priority 5; policy accept; };"+
		" add table ip6 six; add chain ip6 six f { type filter hook forward priority 0; policy drop; }")
	before := command(t, "nft", "list", "ruleset")
	n := setup(t, full, `nft insert rule ip filter FORWARD iifname "trunk0" accept`, `chain "through" in table "inet fw"`)
	// The advice must be good.
	command(t, "nft", `insert rule ip filter FORWARD iifname "trunk0" accept; insert rule ip filter FORWARD oifname "trunk0" ct state established,related accept`)
	command(t, "nft", "flush chain ip filter FORWARD")
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if after := command(t, "nft", "list", "ruleset"); after != before {
		t.Errorf("somebody else's tables changed:\n%s", after)
	}
}

func TestPoolThatIsElsewhere(t *testing.T) {
	host(t)
	ip(t, "route add 10.97.0.0/16 via 192.0.2.9")
	if _, _, err := Setup(full); err == nil || !strings.Contains(err.Error(), "10.97.0.0/16 is routed elsewhere already") {
		t.Fatalf("a pool that is routed elsewhere: %v", err)
	}
	if got := command(t, "nft", "list", "ruleset"); got != "" {
		t.Errorf("left after an error:\n%s", got)
	}
	if got := ip(t, "route show 10.97.0.0/16"); !strings.Contains(got, "via 192.0.2.9") {
		t.Errorf("the route became %q", got)
	}
	if got := ip(t, "-o -4 address show dev trunk0"); got != "" {
		t.Errorf("left after an error: %s", got)
	}
	ip(t, "route del 10.97.0.0/16")
	ip(t, "route add 10.97.5.0/24 via 192.0.2.9")
	setup(t, full, "the pool overlaps with the route to 10.97.5.0/24 through eth0")
}

func TestUnsupported(t *testing.T) {
	for err, want := range map[error]bool{
		fmt.Errorf("conn.Receive: %w", errors.Join(unix.ENOENT, unix.ENOENT)): true, unix.EOPNOTSUPP: true, unix.EPERM: false, unix.EBUSY: false, nil: false,
	} {
		if got := unsupported(err); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestErrors(t *testing.T) {
	host(t)
	c := full
	c.Interface = "absent0"
	if _, _, err := Setup(c); err == nil || !strings.Contains(err.Error(), "absent0") {
		t.Errorf("an interface that is not there: %v", err)
	}
	c = full
	c.MTU = 1 << 20
	if _, _, err := Setup(c); err == nil || !strings.Contains(err.Error(), "MTU 1048576") {
		t.Errorf("an impossible MTU: %v", err)
	}
	if got := command(t, "nft", "list", "ruleset"); got != "" {
		t.Errorf("left after errors:\n%s", got)
	}
}
