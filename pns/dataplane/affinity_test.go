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

func TestAffinity(t *testing.T) {
	runtime.LockOSThread() // so that it is always the same thread that is asked
	defer runtime.UnlockOSThread()
	all := processors(t)
	bound := 1
	if all < 2 {
		t.Logf("one processor: there is nowhere else to go")
		bound = all
	}
	var a affinity
	now := time.Unix(1000, 0)
	is := func(what string, want int) {
		t.Helper()
		if got := processors(t); got != want {
			t.Fatalf("%s: the thread may run on %d processors, want %d", what, got, want)
		}
	}
	for range 5 * affinityAfter {
		a.batch(now, true)
		a.batch(now, false)
	}
	is("nothing waits", all)
	for range affinityAfter - 1 {
		a.batch(now, true)
	}
	is("a burst", all)
	a.batch(now, true)
	is("more than is sent", bound)
	a.batch(now.Add(affinityLeast), false)
	is("a short pause", bound)
	a.batch(now.Add(affinityMost+1), true)
	is("a look around", all)
	a.batch(now.Add(affinityMost+2), true)
	is("after it", bound)
	a.batch(now.Add(affinityMost+affinityLeast+3), false)
	is("all is sent", all)
	for range affinityAfter {
		a.batch(now, true)
	}
	is("again more than is sent", bound)
	a.batch(now.Add(affinityMost), false)
	is("at the end", all)
}

// A thread whose processors have been taken away meanwhile is not left on the one it was kept on: somebody else runs on it next.
func TestAffinityToALostProcessor(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all := processors(t)
	var a affinity
	now := time.Unix(1000, 0)
	for range affinityAfter {
		a.batch(now, true)
	}
	a.allowed.Zero()
	a.allowed.Set(1023) // that nobody has
	a.batch(now.Add(affinityMost), false)
	if got := processors(t); got != all {
		t.Errorf("the thread may run on %d processors, want %d", got, all)
	}
}
