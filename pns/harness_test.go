package pns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"trunkline.example/pns/aaa"
	"trunkline.example/pns/addrpool"
	"trunkline.example/pns/config"
	"trunkline.example/pns/dataplane"
	"trunkline.example/pns/tun/tuntest"
	"trunkline.example/shared/conf"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/record"
)

// patience is how long a test waits for what must come; nothing takes nearly so long unless it is broken.
const patience = 20 * time.Second

// world is a whole server: real TCP on the loopback, GRE and TUN in memory.
type world struct {
	t       testing.TB
	cfg     *config.Config
	net     *gretest.Network
	tun     *tuntest.Device
	pool    *addrpool.Pool
	plane   *dataplane.Plane
	server  *Server
	users   *users
	records *recorder
	routes  *routes
	stop    func() // ends the server and waits for it
}

// users is a backend whose answers can be held up.
type users struct {
	mu      sync.Mutex
	entries map[string]user
	hold    chan struct{} // not nil: answers wait until it is closed
	asked   atomic.Int64
}

type user struct {
	password string
	address  netip.Addr
	sessions int
	rates    aaa.Rates
	filter   aaa.Filter
	routes   []netip.Prefix
}

func (u *users) Authenticate(ctx context.Context, r aaa.Request) aaa.Answer {
	u.asked.Add(1)
	u.mu.Lock()
	e, hold := u.entries[r.User], u.hold
	u.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return aaa.Answer{Verdict: auth.Verdict{Reason: "no answer in time"}, Trouble: ctx.Err()}
		}
	}
	var secret auth.Secret
	if e.password != "" {
		secret = auth.PlainSecret(e.password)
	}
	a := aaa.Answer{Verdict: auth.Verify(r.Attempt, secret), Sessions: e.sessions, Rates: e.rates, Filter: e.filter, Routes: e.routes}
	a.PeerAddress = e.address
	return a
}

// recorder keeps the records of calls.
type recorder struct{ ch chan record.Record }

func (r *recorder) Append(rec record.Record) bool {
	select {
	case r.ch <- rec:
		return true
	default:
		return false
	}
}

// next waits for the record of the next call that ends.
func (r *recorder) next(t testing.TB) record.Record {
	t.Helper()
	select {
	case rec := <-r.ch:
		return rec
	case <-time.After(patience):
		t.Fatal("no call record")
	}
	return record.Record{}
}

// routes remembers host routes.
type routes struct {
	mu  sync.Mutex
	set map[netip.Prefix]bool
}

func hostRoute(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func (r *routes) AddRoute(a netip.Addr) error    { return r.AddNetwork(hostRoute(a)) }
func (r *routes) RemoveRoute(a netip.Addr) error { return r.RemoveNetwork(hostRoute(a)) }

func (r *routes) AddNetwork(p netip.Prefix) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.set[p] {
		return fmt.Errorf("route to %v exists", p)
	}
	r.set[p] = true
	return nil
}

func (r *routes) RemoveNetwork(p netip.Prefix) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.set[p] {
		return fmt.Errorf("no route to %v", p)
	}
	delete(r.set, p)
	return nil
}

func (r *routes) has(p netip.Prefix) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.set[p]
}

// newWorld starts a server on 127.0.0.1; change may alter its configuration before.
func newWorld(t testing.TB, network gretest.Config, change func(*config.Config)) *world {
	t.Helper()
	w := buildWorld(t, gretest.New(network), change)
	w.start()
	return w
}

// buildWorld makes a server that does not run yet.
func buildWorld(t testing.TB, network *gretest.Network, change func(*config.Config)) *world {
	t.Helper()
	cfg := config.Default()
	cfg.Name = "pns.test"
	cfg.Listeners[0].Name, cfg.Listeners[0].Address = "test", netip.MustParseAddrPort("127.0.0.1:0")
	cfg.Pool.Ranges = []conf.Range{{First: netip.MustParseAddr("10.97.0.2"), Last: netip.MustParseAddr("10.97.63.254")}}
	cfg.Timers.Shutdown = 5 * time.Second
	if change != nil {
		change(cfg)
	}
	w := &world{
		t: t, cfg: cfg, net: network, tun: tuntest.New("trunk0", 1400, 4096),
		users:   &users{entries: map[string]user{"alice": {password: "Passw0rd"}, "bob": {password: "hunter2"}}},
		records: &recorder{ch: make(chan record.Record, 8192)}, routes: &routes{set: map[netip.Prefix]bool{}},
	}
	var err error
	if w.pool, err = addrpool.New(cfg.Pool.Config); err != nil {
		t.Fatal(err)
	}
	w.plane = dataplane.New(dataplane.Options{
		Device: w.tun, Server: cfg.Pool.Server, Clients: cfg.Pool.Prefixes, Isolation: cfg.Network.Isolation,
		Open: func(local netip.Addr) (tunnel.Conn, error) { return w.net.Listen(local) },
	})
	log := zap.NewNop()
	if testing.Verbose() {
		log = zaptest.NewLogger(t, zaptest.Level(zap.InfoLevel))
	}
	if w.server, err = New(Options{
		Config: cfg, Backend: w.users, Pool: w.pool, Plane: w.plane, Records: w.records, Routes: w.routes, Shards: 2, Log: log,
	}); err != nil {
		t.Fatal(err)
	}
	return w
}

// start makes the server run until the test ends.
func (w *world) start() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	if err := w.server.Listen(ctx); err != nil {
		w.t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() { result <- w.server.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-result; err != nil {
			w.t.Errorf("the server ended: %v", err)
		}
		if err := w.plane.Close(); err == nil {
			w.empty()
		} else if !errors.Is(err, dataplane.ErrClosed) { // closed by the test: its calls have gone elsewhere
			w.t.Error(err)
		}
	})
	w.t.Cleanup(w.stop)
}

// empty checks that nothing is left of any call.
func (w *world) empty() {
	w.t.Helper()
	o := w.server.admission.occupancy()
	if o != (occupancy{}) {
		w.t.Errorf("left behind: %+v", o)
	}
	if n := w.plane.Counters().Calls; n != 0 {
		w.t.Errorf("%d calls left in the data plane", n)
	}
	if s := w.pool.Stats(time.Now()); s.Leased+s.Fixed != 0 {
		w.t.Errorf("addresses left leased: %+v", s)
	}
	if n := len(w.server.desk.logins.byUser); n != 0 {
		w.t.Errorf("%d users left logged in", n)
	}
	w.routes.mu.Lock()
	if len(w.routes.set) != 0 {
		w.t.Errorf("routes left: %v", w.routes.set)
	}
	w.routes.mu.Unlock()
}

func (w *world) setUser(name string, u user) {
	w.users.mu.Lock()
	defer w.users.mu.Unlock()
	w.users.entries[name] = u
}

func (w *world) sessions() []SessionInfo {
	w.t.Helper()
	all, err := w.server.Sessions(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}
