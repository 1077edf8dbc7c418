package caller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"trunkline.example/shared/line"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/ppp/peer"
)

const (
	// queueLength bounds the frames on their way to the line; the peer is told to keep fewer data frames there.
	queueLength = 32
	dataWindow  = 4
	readSize    = 2048
)

// frame is on its way to the line, stuffed.
type frame struct {
	octets []byte
	data   bool
}

// talk is the PPP peer from CONNECT to the end of the link.
func (c *call) talk(ctx context.Context) error {
	c.peer = peer.New(time.Now(), peer.Config{Link: c.cfg.Link, Window: dataWindow})
	go c.readLine()
	go c.writeLine()
	c.peer.Up(time.Now())
	cancelled := ctx.Done()
	for c.ended == nil {
		c.act()
		if c.ended != nil {
			break
		}
		c.timer.Reset(time.Until(c.deadline()))
		select {
		case <-cancelled:
			cancelled = nil
			c.leave("the caller was asked to hang up")
		case e, open := <-c.cfg.Line.Events():
			if !open {
				return line.ErrClosed
			}
			_ = c.status.Apply(e)
			c.event(e)
			if c.status.State != line.StateConnected {
				c.peer.Down(time.Now())
			}
		case octets := <-c.received:
			c.take(octets)
		case data := <-c.written:
			if data {
				c.peer.Written(time.Now(), 1)
			}
		case <-c.timer.C:
			c.tick(time.Now())
		case <-c.stream.begin:
			c.startStream()
		case <-c.stream.end:
			c.endStream()
		}
	}
	return c.verdict(ctx)
}

// deadline is when tick wants to be called.
func (c *call) deadline() time.Time {
	next := time.Now().Add(time.Hour)
	for _, d := range []time.Time{c.peer.Deadline(), c.limit, c.leaving} {
		if !d.IsZero() && d.Before(next) {
			next = d
		}
	}
	return next
}

func (c *call) tick(now time.Time) {
	c.peer.Tick(now)
	if !c.limit.IsZero() && !now.Before(c.limit) {
		c.limit = time.Time{}
		c.failed = fmt.Errorf("%w: the network was not up within %v", ErrLink, c.cfg.Limit)
		c.peer.Close(now, link.Reason{Code: link.CodeNoAgreement, By: link.Here, Text: "no network in time"})
	}
	if !c.leaving.IsZero() && !now.Before(c.leaving) {
		c.leave("done")
	}
}

// leave ends the link; the rest of the call follows.
func (c *call) leave(why string) {
	now := time.Now()
	if c.leaving.IsZero() || !now.Before(c.leaving) {
		c.leaving = now.Add(byeLimit)
	}
	c.peer.Close(now, link.Reason{Code: link.CodeAdministrative, By: link.Here, Text: why})
}

// take deframes what the line has received.
func (c *call) take(octets []byte) {
	for len(octets) > 0 {
		var f []byte
		if f, octets = c.deframer.Next(octets); f != nil {
			c.peer.Receive(time.Now(), f, 0)
			c.act()
		}
	}
	c.taken <- struct{}{}
}

