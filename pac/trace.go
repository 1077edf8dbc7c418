package pac

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"trunkline.example/shared/admin"
	"trunkline.example/shared/line"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/pptp/fsm"
	"trunkline.example/shared/trace"
)

// startTrace starts a trace of a call, of a line or of a network server.
func (s *Server) startTrace(ctx context.Context, r admin.TraceRequest) (*trace.Trace, error) {
	options := r.Options()
	options.By = "Trunkline pac"
	if r.User != "" {
		return nil, admin.Invalid("a concentrator does not know who logs in: ask the pns of user %q", r.User)
	}
	if r.Peer != "" {
		peer, err := s.peerOf(r.Peer)
		if err != nil {
			return nil, err
		}
		return s.traces.Start(time.Now(), r.ID, trace.Scope{Peer: peer}, options)
	}
	missing := admin.NotFound("there is no call %q", r.Call)
	if r.Line != "" {
		missing = admin.NotFound("there is no line %q", r.Line)
	}
	o := s.ownerOf(r)
	if o == nil {
		return nil, missing
	}
	t, err := s.traces.Start(time.Now(), r.ID, trace.Scope{Line: r.Line, Call: r.Call}, options)
	if err != nil {
		return nil, err
	}
	err = o.order(ctx, func() error {
		c := o.call
		if r.Call != "" && (c == nil || c.id != r.Call) {
			return missing
		}
		if c != nil && c.leg.valid() {
			t.Begin(time.Now(), trace.Leg{
				About: o.about(c), Connection: c.leg.connection.name.ID, Role: fsm.RolePAC, Own: c.leg.own, Theirs: c.pnsID, Identified: c.stage != stageOffering,
			})
		}
		return nil
	})
	if err != nil {
		t.Cancel()
		return nil, err
	}
	return t, nil
}

// peerOf returns the address of a network server that is named, or the address that is given.
func (s *Server) peerOf(text string) (netip.Addr, error) {
	if n := s.networks[text]; n != nil {
		return n.cfg.Address.Addr(), nil
	}
	peer, err := netip.ParseAddr(text)
	if err != nil {
		return peer, admin.NotFound("%q is neither an address nor the name of a network server", text)
	}
	return peer.Unmap(), nil
}

// ownerOf finds the line of a request.
func (s *Server) ownerOf(r admin.TraceRequest) *owner {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.owners {
		if shown := o.shown.Load(); shown.Name == r.Line || shown.Call != nil && shown.Call.ID == r.Call {
			return o
		}
	}
	return nil
}

// about is the call as traces know it; c may be nil.
func (o *owner) about(c *call) trace.About {
	a := trace.About{Line: o.identity.Name}
	if c != nil {
		a.Call = c.id
		if n := o.server.networks[c.peer]; n != nil {
			a.Remote = n.cfg.Address.Addr()
		}
	}
	return a
}

// traceEvent offers what concerns a network server.
func (n *network) traceEvent(now time.Time, text string) {
	n.server.traces.Event(now, trace.About{Remote: n.cfg.Address.Addr()}, text)
}

// traceEvent offers an event of the line to the traces.
func (o *owner) traceEvent(e line.Event) {
	if !o.server.traces.On() {
		return
	}
	var c *call
	if o.call != nil && o.call.number == e.Call {
		c = o.call
	}
	if text := eventText(e.Body); text != "" {
		o.server.traces.Event(time.Now(), o.about(c), text)
	}
}

// traceFrame offers a frame of the call to the traces.
func (o *owner) traceFrame(about trace.About) func(sent bool, frame []byte) {
	traces := &o.server.traces
	return func(sent bool, frame []byte) {
		if traces.On() {
			traces.Frame(time.Now(), about, sent, frame)
		}
	}
}

// eventText is an event in words; it is empty for one that is not worth any.
func eventText(body line.Body) string {
	switch b := body.(type) {
	case line.Up:
		return "the line is up: " + b.Equipment
	case line.Down:
		return "the line is down: " + b.Cause.String()
	case line.Ringing:
		return fmt.Sprintf("ringing: %s calls %s", known(b.Dialing), known(b.Dialed))
	case line.RingingStopped:
		return "it rings no more: " + b.Cause.String()
	case line.Answering:
		return "answering"
	case line.Dialing:
		return "dialing " + b.Number
	case line.Connected:
		parts := []string{fmt.Sprintf("connected at %d bit/s, receiving at %d", b.TxSpeed, b.RxSpeed)}
		for _, p := range []string{b.Modulation, b.ErrorControl, b.Compression, b.Raw} {
			if p != "" {
				parts = append(parts, p)
			}
		}
		return strings.Join(parts, ", ")
	case line.Lost:
		return "the line's call is lost: " + b.Cause.String()
	case line.DialFailed:
		return "dialing failed: " + b.Cause.String()
	case line.Idle:
		return "the line is idle"
	case line.Progress:
		return b.Text
	}
	return ""
}

// known is a number as people want it.
func known(number string) string {
	if number == "" {
		return "(number unknown)"
	}
	return number
}

// begin takes a call on; it runs in the control connection's loop, before anything is said about the call.
func (c *connection) begin(now time.Time, m *control.Connection, own uint16, ref callRef) {
	c.calls[own] = ref
	if !c.traces.On() {
		return
	}
	if info, ok := m.Call(own); ok {
		theirs, identified := info.Theirs()
		c.traces.Begin(now, trace.Leg{About: ref.about, Connection: c.name.ID, Role: info.Role, Own: own, Theirs: theirs, Identified: identified})
	}
}

// connectionName is the TCP connection as traces know it. A test's connection has no addresses.
func (n *network) connectionName(nc net.Conn, local netip.Addr) trace.Connection {
	name := trace.Connection{ID: n.server.connections.Add(1), Local: netip.AddrPortFrom(local, 0), Remote: n.cfg.Address}
	if tcp, ok := nc.LocalAddr().(*net.TCPAddr); ok {
		name.Local = netip.AddrPortFrom(local, uint16(tcp.Port))
	}
	return name
}

// tracedConn offers what passes to the traces.
type tracedConn struct {
	net.Conn
	traces *trace.Hub
	name   trace.Connection
}

// Read reads.
func (c *tracedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.traces.On() {
		c.traces.Control(time.Now(), c.name, false, p[:n])
	}
	return n, err
}

// Write writes. The octets are offered before, so that no answer to them comes first.
func (c *tracedConn) Write(p []byte) (int, error) {
	if c.traces.On() {
		c.traces.Control(time.Now(), c.name, true, p)
	}
	return c.Conn.Write(p)
}

// CloseWrite closes one half, if the connection can.
func (c *tracedConn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// Close closes the connection.
func (c *tracedConn) Close() error {
	c.traces.Closed(time.Now(), c.name)
	return c.Conn.Close()
}
