package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"time"

	"trunkline.example/shared/line"
)

// cable is one line. It implements line.Line.
//
// A socket that is connected is a cable that is plugged in. Its call begins with the caller's word and ends with the connection, whoever
// closes it; the next one begins with the next connection.
type cable struct {
	cfg      lineSection
	identity line.Identity
	stop     context.CancelFunc // of the listener
	running  sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond // of mu: anything below
	queue    *line.Queue
	state    line.State
	call     line.Call
	last     line.Call
	conn     net.Conn // of the call, or of one that has not begun yet
	heard    []byte   // not read by the host yet
	readable bool     // a call was connected since Answer was taken last
	counters line.Counters
}

// heardLimit is how much is held for the host; the far end waits then.
const heardLimit = 16 << 10

func newCable(cfg lineSection, channel uint32) *cable {
	l := &cable{
		cfg: cfg, queue: line.NewQueue(), state: line.StateDown,
		identity: line.Identity{
			Name: cfg.Name, Device: cfg.Listen, PhysicalChannel: channel, Number: cfg.Number, Bearers: line.BearerDigital, Framings: line.FramingAsync,
		},
	}
	l.changed = sync.NewCond(&l.mu)
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	l.running.Go(func() { l.listen(ctx) })
	return l
}

// Identity implements line.Line.
func (l *cable) Identity() line.Identity { return l.identity }

// Events implements line.Line.
func (l *cable) Events() <-chan line.Event { return l.queue.Events() }

// send tells an event and the state it leads to. mu is held.
func (l *cable) send(call line.Call, body line.Body, state line.State) {
	l.queue.Send(time.Now(), call, body)
	l.state = state
	l.changed.Broadcast()
}

// command runs f with mu held if that call is in one of the states.
func (l *cable) command(ctx context.Context, call line.Call, f func(), states ...line.State) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == line.StateClosed {
		return line.ErrClosed
	}
	for _, s := range states {
		if l.state == s && l.call == call {
			f()
			return nil
		}
	}
	return line.ErrNoCall
}

// Answer implements line.Line.
func (l *cable) Answer(ctx context.Context, call line.Call) error {
	return l.command(ctx, call, func() {
		l.readable = false
		l.send(call, line.Answering{}, line.StateAnswering)
		conn := l.conn
		l.running.Go(func() { l.connect(call, conn) }) // the answer may block
	}, line.StateRinging)
}

// connect gives the answer that the caller waits for.
func (l *cable) connect(call line.Call, conn net.Conn) {
	var err error
	if !l.cfg.Silent {
		_, err = io.WriteString(conn, answer)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.state != line.StateAnswering || l.call != call: // it has ended meanwhile
	case err != nil:
		l.end(line.Cause{Code: line.CauseCarrierLost, Text: "the cable was unplugged"})
	default:
		for !l.cfg.Silent && bytes.HasPrefix(l.heard, []byte(question)) {
			l.heard = l.heard[len(question):] // the caller repeats it until it reads the answer
		}
		l.readable = true
		l.counters.RxOctets = uint64(len(l.heard)) // what came behind the caller's word
		l.send(call, line.Connected{
			RxSpeed: l.cfg.Speed, TxSpeed: l.cfg.Speed, DTESpeed: l.cfg.Speed, Bearer: line.BearerDigital, Framing: line.FramingAsync, ErrorControl: "none", Compression: "none",
		}, line.StateConnected)
	}
}

// Reject implements line.Line.
func (l *cable) Reject(ctx context.Context, call line.Call, cause line.Cause) error {
	return l.command(ctx, call, func() { l.end(line.Cause{Code: line.CauseRejected, Q850: cause.Q850, Text: cause.Text}) }, line.StateRinging)
}

// Dial implements line.Line: nobody waits at the far end of a cable.
func (l *cable) Dial(context.Context, line.DialRequest) (line.Call, error) {
	return 0, line.ErrUnsupported
}

// Service implements line.Line: there is no device to serve.
func (l *cable) Service(context.Context, line.Service) error { return line.ErrUnsupported }

// Hangup implements line.Line.
func (l *cable) Hangup(ctx context.Context, call line.Call) error {
	return l.command(ctx, call, func() { l.end(line.Cause{Code: line.CauseHangup}) }, line.StateRinging, line.StateAnswering, line.StateConnected)
}

// end ends the call in whatever state it is, and the line is free again. mu is held.
func (l *cable) end(cause line.Cause) {
	call := l.call
	switch l.state {
	case line.StateRinging:
		if cause.Code == line.CauseHangup {
			cause.Code = line.CauseRejected
		}
		l.send(call, line.RingingStopped{Cause: cause}, line.StateReleasing)
	case line.StateAnswering, line.StateConnected:
		l.send(call, line.Lost{Cause: cause, Counters: l.counters}, line.StateReleasing)
	default:
		return
	}
	_ = l.conn.Close()
	l.conn, l.call = nil, 0
	l.send(call, line.Idle{}, line.StateIdle)
}

// Shutdown implements line.Line.
func (l *cable) Shutdown(ctx context.Context) error {
	l.mu.Lock()
	if l.state != line.StateClosed {
		cause := line.Cause{Code: line.CauseShutdown}
		l.end(cause)
		if l.conn != nil {
			_ = l.conn.Close()
		}
		l.send(0, line.Down{Cause: cause}, line.StateClosed)
		l.queue.Close()
		l.stop()
	}
	l.mu.Unlock()
	l.running.Wait() // everything has been closed under it
	return ctx.Err()
}

// Read implements line.Line.
func (l *cable) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.state == line.StateClosed:
			return 0, line.ErrClosed
		case !l.readable:
			return 0, line.ErrNotConnected
		case len(l.heard) > 0:
			n := copy(p, l.heard)
			l.heard = l.heard[n:]
			l.changed.Broadcast()
			return n, nil
		case l.state != line.StateConnected:
			return 0, io.EOF
		}
		l.changed.Wait()
	}
}

// Write implements line.Line.
func (l *cable) Write(p []byte) (int, error) {
	l.mu.Lock()
	conn, state := l.conn, l.state
	l.mu.Unlock()
	switch state {
	case line.StateConnected:
	case line.StateClosed:
		return 0, line.ErrClosed
	default:
		return 0, line.ErrNotConnected
	}
	n, err := conn.Write(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counters.TxOctets += uint64(n)
	switch {
	case err == nil:
		return n, nil
	case l.state == line.StateClosed:
		return n, line.ErrClosed
	}
	return n, line.ErrNotConnected
}
