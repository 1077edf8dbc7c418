package relay

import (
	"time"

	"trunkline.example/shared/gre"
)

// deliver takes a packet from the tunnel.
func (r *Relay) deliver(now time.Time, h gre.Header, payload []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	if h.HasAck {
		r.sender.Acknowledged(now, h.Ack)
		r.room.Signal()
	}
	r.receiver.Receive(now, h, payload)
	r.toQueue()
	r.oweRest(now)
	r.rearm()
}

// toQueue hands what is in order to the line's writer. When there is no room the newest is dropped: the network server
// has sent more than the window that was advertised, or does not keep one.
func (r *Relay) toQueue() {
	for {
		f, ok := r.receiver.Next()
		if !ok {
			return
		}
		if r.deaf {
			continue
		}
		if len(r.queue) == cap(r.queue) { // nobody else fills it
			r.count.LineDropped++
			continue
		}
		r.queue <- queued{frame: append(r.buffer(), f.Payload...), sequence: f.Sequence}
		r.unwritten++
	}
}

// buffer is an empty one for a frame of the queue.
func (r *Relay) buffer() []byte {
	n := len(r.spare) - 1
	if n < 0 {
		return nil
	}
	b := r.spare[n]
	r.spare = r.spare[:n]
	return b
}

// oweRest has everything that came acknowledged when nothing of it waits any more, neither for the line nor for a packet before it.
func (r *Relay) oweRest(now time.Time) {
	if r.unwritten == 0 && r.receiver.Deadline().IsZero() {
		r.sender.Owe(now, r.receiver.Ack())
	}
}

// acknowledge sends an acknowledgement of its own if one is due.
func (r *Relay) acknowledge(now time.Time) {
	if r.stopped {
		return
	}
	if h, due := r.sender.AckDue(now); due {
		_ = r.call.Send(h, nil)
	}
}

// rearm has watchTime look at the deadlines again, unless it will in time. mu is held.
func (r *Relay) rearm() {
	next := r.deadline()
	if next.IsZero() || !r.armed.IsZero() && !next.Before(r.armed) {
		return
	}
	r.armed = next
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// watchTime does what is due: acknowledgements, time-outs of the window, the end of waiting for packets that are missing.
func (r *Relay) watchTime() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.done:
			return
		case <-r.kick:
		case <-timer.C:
		}
		if next := r.tick(time.Now()); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
	}
}

// tick does what is due by now and says when it wants to be called again.
func (r *Relay) tick(now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sender.Tick(now)
	r.room.Signal()
	r.receiver.Tick(now)
	r.toQueue()
	r.oweRest(now)
	r.acknowledge(now)
	r.armed = r.deadline()
	return r.armed
}

// deadline is when tick has something to do; zero: when something has happened. mu is held.
func (r *Relay) deadline() time.Time {
	next := r.sender.Deadline()
	if d := r.receiver.Deadline(); next.IsZero() || !d.IsZero() && d.Before(next) {
		next = d
	}
	return next
}
