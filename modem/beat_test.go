package modem

import (
	"testing"
	"time"
)

// ms are times in milliseconds.
func ms(all ...int) (d []time.Duration) {
	for _, n := range all {
		d = append(d, time.Duration(n)*time.Millisecond)
	}
	return d
}

// The rings of one call never look like another one's.
func TestBeat(t *testing.T) {
	for _, pauses := range [][]time.Duration{
		ms(6000), ms(5000, 5300, 4800), ms(600, 2400), ms(1200, 4800), ms(800, 800, 4400), ms(2, 5998), ms(5000, 5000, 5000, 7000, 3000), ms(3000, 3000, 3000, 6000), ms(2000, 4000),
	} {
		var b beat
		now := time.Unix(1000, 0)
		last := now
		for i := range 40 {
			if b.broken(now, last) {
				t.Errorf("%v: ring %d is taken for another call's", pauses, i+1)
			}
			b.add(now, last)
			last, now = now, now.Add(pauses[i%len(pauses)])
		}
		if len(b.pauses) > beatKept {
			t.Errorf("%d pauses are kept", len(b.pauses))
		}
	}
}

// What is no beat at all tells nothing.
func TestNoBeat(t *testing.T) {
	var b beat
	now := time.Unix(1000, 0)
	last := now
	for _, pause := range append(ms(2000, 2700, 3500, 4500, 5600, 7000, 8500, 10000, 12000), ms(1800, 9000)...) {
		b.add(now, last)
		last, now = now, now.Add(pause)
		if b.broken(now, last) || len(b.pauses) > beatKept {
			t.Errorf("%v: %+v", pause, b)
		}
	}
}

func TestBrokenBeat(t *testing.T) {
	for _, c := range []struct {
		pauses []time.Duration // the last one is of another call's ring
		broken bool
	}{
		{ms(6000, 6000, 2500), true},
		{ms(6000, 2500), false}, // too soon to tell
		{ms(6000, 6000, 7500), false},
		{ms(6000, 6000, 7500, 6000), true},
		{ms(6000, 6000, 6900, 6000), true},
		{ms(6000, 6000, 7500, 4500), false},
		{ms(600, 2400, 600, 2400, 600, 1600), true}, // 2.2 s instead of 3
		{ms(6000, 6000, 1000), false},               // he rings again in 6 s
		{ms(6000, 6000, 1000, 6000, 6000), true},
	} {
		var b beat
		now := time.Unix(1000, 0)
		last := now
		for _, pause := range c.pauses {
			b.add(now, last)
			last, now = now, now.Add(pause)
		}
		if b.broken(now, last) != c.broken {
			t.Errorf("%v: %v", c.pauses, !c.broken)
		}
	}
}
