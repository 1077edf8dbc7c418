// Package pace gives virtual wires their speed: a clock that says how many
// octets have passed a serial line or a telephone line by now.
//
// The package is pure; its types are plain data and not safe for concurrent use.
package pace

import "time"

// Clock is one direction of a wire that carries one octet after the other. An
// octet passes when its time on the wire is over, so nothing passes in bursts
// after an idle time. The zero value is a wire without pacing.
type Clock struct {
	Octet time.Duration // time of one octet on the wire; zero: any number passes at once
	Free  time.Time     // when the wire has carried all that passed so far
	Busy  bool          // octets were waiting at the last look
	Slack time.Duration // how much time a receiver that looked late may make up for; zero: all
	Step  time.Duration // octets are seen to pass at multiples of it only, so that they come in few portions; zero: each at its instant
}

// OctetTime returns how long bitsPerOctet bits take at rate bits per second. A
// rate of zero or less means no pacing and gives zero.
func OctetTime(rate int, bitsPerOctet float64) time.Duration {
	if rate <= 0 {
		return 0
	}
	return time.Duration(bitsPerOctet * float64(time.Second) / float64(rate))
}

// Allow returns how many of waiting octets have passed by now. It must be
// called when octets begin to wait: from then on their time runs.
func (c *Clock) Allow(now time.Time, waiting int) int {
	if waiting <= 0 {
		c.Busy = false
		return 0
	}
	if c.Octet <= 0 {
		return waiting
	}
	if !c.Busy {
		c.Busy = true
		if c.Free.Before(now) {
			c.Free = now
		}
	}
	if c.Step > 0 {
		now = now.Truncate(c.Step)
	}
	if now.Before(c.Free) {
		return 0
	}
	if c.Slack > 0 && now.Sub(c.Free) > c.Slack {
		c.Free = now.Add(-c.Slack)
	}
	return int(min(int64(waiting), int64(now.Sub(c.Free)/c.Octet)))
}

// Spend takes note that n octets passed, at most what Allow returned.
func (c *Clock) Spend(n int) { c.Free = c.Free.Add(time.Duration(n) * c.Octet) }

// Pause stops the wire for d from now, or from the end of what it carries.
func (c *Clock) Pause(now time.Time, d time.Duration) {
	if c.Free.Before(now) {
		c.Free = now
	}
	c.Free = c.Free.Add(d)
}

// Rest takes note that octets wait but are held up by the receiver: no credit
// gathers meanwhile.
func (c *Clock) Rest() { c.Busy = false }

// Next is the instant at which the next waiting octet will be seen to have
// passed.
func (c *Clock) Next() time.Time { return RoundUp(c.Free.Add(c.Octet), c.Step) }

// RoundUp returns the first multiple of step since the zero time that is not
// before t. A step of zero or less leaves t alone.
func RoundUp(t time.Time, step time.Duration) time.Time {
	if step <= 0 {
		return t
	}
	if r := t.Truncate(step); r.Before(t) {
		return r.Add(step)
	}
	return t
}

// Earlier returns the earlier of two instants, where zero means never.
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
