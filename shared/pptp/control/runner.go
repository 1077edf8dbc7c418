package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"trunkline.example/shared/pptp"
)

// Errors of a Runner.
var (
	// ErrEnded is returned by Do when the Runner has ended.
	ErrEnded = errors.New("control connection has ended")
	// ErrSlowPeer ends a connection whose peer does not read what we send.
	ErrSlowPeer = errors.New("peer does not read")
	// ErrShutdown ends a connection whose orderly end took too long.
	ErrShutdown = errors.New("control connection did not stop in time")
)

// Handler is told every action but Send and Close, in order, in the Runner's
// loop. It must not block; it may give commands to c directly.
type Handler func(now time.Time, c *Connection, a Action)

// RunnerConfig bounds a Runner. Zero fields mean the defaults.
type RunnerConfig struct {
	// Queue is how many octets may wait for the peer to read them before the
	// connection is closed with ErrSlowPeer. Default 64 KiB.
	Queue int
	// Write is how long one write may take before the connection is closed.
	// Default 30 s.
	Write time.Duration
	// Linger is how long an orderly end waits for the last octets to be written
	// and for the peer to close. Default 5 s.
	Linger time.Duration
}

func (cfg RunnerConfig) withDefaults() RunnerConfig {
	if cfg.Queue <= 0 {
		cfg.Queue = 64 << 10
	}
	if cfg.Write <= 0 {
		cfg.Write = 30 * time.Second
	}
	if cfg.Linger <= 0 {
		cfg.Linger = 5 * time.Second
	}
	return cfg
}

// readSize is the reader's buffer: enough for several of the longest messages.
const readSize = 2048

// Runner drives a Connection over a net.Conn with three goroutines: a loop that
// owns the Connection, a reader and a writer. Its methods are safe for
// concurrent use.
type Runner struct {
	nc     net.Conn
	c      *Connection
	handle Handler
	cfg    RunnerConfig

	received  chan []byte   // reader to loop; not buffered, so that TCP slows the peer down
	toWrite   chan []byte   // loop to writer; not buffered, the loop holds what waits
	readEnd   chan error    // reader to loop, once
	writeEnd  chan error    // writer to loop, once
	mail      chan errand   // Do to loop
	abandoned chan struct{} // closed by Shutdown when its time is up
	abandon   func()
	ended     chan struct{} // closed when the loop has ended and takes no more errands
	quit      chan struct{} // closed when reader and writer must go
	done      chan struct{} // closed when Run returns

	pending []byte // octets that the writer has not taken yet
	closing *Close // what ended the loop
}

// errand is a function for the loop; done is closed when it and the actions
// that follow from it have been performed.
type errand struct {
	f    func(now time.Time, c *Connection)
	done chan struct{}
}

// NewRunner returns a Runner of c over nc, which it owns from now on. The
// Handler may be nil.
func NewRunner(nc net.Conn, c *Connection, h Handler, cfg RunnerConfig) *Runner {
	if h == nil {
		h = func(time.Time, *Connection, Action) {}
	}
	r := &Runner{
		nc: nc, c: c, handle: h, cfg: cfg.withDefaults(),
		received: make(chan []byte), toWrite: make(chan []byte),
		readEnd: make(chan error, 1), writeEnd: make(chan error, 1),
		mail: make(chan errand), abandoned: make(chan struct{}),
		ended: make(chan struct{}), quit: make(chan struct{}), done: make(chan struct{}),
	}
	r.abandon = sync.OnceFunc(func() { close(r.abandoned) })
	return r
}

// Run runs the connection until it has ended and nc is closed. Cancelling ctx
// abandons it at once, without a word to the peer. It returns the error of
// Close, nil after an orderly end. It must be called once.
func (r *Runner) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(r.read)
	wg.Go(r.write)
	r.loop(ctx)
	close(r.ended)
	if r.closing.Flush {
		r.linger(ctx)
	}
	close(r.quit)
	r.nc.Close() // ends a read or write in progress; its own error tells nothing
	wg.Wait()
	close(r.done)
	return r.closing.Err
}

