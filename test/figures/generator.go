package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"trunkline.example/shared/admin"
	"trunkline.example/shared/measure"
	"trunkline.example/test/daemon"
	"trunkline.example/test/netns"
)

// maxSessions leaves room for the descriptors of 20,000 that systems often allow.
const maxSessions = 19000

// generator is a network of PPTP clients, played by `pns load`, and their server.
type generator struct {
	*run
	clients *netns.Space
	space   *netns.Space // of pns
	pns     *daemon.Daemon
	socket  string
	users   int
}

const (
	mostCalls = 50_000 // that are relayed
	spare     = 200    // sessions of a measurement, at most, while others are held
)

// server is the address of pns; the sessions that are held have their addresses in heldNet, those of a measurement beside them in besideNet.
const (
	server    = "198.18.0.1"
	heldNet   = "198.19.0.0/17"
	besideNet = "198.19.128.0/17"
)

// newGenerator starts pns with that many users, room for as many sessions, and what else is to be in its configuration.
func newGenerator(r *run, sessions int, more string) *generator {
	g := &generator{run: r, clients: netns.New(r), users: sessions}
	space := netns.New(r)
	space.Veth("veth0", server+"/30", g.clients, "veth1", "198.18.0.2/30")
	for _, network := range []string{heldNet, besideNet} {
		space.Run("ip", "route", "add", network, "via", "198.18.0.2")
		g.clients.Run("ip", "route", "add", "local", network, "dev", "lo")
	}
	var users []string
	for i := range sessions {
		users = append(users, fmt.Sprintf("user%d", i))
	}
	dir := r.TempDir()
	g.socket = filepath.Join(dir, "pns.sock")
	config := r.pnsConfig(dir, fmt.Sprintf("[[listener]]\naddress = \"%s:1723\"\n%s[limits]\nconnections = %d\nsessions = %[3]d\ncalls_per_connection = %[3]d\nmessages_per_second = 0\nmessages_per_second_per_source = 0\n", server, more,
		max(sessions, mostCalls)+spare), users...)
	g.space = space
	g.pns = r.daemon(space, "pns", "run", "--config", config)
	return g
}

// loading is a run of `pns load`.
type loading struct {
	*daemon.Daemon
	g    *generator
	args []string
}

// load starts so many sessions.
func (g *generator) load(sessions int, network string, args ...string) *loading {
	args = append([]string{"load", server, "--json", "--source", network, "--user", "user%d", "--users", fmt.Sprint(g.users), "--sessions", fmt.Sprint(sessions)}, args...)
	return &loading{Daemon: g.start(g.clients, password+"\n", "pns", args...), g: g, args: args}
}

// report waits until the load has ended, all its sessions well, and pns has only so many others left.
func (l *loading) report(left int) measure.Report {
	r := l.outcome(left)
	if l.Err() != nil || !r.OK() {
		l.g.Fatalf("pns %s: %v\n%s\n%s", strings.Join(l.args, " "), l.Err(), l.Log(), lastLines(l.g.pns.Log(), 10))
	}
	return r
}

// outcome is report for a load that may fail in part.
func (l *loading) outcome(left int) (r measure.Report) {
	<-l.Done()
	if err := json.Unmarshal([]byte(l.Log()), &r); err != nil {
		l.g.Fatalf("pns %s: %v\n%s", strings.Join(l.args, " "), errors.Join(l.Err(), err), l.Log())
	}
	l.g.eventually("pns still has sessions or connections", 2*time.Minute, func() bool {
		s := l.g.status()
		return s.Connections == left && s.Calls == left
	})
	return r
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(len(lines)-n, 0):], "\n")
}

// pnsStatus is what pns tells of itself, as far as it is looked at.
type pnsStatus struct {
	Connections, Calls int
	HalfOpen           int `json:"half_open"`
	Runtime            admin.Runtime
}

func (g *generator) status() (s pnsStatus) {
	g.ask(&s, "pns", "status", "--json", "--admin", g.socket)
	return s
}
