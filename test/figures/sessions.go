package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"trunkline.example/test/netns"
)

const (
	maxSessions  = 16000
	dialers      = 32 // calls that are set up at one time
	sessionLimit = 30 * time.Second
	latencyPings = 1000
	latencyEvery = 5 * time.Millisecond
	loneCalls    = 20
)

// generator is a network of PPTP clients and their server.
type generator struct {
	*run
	clients *netns.Space
	pns     *process
	socket  string
	gre     *rawGRE
	sharing int
	users   []string
	all     []*session
}

// server is the address of pns; clients have those of clientNet.
const (
	server    = "198.18.0.1"
	clientNet = "198.19.0.0/16"
)

func newGenerator(r *run, sessions, sharing int) *generator {
	g := &generator{run: r, clients: netns.New(r), sharing: sharing}
	space := netns.New(r)
	space.Veth("veth0", server+"/30", g.clients, "veth1", "198.18.0.2/30")
	space.Run("ip", "route", "add", clientNet, "via", "198.18.0.2")
	g.clients.Run("ip", "route", "add", "local", clientNet, "dev", "lo")
	for i := range sessions {
		g.users = append(g.users, fmt.Sprintf("user%d", i))
	}
	extra := fmt.Sprintf("[[listener]]\naddress = \"%s:1723\"\n", server)
	if sharing > 1 {
		extra += fmt.Sprintf("[limits]\nconnections_per_source = %d\nhalf_open_calls_per_source = %d\n", sharing+dialers, sharing+dialers)
	}
	dir := r.TempDir()
	g.socket = filepath.Join(dir, "pns.sock")
	g.pns = r.daemon(space, "pns", "run", "--config", r.pnsConfig(dir, extra, g.users...))
	var err error
	if g.gre, err = openGRE(g.clients, netip.MustParseAddr(server)); err != nil {
		r.Fatal(err)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		g.gre.run(done)
	}()
	r.Cleanup(func() {
		close(done)
		<-ended
	})
	return g
}

// address is that of the n-th client.
func (g *generator) address(n int) netip.Addr {
	base := netip.MustParsePrefix(clientNet).Addr().As4()
	host := n/g.sharing + 1
	base[2], base[3] = base[2]+byte(host>>8), byte(host)
	return netip.AddrFrom4(base)
}

// connect sets one session up; it must run in the clients' namespace.
func (g *generator) connect(n int) (*session, time.Duration, error) {
	began := time.Now()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: g.address(n).AsSlice()}, Timeout: sessionLimit}
	nc, err := d.Dial("tcp4", server+":1723")
	if err != nil {
		return nil, 0, err
	}
	s, err := newSession(g.gre, nc, uint16(n+1), g.users[n])
	if err != nil {
		return nil, 0, errors.Join(err, nc.Close())
	}
	limit := time.NewTimer(sessionLimit)
	defer limit.Stop()
	select {
	case <-s.up:
		return s, time.Since(began), nil
	case err := <-s.down:
		return nil, 0, err
	case <-limit.C:
		return nil, 0, fmt.Errorf("session %d was not up within %v", n, sessionLimit)
	}
}

// connectAll sets sessions up, so many at one time, and returns how long each took.
func (g *generator) connectAll(count, atOnce int) []time.Duration {
	var mu sync.Mutex
	var took []time.Duration
	var failed []error
	next := make(chan int)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			_ = g.clients.Do(func() error {
				for n := range next {
					s, d, err := g.connect(n)
					mu.Lock()
					if err != nil {
						failed = append(failed, err)
					} else {
						g.all, took = append(g.all, s), append(took, d)
					}
					mu.Unlock()
				}
				return nil
			})
		})
	}
	for n := range count {
		next <- n
	}
	close(next)
	wg.Wait()
	if len(failed) > 0 {
		g.Fatalf("%d of %d sessions did not come up: %v\n%s", len(failed), count, failed[0], lastLines(g.pns.out.String(), 10))
	}
	return took
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(len(lines)-n, 0):], "\n")
}

// disconnectAll ends all sessions, and waits until pns has none.
func (g *generator) disconnectAll() {
	var wg sync.WaitGroup
	for _, s := range g.all {
		wg.Go(func() {
			if err := s.close(); err != nil {
				g.Errorf("a session did not end: %v", err)
			}
		})
	}
	wg.Wait()
	g.all = nil
	g.eventually("pns still has sessions or connections", 20*time.Second, func() bool {
		s := g.status()
		return s.Connections == 0 && s.Calls == 0
	})
}

// pnsStatus is what pns tells of itself, as far as it is looked at.
type pnsStatus struct {
	Connections, Calls int
	HalfOpen           int `json:"half_open"`
	Pool               struct{ Leased int }
}

func (g *generator) status() (s pnsStatus) {
	g.ask(&s, "pns", "status", "--json", "--admin", g.socket)
	return s
}

