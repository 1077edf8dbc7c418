package pns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"trunkline.example/pns/config"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/trace"
)

// listener is an open TCP port. Its accepted sockets never enter Go's network poller: the shards' own pollers have them.
type listener struct {
	name    string
	address netip.AddrPort
	file    *os.File // a net.Listener cannot be waited for without accepting into Go's poller
	raw     syscall.RawConn
}

// acceptPause is how long accepting rests when the process is out of descriptors or memory.
const acceptPause = 100 * time.Millisecond

func listen(ctx context.Context, l config.Listener) (*listener, error) {
	network := "tcp6" // IPv6 only: "[::]:1723" beside "0.0.0.0:1723" is another listener
	if l.Address.Addr().Is4() {
		network = "tcp4"
	}
	opened, err := (&net.ListenConfig{}).Listen(ctx, network, l.Address.String())
	if err != nil {
		return nil, explainListen(l, err)
	}
	defer opened.Close()
	tcp := opened.(*net.TCPListener)
	file, err := tcp.File()
	if err != nil {
		return nil, fmt.Errorf("listener %q: %w", l.Name, err)
	}
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("listener %q: %w", l.Name, err)
	}
	return &listener{name: l.Name, address: tcp.Addr().(*net.TCPAddr).AddrPort(), file: file, raw: raw}, nil
}

func explainListen(l config.Listener, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("listener %q: another program listens on %v (is pns, or another PPTP server, running already?): %w", l.Name, l.Address, err)
	case errors.Is(err, unix.EADDRNOTAVAIL), errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("listener %q: this machine has no address %v: %w", l.Name, l.Address.Addr(), err)
	}
	return fmt.Errorf("listener %q: %w", l.Name, err)
}

func (l *listener) close() { l.file.Close() }

// accept lets connections in until ctx ends or the listener is closed.
func (s *Server) accept(ctx context.Context, l *listener) {
	for ctx.Err() == nil {
		var fd int
		var from unix.Sockaddr
		var failed error
		err := l.raw.Read(func(listening uintptr) bool {
			fd, from, failed = unix.Accept4(int(listening), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			return !errors.Is(failed, unix.EAGAIN)
		})
		switch {
		case err != nil && ctx.Err() != nil: // closed
			return
		case err != nil:
			s.log.Error("listener has ended", zap.String(logging.KeyListener, l.name), zap.Error(err))
			return
		case errors.Is(failed, unix.ECONNABORTED), errors.Is(failed, unix.EINTR):
			continue
		case failed != nil:
			s.limited.Error("connections cannot be accepted", zap.String(logging.KeyListener, l.name), zap.Error(failed))
			s.admission.refused[RefusedLocal].Add(1)
			pause(ctx, acceptPause)
			continue
		}
		s.admit(l, fd, from)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// admit hands an accepted socket to a shard, or closes it.
func (s *Server) admit(l *listener, fd int, from unix.Sockaddr) {
	remote := tunnel.AddrPort(fd, from)
	local, err := localAddress(fd)
	if err == nil && !remote.IsValid() {
		err = errors.New("not an IP peer")
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err != nil {
		s.turnAway(l, fd, remote, RefusedLocal, err)
		return
	}
	known := mayBePAC(s.cfg.Load(), remote.Addr())
	if _, banned := s.bans.banned(time.Now(), remote.Addr()); banned && !known {
		s.admission.refused[RefusedBanned].Add(1)
		s.turnAway(l, fd, remote, RefusedBanned, nil)
		return
	}
	if err := s.plane.Prepare(local.Addr()); err != nil {
		s.admission.refused[RefusedLocal].Add(1)
		s.turnAway(l, fd, remote, RefusedLocal, err)
		return
	}
	shard := s.shards[s.next.Add(1)%uint32(len(s.shards))]
	c := &conn{shard: shard, id: s.nextControl.Add(1), fd: fd, local: local, remote: remote, listener: l.name}
	if mtu, err := tunnel.PathMTUOf(fd); err == nil {
		c.pathMTU = mtu
	}
	others, refusal := s.admission.connection(c, known)
	if refusal != RefusedNone {
		s.turnAway(l, fd, remote, refusal, nil)
		return
	}
	if !shard.mail.post(func() { shard.adopt(c) }) {
		s.admission.connectionGone(c)
		s.turnAway(l, fd, remote, RefusedStopping, nil)
		return
	}
	if len(others) > 0 {
		s.probeOthers(remote.Addr(), others)
	}
}

// probeOthers has the older connections of an address probed, since a new one has come from there.
func (s *Server) probeOthers(addr netip.Addr, others []*conn) {
	due, later := s.admission.askProbes(time.Now(), addr)
	if due {
		probe(others)
	}
	if later > 0 {
		time.AfterFunc(later, func() { probe(s.admission.putOffProbes(time.Now(), addr)) })
	}
}

// probe has connections asked for a sign of life.
func probe(all []*conn) {
	for _, c := range all {
		c.shard.mail.post(func() { c.probe(c.shard.now) })
	}
}

func (s *Server) turnAway(l *listener, fd int, remote netip.AddrPort, r Refusal, err error) {
	unix.Close(fd)
	s.traces.Event(time.Now(), trace.About{Remote: remote.Addr()}, "a control connection is refused: "+r.String())
	f := []zap.Field{zap.String(logging.KeyListener, l.name), zap.Stringer(logging.KeyPeer, remote), zap.Stringer(logging.KeyReason, r)}
	if err != nil {
		f = append(f, zap.Error(err))
	}
	s.limited.Warn("control connection refused", f...)
}

func localAddress(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("getsockname: %w", err)
	}
	a := tunnel.AddrPort(fd, sa)
	if !a.IsValid() {
		return a, errors.New("not an IP address")
	}
	return a, nil
}
