package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trunkline.example/pns"
	"trunkline.example/test/guest"
)

// The far end of a call that pns makes: pptpd in a guest, which calls itself farAddress and gives out addresses that begin with
// givenAddress: several, since one that has just been given back is not free at once.
const (
	farServer    = "198.18.0.2"
	farAddress   = "10.55.0.1"
	givenAddress = "10.55.0.2"
)

// farPPTPD starts pptpd in a guest and waits until it listens; `cut` in the exchange directory makes it drop its call.
const farPPTPD = bulkScript + `
eth ` + farServer + `/24
secrets "alice pptpd ` + password + ` *"
cat > /tmp/options <<-END
	name pptpd
	refuse-pap
	refuse-chap
	refuse-mschap
	require-mschap-v2
	require-mppe-128
	noipv6
	novj
	lock
	debug
	logfile /xchg/pppd.log
END
printf '%s\n' 'option /tmp/options' 'localip ` + farAddress + `' 'remoteip ` + givenAddress + `00-209' > /tmp/pptpd.conf
pptpd -f -c /tmp/pptpd.conf > /xchg/pptpd.log 2>&1 &
until_true 20 grep -q ':06BB .* 0A ' /proc/net/tcp
touch /xchg/listening
await_file() { until_true 100 test -s "/xchg/$1"; }
`

