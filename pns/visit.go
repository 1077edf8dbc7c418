package pns

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline.example/pns/aaa"
	"trunkline.example/pns/redial"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/link"
)

// visit is one call to a site, from the wish to its end.
type visit struct {
	site   *site
	ctx    context.Context // ends when nobody wants the call any more, or the server stops
	stop   context.CancelFunc
	secret auth.Secret

	mu       sync.Mutex
	unwanted bool
	call     *call // once it has been placed
}

// errGivenUp is why a call is not placed that nobody wants any more.
var errGivenUp = errors.New("the call has been given up")

func newVisit(ctx context.Context, s *site) *visit {
	a := &visit{site: s}
	a.ctx, a.stop = context.WithCancel(ctx)
	return a
}

// run makes the call. The call itself tells the site how it goes on; what fails before there is one is told here.
func (a *visit) run() {
	defer a.stop()
	s := a.site
	s.server.log.Info("calling site", zap.String(logging.KeySite, s.cfg.Name))
	err := a.place()
	if err == nil {
		return
	}
	how := redial.Lost
	if errors.Is(err, errGivenUp) {
		how = redial.Wanted
	}
	s.over(a, CallResult{Reason: err.Error()}, how)
}

// place finds or opens a control connection and orders the call on it.
func (a *visit) place() (err error) {
	if a.secret, err = aaa.ReadSecret(a.site.cfg.SecretFile); err != nil {
		return err
	}
	o := order{request: CallRequest{Number: a.site.cfg.Number}, visit: a, placed: make(chan error, 1)}
	if a.site.cfg.PAC != "" {
		err = a.site.server.orderFrom(a.ctx, a.site.cfg.PAC, o)
	} else {
		err = a.site.server.originate(a.ctx, a.site.cfg, o)
	}
	if err == nil {
		select {
		case err = <-o.placed:
		case <-a.ctx.Done():
			err = errGivenUp
		}
	}
	if err != nil && a.abandon() {
		return nil // it has been placed meanwhile, and is being cleared
	}
	if a.ctx.Err() != nil && err != nil {
		return errGivenUp
	}
	return err
}

// resume makes a call that goes on that of its site again.
func (k *call) resume(name string) (err error) {
	if name == "" {
		return nil
	}
	s := k.conn.shard.server.site(name)
	if s == nil {
		return fmt.Errorf("no site %q is configured any more", name)
	}
	a := newVisit(context.Background(), s)
	if a.secret, err = aaa.ReadSecret(s.cfg.SecretFile); err != nil {
		return err
	}
	k.visit, a.call = a, k
	s.resume(a)
	return nil
}

// begin makes the attempt that of a call, unless nobody wants it any more.
func (a *visit) begin(k *call) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.unwanted {
		return false
	}
	a.call = k
	return true
}

// abandon says that the call is not wanted. It reports whether there is one.
func (a *visit) abandon() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unwanted = true
	return a.call != nil
}

// hangUp ends the call, or the attempt to make it.
func (a *visit) hangUp() {
	a.stop()
	if !a.abandon() {
		return
	}
	k := a.call // is not changed any more
	k.conn.shard.mail.post(func() {
		if now := k.conn.shard.now; k.session.Facts().Up {
			k.operator = true
			k.close(now, link.Reason{Code: link.CodeAdministrative, By: link.Here, Text: "hung up by the operator"})
		} else {
			k.clear(now, "hung up by the operator while it was being set up")
		}
	})
}

// settleTime is how long a far end may take to open its network after we have opened ours, if it does not answer an Echo-Request before.
const settleTime = 5 * time.Second

// settle has the packets sent that wait for the site, once its far end takes them: it handles our Echo-Request only after what we have
// sent before, with which it has opened its network.
func (k *call) settle(now time.Time) {
	if k.settleBy.IsZero() {
		return
	}
	if _, counters := k.session.Counters(); counters.EchoReplies > k.echoes || !now.Before(k.settleBy) {
		k.settleBy = time.Time{}
		k.entry.Settled()
	}
}

// order is a call to be placed on a control connection.
type order struct {
	request CallRequest
	asked   chan<- CallResult // is told what becomes of a call that a PAC was asked for; nil: nobody
	visit   *visit            // of a call to a site; nil: none
	placed  chan error        // is told once: nil, or why the call could not be placed
}

// orderFrom has a PAC's control connection place a call.
func (s *Server) orderFrom(ctx context.Context, pac string, o order) error {
	c, err := s.connectionOf(ctx, pac)
	if err != nil {
		return err
	}
	if !c.shard.mail.post(func() { c.carryOut(c.shard.now, o) }) {
		return errStopping
	}
	return nil
}

// carryOut places a call, and tells whether it has. It runs on the shard.
func (c *conn) carryOut(now time.Time, o order) {
	_, err := c.place(now, o)
	o.placed <- err
}
