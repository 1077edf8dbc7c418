package exchange

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline.example/modem/exchange/ptyport"
	"trunkline.example/shared/logging"
)

// Times of a terminal.
const (
	terminalPoll = 20 * time.Millisecond  // how often terminals in use are looked at: nothing announces a change of speed
	idlePoll     = time.Second            // how often terminals are looked at while none is in use
	closeDrain   = 250 * time.Millisecond // how long a closed terminal may still give what its client wrote before
	hangUpDrain  = 250 * time.Millisecond // how long a client may take to read the last words before it is hung up
	deadPatience = time.Second            // after a hang-up, how long silent descriptors are taken for the last client's dead ones
)

// terminal is a line's pseudo-terminal. It is owned by the goroutine that
// watches all of them.
type terminal struct {
	line   int
	policy CarrierPolicy
	port   *ptyport.Port
	broken bool // its trouble has been reported

	id     int   // what the watch calls its port
	opened int   // descriptors that clients hold, dead ones among them
	dead   int   // of these, killed by a hang-up
	own    int64 // of Port.Opened, those whose close has been heard
	hungUp time.Time
	dipped bool // all clients' descriptors were closed at some time since the session began

	s      *session // nil: no client
	speed  int
	closed time.Time   // when the client was first seen gone
	drop   atomic.Bool // the client is to be hung up
	dropBy time.Time
}

// held is the stream of one session on a terminal: closing it leaves the
// terminal open for the next client.
type held struct{ *ptyport.Port }

// Close ends Read and Write; the watcher clears the deadline for the next client.
func (h held) Close() error { return h.SetDeadline(time.Unix(1, 0)) }

// terminals is all of them, with what hears clients come and go.
type terminals struct {
	all   []*terminal
	watch *ptyport.Watch // nil: the system has no inotify left, so we poll
	ports int            // watched so far
}

// openTerminal makes a line's terminal and publishes it.
func (e *Exchange) openTerminal(ts *terminals, line int, policy CarrierPolicy) error {
	port, err := ptyport.Open()
	if err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	t := &terminal{line: line, policy: policy, port: port}
	ts.all = append(ts.all, t)
	ts.add(t)
	return e.books.link(line, port.Path())
}

// close closes all terminals; their sessions are over.
func (ts *terminals) close() {
	for _, t := range ts.all {
		t.port.Close()
	}
	if ts.watch != nil {
		ts.watch.Close()
	}
}

// add watches a terminal; without a watch, or if it fails, polling does.
func (ts *terminals) add(t *terminal) {
	ts.ports++ // what the watch still hears of an old port is not for the new one
	t.id, t.opened, t.dead, t.own, t.dipped = ts.ports, 0, 0, t.port.Opened(), false
	if ts.watch == nil {
		return
	}
	if err := ts.watch.Add(t.port, t.id); err != nil {
		ts.watch.Close()
		ts.watch = nil
	}
}

// hear takes note of clients that opened and closed terminals.
func (ts *terminals) hear() error {
	if ts.watch == nil {
		return nil
	}
	return ts.watch.Drain(func(id int, opened bool) {
		for _, t := range ts.all {
			switch {
			case id == ptyport.Lost:
				t.opened, t.dead, t.own = 0, 0, t.port.Opened()
				if open, _, _ := t.port.State(); open {
					t.opened = 1
				}
			case t.id != id:
			case opened:
				t.opened++
			default:
				t.opened = max(t.opened-1, 0)
				if t.own < t.port.Opened() {
					t.own++
					break
				}
				t.dead = max(t.dead-1, 0)
				t.dipped = t.dipped || t.opened == 0
			}
		}
	})
}

