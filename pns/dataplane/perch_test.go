package dataplane

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// processors is on how many the thread may run.
func processors(t *testing.T) int {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	return set.Count()
}

func TestPerch(t *testing.T) {
	runtime.LockOSThread() // so that it is always the same thread that is asked
	defer runtime.UnlockOSThread()
	all := processors(t)
	bound := 1
	if all < 2 {
		t.Logf("one processor: there is nowhere else to go")
		bound = all
	}
	var p perch
	now := time.Unix(1000, 0)
	is := func(what string, want int) {
		t.Helper()
		if got := processors(t); got != want {
			t.Fatalf("%s: the thread may run on %d processors, want %d", what, got, want)
		}
	}
	for range 5 * perchAfter {
		p.batch(now, true)
		p.batch(now, false)
	}
	is("nothing waits", all)
	for range perchAfter - 1 {
		p.batch(now, true)
	}
	is("a burst", all)
	p.batch(now, true)
	is("more than is sent", bound)
	p.batch(now.Add(perchLeast), false)
	is("a short pause", bound)
	p.batch(now.Add(perchMost+1), true)
	is("a look around", all)
	p.batch(now.Add(perchMost+2), true)
	is("after it", bound)
	p.batch(now.Add(perchMost+perchLeast+3), false)
	is("all is sent", all)
	for range perchAfter {
		p.batch(now, true)
	}
	is("again more than is sent", bound)
	p.batch(now.Add(perchMost), false)
	is("at the end", all)
}
