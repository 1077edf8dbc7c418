package lineplugin

import (
	"context"
	"io"
	"sync"
	"time"

	"trunkline.example/plugins/lineplugin/linepb"
	"trunkline.example/shared/line"
)

// proxy is a line.Line whose driver is elsewhere. It outlives its driver's process: calls and events are numbered on over all
// processes, and between two of them the line is down with CauseDriver.
type proxy struct {
	identity line.Identity
	stream   chan line.Event
	eventMu  sync.Mutex // held while events are told, so that they keep their order
	status   line.Status
	sequence uint64    // of the last event told
	calls    line.Call // added to the driver's call numbers; written with both locks held
	ended    chan struct{}

	mu       sync.Mutex
	change   *sync.Cond
	client   *client // nil: no driver
	index    uint32
	call     line.Call // whose data is read and written; 0: none since the last Answer or Dial
	framing  line.Framing
	over     bool // it is over: nothing can be written
	end      bool // and all that was received is in received
	received [][]byte
	writing  line.Call    // whose write is under way
	reply    *linepb.Data // to it
	shut     bool
}

const (
	// lastEvents is room for what the proxy itself has to say when a driver or the line ends: the end of a call, down, and down for good.
	lastEvents = 4
	// fewEvents: with no more room than that, events are dropped that may be.
	fewEvents = 8
	// roomPause is how often a host that has fallen far behind is looked at.
	roomPause = 20 * time.Millisecond
)

func newProxy(identity line.Identity) *proxy {
	p := &proxy{identity: identity, stream: make(chan line.Event, line.EventCapacity+lastEvents), ended: make(chan struct{})}
	p.change = sync.NewCond(&p.mu)
	return p
}

func (p *proxy) Identity() line.Identity   { return p.identity }
func (p *proxy) Events() <-chan line.Event { return p.stream }

// attach gives the line a driver.
func (p *proxy) attach(c *client, index uint32) {
	p.eventMu.Lock()
	defer p.eventMu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = p.status.LastCall
	p.client, p.index = c, index
}

// detach takes it away: a call in progress is lost, and the line down.
func (p *proxy) detach(c *client) {
	p.mu.Lock()
	if p.client != c {
		p.mu.Unlock()
		return
	}
	p.client = nil
	p.over, p.end = true, true
	p.change.Broadcast()
	p.mu.Unlock()

	p.eventMu.Lock()
	defer p.eventMu.Unlock()
	if p.closed() {
		return
	}
	cause := line.Cause{Code: line.CauseDriver, Text: "the driver's process is gone"}
	if p.status.State == line.StateDown && p.status.Cause == cause {
		return
	}
	p.endCall(cause)
	p.tell(0, line.Down{Cause: cause})
}

// endCall tells the end of a call that the driver does not tell any more.
func (p *proxy) endCall(cause line.Cause) {
	switch p.status.State {
	case line.StateRinging:
		p.tell(p.status.Call, line.RingingStopped{Cause: cause})
	case line.StateAnswering, line.StateConnected:
		p.tell(p.status.Call, line.Lost{Cause: cause, Counters: p.status.Counters})
	case line.StateDialing:
		p.tell(p.status.Call, line.DialFailed{Cause: cause})
	}
}

// room waits until the host has taken enough of what it was told, and says whether the event is to be told then.
func (p *proxy) room(c *client, kind line.Kind) bool {
	if kind.Droppable() && len(p.stream) >= line.EventCapacity-fewEvents {
		return false
	}
	for len(p.stream) >= line.EventCapacity {
		timer := time.NewTimer(roomPause)
		select {
		case <-c.ctx.Done():
		case <-p.ended:
		case <-timer.C:
			continue
		}
		timer.Stop()
		return false
	}
	return true
}

