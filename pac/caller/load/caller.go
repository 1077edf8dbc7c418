package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"trunkline.example/pac/caller"
	"trunkline.example/shared/line"
	"trunkline.example/shared/measure"
	"trunkline.example/shared/ppp/peer"
)

// lineCaller makes the calls of one line; its goroutine owns it.
type lineCaller struct {
	e      *engine
	number int // of the line
	line   line.Line
	status line.Status // of the line, as its events have told
	random *rand.ChaCha8
	counts counts // of its calls

	connected, up time.Duration // of the present call, since dialing; 0: not yet
	transit       measure.Transit
	release       func() // its place among the calls being set up, once
	hold          *time.Timer
}

// ipOctets is what an echo request has beyond its payload (RFC 791, RFC 792: headers without options).
const ipOctets = 28

func newCaller(e *engine, number int) *lineCaller {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], e.cfg.Seed)
	binary.BigEndian.PutUint64(seed[8:], uint64(number))
	return &lineCaller{e: e, number: number, line: e.cfg.Lines[number], random: rand.NewChaCha8(seed)}
}

// run waits for the line, and for all others, and makes its calls.
func (c *lineCaller) run(ctx context.Context) {
	unsettled := func() {}
	if c.e.cfg.together() {
		unsettled = sync.OnceFunc(c.e.setUp.Done)
	}
	defer unsettled()
	err := c.open(ctx)
	c.e.ready.Done()
	if err != nil {
		if ctx.Err() == nil {
			c.e.tally.started.Add(1)
			c.failed("the line is not usable", err)
		}
		return
	}
	<-c.e.opened
	for n := 0; n < c.e.cfg.Calls && c.status.State == line.StateIdle && c.admitted(ctx); n++ {
		c.call(ctx, unsettled)
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.counts.merge(&c.counts)
}

// open waits until the line is idle.
func (c *lineCaller) open(ctx context.Context) error {
	limit := time.NewTimer(c.e.cfg.Limit)
	defer limit.Stop()
	for c.status.State != line.StateIdle {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return fmt.Errorf("it is %v after %v", c.status.State, c.e.cfg.Limit)
		case e, open := <-c.line.Events():
			if !open {
				return line.ErrClosed
			}
			_ = c.status.Apply(e)
			if c.status.State == line.StateDown { // its driver has tried for long enough
				return errors.New(c.status.Cause.String())
			}
		}
	}
	return nil
}

// admitted waits until the next call may be set up; false: there will be none.
func (c *lineCaller) admitted(ctx context.Context) bool {
	select {
	case c.e.slots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	c.release = sync.OnceFunc(func() { <-c.e.slots })
	if c.e.cfg.Rate == 0 {
		return ctx.Err() == nil
	}
	due := c.e.began.Add(time.Duration(float64(c.e.next.Add(1)-1) / c.e.cfg.Rate * float64(time.Second)))
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// call makes one call. unsettled is called as soon as it is up or has failed.
func (c *lineCaller) call(ctx context.Context, unsettled func()) {
	cfg := &c.e.cfg
	defer c.release()
	one := caller.Config{
		Line: c.line, Status: c.status, Dial: line.DialRequest{Number: cfg.Number}, Link: cfg.Link, Limit: cfg.Limit,
		Stream: &caller.Stream{Begin: c.e.traffic, End: c.e.over}, Observe: c.observe,
	}
	one.Link.User = cfg.user(c.number)
	_, _ = c.random.Read(one.Link.Seed[:]) // it has no way to fail
	if cfg.Traffic != nil {
		probe := *cfg.Traffic
		probe.Size = cfg.Sizes[c.number%len(cfg.Sizes)]
		one.Stream.Probe = &probe
	}
	enough := make(chan struct{})
	if !cfg.together() {
		one.Stream.Begin, one.Stream.End = nil, enough
	}
	c.connected, c.up, c.transit, c.hold = 0, 0, measure.Transit{}, nil
	c.e.tally.started.Add(1)
	result, err := caller.Run(ctx, one, func(e caller.Event) {
		switch {
		case e.Kind == caller.KindConnect:
			c.connected = e.Since
		case e.Kind == caller.KindNetwork && c.up == 0:
			c.isUp(e)
			unsettled()
			if !cfg.together() {
				c.hold = time.AfterFunc(cfg.Hold, func() { close(enough) })
			}
		}
	})
	if c.hold != nil {
		c.hold.Stop()
	}
	c.status = result.Status
	c.ended(ctx, result, err)
}

// isUp notes that the network is up for the first time.
func (c *lineCaller) isUp(e caller.Event) {
	c.up = e.Since
	c.release()
	c.e.tally.up.Add(1)
	c.counts.connect.Add(c.connected)
	c.counts.network.Add(c.up - c.connected)
	c.counts.whole.Add(c.up)
	c.counts.ups = append(c.counts.ups, e.At.Sub(c.e.began))
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	if c.e.first.IsZero() {
		c.e.first = e.At
	}
}

// observe counts packets.
func (c *lineCaller) observe(a peer.Action) {
	t := &c.e.tally
	switch a := a.(type) {
	case peer.Send:
		if a.Data {
			t.sent.Add(1)
			t.sentOctets.Add(uint64(len(a.Frame)))
		}
	case peer.Reply:
		t.received.Add(1)
		t.receivedOctets.Add(uint64(a.Size + ipOctets))
		c.counts.trips.Add(a.RoundTrip)
		c.transit.Add(&c.counts.down, a.Size+ipOctets, a.RoundTrip)
		c.counts.up.Received++
		c.counts.up.Octets += uint64(a.Size + ipOctets)
	}
}

// ended takes note of what came of a call.
func (c *lineCaller) ended(ctx context.Context, r caller.Result, err error) {
	for _, s := range r.Probes {
		c.counts.up.Sent += s.Sent
		c.counts.down.Lost += s.Lost
		c.counts.down.Damaged += s.Corrupt
	}
	c.e.mu.Lock()
	c.e.last = time.Now()
	c.e.mu.Unlock()
	c.e.tally.ended.Add(1)
	switch {
	case err == nil || ctx.Err() != nil:
	case c.up != 0:
		c.e.tally.dropped.Add(1)
		c.note(c.e.drops, reason(r, err), err)
	default:
		c.failed(reason(r, err), err)
	}
}

// failed counts a call that did not come up.
func (c *lineCaller) failed(reason string, err error) {
	c.e.tally.failed.Add(1)
	c.note(c.e.fails, reason, err)
}

func (c *lineCaller) note(to measure.Failures, reason string, err error) {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	to.Note(reason, fmt.Sprintf("%s: %v", c.line.Identity().Name, err), 1)
}

// reason is why a call failed, in words that are the same for all that failed alike.
func reason(r caller.Result, err error) string {
	switch {
	case errors.Is(err, caller.ErrDial) && r.Cause.Code == line.CauseUnknown:
		return "call: not taken by the line, or not answered in time"
	case errors.Is(err, caller.ErrDial):
		return "call: " + r.Cause.Code.String()
	case errors.Is(err, caller.ErrLine):
		return "line: " + r.Cause.Code.String()
	}
	code, _, _ := strings.Cut(r.Reason, ": ")
	return "PPP: " + code
}

// merge adds what another line has counted.
func (c *counts) merge(o *counts) {
	c.connect.Merge(&o.connect)
	c.network.Merge(&o.network)
	c.whole.Merge(&o.whole)
	c.trips.Merge(&o.trips)
	c.ups = append(c.ups, o.ups...)
	c.up.Merge(o.up)
	c.down.Merge(o.down)
}
