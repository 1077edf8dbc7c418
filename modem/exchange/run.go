package exchange

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline.example/modem/exchange/office"
	"trunkline.example/modem/exchange/pace"
	"trunkline.example/modem/exchange/ptyport"
	"trunkline.example/shared/logging"
)

// inboxSize bounds the events that wait for the loop; who sends more waits.
const inboxSize = 64

// Exchange is a running telephone network.
type Exchange struct {
	cfg    Config
	log    *zap.Logger
	office *office.Office // owned by the loop

	inbox     chan event
	stopped   chan struct{} // closed when the loop is over
	ready     chan struct{}
	sessions  []*session // by line; owned by the loop
	books     *books
	unplugs   []atomic.Bool  // by line: the terminal is to be replaced
	unplugged chan struct{}  // one of them was set
	work      sync.WaitGroup // all goroutines but Run's
}

// event is something for the loop.
type event interface{ event() }

// input is what a client sent. The reader's buffer is the loop's until it grants
// the reader more.
type input struct {
	s    *session
	data []byte
}

// written says that a client took what it was given.
type written struct{ s *session }

// closed says that a client is gone.
type closed struct{ s *session }

// serial says what a client made of its port.
type serial struct {
	s     *session
	speed int
}

// command is something to be done in the loop.
type command struct {
	do   func(now time.Time) error
	done chan error
}

func (input) event()   {}
func (written) event() {}
func (closed) event()  {}
func (serial) event()  {}
func (command) event() {}

// New checks a configuration.
func New(cfg Config) (*Exchange, error) {
	if cfg.Office.Seed == ([32]byte{}) {
		rand.Read(cfg.Office.Seed[:]) // never fails
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	o, err := office.New(cfg.Office)
	if err != nil {
		return nil, fmt.Errorf("exchange: %w", err)
	}
	for _, l := range cfg.Listeners {
		if err := l.check(o); err != nil {
			return nil, fmt.Errorf("exchange: listener %s: %w", l.Address, err)
		}
	}
	for name := range cfg.Ports {
		if _, err := o.Line(name); err != nil {
			return nil, fmt.Errorf("exchange: ports: %w", err)
		}
	}
	n := len(cfg.Office.Lines)
	e := &Exchange{
		cfg: cfg, log: cfg.Logger, office: o, inbox: make(chan event, inboxSize), stopped: make(chan struct{}),
		ready: make(chan struct{}), sessions: make([]*session, n), unplugs: make([]atomic.Bool, n), unplugged: make(chan struct{}, 1),
	}
	e.books = newBooks(cfg, o.Config())
	return e, nil
}

// Ready is closed when all ports are open and directory.json is written.
func (e *Exchange) Ready() <-chan struct{} { return e.ready }

// Run opens the ports and serves them until ctx is done; then it takes all of
// them away again. It is called once.
func (e *Exchange) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if e.cfg.Dir != "" {
		if err := e.openPorts(ctx); err != nil {
			cancel()
			close(e.stopped)
			return errors.Join(err, e.closePorts())
		}
	}
	close(e.ready)
	e.loop(ctx)
	close(e.stopped)
	for _, s := range e.sessions {
		if s != nil {
			s.end()
		}
	}
	if e.cfg.Dir == "" {
		e.work.Wait()
		return nil
	}
	return e.closePorts()
}

// openPorts opens everything in the directory.
func (e *Exchange) openPorts(ctx context.Context) error {
	if err := e.books.open(); err != nil {
		return err
	}
	ts := &terminals{}
	var err error
	if ts.watch, err = ptyport.NewWatch(); err != nil {
		e.log.Warn("clients that open a terminal are found by polling", zap.Error(err))
	}
	if err := e.openLines(ctx, ts); err != nil {
		ts.close()
		return err
	}
	if err := e.openListeners(ctx); err != nil {
		ts.close()
		return err
	}
	e.work.Go(func() { e.watchTerminals(ctx, ts) })
	return e.books.write()
}

// openLines opens the ports of all lines.
func (e *Exchange) openLines(ctx context.Context, ts *terminals) error {
	for i, l := range e.cfg.Office.Lines {
		p := e.cfg.Ports[l.Name]
		if !p.NoTerminal {
			if err := e.openTerminal(ts, i, p.Carrier); err != nil {
				return err
			}
		}
		if !p.NoSocket {
			if err := e.openSocket(ctx, i, p.Carrier); err != nil {
				return err
			}
		}
	}
	return nil
}

// closePorts waits for all goroutines and removes what openPorts made.
func (e *Exchange) closePorts() error {
	e.work.Wait()
	return e.books.close()
}