// event takes an event from the driver.
func (p *proxy) event(c *client, e line.Event) {
	if !p.room(c, e.Body.Kind()) {
		return
	}
	p.eventMu.Lock()
	defer p.eventMu.Unlock()
	if p.closed() { // shut down while its driver was away, or slow
		return
	}
	if e.Call != 0 {
		e.Call += p.calls
	}
	switch b := e.Body.(type) {
	case line.Connected:
		p.begun(e.Call, b.Framing)
	case line.Recovered:
		if s := b.Status; s.State == line.StateConnected {
			p.begun(e.Call, s.Connected.Framing)
		}
	case line.Lost, line.DialFailed, line.RingingStopped:
		p.mu.Lock()
		p.over = true
		p.change.Broadcast()
		p.mu.Unlock()
	case line.Down:
		if b.Cause.Code == line.CauseShutdown {
			p.tellAt(e)
			p.finish()
			return
		}
	}
	p.tellAt(e)
}

// begun notes that a call carries data. What it has received may have come before the event that says so.
func (p *proxy) begun(call line.Call, framing line.Framing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.call != call {
		p.call, p.received, p.end = call, nil, false
	}
	p.over, p.framing = false, framing
}

func (p *proxy) tell(call line.Call, body line.Body) {
	p.tellAt(line.Event{At: time.Now(), Call: call, Body: body})
}

// tellAt numbers the event and hands it to the host. There is room for it.
func (p *proxy) tellAt(e line.Event) {
	p.sequence++
	e.Sequence = p.sequence
	_ = p.status.Apply(e)
	p.stream <- e
}

// finish ends the event stream after the line's last event.
func (p *proxy) finish() {
	if !p.closed() {
		close(p.ended)
		close(p.stream)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut, p.over, p.end = true, true, true
	p.change.Broadcast()
}

// closed says whether the line's last event has been told.
func (p *proxy) closed() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// data takes data from the driver.
func (p *proxy) data(d *linepb.Data) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.change.Broadcast()
	call := line.Call(d.GetCall()) + p.calls
	if d.GetWritten() > 0 || d.GetError() != nil {
		if call == p.writing {
			p.reply = d
		}
		return
	}
	if call > p.call {
		// Data overtakes the event that says Connected: they travel apart.
		p.call, p.received, p.end, p.over = call, nil, false, true
	}
	if call != p.call {
		return
	}
	if len(d.GetOctets()) > 0 {
		p.received = append(p.received, d.GetOctets())
	}
	p.end = p.end || d.GetEnd()
}

func (p *proxy) command(ctx context.Context, r *linepb.CommandRequest) (line.Call, error) {
	p.mu.Lock()
	c := p.client
	r.Line = p.index
	shut := p.shut
	p.mu.Unlock()
	switch {
	case shut:
		return 0, line.ErrClosed
	case c == nil && (r.GetVerb() == linepb.CommandRequest_DIAL || r.GetVerb() == linepb.CommandRequest_SERVICE):
		return 0, line.ErrDown
	case c == nil:
		return 0, line.ErrNoCall
	}
	r.Call -= uint64(p.offset())
	call, err := c.command(ctx, r)
	if err != nil {
		return 0, err
	}
	return line.Call(call) + p.offset(), nil
}

func (p *proxy) offset() line.Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// begin forgets the data of the last call: the host has begun a new one.
func (p *proxy) begin(call line.Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.call < call {
		p.call, p.received, p.end, p.over = 0, nil, false, true
	}
}

func (p *proxy) Answer(ctx context.Context, call line.Call) error {
	_, err := p.command(ctx, &linepb.CommandRequest{Verb: linepb.CommandRequest_ANSWER, Call: uint64(call)})
	if err == nil {
		p.begin(call)
	}
	return err
}

func (p *proxy) Reject(ctx context.Context, call line.Call, cause line.Cause) error {
	_, err := p.command(ctx, &linepb.CommandRequest{Verb: linepb.CommandRequest_REJECT, Call: uint64(call), Cause: causeToPB(cause)})
	return err
}

