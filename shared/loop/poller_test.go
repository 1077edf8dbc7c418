package loop

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPoller(t *testing.T) {
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var pair [2]int
	if pair, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	const token = 0xfedcba9876543210
	if err := p.Add(pair[0], token); err != nil {
		t.Fatal(err)
	}
	wait := func(deadline time.Time) (news []Readiness) {
		t.Helper()
		if err := p.Wait(deadline); err != nil {
			t.Fatal(err)
		}
		p.Each(func(r Readiness) { news = append(news, r) })
		return news
	}
	expect := func(what string, news []Readiness, want ...Readiness) {
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
	p.Wake()
	p.Wake()
	expect("woken before", wait(time.Time{}))
	go p.Wake()
	expect("woken while waiting", wait(time.Time{}))

	readable := Readiness{Token: token, Readable: true}
	go unix.Write(pair[1], []byte("x"))
	expect("data", wait(time.Time{}), readable)
	expect("data not read", wait(time.Time{}), readable)
	expect("data, and a deadline that has passed", wait(time.Unix(1, 0)), readable)
	var b [8]byte
	unix.Read(pair[0], b[:])
	expect("data read", wait(time.Now().Add(time.Millisecond)))

	if err := p.Watch(pair[0], token, true); err != nil {
		t.Fatal(err)
	}
	expect("writable", wait(time.Time{}), Readiness{Token: token, Writable: true})
	if err := p.Watch(pair[0], token, false); err != nil {
		t.Fatal(err)
	}
	expect("no longer asked", wait(time.Now().Add(time.Millisecond)))
	unix.Close(pair[1])
	expect("closed", wait(time.Time{}), readable)
	if err := p.Remove(pair[0]); err != nil {
		t.Fatal(err)
	}
	expect("removed", wait(time.Now().Add(time.Millisecond)))
}

func BenchmarkPollerWake(b *testing.B) {
	p, err := NewPoller()
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	b.ReportAllocs()
	for b.Loop() {
		p.Wake()
		if err := p.Wait(time.Time{}); err != nil {
			b.Fatal(err)
		}
		p.Each(func(Readiness) {})
	}
}
