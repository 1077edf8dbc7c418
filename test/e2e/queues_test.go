package e2e

import (
	"encoding/json"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"trunkline.example/test/guest"
)

// While pns does not come to read, one client is flooded with more than the kernel keeps. What another client is sent meanwhile is not lost.
func TestFloodOfOneClientLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, "")
	x := s.exchange()
	var clients []*guest.Guest
	users := []string{"alice", "bob"}
	for i, address := range []string{"198.18.0.2", "198.18.0.4"} {
		g := guest.Start(t, guest.Config{
			Name: users[i], NetNS: s.space.Name, Taps: []string{tap(i)}, Exchange: x, Env: map[string]string{"user": users[i], "address": address},
		}, client+"dial "+password+` require-mppe-128 unit 0
up
ip -4 -o addr show dev ppp0 | sed 's/.*inet \([0-9.]*\).*/\1/' > /xchg/$user.new; mv /xchg/$user.new /xchg/$user
until_true 90 test -e /xchg/done
down
`)
		awaitFile(t, g, x, users[i])
		clients = append(clients, g)
	}
	inner := func(user string) string { return strings.TrimSpace(readFile(t, path(x, user))) }
	var toAlice, toBob net.Conn
	if err := s.space.Do(func() (err error) {
		if toAlice, err = net.Dial("udp4", inner("alice")+":9"); err == nil {
			toBob, err = net.Dial("ip4:icmp", inner("bob"))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer toAlice.Close()
	defer toBob.Close()

	s.pns.Signal(syscall.SIGSTOP)
	for range 5000 {
		_, _ = toAlice.Write([]byte("flood")) // what finds no room is lost, and alice has nobody who takes the rest
	}
	const pings = 5
	for n := range pings {
		request, err := (&icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: 7, Seq: n, Data: []byte("to bob")}}).Marshal(nil)
		if err == nil {
			_, err = toBob.Write(request)
		}
		if err != nil {
			t.Error(err)
		}
	}
	s.pns.Signal(syscall.SIGCONT)
	if err := toBob.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1500)
	for n := range pings {
		size, _, err := toBob.(*net.IPConn).ReadFromIP(answer) // without the IP header
		if err != nil {
			t.Fatalf("ping %d: %v", n, err)
		}
		m, err := icmp.ParseMessage(ipv4.ICMPTypeEcho.Protocol(), answer[:size])
		if err != nil || m.Type != ipv4.ICMPTypeEchoReply || m.Body.(*icmp.Echo).Seq != n {
			t.Fatalf("ping %d: %+v, %v", n, m, err)
		}
	}
	var status struct {
		Plane struct {
			Device struct{ Unread int }
		} `json:"plane"`
	}
	out, err := cli(t, "", "pns", "status", "--json", s.admin())
	if err == nil {
		err = json.Unmarshal([]byte(out), &status)
	}
	if err != nil || status.Plane.Device.Unread == 0 {
		t.Errorf("alice was not flooded: %v\n%s", err, out)
	}
	write(t, x, "done", "")
	for i, g := range clients {
		if out, status := g.Wait(t); status != 0 {
			t.Errorf("%s's guest ended with %d:\n%s", users[i], status, out)
		}
	}
}
