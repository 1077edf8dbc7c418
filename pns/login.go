package pns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline.example/pns/aaa"
	"trunkline.example/pns/addrpool"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/ppp/auth"
)

// loginDesk answers the shards' questions who a peer is, and hands out what a login brings: a place among the user's
// sessions, an address, a route to it. All of that may block, so it happens on a bounded number of workers; a login that finds no
// room in their queue is refused at once, which keeps the others' waiting time bounded when everybody calls back after a power cut.
type loginDesk struct {
	server   *Server
	queue    chan job
	logins   logins
	networks networks

	refusedBusy atomic.Uint64 // no room in the queue
	accepted    atomic.Uint64
	rejected    atomic.Uint64
}

// job is one question.
type job struct {
	call    *call
	request aaa.Request
	held    grant // what the call has already, if its peer logs in anew
}

// grant is what a login holds until the session ends. The zero grant is nothing.
type grant struct {
	held    bool
	user    string // claimed in logins
	address netip.Addr
	routed  bool // the address has a route of its own
	rates   aaa.Rates
	filter  aaa.Filter
	behind  []netip.Prefix // networks that are routed to the session
}

const (
	loginWorkers = 16
	loginQueue   = 2048
	// evictionTime bounds how long a login waits for an older session of its user to be ended.
	evictionTime = 2 * time.Second
)

func newLoginDesk(s *Server) *loginDesk {
	return &loginDesk{server: s, queue: make(chan job, loginQueue)}
}

// submit hands a question over; false says that there is no room.
func (d *loginDesk) submit(j job) bool {
	select {
	case d.queue <- j:
		return true
	default:
		d.refusedBusy.Add(1)
		return false
	}
}

// run answers until ctx ends; what is asked then is not answered any more.
func (d *loginDesk) run(ctx context.Context) {
	var workers sync.WaitGroup
	for range loginWorkers {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case j := <-d.queue:
					d.answer(ctx, j)
				}
			}
		})
	}
	workers.Wait()
}

func (d *loginDesk) answer(ctx context.Context, j job) {
	v, g := d.judge(ctx, j)
	if v.OK {
		d.accepted.Add(1)
	} else {
		d.rejected.Add(1)
	}
	shard := j.call.conn.shard
	if !shard.mail.post(func() { j.call.verdict(shard.now, v, g) }) {
		d.release(j.call, g)
	}
}

// judge asks the backend, and on success takes what the session needs.
func (d *loginDesk) judge(ctx context.Context, j job) (auth.Verdict, grant) {
	cfg := d.server.cfg.Load()
	ctx, cancel := context.WithTimeout(ctx, cfg.Users.Timeout)
	defer cancel()
	a := d.server.backend.Authenticate(ctx, j.request)
	a.Verdict.Generation = j.request.Generation
	if a.Trouble != nil {
		d.server.limited.Error("users cannot be looked up", zap.String(logging.KeyUser, j.request.User), zap.Error(a.Trouble))
	}
	if !a.OK {
		return a.Verdict, grant{}
	}
	user := a.User
	if user == "" {
		user = j.request.User
		a.Verdict.User = user
	}
	if j.held.held {
		return d.again(a.Verdict, j.held)
	}
	if name := a.Filter.Name; name != "" && cfg.Filter(name) == nil {
		return refuse(a.Verdict, "", fmt.Sprintf("the user's filter %q is not configured", name)), grant{}
	}
	limit := a.Sessions
	if limit == 0 {
		limit = cfg.Users.Sessions
	}
	if !d.claim(ctx, user, j.call, limit, cfg.Users.Replace) {
		return refuse(a.Verdict, "too many sessions of this user", fmt.Sprintf("the user has %d sessions, and no more are allowed", limit)), grant{}
	}
	g := grant{held: true, user: user, rates: a.Rates, filter: a.Filter}
	if err := d.lease(&g, a.PeerAddress); err != nil {
		d.logins.release(user, j.call)
		return refuse(a.Verdict, "no address is available", err.Error()), grant{}
	}
	d.network(&g, a.Routes)
	a.Verdict.PeerAddress = g.address
	return a.Verdict, g
}

