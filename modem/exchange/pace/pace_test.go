package pace

import (
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestOctetTime(t *testing.T) {
	for _, c := range []struct {
		rate int
		bits float64
		want time.Duration
	}{{9600, 10, 1041666}, {33600, 8.4, 250 * time.Microsecond}, {0, 10, 0}, {-1, 10, 0}} {
		if got := OctetTime(c.rate, c.bits); got != c.want {
			t.Errorf("%d bit/s: %v, want %v", c.rate, got, c.want)
		}
	}
}

func TestClock(t *testing.T) {
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	c := Clock{Octet: time.Millisecond}
	check := func(ms, waiting, want int) {
		t.Helper()
		got := c.Allow(at(ms), waiting)
		c.Spend(got)
		if got != want {
			t.Errorf("%d ms: %d octets, want %d", ms, got, want)
		}
	}
	check(0, 10, 0) // an octet takes its time even on an idle wire
	check(1, 10, 1)
	check(4, 9, 3)
	check(4, 6, 0)
	check(100, 6, 6) // a late look makes up for it
	check(100, 0, 0)
	check(200, 5, 0) // idle time gives no credit
	check(203, 5, 3)
	c.Rest()
	check(300, 2, 0) // nor does a receiver that was full
	check(302, 2, 2)
	c.Rest()
	c.Pause(at(310), 10*time.Millisecond)
	check(315, 3, 0)
	check(319, 3, 0)
	check(322, 3, 2)
	if got := c.Next(); !got.Equal(at(323)) {
		t.Errorf("next at %v", got.Sub(start))
	}
	c = Clock{Octet: time.Millisecond, Slack: 10 * time.Millisecond}
	check(400, 100, 0)
	check(500, 100, 10) // catches up only so far
	c = Clock{Octet: time.Millisecond, Step: 5 * time.Millisecond}
	check(601, 100, 0)
	check(604, 100, 0)
	if got := c.Next(); !got.Equal(at(605)) {
		t.Errorf("next at %v", got.Sub(start))
	}
	check(606, 100, 4)
	check(609, 96, 0)
	check(610, 96, 5)
	c = Clock{}
	check(500, 100, 100)
}

func TestRoundUp(t *testing.T) {
	if got := RoundUp(start.Add(1), time.Second); !got.Equal(start.Add(time.Second)) {
		t.Error(got)
	}
	if got := RoundUp(start, time.Second); !got.Equal(start) {
		t.Error(got)
	}
	if got := RoundUp(start.Add(1), 0); !got.Equal(start.Add(1)) {
		t.Error(got)
	}
}

func TestEarlier(t *testing.T) {
	zero, later := time.Time{}, start.Add(1)
	for _, c := range [][3]time.Time{{zero, zero, zero}, {start, zero, start}, {zero, start, start}, {start, later, start}, {later, start, start}} {
		if got := Earlier(c[0], c[1]); !got.Equal(c[2]) {
			t.Errorf("Earlier(%v, %v) = %v", c[0], c[1], got)
		}
	}
}
