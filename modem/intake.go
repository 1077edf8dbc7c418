package modem

import (
	"sync"
	"time"

	"trunkline.example/modem/at"
	"trunkline.example/modem/port"
)

// chunk is what one read of the port gave.
type chunk struct {
	data []byte
	err  error
}

// reader reads a port: what it gives goes to the owner, or, while a call is connected, straight to the host. At hundreds of full lines it is such
// hand-overs that cost.
type reader struct {
	port   port.Port
	chunks chan chunk    // to the owner outside of calls, the end of the port too
	failed chan error    // to the owner in a call: the end of the port
	stop   chan struct{} // closed when nobody takes anything any more

	mu     sync.Mutex
	intake *intake       // nil: to the owner
	turned chan struct{} // closed when intake changes
}

func newReader(p port.Port) *reader {
	r := &reader{port: p, chunks: make(chan chunk), failed: make(chan error), stop: make(chan struct{}), turned: make(chan struct{})}
	go r.run()
	return r
}

// run passes on what the port gives until that fails or stop is closed.
func (r *reader) run() {
	buffer := make([]byte, 4096)
	for {
		n, err := r.port.Read(buffer)
		if n > 0 && !r.pass(buffer[:n]) {
			return
		}
		if err == nil {
			continue
		}
		select {
		case r.chunks <- chunk{err: err}:
		case r.failed <- err:
		case <-r.stop:
		}
		return
	}
}

// pass passes data on, and waits until there is room for more. If a call is connected while the owner has not taken the data yet, they are the
// call's: nothing may overtake them. It returns false when the reader must end.
func (r *reader) pass(data []byte) bool {
	var own []byte // a copy for the owner
	for {
		r.mu.Lock()
		in, turned := r.intake, r.turned
		r.mu.Unlock()
		if in != nil && in.take(time.Now(), data) {
			return true
		}
		if own == nil {
			own = append(own, data...)
		}
		select {
		case r.chunks <- chunk{data: own}:
			return true
		case <-turned:
		case <-r.stop:
			return false
		}
	}
}

// direct has what the owner has not taken yet go to in; nil: to the owner.
func (r *reader) direct(in *intake) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.turned)
	r.intake, r.turned = in, make(chan struct{})
}

// intake is the way of a call's data to the host: the modem's own words are taken out. Owner and reader may use it.
type intake struct {
	inbox *inbox
	kick  chan struct{} // has an element when Deadline may have become earlier
	ended chan struct{} // closed by end

	mu       sync.Mutex // guards what follows
	tok      *at.Tokenizer
	watch    at.Watch
	rung     at.Rung
	rings    time.Time // when the modem was known to; zero: it is not
	received uint64
	over     bool
}

func newIntake(box *inbox, tok *at.Tokenizer) *intake {
	return &intake{inbox: box, kick: make(chan struct{}, 1), ended: make(chan struct{}), tok: tok, watch: at.Watch{Guard: textGuard, Hold: textHold}}
}

// feed takes octets from the port, and says whether there is room for more; ok is false when the intake has ended.
func (in *intake) feed(now time.Time, b []byte) (room, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.over {
		return false, false
	}
	before := in.due()
	b = in.tok.Data(b)
	if in.rung.Feed(now, b) && in.rings.IsZero() {
		in.rings = now
	}
	room = in.deliver(in.watch.Feed(now, b))
	if due := in.due(); !due.IsZero() && (before.IsZero() || due.Before(before)) {
		select {
		case in.kick <- struct{}{}:
		default:
		}
	}
	return room, true
}

// take is feed for the reader: while the host reads too slowly it waits, so that flow control holds the modem back. It returns false when the intake
// has ended before.
func (in *intake) take(now time.Time, b []byte) bool {
	room, ok := in.feed(now, b)
	for ok && !room {
		select {
		case <-in.inbox.space:
			room = in.inbox.put(nil)
		case <-in.ended:
			return true
		}
	}
	return ok
}

// deliver gives data to the host and says whether it has room for more. mu is held.
func (in *intake) deliver(data []byte) bool {
	in.received += uint64(len(data))
	return in.inbox.put(data)
}

// deadline is when tick wants to be called; zero for never.
func (in *intake) deadline() time.Time {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.due()
}

func (in *intake) due() time.Time { return earliest(in.watch.Deadline(), in.rings) }

// tick delivers what is not held back any longer, and returns what the modem has said at the end of the call, or that it must have ended.
func (in *intake) tick(now time.Time) (said string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	data, said := in.watch.Tick(now)
	in.deliver(data)
	if !in.rings.IsZero() && said == "" {
		said = "it rings: the end of the call was missed"
	}
	return said
}

// flush delivers what is held back: it was the caller's.
func (in *intake) flush() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.deliver(in.watch.Flush())
	in.rung, in.rings = at.Rung{}, time.Time{}
}

// close delivers what is held back when the port is gone, and returns what the modem has said before.
func (in *intake) close() (said string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	data, said := in.watch.End()
	in.deliver(data)
	return said
}

// followed are the lines about the next caller that came behind the end of the call.
func (in *intake) followed() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.rings.IsZero() {
		return in.rung.Lines()
	}
	return in.watch.Followed()
}

// total is how many octets were delivered.
func (in *intake) total() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.received
}

// end takes nothing any more; whoever waits for room does not.
func (in *intake) end() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.over {
		in.over = true
		close(in.ended)
	}
}