// again is a login on a link that has one: the same user keeps what it has, and nobody else gets it.
func (d *loginDesk) again(v auth.Verdict, held grant) (auth.Verdict, grant) {
	if v.User != held.user {
		return refuse(v, "", fmt.Sprintf("the session belongs to user %q", held.user)), grant{}
	}
	v.PeerAddress = held.address
	return v, grant{}
}

// refuse turns a login that the backend has accepted into one that we have to refuse.
func refuse(v auth.Verdict, message, reason string) auth.Verdict {
	return auth.Verdict{Generation: v.Generation, User: v.User, Code: auth.FailureNoDialIn, Message: message, Reason: reason}
}

// claim takes a place among the sessions of a user, if need be that of an older one.
func (d *loginDesk) claim(ctx context.Context, user string, k *call, limit int, replace bool) bool {
	evict, ok := d.logins.claim(user, k, limit, replace)
	for _, old := range evict {
		old.evict(ctx, "the user has logged in elsewhere")
	}
	return ok
}

// lease takes an address and, if it lies outside of the pool, makes a route to it.
func (d *loginDesk) lease(g *grant, fixed netip.Addr) error {
	pool, routes := d.server.pool, d.server.routes
	l, err := pool.Lease(time.Now(), addrpool.Request{User: g.user, Fixed: fixed})
	if err != nil {
		if errors.Is(err, addrpool.ErrExhausted) {
			d.server.limited.Error("address pool is exhausted", zap.String(logging.KeyUser, g.user))
		}
		return err
	}
	g.address = l.Address
	if routes == nil || pool.Contains(l.Address) {
		return nil
	}
	if err := routes.AddRoute(l.Address); err != nil {
		pool.Release(time.Now(), l.Address)
		return fmt.Errorf("route to the fixed address %v: %w", l.Address, err)
	}
	g.routed = true
	return nil
}

// release gives back what a login has brought. Removing a route may block, so that is left to the errand runner, and the address
// with it: nobody may get it, and a new route, before.
func (d *loginDesk) release(k *call, g grant) {
	if !g.held {
		return
	}
	d.logins.release(g.user, k)
	if !g.routed && len(g.behind) == 0 {
		d.server.pool.Release(time.Now(), g.address)
		return
	}
	d.server.errands.do(func() {
		d.networks.release(g.behind, d.server)
		if !g.routed {
			d.server.pool.Release(time.Now(), g.address)
			return
		}
		if err := d.server.routes.RemoveRoute(g.address); err != nil {
			d.server.log.Warn("route not removed", zap.Stringer(logging.KeyAddress, g.address), zap.Error(err))
		}
		d.server.pool.Release(time.Now(), g.address)
	})
}

// errands runs what a shard wants done but must not wait for, in order. It is bounded by what causes the errands: at most one for
// each call.
type errands struct {
	mu      sync.Mutex
	pending []func()
	signal  chan struct{}
}

func newErrands() *errands { return &errands{signal: make(chan struct{}, 1)} }

func (e *errands) do(f func()) {
	e.mu.Lock()
	e.pending = append(e.pending, f)
	e.mu.Unlock()
	select {
	case e.signal <- struct{}{}:
	default:
	}
}

// run works until ctx ends, and then through what is left.
func (e *errands) run(ctx context.Context) {
	for ctx.Err() == nil {
		e.work()
		select {
		case <-e.signal:
		case <-ctx.Done():
		}
	}
	e.work()
}

// work does what is pending.
func (e *errands) work() {
	e.mu.Lock()
	todo := e.pending
	e.pending = nil
	e.mu.Unlock()
	for _, f := range todo {
		f()
	}
}
