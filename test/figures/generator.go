package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"trunkline.example/test/netns"
)

const (
	maxSessions  = 16000
	dialers      = 32 // calls that are set up at one time
	sessionLimit = 30 * time.Second
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
