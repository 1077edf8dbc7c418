package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trunkline.example/test/daemon"
	"trunkline.example/test/guest"
	"trunkline.example/test/netns"
)

// site is a network with a pns in it, and taps for guests.
type site struct {
	t      testing.TB
	space  *netns.Space
	dir    string // configuration, records, sockets
	config string
	pns    *daemon.Daemon
}

const (
	serverAddress = "198.18.0.1"    // of pns towards its clients
	clientAddress = "198.18.0.2"    // of a guest on the first tap
	innerAddress  = "10.97.0.1"     // of pns inside the tunnels
	hostBehind    = "198.19.0.2"    // of a host behind pns
	password      = "Passw0rd"      // of every user
	wrongPassword = "not-the-right" //
)

// newSite makes a network whose pns listens for guests on the taps; extra is more configuration.
func newSite(t testing.TB, taps int, extra string) *site {
	t.Helper()
	guest.Need(t)
	space := netns.New(t)
	var names []string
	for i := range taps {
		names = append(names, tap(i))
	}
	space.Bridge("br0", serverAddress+"/24", names...)
	return newSiteIn(t, space, extra)
}

// newSiteIn starts a pns in a namespace; extra is more configuration.
func newSiteIn(t testing.TB, space *netns.Space, extra string) *site {
	t.Helper()
	s := &site{t: t, space: space, dir: t.TempDir()}
	s.config = write(t, s.dir, "pns.toml", extra+`
[users]
file = "`+filepath.Join(s.dir, "users.toml")+`"
[admin]
socket = "`+filepath.Join(s.dir, "pns.sock")+`"
[records]
file = "`+s.records()+`"
[log]
level = "debug"
`)
	for _, user := range []string{"alice", "bob"} {
		s.addUser(user)
	}
	s.start()
	return s
}

func tap(i int) string           { return "tap" + string(rune('0'+i)) }
func (s *site) records() string  { return filepath.Join(s.dir, "records.jsonl") }
func (s *site) admin() string    { return "--admin=" + filepath.Join(s.dir, "pns.sock") }
func (s *site) exchange() string { return s.t.TempDir() }

func (s *site) addUser(name string, flags ...string) {
	s.t.Helper()
	args := append([]string{"user", "add", name, "--config", s.config}, flags...)
	if out, err := cli(s.t, password+"\n", "pns", args...); err != nil {
		s.t.Fatalf("pns user add: %v\n%s", err, out)
	}
}

// start starts pns, and a host behind it that serves bulk transfers.
func (s *site) start() {
	s.t.Helper()
	s.pns = startDaemon(s.t, s.space, "pns", "run", "--config", s.config)
}

// record waits for the n-th call record of pns (from 0).
func (s *site) record(n int) map[string]any {
	s.t.Helper()
	return recordOf(s.t, s.records(), n)
}

// recordOf waits for the n-th line of a file of call records.
func recordOf(t testing.TB, file string, n int) map[string]any {
	t.Helper()
	var found map[string]any
	eventually(t, fmt.Sprintf("there is no call record %d", n), 30*time.Second, func() bool {
		data, _ := os.ReadFile(file)
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		if len(lines) <= n || lines[n] == "" {
			return false
		}
		return json.Unmarshal([]byte(lines[n]), &found) == nil
	})
	return found
}

// client defines `dial PASSWORD OPTION...` for a guest: pptp and pppd as user $user, in the background; and `up`, which waits
// for ppp0 or for pppd's end.
const client = bulkScript + `
user=${user:-alice}
eth ${address:-` + clientAddress + `}/24
dial() {
	secrets "$user * $1 *"; shift
	pppd pty "pptp ` + serverAddress + ` --nolaunchpppd" nodetach noauth noipv6 debug user "$user" logfile /xchg/client.log "$@" &
	pid=$!
}
up() { until link_up ppp0; do kill -0 $pid 2> /dev/null || return 1; sleep 0.1; done; }
down() { kill -INT $pid 2> /dev/null || :; wait $pid || echo "pppd ended: $?"; }
`

// run runs a guest on the first tap with the client's functions; the test fails if the script does.
func (s *site) run(exchange, script string) string {
	s.t.Helper()
	out, status := guest.Run(s.t, guest.Config{NetNS: s.space.Name, Taps: []string{tap(0)}, Exchange: exchange}, client+script)
	if status != 0 {
		log, _ := os.ReadFile(path(exchange, "client.log"))
		s.t.Fatalf("the guest's script ended with status %d and printed:\n%s\npppd's log:\n%s", status, out, log)
	}
	return out
}

