package dataplane

import (
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/gre/tunnel/gretest"
)

func TestBucket(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, v := range []struct {
		rate   int64
		burst  time.Duration
		size   int
		every  time.Duration // a packet comes
		during time.Duration
		want   int // packets pass
	}{
		{0, 0, 1500, time.Microsecond, 100 * time.Microsecond, 100},
		{12_000, 0, 1500, 10 * time.Millisecond, 10 * time.Second, 10},                              // a packet takes a second
		{12_000, 3 * time.Second, 1500, 10 * time.Millisecond, 10 * time.Second, 13},                // and three may come before their time
		{1_000_000, 0, 125, time.Millisecond, time.Second, 1000},                                    // exactly the rate
		{1_000_000, 0, 125, time.Millisecond / 2, time.Second, 1000},                                // twice the rate
		{10_000_000_000, 0, 1500, 10 * time.Nanosecond, 100 * time.Microsecond, 83},                 // 1.2 us a packet
		{1, 0, 65535, time.Hour, 100 * 24 * time.Hour, 17},                                          // the slowest
		{3_000_000, 100 * time.Millisecond, 1500, 100 * time.Microsecond, time.Second, 250 + 25},    // 4 ms a packet
		{3_000_000, 100 * time.Millisecond, 1500, 5 * time.Millisecond, 10 * time.Second, 10 * 200}, // below the rate: all
	} {
		b := newBucket(Limit{v.rate, v.burst})
		got := 0
		for at := time.Duration(0); at < v.during; at += v.every {
			if b.take(now.Add(at), v.size) {
				got++
			}
		}
		if got < v.want-1 || got > v.want+1 {
			t.Errorf("%+v: %d packets", v, got)
		}
		if at := now.Add(24 * time.Hour * 1000); !b.take(at, 1) {
			t.Errorf("%+v: nothing passes after a pause", v)
		}
	}
}

// What is beyond the rate of a session is dropped before it takes a key or a number, each way by itself; others do not notice.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		size := len(numbered(farAway, "10.8.0.2", 0, 100))
		slow := Limit{Rate: int64(size) * 8 * 10, Burst: time.Second / 2} // ten packets a second, five ahead
		limited := w.dial("198.51.100.7", "10.8.0.2", Network{Encryption: encrypted(), In: slow, Out: slow})
		free := w.dial("198.51.100.8", "10.8.0.3", Network{Encryption: encrypted()})
		for round := range 3 {
			for i := range 20 {
				w.inject(numbered(farAway, "10.8.0.2", i, 100))
				w.inject(numbered(farAway, "10.8.0.3", i, 100))
				limited.send(numbered("10.8.0.2", farAway, i, 100))
				free.send(numbered("10.8.0.3", farAway, i, 100))
			}
			// receive decrypts in order, without a gap
			if n := len(limited.receive()); n != 6 {
				t.Errorf("round %d: %d packets to the client", round, n)
			}
			if n := len(free.receive()); n != 20 {
				t.Errorf("round %d: %d packets to the client without limits", round, n)
			}
			if n := len(w.tunneled()); n != 20+6 {
				t.Errorf("round %d: %d packets from the clients", round, n)
			}
			time.Sleep(time.Second)
		}
		if c := limited.entry.Counters(); c.LimitedIn != 3*14 || c.LimitedOut != 3*14 || c.PacketsIn != 3*6 || c.PacketsOut != 3*6 || c.Dropped() != 6*14 || c.Lost != 0 {
			t.Errorf("%+v", c)
		}
		if c := free.entry.Counters(); c.Dropped() != 0 {
			t.Errorf("%+v", c)
		}
	})
}
