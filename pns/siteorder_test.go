package pns

import (
	"net/netip"
	"testing"
	"time"

	"trunkline.example/pns/config"
	"trunkline.example/pns/redial"
	"trunkline.example/shared/gre/tunnel/gretest"
)

// The call to a site goes on in another process: packets that have waited for calls before do not wait for this one, and an operator who
// orders the site finds it up.
func TestSiteIsTakenOver(t *testing.T) {
	network := gretest.New(gretest.Config{})
	far := farServer(t, network, nil)
	one := siteTo(t, far, func(s *config.Site) { s.Dial = config.DialOnDemand })
	old := caller(t, network, one)
	to := netip.MustParseAddr("203.0.113.9")
	old.pingOut(to)
	old.siteIs("branch", "up")
	session := old.sessions()[0].ID

	snapshot, descriptors := old.handOver()
	w := buildWorld(t, network, func(cfg *config.Config) { cfg.Sites = []config.Site{one} })
	if err := w.server.Restore(time.Now(), snapshot, descriptors); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.pingOut(to)
	if r, err := w.server.Call(t.Context(), CallRequest{Site: "branch"}); err != nil || !r.Up || r.Session != session {
		t.Errorf("ordered: %+v, %v", r, err)
	}
	w.stop()
	far.stop()
}

// Who orders a site while its last call is being ended is told of the call that he has ordered.
func TestSiteOrderedWhileItEnds(t *testing.T) {
	w := buildWorld(t, gretest.New(gretest.Config{}), func(cfg *config.Config) { cfg.Sites = []config.Site{siteTo(t, nil, nil)} })
	s, now := w.server.sites[0], time.Now()
	s.current = newVisit(t.Context(), s)
	s.machine.Order(now)
	s.machine.HangUp(now)
	s.machine.Order(now)
	told := make(chan CallResult, 2)
	s.waiting = append(s.waiting, told)
	s.over(s.current, CallResult{Reason: "hung up by the operator"}, redial.Wanted)
	s.todo.work()
	s.current = newVisit(t.Context(), s)
	s.succeeded(s.current, CallResult{Up: true})
	s.todo.work()
	if r := <-told; !r.Up {
		t.Errorf("told of %q", r.Reason)
	}
}

// A server that answers nothing keeps nobody from calling another one, and an order that is given up while another site waits for the same
// server is given up at once.
func TestSharedConnectionIsSlow(t *testing.T) {
	network := gretest.New(gretest.Config{})
	far := farServer(t, network, nil)
	dead := siteTo(t, nil, func(s *config.Site) { s.Name, s.Server, s.PerCall = "dead", "127.66.0.4:1723", false })
	live := siteTo(t, far, func(s *config.Site) { s.PerCall = false; s.Routes = nil })
	w := caller(t, network, dead, live)
	busy := w.server.shared.between(endsOf(dead))
	busy.turn <- struct{}{} // as another site does that waits for the server
	if r, err := w.server.Call(t.Context(), CallRequest{Site: "branch"}); err != nil || !r.Up {
		t.Errorf("a site of another server: %+v, %v", r, err)
	}
	gone := make(chan CallResult, 1)
	go func() {
		r, _ := w.server.Call(t.Context(), CallRequest{Site: "dead"})
		gone <- r
	}()
	w.siteIs("dead", "calling")
	if err := w.server.HangUp("dead"); err != nil {
		t.Fatal(err)
	}
	if r := <-gone; r.Up || r.Reason != errGivenUp.Error() {
		t.Errorf("the order that was given up: %+v", r)
	}
	<-busy.turn
	w.stop()
	far.stop()
}

// Sites at one server that are called from different addresses of this host do not share a connection.
func TestSharedConnectionHasItsAddress(t *testing.T) {
	network := gretest.New(gretest.Config{})
	far := farServer(t, network, nil)
	from := func(name, local, routes, user, password string) config.Site {
		return siteTo(t, far, func(s *config.Site) {
			s.Name, s.Local, s.PerCall, s.Routes = name, netip.MustParseAddr(local), false, []netip.Prefix{netip.MustParsePrefix(routes)}
			s.User, s.SecretFile = user, secretFile(t, password)
		})
	}
	w := caller(t, network, from("one", "127.66.0.77", "203.0.113.0/24", "alice", "Passw0rd"), from("two", "127.66.0.78", "198.51.100.0/24", "bob", "hunter2"))
	for _, name := range []string{"one", "two"} {
		if r, err := w.server.Call(t.Context(), CallRequest{Site: name}); err != nil || !r.Up {
			t.Fatalf("%s: %+v, %v", name, r, err)
		}
	}
	seen := map[netip.Addr]bool{}
	for _, s := range far.sessions() {
		seen[netip.MustParseAddrPort(s.Peer).Addr()] = true
	}
	if !seen[netip.MustParseAddr("127.66.0.77")] || !seen[netip.MustParseAddr("127.66.0.78")] {
		t.Errorf("the far end sees calls from %v", seen)
	}
	w.stop()
	far.stop()
}
