package modem

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline.example/modem/at"
	"trunkline.example/modem/port"
	"trunkline.example/shared/line"
	"trunkline.example/shared/logging"
)

// modemLine is the host's side of a line: it implements line.Line and passes
// commands on to the owner.
type modemLine struct {
	identity line.Identity
	noun     string // for people
	stall    time.Duration
	events   <-chan line.Event
	commands chan command
	abort    chan struct{} // closed when a Shutdown has run out of time
	aborting sync.Once
	done     chan struct{} // closed when the owner has ended
	inbox    *inbox

	writing sync.Mutex    // held by a Write as long as it uses a port
	mu      sync.Mutex    // around out
	out     port.Port     // where Write writes; nil: no call is connected
	cut     chan struct{} // closed when out is taken away
	guarded bool          // the modem obeys the escape sequence
	guard   escapeGuard   // of Write
	tx      atomic.Uint64
	stalls  atomic.Uint64
}

var _ line.Line = (*modemLine)(nil)

// commandKind is what the host wants.
type commandKind uint8

const (
	commandAnswer commandKind = iota + 1
	commandReject
	commandDial
	commandHangup
	commandService
	commandShutdown
)

// command is one command of the host on its way to the owner. reply has room
// for the answer.
type command struct {
	kind    commandKind
	call    line.Call
	cause   line.Cause
	number  string // as to be dialed
	dial    line.DialRequest
	service line.Service
	reply   chan reply
}

type reply struct {
	call line.Call
	err  error
}

// start opens a line: it starts the owner.
func start(c Config, d *Driver) *modemLine {
	l := &modemLine{
		identity: line.Identity{Name: c.Name, Device: c.Device, PhysicalChannel: c.Channel, Number: c.Number,
			Bearers: c.bearers(), Framings: line.FramingAsync, MinimumBPS: c.Dialect.SlowestSpeed, MaximumBPS: c.fastest()},
		noun:     c.Dialect.Noun,
		stall:    c.WriteStall,
		commands: make(chan command),
		abort:    make(chan struct{}),
		done:     make(chan struct{}),
		inbox:    newInbox(),
	}
	queue := line.NewQueue()
	l.events = queue.Events()
	o := &owner{line: l, config: c, open: d.open, watch: d.watch, queue: queue, log: d.log.With(zap.String(logging.KeyLine, c.Name))}
	go o.run()
	return l
}

// bearers are those that calls of the line may have.
func (c *Config) bearers() line.Bearer {
	if c.Analog {
		return c.Dialect.Bearers | line.BearerAnalog
	}
	return c.Dialect.Bearers
}

// fastest is the speed that no connection of the line exceeds.
func (c *Config) fastest() uint32 {
	if c.MaxSpeed != 0 {
		return min(c.MaxSpeed, c.Dialect.FastestSpeed)
	}
	return c.Dialect.FastestSpeed
}

// Identity implements line.Line.
func (l *modemLine) Identity() line.Identity { return l.identity }

// Events implements line.Line.
func (l *modemLine) Events() <-chan line.Event { return l.events }