// siteSecret writes the password of a site.
func siteSecret(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// shown is what `pns sites` says of a site.
func (s *site) shownSite(name string) pns.SiteInfo {
	s.t.Helper()
	var all []pns.SiteInfo
	out, err := cli(s.t, "", "pns", "sites", "--json", s.admin())
	if err == nil {
		err = json.Unmarshal([]byte(out), &all)
	}
	if err != nil {
		s.t.Fatalf("pns sites: %v\n%s", err, out)
	}
	for _, one := range all {
		if one.Name == name {
			return one
		}
	}
	s.t.Fatalf("there is no site %q: %s", name, out)
	return pns.SiteInfo{}
}

// awaitSite waits until a site has had so many calls, and is in that phase.
func (s *site) awaitSite(name string, calls int, phase string) pns.SiteInfo {
	s.t.Helper()
	var i pns.SiteInfo
	eventually(s.t, "site "+name+" is not "+phase, 90*time.Second, func() bool {
		i = s.shownSite(name)
		return i.Calls == calls && i.Phase == phase
	})
	return i
}

// answers waits until somebody answers a ping from the server's host.
func (s *site) answers(address string) {
	s.t.Helper()
	eventually(s.t, "nobody answers at "+address, time.Minute, func() bool {
		return s.space.Command(s.t.Context(), "ping", "-q", "-c", "1", "-W", "1", address).Run() == nil
	})
}

// pingFrom sends twenty pings of each size from the server's host, of which none may be lost. pptpd loses some on a machine that has no time
// for it: then another series may do better.
func (s *site) pingFrom(address string, sizes ...string) {
	s.t.Helper()
	s.answers(address)
	for _, size := range sizes {
		eventually(s.t, "no twenty pings of "+size+" octets in a row are answered", time.Minute, func() bool {
			out, err := s.space.Command(s.t.Context(), "ping", "-q", "-c", "20", "-i", "0.2", "-W", "5", "-s", size, address).CombinedOutput()
			return err == nil && strings.Contains(string(out), "20 received, 0% packet loss")
		})
	}
}

// callsFar is the configuration of a site that calls farServer, and again whenever it is down.
func callsFar(t testing.TB) string {
	t.Helper()
	return `
[[site]]
name = "far"
server = "` + farServer + `"
user = "alice"
secret_file = "` + siteSecret(t) + `"
routes = ["` + farAddress + `"]
dial = "persistent"
retry = "200ms"
retry_most = "1s"
`
}

// pns calls pptpd: before it is there, again when either side has ended the call, and not after an operator has hung up.
func TestCallsPPTPD(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, callsFar(t))
	eventually(t, "no call has failed", 30*time.Second, func() bool { return s.shownSite("far").Failures > 0 })
	x := s.exchange()
	g := guest.Start(t, guest.Config{NetNS: s.space.Name, Taps: []string{tap(0)}, Exchange: x, Timeout: 4 * time.Minute}, farPPTPD+`
await_file ping
until_true 60 pings "$(cat /xchg/ping)" 64
until_true 60 pings "$(cat /xchg/ping)" 1400
touch /xchg/pinged
await_file cut
pkill -TERM pppd
await_file end
`)
	awaitFile(t, g, x, "listening")
	i := s.awaitSite("far", 1, "up")
	if !strings.HasPrefix(i.Address, givenAddress) || i.FarEnd != farAddress {
		t.Errorf("the site: %+v", i)
	}
	s.pingFrom(farAddress, "64", "1400")
	write(t, x, "ping", i.Address)
	awaitFile(t, g, x, "pinged")

	write(t, x, "cut", "now") // the far end hangs up
	if r := s.record(0); r["site"] != "far" || r["kind"] != "outgoing" || r["user"] != "alice" || r["login"] != "MS-CHAPv2" || r["encryption"] != "MPPE-128 stateless" ||
		r["ended_by"] != "client" || r["packets_in"].(float64) < 80 {
		t.Errorf("the first call's record: %v", r)
	}
	i = s.awaitSite("far", 2, "up")
	s.answers(farAddress)
	if out, err := cli(t, "", "pns", "kick", s.admin(), "alice"); err != nil { // we do, and the site is called again
		t.Errorf("pns kick: %v\n%s", err, out)
	}
	s.awaitSite("far", 3, "up")
	s.answers(farAddress)
	if out, err := cli(t, "", "pns", "hangup", s.admin(), "far"); err != nil {
		t.Errorf("pns hangup: %v\n%s", err, out)
	}
	i = s.awaitSite("far", 3, "idle")
	if !i.RetryAt.IsZero() || !strings.Contains(i.LastEnd, "hung up by the operator") {
		t.Errorf("after pns hangup: %+v", i)
	}
	if out, err := s.space.Command(t.Context(), "ping", "-c", "1", "-W", "5", farAddress).CombinedOutput(); err == nil || !strings.Contains(string(out), "Unreachable") {
		t.Errorf("ping of a site that is down: %v\n%s", err, out)
	}
	if out, err := cli(t, "", "pns", "call", s.admin(), "far"); err != nil || !strings.Contains(out, farAddress) {
		t.Errorf("pns call: %v\n%s", err, out)
	}
	s.answers(farAddress)
	if out, err := cli(t, "", "pns", "hangup", s.admin(), "far"); err != nil {
		t.Errorf("pns hangup: %v\n%s", err, out)
	}
	s.awaitSite("far", 4, "idle")
	write(t, x, "end", "now")
	if out, status := g.Wait(t); status != 0 {
		t.Fatalf("the guest ended with %d:\n%s\n%s", status, out, readFile(t, path(x, "pppd.log")))
	}
	contains(t, "pppd", readFile(t, path(x, "pppd.log")), "MPPE 128-bit stateless compression enabled", "remote IP address "+givenAddress, "LCP terminated by peer")
	if strings.Contains(s.pns.Log(), password) {
		t.Error("the password is in the log")
	}
}

