package pac

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"trunkline.example/pac/config"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/line"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/trace"
)

const (
	dialLimit    = 10 * time.Second // for TCP to a network server to open
	longestPause = time.Minute      // between two attempts to reach one
	commandLimit = 2 * time.Second  // for a control connection's loop to take a command

	faultsPerMinute = 10 // of one kind that are logged
)

// errNotReady is why a call cannot be offered to a network server.
var errNotReady = errors.New("no control connection")

// network is one network server: it keeps the control connection up and carries the calls of all lines over it. If each call shall have one of
// its own, it keeps one up that has no call yet: the first call takes it, and it ends with that.
type network struct {
	cfg     config.PNS
	server  *Server
	log     *zap.Logger
	limited *zap.Logger                // for what the other end does wrong: the same thing is logged a few times a minute
	faults  control.FaultCounters      // of the network server
	refused refusalCounters            // calls that it asked for
	up      atomic.Pointer[connection] // the established control connection for the next call; nil while there is none
	status  atomic.Pointer[PNSStatus]
	running sync.WaitGroup // control connections

	mu   sync.Mutex           // of what follows, and of changes of status
	live map[*connection]bool // all control connections
	held int                  // calls on them
}

// errTaken: the control connection has got its only call; another one is needed for the next.
var errTaken = errors.New("taken by a call")

// connection is one control connection in use. Its calls are touched in the control connection's loop only.
type connection struct {
	runner *control.Runner
	name   trace.Connection
	traces *trace.Hub
	local  netip.Addr
	mux    *tunnel.Mux
	calls  map[uint16]callRef
	taken  chan struct{} // closed with the first call, if the connection is for one only
}

// callRef finds the owner of a call; it is empty while a requested call looks for a line.
type callRef struct {
	to    *mailbox
	call  line.Call
	about trace.About
}

// PNSStatus is what `pac` tells of a network server and its control connection.
type PNSStatus struct {
	Name        string    `json:"name"`
	Address     string    `json:"address"`
	Established bool      `json:"established"`
	Since       time.Time `json:"since"` // of this state
	HostName    string    `json:"host_name,omitempty"`
	VendorName  string    `json:"vendor_name,omitempty"`
	Calls       int       `json:"calls"`
	Problem     string    `json:"problem,omitempty"` // why there is no control connection
	Attempts    int       `json:"attempts"`          // since the last success

	Faults  map[string]uint64 `json:"faults"`  // what it did wrong on its control connections, by kind
	Refused map[string]uint64 `json:"refused"` // calls that it asked for, by reason
}

func newNetwork(s *Server, cfg config.PNS) *network {
	n := &network{cfg: cfg, server: s, log: s.log.With(zap.String(logging.KeyPNS, cfg.Name), zap.Stringer(logging.KeyPeer, cfg.Address))}
	n.limited = n.log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(c, time.Minute, faultsPerMinute, 0)
	}))
	n.live = make(map[*connection]bool)
	n.change(func(p *PNSStatus) { *p = PNSStatus{Since: time.Now(), Problem: "not tried yet"} })
	return n
}

// change changes the status that is shown.
func (n *network) change(f func(*PNSStatus)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var s PNSStatus
	if old := n.status.Load(); old != nil {
		s = *old
	}
	f(&s)
	s.Name, s.Address, s.Calls = n.cfg.Name, n.cfg.Address.String(), n.held
	n.status.Store(&s)
}

// run keeps the control connection up until ctx ends.
func (n *network) run(ctx context.Context) {
	defer n.running.Wait()
	pause, attempts := n.server.config().Timers.Reconnect, 0
	for ctx.Err() == nil {
		began := time.Now()
		attempts++
		err := n.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errTaken) {
			pause, attempts = n.server.config().Timers.Reconnect, 0
			continue
		}
		if time.Since(began) > longestPause {
			pause, attempts = n.server.config().Timers.Reconnect, 1
		}
		wait := pause/2 + rand.N(pause)
		n.change(func(p *PNSStatus) { *p = PNSStatus{Since: time.Now(), Problem: text(err), Attempts: attempts} })
		n.log.Warn("no control connection", zap.String(logging.KeyReason, text(err)), zap.Int(logging.KeyAttempt, attempts), zap.Duration("retry", wait))
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
		pause = min(2*pause, longestPause)
	}
}

