package pns

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"trunkline.example/pns/config"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/loop"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/pptp/fsm"
)

// conn is one control connection: a non-blocking socket and the machine that owns its calls. A shard owns it, but for the
// fields of the first block, which never change.
type conn struct {
	shard    *shard
	id       uint64
	local    netip.AddrPort
	remote   netip.AddrPort
	listener string
	pathMTU  int          // octets of an IP packet that the path takes; 0 is unknown
	ours     *origination // nil: the peer has opened it

	loop.Timed
	fd      int
	token   uint64
	machine *control.Connection
	calls   callSet
	pac     *config.PAC // whose connection this is; nil for a client of its own

	began   time.Time
	idle    time.Time // since when there is no call; zero while there is one
	charged uint64    // messages received that count against the limit of its address
	unsent  []byte
	waiting bool      // for the socket to become writable
	closing bool      // the machine has ended: close once unsent is empty and the peer has closed
	until   time.Time // while closing: and at this instant at the latest
	gone    bool
	busy    bool // in step
	dirty   bool // step has to look for actions again
}

const (
	// unsentLimit bounds what waits for a peer that does not read.
	unsentLimit = 256 << 10
	// lingerClosing is how long an ended connection may take to send its last message and to be closed by the peer.
	lingerClosing = 2 * time.Second
)

// adopt takes an admitted connection over. It runs on the shard.
func (s *shard) adopt(c *conn) {
	c.began, c.idle, c.Timed.Owner = s.now, s.now, c
	c.machine = c.controlPlan().New(s.now, c.callIDs())
	if s.stopping {
		c.machine.Abandon(s.now, ErrStopped)
	}
	if err := s.place(c); err != nil {
		s.server.log.Error("control connection cannot be watched", append(c.fields(), zap.Error(err))...)
		s.server.admission.refused[RefusedLocal].Add(1)
		s.server.admission.connectionGone(c)
		c.disappointed(control.ConnectionEnded{Why: control.EndAbandoned, Err: err})
		unix.Close(c.fd)
		return
	}
	c.step(s.now)
}

// fields name the connection in logs. They are good for one line.
func (c *conn) fields() []zap.Field {
	f := append(c.shard.line(), zap.Uint64(logging.KeyControl, c.id), zap.Stringer(logging.KeyPeer, c.remote))
	if c.pac != nil {
		f = append(f, zap.String(logging.KeyPAC, c.pac.Name))
	}
	return f
}

// policy is what calls on this connection may and must do now.
func (c *conn) policy() *config.Policy {
	cfg := c.shard.server.cfg.Load()
	if c.pac != nil {
		for i := range cfg.PACs {
			if cfg.PACs[i].Name == c.pac.Name {
				return &cfg.PACs[i].Policy
			}
		}
		return &c.pac.Policy // no longer configured since a reload
	}
	for i := range cfg.Listeners {
		if cfg.Listeners[i].Name == c.listener {
			return &cfg.Listeners[i].Policy
		}
	}
	return &cfg.Listeners[0].Policy // its listener is gone since a reload
}

// read takes what the socket has.
func (c *conn) read(now time.Time) {
	buf := c.shard.input[:]
	n, err := unix.Read(c.fd, buf)
	if n > 0 {
		c.traceOctets(now, false, buf[:n])
	}
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	case c.closing: // nothing it says matters any more
		if err != nil || n == 0 {
			c.close()
		}
		return
	case err != nil:
		c.machine.TransportClosed(now, err)
	case n == 0:
		c.machine.TransportClosed(now, io.EOF)
	default:
		c.machine.Receive(now, buf[:n])
	}
	c.step(now)
	c.charge(now)
}

// charge ends the connection if its address sends too many messages, over all its connections. Who has logged in does not suffer from
// strangers behind the same address.
func (c *conn) charge(now time.Time) {
	server := c.shard.server
	heard := c.machine.Counters().MessagesReceived
	n, limit := heard-c.charged, server.cfg.Load().Limits.MessagesPerSecondPerSource
	c.charged = heard
	if n == 0 || c.closing || c.pac != nil || c.ours != nil || c.loggedIn() || server.rates.take(now, c.remote.Addr(), n, limit) {
		return
	}
	r := server.admission.refuse(RefusedSourceMessages)
	server.limited.Warn("control connection ended", append(c.fields(), zap.Stringer(logging.KeyReason, r))...)
	c.machine.Abandon(now, fmt.Errorf("%v: more than %d a second", r, limit))
	c.step(now)
}

// loggedIn says whether a call on the connection has logged in.
func (c *conn) loggedIn() bool {
	for k := range c.calls.all() {
		if !k.halfOpen {
			return true
		}
	}
	return false
}

