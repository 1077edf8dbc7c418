package e2e

import (
	"fmt"
	"strings"
	"testing"

	"trunkline.example/pns"
	"trunkline.example/test/netns"
)

// onlyIPv6 checks that no control message and no GRE packet has gone over IPv4.
func onlyIPv6(t testing.TB, file string) {
	t.Helper()
	for _, other := range tshark(t, file, "(pptp || gre) && eth.type != 0x86dd") {
		t.Errorf("not over IPv6: %s", other)
	}
}

// A pppd dials in, and its call goes from pac to pns over IPv6.
func TestDialInOverIPv6(t *testing.T) {
	t.Parallel()
	b := newBankOn(t, overIPv6, 1, 115200, "", exchangeLine)
	b.pac.Kill()
	stop := capture(t, b.space, "lo")
	b.startPAC()
	x := b.exchangeDir()
	g := b.dialing(x, 1, `
call 0 1000 `+password+` require-mppe-128
up ppp0
pings `+innerAddress+` 64 1400
touch /xchg/up
until_true 120 test -e /xchg/seen
down
`)
	awaitFile(t, g, x, "up")
	if out, err := cli(t, "", "pns", "sessions", b.admin()); err != nil || !strings.Contains(out, "["+overIPv6.pac+"]:") {
		t.Errorf("pns sessions: %v\n%s", err, out)
	}
	for _, size := range []string{"64", "1400"} {
		out := b.space.Run("ping", "-q", "-c", "20", "-i", "0.2", "-W", "5", "-s", size, "10.97.0.2")
		contains(t, "ping from the server's side", out, "20 received, 0% packet loss")
	}
	write(t, x, "seen", "")
	if out, status := g.Wait(t); status != 0 {
		t.Fatalf("the guest ended with %d:\n%s\n%s", status, out, readFile(t, path(x, "client0.log")))
	}
	if r := b.record(0); r["peer"] != overIPv6.pac || r["pac"] != "bank" || r["ended_by"] != "client" || r["encryption"] != "MPPE-128 stateless" {
		t.Errorf("the call record: %v", r)
	}
	b.awaitIdle()
	b.pac.Stop()
	file := stop("pptp.control_message_type == 4")
	judge(t, file, "1", "2", "3", "4", "9", "10", "11", "13", "15")
	onlyIPv6(t, file)
}

// A client that speaks PPTP over IPv6 itself: another pns, for pptp and the kernel know IPv4 only. The path is narrow, and its larger
// headers are allowed for.
func TestDirectCallOverIPv6(t *testing.T) {
	for name, c := range map[string]struct{ network, zone string }{"global": {"2001:db8:19::", ""}, "link-local": {"fe80::", "%wire"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directCallOverIPv6(t, c.network, c.zone)
		})
	}
}

func directCallOverIPv6(t *testing.T, network, zone string) {
	server, client := network+"1"+zone, network+"2"+zone
	here, there := netns.New(t), netns.New(t)
	here.IPv6()
	there.IPv6()
	here.Veth("wire", network+"1/64", there, "wire", network+"2/64")
	for _, space := range []*netns.Space{here, there} {
		space.Run("ip", "link", "set", "wire", "mtu", "1400")
	}
	s := newSiteIn(t, here, `
[[listener]]
name = "six"
address = "[::]:1723"
`)
	stop := capture(t, here, "wire")
	far := newSiteIn(t, there, `
[pool]
ranges = ["10.96.0.0/16"]
server = "10.96.0.1"
[[site]]
name = "six"
server = "[`+server+`]"
user = "alice"
secret_file = "`+siteSecret(t)+`"
routes = ["`+innerAddress+`"]
dial = "persistent"
retry = "200ms"
`)
	i := far.awaitSite("six", 1, "up")
	far.pingFrom(innerAddress, "64", "1400")
	s.pingFrom(i.Address, "64", "1400")
	const fits = 1400 - 40 - 16 - 4 - 4 // IPv6, GRE, PPP and MPPE
	contains(t, "ping of what just fits", s.space.Run("ping", "-q", "-c", "1", "-W", "5", "-M", "do", "-s", fmt.Sprint(fits-28), i.Address), "1 received")
	if err := s.space.Command(t.Context(), "ping", "-q", "-c", "1", "-W", "1", "-M", "do", "-s", fmt.Sprint(fits-27), i.Address).Run(); err == nil {
		t.Error("a ping of one octet more goes through")
	}
	var sessions []pns.SessionInfo
	if shown(t, &sessions, "pns", "sessions", "--json", s.admin()); len(sessions) != 1 || sessions[0].Data.TooBig != 1 || sessions[0].Data.SendFailed != 0 {
		t.Errorf("the session: %+v", sessions)
	}
	if out, err := cli(t, "", "pns", "sessions", s.admin()); err != nil || !strings.Contains(out, "["+client+"]:") {
		t.Errorf("pns sessions: %v\n%s", err, out)
	}
	if out, err := cli(t, "", "pns", "hangup", far.admin(), "six"); err != nil {
		t.Errorf("pns hangup: %v\n%s", err, out)
	}
	if r := s.record(0); r["peer"] != client || r["kind"] != "direct" || r["listener"] != "six" || r["ended_by"] != "client" {
		t.Errorf("the call record: %v", r)
	}
	far.awaitSite("six", 1, "idle")
	far.pns.Stop()
	file := stop("pptp.control_message_type == 4")
	judge(t, file, "1", "2", "3", "4", "7", "8", "12", "13")
	onlyIPv6(t, file)
}
