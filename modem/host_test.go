package modem

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"trunkline.example/modem/port"
	"trunkline.example/modem/port/porttest"
	"trunkline.example/shared/line"
)

// host is a test at the host's end of a line, with the modem at the other.
type host struct {
	*testing.T
	line   line.Line
	status line.Status
	device *porttest.Device
	sim    *sim
	log    *zap.Logger
}

// rig describes a test in a bubble.
type rig struct {
	virtual bool
	keys    string
	before  func(*host) // before the line is opened
	down    bool        // the line is not expected to come up by itself
	logger  *zap.Logger
}

// inBubble runs a test against a sim in a synctest bubble, from the moment the
// line is up to its shutdown.
func inBubble(t *testing.T, r rig, test func(*host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		device := porttest.NewDevice(r.virtual)
		h := &host{T: t, device: device, sim: newSim(t, cable{device}), log: r.logger}
		if h.log == nil {
			h.log = testLogger(t)
		}
		if r.before != nil {
			r.before(h)
		}
		h.sim.run(t)
		t.Cleanup(func() { // a test that failed halfway
			if h.line != nil {
				_ = h.line.Shutdown(context.Background())
			}
		})
		h.open(r.keys)
		if !r.down {
			want[line.Up](h)
		}
		test(h)
		h.close()
	})
}

func (h *host) open(keys string) {
	h.Helper()
	lines, err := New(Options{Logger: h.log, Open: h.device.Open}).Open(h.Context(), section(keys))
	if err != nil {
		h.Fatal(err)
	}
	h.line = lines[0]
}

// close shuts the line down and checks that its story has an end.
func (h *host) close() {
	h.Helper()
	if err := h.line.Shutdown(context.Background()); err != nil {
		h.Error(err)
	}
	for e := range h.line.Events() {
		h.apply(e)
	}
	if h.status.State != line.StateClosed {
		h.Errorf("the events end in state %v", h.status.State)
	}
	if h.device.State().Open {
		h.Error("the device is still open")
	}
}

func (h *host) apply(e line.Event) {
	h.Helper()
	if err := h.status.Apply(e); err != nil {
		h.Error(err)
	}
}

// next returns the next event, whatever its kind.
func (h *host) next() line.Event {
	h.Helper()
	select {
	case e, ok := <-h.line.Events():
		if !ok {
			h.Fatal("the events have ended")
		}
		h.apply(e)
		return e
	case <-time.After(24 * time.Hour):
		h.Fatalf("nothing happens in state %v", h.status.State)
	}
	return line.Event{}
}

// want returns the next event of the life of the line, which must be a T.
func want[T line.Body](h *host) T {
	h.Helper()
	for {
		e := h.next()
		if body, ok := e.Body.(T); ok {
			return body
		}
		if !e.Body.Kind().Droppable() {
			var t T
			h.Fatalf("event %v %+v instead of %v", e.Body.Kind(), e.Body, t.Kind())
		}
	}
}

// quiet checks that nothing happens for a while.
func (h *host) quiet(d time.Duration) {
	h.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case e := <-h.line.Events():
		h.Errorf("unexpected event %v %+v", e.Body.Kind(), e.Body)
	case <-timer.C:
	}
}

func (h *host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// hook replaces what the modem does on a command: it says the lines.
func (s *sim) hook(command string, lines ...string) {
	s.on(command, func(s *sim) bool {
		s.say(lines...)
		return true
	})
}

// on replaces what the modem does on a command, unless f returns false.
func (s *sim) on(command string, f func(*sim) bool) { s.set(func() { s.hooks[command] = f }) }

// raw replaces what the modem does on a command: it sends the text as it is.
func (s *sim) raw(command, text string) {
	s.on(command, func(s *sim) bool {
		s.later(s.reply, text)
		return true
	})
}

// did says whether the modem has seen a command.
func (s *sim) did(command string) bool {
	s.Lock()
	defer s.Unlock()
	for _, c := range s.seen {
		if c == command {
			return true
		}
	}
	return false
}

// set changes the modem's behaviour.
func (s *sim) set(f func()) {
	s.Lock()
	defer s.Unlock()
	f()
}

func lines(dcd bool) port.Lines { return port.Lines{CTS: true, DSR: true, DCD: dcd} }