func text(err error) string {
	if err == nil {
		return "closed in an orderly way"
	}
	return err.Error()
}

// connect opens one control connection and runs it, until it ends or a call has taken it for itself.
func (n *network) connect(ctx context.Context) error {
	nc, local, err := n.server.dial(ctx, n.cfg)
	if err != nil {
		return err
	}
	if local == n.cfg.Address.Addr() {
		_ = nc.Close()
		return errors.New("the network server has this host's own address: give one of them another address (pns.local)")
	}
	mux, err := n.server.mux(local)
	if err != nil {
		_ = nc.Close()
		return err
	}
	c := &connection{name: n.connectionName(nc, local), traces: &n.server.traces, local: local, mux: mux, calls: map[uint16]callRef{}}
	if n.cfg.PerCall {
		c.taken = make(chan struct{})
	}
	machine := control.New(time.Now(), control.Config{
		Originator: true,
		Self:       n.server.identity(),
		CallIDs:    n.server.callIDs.For(control.Pair{Ours: local, Theirs: n.cfg.Address.Addr()}),
		Timers:     control.Timers{Idle: n.server.config().Timers.Echo, EchoReply: n.server.config().Timers.Echo, WANErrors: n.server.config().Timers.WANErrors},
		Trace:      n.log.Core().Enabled(zap.DebugLevel),
	})
	c.runner = control.NewRunner(&tracedConn{nc, c.traces, c.name}, machine, func(now time.Time, m *control.Connection, a control.Action) { n.handle(now, c, m, a) }, control.RunnerConfig{})
	n.lives(c, true)
	ended := make(chan error, 1)
	n.running.Go(func() { n.stopWith(ctx, c) })
	n.running.Go(func() {
		err := c.runner.Run(context.WithoutCancel(ctx))
		n.up.CompareAndSwap(c, nil)
		n.lives(c, false)
		ended <- err
	})
	select {
	case err := <-ended:
		return err
	case <-c.taken:
		return errTaken
	}
}

// lives notes that a control connection is there, or no longer.
func (n *network) lives(c *connection, yes bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if yes {
		n.live[c] = true
	} else {
		delete(n.live, c)
	}
}

// connections are all control connections.
func (n *network) connections() []*connection {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Keys(n.live))
}

// dialTCP opens the TCP connection and tells our address on it.
func dialTCP(ctx context.Context, to config.PNS) (net.Conn, netip.Addr, error) {
	dialer := net.Dialer{Timeout: dialLimit}
	if to.Local.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(to.Local, 0))
	}
	nc, err := dialer.DialContext(ctx, "tcp", to.Address.String())
	if err != nil {
		return nil, netip.Addr{}, err
	}
	return nc, nc.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap(), nil
}

// stopWith says goodbye when ctx ends.
func (n *network) stopWith(ctx context.Context, c *connection) {
	select {
	case <-c.runner.Done():
	case <-ctx.Done():
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.server.config().Timers.Shutdown)
		defer cancel()
		_ = c.runner.Shutdown(limit, pptp.StopShutdown)
	}
}

// handle is told what the control connection does, in its loop.
func (n *network) handle(now time.Time, c *connection, m *control.Connection, a control.Action) {
	switch a := a.(type) {
	case control.Established:
		n.traceEvent(now, "the control connection is established")
		n.log.Info("control connection established", zap.String("host_name", a.Peer.HostName), zap.String("vendor_name", a.Peer.VendorName))
		n.change(func(p *PNSStatus) {
			*p = PNSStatus{Established: true, Since: now, HostName: a.Peer.HostName, VendorName: a.Peer.VendorName}
		})
		n.up.Store(c)
	case control.ConnectionEnded:
		n.up.CompareAndSwap(c, nil)
		n.traceEvent(now, "the control connection has ended: "+a.Why.String())
		n.log.Info("control connection ended", zap.Stringer(logging.KeyCause, a.Why), zap.Error(a.Err))
	case control.IncomingAccepted:
		c.post(a.Call, message{accepted: &a.Call})
	case control.OutgoingRequested:
		n.requested(now, c, m, a.Call)
	case control.IncomingOffered:
		n.offered(now, m, a.Call)
	case control.ClearRequested:
		if ref, ok := c.calls[a.Call.Own()]; ok && ref.to == nil { // no line has it yet
			_ = m.DisconnectCall(now, a.Call.Own(), control.Disconnect{})
			return
		}
		c.post(a.Call, message{cleared: true})
	case control.LinkInfoSet:
		c.post(a.Call, message{linkInfo: &a})
	case control.CallEnded:
		c.traces.End(now, c.name.ID, a.Call.Own())
		c.post(a.Call, message{ended: &a})
		if _, ok := c.calls[a.Call.Own()]; ok {
			delete(c.calls, a.Call.Own())
			n.count(-1)
			if n.cfg.PerCall {
				m.Stop(now, pptp.StopNone)
			}
		}
	case control.Trace:
		n.log.Debug("control message", zap.Bool("sent", a.Sent), zap.String("summary", a.Message.Summary()))
	case control.Misbehaved:
		n.faults.Add(a.What)
		n.traceEvent(now, "the network server misbehaves: "+a.What.String()+", "+a.Detail)
		told := []zap.Field{zap.Stringer(logging.KeyEvent, a.What), zap.String(logging.KeyReason, a.Detail)}
		if a.What.Crossed() {
			n.log.Debug("a message of the network server came too late", told...)
		} else {
			n.limited.Warn("the network server misbehaves", told...)
		}
	}
}

