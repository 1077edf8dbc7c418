package pns

import (
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"trunkline.example/pns/dataplane"
	"trunkline.example/pns/session"
	"trunkline.example/shared/loop"
	"trunkline.example/shared/pptp/control"
)

// shard is one event loop. It owns control connections, with all their calls and PPP sessions: everything in a conn or
// a call is touched by the shard's goroutine only, unless a comment says otherwise. Others reach it by its mailbox.
type shard struct {
	server    *Server
	index     int
	poller    *loop.Poller
	mail      mailbox
	deadlines loop.Deadlines

	slots []*conn // by the low half of the token in the poller
	free  []int   // of slots
	round uint32  // of tokens, so that late news of a closed descriptor finds nobody
	live  int     // connections

	plans    map[sessionKey]*session.Plan
	controls map[controlKey]*control.Plan

	requests []func()
	frames   []inboundFrame
	out      *dataplane.Frames // of one round
	input    [16 << 10]byte    // TCP
	output   []byte            // TCP, of one step

	fields [16]zap.Field // of one line of the log

	stopping bool
	goodbye  time.Time // while stopping: when the control connections are stopped, whatever their calls do
	stopEnd  time.Time // and when they are given up
	stopTick loop.Timed
	now      time.Time // of the present round
}

// wakeGrain is how much later than asked for a shard may wake up, so that deadlines that lie close together share one round.
const wakeGrain = 2 * time.Millisecond

func newShard(server *Server, index int) (*shard, error) {
	p, err := loop.NewPoller()
	if err != nil {
		return nil, err
	}
	s := &shard{server: server, index: index, poller: p, out: server.plane.NewFrames()}
	s.mail.wake = p.Wake
	s.stopTick.Owner = (*stopTicker)(s)
	return s, nil
}

// run is the loop. It returns when the shard is stopping and its last connection is gone.
func (s *shard) run() error {
	defer s.end()
	for {
		s.now = time.Now()
		s.takeMail()
		for t := s.deadlines.Pop(s.now); t != nil; t = s.deadlines.Pop(s.now) {
			t.Owner.Tick(s.now)
		}
		s.out.Flush()
		if s.stopping && s.live == 0 {
			return nil
		}
		at := s.deadlines.Next()
		if !at.IsZero() {
			at = at.Add(wakeGrain)
		}
		if err := s.poller.Wait(at); err != nil {
			return fmt.Errorf("shard %d: %w", s.index, err)
		}
		s.now = time.Now()
		s.poller.Each(s.ready)
	}
}

// line is where the fields of a line of the log are put together; only the longest need memory of their own.
func (s *shard) line() []zap.Field { return s.fields[:0] }

// end runs what nobody will wait for any more, so that whoever asked gets an answer, and frees the poller.
func (s *shard) end() {
	for _, f := range s.mail.close() {
		f()
	}
	s.each(func(c *conn) { c.abandon(s.now, ErrStopped) })
	s.out.Flush()
	s.poller.Close()
}

func (s *shard) takeMail() {
	s.requests, s.frames = s.mail.take(s.requests, s.frames)
	for _, f := range s.requests {
		f()
	}
	for _, f := range s.frames {
		f.call.receive(s.now, f.frame)
	}
}

func (s *shard) ready(r loop.Readiness) {
	slot := int(uint32(r.Token))
	if slot >= len(s.slots) || s.slots[slot] == nil || s.slots[slot].token != r.Token {
		return
	}
	c := s.slots[slot]
	if r.Writable {
		c.flush(s.now)
	}
	if r.Readable && s.slots[slot] == c {
		c.read(s.now)
	}
}

// place gives a connection a slot and has its descriptor watched.
func (s *shard) place(c *conn) error {
	slot := len(s.slots)
	if n := len(s.free); n > 0 {
		slot = s.free[n-1]
		s.free = s.free[:n-1]
	} else {
		s.slots = append(s.slots, nil)
	}
	s.round++
	c.token = uint64(s.round)<<32 | uint64(uint32(slot))
	if err := s.poller.Add(c.fd, c.token); err != nil {
		s.free = append(s.free, slot)
		return err
	}
	s.slots[slot] = c
	s.live++
	return nil
}

// remove takes a connection's slot away and closes its descriptor.
func (s *shard) remove(c *conn) {
	s.release(c)
	unix.Close(c.fd)
}

// release takes a connection's slot away.
func (s *shard) release(c *conn) {
	slot := int(uint32(c.token))
	s.slots[slot] = nil
	s.free = append(s.free, slot)
	s.live--
	s.deadlines.Drop(&c.Timed)
	if err := s.poller.Remove(c.fd); err != nil {
		s.server.log.Error("control connection not taken out of the poller", zap.Error(err))
	}
}

// each calls f for every connection.
func (s *shard) each(f func(*conn)) {
	for _, c := range s.slots {
		if c != nil {
			f(c)
		}
	}
}

// sayGoodbye says goodbye to everybody: sessions end orderly, then their calls, then the control connections. What has not
// ended by the deadline is dropped.
func (s *shard) sayGoodbye(deadline time.Time) {
	if s.stopping {
		return
	}
	s.stopping, s.stopEnd = true, deadline
	s.goodbye = s.now.Add(deadline.Sub(s.now) * 2 / 3)
	s.deadlines.Set(&s.stopTick, s.goodbye)
	s.each(func(c *conn) { c.sayGoodbye(s.now) })
}

// stopTicker is a shard whose time to stop is up, at first that of the calls, then that of the connections.
type stopTicker shard

func (d *stopTicker) Tick(now time.Time) {
	s := (*shard)(d)
	if now.Before(s.stopEnd) {
		s.deadlines.Set(&s.stopTick, s.stopEnd)
		s.each(func(c *conn) { c.stop(now) })
		return
	}
	s.each(func(c *conn) { c.abandon(now, ErrStopped) })
}
