package pns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline.example/pns/aaa"
	"trunkline.example/pns/addrpool"
	"trunkline.example/pns/config"
	"trunkline.example/pns/dataplane"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/record"
	"trunkline.example/shared/trace"
)

// ErrStopped is why connections end that are left when the server stops.
var ErrStopped = errors.New("the server has stopped")

// Routes makes routes to single addresses and to networks behind sessions; hostnet.Network implements it.
type Routes interface {
	AddRoute(netip.Addr) error
	RemoveRoute(netip.Addr) error
	AddNetwork(netip.Prefix) error
	RemoveNetwork(netip.Prefix) error
}

// Records takes a record of each call that has ended; record.Writer implements it.
type Records interface{ Append(record.Record) bool }

// Options are what a Server is made of.
type Options struct {
	Config  *config.Config
	Backend aaa.Backend
	Pool    *addrpool.Pool
	Plane   *dataplane.Plane
	Routes  Routes      // nil: addresses outside of the pool get no route
	Records Records     // nil: no call records
	Log     *zap.Logger // nil: none
	Shards  int         // event loops; 0 = as many as CPUs
}

// Server is the network server. Its methods are safe for concurrent use.
type Server struct {
	cfg     atomic.Pointer[config.Config]
	log     *zap.Logger
	limited *zap.Logger // for what others can cause at will: a few lines a second of each kind
	clients *zap.Logger // for the coming and going of clients' connections, which anybody can cause as well: some more
	backend aaa.Backend
	pool    *addrpool.Pool
	plane   *dataplane.Plane
	traces  *trace.Hub
	routes  Routes
	records Records

	shards    []*shard
	listeners []*listener
	admission *admission
	rates     rates
	bans      *bans
	attempts  attempts
	callIDs   *control.Pool
	desk      *loginDesk
	errands   *errands
	faults    control.FaultCounters // of peers
	lines     lineBook
	sites     []*site
	shared    sharedConnections

	started     time.Time
	next        atomic.Uint32 // shard
	nextControl atomic.Uint64
	nextSession atomic.Uint64
	callsEnded  atomic.Uint64
	recordsLost atomic.Uint64

	mu      sync.Mutex
	retired dataplane.Counters // of calls that have ended
}

// limitedLines is how many log lines of one kind there may be in a second, for what anybody on the network can cause.
const (
	limitedLines = 5
	clientLines  = 50 // more than that come and go only after a power cut, or to fill the disk
)

// New makes a server. Listen, then Run.
func New(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Shards <= 0 {
		o.Shards = runtime.GOMAXPROCS(0)
	}
	ids, err := control.NewPool(control.PoolConfig{Seed: seed()})
	if err != nil {
		return nil, fmt.Errorf("call IDs: %w", err)
	}
	s := &Server{
		log: o.Log, limited: limitedLogger(o.Log, limitedLines), clients: limitedLogger(o.Log, clientLines), backend: o.Backend, pool: o.Pool, plane: o.Plane, traces: o.Plane.Traces(), routes: o.Routes, records: o.Records,
		attempts: attempts{rest: attemptRest}, admission: newAdmission(o.Config.Limits), bans: newBans(o.Config.Users.Ban), callIDs: ids, errands: newErrands(), started: time.Now(),
		shared: sharedConnections{to: make(map[sharedEnds]*sharedConnection)},
	}
	s.cfg.Store(o.Config)
	s.desk = newLoginDesk(s)
	for i := range o.Shards {
		shard, err := newShard(s, i)
		if err != nil {
			return nil, errors.Join(err, s.closeShards())
		}
		s.shards = append(s.shards, shard)
	}
	if s.sites, err = newSites(s, o.Config); err != nil {
		return nil, errors.Join(err, s.closeShards())
	}
	return s, nil
}

func (s *Server) closeShards() error {
	for _, shard := range s.shards {
		shard.poller.Close()
	}
	return nil
}

// Listen opens the listeners of the configuration. On an error none is open.
func (s *Server) Listen(ctx context.Context) error {
	for _, l := range s.cfg.Load().Listeners {
		opened, err := listen(ctx, l)
		if err != nil {
			for _, o := range s.listeners {
				o.close()
			}
			s.listeners = nil
			return err
		}
		s.listeners = append(s.listeners, opened)
	}
	return nil
}