// pns calls a server whose data path is the Linux kernel's own, as accel-ppp's is, and calls it again when either side has ended the call.
func TestCallsKernelPPTP(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, callsFar(t))
	x := s.exchange()
	g := guest.Start(t, guest.Config{NetNS: s.space.Name, Taps: []string{tap(0)}, Exchange: x, Timeout: 4 * time.Minute}, bulkScript+`
modprobe pptp
eth `+farServer+`/24
secrets "alice far `+password+` *"
pppd plugin `+kernelPlugin(t)+` kpptp-listen `+farServer+` `+farAddress+`:`+givenAddress+`00 name far auth require-mschap-v2 require-mppe-128 \
	nodetach noipv6 novj persist holdoff 1 debug logfile /xchg/pppd.log &
until_true 100 test -e /xchg/cut
pkill -HUP pppd
until_true 100 test -e /xchg/end
kill $!
wait $! || echo "pppd ended: $?"
`)
	i := s.awaitSite("far", 1, "up")
	if i.Address != givenAddress+"00" || i.FarEnd != farAddress {
		t.Errorf("the site: %+v", i)
	}
	s.pingFrom(farAddress, "64", "1400")
	if out, err := cli(t, "", "pns", "kick", s.admin(), "alice"); err != nil {
		t.Errorf("pns kick: %v\n%s", err, out)
	}
	if r := s.record(0); r["site"] != "far" || r["encryption"] != "MPPE-128 stateless" || r["ended_by"] != "operator" || r["packets_in"].(float64) < 40 {
		t.Errorf("the first call's record: %v", r)
	}
	s.awaitSite("far", 2, "up")
	s.answers(farAddress)
	write(t, x, "cut", "now") // the far end hangs up
	if r := s.record(1); r["ended_by"] != "client" {
		t.Errorf("the second call's record: %v", r)
	}
	s.awaitSite("far", 3, "up")
	s.answers(farAddress)
	write(t, x, "end", "now")
	if out, status := g.Wait(t); status != 0 {
		t.Fatalf("the guest ended with %d:\n%s\n%s", status, out, readFile(t, path(x, "pppd.log")))
	}
	contains(t, "pppd", readFile(t, path(x, "pppd.log")), "MPPE 128-bit stateless compression enabled", "kpptp: Call-Clear-Request")
}

// A packet for a network behind a modem has pac dial it: a pppd that wants to know who calls. Without traffic the call ends, and the next
// packet dials again.
func TestDialOnDemand(t *testing.T) {
	t.Parallel()
	b := newBank(t, 1, 115200, `
[[site]]
name = "village"
pac = "bank"
number = "2001"
user = "alice"
secret_file = "`+siteSecret(t)+`"
routes = ["10.66.0.0/24"]
dial = "on-demand"
idle_time = "5s"
`)
	const answer = `
secrets "alice village ` + password + ` *"
touch /xchg/ready
pppd /dev/ttyS0 115200 nodetach auth require-mschap-v2 refuse-pap refuse-chap refuse-mschap require-mppe-128 noipv6 novj debug name village \
	10.66.0.1:10.66.0.77 logfile /xchg/client0.log connect "chat -v -s TIMEOUT 120 '' ATZ OK '\c' RING ATA CONNECT ''" || echo "pppd ended: $?"
`
	for n := 1; n <= 2; n++ {
		round, x := fmt.Sprint(n), b.exchangeDir()
		g := b.dialing(x, 1, answer)
		awaitFile(t, g, x, "ready")
		b.awaitIdle()
		if i := b.shownSite("village"); i.Phase != "idle" || i.Calls != n-1 || i.Forwarded.Held != uint64(n-1) {
			t.Errorf("before call %d: %+v", n, i)
		}
		contains(t, "the first ping of call "+round, b.space.Run("ping", "-q", "-c", "1", "-W", "60", "10.66.0.1"), "1 received, 0% packet loss")
		i := b.awaitSite("village", n, "up")
		if i.Address != "10.66.0.77" || i.FarEnd != "10.66.0.1" {
			t.Errorf("call %d: %+v", n, i)
		}
		b.pingFrom("10.66.0.1", "64", "1400")
		if i = b.awaitSite("village", n, "idle"); !strings.Contains(i.LastEnd, "no data for 5s") || i.Failures != 0 {
			t.Errorf("after call %d: %+v", n, i)
		}
		if r := b.record(n - 1); r["site"] != "village" || r["pac"] != "bank" || r["kind"] != "outgoing" || r["cause"] != "idle" || r["dialed"] != "2001" || r["encryption"] != "MPPE-128 stateless" {
			t.Errorf("pns's record of call %d: %v", n, r)
		}
		if r := b.pacRecord(n - 1); r["kind"] != "outgoing" || r["line"] != "line1" || r["dialed"] != "2001" {
			t.Errorf("pac's record of call %d: %v", n, r)
		}
		if out, status := g.Wait(t); status != 0 {
			t.Fatalf("the guest of call %d ended with %d:\n%s", n, status, out)
		}
		contains(t, "pppd in call "+round, readFile(t, path(x, "client0.log")), "sent [CHAP Success", "MPPE 128-bit stateless compression enabled",
			"remote IP address 10.66.0.77", "LCP terminated by peer")
	}
}
