package pns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline.example/pns/config"
	"trunkline.example/pns/dataplane"
	"trunkline.example/pns/redial"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/ppp/link"
)

// site is a remote site that is called, where the server logs in as a client. Its own goroutine owns it, but for the first block, which
// never changes.
type site struct {
	server *Server
	cfg    config.Site
	policy config.Policy
	route  *dataplane.Route
	todo   *errands // what others want of the owner
	ended  chan struct{}
	info   atomic.Pointer[SiteInfo]

	demanded atomic.Bool // the owner has been told that packets wait, and has not looked yet

	machine *redial.Machine
	current *visit // to make the call there is, or the one being made
	up      CallResult
	last    string // why the last call ended, or could not be made
	calls   int    // that were up
	waiting []chan<- CallResult
	calling sync.WaitGroup // visits that are being placed
}

// SiteInfo is one site as the admin API shows it.
type SiteInfo struct {
	Name      string                  `json:"name"`
	Dial      string                  `json:"dial"`
	Server    string                  `json:"server,omitempty"`
	PAC       string                  `json:"pac,omitempty"`
	Number    string                  `json:"number,omitempty"`
	Phase     string                  `json:"phase"`
	Since     time.Time               `json:"since"`
	Session   uint64                  `json:"session,omitempty"`
	Address   string                  `json:"address,omitempty"` // ours, as the far end knows it
	FarEnd    string                  `json:"far_end,omitempty"` // its address on the link
	Calls     int                     `json:"calls"`             // that were up
	Failures  int                     `json:"failures"`          // in a row, until a call was up for a minute or ended as we wanted
	RetryAt   time.Time               `json:"retry_at,omitzero"`
	LastEnd   string                  `json:"last_end,omitempty"`
	Routes    []string                `json:"routes"`
	Forwarded dataplane.RouteCounters `json:"forwarded"`
}

// newSites makes the sites of the configuration.
func newSites(s *Server, cfg *config.Config) ([]*site, error) {
	var all []*site
	for _, c := range cfg.Sites {
		one := &site{
			server: s, cfg: c, todo: newErrands(), ended: make(chan struct{}),
			policy: config.Policy{Authentication: c.Authentication, Encryption: c.Encryption, MTU: c.MTU, IdleTime: c.IdleTime},
		}
		var err error
		if one.route, err = s.plane.AddRoute(c.Routes, one.demand); err != nil {
			return nil, fmt.Errorf("site %q: %w", c.Name, err)
		}
		one.machine = redial.New(time.Now(), one.dialing())
		one.route.Hold(one.machine.Wants())
		one.publish()
		all = append(all, one)
	}
	return all, nil
}

func redialMode(d config.Dial) redial.Mode {
	switch d {
	case config.DialPersistent:
		return redial.Persistent
	case config.DialOnDemand:
		return redial.OnDemand
	}
	return redial.Manual
}

// resume makes the site one whose call goes on. Its owner does not run yet.
func (s *site) resume(a *visit) {
	s.current = a
	s.machine = redial.Resume(time.Now(), s.dialing())
}

func (s *site) dialing() redial.Config {
	return redial.Config{Mode: redialMode(s.cfg.Dial), Retry: s.cfg.Retry, RetryMost: s.cfg.RetryMost, Seed: seed()}
}

// site returns the site of that name, or nil.
func (s *Server) site(name string) *site {
	if i := slices.IndexFunc(s.sites, func(one *site) bool { return one.cfg.Name == name }); i >= 0 {
		return s.sites[i]
	}
	return nil
}

// run owns the site until ctx ends. A call that is up then is left to its shard.
func (s *site) run(ctx context.Context) {
	defer close(s.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.perform(ctx)
		s.route.Hold(s.machine.Wants())
		s.publish()
		if at := s.machine.Deadline(); at.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(at))
		}
		select {
		case <-ctx.Done():
			if s.current != nil {
				s.current.stop()
			}
			s.calling.Wait()
			return
		case <-s.todo.signal:
			s.todo.work()
		case <-timer.C:
			s.machine.Tick(time.Now())
		}
	}
}

func (s *site) perform(ctx context.Context) {
	for _, a := range s.machine.Actions() {
		switch a {
		case redial.Call:
			s.current = newVisit(ctx, s)
			s.calling.Go(s.current.run)
		case redial.HangUp:
			s.current.hangUp()
		}
	}
}

// demand is told that a packet waits. It is called by the data plane, for each.
func (s *site) demand() {
	if s.demanded.CompareAndSwap(false, true) {
		s.todo.do(func() {
			s.demanded.Store(false)
			s.machine.Traffic(time.Now())
		})
	}
}

