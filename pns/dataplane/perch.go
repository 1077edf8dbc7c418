package dataplane

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// perch keeps a goroutine that has more to send than it can on one processor. A packet that leaves by a virtual interface (of a container, of another
// namespace) waits in a queue of the processor that it was sent on; a busy processor takes its time with that, and one to which the sender has
// moved on meanwhile does not. So packets overtake each other, and peers drop those that come late (Linux's PPTP takes none back). The scheduler still has its say:
// now and then the thread may go where it is sent.
//
// The zero value is ready. It belongs to one goroutine.
type perch struct {
	busy    int // batches in a row that were full
	held    bool
	loose   bool
	since   time.Time // of held or, while held, of when the thread was let loose last
	allowed unix.CPUSet
}

const (
	// perchAfter is how many full batches in a row mean that there is more to send than is sent.
	perchAfter = 8
	// perchLeast is how long a thread stays at least, and perchMost how long before it may be moved.
	perchLeast = 50 * time.Millisecond
	perchMost  = time.Second
)

// batch is called after each batch has been read, with whether it was full.
func (p *perch) batch(now time.Time, full bool) {
	if p.busy++; !full {
		p.busy = 0
	}
	switch {
	case p.loose:
		p.loose = false
		p.stay()
	case !p.held:
		if p.busy >= perchAfter {
			p.hold(now)
		}
	case !full && now.Sub(p.since) > perchLeast:
		p.leave()
	case now.Sub(p.since) > perchMost:
		p.loose, p.since = true, now
		_ = unix.SchedSetaffinity(0, &p.allowed)
	}
}

// hold binds the goroutine to its thread, and that to where it is.
func (p *perch) hold(now time.Time) {
	runtime.LockOSThread()
	if unix.SchedGetaffinity(0, &p.allowed) != nil || p.allowed.Count() < 2 {
		runtime.UnlockOSThread()
		p.busy = 0
		return
	}
	p.held, p.since = true, now
	p.stay()
}

func (p *perch) stay() {
	var cpu uint32
	if _, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0); errno != 0 {
		return
	}
	var here unix.CPUSet
	here.Set(int(cpu))
	_ = unix.SchedSetaffinity(0, &here)
}

// leave makes the thread one like any other.
func (p *perch) leave() {
	p.held, p.busy = false, 0
	_ = unix.SchedSetaffinity(0, &p.allowed)
	runtime.UnlockOSThread()
}
