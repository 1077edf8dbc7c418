package load

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/loop"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
)

// conn is one control connection: a client's with its call, or a PAC's with many.
type conn struct {
	loop.Timed
	shard       *shard
	fd          int
	token       uint64
	local       netip.Addr // invalid until the system has chosen one
	machine     *control.Connection
	only        *call            // of a client
	calls       map[uint16]*call // of a PAC, by our Call ID
	unsent      []byte
	watching    bool // for the socket to become writable
	established bool
	closing     bool      // the machine has ended, or has been told to
	until       time.Time // while closing: when it is closed whatever the peer does
	gone        bool
	busy, dirty bool // in step
}

const maxUnsent = 1 << 20 // octets that wait for a server that does not read

// dial begins a control connection, number n, for a call or as a PAC's.
func (s *shard) dial(n int, only *call) *conn {
	c := &conn{shard: s, fd: -1, local: s.e.cfg.source(n), only: only}
	c.Owner = c
	if err := c.connect(); err != nil {
		c.lost(s.now, "TCP: "+err.Error())
		c.gone = true
		if c.fd >= 0 {
			unix.Close(c.fd)
		}
		return c
	}
	if err := s.place(c); err == nil {
		err = c.watch(true)
		if err == nil {
			return c
		}
	}
	c.lost(s.now, "poller")
	c.close()
	return c
}

// connect opens the socket and begins to connect.
func (c *conn) connect() (err error) {
	server := c.shard.e.cfg.Server
	family := unix.AF_INET
	if server.Addr().Is6() {
		family = unix.AF_INET6
	}
	if c.fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	if c.local.IsValid() {
		if err := c.bind(family); err != nil {
			return err
		}
	}
	err = unix.Connect(c.fd, tunnel.Sockaddr(c.fd, server.Addr(), int(server.Port())))
	if errors.Is(err, unix.EINPROGRESS) {
		err = nil
	}
	return err
}

// bind takes our address. The port is chosen by connect, which knows the other end, so that an address does not run out of ports.
func (c *conn) bind(family int) error {
	if err := unix.SetsockoptInt(c.fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	if family == unix.AF_INET6 { // else addresses that the host has by a route only are none
		if err := unix.SetsockoptInt(c.fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1); err != nil {
			return err
		}
	}
	if err := unix.Bind(c.fd, tunnel.Sockaddr(c.fd, c.local, 0)); err != nil {
		return fmt.Errorf("no source address of this host: %w", err)
	}
	return nil
}

func (c *conn) watch(writable bool) error {
	c.watching = writable
	return c.shard.poller.Watch(c.fd, c.token, writable)
}

// writable goes on connecting or sending.
func (c *conn) writable(now time.Time) {
	if c.machine == nil {
		c.connected(now)
		return
	}
	n, err := unix.Write(c.fd, c.unsent)
	if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
		c.broken(now, err)
		return
	}
	c.unsent = c.unsent[max(n, 0):]
	c.flushed(now)
}

// connected starts the machine when TCP is up.
func (c *conn) connected(now time.Time) {
	errno, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	if err == nil && !c.local.IsValid() {
		err = c.learnLocal()
	}
	if err == nil {
		err = c.watch(false)
	}
	if err != nil {
		c.lost(now, "TCP: "+err.Error())
		c.close()
		return
	}
	const plenty = 1 << 16
	e := c.shard.e
	c.machine = control.New(now, control.Config{
		Originator: true,
		Self: control.Identity{HostName: "load", VendorName: "Trunkline", FramingCapabilities: pptp.FramingEither,
			BearerCapabilities: pptp.BearerAnalog | pptp.BearerDigital},
		CallIDs: c.shard.ids.For(control.Pair{Ours: c.local, Theirs: e.cfg.Server.Addr()}),
		Limits:  control.Limits{Calls: plenty, HalfOpen: plenty, MessagesPerSecond: plenty, Burst: plenty},
		Timers:  control.Timers{Stop: goodbyeTime},
	})
	if c.only != nil && c.only.state == connecting {
		c.only.state = starting
	}
	c.step(now)
}

// learnLocal asks which address the system has chosen.
func (c *conn) learnLocal() error {
	name, err := unix.Getsockname(c.fd)
	if err != nil {
		return err
	}
	if c.local = tunnel.AddrPort(c.fd, name).Addr(); c.local == c.shard.e.cfg.Server.Addr() {
		return errors.New("our address would be the server's own: name another source")
	}
	return nil
}