func (p *proxy) Hangup(ctx context.Context, call line.Call) error {
	_, err := p.command(ctx, &linepb.CommandRequest{Verb: linepb.CommandRequest_HANGUP, Call: uint64(call)})
	return err
}

func (p *proxy) Dial(ctx context.Context, r line.DialRequest) (line.Call, error) {
	call, err := p.command(ctx, &linepb.CommandRequest{Verb: linepb.CommandRequest_DIAL, Call: uint64(p.offset()), Dial: &linepb.Dial{
		Number: r.Number, Subaddress: r.Subaddress, Bearer: uint32(r.Bearer), Framing: uint32(r.Framing), MinimumBps: r.MinimumBPS, MaximumBps: r.MaximumBPS,
	}})
	if err == nil {
		p.begin(call)
	}
	return call, err
}

func (p *proxy) Service(ctx context.Context, service line.Service) error {
	_, err := p.command(ctx, &linepb.CommandRequest{Verb: linepb.CommandRequest_SERVICE, Call: uint64(p.offset()), Service: uint32(service)})
	return err
}

// Shutdown has the driver free the line; without a driver there is nothing to free.
func (p *proxy) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	c, index := p.client, p.index
	p.shut = true
	p.change.Broadcast()
	p.mu.Unlock()
	var err error
	if c != nil {
		_, err = c.command(ctx, &linepb.CommandRequest{Line: index, Verb: linepb.CommandRequest_SHUTDOWN})
	}
	if c != nil && err == nil {
		select {
		case <-p.ended:
			return nil
		case <-c.ctx.Done():
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	p.eventMu.Lock()
	defer p.eventMu.Unlock()
	if !p.closed() {
		cause := line.Cause{Code: line.CauseShutdown}
		p.endCall(cause)
		p.tell(0, line.Down{Cause: cause})
		p.finish()
	}
	return err
}

func (p *proxy) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.call != 0 && len(p.received) > 0:
			return p.take(b)
		case p.shut:
			return 0, line.ErrClosed
		case p.call == 0:
			return 0, line.ErrNotConnected
		case p.end:
			return 0, io.EOF
		}
		p.change.Wait()
	}
}

// take hands out what was received first and gives the driver room for more.
func (p *proxy) take(b []byte) (int, error) {
	first := p.received[0]
	if p.framing == line.FramingSync && len(first) > len(b) {
		p.received = p.received[1:]
		p.credit(len(first))
		return 0, line.ErrInvalid
	}
	n := copy(b, first)
	if p.received[0] = first[n:]; n == len(first) {
		p.received = p.received[1:]
	}
	p.credit(n)
	return n, nil
}

func (p *proxy) credit(n int) {
	if p.client != nil {
		p.client.out.add(&linepb.Data{Line: p.index, Credit: uint32(n)})
	}
}

func (p *proxy) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	call, written := p.call, 0
	for {
		switch {
		case p.shut:
			return written, line.ErrClosed
		case p.call == 0 || p.call != call || p.over || p.client == nil:
			return written, line.ErrNotConnected
		case written == len(b):
			return written, nil
		}
		piece := b[written:]
		if len(piece) > writeOctets && p.framing != line.FramingSync {
			piece = piece[:writeOctets]
		}
		n, err := p.writePiece(call, piece)
		if written += n; err != nil {
			return written, err
		}
	}
}

// writePiece has the driver write and waits for its answer. The lock is held.
func (p *proxy) writePiece(call line.Call, piece []byte) (int, error) {
	c := p.client
	p.writing, p.reply = call, nil
	c.out.add(&linepb.Data{Line: p.index, Call: uint64(call - p.calls), Octets: append([]byte(nil), piece...)})
	for p.reply == nil {
		switch {
		case p.shut:
			return 0, line.ErrClosed
		case p.client != c:
			return 0, line.ErrNotConnected
		}
		p.change.Wait()
	}
	return int(p.reply.GetWritten()), errorFromPB(p.reply.GetError())
}
