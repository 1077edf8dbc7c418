package gretest_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/gre/tunnel/gretest"
)

var (
	a = netip.MustParseAddr("192.0.2.1")
	b = netip.MustParseAddr("192.0.2.2")
)

type arrival struct {
	n  int
	at time.Duration // since the first was sent
}

// traffic sends count numbered packets from a to b, one per interval, and returns what arrives at b until all is over.
func traffic(t *testing.T, cfg gretest.Config, count int, interval time.Duration) []arrival {
	t.Helper()
	var got []arrival
	synctest.Test(t, func(t *testing.T) {
		n := gretest.New(cfg)
		from, to := listen(t, n, a), listen(t, n, b)
		start := time.Now()
		done := make(chan bool)
		go func() {
			defer close(done)
			batch := tunnel.NewBatch(8)
			for {
				read, err := to.ReadBatch(batch)
				if err != nil {
					return
				}
				for _, p := range batch[:read] {
					if p.Remote != a {
						t.Errorf("from %s", p.Remote)
					}
					got = append(got, arrival{int(p.Data[0])<<8 | int(p.Data[1]), time.Since(start)})
				}
			}
		}()
		for i := range count {
			if _, err := from.WriteBatch([]tunnel.Packet{{Remote: b, Data: []byte{byte(i >> 8), byte(i)}}}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(interval)
		}
		time.Sleep(time.Minute)
		_ = to.Close()
		<-done
	})
	return got
}

func listen(t *testing.T, n *gretest.Network, address netip.Addr) *gretest.Conn {
	t.Helper()
	c, err := n.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func numbers(as []arrival) []int {
	ns := make([]int, len(as))
	for i, x := range as {
		ns[i] = x.n
	}
	return ns
}

func TestPerfectNetwork(t *testing.T) {
	got := traffic(t, gretest.Config{}, 100, 0)
	if len(got) != 100 || !slices.IsSorted(numbers(got)) || got[99].at != 0 {
		t.Errorf("%v", got)
	}
}

func TestDelayAndJitter(t *testing.T) {
	cfg := gretest.Config{Seed: 3, Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond}
	got := traffic(t, cfg, 200, time.Millisecond)
	if len(got) != 200 || !slices.IsSorted(numbers(got)) {
		t.Fatalf("jitter alone keeps all and the order: %v", got)
	}
	varied := false
	for i, x := range got {
		d := x.at - time.Duration(i)*time.Millisecond
		if d < cfg.Delay || d > cfg.Delay+cfg.Jitter {
			t.Errorf("packet %d took %v", i, d)
		}
		varied = varied || d != cfg.Delay
	}
	if !varied {
		t.Error("no jitter")
	}
}

func TestLossDuplicationReordering(t *testing.T) {
	cfg := gretest.Config{Seed: 1, Loss: 0.2, Duplication: 0.1, Reorder: 0.1, Delay: time.Millisecond, ReorderDelay: 20 * time.Millisecond}
	got := traffic(t, cfg, 2000, time.Millisecond)
	seen := map[int]int{}
	for _, x := range got {
		seen[x.n]++
	}
	twice, swaps := len(got)-len(seen), 0
	for i := range len(got) - 1 {
		if got[i+1].n < got[i].n {
			swaps++
		}
	}
	if lost := 2000 - len(seen); lost < 300 || lost > 500 || twice < 100 || twice > 220 || swaps < 50 {
		t.Errorf("%d lost, %d twice, %d swaps", lost, twice, swaps)
	}
	if again := traffic(t, cfg, 2000, time.Millisecond); !slices.Equal(got, again) {
		t.Error("the same seed gave another result")
	}
	cfg.Seed++
	if other := traffic(t, cfg, 2000, time.Millisecond); slices.Equal(got, other) {
		t.Error("another seed gave the same result")
	}
}

func TestFilter(t *testing.T) {
	got := numbers(traffic(t, gretest.Config{Seed: 2, Loss: 0.5, Filter: func(n int, from, to netip.Addr, packet []byte) gretest.Fate {
		if from != a || to != b || int(packet[1]) != n {
			t.Errorf("packet %d from %s to %s: %x", n, from, to, packet)
		}
		return []gretest.Fate{gretest.Keep, gretest.Lose, gretest.Repeat}[n%3]
	}}, 9, 0))
	if want := []int{0, 2, 2, 3, 5, 5, 6, 8, 8}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestConfigure(t *testing.T) {
	n := gretest.New(gretest.Config{})
	from, to := listen(t, n, a), listen(t, n, b)
	send := func() { _, _ = from.WriteBatch([]tunnel.Packet{{Remote: b, Data: []byte{1}}}) }
	send()
	n.Configure(func(c *gretest.Config) { c.Loss = 1 })
	send()
	n.Configure(func(c *gretest.Config) { c.Loss = 0 })
	send()
	if got, err := to.ReadBatch(tunnel.NewBatch(8)); got != 2 || err != nil {
		t.Errorf("%d packets, %v", got, err)
	}
}

func TestMTU(t *testing.T) {
	n := gretest.New(gretest.Config{MTU: 100})
	from, to := listen(t, n, a), listen(t, n, b)
	batch := []tunnel.Packet{{Remote: b, Data: make([]byte, 81)}, {Remote: b, Data: make([]byte, 80)}}
	if sent, err := from.WriteBatch(batch); sent != 1 || err != nil {
		t.Errorf("%d sent, %v", sent, err)
	}
	if !errors.Is(batch[0].Err, syscall.EMSGSIZE) || batch[1].Err != nil {
		t.Errorf("%v, %v", batch[0].Err, batch[1].Err)
	}
	if got, want := <-from.PathErrors(), (tunnel.PathError{Remote: b, MTU: 100, Err: syscall.EMSGSIZE}); got != want {
		t.Errorf("%+v", got)
	}
	from.Report(tunnel.PathError{Remote: b, Err: syscall.EHOSTUNREACH})
	if got := <-from.PathErrors(); !errors.Is(got.Err, syscall.EHOSTUNREACH) {
		t.Errorf("%+v", got)
	}
	if got, err := to.ReadBatch(tunnel.NewBatch(8)); got != 1 || err != nil {
		t.Errorf("%d packets, %v", got, err)
	}
	want := tunnel.Counters{Sent: 1, SentOctets: 80, SendTooBig: 1, PathErrors: 2}
	if c := from.Counters(); c != want {
		t.Errorf("%+v, want %+v", c, want)
	}
}

func TestQueueIsBounded(t *testing.T) {
	n := gretest.New(gretest.Config{Queue: 3})
	from, to := listen(t, n, a), listen(t, n, b)
	for range 5 {
		_, _ = from.WriteBatch([]tunnel.Packet{{Remote: b, Data: make([]byte, 10)}})
	}
	if got, err := to.ReadBatch(tunnel.NewBatch(8)); got != 3 || err != nil {
		t.Errorf("%d packets, %v", got, err)
	}
	if c, want := to.Counters(), (tunnel.Counters{Received: 3, ReceivedOctets: 30, ReceiveDrops: 2}); c != want {
		t.Errorf("%+v, want %+v", c, want)
	}
}

func TestListenAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := gretest.New(gretest.Config{})
		c := listen(t, n, a)
		if _, err := n.Listen(a); !errors.Is(err, tunnel.ErrAddressInUse) {
			t.Errorf("the same address twice: %v", err)
		}
		for _, bad := range []netip.Addr{{}, netip.IPv4Unspecified()} {
			if _, err := n.Listen(bad); !errors.Is(err, tunnel.ErrAddressFamily) {
				t.Errorf("%v: %v", bad, err)
			}
		}
		if n, err := c.ReadBatch(nil); n != 0 || err != nil {
			t.Errorf("an empty batch: %d %v", n, err)
		}
		done := make(chan error)
		go func() {
			_, err := c.ReadBatch(tunnel.NewBatch(1))
			done <- err
		}()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("reader: %v", err)
		}
		if _, err := c.WriteBatch(tunnel.NewBatch(1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("writer: %v", err)
		}
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second close: %v", err)
		}
		again := listen(t, n, a)
		if fmt.Sprint(again.Local()) != "192.0.2.1" {
			t.Errorf("%v", again.Local())
		}
	})
}