// count counts calls that have begun or, negative, ended.
func (n *network) count(calls int) {
	n.change(func(*PNSStatus) { n.held += calls })
}

// take makes a control connection that of a call that is about to begin on it. It runs in the connection's loop.
func (n *network) take(c *connection) error {
	if !n.cfg.PerCall {
		return nil
	}
	if len(c.calls) > 0 || !n.up.CompareAndSwap(c, nil) {
		return errTaken
	}
	close(c.taken)
	return nil
}

// post passes a message on to the owner of the call.
func (c *connection) post(call control.Call, m message) {
	ref, ok := c.calls[call.Own()]
	if !ok || ref.to == nil {
		return
	}
	m.call, m.from, m.own = ref.call, c, call.Own()
	ref.to.put(m)
}

// do runs a command in the control connection's loop.
func (n *network) do(c *connection, f func(now time.Time, m *control.Connection) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	var result error
	if err := c.runner.Do(ctx, func(now time.Time, m *control.Connection) { result = f(now, m) }); err != nil {
		return err
	}
	return result
}

// ready says whether calls can be offered.
func (n *network) ready() bool { return n.up.Load() != nil }

// soon says whether a control connection can be expected in a moment: the last one was taken by a call, and the next is on its way.
func (n *network) soon() bool { return n.cfg.PerCall && !n.ready() && n.status.Load().Established }

// offer sends an Incoming-Call-Request; what comes of it arrives in the mailbox. The leg it returns names the call from then on.
func (n *network) offer(ref callRef, o control.IncomingOffer) (leg, error) {
	c := n.up.Load()
	if c == nil {
		return leg{}, errNotReady
	}
	var own uint16
	err := n.do(c, func(now time.Time, m *control.Connection) (err error) {
		if err = n.take(c); err != nil {
			return err
		}
		if own, err = m.OfferIncoming(now, o); err == nil {
			c.begin(now, m, own, ref)
			n.count(1)
		} else if n.cfg.PerCall {
			m.Stop(now, pptp.StopNone)
		}
		return err
	})
	return leg{network: n, connection: c, own: own}, err
}

// leg is a call on a control connection, as the owner of its line holds it.
type leg struct {
	network    *network
	connection *connection
	own        uint16
}

func (l leg) valid() bool { return l.network != nil }

func (l leg) confirm(line control.LineConnected) error {
	return l.network.do(l.connection, func(now time.Time, m *control.Connection) error { return m.ConfirmIncoming(now, l.own, line) })
}

// disconnect sends the Call-Disconnect-Notify. A call that the control connection has forgotten is no error.
func (l leg) disconnect(d control.Disconnect) error {
	err := l.network.do(l.connection, func(now time.Time, m *control.Connection) error { return m.DisconnectCall(now, l.own, d) })
	if errors.Is(err, control.ErrUnknownCall) || errors.Is(err, control.ErrEnded) {
		return nil
	}
	return err
}

func (l leg) notifyErrors(e pptp.WANErrors) {
	_ = l.network.do(l.connection, func(now time.Time, m *control.Connection) error { return m.NotifyWANErrors(now, l.own, e) })
}