// succeeded is told that the call is up.
func (s *site) succeeded(a *visit, r CallResult) {
	s.todo.do(func() {
		if s.current != a {
			return
		}
		s.machine.Up(time.Now())
		s.up = r
		s.calls++
		s.tell(r)
	})
}

// over is told that the call has ended, or could not be made.
func (s *site) over(a *visit, r CallResult, how redial.End) {
	s.todo.do(func() {
		if s.current != a {
			return
		}
		s.current, s.up, s.last = nil, CallResult{}, r.Reason
		s.machine.Over(time.Now(), how)
		if s.route.Waiting() > 0 { // since the call was being ended
			s.machine.Traffic(time.Now())
		}
		state := s.machine.State()
		f := []zap.Field{zap.String(logging.KeySite, s.cfg.Name), zap.String(logging.KeyReason, r.Reason)}
		if at := state.RetryAt; !at.IsZero() {
			f = append(f, zap.Int(logging.KeyAttempt, state.Failures), zap.Duration("retry", time.Until(at).Round(time.Millisecond)))
		}
		s.server.log.Info("site is down", f...)
		if state.Phase == redial.Idle { // else it has been ordered again meanwhile
			s.tell(r)
		}
	})
}

// tell answers those who have ordered the call.
func (s *site) tell(r CallResult) {
	for _, w := range s.waiting {
		w <- r
	}
	s.waiting = nil
}

// publish makes the site's state known to everybody.
func (s *site) publish() {
	state := s.machine.State()
	i := &SiteInfo{
		Name: s.cfg.Name, Dial: s.cfg.Dial.String(), Server: s.cfg.Server, PAC: s.cfg.PAC, Number: s.cfg.Number, Phase: state.Phase.String(), Since: state.Since,
		Session: s.up.Session, Address: s.up.Own, FarEnd: s.up.Address, Calls: s.calls, Failures: state.Failures, RetryAt: s.machine.Deadline(), LastEnd: s.last,
		Routes: []string{},
	}
	for _, p := range s.cfg.Routes {
		i.Routes = append(i.Routes, p.String())
	}
	s.info.Store(i)
}

// Sites lists the configured sites.
func (s *Server) Sites() []SiteInfo {
	all := make([]SiteInfo, 0, len(s.sites))
	for _, one := range s.sites {
		i := *one.info.Load()
		i.Forwarded = one.route.Counters()
		all = append(all, i)
	}
	return all
}

// errStopping answers orders that come too late.
var errStopping = errors.New("the server is stopping")

// callSite has a site called, or finds it up, and waits until it is up or the call is over. When ctx ends while the call is being made for
// this order alone, it is given up.
func (s *Server) callSite(ctx context.Context, name string) (CallResult, error) {
	one := s.site(name)
	if one == nil {
		return CallResult{}, admin.NotFound("no site %q is configured; a number needs a PAC that dials it", name)
	}
	result := make(chan CallResult, 1)
	one.todo.do(func() {
		if one.machine.Order(time.Now()); one.up.Up {
			result <- one.up
			return
		}
		one.waiting = append(one.waiting, result)
	})
	select {
	case r := <-result:
		return r, nil
	case <-one.ended:
		return CallResult{}, errStopping
	case <-ctx.Done():
		one.todo.do(func() {
			one.waiting = slices.DeleteFunc(one.waiting, func(w chan<- CallResult) bool { return w == result })
			if len(one.waiting) == 0 && one.cfg.Dial == config.DialManual && !one.up.Up {
				one.machine.HangUp(time.Now())
			}
		})
		return CallResult{}, ctx.Err()
	}
}

// HangUp ends the call to a site and has it called no more until somebody orders it.
func (s *Server) HangUp(name string) error {
	one := s.site(name)
	if one == nil {
		return admin.NotFound("no site %q is configured", name)
	}
	one.todo.do(func() { one.machine.HangUp(time.Now()) })
	return nil
}

// endOf says what the end of a call means for the next one.
func endOf(why link.Reason) redial.End {
	switch why.Code {
	case link.CodeAdministrative, link.CodeShutdown, link.CodeSessionTimeout, link.CodeIdle:
		return redial.Wanted
	case link.CodeAuthFailed, link.CodeAuthRefused, link.CodeEncryptionRefused, link.CodeConfiguration:
		return redial.Refused
	}
	return redial.Lost
}

// believable is the far end's address on the link, if it may have it: one of our own, or of a client of ours, is none.
func (s *Server) believable(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && a != s.cfg.Load().Pool.Server && !s.pool.Contains(a)
}
