package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trunkline.example/pns"
	"trunkline.example/shared/measure"
	"trunkline.example/test/guest"
	"trunkline.example/test/netns"
	"trunkline.example/test/output"
)

// loadNet is where the sessions of `pns load` have their addresses, and loadServer is what they call.
const (
	loadNet    = "198.19.0.0/16"
	loadServer = "198.18.0.1"
	loadPAC    = "198.18.0.2"
	loadUser   = "many"
	slowUser   = "slow" // has 2 Mbit/s
)

// newLoadNet makes two namespaces with a wire between: of a server, and of a generator.
func newLoadNet(t testing.TB) (server, clients *netns.Space) {
	server, clients = netns.New(t), netns.New(t)
	server.Veth("veth0", loadServer+"/30", clients, "veth1", loadPAC+"/30")
	server.Run("ip", "route", "add", loadNet, "via", loadPAC)
	clients.Run("ip", "route", "add", "local", loadNet, "dev", "lo")
	return server, clients
}

// startLoadServer starts a pns with one user at an address, and returns the flag that names its admin socket.
func startLoadServer(t testing.TB, server *netns.Space, address, pac string) (socket string) {
	t.Helper()
	dir := t.TempDir()
	socket = filepath.Join(dir, "pns.sock")
	config := write(t, dir, "pns.toml", `
[[listener]]
address = "`+netip.AddrPortFrom(netip.MustParseAddr(address), 1723).String()+`"
[[pac]]
name = "load"
address = ["`+pac+`"]
[users]
file = "`+write(t, dir, "users.toml", "[[user]]\nname = \""+loadUser+"\"\npassword = \""+password+"\"\n[[user]]\nname = \""+slowUser+"\"\npassword = \""+password+"\"\nrate_in = \"2Mbit/s\"\nrate_out = \"2Mbit/s\"\n")+`"
[admin]
socket = "`+socket+`"
[records]
file = "`+filepath.Join(dir, "records.jsonl")+`"
`)
	startDaemon(t, server, "pns", "run", "--config", config)
	return "--admin=" + socket
}

// runLoad runs `pns load` in a namespace against a server, and returns its report and exit status.
func runLoad(t testing.TB, space *netns.Space, secret, server string, args ...string) (r measure.Report, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := space.Command(ctx, filepath.Join(bin, "pns"), append([]string{"load", server, "--json"}, args...)...)
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(secret+"\n"), &errs
	out, err := cmd.Output()
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) {
		status = ended.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("pns load %q: %v, exit status %d\n%s%s", args, err, status, out, errs.String())
	}
	if strings.Contains(errs.String(), "DATA RACE") {
		t.Errorf("pns load raced:\n%s", errs.String())
	}
	return r, status
}

// The generator against our server: many sessions with MPPE that carry echoes without a loss; a password that is refused; and as a PAC.
func TestLoad(t *testing.T) {
	t.Parallel()
	server, clients := newLoadNet(t)
	startLoadServer(t, server, loadServer, loadPAC)

	r, status := runLoad(t, clients, password, loadServer, "--source", loadNet, "--user", loadUser, "--sessions", "200", "--duration", "3s", "--traffic", "echo", "--size", "600", "--interval", "100ms", "--window", "20", "--timeout", "30s")
	if status != 0 || r.Up != 200 || r.Failed+r.Dropped != 0 {
		t.Fatalf("exit status %d: %+v", status, r)
	}
	if c := r.Traffic; c.Up.Sent < 200*10 || c.Down.Received != c.Up.Sent || c.Down.Lost != 0 || c.Down.Damaged != 0 || c.RoundTrip == nil {
		t.Errorf("traffic: %+v", c)
	}
	if l := r.SetUp.Latency; r.SetUp.PerSecond <= 0 || l.Median <= 0 || l.Median > l.P99 || l.P99 > l.Max {
		t.Errorf("set-up: %+v", r.SetUp)
	}

	r, status = runLoad(t, clients, "wrong", loadServer, "--source", loadNet, "--user", loadUser, "--sessions", "3")
	if status != 1 || r.Failed != 3 || len(r.Failures) != 1 || r.Failures[0].Count != 3 || !strings.Contains(r.Failures[0].Reason, "auth-failed (by peer)") {
		t.Errorf("with a wrong password: exit status %d: %+v", status, r)
	}

	r, status = runLoad(t, clients, password, loadServer, "--source", loadPAC, "--as-pac", "--connections", "2", "--user", loadUser, "--sessions", "100", "--duration", "1s", "--traffic", "echo", "--interval", "100ms", "--window", "20", "--timeout", "30s")
	if c := r.Traffic; status != 0 || r.Up != 100 || c == nil || c.Up.Sent < 100 || c.Down.Received != c.Up.Sent {
		t.Errorf("as a PAC: exit status %d: %+v %+v", status, r, c)
	}
}

