package pns

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPoller(t *testing.T) {
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	var pair [2]int
	if pair, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	const token = 0xfedcba9876543210
	if err := p.add(pair[0], token); err != nil {
		t.Fatal(err)
	}
	wait := func(deadline time.Time) (news []readiness) {
		t.Helper()
		if err := p.wait(deadline); err != nil {
			t.Fatal(err)
		}
		p.each(func(r readiness) { news = append(news, r) })
		return news
	}
	expect := func(what string, news []readiness, want ...readiness) {
		t.Helper()
		if len(news) != len(want) || len(want) == 1 && news[0] != want[0] {
			t.Fatalf("%s: %+v, want %+v", what, news, want)
		}
	}

	expect("a deadline that has passed", wait(time.Unix(1, 0)))
	start := time.Now()
	expect("a deadline", wait(start.Add(20*time.Millisecond)))
	if since := time.Since(start); since < 20*time.Millisecond {
		t.Fatalf("came back after %v", since)
	}
	p.wake()
	p.wake()
	expect("woken before", wait(time.Time{}))
	go p.wake()
	expect("woken while waiting", wait(time.Time{}))

	readable := readiness{token: token, readable: true}
	go unix.Write(pair[1], []byte("x"))
	expect("data", wait(time.Time{}), readable)
	expect("data not read", wait(time.Time{}), readable)
	expect("data, and a deadline that has passed", wait(time.Unix(1, 0)), readable)
	var b [8]byte
	unix.Read(pair[0], b[:])
	expect("data read", wait(time.Now().Add(time.Millisecond)))

	if err := p.watch(pair[0], token, true); err != nil {
		t.Fatal(err)
	}
	expect("writable", wait(time.Time{}), readiness{token: token, writable: true})
	if err := p.watch(pair[0], token, false); err != nil {
		t.Fatal(err)
	}
	expect("no longer asked", wait(time.Now().Add(time.Millisecond)))
	unix.Close(pair[1])
	expect("closed", wait(time.Time{}), readable)
	if err := p.remove(pair[0]); err != nil {
		t.Fatal(err)
	}
	expect("removed", wait(time.Now().Add(time.Millisecond)))
}

func BenchmarkPollerWake(b *testing.B) {
	p, err := newPoller()
	if err != nil {
		b.Fatal(err)
	}
	defer p.close()
	b.ReportAllocs()
	for b.Loop() {
		p.wake()
		if err := p.wait(time.Time{}); err != nil {
			b.Fatal(err)
		}
		p.each(func(readiness) {})
	}
}
