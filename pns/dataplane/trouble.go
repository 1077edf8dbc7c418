package dataplane

import (
	"sync/atomic"
	"syscall"
	"time"
)

// trouble is that packets could not be sent: by a socket that has no room, or to one peer. While it lasts packets are dropped before they are
// encrypted and numbered, but for one now and then that shows whether it is over: MPPE's count cannot show the loss of more than 4095 packets in a row, and
// a kernel's client never decrypts anything again after that. The zero value is none. The hot path only loads one word.
type trouble struct {
	since    atomic.Int64 // of the last failure, nanoseconds since the plane's beginning; 0: none
	failures atomic.Int32 // in a row
}

const (
	// firstPause is how long nothing is tried after a failure, maxDoublings how often that doubles if it goes on: up to 1.28 s, so that 4095 tries
	// take longer than any call lives that cannot send.
	firstPause   = 20 * time.Millisecond
	maxDoublings = 6
)

// blocked tells that nothing is to be tried at this moment; over is whether the pause is.
func (t *trouble) blocked(now time.Duration) (blocked, over bool) {
	since := t.since.Load()
	if since == 0 {
		return false, false
	}
	pause := firstPause << min(max(t.failures.Load()-1, 0), maxDoublings)
	return now < time.Duration(since)+pause, true
}

// failed takes in a failure; of those that follow at once, the rest of a batch, one counts.
func (t *trouble) failed(now time.Duration) {
	if blocked, _ := t.blocked(now); !blocked {
		t.since.Store(int64(max(now, 1)))
		t.failures.Add(1)
	}
}

func (t *trouble) over() {
	if t.since.Load() != 0 {
		t.since.Store(0)
		t.failures.Store(0)
	}
}

// congested tells that a packet of the call should be dropped at this moment. After a pause one packet is tried in a batch.
// The entry's out lock is held.
func (g *egress) congested(e *Entry) bool {
	now := g.now.Sub(g.plane.started)
	full, waited := e.socket.full.blocked(now)
	refused, tried := e.out.refused.blocked(now)
	switch {
	case full || refused, waited && len(g.lane(e.socket).packets) > 0, tried && e.out.trying:
		return true
	case waited || tried:
		g.trying, e.out.trying = true, true
	}
	return false
}

// outcome takes in what the socket did not take, and that a trouble is over. None of it ends a call: full queues and firewalls are passing.
func (g *egress) outcome(s *socket, l *lane) {
	now := g.now.Sub(g.plane.started)
	full, sent := false, false
	for i := range l.packets {
		out := &l.entries[i].out
		out.trying = false
		switch l.packets[i].Err {
		case nil:
			sent = true
			out.refused.over()
			continue
		case syscall.ENOBUFS, syscall.EAGAIN, syscall.ENOMEM:
			full = true
		case syscall.EMSGSIZE: // of one packet
		default:
			out.refused.failed(now)
		}
		out.count.failed++
	}
	switch {
	case full:
		s.full.failed(now)
	case sent:
		s.full.over()
	}
}
