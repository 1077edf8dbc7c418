package dataplane

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// affinity keeps a goroutine that has more to send than it can on one processor. A packet that leaves by a virtual interface (of a container, of another
// namespace) waits in a queue of the processor that it was sent on; a busy processor takes its time with that, and one to which the sender has
// moved on meanwhile does not. So packets overtake each other, and peers drop those that come late (Linux's PPTP takes none back). The scheduler still has its say:
// now and then the thread may go where it is sent.
//
// The zero value is ready. It belongs to one goroutine.
type affinity struct {
	busy    int // batches in a row that were full
	bound   bool
	loose   bool
	since   time.Time // of bound or, while bound, of when the thread was let loose last
	allowed unix.CPUSet
}

const (
	// affinityAfter is how many full batches in a row mean that there is more to send than is sent.
	affinityAfter = 8
	// affinityLeast is how long a thread stays at least, and affinityMost how long before it may be moved.
	affinityLeast = 50 * time.Millisecond
	affinityMost  = time.Second
)

// batch is called after each batch has been read, with whether it was full.
func (a *affinity) batch(now time.Time, full bool) {
	if a.busy++; !full {
		a.busy = 0
	}
	switch {
	case a.loose:
		a.loose = false
		a.stay()
	case !a.bound:
		if a.busy >= affinityAfter {
			a.bind(now)
		}
	case !full && now.Sub(a.since) > affinityLeast:
		a.unbind()
	case now.Sub(a.since) > affinityMost:
		a.loose, a.since = true, now
		a.free()
	}
}

// bind binds the goroutine to its thread, and that to where it is.
func (a *affinity) bind(now time.Time) {
	runtime.LockOSThread()
	if unix.SchedGetaffinity(0, &a.allowed) != nil || a.allowed.Count() < 2 {
		runtime.UnlockOSThread()
		a.busy = 0
		return
	}
	a.bound, a.since = true, now
	a.stay()
}

func (a *affinity) stay() {
	var cpu uint32
	if _, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0); errno != 0 {
		return
	}
	var here unix.CPUSet
	here.Set(int(cpu))
	_ = unix.SchedSetaffinity(0, &here)
}

// unbind makes the thread one like any other.
func (a *affinity) unbind() {
	a.bound, a.busy = false, 0
	a.free()
	runtime.UnlockOSThread()
}

// free lets the thread go where it might before, or anywhere, if none of that is ours any more (the cpuset of a container can change).
func (a *affinity) free() {
	if unix.SchedSetaffinity(0, &a.allowed) == nil {
		return
	}
	var all unix.CPUSet
	all.Fill()
	_ = unix.SchedSetaffinity(0, &all)
}
