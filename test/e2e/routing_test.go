package e2e

import (
	"strings"
	"testing"
	"time"

	"trunkline.example/test/guest"
	"trunkline.example/test/netns"
)

// behind adds a network with one host behind pns. The host has no route to the clients.
func (s *site) behind() {
	s.t.Helper()
	host := netns.New(s.t)
	s.space.Veth("up0", "198.19.0.1/24", host, "host0", hostBehind+"/24")
}

// Clients reach what lies behind pns with its address, what they may not do is refused, and nothing of it stays in the kernel.
func TestMasqueradeIsSetUpAndReclaimed(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, `
[network]
masquerade = true
uplinks = ["up0"]
`)
	s.pns.Stop()
	s.behind()
	s.start()
	const reach = `
dial ` + password + ` require-mppe-128
up
ip route add ` + hostBehind + ` dev ppp0
pings ` + hostBehind + ` 64 1300
# A packet that does not fit and must not be cut is answered with the size that would.
! ping -c 2 -W 2 -M do -s 1390 ` + hostBehind + ` > /xchg/toobig 2>&1
# Nobody behind pns sees another address than the one that was leased.
ip addr add 10.66.0.1/32 dev lo
! ping -c 2 -W 1 -I 10.66.0.1 ` + hostBehind + ` > /dev/null 2>&1
down
`
	x := s.exchange()
	s.run(x, reach)
	if log := readFile(t, path(x, "toobig")); !strings.Contains(log, "mtu") && !strings.Contains(log, "too long") {
		t.Errorf("ping of 1390 octets that must not be cut:\n%s", log)
	}
	if r := s.record(0); !strings.Contains(strings.Join(keys(r["errors"]), " "), "filtered") {
		t.Errorf("packets with a forged address were not counted: %v", r)
	}
	contains(t, "nft", s.space.Run("nft", "list", "ruleset"), "table inet trunkline", "masquerade")
	s.pns.Kill()
	s.start()
	s.run(s.exchange(), reach)
	s.pns.Stop()
	if rules := s.space.Run("nft", "list", "ruleset"); strings.Contains(rules, "trunkline") {
		t.Errorf("left behind:\n%s", rules)
	}
	if links := s.space.Run("ip", "-o", "link"); strings.Contains(links, "trunk0") {
		t.Errorf("left behind:\n%s", links)
	}
	if on := strings.TrimSpace(s.space.Run("cat", "/proc/sys/net/ipv4/conf/up0/forwarding")); on != "0" {
		t.Errorf("forwarding of up0 is left at %s", on)
	}
}

func keys(m any) (all []string) {
	if m, ok := m.(map[string]any); ok {
		for k := range m {
			all = append(all, k)
		}
	}
	return all
}

// A network behind a client is reached from the server's side, and from nowhere once the client is gone.
func TestNetworkBehindAClient(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, "")
	s.addUser("branch", "--routes", "192.168.77.0/24")
	x := s.exchange()
	g := guest.Start(t, guest.Config{NetNS: s.space.Name, Taps: []string{tap(0)}, Exchange: x}, client+`
user=branch
ip addr add 192.168.77.1/24 dev lo
dial `+password+` require-mppe-128
up
touch /xchg/up
until_true 60 test -e /xchg/pinged
down
`)
	awaitFile(t, g, x, "up")
	contains(t, "ping from the server's side", s.space.Run("ping", "-q", "-c", "10", "-i", "0.2", "-W", "5", "192.168.77.1"), "10 received, 0% packet loss")
	out, err := cli(t, "", "pns", "sessions", "-v", s.admin())
	if err != nil {
		t.Error(err)
	}
	contains(t, "pns sessions -v", out, "192.168.77.0/24")
	write(t, x, "pinged", "")
	if out, status := g.Wait(t); status != 0 {
		t.Fatalf("the guest ended with %d:\n%s", status, out)
	}
	eventually(t, "the route stays", 20*time.Second, func() bool {
		return !strings.Contains(s.space.Run("ip", "route"), "192.168.77.0/24")
	})
}

// Two clients cannot reach each other, unless pns is told that they may.
func TestClientsAreKeptApart(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, config, probe string }{
		{"by default", "", "! ping -c 3 -i 0.2 -W 1 $other"},
		{"unless allowed", "[network]\nisolation = false\n", "pings $other 64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, 2, test.config)
			x := s.exchange()
			start := func(n int, user, address, script string) *guest.Guest {
				return guest.Start(t, guest.Config{
					Name: user, NetNS: s.space.Name, Taps: []string{tap(n)}, Exchange: x, Env: map[string]string{"user": user, "address": address},
				}, client+"dial "+password+" require-mppe-128 unit 0\nup\nip route add 10.97.0.0/16 dev ppp0\n"+script)
			}
			bob := start(1, "bob", "198.18.0.4", `
ip -4 -o addr show dev ppp0 | sed 's/.*inet \([0-9.]*\).*/\1/' > /xchg/bob.new; mv /xchg/bob.new /xchg/bob
until_true 90 test -e /xchg/done
down
`)
			awaitFile(t, bob, x, "bob")
			alice := start(0, "alice", "198.18.0.2", `
other=$(cat /xchg/bob)
`+test.probe+`
down
`)
			out, status := alice.Wait(t)
			write(t, x, "done", "")
			if status != 0 {
				t.Errorf("alice's guest ended with %d:\n%s", status, out)
			}
			if out, status := bob.Wait(t); status != 0 {
				t.Errorf("bob's guest ended with %d:\n%s", status, out)
			}
			eventually(t, "there are sessions left", 20*time.Second, func() bool {
				out, err := cli(t, "", "pns", "sessions", "--json", s.admin())
				return err == nil && strings.TrimSpace(out) == "[]"
			})
		})
	}
}