// loop owns the office.
func (e *Exchange) loop(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case ev := <-e.inbox:
			e.handle(ev)
			for more := true; more; {
				select {
				case ev := <-e.inbox:
					e.handle(ev)
				default:
					more = false
				}
			}
		case <-timer.C:
		}
		now := time.Now()
		e.office.Tick(now)
		e.perform(now)
		if d := e.deadline(); d.IsZero() {
			timer.Reset(time.Hour)
		} else {
			timer.Reset(max(time.Until(d), 0))
		}
	}
}

// deadline is when the office wants to be stepped again.
func (e *Exchange) deadline() time.Time {
	d := e.office.Deadline()
	for i, s := range e.sessions {
		if s != nil && !s.writing {
			d = pace.Earlier(d, e.office.OutputAt(i))
		}
	}
	return d
}

// handle does what one event asks for.
func (e *Exchange) handle(ev event) {
	now := time.Now()
	switch ev := ev.(type) {
	case input:
		ev.s.reading = false
		if e.sessions[ev.s.line] == ev.s {
			e.office.Input(now, ev.s.line, ev.data)
		}
	case written:
		ev.s.writing = false
	case closed:
		if e.sessions[ev.s.line] == ev.s {
			e.sessions[ev.s.line] = nil
			e.office.Detach(now, ev.s.line)
		}
		ev.s.end()
	case serial:
		if e.sessions[ev.s.line] == ev.s {
			e.office.SetSerial(now, ev.s.line, ev.speed)
		}
	case command:
		ev.done <- ev.do(now)
	}
}

// perform does what the office wants done, and serves the clients.
func (e *Exchange) perform(now time.Time) {
	for again := true; again; {
		again = false
		for _, a := range e.office.Actions() {
			again = true
			e.act(a)
		}
		for i, s := range e.sessions {
			if s == nil {
				continue
			}
			if s.signal != nil {
				if now := e.office.Signals(i); now != s.signals {
					s.signals = now
					s.signal(now)
				}
			}
			if !s.writing {
				if n := e.office.Output(now, i, s.outgoing[:]); n > 0 {
					again = true
					s.writing = true
					s.write <- n
				} else if s.hangUp && e.office.OutputWaiting(i) == 0 {
					s.hangUp = false
					s.drop()
				}
			}
			if !s.reading && e.office.Room(i) >= readSize {
				s.reading = true
				s.read <- struct{}{}
			}
		}
	}
}

// act does one effect.
func (e *Exchange) act(a office.Action) {
	name := func(i int) string { return e.cfg.Office.Lines[i].Name }
	switch a := a.(type) {
	case office.DropClient:
		if s := e.sessions[a.Line]; s != nil {
			s.hangUp = s.policy != CarrierText
		}
	case office.CallRinging:
		e.log.Info("line rings", zap.String(logging.KeyLine, name(a.Callee)), zap.String(logging.KeyDialing, name(a.Caller)),
			zap.String(logging.KeyDialed, a.Dialed))
	case office.CallUp:
		l := a.Call.Link
		e.log.Info("call connected", zap.String(logging.KeyLine, a.Call.Callee), zap.String(logging.KeyDialing, a.Call.Caller),
			zap.Int("forward_rate", l.Transmit), zap.Int("backward_rate", l.Receive), zap.String("modulation", l.Modulation),
			zap.Bool("error_control", l.ErrorControl))
	case office.CallEnded:
		if a.Call.Up.IsZero() {
			e.log.Info("call ended before it was connected", zap.String(logging.KeyLine, a.Call.Callee),
				zap.String(logging.KeyDialing, a.Call.Caller))
			return
		}
		e.log.Info("call ended", zap.String(logging.KeyLine, a.Call.Callee), zap.String(logging.KeyDialing, a.Call.Caller),
			zap.Duration(logging.KeyDuration, a.Call.Ended.Sub(a.Call.Up)), zap.Uint64("forward_octets", a.Call.Forward.Delivered),
			zap.Uint64("backward_octets", a.Call.Backward.Delivered))
	}
}

// post sends an event to the loop; false if the loop is over.
func (e *Exchange) post(ev event) bool {
	select {
	case e.inbox <- ev:
		return true
	case <-e.stopped:
		return false
	}
}

// call has something done in the loop.
func (e *Exchange) call(do func(now time.Time) error) error {
	c := command{do: do, done: make(chan error, 1)}
	if !e.post(c) {
		return ErrStopped
	}
	select {
	case err := <-c.done:
		return err
	case <-e.stopped:
		select { // it may have been done just before
		case err := <-c.done:
			return err
		default:
			return ErrStopped
		}
	}
}

// onLine has something done in the loop with a line.
func (e *Exchange) onLine(line string, do func(now time.Time, n int) error) error {
	return e.call(func(now time.Time) error {
		n, err := e.office.Line(line)
		if err != nil {
			return err
		}
		return do(now, n)
	})
}