// loop owns the Connection until Close.
func (r *Runner) loop(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for r.perform(); r.closing == nil; r.perform() {
		if due := r.c.Deadline(); due.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(due))
		}
		var toWrite chan []byte
		if len(r.pending) > 0 {
			toWrite = r.toWrite
		}
		select {
		case b := <-r.received:
			r.c.Receive(time.Now(), b)
		case err := <-r.readEnd:
			r.c.TransportClosed(time.Now(), err)
		case err := <-r.writeEnd:
			r.c.TransportClosed(time.Now(), err)
		case toWrite <- r.pending:
			r.pending = nil
		case e := <-r.mail:
			e.f(time.Now(), r.c)
			r.perform()
			close(e.done)
		case <-timer.C:
			r.c.Tick(time.Now())
		case <-ctx.Done():
			r.c.Abandon(time.Now(), context.Cause(ctx))
		case <-r.abandoned:
			r.c.Abandon(time.Now(), ErrShutdown)
		}
	}
}

// perform performs the actions that the machine has asked for, and those that
// follow from the Handler's commands.
func (r *Runner) perform() {
	for actions := r.c.Actions(); len(actions) > 0; actions = r.c.Actions() {
		for _, a := range actions {
			switch a := a.(type) {
			case Send:
				r.enqueue(a.Bytes)
			case Close:
				r.closing = &a
			default:
				r.handle(time.Now(), r.c, a)
			}
		}
	}
}

// enqueue keeps octets for the writer. Dropping some would break the stream,
// so a peer that does not read loses its connection.
func (r *Runner) enqueue(b []byte) {
	if len(r.pending)+len(b) > r.cfg.Queue {
		r.c.Abandon(time.Now(), fmt.Errorf("%w: %d octets wait", ErrSlowPeer, len(r.pending)))
		return
	}
	r.pending = append(r.pending, b...)
}

// linger writes what is left, then waits for the peer to close.
func (r *Runner) linger(ctx context.Context) {
	timer := time.NewTimer(r.cfg.Linger)
	defer timer.Stop()
	toWrite, readEnd := r.toWrite, (chan error)(nil)
	for {
		select {
		case toWrite <- r.pending:
			if len(r.pending) == 0 {
				toWrite = nil // the writer takes an empty piece as the end
			}
			r.pending = nil
		case err := <-r.writeEnd:
			half, ok := r.nc.(interface{ CloseWrite() error })
			if err != nil || !ok || half.CloseWrite() != nil {
				return
			}
			readEnd = r.readEnd
		case <-readEnd:
			return
		case <-r.received: // too late to matter
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		case <-r.abandoned:
			return
		}
	}
}

// read hands what comes from TCP to the loop.
func (r *Runner) read() {
	buf := make([]byte, readSize)
	for {
		n, err := r.nc.Read(buf)
		if n > 0 {
			select {
			case r.received <- append([]byte(nil), buf[:n]...):
			case <-r.quit:
				return
			}
		}
		if err != nil {
			r.readEnd <- err
			return
		}
	}
}

// write writes what the loop hands over, until an empty piece, an error or the
// end.
func (r *Runner) write() {
	for {
		select {
		case b := <-r.toWrite:
			if len(b) == 0 {
				r.writeEnd <- nil
				return
			}
			err := r.nc.SetWriteDeadline(time.Now().Add(r.cfg.Write))
			if err == nil {
				_, err = r.nc.Write(b)
			}
			if err != nil {
				r.writeEnd <- fmt.Errorf("write: %w", err)
				return
			}
		case <-r.quit:
			return
		}
	}
}

// Do runs f in the Runner's loop and waits until it and the actions that follow
// from it are done. It returns ErrEnded if the connection has ended before, or
// the cause of ctx. It must not be called by the Handler.
func (r *Runner) Do(ctx context.Context, f func(now time.Time, c *Connection)) error {
	e := errand{f: f, done: make(chan struct{})}
	select {
	case r.mail <- e:
		<-e.done
		return nil
	case <-r.ended:
		return ErrEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Shutdown stops the connection in an orderly way and waits for the end, but
// not longer than ctx: then it abandons it and returns the cause of ctx. Run
// must have been called.
func (r *Runner) Shutdown(ctx context.Context, reason pptp.StopReason) error {
	err := r.Do(ctx, func(now time.Time, c *Connection) { c.Stop(now, reason) })
	if err == nil || errors.Is(err, ErrEnded) {
		select {
		case <-r.done:
			return nil
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	r.abandon()
	<-r.done
	return err
}

// Done is closed when Run has returned.
func (r *Runner) Done() <-chan struct{} { return r.done }

// Err returns what Run returned. It may be called once Done is closed.
func (r *Runner) Err() error { return r.closing.Err }
