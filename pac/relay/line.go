package relay

import (
	"errors"
	"time"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/line"
)

// readLine takes what the line receives until its call ends.
func (r *Relay) readLine() {
	deframer := hdlc.NewDeframer(0)
	buf := make([]byte, readSize)
	for {
		n, err := r.cfg.Line.Read(buf)
		if n > 0 {
			if r.cfg.Connected.Framing == line.FramingSync {
				r.toTunnel(buf[:n])
			} else {
				r.deframe(deframer, buf[:n])
			}
			r.countRead(n, deframer.Counters())
		}
		switch {
		case err == nil:
		case errors.Is(err, line.ErrInvalid) && r.cfg.Connected.Framing == line.FramingSync: // one frame too long for us is no end
			r.mu.Lock()
			r.oversized++
			r.mu.Unlock()
		default:
			return
		}
	}
}

func (r *Relay) deframe(d *hdlc.Deframer, octets []byte) {
	_, receive := r.accm()
	d.SetReceiveACCM(receive)
	for len(octets) > 0 {
		var frame []byte
		if frame, octets = d.Next(octets); frame != nil {
			r.toTunnel(frame)
		}
	}
}

func (r *Relay) countRead(n int, c hdlc.DeframerCounters) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count.LineOctetsIn += uint64(n)
	r.deframer = c
}

// toTunnel sends one frame to the network server.
func (r *Relay) toTunnel(frame []byte) {
	r.cfg.Tap(false, frame)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count.FramesIn++
	r.count.FrameOctetsIn += uint64(len(frame))
	if r.stopped || len(frame) > gre.MaxPayload {
		r.count.TunnelDropped++
		return
	}
	h, ok := r.nextHeader(now, len(frame))
	if !ok || r.call.Send(h, frame) != nil {
		r.count.TunnelDropped++
	}
	r.rearm()
}

// nextHeader waits for room in the network server's window; the time-out of the window (RFC 2637 section 4.4) bounds that. It returns false
// when the relay is stopped meanwhile. mu is held, but for the waiting.
func (r *Relay) nextHeader(now time.Time, length int) (gre.Header, bool) {
	h, ok := r.sender.Next(now, length)
	if ok {
		return h, true
	}
	r.count.Stalls++
	for !ok && !r.stopped {
		r.room.Wait()
		h, ok = r.sender.Next(time.Now(), length)
	}
	return h, ok
}

// writeLine sends the queued frames on the line.
func (r *Relay) writeLine() {
	framer, pace := hdlc.NewFramer(), newPace(r.cfg.Connected)
	var framed []byte // used again and again: a line does not keep what it is given
	for {
		var q queued
		select {
		case <-r.done:
			return
		case q = <-r.queue:
		}
		select {
		case <-r.done:
			return // what waits is not for the line any more
		default:
		}
		octets := q.frame
		if r.cfg.Connected.Framing != line.FramingSync {
			send, _ := r.accm()
			framer.SetSendACCM(send)
			framed = framer.Append(time.Now(), framed[:0], q.frame)
			octets = framed
		}
		n, err := r.cfg.Line.Write(octets)
		if err == nil {
			r.cfg.Tap(true, q.frame)
		}
		pace.spend(time.Now(), octets[:n])
		if !r.rest(pace.wait(time.Now())) || !r.written(q, n, err) {
			return
		}
		if err != nil {
			framer = hdlc.NewFramer() // a part of the frame may be on the line: the next one begins with a flag
		}
	}
}

// rest waits, and returns false if the relay is stopped meanwhile.
func (r *Relay) rest(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-r.done:
		return false
	case <-time.After(d):
		return true
	}
}

// written accounts for a frame that has left the queue and has it acknowledged: there is room for another one. It returns false when the
// call is over, which the owner of the line knows.
func (r *Relay) written(q queued, n int, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count.LineOctetsOut += uint64(n)
	switch {
	case err == nil:
		r.count.FramesOut++
		r.count.FrameOctetsOut += uint64(len(q.frame))
	case errors.Is(err, line.ErrStalled):
		r.count.Stalled++
	case errors.Is(err, line.ErrInvalid): // a frame that the line cannot carry
		r.count.LineDropped++
	default:
		r.deaf = true
		return false
	}
	now := time.Now()
	r.sender.Owe(now, gre.AckOf(q.sequence))
	r.unwritten--
	r.spare = append(r.spare, q.frame[:0])
	r.oweRest(now)
	r.acknowledge(now)
	r.rearm()
	return true
}
