package circuit

import (
	"math"
	"time"
)

// Octets of PPP in HDLC-like framing (RFC 1662 section 4).
const (
	flag   = 0x7e
	escape = 0x7d
)

// headOctets of a frame are never damaged: the receiver must still see what
// begins here as a frame of the call.
const headOctets = 6

// pass appends data to the queue, damaged as is due.
func (c *Circuit) pass(data []byte) {
	if !c.damaging() {
		c.s.Queue = append(c.s.Queue, data...)
		return
	}
	for _, b := range data {
		if b == flag && c.aborts() {
			c.s.Queue = append(c.s.Queue, escape)
		}
		if b, ok := c.damage(b); ok {
			c.s.Queue = append(c.s.Queue, b)
		}
	}
}

func (c *Circuit) damaging() bool {
	i, p := c.s.Impairment, c.s.Pending
	return i.BitErrorRate > 0 || i.DropRate > 0 || i.FrameErrorRate > 0 || i.FrameAbortRate > 0 ||
		p.FlipBits > 0 || p.DropOctets > 0 || p.DamageFrames > 0 || p.AbortFrames > 0
}

// damage returns what becomes of one octet; false if it is lost.
func (c *Circuit) damage(b byte) (byte, bool) {
	b = c.damageFrame(b)
	b, kept := c.damagePending(b)
	if !kept {
		return 0, false
	}
	i := c.s.Impairment
	protected := c.cfg.ErrorControl && !i.PassErrorControl
	if i.DropRate > 0 && c.float() < i.DropRate {
		if !protected {
			c.s.Counters.OctetsDropped++
			return 0, false
		}
		c.retransmit()
	}
	if i.BitErrorRate > 0 {
		b = c.hit(b, protected)
	}
	return b, true
}

// damagePending does FlipBits and DropOctets.
func (c *Circuit) damagePending(b byte) (byte, bool) {
	p := &c.s.Pending
	if p.FlipBits <= 0 && p.DropOctets <= 0 {
		return b, true
	}
	if c.s.SinceDone < p.Every {
		c.s.SinceDone++
		if c.s.SinceDone < p.Every {
			return b, true
		}
	}
	c.s.SinceDone = 0
	if p.DropOctets > 0 {
		p.DropOctets--
		c.s.Counters.OctetsDropped++
		return 0, false
	}
	p.FlipBits--
	c.s.Counters.BitErrors++
	return b ^ 1<<(c.rng.Uint64()&7), true
}

// hit applies BitErrorRate to the eight bits of b.
func (c *Circuit) hit(b byte, protected bool) byte {
	for bit := range 8 {
		if c.s.BurstLeft > 0 {
			c.s.BurstLeft--
			if !protected && c.rng.Uint64()&1 == 1 {
				b ^= 1 << bit
				c.s.Counters.BitErrors++
			}
			continue
		}
		if c.s.NextHit < 0 {
			c.s.NextHit = c.gap()
		}
		if c.s.NextHit > 0 {
			c.s.NextHit--
			continue
		}
		c.s.NextHit = -1
		c.s.BurstLeft = max(c.s.Impairment.Burst-1, 0)
		if protected {
			c.retransmit()
			continue
		}
		b ^= 1 << bit
		c.s.Counters.BitErrors++
	}
	return b
}

// gap draws how many bits pass unharmed before the next hit.
func (c *Circuit) gap() int {
	p := min(c.s.Impairment.BitErrorRate, 1)
	if p == 1 {
		return 0
	}
	g := math.Log(1-c.float()) / math.Log(1-p)
	return int(min(g, 1<<40))
}

// retransmit costs the time of one to three frames.
func (c *Circuit) retransmit() {
	c.s.Counters.Retransmissions++
	frames := 1 + c.rng.Uint64()%3
	c.s.Clock.Free = c.s.Clock.Free.Add(time.Duration(frames*frameOctets) * c.s.Clock.Octet)
}

// damageFrame follows the frames and flips one bit in those that are due. A
// single flipped bit never passes FCS-16, and neither the octet nor what
// becomes of it is a flag, an escape or a control character.
func (c *Circuit) damageFrame(b byte) byte {
	f := &c.s.Frame
	if b == flag {
		*f = FrameState{Inside: true}
		return b
	}
	if !f.Inside {
		return b
	}
	if f.Octets++; f.Octets == 1 {
		c.drawFrame()
	}
	escaped := f.Escaped
	f.Escaped = b == escape
	if c.s.Pending.DamageFrames <= 0 && !f.Fails || f.Damaged || f.Octets <= headOctets || escaped || b == escape || b < 0x20 {
		return b
	}
	for bit := range 7 {
		if d := b ^ 1<<bit; d >= 0x20 && d != flag && d != escape {
			f.Damaged = true
			if !f.Fails {
				c.s.Pending.DamageFrames--
			}
			c.s.Counters.FramesDamaged++
			return d
		}
	}
	return b
}

// drawFrame draws what happens to the frame that begins.
func (c *Circuit) drawFrame() {
	i, f := &c.s.Impairment, &c.s.Frame
	if i.FrameErrorRate <= 0 && i.FrameAbortRate <= 0 {
		return
	}
	x := c.float()
	f.Fails = x < i.FrameErrorRate
	f.Aborts = !f.Fails && x < i.FrameErrorRate+i.FrameAbortRate
}

// aborts decides at the flag that ends a frame whether it becomes an abort.
func (c *Circuit) aborts() bool {
	f := &c.s.Frame
	if f.Damaged || f.Escaped || f.Octets <= headOctets || !f.Aborts && c.s.Pending.AbortFrames <= 0 {
		return false
	}
	if !f.Aborts {
		c.s.Pending.AbortFrames--
	}
	c.s.Counters.FramesAborted++
	return true
}

// float draws from [0, 1).
func (c *Circuit) float() float64 { return float64(c.rng.Uint64()>>11) / (1 << 53) }