// readLine passes on what the line receives, one piece at a time.
func (c *call) readLine() {
	buf := make([]byte, readSize)
	for {
		n, err := c.cfg.Line.Read(buf)
		if n > 0 {
			select {
			case c.received <- buf[:n]:
			case <-c.done:
				return
			}
			select {
			case <-c.taken:
			case <-c.done:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// writeLine sends what is queued.
func (c *call) writeLine() {
	for {
		select {
		case <-c.done:
			return
		case f := <-c.queue:
			if _, err := c.cfg.Line.Write(f.octets); err != nil && !errors.Is(err, line.ErrStalled) {
				return
			}
			select {
			case c.written <- f.data:
			case <-c.done:
				return
			}
		}
	}
}

// act performs what the peer wants done.
func (c *call) act() {
	for actions := c.peer.Actions(); len(actions) > 0; actions = c.peer.Actions() {
		for _, a := range actions {
			c.perform(a)
		}
	}
}

func (c *call) perform(a peer.Action) {
	if c.cfg.Observe != nil {
		c.cfg.Observe(a)
	}
	switch a := a.(type) {
	case peer.Send:
		select {
		case c.queue <- frame{octets: c.framer.Append(time.Now(), nil, a.Frame), data: a.Data}:
		default: // a control frame too many; its protocol sends it again
		}
	case peer.Event:
		c.linkEvent(a.Link)
	case peer.Reply:
		if c.result.FirstPing == 0 {
			c.result.FirstPing = time.Since(c.began)
		}
		if c.cfg.Stream != nil { // there may be thousands
			return
		}
		c.say(KindReply, "%d octets from %v: seq=%d time=%.1f ms", a.Size, c.destination(), a.Sequence, float64(a.RoundTrip)/float64(time.Millisecond))
	case peer.Lost:
		c.say(KindLost, "seq=%d: %s", a.Sequence, a.Why)
	case peer.Done:
		s := a.Statistics
		c.result.Probes = append(c.result.Probes, s)
		c.say(KindProbe, "%d sent, %d received, least/mean/most %.1f/%.1f/%.1f ms", s.Sent, s.Received, ms(s.Least), ms(s.Mean()), ms(s.Most))
		if c.cfg.Stream != nil {
			c.streamed()
			return
		}
		c.probe++
		c.startProbe()
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (c *call) destination() any {
	if d := c.cfg.Probes[c.probe].Destination; d.IsValid() {
		return d
	}
	return c.result.Network.PeerAddress
}

func (c *call) linkEvent(a link.Action) {
	switch a := a.(type) {
	case link.LinkUp:
		c.framer.SetSendACCM(a.SendACCM)
		c.deframer.SetReceiveACCM(a.ReceiveACCM)
		c.say(KindPhase, "LCP open: MRU %d/%d, ACCM %08x/%08x, authentication %v", a.MRU, a.PeerMRU, a.SendACCM, a.ReceiveACCM, a.Authentication)
	case link.PhaseChanged:
		c.say(KindPhase, "%s: %s", a.Phase, a.Detail)
	case link.NetworkUp:
		first := c.result.Network == nil
		c.result.Network, c.result.Address, c.result.Encrypted = &a, a.LocalAddress.String(), a.Encryption != nil
		c.limit = time.Time{}
		encryption := "no encryption"
		if a.Encryption != nil {
			encryption = fmt.Sprintf("MPPE-%d", a.Encryption.KeyLength)
		}
		c.say(KindNetwork, "up: address %v, peer %v, DNS %v, MTU %d, %s", a.LocalAddress, a.PeerAddress, valid(a.DNS), a.MTU, encryption)
		switch {
		case first && c.cfg.Stream != nil:
			c.awaitStream()
		case first:
			c.startProbe()
		}
	case link.NetworkDown:
		c.say(KindNetwork, "down: %s", a.Why)
	case link.Ended:
		c.ended = &a.Reason
		c.result.Reason = a.Reason.String()
		c.say(KindEnded, "%v", a.Reason)
	}
}

// startProbe starts the next probe, or the time to stay.
func (c *call) startProbe() {
	if c.probe >= len(c.cfg.Probes) {
		if c.cfg.Stay >= 0 {
			c.leaving = time.Now().Add(c.cfg.Stay)
		}
		return
	}
	if _, err := c.peer.Start(time.Now(), c.cfg.Probes[c.probe]); err != nil {
		c.failed = fmt.Errorf("%w: %w", ErrProbes, err)
		c.leave("a probe could not be started")
	}
}

// verdict says what did not work.
func (c *call) verdict(ctx context.Context) error {
	switch {
	case c.failed != nil:
		return c.failed
	case c.result.Network == nil:
		return fmt.Errorf("%w: %v", ErrLink, *c.ended)
	case c.cfg.Stream != nil:
		if ctx.Err() == nil && !c.stream.over {
			return fmt.Errorf("%w: %v", ErrEarly, *c.ended)
		}
		return nil
	case ctx.Err() == nil && len(c.result.Probes) < len(c.cfg.Probes):
		return fmt.Errorf("%w: the link ended before: %v", ErrProbes, *c.ended)
	}
	for i, s := range c.result.Probes {
		if want := c.cfg.Probes[i].Count; ctx.Err() == nil && int(s.Sent) < want {
			return fmt.Errorf("%w: the link ended after %d of %d: %v", ErrProbes, s.Sent, want, *c.ended)
		}
		if s.Received < s.Sent && !c.cfg.Lossy || s.Received == 0 || s.Corrupt > 0 {
			return fmt.Errorf("%w: %d of %d came back whole", ErrProbes, s.Received, s.Sent)
		}
	}
	return nil
}

// valid leaves out addresses that nobody told.
func valid[T interface{ IsValid() bool }](all [2]T) []T {
	var out []T
	for _, a := range all {
		if a.IsValid() {
			out = append(out, a)
		}
	}
	return out
}
