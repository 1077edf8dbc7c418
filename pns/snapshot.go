package pns

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"trunkline.example/pns/aaa"
	"trunkline.example/pns/addrpool"
	"trunkline.example/pns/config"
	"trunkline.example/pns/dataplane"
	"trunkline.example/pns/session"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
)

// Snapshot is everything needed to go on with the calls of a server in another process, as plain data: it can be encoded by
// encoding/gob and encoding/json, and holds keys. The descriptors of the control connections go beside it, by ConnectionState.ID.
type Snapshot struct {
	CallIDs     control.PoolState
	NextControl uint64
	NextSession uint64
	Connections []ConnectionState
}

// ConnectionState is one control connection with its calls.
type ConnectionState struct {
	ID            uint64
	Local, Remote netip.AddrPort
	Listener      string
	PAC           string // name of the configured PAC it belongs to
	PathMTU       int
	Originated    bool       // this server has opened it
	Server        string     // then: to this server, as configured
	From          netip.Addr // then: from this address, as configured; invalid: any
	PerCall       bool       // then: it ends with its call
	Opened, Idle  time.Time
	Unsent        []byte
	Control       control.State
	Calls         []CallState
}

// CallState is one call.
type CallState struct {
	ID       uint64
	Started  time.Time
	Info     control.Call
	Policy   config.Policy
	Site     string // that was called; empty: none
	Session  session.State
	Data     dataplane.State
	HalfOpen bool
	Login    LoginState
	Intent   link.Reason
	Why      link.Reason
	Refusal  string
	Operator bool
	Overdue  bool
	WAN      pptp.WANErrors
}

// LoginState is what a login holds.
type LoginState struct {
	Held    bool
	User    string
	Address netip.Addr
	Routed  bool
	Rates   aaa.Rates
	Filter  aaa.Filter
	Behind  []netip.Prefix
}

// Handover gives all connections and calls away: from then on this server neither sends nor receives anything for them. The data plane
// must have been closed before, so that what it knows stays true. The descriptors are the caller's, by ConnectionState.ID.
func (s *Server) Handover(ctx context.Context) (Snapshot, map[uint64]int, error) {
	type given struct {
		state ConnectionState
		fd    int
	}
	all, err := onShards(ctx, s, func(shard *shard) (some []given) {
		shard.out.Flush()
		shard.each(func(c *conn) {
			if c.closing {
				return
			}
			state := c.state()
			c.detach()
			some = append(some, given{state, c.fd})
		})
		return some
	})
	snapshot := Snapshot{CallIDs: s.callIDs.State(), NextControl: s.nextControl.Load(), NextSession: s.nextSession.Load()}
	descriptors := make(map[uint64]int, len(all))
	for _, g := range all {
		snapshot.Connections = append(snapshot.Connections, g.state)
		descriptors[g.state.ID] = g.fd
	}
	return snapshot, descriptors, err
}

// detach forgets the connection and its calls without ending them. Addresses and routes stay as they are: the successor goes on using
// them.
func (c *conn) detach() {
	server := c.shard.server
	for k := range c.calls.all() {
		k.gone = true
		c.shard.deadlines.Drop(&k.Timed)
		c.calls.remove(k)
		server.desk.logins.release(k.granted.user, k)
		k.opened()
		server.admission.callGone()
	}
	c.gone = true
	c.shard.release(c)
	server.admission.connectionGone(c)
}

func (c *conn) state() ConnectionState {
	s := ConnectionState{
		ID: c.id, Local: c.local, Remote: c.remote, Listener: c.listener, PathMTU: c.pathMTU, Opened: c.began, Idle: c.idle,
		Unsent: append([]byte(nil), c.unsent...), Control: c.machine.State(),
	}
	if c.pac != nil {
		s.PAC = c.pac.Name
	}
	if c.ours != nil {
		s.Originated, s.Server, s.From, s.PerCall = true, c.ours.ends.server, c.ours.ends.local, c.ours.perCall
	}
	for k := range c.calls.all() {
		s.Calls = append(s.Calls, k.state())
	}
	return s
}

func (k *call) state() CallState {
	s := CallState{
		ID: k.id, Started: k.started, Info: k.info, Policy: *k.policy, Session: k.session.State(), Data: k.entry.State(), HalfOpen: k.halfOpen,
		Login:  LoginState{k.granted.held, k.granted.user, k.granted.address, k.granted.routed, k.granted.rates, k.granted.filter, k.granted.behind},
		Intent: k.intent, Why: k.why, Refusal: k.refusal, Operator: k.operator, Overdue: k.overdue, WAN: k.wanErrors,
	}
	if k.visit != nil {
		s.Site = k.visit.site.cfg.Name
	}
	return s
}

