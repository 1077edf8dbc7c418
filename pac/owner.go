package pac

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline.example/pac/config"
	"trunkline.example/shared/line"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/record"
)

// owner owns one line and its call. Only its goroutine (run) touches the fields without an own lock.
type owner struct {
	server   *Server
	line     line.Line
	identity line.Identity
	driver   string
	log      *zap.Logger
	mail     *mailbox
	orders   chan order

	ended     chan struct{} // closed when run has ended
	abandoned chan struct{} // closed when a line that is shut down says no more, though it should

	status line.Status
	call   *call
	timer  *time.Timer
	since  time.Time // of status.State
	calls  uint64    // calls so far
	tests  uint64    // calls of self-tests so far

	disabled    bool            // by an operator: no new calls
	quarantined bool            // by its self-tests: no new calls
	reserved    *testEnd        // the self-test that the line is kept free for
	tested      *SelfTestStatus // nil: never
	unwritten   *record.Record  // of the last call, until its line is free
	unjudged    []*testEnd      // whose records are complete but for the verdict

	unwrittenTest *testEnd     // that unwritten is of; nil: of none
	untold        *untold      // the end of the last call, while its network server waits for what the modem says
	serving       line.Service // the last one asked for
	waiting       chan error   // to whom its outcome is told; nil: nobody

	shown atomic.Pointer[LineStatus]
}

// order is an operator's command to a line.
type order struct {
	do    func() error // in the line's goroutine
	reply chan error
}

// LineStatus is what `pac` tells of a line.
type LineStatus struct {
	Name        string          `json:"name"`
	Driver      string          `json:"driver"`
	Device      string          `json:"device,omitempty"`
	Number      string          `json:"number,omitempty"`
	Channel     uint32          `json:"channel"`
	State       line.State      `json:"state"`
	Since       time.Time       `json:"since"`
	Equipment   string          `json:"equipment,omitempty"`
	Cause       string          `json:"cause,omitempty"` // why it is down, or how its last call ended
	Calls       uint64          `json:"calls"`
	SelfTests   uint64          `json:"selftests"`             // calls of self-tests, which Calls does not have
	Disabled    bool            `json:"disabled,omitempty"`    // by an operator
	Errors      uint64          `json:"errors,omitempty"`      // of the line's hardware, in its present or last call
	Quarantined bool            `json:"quarantined,omitempty"` // by its self-tests
	Reserved    bool            `json:"reserved,omitempty"`    // for the answer of a self-test
	SelfTest    *SelfTestStatus `json:"selftest,omitempty"`    // the last one; none: never
	Call        *CallView       `json:"call,omitempty"`
}

func newOwner(s *Server, driver string, l line.Line) *owner {
	o := &owner{
		server: s, line: l, identity: l.Identity(), driver: driver,
		mail: newMailbox(), orders: make(chan order), ended: make(chan struct{}), abandoned: make(chan struct{}), timer: time.NewTimer(time.Hour), since: time.Now(),
	}
	o.timer.Stop()
	o.log = s.log.With(zap.String(logging.KeyLine, o.identity.Name))
	o.show()
	return o
}

// run is the line's goroutine. It ends when the line is shut down, which it is when ctx ends.
func (o *owner) run(ctx context.Context) {
	stop := ctx.Done()
	defer close(o.ended)
	defer o.keepUnjudged()
	for {
		select {
		case e, open := <-o.line.Events():
			if !open {
				o.write("")
				return
			}
			o.event(e)
		case <-o.mail.wake:
			for _, m := range o.mail.take() {
				o.message(m)
			}
		case r := <-o.orders:
			r.reply <- r.do()
		case now := <-o.timer.C:
			o.tick(now)
		case <-stop:
			stop = nil
			defer o.shutdown(ctx)()
		case <-o.abandoned:
			o.log.Error("the line's driver breaks the contract: the line does not end")
			o.over(line.Cause{Code: line.CauseShutdown})
			o.write("")
			return
		}
		o.show()
	}
}

// shutdown ends the call and frees the line; run goes on until the line's last event, but not for ever. The function it returns is to be
// called then.
func (o *owner) shutdown(ctx context.Context) func() {
	if c := o.call; c != nil {
		o.end(c, ending{by: byOperator, result: adminShutdown, reason: "the concentrator is shutting down"})
	}
	drain := o.server.config().Timers.Shutdown
	patience := time.AfterFunc(drain+commandLimit, func() { close(o.abandoned) })
	go func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if err := o.line.Shutdown(limit); err != nil {
			o.log.Warn("the line was not freed in time", zap.Error(err))
		}
	}()
	return func() { patience.Stop() }
}

