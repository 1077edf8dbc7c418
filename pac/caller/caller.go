// Package caller is a dial-in client: it dials over a line, is the PPP peer of whoever answers, sends pings through the call and tells
// each step. The lab, self-tests and operators use it. It needs no PPP in the kernel.
package caller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/line"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/ppp/peer"
)

// Config is one call.
type Config struct {
	Line   line.Line        // idle or on its way to it; whose events and data are the caller's until Run returns
	Status line.Status      // of the line, as the events that were taken have told; zero if none was
	Dial   line.DialRequest // whom to call
	Link   link.Config      // user, secret, what is allowed; Side and Async are set by Run
	Probes []peer.Probe     // to run one after the other once the network is up
	Stream *Stream          // instead of Probes and Stay
	Lossy  bool             // lost pings are no failure, as long as one of each probe comes back
	Stay   time.Duration    // to stay connected after the last probe; negative: until ctx ends
	Limit  time.Duration    // from the start to the network being up; 0: two minutes
	// Observe is told everything the PPP peer does, in Run's goroutine. It may be nil.
	Observe func(peer.Action)
}

// Result is what came of a call.
type Result struct {
	Connected line.Connected    `json:"connected"`
	Network   *link.NetworkUp   `json:"-"`
	Address   string            `json:"address,omitempty"`
	Encrypted bool              `json:"encrypted"`
	Probes    []peer.Statistics `json:"probes"`
	Host      peer.Counters     `json:"host"`
	Line      line.Counters     `json:"line"`
	Cause     line.Cause        `json:"cause"` // how the call ended
	Reason    string            `json:"reason,omitempty"`
	FCSErrors uint64            `json:"fcs_errors"`
	FirstPing time.Duration     `json:"first_ping"` // from dialing to the first reply; 0: there was none
	Status    line.Status       `json:"-"`          // of the line after the call
}

// Errors of Run. They wrap what the line or the link said.
var (
	ErrLine   = errors.New("the line is not usable")
	ErrDial   = errors.New("the call did not come about")
	ErrLink   = errors.New("PPP failed")
	ErrProbes = errors.New("pings were lost")
	ErrEarly  = errors.New("the call ended before its time")
)

const (
	defaultLimit = 2 * time.Minute
	hangupLimit  = 30 * time.Second // for the line to be idle again
	byeLimit     = 3 * time.Second  // for the other side to confirm the end of the link
)

// Run makes the call, tells each step, hangs up and returns when the line is idle again. The error says what did not work; the
// result is filled in as far as the call came.
func Run(ctx context.Context, cfg Config, tell func(Event)) (Result, error) {
	if cfg.Limit <= 0 {
		cfg.Limit = defaultLimit
	}
	cfg.Link.Side, cfg.Link.Async = link.Client, true
	c := &call{
		cfg: cfg, tell: tell, status: cfg.Status, began: time.Now(), deframer: hdlc.NewDeframer(0), framer: hdlc.NewFramer(),
		received: make(chan []byte), taken: make(chan struct{}), queue: make(chan frame, queueLength), written: make(chan bool, queueLength),
		done: make(chan struct{}), timer: time.NewTimer(cfg.Limit),
	}
	c.limit = c.began.Add(cfg.Limit)
	defer c.timer.Stop()
	err := c.dial(ctx)
	if err == nil {
		err = c.talk(ctx)
	}
	c.hangup()
	c.result.Status = c.status
	c.result.FCSErrors = c.deframer.Counters().FCSErrors
	if c.peer != nil {
		c.result.Host = c.peer.Counters()
	}
	return c.result, err
}

// call is one call in progress; Run's goroutine owns it.
type call struct {
	cfg    Config
	tell   func(Event)
	began  time.Time
	limit  time.Time // for the network to be up
	result Result
	status line.Status
	number line.Call
	timer  *time.Timer

	peer     *peer.Peer
	deframer *hdlc.Deframer
	framer   *hdlc.Framer
	received chan []byte   // from the line; the reader waits on taken before it reads on
	taken    chan struct{} //
	queue    chan frame    // to the line
	written  chan bool     // a frame has left the queue; whether it was data
	done     chan struct{} // the call is over

	probe   int // index of the probe under way
	stream  stream
	leaving time.Time
	ended   *link.Reason
	failed  error
}

func (c *call) say(kind Kind, format string, args ...any) {
	c.tell(Event{At: time.Now(), Since: time.Since(c.began), Kind: kind, Text: fmt.Sprintf(format, args...)})
}

// next takes the line's next event, while nothing else is expected.
func (c *call) next(ctx context.Context, until time.Time) error {
	c.timer.Reset(time.Until(until))
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.timer.C:
		return context.DeadlineExceeded
	case e, open := <-c.cfg.Line.Events():
		if !open {
			return line.ErrClosed
		}
		_ = c.status.Apply(e)
		c.event(e)
		return nil
	}
}

// dial waits for the line, dials, and returns when the call is connected.
func (c *call) dial(ctx context.Context) error {
	for c.status.State != line.StateIdle {
		if err := c.next(ctx, c.limit); err != nil {
			return fmt.Errorf("%w: it is %v (%v): %w", ErrLine, c.status.State, c.status.Cause, err)
		}
		if c.status.State == line.StateDown { // its driver has tried for long enough
			return fmt.Errorf("%w: %v", ErrLine, c.status.Cause)
		}
	}
	c.began = time.Now()
	c.say(KindDialing, "dialing %s", c.cfg.Dial.Number)
	var err error
	if c.number, err = c.cfg.Line.Dial(ctx, c.cfg.Dial); err != nil {
		return fmt.Errorf("%w: %w", ErrDial, err)
	}
	for c.status.State != line.StateConnected {
		if err := c.next(ctx, c.limit); err != nil {
			return fmt.Errorf("%w: %w", ErrDial, err)
		}
		if c.status.State == line.StateReleasing || c.status.State == line.StateDown || c.status.State == line.StateIdle {
			return fmt.Errorf("%w: %v", ErrDial, c.result.Cause)
		}
	}
	return nil
}

// event tells what an event of the line means for people.
func (c *call) event(e line.Event) {
	switch b := e.Body.(type) {
	case line.Progress:
		c.say(KindProgress, "%s", b.Text)
	case line.Connected:
		c.result.Connected = b
		c.say(KindConnect, "%s (receive %d, send %d bit/s)", b.Raw, b.RxSpeed, b.TxSpeed)
	case line.DialFailed:
		c.result.Cause = b.Cause
		c.say(KindHangup, "%v", b.Cause)
	case line.Lost:
		c.result.Cause, c.result.Line = b.Cause, b.Counters
		c.say(KindHangup, "line: %v", b.Cause)
	case line.Down:
		c.result.Cause = b.Cause
	}
}

// hangup ends the call and waits until the line is idle.
func (c *call) hangup() {
	close(c.done)
	ctx, cancel := context.WithTimeout(context.Background(), hangupLimit)
	defer cancel()
	if c.number == 0 || c.status.State == line.StateIdle || c.status.State == line.StateDown {
		return
	}
	_ = c.cfg.Line.Hangup(ctx, c.number) // refused if the far end was faster
	until := time.Now().Add(hangupLimit)
	for c.status.State != line.StateIdle && c.status.State != line.StateDown && c.status.State != line.StateClosed {
		if c.next(ctx, until) != nil {
			return
		}
	}
}