// watchTerminals serves all terminals until ctx is done, and closes them.
func (e *Exchange) watchTerminals(ctx context.Context, ts *terminals) {
	wake := make(chan struct{})
	if watch := ts.watch; watch != nil {
		e.work.Go(func() {
			for watch.Wait(ctx) == nil {
				select {
				case wake <- struct{}{}:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			for _, t := range ts.all {
				if t.s != nil {
					t.s.end()
					<-t.s.done
				}
			}
			ts.close()
			return
		case <-wake:
		case <-e.unplugged:
		case <-timer.C:
		}
		if err := ts.hear(); err != nil {
			e.log.Error("hearing of clients fails", zap.Error(err))
		}
		now := time.Now()
		next := idlePoll
		if ts.watch == nil {
			next = terminalPoll
		}
		for _, t := range ts.all {
			e.look(ts, t, now)
			if t.s != nil {
				next = terminalPoll
			}
		}
		timer.Reset(next)
	}
}

// look does what is due at one terminal.
func (e *Exchange) look(ts *terminals, t *terminal, now time.Time) {
	var err error
	switch {
	case e.unplugs[t.line].CompareAndSwap(true, false):
		err = e.replace(ts, t)
	case t.s == nil:
		err = e.lookForClient(t)
	default:
		if err = e.lookAtClient(ts, t, now); err == nil && t.s == nil { // another may have come already
			err = e.lookForClient(t)
		}
	}
	if err != nil && !t.broken {
		e.log.Error("a line's terminal fails", zap.String(logging.KeyLine, e.cfg.Office.Lines[t.line].Name), zap.Error(err))
	}
	t.broken = err != nil
}

// lookForClient attaches a client that has opened the terminal.
func (e *Exchange) lookForClient(t *terminal) error {
	open, readable, err := t.port.State()
	if err != nil {
		return err
	}
	if !open {
		if t.dead > 0 { // the last of the dead descriptors is closed
			t.dead = 0
			return t.port.Reset()
		}
		return nil
	}
	// Only dead descriptors, as far as can be seen. Openings and closings that follow each other at once may be heard as one, so a
	// client that opens the port this moment and says nothing is not overlooked for ever.
	if t.dead > 0 && t.opened <= t.dead && !readable && time.Since(t.hungUp) < deadPatience {
		return nil
	}
	set, err := t.port.Settings()
	if err != nil {
		return err
	}
	s := newSession(t.line, set.Speed, held{t.port}, t.policy)
	s.drop = func() { t.drop.Store(true) }
	t.drop.Store(false)
	if err := e.attach(s); err != nil {
		return nil // another client has the line, or we are stopping
	}
	t.s, t.speed, t.closed, t.dropBy, t.dipped = s, set.Speed, time.Time{}, time.Time{}, false
	if set.Speed == 0 {
		e.post(serial{s: s})
	}
	return nil
}

// lookAtClient follows what the client does with the terminal.
func (e *Exchange) lookAtClient(ts *terminals, t *terminal, now time.Time) error {
	select {
	case <-t.s.done:
		return e.clientGone(t)
	default:
	}
	open, readable, err := t.port.State()
	if err != nil {
		return err
	}
	switch {
	case open && t.dipped: // closed, and opened anew at once
		return e.clientGone(t)
	case open:
		t.closed = time.Time{}
	case !readable:
		return e.clientGone(t)
	case !t.closed.IsZero() && now.Sub(t.closed) >= closeDrain:
		return errors.Join(e.clientGone(t), t.port.Discard())
	default: // what it wrote is still to be taken
		if t.closed.IsZero() {
			t.closed = now
		}
		return nil
	}
	set, err := t.port.Settings()
	if err != nil {
		return err
	}
	if set.Speed != t.speed {
		t.speed = set.Speed
		e.post(serial{s: t.s, speed: set.Speed})
	}
	if t.drop.Load() {
		return e.dropClient(ts, t, now, set)
	}
	return nil
}

// dropClient hangs the client up once it has read the last words.
func (e *Exchange) dropClient(ts *terminals, t *terminal, now time.Time, set ptyport.Settings) error {
	if set.Local && t.policy != CarrierAlways {
		t.drop.Store(false)
		return nil
	}
	if t.dropBy.IsZero() {
		t.dropBy = now.Add(hangUpDrain)
	}
	switch n, err := t.port.Unread(); {
	case err != nil && !errors.Is(err, ptyport.ErrNotPermitted):
		return err
	case (err != nil || n > 0) && now.Before(t.dropBy): // what cannot be seen gets its time as well
		return nil
	}
	if err := e.endSession(t); err != nil {
		return err
	}
	if err := ts.hear(); err != nil {
		return err
	}
	t.dead, t.hungUp = max(t.opened, 1), time.Now()
	err := t.port.HangUp()
	if errors.Is(err, ptyport.ErrNotPermitted) {
		return e.replace(ts, t)
	}
	return errors.Join(err, ts.hear())
}

// endSession ends the client's session and waits until it is over.
func (e *Exchange) endSession(t *terminal) error {
	t.drop.Store(false)
	if t.s == nil {
		return nil
	}
	t.s.end()
	<-t.s.done
	t.s = nil
	return t.port.SetDeadline(time.Time{})
}

// clientGone readies the terminal for the next client, and then the line.
func (e *Exchange) clientGone(t *terminal) error {
	return errors.Join(t.port.Reset(), e.endSession(t))
}

// replace puts a fresh terminal in the place of the old one. Whoever holds the
// old one reads end of file.
func (e *Exchange) replace(ts *terminals, t *terminal) error {
	if err := e.endSession(t); err != nil {
		return err
	}
	fresh, err := ptyport.Open()
	if err != nil {
		return err
	}
	old := t.port
	t.port = fresh
	ts.add(t)
	err = e.books.link(t.line, fresh.Path())
	return errors.Join(err, old.Close(), e.books.write())
}

// unplug asks for a fresh terminal, or closes the client's socket. It runs in
// the loop.
func (e *Exchange) unplug(line int) error {
	if s := e.sessions[line]; s != nil {
		if _, terminal := s.conn.(held); !terminal {
			s.end()
			return nil
		}
	}
	e.unplugs[line].Store(true)
	select {
	case e.unplugged <- struct{}{}:
	default:
	}
	return nil
}