// event folds one event of the line in and acts on it.
func (o *owner) event(e line.Event) {
	o.traceEvent(e)
	before := o.status.State
	if err := o.status.Apply(e); err != nil {
		o.log.Error("the line's driver breaks the contract", zap.Error(err))
	}
	if o.status.State != before {
		o.since = time.Now()
	}
	defer o.served(e.Body)
	if o.status.State != line.StateReleasing && e.Body.Kind() != line.KindIdle {
		defer o.write("") // of a call before: its line has not said Idle
	}
	switch b := e.Body.(type) {
	case line.Up:
		o.forgotten(line.Cause{})
		o.log.Info("line up", zap.String("equipment", b.Equipment))
	case line.Down:
		o.forgotten(b.Cause)
		o.failReserved(b.Cause)
		o.log.Warn("line down", zap.Stringer(logging.KeyCause, b.Cause), zap.Duration("retry", b.Retry))
	case line.Ringing:
		o.forgotten(line.Cause{})
		o.ringing(e.Call, b)
	case line.Idle:
		o.forgotten(line.Cause{})
		o.write(b.Report)
		o.log.Info("line idle")
	case line.Progress:
		o.log.Debug("line progress", zap.String("text", b.Text))
	default:
		if o.call != nil && o.call.number == e.Call {
			o.callEvent(b)
		}
	}
}

// callEvent acts on an event of the call.
func (o *owner) callEvent(body line.Body) {
	switch b := body.(type) {
	case line.Connected:
		o.connected(b)
	case line.CountersChanged:
		o.call.counters = b.Counters
	case line.Lost:
		if b.Counters != (line.Counters{}) {
			o.call.counters = b.Counters
		}
		o.call.reporting = b.Report
		o.over(b.Cause)
	case line.RingingStopped:
		o.over(b.Cause)
	case line.DialFailed:
		o.over(b.Cause)
	}
}

// forgotten ends a call whose end the driver has not told.
func (o *owner) forgotten(cause line.Cause) {
	if o.call != nil {
		o.over(cause)
	}
}

// show publishes the line's state for readers in other goroutines.
func (o *owner) show() {
	s := &LineStatus{
		Name: o.identity.Name, Driver: o.driver, Device: o.identity.Device, Number: o.identity.Number, Channel: o.identity.PhysicalChannel,
		State: o.status.State, Since: o.since, Equipment: o.status.Equipment, Calls: o.calls, SelfTests: o.tests,
		Disabled: o.disabled, Errors: lineErrors(o.status.Counters), Quarantined: o.quarantined, Reserved: o.reserved != nil, SelfTest: o.tested,
	}
	if o.status.State == line.StateDown || o.status.State == line.StateIdle && o.calls+o.tests > 0 {
		s.Cause = o.status.Cause.String()
	}
	if o.call != nil {
		s.Call = o.call.view(o.identity.Name)
	}
	o.shown.Store(s)
}

// schedule sets the timer to the earliest of the instants; zero ones do not count.
func (o *owner) schedule(at ...time.Time) {
	at = slices.DeleteFunc(at, time.Time.IsZero)
	if len(at) == 0 {
		o.timer.Stop()
		return
	}
	o.timer.Reset(time.Until(slices.MinFunc(at, time.Time.Compare)))
}

// order gives an operator's command to the line.
func (o *owner) order(ctx context.Context, do func() error) error {
	r := order{do: do, reply: make(chan error, 1)}
	select {
	case o.orders <- r:
		return <-r.reply
	case <-o.ended:
		return line.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// candidates are the network servers of a route that could take a call now, in the order to ask them. By load, the one that would have
// the fewest calls for its weight with this one is first; equal ones stay as listed. Those that can in a moment come last.
func (s *Server) candidates(r config.Route) []*network {
	var ready, soon []*network
	for _, name := range r.PNS {
		switch n := s.networks[name]; {
		case n == nil:
		case n.ready():
			ready = append(ready, n)
		case n.soon():
			soon = append(soon, n)
		}
	}
	if r.Order == config.OrderLoad {
		calls := map[*network]int{} // as they stand now: they change while we sort
		for _, n := range ready {
			calls[n] = n.status.Load().Calls + 1
		}
		slices.SortStableFunc(ready, func(a, b *network) int { return cmp.Compare(calls[a]*b.cfg.Weight, calls[b]*a.cfg.Weight) })
	}
	return append(ready, soon...)
}
