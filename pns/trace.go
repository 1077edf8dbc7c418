package pns

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"trunkline.example/shared/admin"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/trace"
)

// startTrace starts a trace of a session, by its number or its user, or of a peer.
func (s *Server) startTrace(ctx context.Context, r admin.TraceRequest) (*trace.Trace, error) {
	options := r.Options()
	options.By = "Trunkline pns"
	if r.Line != "" {
		return nil, admin.Invalid("a network server has no lines: ask the pac of line %q", r.Line)
	}
	if r.Peer != "" {
		peer, err := netip.ParseAddr(r.Peer)
		if err != nil {
			return nil, admin.Invalid("peer: %v", err)
		}
		return s.traces.Start(time.Now(), r.ID, trace.Scope{Peer: peer.Unmap()}, options)
	}
	if r.User != "" {
		var err error
		if r.Call, err = s.sessionOf(ctx, r.User); err != nil {
			return nil, err
		}
	}
	t, err := s.traces.Start(time.Now(), r.ID, trace.Scope{Call: r.Call}, options)
	if err != nil {
		return nil, err
	}
	found, err := onShards(ctx, s, func(shard *shard) (found []uint64) {
		shard.each(func(c *conn) {
			for k := range c.calls.all() {
				if l := k.leg(); l.Call == r.Call {
					t.Begin(shard.now, l)
					found = append(found, k.id)
				}
			}
		})
		return found
	})
	if err == nil && len(found) == 0 {
		err = admin.NotFound("there is no session %q", r.Call)
	}
	if err != nil {
		t.Cancel()
		return nil, err
	}
	return t, nil
}

// sessionOf returns the number of a user's only session.
func (s *Server) sessionOf(ctx context.Context, user string) (string, error) {
	all, err := s.Sessions(ctx)
	if err != nil {
		return "", err
	}
	all = slices.DeleteFunc(all, func(i SessionInfo) bool { return i.User != user })
	numbers := make([]string, len(all))
	for i := range all {
		numbers[i] = strconv.FormatUint(all[i].ID, 10)
	}
	switch len(numbers) {
	case 0:
		return "", admin.NotFound("%s", noSuch(Kick{User: user}))
	case 1:
		return numbers[0], nil
	}
	return "", admin.Conflict("user %q has the sessions %s: say which", user, strings.Join(numbers, ", "))
}

func (c *conn) traceName() trace.Connection {
	return trace.Connection{ID: c.id, Local: c.local, Remote: c.remote}
}

// traceOctets offers what passes to the traces.
func (c *conn) traceOctets(now time.Time, sent bool, b []byte) {
	if c.shard.server.traces.On() {
		c.shard.server.traces.Control(now, c.traceName(), sent, b)
	}
}

func (c *conn) traceEvent(now time.Time, text string) {
	c.shard.server.traces.Event(now, trace.About{Remote: c.remote.Addr()}, text)
}

// leg is the call as traces know it.
func (k *call) leg() trace.Leg {
	theirs, known := k.info.Theirs()
	return trace.Leg{
		About:      trace.About{Remote: k.conn.remote.Addr(), Call: strconv.FormatUint(k.id, 10)},
		Connection: k.conn.id, Role: k.info.Role, Own: k.own, Theirs: theirs, Identified: known,
	}
}

func (k *call) traceBegin(now time.Time) {
	if traces := k.conn.shard.server.traces; traces.On() {
		traces.Begin(now, k.leg())
	}
}

func (k *call) traceEvent(now time.Time, text string) {
	if traces := k.conn.shard.server.traces; traces.On() {
		traces.Event(now, k.leg().About, text)
	}
}

// traceEnd tells the end of the call.
func (k *call) traceEnd(now time.Time, why control.Ending) {
	traces := k.conn.shard.server.traces
	if !traces.On() {
		return
	}
	traces.End(now, k.conn.id, k.own)
	traces.Over(now, k.leg().About, k.why.String()+", "+why.String())
}