// Restore takes over the connections of a snapshot, whose descriptors (non-blocking sockets) are named by ConnectionState.ID. It
// must be called between New and Run. On an error the server is of no use.
func (s *Server) Restore(now time.Time, snapshot Snapshot, descriptors map[uint64]int) error {
	ids, err := control.RestorePool(control.PoolConfig{Seed: seed()}, snapshot.CallIDs)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	s.callIDs = ids
	s.nextControl.Store(snapshot.NextControl)
	s.nextSession.Store(snapshot.NextSession)
	for i, state := range snapshot.Connections {
		fd, ok := descriptors[state.ID]
		if !ok {
			return fmt.Errorf("snapshot: no descriptor for connection %d", state.ID)
		}
		shard := s.shards[i%len(s.shards)]
		if err := shard.restore(now, state, fd); err != nil {
			return fmt.Errorf("snapshot: connection %d of %v: %w", state.ID, state.Remote, err)
		}
	}
	return nil
}

// restore makes a connection go on. The shard does not run yet.
func (s *shard) restore(now time.Time, state ConnectionState, fd int) error {
	server := s.server
	cfg := server.cfg.Load()
	s.now = now
	c := &conn{
		shard: s, id: state.ID, local: state.Local, remote: state.Remote, listener: state.Listener, pathMTU: state.PathMTU,
		fd: fd, began: state.Opened, idle: state.Idle, unsent: state.Unsent,
	}
	c.Timed.Owner = c
	if state.Originated {
		c.ours = &origination{ends: sharedEnds{state.Server, state.From}, perCall: state.PerCall}
	}
	for i := range cfg.PACs {
		if cfg.PACs[i].Name == state.PAC {
			c.pac = &cfg.PACs[i]
		}
	}
	var err error
	if c.machine, err = c.controlPlan().Restore(state.Control, c.callIDs()); err != nil {
		return err
	}
	if c.pac != nil {
		c.trust(now, cfg.Limits)
	}
	c.charged = state.Control.Counters.MessagesReceived
	if _, refusal := server.admission.connection(c, true); refusal != RefusedNone {
		return fmt.Errorf("not admitted: %v", refusal)
	}
	if err := server.plane.Prepare(c.local.Addr()); err != nil {
		return err
	}
	if err := s.place(c); err != nil {
		return err
	}
	if c.ours != nil && !c.ours.perCall {
		server.shared.between(c.ours.ends).conn = c // the calls to come go by it, as those that are there
	}
	for _, k := range state.Calls {
		if err := c.restoreCall(k); err != nil {
			return fmt.Errorf("session %d: %w", k.ID, err)
		}
	}
	c.step(now)
	return nil
}

// restoreCall makes a call go on.
func (c *conn) restoreCall(state CallState) error {
	s := c.shard.server
	k := &call{
		conn: c, id: state.ID, own: state.Info.Own(), started: state.Started, policy: &state.Policy, info: state.Info, halfOpen: true,
		intent: state.Intent, why: state.Why, refusal: state.Refusal, operator: state.Operator, overdue: state.Overdue, wanErrors: state.WAN,
	}
	k.Timed.Owner = k
	if err := k.resume(state.Site); err != nil {
		return err
	}
	if refusal := s.admission.call(c.remote.Addr(), true); refusal != RefusedNone {
		return fmt.Errorf("not admitted: %v", refusal)
	}
	if !state.HalfOpen {
		k.opened()
	}
	var err error
	if k.session, err = k.sessionPlan().Restore(state.Session); err != nil {
		return err
	}
	if k.entry, err = s.plane.Restore(c.dataCall(k), state.Data); err != nil {
		return err
	}
	k.ended = k.session.Facts().Ended.Code != link.CodeNone
	if k.visit != nil && k.session.Facts().Up { // so the far end has opened its network
		k.entry.Settled()
		k.visit.site.succeeded(k.visit, k.result(nil))
	}
	if g := state.Login; g.Held {
		if _, err := s.pool.Lease(c.shard.now, addrpool.Request{User: g.User, Fixed: g.Address}); err != nil {
			return err
		}
		s.desk.logins.claim(g.User, k, 0, false)
		k.granted = grant{held: true, user: g.User, address: g.Address, routed: g.Routed, rates: g.Rates, filter: g.Filter, behind: g.Behind}
		s.desk.networks.adopt(g.Behind)
	}
	c.calls.add(k)
	k.step(c.shard.now)
	return nil
}