func (c *conn) read(now time.Time) {
	buf := c.shard.input[:]
	n, err := unix.Read(c.fd, buf)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
	case c.machine == nil:
		c.lost(now, "TCP: closed at once")
		c.close()
	case err != nil || n == 0:
		if err == nil {
			err = io.EOF
		}
		// What the server has said by GRE before is why, where it hangs up right behind its refusal.
		c.shard.readGRE()
		c.shard.settle()
		c.broken(now, err)
	default:
		c.machine.Receive(now, buf[:n])
		c.step(now)
	}
}

// broken tells the machine that TCP is gone.
func (c *conn) broken(now time.Time, err error) {
	c.unsent = nil
	c.machine.TransportClosed(now, err)
	c.step(now)
	c.close()
}

// Tick lets the machine's timers run.
func (c *conn) Tick(now time.Time) {
	if c.machine == nil {
		c.lost(now, "TCP: not connected in time")
		c.close()
		return
	}
	if c.closing && !now.Before(c.until) {
		c.close()
		return
	}
	c.machine.Tick(now)
	c.step(now)
}

// step performs the machine's actions until there are none left, and sends what they say. Calls made from within only mark that
// there is more to do.
func (c *conn) step(now time.Time) {
	if c.dirty = true; c.busy || c.gone {
		return
	}
	c.busy = true
	out := c.shard.output[:0]
	for c.dirty {
		c.dirty = false
		for _, a := range c.machine.Actions() {
			if send, ok := a.(control.Send); ok {
				out = append(out, send.Bytes...)
			} else {
				c.perform(now, a)
			}
		}
	}
	c.busy = false
	c.shard.output = out[:0]
	c.write(now, out)
	if !c.gone {
		at := c.machine.Deadline()
		if c.closing && (at.IsZero() || c.until.Before(at)) {
			at = c.until
		}
		c.shard.deadlines.Set(&c.Timed, at)
	}
}

func (c *conn) write(now time.Time, b []byte) {
	if len(b) > 0 && len(c.unsent) == 0 {
		n, _ := unix.Write(c.fd, b) // an error shows when the socket is read
		b = b[max(n, 0):]
	}
	if c.unsent = append(c.unsent, b...); len(c.unsent) > maxUnsent {
		c.broken(now, errors.New("the server does not read its control connection"))
		return
	}
	c.flushed(now)
}

// flushed watches the socket as needed, and says that nothing more will come when the last word is out.
func (c *conn) flushed(now time.Time) {
	if len(c.unsent) == 0 {
		c.unsent = nil
	}
	if want := len(c.unsent) > 0; want != c.watching && !c.gone {
		if err := c.watch(want); err != nil {
			c.broken(now, err)
		}
	}
}

func (c *conn) perform(now time.Time, a control.Action) {
	switch a := a.(type) {
	case control.Established:
		c.established = true
		if c.only != nil {
			c.only.request(now)
		}
	case control.OutgoingConnected:
		c.withCall(a.Call, func(k *call) { k.connected(now, a.Call) })
	case control.IncomingAccepted:
		c.withCall(a.Call, func(k *call) { k.accepted(now, a.Call) })
	case control.ClearRequested:
		c.withCall(a.Call, func(k *call) { k.clearRequested(now) })
	case control.CallEnded:
		c.withCall(a.Call, func(k *call) { k.callEnded(now, a.Why) })
	case control.ConnectionEnded:
		why := "control connection: " + a.Why.String()
		if a.Err != nil {
			why += ": " + a.Err.Error()
		}
		c.lost(now, why)
	case control.Close:
		c.ended(now, a)
	}
}

// ended closes the connection, at once or when the last word has been taken.
func (c *conn) ended(now time.Time, a control.Close) {
	c.closing, c.until = true, now
	if a.Flush {
		c.until = now.Add(goodbyeTime)
	}
}

func (c *conn) withCall(info control.Call, f func(*call)) {
	k := c.only
	if k == nil {
		k = c.calls[info.Own()]
	}
	if k != nil {
		f(k)
	}
}

// lost tells the calls that their connection is no more.
func (c *conn) lost(now time.Time, why string) {
	c.established = false
	if c.only != nil {
		c.only.fail(now, why, "")
		return
	}
	c.shard.trunkWhy = why
	for _, k := range c.calls {
		k.fail(now, why, "")
	}
}

// stop ends the connection orderly; its calls have ended before.
func (c *conn) stop(now time.Time) {
	switch {
	case c.gone || c.closing:
	case c.machine == nil:
		c.close()
	default:
		c.closing, c.until = true, now.Add(goodbyeTime)
		c.machine.Stop(now, pptp.StopNone)
		c.step(now)
	}
}

// close gives the socket back.
func (c *conn) close() {
	if !c.gone {
		c.gone, c.closing = true, true
		c.shard.remove(c)
	}
}
