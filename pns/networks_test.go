package pns

import (
	"net/netip"
	"slices"
	"testing"

	"trunkline.example/pns/config"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/ppp/link"
)

// Networks behind a user are routed while a session of his is there, and the first session carries them; what belongs to the pool or to a
// site stays where it is.
func TestNetworksBehindAUser(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) {
		cfg.Users.Sessions = 2
		cfg.Sites = append(cfg.Sites, config.Site{Name: "office", Routes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	})
	w.startEcho()
	lan := netip.MustParsePrefix("192.168.5.0/24")
	w.setUser("carol", user{password: "x", sessions: 2, routes: []netip.Prefix{lan, netip.MustParsePrefix("10.97.0.0/24"), netip.MustParsePrefix("192.0.2.0/24")}})
	first := w.dial(dialer{user: "carol", password: "x"})
	await[link.NetworkUp](first)
	second := w.dial(dialer{user: "carol", password: "x"})
	await[link.NetworkUp](second)
	if !w.routes.has(lan) || len(w.routes.set) != 1 {
		t.Errorf("routes %v", w.routes.set)
	}
	all := w.sessions()
	if len(all) != 2 || !slices.Equal(all[0].Behind, []string{lan.String()}) || all[1].Behind != nil {
		t.Errorf("sessions %+v", all)
	}
	second.clear()
	w.records.next(t)
	if !w.routes.has(lan) {
		t.Error("the route is gone with the second session")
	}
	first.clear()
	w.stop() // checks that the route is gone
}
