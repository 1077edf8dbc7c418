package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trunkline.example/pns"
	"trunkline.example/test/guest"
)

// kernelPlugin builds pppd's plugin test/kpptp, with which the data path is the kernel's own.
func kernelPlugin(t testing.TB) string {
	t.Helper()
	plugin := filepath.Join(t.TempDir(), "kpptp.so")
	source := filepath.Join("..", "kpptp", "kpptp.c")
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", plugin, source).CombinedOutput(); err != nil {
		t.Fatalf("gcc (with Debian's ppp-dev) on %s: %v\n%s", source, err, out)
	}
	return plugin
}

// kernelClient returns a guest's functions: those of client, and `kernel PASSWORD OPTION...`, which is as `dial` but that the data path is the guest
// kernel's own.
func kernelClient(t testing.TB) string {
	t.Helper()
	return client + `
modprobe pptp
kernel() {
	secrets "$user * $1 *"; shift
	pppd plugin ` + kernelPlugin(t) + ` kpptp-server ` + serverAddress + ` nodetach noauth noipv6 debug user "$user" logfile /xchg/client.log "$@" &
	pid=$!
}
`
}

// The kernel's own PPTP and MPPE: a call that the client ends, one that pns's operator ends, and one that ends with pns.
func TestKernelPPTPClient(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, "[timers]\necho = \"1s\"\necho_reply = \"5s\"\n")
	x := s.exchange()
	data := bulkData()
	writeBulk(t, x, data)
	serveBulk(t, s.space.Listen(innerAddress+":7001"), s.space.Listen(innerAddress+":7002"), data)
	g := guest.Start(t, guest.Config{NetNS: s.space.Name, Taps: []string{tap(0)}, Exchange: x}, kernelClient(t)+`
kernel `+password+` require-mppe-128
up
pings `+innerAddress+` 64 1400
bulk `+innerAddress+`
down
mv /xchg/client.log /xchg/first.log
for end in kick stop; do
	kernel `+password+` require-mppe-128
	up
	pings `+innerAddress+` 64
	touch /xchg/$end
	wait $pid || echo "pppd ended: $?"
	mv /xchg/client.log /xchg/$end.log
done
`)
	awaitFile(t, g, x, "kick")
	first := readFile(t, path(x, "first.log"))
	contains(t, "the first pppd", first, "CHAP authentication succeeded", "MPPE 128-bit stateless compression enabled", "remote IP address "+innerAddress,
		"kpptp: the server has stopped the control connection when told to")
	if r := s.record(0); r["user"] != "alice" || r["ended_by"] != "client" || r["kind"] != "direct" || r["encryption"] == "" || r["octets_in"].(float64) < bulkSize {
		t.Errorf("the first call record: %v", r)
	}
	if out, err := cli(t, "", "pns", "kick", s.admin(), "alice"); err != nil {
		t.Errorf("pns kick: %v\n%s", err, out)
	}
	awaitFile(t, g, x, "stop")
	contains(t, "the kicked pppd", readFile(t, path(x, "kick.log")), "LCP terminated by peer", "kpptp: hangup: the server has disconnected the call")
	if r := s.record(1); r["ended_by"] != "operator" {
		t.Errorf("the second call record: %v", r)
	}
	s.pns.Stop()
	if out, status := g.Wait(t); status != 0 {
		t.Fatalf("the guest ended with %d:\n%s\n%s", status, out, clientLog(t, x))
	}
	contains(t, "pppd, when pns ends,", readFile(t, path(x, "stop.log")), "kpptp: hangup: ")
	contains(t, "pns's log", s.pns.Log(), "Call-Clear-Request: PNS Call ID", "Echo-Reply")
}

// router is a guest's script: a NAT router between eth0, where its clients are, and eth1, with the kernel's helper for PPTP.
const router = `
modprobe nf_nat_pptp
ip addr add 198.18.64.1/24 dev eth0
ip addr add 198.18.0.9/24 dev eth1
ip link set eth0 up
ip link set eth1 up
sysctl -qw net.ipv4.ip_forward=1
iptables-legacy -t raw -A PREROUTING -p tcp --dport 1723 -j CT --helper pptp
iptables-legacy -t nat -A POSTROUTING -o eth1 -j MASQUERADE
touch /xchg/ready
until_true 220 test -e /xchg/done
`

// Two clients behind one Linux NAT have chosen the same Call ID: its helper gives them different ones towards pns, and neither notices.
func TestClientsBehindNATWithOneCallID(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, "")
	s.space.Bridge("inside", "", tap(1), tap(2), tap(3))
	outside := s.exchange()
	nat := guest.Start(t, guest.Config{Name: "router", NetNS: s.space.Name, Taps: []string{tap(1), tap(0)}, Exchange: outside, Timeout: 4 * time.Minute}, router)
	awaitFile(t, nat, outside, "ready")
	script := kernelClient(t) + `
ip route add ` + serverAddress + ` via 198.18.64.1
kernel ` + password + ` require-mppe-128 kpptp-call-id 7
up
touch /xchg/up
until_true 60 test -e /xchg/go
pings ` + innerAddress + ` 64 1400
[ -z "$first" ] || { down; exit; }
until_true 60 test -e /xchg/alone
pings ` + innerAddress + ` 64
down
`
	start := func(user, address, tap, first string) (*guest.Guest, string) {
		x := s.exchange()
		return guest.Start(t, guest.Config{Name: user, NetNS: s.space.Name, Taps: []string{tap}, Exchange: x,
			Env: map[string]string{"user": user, "address": address, "first": first}}, script), x
	}
	alice, ax := start("alice", "198.18.64.2", tap(2), "yes")
	bob, bx := start("bob", "198.18.64.3", tap(3), "")
	awaitFile(t, alice, ax, "up")
	awaitFile(t, bob, bx, "up")

	var sessions []pns.SessionInfo
	shown(t, &sessions, "pns", "sessions", "--json", s.admin())
	if len(sessions) != 2 || sessions[0].PNSCallID == sessions[1].PNSCallID {
		t.Errorf("two clients with one Call ID are not two for pns: %+v", sessions)
	}
	for _, one := range sessions {
		if !strings.HasPrefix(one.Peer, "198.18.0.9:") {
			t.Errorf("the client is at %s, not behind the router", one.Peer)
		}
	}
	write(t, ax, "go", "")
	write(t, bx, "go", "")
	if out, status := alice.Wait(t); status != 0 {
		t.Fatalf("alice ended with %d:\n%s\n%s", status, out, clientLog(t, ax))
	}
	write(t, bx, "alone", "")
	if out, status := bob.Wait(t); status != 0 {
		t.Fatalf("bob ended with %d:\n%s\n%s", status, out, clientLog(t, bx))
	}
	for _, x := range []string{ax, bx} {
		contains(t, "pppd", clientLog(t, x), "kpptp: call 7 here", "MPPE 128-bit stateless compression enabled")
	}
	write(t, outside, "done", "")
	if out, status := nat.Wait(t); status != 0 {
		t.Errorf("the router ended with %d:\n%s", status, out)
	}
}