// Tick lets the machine's timers run, and closes a connection that has no use or has had its time to say its last word.
func (c *conn) Tick(now time.Time) {
	if c.closing {
		c.close()
		return
	}
	c.machine.Tick(now)
	if at := c.uselessAt(); !at.IsZero() && !now.Before(at) {
		c.stopFor(now, "no call on it for too long")
	}
	c.step(now)
}

// uselessAt is when a client's connection without a call is ended; a PAC may wait for callers as long as it likes.
func (c *conn) uselessAt() time.Time {
	if c.pac != nil || c.idle.IsZero() || c.machine.Status() != fsm.StateEstablished {
		return time.Time{}
	}
	return c.idle.Add(c.shard.server.cfg.Load().Timers.Establish)
}

// step performs the machine's actions until there are none left, sends what they say, and notes the next deadline. Every
// input to the machine is followed by it. Calls made from within step only mark that there is more to do.
func (c *conn) step(now time.Time) {
	if c.gone {
		return
	}
	c.dirty = true
	if c.busy {
		return
	}
	c.busy = true
	out := c.shard.output[:0]
	for c.dirty {
		c.dirty = false
		for _, a := range c.machine.Actions() {
			if send, ok := a.(control.Send); ok {
				out = append(out, send.Bytes...)
				continue
			}
			c.perform(now, a)
		}
	}
	c.busy = false
	c.shard.output = out[:0]
	c.send(now, out)
	c.reschedule()
}

func (c *conn) reschedule() {
	if c.gone {
		return
	}
	at := c.machine.Deadline()
	if c.closing {
		at = c.until
	} else if useless := c.uselessAt(); !useless.IsZero() && (at.IsZero() || useless.Before(at)) {
		at = useless
	}
	c.shard.deadlines.Set(&c.Timed, at)
}

// send writes what the socket takes and keeps the rest.
func (c *conn) send(now time.Time, b []byte) {
	if c.gone {
		return
	}
	c.traceOctets(now, true, b)
	if len(b) > 0 && len(c.unsent) == 0 {
		n, err := unix.Write(c.fd, b)
		if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			c.broken(now, err)
			return
		}
		b = b[max(n, 0):]
	}
	if len(c.unsent)+len(b) > unsentLimit {
		c.broken(now, fmt.Errorf("%w: %d octets wait", control.ErrSlowPeer, len(c.unsent)))
		return
	}
	c.unsent = append(c.unsent, b...)
	c.settle(now)
}

// flush goes on writing.
func (c *conn) flush(now time.Time) {
	n, err := unix.Write(c.fd, c.unsent)
	if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
		c.broken(now, err)
		return
	}
	if c.unsent = c.unsent[max(n, 0):]; len(c.unsent) == 0 {
		c.unsent = nil
	}
	c.settle(now)
}

// settle tells the peer that nothing more will come when the last word is out, and watches the socket as needed. The socket stays
// open then until the peer has closed too: closing with something unread would destroy what is on its way.
func (c *conn) settle(now time.Time) {
	if c.closing && len(c.unsent) == 0 && unix.Shutdown(c.fd, unix.SHUT_WR) != nil {
		c.close()
		return
	}
	if want := len(c.unsent) > 0; want != c.waiting {
		if err := c.shard.poller.Watch(c.fd, c.token, want); err != nil {
			c.broken(now, err)
			return
		}
		c.waiting = want
	}
}

func (c *conn) broken(now time.Time, err error) {
	c.unsent = nil
	if c.closing {
		c.close()
		return
	}
	c.machine.TransportClosed(now, err)
	c.step(now)
}

// close gives the socket back. The machine has ended before.
func (c *conn) close() {
	if c.gone {
		return
	}
	c.gone = true
	c.shard.server.traces.Closed(c.shard.now, c.traceName())
	c.shard.remove(c)
	c.shard.server.admission.connectionGone(c)
}

