package link

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/fsm"
)

var (
	epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	here  = netip.MustParseAddr("10.9.0.1")
	there = netip.MustParseAddr("10.9.0.100")
	dns   = [2]netip.Addr{netip.MustParseAddr("10.0.0.53"), netip.MustParseAddr("10.0.1.53")}
)

func seed(b byte) (s [32]byte) { s[0] = b; return s }

func serverConfig(p ...auth.Protocol) Config {
	return Config{Side: Server, Name: "pns", Seed: seed(1), MRU: 1400, MTU: 1400, PFC: true, ACFC: true, Authentication: p,
		Encryption: ccp.Required, LocalAddress: here, PeerAddress: there, DNS: dns}
}

func clientConfig(p ...auth.Protocol) Config {
	return Config{Side: Client, Seed: seed(2), PFC: true, ACFC: true, Authentication: p, Encryption: ccp.Required,
		User: "alice", Secret: auth.PlainSecret("Passw0rd"), AskDNS: true}
}

// end is one end of a simulated link, and what it reported.
type end struct {
	name    string
	l       *Link
	up      *NetworkUp // now
	ups     int
	linkUps []LinkUp
	phases  []Phase
	downs   []string
	ended   *Reason
	sent    []string // in the order sent, as Describe puts it
	verdict func(auth.Attempt) auth.Verdict
	delay   time.Duration // of the verdict
}

// delivery is a frame or a verdict under way.
type delivery struct {
	at      time.Time
	number  int
	to      *end
	frame   []byte
	verdict *auth.Verdict
}

type deliveries []delivery

func (d deliveries) Len() int { return len(d) }
func (d deliveries) Less(i, j int) bool {
	return d[i].at.Before(d[j].at) || d[i].at.Equal(d[j].at) && d[i].number < d[j].number
}
func (d deliveries) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *deliveries) Push(x any)   { *d = append(*d, x.(delivery)) }
func (d *deliveries) Pop() any {
	old := *d
	x := old[len(old)-1]
	*d = old[:len(old)-1]
	return x
}

// sim carries frames between a server and a client under a virtual clock.
type sim struct {
	t              testing.TB
	now            time.Time
	server, client *end
	queue          deliveries
	number         int
	latency        time.Duration
	random         *rand.Rand // nil: no impairment
	loss           float64
	duplicate      float64
	reorder        float64
	drop           func(from *end, frame []byte) bool
	// persist replaces a link by what its written state makes of it.
	persist func(*sim, *end)
}

func newSim(t testing.TB, server, client Config) *sim {
	s := &sim{t: t, now: epoch, latency: 20 * time.Millisecond,
		server: &end{name: "server", l: New(epoch, server)},
		client: &end{name: "client", l: New(epoch, client)}}
	s.server.verdict = func(a auth.Attempt) auth.Verdict { return auth.Verify(a, auth.PlainSecret("Passw0rd")) }
	return s
}

func (s *sim) other(e *end) *end {
	if e == s.server {
		return s.client
	}
	return s.server
}

func (s *sim) push(d delivery) {
	s.number++
	d.number = s.number
	heap.Push(&s.queue, d)
}

// transmit puts a frame on the way, with the impairments of the simulation.
func (s *sim) transmit(from *end, frame []byte) {
	if s.drop != nil && s.drop(from, frame) {
		return
	}
	n, delay := 1, s.latency
	if s.random != nil {
		if s.random.Float64() < s.loss {
			n = 0
		} else if s.random.Float64() < s.duplicate {
			n = 2
		}
	}
	for range n {
		if s.random != nil && s.random.Float64() < s.reorder {
			delay += time.Duration(s.random.IntN(200)) * time.Millisecond
		}
		s.push(delivery{at: s.now.Add(delay), to: s.other(from), frame: slices.Clone(frame)})
	}
}

