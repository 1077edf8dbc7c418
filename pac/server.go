package pac

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline.example/pac/config"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/line"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/record"
	"trunkline.example/shared/trace"
)

var (
	errNoCall = errors.New("there is no such call")
	errTunnel = errors.New("the GRE socket failed")
)

// DriverSource opens a configured driver. What it returns is closed when the server ends.
type DriverSource func(ctx context.Context, d config.Driver) (Driver, error)

// Driver is a line driver, in this process or another, with its end.
type Driver interface {
	line.Driver
	// Status says what an operator should know of it.
	Status() DriverStatus
	Close() error
}

// DriverStatus is what `pac drivers` shows of a driver.
type DriverStatus struct {
	Name     string    `json:"name"` // of its section
	Kind     string    `json:"kind"`
	Version  string    `json:"version"`
	PID      int       `json:"pid"` // of its process; our own if it has none
	Since    time.Time `json:"since"`
	Restarts int       `json:"restarts"`
	Lines    int       `json:"lines"`
	Problem  string    `json:"problem,omitempty"`
	// Confined: its process can open no files but those that its lines need.
	Confined   bool   `json:"confined"`
	Unconfined string `json:"unconfined,omitempty"` // why it can open more
}

// Server is the concentrator.
type Server struct {
	cfg         atomic.Pointer[config.Config]
	log         *zap.Logger
	version     string
	records     *record.Writer
	open        DriverSource
	callIDs     *control.Pool
	networks    map[string]*network
	start       time.Time
	calls       atomic.Uint64 // so far
	draining    atomic.Bool   // no new calls are taken
	traces      trace.Hub
	connections atomic.Uint64 // control connections so far
	budget      *budget       // of calls dialled
	tests       testPlan

	firstSerial uint16 // the first Call Serial Number is one more: those of the last run are not repeated at once

	socket      func(netip.Addr) (tunnel.Conn, error)
	dial        Dialer
	tunnelCtx   context.Context
	stopTunnels context.CancelFunc
	tunnels     sync.WaitGroup

	mu      sync.Mutex
	drivers []Driver
	owners  []*owner
	muxes   map[netip.Addr]*tunnel.Mux
}

// Options is what New needs besides the configuration.
type Options struct {
	Log     *zap.Logger
	Version string
	Records *record.Writer // nil: none are written
	Drivers DriverSource
	Socket  func(netip.Addr) (tunnel.Conn, error) // opens GRE on a local address; nil: a raw socket
	Dial    Dialer                                // nil: TCP
}

// Dialer opens the connection to a network server and tells our address on it.
type Dialer func(ctx context.Context, to config.PNS) (nc net.Conn, local netip.Addr, err error)

// New makes a server that does nothing yet.
func New(cfg config.Config, o Options) (*Server, error) {
	var seed [32]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, err
	}
	pool, err := control.NewPool(control.PoolConfig{Seed: seed})
	if err != nil {
		return nil, err
	}
	s := &Server{
		log: o.Log, version: o.Version, records: o.Records, open: o.Drivers,
		callIDs: pool, networks: map[string]*network{}, start: time.Now(), muxes: map[netip.Addr]*tunnel.Mux{},
	}
	if s.socket = o.Socket; s.socket == nil {
		s.socket = func(local netip.Addr) (tunnel.Conn, error) { return tunnel.Listen(tunnel.Config{Local: local}) }
	}
	if s.dial = o.Dial; s.dial == nil {
		s.dial = dialTCP
	}
	s.tunnelCtx, s.stopTunnels = context.WithCancel(context.Background())
	s.cfg.Store(&cfg)
	s.budget = openBudget(cfg.Dialout, s.start, s.log)
	s.tests = testPlan{budget: &budget{key: "selftest.calls_per_hour"}, tried: map[*owner]time.Time{}, warned: map[*owner]time.Time{}}
	s.firstSerial = binary.BigEndian.Uint16(seed[:])
	for _, p := range cfg.PNS {
		s.networks[p.Name] = newNetwork(s, p)
	}
	return s, nil
}

// config is what holds for new calls.
func (s *Server) config() *config.Config { return s.cfg.Load() }

