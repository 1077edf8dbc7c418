package dataplane

import (
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gaissmai/bart"
	"go.uber.org/zap"

	"trunkline.example/pns/tun"
	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/trace"
)

// Options are what a Plane is made of.
type Options struct {
	Device  tun.Device
	Open    func(local netip.Addr) (tunnel.Conn, error) // GRE of one local address
	Server  netip.Addr                                  // our end of every session's link: the source of ICMP messages
	Clients []netip.Prefix                              // addresses that clients get; between them Isolation decides
	// Isolation keeps clients from reaching each other.
	Isolation bool
	Log       *zap.Logger // nil: none
}

// Plane carries the data of all sessions. Its methods are safe for concurrent use.
type Plane struct {
	options   Options
	log       *zap.Logger
	started   time.Time
	secret    maphash.Seed // of callKey
	server    address
	clients   []span
	isolation atomic.Bool

	addresses table[Entry]                       // by the client's address
	routes    atomic.Pointer[bart.Table[*Route]] // of which none changes; mu guards the next one's making

	mu      sync.Mutex
	closed  bool
	sockets map[netip.Addr]*socket
	byIndex atomic.Pointer[[]*socket]
	running sync.WaitGroup
	ticker  owedTicker
	failed  chan error // one
	traces  trace.Hub

	unknown, foreign, malformed, noSession, notIPv4, writeFailed atomic.Uint64
}

// socket is the GRE of one local address with the calls on it.
type socket struct {
	index int
	conn  tunnel.Conn
	calls table[Entry]          // by Plane.callKey
	inUse [1 << 16]atomic.Int32 // calls by own Call ID, whoever has them: tells a stranger from a call that is over
	full  trouble               // there was no room
}

// span is a range of addresses.
type span struct{ first, last address }

func spanOf(prefix netip.Prefix) span {
	first := addressOf(prefix.Masked().Addr())
	return span{first, first | address(uint64(1)<<(32-prefix.Bits())-1)}
}

// New makes a data plane that reads the TUN at once. GRE is opened by Prepare.
func New(o Options) *Plane {
	p := newPlane(o)
	p.running.Go(p.ticker.run)
	for number := range o.Device.Queues() {
		p.running.Go(func() { p.readQueue(number) })
	}
	return p
}

// newPlane makes a data plane that nobody drives.
func newPlane(o Options) *Plane {
	p := &Plane{options: o, log: o.Log, started: time.Now(), secret: maphash.MakeSeed(), server: addressOf(o.Server), sockets: make(map[netip.Addr]*socket), failed: make(chan error, 1)}
	if p.log == nil {
		p.log = zap.NewNop()
	}
	for _, prefix := range o.Clients {
		p.clients = append(p.clients, spanOf(prefix))
	}
	p.isolation.Store(o.Isolation)
	p.byIndex.Store(new([]*socket))
	p.routes.Store(new(bart.Table[*Route]))
	p.ticker.init(p)
	return p
}

// Traces has the traces of calls; all GRE packets are offered to it.
func (p *Plane) Traces() *trace.Hub { return &p.traces }

// trace offers a batch to the traces, of which there is one at least.
func (p *Plane) trace(now time.Time, s *socket, sent bool, batch []tunnel.Packet) {
	local := s.conn.Local()
	for i := range batch {
		p.traces.GRE(now, local, batch[i].Remote, sent, batch[i].Data)
	}
}

// SetIsolation changes whether clients may reach each other.
func (p *Plane) SetIsolation(on bool) { p.isolation.Store(on) }

// Prepare opens GRE on a local address, if it is not open yet. It must have been called before Register.
func (p *Plane) Prepare(local netip.Addr) error {
	local = local.Unmap()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	if p.sockets[local] != nil {
		return nil
	}
	conn, err := p.options.Open(local)
	if err != nil {
		return fmt.Errorf("GRE on %v: %w", local, err)
	}
	s := p.attach(local, conn)
	done := make(chan struct{})
	p.running.Go(func() {
		defer close(done)
		p.readSocket(s)
	})
	p.running.Go(func() { p.readPathErrors(s, done) })
	p.log.Info("GRE open", zap.Stringer(logging.KeyAddress, local))
	return nil
}

// attach makes the socket of a local address known. The caller holds mu.
func (p *Plane) attach(local netip.Addr, conn tunnel.Conn) *socket {
	all := append([]*socket(nil), *p.byIndex.Load()...)
	s := &socket{index: len(all), conn: conn}
	all = append(all, s)
	p.byIndex.Store(&all)
	p.sockets[local] = s
	return s
}

