package exchange

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline.example/modem/exchange/ptyport"
)

// Times of a terminal.
const (
	terminalPoll = 20 * time.Millisecond  // how often terminals are looked at: nothing announces that a client opens one
	closeDrain   = 250 * time.Millisecond // how long a closed terminal may still give what its client wrote before
	hangUpDrain  = 250 * time.Millisecond // how long a client may take to read the last words before it is hung up
)

// terminal is a line's pseudo-terminal. It is owned by the goroutine that
// watches all of them.
type terminal struct {
	line   int
	policy CarrierPolicy
	port   *ptyport.Port
	s      *session // nil: no client
	stale  bool     // hung up, and the client may not have closed it yet
	speed  int
	closed time.Time // when the client was first seen gone
	drop   atomic.Bool
	dropBy time.Time
	broken bool // its trouble has been reported
}

// held is the stream of one session on a terminal: closing it leaves the
// terminal open for the next client.
type held struct{ *ptyport.Port }

// Close ends Read and Write; the watcher clears the deadline for the next client.
func (h held) Close() error { return h.SetDeadline(time.Unix(1, 0)) }

// openTerminal makes a line's terminal and publishes it.
func (e *Exchange) openTerminal(line int, policy CarrierPolicy) (*terminal, error) {
	port, err := ptyport.Open()
	if err != nil {
		return nil, fmt.Errorf("exchange: %w", err)
	}
	if err := e.books.link(line, port.Path()); err != nil {
		return nil, errors.Join(err, port.Close())
	}
	return &terminal{line: line, policy: policy, port: port}, nil
}

// watchTerminals serves all terminals until ctx is done, and closes them.
func (e *Exchange) watchTerminals(ctx context.Context, terminals []*terminal) {
	ticker := time.NewTicker(terminalPoll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			for _, t := range terminals {
				if t.s != nil {
					t.s.end()
					<-t.s.done
				}
				t.port.Close()
			}
			return
		case now := <-ticker.C:
			for _, t := range terminals {
				e.look(t, now)
			}
		}
	}
}

// look does what is due at one terminal.
func (e *Exchange) look(t *terminal, now time.Time) {
	var err error
	select {
	case <-e.unplugs[t.line]:
		err = e.replace(t)
	default:
		if t.s == nil {
			err = e.lookForClient(t)
		} else {
			err = e.lookAtClient(t, now)
		}
	}
	if err != nil && !t.broken {
		e.log.Error("a line's terminal fails", zap.String("line", e.cfg.Office.Lines[t.line].Name), zap.Error(err))
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
		if t.stale {
			t.stale = false
			return t.port.Reset()
		}
		return nil
	}
	if t.stale && !readable { // only dead descriptors, as far as can be seen
		return nil
	}
	t.stale = false
	set, err := t.port.Settings()
	if err != nil {
		return err
	}
	s := newSession(t.line, set.Speed, held{t.port}, t.policy)
	s.drop = func() { t.drop.Store(true) }
	if err := e.attach(s); err != nil {
		return nil // another client has the line, or we are stopping
	}
	t.s, t.speed, t.closed, t.dropBy = s, set.Speed, time.Time{}, time.Time{}
	t.drop.Store(false)
	if set.Speed == 0 {
		e.post(serial{s: s})
	}
	return nil
}

// lookAtClient follows what the client does with the terminal.
func (e *Exchange) lookAtClient(t *terminal, now time.Time) error {
	select {
	case <-t.s.done:
		return e.clientGone(t)
	default:
	}
	open, _, err := t.port.State()
	if err != nil {
		return err
	}
	if !open {
		if t.closed.IsZero() {
			t.closed = now
		} else if now.Sub(t.closed) >= closeDrain {
			t.s.end()
		}
		return nil
	}
	t.closed = time.Time{}
	set, err := t.port.Settings()
	if err != nil {
		return err
	}
	if set.Speed != t.speed {
		t.speed = set.Speed
		e.post(serial{s: t.s, speed: set.Speed})
	}
	if t.drop.Load() {
		return e.dropClient(t, now, set)
	}
	return nil
}

// dropClient hangs the client up once it has read the last words.
func (e *Exchange) dropClient(t *terminal, now time.Time, set ptyport.Settings) error {
	if set.Local && t.policy != CarrierAlways {
		t.drop.Store(false)
		return nil
	}
	if t.dropBy.IsZero() {
		t.dropBy = now.Add(hangUpDrain)
	}
	if n, err := t.port.Unread(); err != nil {
		return err
	} else if n > 0 && now.Before(t.dropBy) {
		return nil
	}
	t.drop.Store(false)
	t.s.end()
	<-t.s.done
	t.s = nil
	err := t.port.HangUp()
	if errors.Is(err, ptyport.ErrNotPermitted) {
		return e.replace(t)
	}
	t.stale = true
	return errors.Join(err, t.port.SetDeadline(time.Time{}))
}

// clientGone readies the terminal for the next client.
func (e *Exchange) clientGone(t *terminal) error {
	t.s = nil
	if err := t.port.SetDeadline(time.Time{}); err != nil {
		return err
	}
	return t.port.Reset()
}

// replace puts a fresh terminal in the place of the old one. Whoever holds the
// old one reads end of file.
func (e *Exchange) replace(t *terminal) error {
	if t.s != nil {
		t.s.end()
		<-t.s.done
		t.s = nil
	}
	fresh, err := ptyport.Open()
	if err != nil {
		return err
	}
	err = e.books.link(t.line, fresh.Path())
	t.port.Close()
	t.port, t.stale = fresh, false
	t.drop.Store(false)
	return errors.Join(err, e.books.write())
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
	select {
	case e.unplugs[line] <- struct{}{}:
	default: // asked for already
	}
	return nil
}