// Reload takes routes, hunt groups, the rules for dialling out and self-tests, timers and the policy for refused callers over for new calls. It returns what of the new
// configuration waits for a restart.
func (s *Server) Reload(fresh config.Config) (waiting []string) {
	old := s.config()
	if !slices.EqualFunc(old.Drivers, fresh.Drivers, sameDriver) {
		waiting = append(waiting, "driver")
	}
	if !slices.Equal(old.PNS, fresh.PNS) {
		waiting = append(waiting, "pns")
	}
	for _, key := range []struct {
		name    string
		differs bool
	}{
		{"name", old.Name != fresh.Name}, {"dialout.state", old.Dialout.State != fresh.Dialout.State}, {"admin", old.Admin != fresh.Admin}, {"records", old.Records != fresh.Records},
		{"log.format", old.Log.Format != fresh.Log.Format}, {"log.time", old.Log.Time != fresh.Log.Time},
	} {
		if key.differs {
			waiting = append(waiting, key.name)
		}
	}
	merged := *old
	merged.Routes, merged.Hunts, merged.Dialout, merged.Timers, merged.Refused = fresh.Routes, fresh.Hunts, fresh.Dialout, fresh.Timers, fresh.Refused
	merged.Dialout.State, merged.SelfTest = old.Dialout.State, fresh.SelfTest
	s.cfg.Store(&merged)
	s.warnOfTests()
	return waiting
}

// sameDriver says whether two sections say the same, wherever they stand in their files.
func sameDriver(a, b config.Driver) bool {
	return a.Name == b.Name && a.Kind == b.Kind && a.Process == b.Process && a.Confine == b.Confine && slices.Equal(a.Paths, b.Paths) &&
		slices.EqualFunc(lines(a.Section.Text), lines(b.Section.Text), bytes.Equal)
}

// lines are those that are not empty.
func lines(text []byte) [][]byte {
	return slices.DeleteFunc(bytes.Split(text, []byte("\n")), func(line []byte) bool { return len(bytes.TrimSpace(line)) == 0 })
}

// Run opens the lines, keeps the control connections up and serves calls until ctx ends; then calls are cleared, lines freed and
// network servers told. ready is called once when lines and networks are being served.
func (s *Server) Run(ctx context.Context, ready func()) error {
	defer s.close()
	lineCtx, stopLines := context.WithCancel(context.WithoutCancel(ctx))
	netCtx, stopNets := context.WithCancel(context.WithoutCancel(ctx))
	defer stopNets()
	defer stopLines()
	if err := s.openLines(ctx); err != nil {
		stopLines()
		s.runLines(lineCtx).Wait()
		return err
	}
	var nets sync.WaitGroup
	for _, n := range s.networks {
		nets.Go(func() { n.run(netCtx) })
	}
	lines := s.runLines(lineCtx)
	s.warnOfTests()
	var tests sync.WaitGroup
	tests.Go(func() { s.scheduleTests(ctx) })
	ready()
	<-ctx.Done()
	// Lines first: their calls' last Call-Disconnect-Notify messages need the control connections.
	stopLines()
	lines.Wait()
	tests.Wait()
	stopNets()
	nets.Wait()
	return nil
}

// runLines starts the owners.
func (s *Server) runLines(ctx context.Context) *sync.WaitGroup {
	var all sync.WaitGroup
	for _, o := range s.owners {
		all.Go(func() { o.run(ctx) })
	}
	return &all
}

// openLines opens every configured driver's lines.
func (s *Server) openLines(ctx context.Context) error {
	names := map[string]string{}
	for _, d := range s.config().Drivers {
		driver, err := s.open(ctx, d)
		if err != nil {
			return fmt.Errorf("driver %q: %w", d.Name, err)
		}
		s.mu.Lock()
		s.drivers = append(s.drivers, driver)
		s.mu.Unlock()
		lines, err := driver.Open(ctx, d.Section)
		if err != nil {
			return fmt.Errorf("driver %q: %w", d.Name, err)
		}
		for _, l := range lines {
			name := l.Identity().Name
			o := newOwner(s, d.Name, l)
			s.mu.Lock()
			s.owners = append(s.owners, o)
			s.mu.Unlock()
			if other, twice := names[name]; twice {
				return fmt.Errorf("line %q exists twice: in driver %q and in driver %q", name, other, d.Name)
			}
			names[name] = d.Name
		}
		s.log.Info("driver opened", zap.String(logging.KeyDriver, d.Name), zap.String("kind", d.Kind), zap.Int("lines", len(lines)))
	}
	return nil
}