// Calls come and go beside others, over IPv6, some without a word, from clients and from a PAC, while pings through all of them go on: none is lost, and
// nothing stays at the server.
func TestLoadChurnOverIPv6(t *testing.T) {
	t.Parallel()
	const address, pac, sources = "2001:db8:18::1", "2001:db8:18::2", "2001:db8:19::/48"
	server, clients := netns.New(t), netns.New(t)
	for _, space := range []*netns.Space{server, clients} {
		space.IPv6()
	}
	server.Veth("veth0", address+"/64", clients, "veth1", pac+"/64")
	clients.Run("ip", "addr", "add", "fe80::2/64", "dev", "veth1") // from which neighbours are asked for on behalf of addresses that are no interface's
	server.Run("ip", "-6", "route", "add", sources, "via", pac)
	clients.Run("ip", "-6", "route", "add", "local", sources, "dev", "lo")
	socket := startLoadServer(t, server, address, pac)
	stop := capture(t, server, "veth0")
	for name, args := range map[string][]string{"clients": {"--source", sources}, "as a PAC": {"--source", pac, "--as-pac"}} {
		r, status := runLoad(t, clients, password, address, append(args, "--user", loadUser, "--sessions", "10", "--duration", "6s", "--churn", "10", "--life", "700ms",
			"--cut", "1", "--seed", "3", "--traffic", "echo", "--interval", "100ms", "--window", "100", "--timeout", "60s", "--size", "1400")...)
		if c := r.Traffic; status != 0 || r.Up != 10 || c == nil || c.ComeAndGo.Up < 3 || c.ComeAndGo.Cut == 0 || c.Up.Sent < 50 || c.Down.Received != c.Up.Sent || c.Down.Lost != 0 {
			t.Fatalf("%s: exit status %d: %+v %+v", name, status, r, c)
		}
		eventually(t, "pns keeps calls or connections", 20*time.Second, func() bool {
			var s pns.Status
			shown(t, &s, "pns", "status", "--json", socket)
			return s.Calls == 0 && s.Connections == 0 && s.Sources == 0 && s.HalfOpen == 0
		})
	}
	onlyIPv6(t, stop("pptp.control_message_type == 4"))
}

// A flood of all that goes, with MPPE, up or down or both ways: the session lives, and the pings after it come back, each of them. So does one that is
// flooded at ten times the rate that its user may have.
func TestFlood(t *testing.T) {
	t.Parallel()
	server, clients := newLoadNet(t)
	startLoadServer(t, server, loadServer, loadPAC)
	startResponder(t, server)
	for _, user := range []string{loadUser, slowUser} {
		for _, shape := range []string{"up", "down", "both"} {
			args := []string{"--source", loadNet, "--user", user, "--flood", shape, "--flood-for", "2s", "--responder", innerAddress + ":5001", "--size", "1000",
				"--traffic", "echo", "--interval", "50ms", "--window", "100", "--timeout", "60s", "--duration", "2s"}
			if user == slowUser { // 2 Mbit/s
				args = append(args, "--flood-datagrams", "2500")
			}
			r, status := runLoad(t, clients, password, loadServer, args...)
			if status != 0 || r.Flood == nil || r.Traffic == nil {
				t.Fatalf("%s, %s: exit status %d: %+v", user, shape, status, r)
			}
			if c := r.Traffic; c.Up.Sent == 0 || c.Down.Received != c.Up.Sent || c.Down.Lost != 0 {
				t.Errorf("%s, after a flood %s: %+v", user, shape, c)
			}
			if f := r.Flood; shape != "down" && f.Up.Received < 100 || shape != "up" && f.Down.Received < 100 || user == slowUser && (f.Up.Mbps > 5 || f.Down.Mbps > 5) {
				t.Errorf("%s, %s: %+v", user, shape, f)
			}
		}
	}
}

