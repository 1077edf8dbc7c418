package lab

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

const (
	screenQueue = 4096                   // pieces that wait for a slow terminal
	screenTick  = 50 * time.Millisecond  //
	flushLimit  = 500 * time.Millisecond // for the terminal to take the last words
)

// screen prints texts and the timeline. Whoever tells it something never waits for the terminal: what finds no room is counted and
// left out, since a daemon whose log nobody reads would stand still. Safe for concurrent use.
type screen struct {
	out    io.Writer
	broken func(error) // called once if out takes no more
	queue  chan piece
	lost   atomic.Uint64
	end    chan struct{}
}

// piece is either a text, events, or the request to print all that there is.
type piece struct {
	text    string
	events  []event
	flushed chan<- struct{}
}

func newScreen(out io.Writer, color bool, broken func(error)) *screen {
	s := &screen{out: out, broken: broken, queue: make(chan piece, screenQueue), end: make(chan struct{})}
	go s.run(newTimeline(color))
	return s
}

func (s *screen) put(p piece) {
	select {
	case s.queue <- p:
	default:
		s.lost.Add(1)
	}
}

// print prints a text after all that was told before.
func (s *screen) print(format string, args ...any) { s.put(piece{text: fmt.Sprintf(format, args...)}) }

// tell puts events into the timeline.
func (s *screen) tell(events ...event) {
	if len(events) > 0 {
		s.put(piece{events: events})
	}
}

// flush waits until all that was told is printed, or the terminal does not take it.
func (s *screen) flush() {
	limit := time.NewTimer(flushLimit)
	defer limit.Stop()
	flushed := make(chan struct{}, 1)
	select {
	case s.queue <- piece{flushed: flushed}:
	case <-limit.C:
		return
	}
	select {
	case <-flushed:
	case <-limit.C:
	}
}

// close ends the screen; it prints no more.
func (s *screen) close() { close(s.end) }

func (s *screen) run(t *timeline) {
	tick := time.NewTicker(screenTick)
	defer tick.Stop()
	for {
		select {
		case <-s.end:
			return
		case p := <-s.queue:
			t.add(p.events...)
			if p.text != "" || p.flushed != nil {
				s.write(t.take(time.Time{}) + p.text)
			}
			if p.flushed != nil {
				p.flushed <- struct{}{}
			}
		case now := <-tick.C:
			s.write(t.take(now))
		}
	}
}

func (s *screen) write(text string) {
	if n := s.lost.Swap(0); n > 0 {
		text = fmt.Sprintf("(%d lines were not shown: the terminal is too slow)\n", n) + text
	}
	if text == "" || s.broken == nil {
		return
	}
	if _, err := io.WriteString(s.out, text); err != nil {
		s.broken(fmt.Errorf("what the lab tells cannot be printed: %w", err))
		s.broken = nil
	}
}