// close frees drivers and sockets.
func (s *Server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.drivers {
		if err := d.Close(); err != nil {
			s.log.Warn("driver did not close", zap.Error(err))
		}
	}
	s.stopTunnels()
	s.tunnels.Wait()
}

// mux is the GRE socket of a local address; the first use opens it.
func (s *Server) mux(local netip.Addr) (*tunnel.Mux, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.muxes[local]; m != nil {
		return m, nil
	}
	socket, err := s.socket(local)
	if err != nil {
		return nil, fmt.Errorf("GRE socket on %v: %w", local, err)
	}
	m := tunnel.NewMux(socket, tunnel.MuxConfig{Tap: func(remote netip.Addr, sent bool, packet []byte) {
		if s.traces.On() {
			s.traces.GRE(time.Now(), local, remote, sent, packet)
		}
	}})
	s.muxes[local] = m
	s.tunnels.Go(func() {
		if err := m.Run(s.tunnelCtx); err != nil {
			s.log.Error("the GRE socket failed", zap.Error(err))
			s.dropMux(local, m)
		}
	})
	return m, nil
}

// dropMux forgets a socket that has failed, and ends the control connections whose calls need it: new ones open a new socket.
func (s *Server) dropMux(local netip.Addr, m *tunnel.Mux) {
	s.mu.Lock()
	delete(s.muxes, local)
	s.mu.Unlock()
	for _, n := range s.networks {
		for _, c := range n.connections() {
			if c.mux != m {
				continue
			}
			_ = n.do(c, func(now time.Time, m *control.Connection) error {
				m.Abandon(now, errTunnel)
				return nil
			})
		}
	}
}

// identity is what we say in Start messages.
func (s *Server) identity() control.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := control.Identity{
		HostName: s.config().Name, VendorName: "Trunkline " + s.version, FirmwareRevision: 1,
		MaximumChannels: uint16(min(len(s.owners), 0xffff)),
	}
	for _, o := range s.owners {
		id.FramingCapabilities |= framingsOf(o.identity)
		id.BearerCapabilities |= pptp.BearerType(o.identity.Bearers)
	}
	return id
}

// nextCall names the next call: in logs and records, unique over restarts, and by its Call Serial Number.
func (s *Server) nextCall() (id string, serial uint16) {
	n := s.calls.Add(1)
	return fmt.Sprintf("%x-%d", s.start.UnixMilli(), n), s.firstSerial + uint16(n)
}

// Lines tells how the lines stand, by name.
func (s *Server) Lines() []LineStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]LineStatus, 0, len(s.owners))
	for _, o := range s.owners {
		l := *o.shown.Load()
		l.Call = l.Call.live()
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b LineStatus) int { return admin.CompareNames(a.Name, b.Name) })
	return all
}

// PNS tells how the network servers stand, in the order of the configuration.
func (s *Server) PNS() []PNSStatus {
	all := make([]PNSStatus, 0, len(s.config().PNS))
	for _, p := range s.config().PNS {
		n := s.networks[p.Name]
		status := *n.status.Load()
		status.Faults, status.Refused = n.faults.Counts(), n.refused.counts()
		all = append(all, status)
	}
	return all
}

// GRE tells what the GRE sockets have received, by local address.
func (s *Server) GRE() map[string]tunnel.MuxCounters {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]tunnel.MuxCounters, len(s.muxes))
	for local, m := range s.muxes {
		all[local.String()] = m.Counters()
	}
	return all
}

// Drivers tells how the drivers stand.
func (s *Server) Drivers() []DriverStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]DriverStatus, 0, len(s.drivers))
	for _, d := range s.drivers {
		all = append(all, d.Status())
	}
	return all
}

// Hangup ends the call of that identifier or on the line of that name.
func (s *Server) Hangup(ctx context.Context, which string) error {
	s.mu.Lock()
	owners := s.owners
	s.mu.Unlock()
	for _, o := range owners {
		shown := o.shown.Load()
		switch {
		case shown.Name == which:
			return o.order(ctx, func() error { return o.hangup("") })
		case shown.Call != nil && shown.Call.ID == which:
			return o.order(ctx, func() error { return o.hangup(which) })
		}
	}
	return errNoCall
}