// startResponder starts the other end of UDP traffic at the server's inner address.
func startResponder(t testing.TB, server *netns.Space) {
	t.Helper()
	far := &output.Buffer{}
	cmd := server.Command(context.Background(), filepath.Join(bin, "pns"), "load", "respond", innerAddress+":5001")
	cmd.Stdout, cmd.Stderr = far, far
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("pns load respond: %v\n%s", err, far.String())
		}
	})
	await(t, "pns load respond", far.String, "answering on", 10*time.Second)
}

// UDP streams both ways, at a rate that both ends can carry and as fast as they go, through a responder at the server's inner address.
func TestLoadStreams(t *testing.T) {
	t.Parallel()
	server, clients := newLoadNet(t)
	startLoadServer(t, server, loadServer, loadPAC)
	startResponder(t, server)
	streams := func(shape string, args ...string) *measure.Carried {
		t.Helper()
		r, status := runLoad(t, clients, password, loadServer, append([]string{"--source", loadNet, "--user", loadUser, "--sessions", "4", "--duration", "2s", "--traffic", shape, "--responder", innerAddress + ":5001"}, args...)...)
		if status != 0 || r.Traffic == nil {
			t.Fatalf("%s: exit status %d: %+v", shape, status, r)
		}
		return r.Traffic
	}
	for _, shape := range []string{"up", "down", "both"} {
		c := streams(shape, "--datagrams", "50", "--size", "500")
		for name, w := range map[string]measure.Way{"up": c.Up, "down": c.Down} {
			if wanted := shape == name || shape == "both"; wanted && (w.Sent < 100 || w.Lost != 0 || w.Received != w.Sent || w.Mbps <= 0) || !wanted && w.Sent != 0 {
				t.Errorf("%s, %s: %+v", shape, name, w)
			}
		}
	}
	// Saturated, some may be lost, but the tunnels live.
	if c := streams("both"); c.Up.Received < 100 || c.Down.Received < 100 {
		t.Errorf("saturated: %+v", c)
	}
}

// Debian's pptpd and pppd are loaded too. What pptpd loses on a machine that has no time for it is not our business.
func TestLoadPPTPD(t *testing.T) {
	t.Parallel()
	guest.Need(t)
	const sources = "198.18.0.64/28"
	space := netns.New(t)
	space.Bridge("br0", serverAddress+"/24", tap(0))
	space.Run("ip", "route", "add", "local", sources, "dev", "lo")
	x := t.TempDir()
	g := guest.Start(t, guest.Config{NetNS: space.Name, Taps: []string{tap(0)}, Exchange: x, Timeout: 4 * time.Minute}, farPPTPD+"await_file end\n")
	awaitFile(t, g, x, "listening")
	common := []string{"--source", sources, "--user", "alice", "--sessions", "3", "--at-once", "1", "--limit", "60s"}
	r, status := runLoad(t, space, password, farServer, append(common, "--duration", "4s", "--traffic", "echo", "--interval", "200ms", "--window", "20", "--timeout", "20s", "--size", "300")...)
	if c := r.Traffic; status != 0 || r.Up != 3 || c == nil || c.Down.Received < 10 || c.Down.Received+c.Down.Lost != c.Up.Sent || c.Down.Damaged != 0 {
		t.Errorf("exit status %d: %+v %+v", status, r, c)
	}
	r, status = runLoad(t, space, "wrong", farServer, common...)
	// pptpd hangs up when its pppd has ended, now and then before it has passed on pppd's refusal.
	refused := 0
	for _, f := range r.Failures {
		if strings.Contains(f.Reason, "auth-failed (by peer)") {
			refused += f.Count
		} else if !strings.Contains(f.Reason, "transport closed") {
			t.Errorf("with a wrong password: %+v", f)
		}
	}
	if status != 1 || r.Failed != 3 || refused == 0 {
		t.Errorf("with a wrong password: exit status %d: %+v", status, r)
	}
	write(t, x, "end", "now")
	<-g.Done()
	if log := readFile(t, path(x, "pppd.log")); !strings.Contains(log, "MPPE 128-bit stateless compression enabled") || !strings.Contains(log, "the load is over") {
		t.Errorf("pptpd's pppd:\n%s", log)
	}
}