func contains(t testing.TB, what, text string, all ...string) {
	t.Helper()
	for _, one := range all {
		if !strings.Contains(text, one) {
			t.Errorf("%s does not say %q:\n%s", what, one, text)
		}
	}
}

func clientLog(t testing.TB, exchange string) string {
	t.Helper()
	log, err := os.ReadFile(path(exchange, "client.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

func TestPPTPClient(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, "")
	x := s.exchange()
	data := bulkData()
	writeBulk(t, x, data)
	serveBulk(t, s.space.Listen(innerAddress+":7001"), s.space.Listen(innerAddress+":7002"), data)
	out := s.run(x, `
dial `+password+` require-mppe-128
up
pings `+innerAddress+` 64 1400
bulk `+innerAddress+`
down
`)
	t.Log(out)
	contains(t, "pppd", clientLog(t, x), "CHAP authentication succeeded", "MPPE 128-bit stateless compression enabled", "remote IP address "+innerAddress)
	r := s.record(0)
	if r["user"] != "alice" || r["ended_by"] != "client" || r["kind"] != "direct" || r["encryption"] == "" || r["octets_in"].(float64) < bulkSize {
		t.Errorf("the call record: %v", r)
	}
}

func TestPPTPWrongPassword(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, "")
	x := s.exchange()
	s.run(x, `
dial `+wrongPassword+` require-mppe-128
! up
down
`)
	contains(t, "pppd", clientLog(t, x), "E=691", "CHAP authentication failed")
	if r := s.record(0); r["cause"] != "auth-failed" || r["user"] != "alice" {
		t.Errorf("the call record: %v", r)
	}
	if strings.Contains(s.pns.Log(), wrongPassword) || strings.Contains(s.pns.Log(), password) {
		t.Error("a password is in the log")
	}
}

func TestPAPIsRefusedByDefaultAndAcceptedWhereAllowed(t *testing.T) {
	t.Parallel()
	const pap = "dial " + password + " refuse-chap refuse-mschap refuse-mschap-v2 refuse-eap\n"
	s := newSite(t, 1, "")
	x := s.exchange()
	s.run(x, pap+"! up\ndown\n")
	if r := s.record(0); r["cause"] != "auth-refused" {
		t.Errorf("the call record: %v", r)
	}

	s = newSite(t, 1, `
[policy]
authentication = ["ms-chapv2", "pap"]
encryption = "preferred"
`)
	x = s.exchange()
	s.run(x, pap+"up\npings "+innerAddress+" 64\ndown\n")
	contains(t, "pppd", clientLog(t, x), "PAP authentication succeeded")
	if r := s.record(0); r["login"] != "PAP" || r["encryption"] != nil {
		t.Errorf("the call record: %v", r)
	}
}

// A client that vanishes is noticed, and can come back at once.
func TestPPTPClientKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, `
[timers]
lcp_echo = "2s"
lcp_echo_failures = 2
probe = "2s"
`)
	x := s.exchange()
	g := guest.Start(t, guest.Config{NetNS: s.space.Name, Taps: []string{tap(0)}, Exchange: x}, client+`
dial `+password+` require-mppe-128
up
touch /xchg/up
wait $pid
`)
	eventually(t, "the client is not up", 60*time.Second, func() bool { _, err := os.Stat(path(x, "up")); return err == nil })
	g.Kill()
	if r := s.record(0); r["user"] != "alice" || r["cause"] == "" {
		t.Errorf("the call record: %v", r)
	}
	s.run(s.exchange(), `
dial `+password+` require-mppe-128
up
pings `+innerAddress+` 64
down
`)
}

// After a kill -9 a new pns takes over what the old one left in the kernel, and the client, which notices, can come back.
func TestPNSKilledAndRestarted(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, "")
	x := s.exchange()
	g := guest.Start(t, guest.Config{NetNS: s.space.Name, Taps: []string{tap(0)}, Exchange: x}, client+`
dial `+password+` require-mppe-128
up
touch /xchg/up
wait $pid || :
touch /xchg/gone
until_true 60 test -e /xchg/back
dial `+password+` require-mppe-128
up
pings `+innerAddress+` 64
down
`)
	exists := func(name string) func() bool {
		return func() bool { _, err := os.Stat(path(x, name)); return err == nil }
	}
	eventually(t, "the client is not up", 60*time.Second, exists("up"))
	s.pns.Kill()
	eventually(t, "the client has not noticed", 60*time.Second, exists("gone"))
	s.start()
	write(t, x, "back", "")
	if out, status := g.Wait(t); status != 0 {
		t.Fatalf("the guest's script ended with status %d and printed:\n%s\n%s", status, out, clientLog(t, x))
	}
}
