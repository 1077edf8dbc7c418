package control

import (
	"context"
	"errors"
	"net"
	"time"

	"trunkline.example/shared/pptp"
)

// ErrEnded is returned by Do when the Runner has ended.
var ErrEnded = errors.New("control connection has ended")

// Handler is told every action but Send and Close, in order, in the Runner's
// loop. It must not block; it may give commands to c directly.
type Handler func(now time.Time, c *Connection, a Action)

// RunnerConfig bounds a Runner. Zero fields mean the defaults.
type RunnerConfig struct {
	// Queue is how many octets may wait for the peer to read them before the
	// connection is closed with ErrSlowPeer. Default 64 KiB.
	Queue int
	// Write is how long the peer may take nothing at all before the connection
	// is closed. Default 30 s.
	Write time.Duration
	// Linger is how long closing waits for the last octets to be written and
	// for the peer to close. Default 5 s.
	Linger time.Duration
}

// Runner drives a Connection over a net.Conn.
type Runner struct{}

// NewRunner returns a Runner of c over nc, which it owns from now on.
func NewRunner(nc net.Conn, c *Connection, h Handler, cfg RunnerConfig) *Runner { return &Runner{} }

// Run runs the connection until it has ended and nc is closed. Cancelling ctx
// abandons it at once. It returns the error of Close, nil after an orderly
// end. It must be called once.
func (r *Runner) Run(ctx context.Context) error { return nil }

// Do runs f in the Runner's loop and waits until it is done, or returns
// ErrEnded or the error of ctx. It must not be called by the Handler.
func (r *Runner) Do(ctx context.Context, f func(now time.Time, c *Connection)) error { return ErrEnded }

// Shutdown stops the connection in an orderly way and waits for the end, but
// not longer than ctx: then it abandons it.
func (r *Runner) Shutdown(ctx context.Context, reason pptp.StopReason) error { return nil }

// Done is closed when Run has returned.
func (r *Runner) Done() <-chan struct{} { return nil }