// perform does one action of the machine.
func (c *conn) perform(now time.Time, a control.Action) {
	switch a := a.(type) {
	case control.StartRequested:
		c.startRequested(now, a)
	case control.Established:
		c.traceEvent(now, "the control connection is established")
		c.log().Info("control connection established", append(c.fields(), zap.String("host", a.Peer.HostName),
			zap.String("vendor", a.Peer.VendorName))...)
		c.opens(now)
	case control.OutgoingRequested:
		c.outgoingRequested(now, a.Call)
	case control.IncomingOffered:
		c.incomingOffered(now, a.Call)
	case control.IncomingConnected:
		c.withCall(a.Call, func(k *call) { k.lineConnected(now, a.Call) })
	case control.OutgoingConnected:
		c.withCall(a.Call, func(k *call) { k.lineConnected(now, a.Call) })
	case control.ClearRequested:
		c.withCall(a.Call, func(k *call) { k.clearRequested(now, a.Call) })
	case control.WANErrorsReported:
		c.withCall(a.Call, func(k *call) { k.wanErrors = a.Errors })
	case control.CallEnded:
		c.withCall(a.Call, func(k *call) { k.callEnded(now, a.Call, a.Why) })
	case control.ConnectionEnded:
		c.traceEvent(now, "the control connection has ended: "+a.Why.String())
		c.connectionEnded(a)
	case control.Close:
		c.closing, c.until = true, now
		if a.Flush {
			c.until = now.Add(lingerClosing)
		}
	case control.Misbehaved:
		c.traceEvent(now, "the peer misbehaves: "+a.What.String()+", "+a.Detail)
		c.misbehaved(a)
	case control.Trace:
		c.trace(a)
	}
}

func (c *conn) withCall(info control.Call, f func(*call)) {
	if k := c.calls.get(info.Own()); k != nil {
		f(k)
	}
}

// startRequested decides whose connection this is.
func (c *conn) startRequested(now time.Time, a control.StartRequested) {
	cfg := c.shard.server.cfg.Load()
	if c.pac = findPAC(cfg, c.remote.Addr(), a.Peer.HostName); c.pac != nil {
		c.trust(now, cfg.Limits)
	}
	if err := c.machine.ApproveStart(now); err != nil {
		c.shard.server.log.Error("control connection not approved", append(c.fields(), zap.Error(err))...)
		return
	}
	c.dirty = true
}

func (c *conn) connectionEnded(a control.ConnectionEnded) {
	c.disappointed(a)
	f := append(c.fields(), zap.Stringer(logging.KeyReason, a.Why), zap.Duration(logging.KeyDuration, c.shard.now.Sub(c.began).Round(time.Millisecond)))
	if a.Err != nil {
		f = append(f, zap.Error(a.Err))
	}
	switch a.Why {
	case control.EndNotEstablished, control.EndLostFraming, control.EndFlooded:
		// What the wrong port, a scanner or an attacker causes must not fill the log.
		c.shard.server.limited.Warn("control connection ended", f...)
	default:
		c.log().Info("control connection ended", f...)
	}
}

// log is for the coming and going of the connection.
func (c *conn) log() *zap.Logger {
	if c.pac == nil && c.ours == nil {
		return c.shard.server.clients
	}
	return c.shard.server.log
}

// misbehaved counts what the peer did wrong. It is told of at debug level only: a stranger must not fill the log.
func (c *conn) misbehaved(a control.Misbehaved) {
	server := c.shard.server
	server.faults.Add(a.What)
	server.log.Debug("peer misbehaves", append(c.fields(), zap.Stringer(logging.KeyEvent, a.What), zap.String("detail", a.Detail))...)
}

func (c *conn) trace(a control.Trace) {
	direction := "received"
	if a.Sent {
		direction = "sent"
	}
	c.shard.server.log.Debug("control message "+direction, zap.Uint64(logging.KeyControl, c.id), zap.String(logging.KeyMessage, a.Message.Summary()))
}

// probe asks an old connection for a sign of life, since a new one has come from its address.
func (c *conn) probe(now time.Time) {
	if c.gone || c.closing || c.machine == nil { // admitted, and not adopted yet
		return
	}
	c.machine.Probe(now)
	c.step(now)
}

// sayGoodbye ends all calls orderly, and the connection after them.
func (c *conn) sayGoodbye(now time.Time) {
	if c.calls.len() == 0 {
		c.stop(now)
		return
	}
	for k := range c.calls.all() {
		k.shutdown(now)
	}
}

// stop ends the connection by a Stop-Control-Connection-Request; its calls end at once.
func (c *conn) stop(now time.Time) {
	if c.gone || c.closing {
		return
	}
	c.machine.Stop(now, pptp.StopShutdown)
	c.step(now)
}

func (c *conn) stopFor(now time.Time, why string) {
	c.shard.server.log.Info("control connection stopped", append(c.fields(), zap.String(logging.KeyReason, why))...)
	c.machine.Stop(now, pptp.StopNone)
}

// abandon ends the connection without a word.
func (c *conn) abandon(now time.Time, err error) {
	if c.gone {
		return
	}
	c.unsent = nil
	if !c.closing {
		c.machine.Abandon(now, err)
		c.step(now)
	}
	c.close()
}
