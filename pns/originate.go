package pns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/pns/config"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/pptp/fsm"
)

// connectLimit is how long TCP to a site's server may take to open.
const connectLimit = 20 * time.Second

// origination is what a conn that this server has opened has besides.
type origination struct {
	ends    sharedEnds
	perCall bool // it ends with its call
	orders  []order
}

// sharedConnections are the control connections to servers that the calls of several sites use.
type sharedConnections struct {
	mu sync.Mutex
	to map[sharedEnds]*sharedConnection
}

// sharedEnds are the two ends of a connection as a site's configuration has them.
type sharedEnds struct {
	server string     // host:port
	local  netip.Addr // invalid: any
}

func endsOf(to config.Site) sharedEnds { return sharedEnds{to.Server, to.Local} }

// sharedConnection is the control connection between two ends. Who has the turn, of which there is one, may look at it and open another one, so
// that two sites do not open two; sites of other servers do not wait meanwhile.
type sharedConnection struct {
	turn chan struct{}
	conn *conn // the last that was opened, and may be over; nil: none was
}

// between returns the connection of a site.
func (s *sharedConnections) between(ends sharedEnds) *sharedConnection {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to[ends] == nil {
		s.to[ends] = &sharedConnection{turn: make(chan struct{}, 1)}
	}
	return s.to[ends]
}

// originate has a call placed on a control connection to the site's server: a new one, or, if it may be shared, one that is there.
func (s *Server) originate(ctx context.Context, to config.Site, o order) error {
	if to.PerCall {
		_, err := s.connect(ctx, to, o)
		return err
	}
	shared := s.shared.between(endsOf(to))
	select {
	case shared.turn <- struct{}{}:
		defer func() { <-shared.turn }()
	case <-ctx.Done():
		return errGivenUp
	}
	if c := shared.conn; c != nil {
		taken := make(chan bool, 1)
		if c.shard.mail.post(func() { taken <- c.take(c.shard.now, o) }) && <-taken {
			return nil
		}
	}
	c, err := s.connect(ctx, to, o)
	if err == nil {
		shared.conn = c
	}
	return err
}

// take places a call on a connection that this server has opened, now or as soon as it is established; false: it is over.
func (c *conn) take(now time.Time, o order) bool {
	switch {
	case c.gone || c.closing:
		return false
	case c.machine.Status() != fsm.StateEstablished:
		c.ours.orders = append(c.ours.orders, o)
	default:
		c.carryOut(now, o)
	}
	return true
}

// connect opens a control connection for a first call.
func (s *Server) connect(ctx context.Context, to config.Site, o order) (*conn, error) {
	fd, err := openTCP(ctx, to)
	if err != nil {
		return nil, err
	}
	c, err := s.originated(fd, to, o)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("control connection to %s: %w", to.Server, err)
	}
	return c, nil
}

// originated hands a socket that has just been connected to a shard.
func (s *Server) originated(fd int, to config.Site, o order) (*conn, error) {
	local, err := localAddress(fd)
	if err != nil {
		return nil, err
	}
	peer, err := unix.Getpeername(fd)
	if err != nil {
		return nil, fmt.Errorf("getpeername: %w", err)
	}
	remote := tunnel.AddrPort(fd, peer)
	if !remote.IsValid() || remote.Addr() == local.Addr() {
		return nil, errors.New("the server has this host's own address: GRE cannot tell the two ends apart")
	}
	if err := s.plane.Prepare(local.Addr()); err != nil {
		return nil, err
	}
	shard := s.shards[s.next.Add(1)%uint32(len(s.shards))]
	c := &conn{
		shard: shard, id: s.nextControl.Add(1), fd: fd, local: local, remote: remote,
		ours: &origination{ends: endsOf(to), perCall: to.PerCall, orders: []order{o}},
	}
	if mtu, err := tunnel.PathMTUOf(fd); err == nil {
		c.pathMTU = mtu
	}
	if _, refusal := s.admission.connection(c, true); refusal != RefusedNone {
		return nil, errors.New(refusal.String())
	}
	if !shard.mail.post(func() { shard.adopt(c) }) {
		s.admission.connectionGone(c)
		return nil, errStopping
	}
	return c, nil
}

// openTCP connects to a site's server, named by an IPv4 address, an IPv6 address in brackets or a name that has an IPv4 address, and returns
// a non-blocking socket that Go's network poller does not know.
func openTCP(ctx context.Context, to config.Site) (fd int, err error) {
	network := "tcp4"
	if strings.HasPrefix(to.Server, "[") {
		network = "tcp6"
	}
	dialer := net.Dialer{Timeout: connectLimit}
	if to.Local.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(to.Local, 0))
	}
	opened, err := dialer.DialContext(ctx, network, to.Server)
	if err != nil {
		return -1, err
	}
	defer opened.Close()
	raw, err := opened.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, err
	}
	var failed error
	err = raw.Control(func(own uintptr) {
		if fd, failed = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0); failed == nil {
			failed = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return -1, fmt.Errorf("socket to %s: %w", to.Server, err)
	}
	return fd, nil
}

// opens tells that the connection is established: what has been ordered is placed.
func (c *conn) opens(now time.Time) {
	if c.ours == nil {
		return
	}
	orders := c.ours.orders
	c.ours.orders = nil
	for _, o := range orders {
		c.carryOut(now, o)
	}
	c.useless(now)
}

// useless ends a connection that has lost its only call.
func (c *conn) useless(now time.Time) {
	if c.ours != nil && c.ours.perCall && c.calls.len() == 0 {
		c.machine.Stop(now, pptp.StopNone)
		c.dirty = true
	}
}

// disappointed tells those who wait for a call that the connection has ended before it could be placed.
func (c *conn) disappointed(end control.ConnectionEnded) {
	if c.ours == nil {
		return
	}
	err := fmt.Errorf("control connection to %s: %v", c.ours.ends.server, end.Why)
	if end.Err != nil {
		err = fmt.Errorf("%w: %w", err, end.Err)
	}
	for _, o := range c.ours.orders {
		o.placed <- err
	}
	c.ours.orders = nil
}
