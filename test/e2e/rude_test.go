package e2e

import (
	"fmt"
	"net"
	"testing"
	"time"

	"trunkline.example/pns"
	"trunkline.example/test/guest"
	"trunkline.example/test/netns"
	"trunkline.example/test/rude"
	"trunkline.example/test/watch"
)

// neighbour adds a network namespace that is on the clients' network, with these addresses. Nobody may be connected yet: the bridge's
// own address changes.
func (s *site) neighbour(addresses ...string) *netns.Space {
	s.t.Helper()
	other := netns.New(s.t)
	s.space.Run("ip", "link", "add", "next0", "type", "veth", "peer", "name", "eth0", "netns", other.Name)
	s.space.Run("ip", "link", "set", "next0", "master", "br0", "up")
	other.Run("ip", "link", "set", "eth0", "up")
	for _, a := range addresses {
		other.Run("ip", "addr", "add", a+"/24", "dev", "eth0")
	}
	return other
}

// stranger is a rude peer in a network namespace, with TCP and raw GRE of its own; call is the Call ID of somebody else's call.
func stranger(t testing.TB, space *netns.Space, from string, call uint16) rude.Peer {
	t.Helper()
	address := net.ParseIP(from)
	var raw net.PacketConn
	if err := space.Do(func() (err error) {
		raw, err = net.ListenPacket("ip4:47", from)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	return rude.Peer{
		Open: func() (nc net.Conn, err error) {
			err = space.Do(func() error {
				nc, err = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: address}, Timeout: 10 * time.Second}).Dial("tcp4", serverAddress+":1723")
				return err
			})
			return nc, err
		},
		GRE: func(packet []byte) error {
			_, err := raw.WriteTo(packet, &net.IPAddr{IP: net.ParseIP(serverAddress)})
			return err
		},
		Call: call, Patience: 30 * time.Second, Pause: 50 * time.Millisecond,
	}
}

// usage is what pns has in use.
type usage struct {
	present     struct{ connections, calls, halfOpen, sources int }
	descriptors int
}

// counted is what pns counts of its peers' faults, and what it has in use at the moment.
func (s *site) counted() (counts map[string]uint64, now usage) {
	s.t.Helper()
	var status pns.Status
	shown(s.t, &status, "pns", "status", "--json", s.admin())
	open, err := watch.Descriptors(s.pns.PID())
	if err != nil {
		s.t.Fatal(err)
	}
	now.present.connections, now.present.calls, now.present.halfOpen, now.present.sources = status.Connections, status.Calls, status.HalfOpen, status.Sources
	now.descriptors = open
	return rude.Counts(status.Faults, status.Refused, map[string]uint64{
		"unknown_call": status.Plane.UnknownCall, "foreign_address": status.Plane.ForeignAddress, "malformed": status.Plane.MalformedGRE,
	}), now
}

// A client's pings go on while a stranger on its network does everything that he must not; pns counts each deed by its name, and nothing
// of it stays.
func TestRudePeers(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, "[timers]\nestablish = \"4s\"\nmessage = \"1s\"\n")
	deeds := rude.Deeds(rude.PNS)
	var addresses []string
	for i := range deeds {
		addresses = append(addresses, fmt.Sprintf("198.18.0.%d", 100+i))
	}
	space := s.neighbour(addresses...)
	x := s.exchange()
	g := guest.Start(t, guest.Config{NetNS: s.space.Name, Taps: []string{tap(0)}, Exchange: x}, client+`
dial `+password+` require-mppe-128
up
n=0
until [ -e /xchg/stop ]; do
	ping -q -c 20 -i 0.05 -W 5 `+innerAddress+` > /tmp/ping || :
	grep -q '20 packets transmitted, 20 received, 0% packet loss' /tmp/ping || { cat /tmp/ping; exit 1; }
	n=$((n + 20))
	touch /xchg/up
done
echo "$n pings undisturbed"
down
`)
	awaitFile(t, g, x, "up")
	var sessions []pns.SessionInfo
	shown(t, &sessions, "pns", "sessions", "--json", s.admin())

	before, atFirst := s.counted()
	for i, d := range deeds {
		if err := d.Do(stranger(t, space, addresses[i], sessions[0].PACCallID)); err != nil {
			t.Error(err)
		}
		var after map[string]uint64
		var now usage
		var problem error
		for end := time.Now().Add(30 * time.Second); ; {
			after, now = s.counted()
			problem = rude.Counted(d, before, after)
			if problem == nil && (now.present != atFirst.present || now.descriptors > atFirst.descriptors) {
				problem = fmt.Errorf("%s leaves something behind: %+v, before %+v", d.Name, now, atFirst)
			}
			if problem == nil || time.Now().After(end) {
				break
			}
		}
		if problem != nil {
			t.Error(problem)
		}
		before = after
	}
	write(t, x, "stop", "")
	if out, status := g.Wait(t); status != 0 {
		t.Errorf("the client ended with %d:\n%s\n%s", status, out, clientLog(t, x))
	} else {
		t.Log(out)
	}
}