// give passes a command to the owner and waits until it is taken.
func (l *modemLine) give(ctx context.Context, c command) (line.Call, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	c.reply = make(chan reply, 1)
	select {
	case l.commands <- c:
	case <-l.done:
		return 0, line.ErrClosed
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	r := <-c.reply // the owner replies at once
	return r.call, r.err
}

// Answer implements line.Line.
func (l *modemLine) Answer(ctx context.Context, call line.Call) error {
	_, err := l.give(ctx, command{kind: commandAnswer, call: call})
	return err
}

// Reject implements line.Line.
func (l *modemLine) Reject(ctx context.Context, call line.Call, cause line.Cause) error {
	_, err := l.give(ctx, command{kind: commandReject, call: call, cause: cause})
	return err
}

// Hangup implements line.Line.
func (l *modemLine) Hangup(ctx context.Context, call line.Call) error {
	_, err := l.give(ctx, command{kind: commandHangup, call: call})
	return err
}

// Dial implements line.Line.
func (l *modemLine) Dial(ctx context.Context, request line.DialRequest) (line.Call, error) {
	c := command{kind: commandDial, dial: request}
	var err error
	if c.number, err = at.DialString(request.Number); err == nil {
		err = at.CheckSubaddress(request.Subaddress)
	}
	if err != nil {
		return 0, l.invalid(err)
	}
	switch {
	case request.Bearer != 0 && request.Bearer&l.identity.Bearers == 0:
		return 0, l.invalid(fmt.Errorf("%s has no such bearer", l.noun))
	case request.Framing != 0 && request.Framing&line.FramingAsync == 0:
		return 0, l.invalid(fmt.Errorf("%s has asynchronous framing only", l.noun))
	case request.MaximumBPS != 0 && request.MaximumBPS < request.MinimumBPS:
		return 0, l.invalid(errors.New("the maximum speed is below the minimum"))
	}
	return l.give(ctx, c)
}

// invalid refuses a request, unless the line is closed altogether.
func (l *modemLine) invalid(err error) error {
	select {
	case <-l.done:
		return line.ErrClosed
	default:
		return fmt.Errorf("%w: %v", line.ErrInvalid, err)
	}
}

// Service implements line.Line.
func (l *modemLine) Service(ctx context.Context, service line.Service) error {
	if !service.Known() {
		return l.invalid(errors.New(service.String()))
	}
	_, err := l.give(ctx, command{kind: commandService, service: service})
	return err
}

// Shutdown implements line.Line.
func (l *modemLine) Shutdown(ctx context.Context) error {
	go func() { // the owner may be busy with the device
		select {
		case l.commands <- command{kind: commandShutdown, reply: make(chan reply, 1)}:
		case <-l.done:
		}
	}()
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		l.aborting.Do(func() { close(l.abort) })
		<-l.done
		return ctx.Err()
	}
}

// Read implements line.Line.
func (l *modemLine) Read(p []byte) (int, error) { return l.inbox.read(p) }

// writeStep is the most that one write to the port may take, so that the time
// for it says something about the modem.
const writeStep = 2048

// Write implements line.Line.
func (l *modemLine) Write(p []byte) (int, error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	written := 0
	for written < len(p) {
		out, err := l.output()
		if err != nil {
			return written, err
		}
		step, pause := p[written:min(len(p), written+writeStep)], false
		if l.guarded {
			var n int
			n, pause = l.guard.next(time.Now(), step)
			step = step[:n]
		}
		n, err := out.Write(step)
		written += n
		l.tx.Add(uint64(n))
		switch {
		case err == nil && pause:
			l.silence()
		case err == nil, errors.Is(err, os.ErrDeadlineExceeded) && n > 0:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if _, err := l.output(); err != nil { // it was the end of the call
				return written, err
			}
			l.stalls.Add(1)
			return written, line.ErrStalled
		default: // the owner will hear of it from the reader
			return written, line.ErrNotConnected
		}
	}
	return written, nil
}

// silence sends nothing for the guard time of the escape sequence, or until the
// call ends.
func (l *modemLine) silence() {
	l.mu.Lock()
	cut := l.cut
	l.mu.Unlock()
	timer := time.NewTimer(escapeGuardTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-cut:
	}
}

// output returns the port to write to and gives the write its time.
func (l *modemLine) output() (port.Port, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out == nil {
		select {
		case <-l.done:
			return nil, line.ErrClosed
		default:
			return nil, line.ErrNotConnected
		}
	}
	if err := l.out.SetWriteDeadline(time.Now().Add(l.stall)); err != nil {
		return nil, line.ErrNotConnected
	}
	return l.out, nil
}

// connect lets the host write to the port. guarded: the modem obeys the escape
// sequence, so it must not be in the data.
func (l *modemLine) connect(p port.Port, guarded bool) {
	l.writing.Lock()
	l.guarded, l.guard = guarded, escapeGuard{}
	l.writing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out, l.cut = p, make(chan struct{})
	l.tx.Store(0)
	l.stalls.Store(0)
}

// disconnect stops the host's writing: when it returns, no Write touches the
// port any more.
func (l *modemLine) disconnect() {
	l.mu.Lock()
	if l.out != nil {
		_ = l.out.SetWriteDeadline(time.Unix(1, 0))
		l.out = nil
		close(l.cut)
	}
	l.mu.Unlock()
	l.writing.Lock() // wait for a Write that is on its way out
	defer l.writing.Unlock()
}