// drain performs what a link wants, and checks that it keeps its word.
func (s *sim) drain(e *end) {
	s.t.Helper()
	for _, a := range e.l.Actions() {
		if e.ended != nil {
			s.t.Fatalf("%s: %T after Ended", e.name, a)
		}
		switch a := a.(type) {
		case Send:
			e.sent = append(e.sent, Describe(a.Frame))
			s.transmit(e, a.Frame)
		case Authenticate:
			v := e.verdict(a.Attempt)
			s.push(delivery{at: s.now.Add(e.delay), to: e, verdict: &v})
		case LinkUp:
			e.linkUps = append(e.linkUps, a)
		case NetworkUp:
			if e.up != nil {
				s.t.Fatalf("%s: NetworkUp twice", e.name)
			}
			e.up = &a
			e.ups++
		case NetworkDown:
			if e.up == nil {
				s.t.Fatalf("%s: NetworkDown while down", e.name)
			}
			e.up = nil
			e.downs = append(e.downs, a.Why)
		case PhaseChanged:
			e.phases = append(e.phases, a.Phase)
		case Ended:
			e.ended = &a.Reason
			if e.up != nil {
				s.t.Fatalf("%s: ended with the network up", e.name)
			}
		}
	}
	if s.persist != nil {
		s.persist(s, e)
	}
}

func (s *sim) start() {
	for _, e := range []*end{s.server, s.client} {
		e.l.Up(s.now)
		s.drain(e)
	}
}

// step does the next thing that is due before limit; false if there is none.
func (s *sim) step(limit time.Time) bool {
	s.t.Helper()
	next, who := limit, (*end)(nil)
	for _, e := range []*end{s.server, s.client} {
		if d := e.l.Deadline(); !d.IsZero() && d.Before(next) {
			next, who = d, e
		}
	}
	if len(s.queue) > 0 && !s.queue[0].at.After(next) && s.queue[0].at.Before(limit) {
		d := heap.Pop(&s.queue).(delivery)
		s.now = later(s.now, d.at)
		if d.verdict != nil {
			d.to.l.Authenticated(s.now, *d.verdict)
		} else {
			d.to.l.Receive(s.now, d.frame)
		}
		s.drain(d.to)
		return true
	}
	if who == nil {
		return false
	}
	s.now = later(s.now, next)
	who.l.Tick(s.now)
	s.drain(who)
	if d := who.l.Deadline(); !d.IsZero() && !d.After(s.now) {
		s.t.Fatalf("%s: deadline %v is not later than now after Tick", who.name, d.Sub(s.now))
	}
	return true
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// run goes on for d at most, or until done.
func (s *sim) run(d time.Duration, done func() bool) {
	s.t.Helper()
	limit := s.now.Add(d)
	for steps := 0; done == nil || !done(); steps++ {
		if steps > 200_000 {
			s.t.Fatal("they never come to rest")
		}
		if !s.step(limit) {
			s.now = limit
			return
		}
	}
}

func (s *sim) bothUp() bool    { return s.server.up != nil && s.client.up != nil }
func (s *sim) bothEnded() bool { return s.server.ended != nil && s.client.ended != nil }

// took is the time since the start.
func (s *sim) took() time.Duration { return s.now.Sub(epoch) }

// mustUp runs until both networks are up.
func (s *sim) mustUp(within time.Duration) {
	s.t.Helper()
	s.run(within, s.bothUp)
	if !s.bothUp() {
		s.t.Fatalf("not up after %v: server %v %v, client %v %v\n%s", within, s.server.l.Phase(), s.server.ended, s.client.l.Phase(), s.client.ended, s.transcript())
	}
}

// mustEnd runs until both have ended, and compares why.
func (s *sim) mustEnd(within time.Duration, server, client Reason) {
	s.t.Helper()
	s.run(within, s.bothEnded)
	if !s.bothEnded() {
		s.t.Fatalf("not ended after %v: server %v, client %v\n%s", within, s.server.ended, s.client.ended, s.transcript())
	}
	if *s.server.ended != server {
		s.t.Errorf("server: %v\n  want: %v", *s.server.ended, server)
	}
	if *s.client.ended != client {
		s.t.Errorf("client: %v\n  want: %v", *s.client.ended, client)
	}
}

func (s *sim) transcript() string {
	return fmt.Sprintf("server sent:\n  %s\nclient sent:\n  %s", strings.Join(s.server.sent, "\n  "), strings.Join(s.client.sent, "\n  "))
}

// control is a frame of a control protocol.
func control(proto ppp.Protocol, code fsm.Code, id uint8, data ...byte) []byte {
	return append(ppp.AppendHeader(nil, proto, false, false), fsm.AppendPacket(nil, fsm.Packet{Code: code, Identifier: id, Data: data})...)
}
