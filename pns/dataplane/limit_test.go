package dataplane

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/pns/filter"
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

// What the filter of a session does not let pass takes neither a key nor a number, and nothing of the rate.
func TestFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, func(o *Options) { o.Isolation = false })
		defer w.close()
		var rules []filter.Rule
		for _, text := range []string{"drop in udp host 203.0.113.0/24 port 3-5", "drop out udp client-port 7", "accept"} {
			var r filter.Rule
			if err := r.UnmarshalText([]byte(text)); err != nil {
				t.Fatal(err)
			}
			rules = append(rules, r)
		}
		ten := Limit{Rate: int64(len(numbered(farAway, "10.8.0.2", 0, 100))) * 8, Burst: 9 * time.Second}
		p := w.dial("198.51.100.7", "10.8.0.2", Network{Encryption: encrypted(), Filter: &filter.Filter{Rules: rules, Drop: true}, In: ten, Out: ten})
		other := w.dial("198.51.100.8", "10.8.0.3", Network{Encryption: encrypted()})
		for i := range 10 { // number i has i for its destination port
			p.send(numbered("10.8.0.2", "203.0.113.9", i, 100))
			w.inject(numbered("203.0.113.9", "10.8.0.2", i, 100))
		}
		numbers := func(packets []packet) (n []byte) {
			for _, ip := range packets {
				n = append(n, ip.payload()[3])
			}
			return n
		}
		if got := numbers(w.tunneled()); !bytes.Equal(got, []byte{0, 1, 2, 6, 7, 8, 9}) {
			t.Errorf("from the client came %v", got)
		}
		if got := numbers(p.receive()); !bytes.Equal(got, []byte{0, 1, 2, 3, 4, 5, 6, 8, 9}) {
			t.Errorf("to the client came %v", got)
		}
		other.send(numbered("10.8.0.3", "10.8.0.2", 7, 100)) // another client is the far end like any other
		if got := p.receive(); len(got) != 0 {
			t.Errorf("%d packets of another client", len(got))
		}
		if c := p.entry.Counters(); c.FilteredIn != 3 || c.FilteredOut != 2 || c.Dropped() != 5 {
			t.Errorf("%+v", c)
		}
	})
}