// Addresses returns where the server listens, in the order of the configuration.
func (s *Server) Addresses() []netip.AddrPort {
	var out []netip.AddrPort
	for _, l := range s.listeners {
		out = append(out, l.address)
	}
	return out
}

// Run serves until ctx ends; then it says goodbye to everybody, for as long as the configuration's Shutdown time, and returns
// nil. Any other return is a failure of the server itself, and has ended all calls.
func (s *Server) Run(ctx context.Context) error {
	// What serves the shards must outlive them, and they outlive ctx; the last errands come from the desk.
	stopDesk := background(context.WithoutCancel(ctx), s.desk.run)
	stopErrands := background(context.WithoutCancel(ctx), s.errands.run)
	defer stopErrands()
	defer stopDesk()

	group, running := errgroup.WithContext(ctx)
	for _, shard := range s.shards {
		group.Go(shard.run)
	}
	var accepting sync.WaitGroup
	accept, stopAccepting := context.WithCancel(running)
	defer stopAccepting()
	for _, l := range s.listeners {
		accepting.Go(func() { s.accept(accept, l) })
	}
	stopSites := background(running, s.callSites)
	defer stopSites()
	var failure error
	select {
	case <-running.Done():
	case failure = <-s.plane.Failed():
		s.log.Error("data plane has failed", zap.Error(failure))
	}
	stopSites()
	s.admission.stop()
	stopAccepting()
	for _, l := range s.listeners {
		l.close()
	}
	accepting.Wait()
	s.sayGoodbye()
	return errors.Join(group.Wait(), failure)
}

// callSites keeps the sites called as they are configured, until ctx ends.
func (s *Server) callSites(ctx context.Context) {
	var all sync.WaitGroup
	for _, one := range s.sites {
		all.Go(func() { one.run(ctx) })
	}
	all.Wait()
}

// background runs f until the function returned is called, which waits for its end.
func background(ctx context.Context, f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// sayGoodbye makes all shards say goodbye and end.
func (s *Server) sayGoodbye() {
	deadline := time.Now().Add(s.cfg.Load().Timers.Shutdown)
	for _, shard := range s.shards {
		shard.mail.post(func() { shard.sayGoodbye(deadline) })
	}
}

// Reload changes what holds for new connections and calls. Listeners, the pool and the network interface stay as they are.
func (s *Server) Reload(c *config.Config) {
	s.cfg.Store(c)
	s.admission.setLimits(c.Limits)
	s.bans.setRule(c.Users.Ban)
}

// CallsTurned is how many calls have begun so far, and how many have ended, together.
func (s *Server) CallsTurned() uint64 { return s.nextSession.Load() + s.callsEnded.Load() }

// identity is what we say of ourselves in the Start messages.
func (s *Server) identity(c *config.Config) control.Identity {
	channels := c.Limits.Sessions
	if channels <= 0 || channels > 0xffff {
		channels = 0xffff
	}
	return control.Identity{
		HostName: c.Name, VendorName: "Trunkline", FirmwareRevision: 1, MaximumChannels: uint16(channels),
		FramingCapabilities: pptp.FramingEither, BearerCapabilities: pptp.BearerAnalog | pptp.BearerDigital,
	}
}

// retire adds the counters of a call that has ended to those of the server.
func (s *Server) retire(n dataplane.Counters) {
	s.callsEnded.Add(1)
	s.mu.Lock()
	s.retired.Add(n)
	s.mu.Unlock()
}

// findPAC returns the configured access concentrator that a connection from this address, with this Host Name, belongs to.
func findPAC(c *config.Config, addr netip.Addr, host string) *config.PAC {
	for i := range c.PACs {
		p := &c.PACs[i]
		if p.HostName != "" && p.HostName != host {
			continue
		}
		if isOf(p, addr) {
			return p
		}
	}
	return nil
}

// isOf tells whether a configured access concentrator may have an address; a link-local one counts whatever its interface.
func isOf(p *config.PAC, addr netip.Addr) bool {
	return slices.ContainsFunc(p.Addresses, func(prefix netip.Prefix) bool { return prefix.Contains(addr.WithZone("")) })
}

// mayBePAC tells whether a configured access concentrator may have this address; its name is not known before it speaks.
func mayBePAC(c *config.Config, addr netip.Addr) bool {
	return slices.ContainsFunc(c.PACs, func(p config.PAC) bool { return isOf(&p, addr) })
}