// measureSessions tells what many direct sessions cost.
func measureSessions(r *run, count, sharing int) {
	g := newGenerator(r, count, sharing)
	idle, files := r.memory(g.pns.pid()), r.descriptors(g.pns.pid())
	r.add("memory of pns without sessions", idle/1024, "MiB RSS", "%d descriptors, %d users in the file", files, count)
	alone := min(loneCalls, count)
	r.add("set-up of one call alone", median(g.connectAll(alone, 1)).Seconds()*1e3, "ms", "from connect to IPCP open; median of %d", alone)
	plain := g.plainPings()
	g.latency("with few sessions", plain)
	g.disconnectAll()

	g.setUp(count, "")
	g.showMemory(count, idle)
	g.showIdle(count)
	g.latency(fmt.Sprintf("with %d sessions", count), plain)
	g.pingAll()
	full := r.memory(g.pns.pid())
	g.disconnectAll()
	r.eventually("pns keeps descriptors open", 10*time.Second, func() bool { return r.descriptors(g.pns.pid()) <= files+2 })

	g.setUp(count, " again")
	r.add(fmt.Sprintf("memory of pns with %d sessions again", count), r.memory(g.pns.pid())/1024, "MiB RSS", "%s before all were ended and set up anew", digits(full/1024))
	g.showGoroutines()
}

// setUp sets all sessions up as fast as it goes.
func (g *generator) setUp(count int, again string) {
	l := g.watch(map[string]int{"pns": g.pns.pid()})
	took := g.connectAll(count, dialers)
	seconds := time.Since(l.began).Seconds()
	cpu := l.seconds("pns")
	what := fmt.Sprintf("set-up of %d calls%s", count, again)
	g.add(what, float64(count)/seconds, "calls/s", "in %.1f s, %d at a time: median %.0f ms, p99 %.0f ms each; the clients share the processors", seconds, dialers,
		median(took).Seconds()*1e3, quantile(took, 0.99).Seconds()*1e3)
	g.add(what+": CPU of pns", cpu*1e3/float64(count), "ms per call", "%.2f s in all", cpu)
	var shown []struct {
		Phase, Encryption, Address string
	}
	g.ask(&shown, "pns", "sessions", "--json", "--admin", g.socket)
	up := 0
	for _, s := range shown {
		if s.Phase == "up" && strings.Contains(s.Encryption, "MPPE-128") && s.Address != "" {
			up++
		}
	}
	if up != count || len(shown) != count {
		g.Fatalf("pns shows %d sessions, %d of them up with MPPE-128 and an address, of %d", len(shown), up, count)
	}
}

func (g *generator) showMemory(count int, idle float64) {
	time.Sleep(settleTime)
	pid := g.pns.pid()
	rss := g.memory(pid)
	g.add(fmt.Sprintf("memory of pns with %d sessions", count), rss/1024, "MiB RSS", "%d descriptors, %.0f threads", g.descriptors(pid), g.field(pid, "Threads"))
	g.add("memory of pns per session", (rss-idle)/float64(count), "KiB", "difference to no session")
}

func (g *generator) showIdle(count int) {
	l := g.watch(map[string]int{"pns": g.pns.pid()})
	time.Sleep(idleTime)
	g.add(fmt.Sprintf("%d idle sessions: CPU of pns", count), l.share("pns"), "% of a core", "over %v, with the LCP echoes of its defaults", idleTime)
}

// latency tells the round trip of a ping through the tunnel beside one past it.
func (g *generator) latency(when string, plain []time.Duration) {
	s := g.all[len(g.all)/2]
	probed, err := s.ping(latencyPings, latencyEvery)
	if err != nil {
		g.Fatal(err)
	}
	var trips []time.Duration
	select {
	case trips = <-probed:
	case <-time.After(time.Minute):
		g.Fatal("the pings through the tunnel do not end")
	}
	if len(trips) != latencyPings {
		g.Errorf("%d of %d pings through the tunnel were lost", latencyPings-len(trips), latencyPings)
	}
	micros := func(all []time.Duration, q float64) float64 { return float64(quantile(all, q)) / 1e3 }
	for _, q := range []struct {
		name  string
		value float64
	}{{"median", 0.5}, {"p99", 0.99}} {
		g.add("ping through the tunnel "+when+": "+q.name, micros(trips, q.value), "µs", "%s past it: pns adds %s", digits(micros(plain, q.value)), digits(micros(trips, q.value)-micros(plain, q.value)))
	}
}

// pingAll pings once through every session.
func (g *generator) pingAll() {
	var waiting []<-chan []time.Duration
	for _, s := range g.all {
		probed, err := s.ping(1, 0)
		if err != nil {
			g.Fatal(err)
		}
		waiting = append(waiting, probed)
	}
	limit := time.NewTimer(sessionLimit)
	defer limit.Stop()
	answered := 0
	for _, probed := range waiting {
		select {
		case trips := <-probed:
			answered += len(trips)
		case <-limit.C:
			g.Fatalf("%d of %d sessions have answered a ping", answered, len(g.all))
		}
	}
	g.add("sessions that answered a ping at the end", float64(answered), "sessions", "of %d", len(g.all))
	if answered != len(g.all) {
		g.Errorf("%d of %d sessions have answered a ping", answered, len(g.all))
	}
}

// showGoroutines ends pns by a signal at which a Go program tells where all goroutines are.
func (g *generator) showGoroutines() {
	_ = g.pns.cmd.Process.Signal(syscall.SIGQUIT)
	ctx, cancel := context.WithTimeout(context.Background(), sessionLimit)
	defer cancel()
	select {
	case <-g.pns.done:
		g.add("goroutines of pns with them", float64(strings.Count(g.pns.out.String(), "\ngoroutine ")), "goroutines", "")
	case <-ctx.Done():
		g.Errorf("pns did not end at SIGQUIT")
	}
}