// Register adds a call. From then on its control frames go to its Inbox.
func (p *Plane) Register(c Call) (*Entry, error) {
	e, err := p.entry(c)
	if err != nil {
		return nil, err
	}
	e.in.receiver = gre.NewReceiver(gre.ReceiverConfig{})
	e.out.sender = gre.NewSender(time.Now(), e.out.config)
	return e, p.add(e)
}

// entry makes an Entry without its two halves.
func (p *Plane) entry(c Call) (*Entry, error) {
	c.Local, c.Remote = c.Local.Unmap(), c.Remote.Unmap()
	if !c.Remote.IsValid() || c.Local.BitLen() != c.Remote.BitLen() {
		return nil, fmt.Errorf("call between %v and %v: %w", c.Local, c.Remote, tunnel.ErrAddressFamily)
	}
	p.mu.Lock()
	s, closed := p.sockets[c.Local], p.closed
	p.mu.Unlock()
	if closed || s == nil {
		return nil, fmt.Errorf("GRE on %v: %w", c.Local, ErrClosed)
	}
	e := &Entry{plane: p, socket: s, call: c, key: p.callKey(c.Remote, c.Own), outer: tunnel.IPHeader(c.Remote)}
	e.out.config = gre.SenderConfig{CallID: c.Theirs, Advertised: ReceiveWindow, AckDelay: ackDelay}
	if c.Enforce {
		e.out.config.Enforce, e.out.config.Window, e.out.hold = true, c.Window, c.Hold
	}
	if c.PathMTU > 0 {
		e.lowerPathMTU(c.PathMTU)
	}
	return e, nil
}

func (p *Plane) add(e *Entry) error {
	if !e.socket.calls.insert(e.key, e) {
		return fmt.Errorf("%w: %d from %v", ErrCallIDInUse, e.call.Own, e.call.Remote)
	}
	e.socket.inUse[e.call.Own].Add(1)
	return nil
}

// isClient tells whether the address is one that clients get.
func (p *Plane) isClient(a address) bool {
	if a == p.server {
		return false
	}
	for _, s := range p.clients {
		if a >= s.first && a <= s.last {
			return true
		}
	}
	return false
}

// readPathErrors lowers the MTU of the sessions whose path has turned out to be narrower.
func (p *Plane) readPathErrors(s *socket, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case e := <-s.conn.PathErrors():
			if !errors.Is(e.Err, syscall.EMSGSIZE) || e.MTU <= 0 {
				continue
			}
			remote := e.Remote.Unmap()
			s.calls.each(func(entry *Entry) {
				if entry.call.Remote == remote {
					entry.lowerPathMTU(e.MTU)
				}
			})
		}
	}
}

// Counters returns what belongs to no call.
func (p *Plane) Counters() PlaneCounters {
	c := PlaneCounters{
		UnknownCall: p.unknown.Load(), ForeignAddress: p.foreign.Load(), MalformedGRE: p.malformed.Load(), NoSession: p.noSession.Load(), NotIPv4: p.notIPv4.Load(),
		WriteFailed: p.writeFailed.Load(), Sockets: make(map[string]tunnel.Counters), Device: p.options.Device.Counters(),
	}
	for _, s := range *p.byIndex.Load() {
		c.Calls += s.calls.len()
		c.Sockets[s.conn.Local().String()] = s.conn.Counters()
	}
	return c
}

// Close closes the GRE sockets and the TUN device, and waits until nothing runs any more.
func (p *Plane) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	p.closed = true
	p.mu.Unlock()
	var errs []error
	for _, s := range *p.byIndex.Load() {
		errs = append(errs, s.conn.Close())
	}
	errs = append(errs, p.options.Device.Close())
	p.ticker.stop()
	p.running.Wait()
	return errors.Join(errs...)
}

// ended tells that an error of a read means the end, and reports any other one. An end that nobody has asked for, such as a TUN
// interface deleted by an operator, is a failure of the plane.
func (p *Plane) ended(what string, err error) bool {
	if !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrClosed) {
		p.log.Error("data plane cannot read", zap.String("from", what), zap.Error(err))
		return false
	}
	p.mu.Lock()
	wanted := p.closed
	p.mu.Unlock()
	if !wanted {
		select {
		case p.failed <- fmt.Errorf("%s has gone: %w", what, err):
		default:
		}
	}
	return true
}

// Failed delivers why the plane cannot go on, if that happens before Close.
func (p *Plane) Failed() <-chan error { return p.failed }
