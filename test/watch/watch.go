// Package watch tells whether a program that runs for long gives back what it took: memory, goroutines, descriptors, processes. A Process is
// looked at when it is quiet after its first work (Settle) and again when it is quiet after much more (Compare).
//
// Descriptors, processes and resident memory are the kernel's figures; goroutines and the live heap are the daemon's own, from its status.
// Resident memory says little about a leak: Go keeps what it has had from the kernel for a while, and gives it back as it sees fit. The live
// heap is what a garbage collection found in use. No collection is forced, which would hide that the daemon makes garbage in
// peace; nor is a single one believed, since what has a finalizer, or lies in a pool, goes only with the second. So the least of several
// collections in a row that began after the daemon was quiet is taken, at both times. That the daemon is asked for its status, again and
// again, makes the garbage that gets it to collect.
package watch

import (
	"context"
	"fmt"
	"math"
	"time"

	"trunkline.example/shared/admin"
)

// Figures are what a process holds.
type Figures struct {
	Resident    int64 // octets of memory
	Descriptors int
	Children    int    // processes, those that have ended and were not waited for included
	Goroutines  uint64 // 0, as what follows, if the process has no status
	HeapLive    uint64 // octets
	GCCycles    uint64
	Uptime      float64 // seconds
}

// Limits are how much more of each a process may hold than at first.
type Limits struct {
	Descriptors, Children int
	Goroutines            uint64
	HeapLive              uint64 // octets
	Resident              int64  // octets; 0: it is not judged
}

// Process is one that is watched.
type Process struct {
	name string
	pid  int
	ask  func(context.Context) (admin.Runtime, error) // nil: it does not say
}

// New watches a process. The admin socket is that of pac, pns or an exchange, whose name is any of them for errors; "" for a process
// that has none, such as a driver.
func New(name string, pid int, socket string) *Process {
	p := &Process{name: name, pid: pid}
	if socket != "" {
		client := admin.NewClient(name, socket)
		p.ask = func(ctx context.Context) (admin.Runtime, error) {
			var s struct{ Runtime admin.Runtime }
			err := client.Get(ctx, "/status", &s)
			return s.Runtime, err
		}
	}
	return p
}

// Name is the name that New was given.
func (p *Process) Name() string { return p.name }

// PID is the process's.
func (p *Process) PID() int { return p.pid }

// Look is what the process holds at this instant.
func (p *Process) Look(ctx context.Context) (f Figures, err error) {
	kib, err := StatusField(p.pid, "VmRSS")
	if err == nil {
		f.Resident = kib << 10
		f.Descriptors, err = Descriptors(p.pid)
	}
	if err == nil {
		var children []int
		children, err = Children(p.pid)
		f.Children = len(children)
	}
	if err == nil && p.ask != nil {
		var r admin.Runtime
		r, err = p.ask(ctx)
		f.Goroutines, f.HeapLive, f.GCCycles, f.Uptime = r.Goroutines, r.HeapLive, r.GCCycles, r.Uptime
	}
	if err != nil {
		return f, fmt.Errorf("%s (process %d): %w", p.name, p.pid, err)
	}
	return f, nil
}

const (
	collections = 3                      // that are waited for, see the package's comment
	looks       = 5                      // at least
	pause       = 200 * time.Millisecond // between two looks at a process that has no status
	asks        = 20                     // for its status between two looks at one that has
)

// Settle looks at a process that is quiet until it has collected its garbage several times, and returns the least of each figure. A daemon
// with a small heap takes a second or two, as it is kept busy with questions; it is an error if ctx ends before.
func (p *Process) Settle(ctx context.Context) (Figures, error) {
	first, err := p.Look(ctx)
	if err != nil {
		return first, err
	}
	least, last, heap := first, first, uint64(math.MaxUint64)
	for n := 1; n < looks || p.ask != nil && last.GCCycles < first.GCCycles+collections; n++ {
		if err := p.stir(ctx); err != nil {
			return least, fmt.Errorf("%s (process %d): %d garbage collections of %d: %w", p.name, p.pid, last.GCCycles-first.GCCycles, collections, err)
		}
		if last, err = p.Look(ctx); err != nil {
			return least, err
		}
		if last.GCCycles > first.GCCycles+1 { // the first one may have begun before
			heap = min(heap, last.HeapLive)
		}
		least = Figures{
			Resident: min(least.Resident, last.Resident), Descriptors: min(least.Descriptors, last.Descriptors), Children: min(least.Children, last.Children),
			Goroutines: min(least.Goroutines, last.Goroutines), GCCycles: last.GCCycles, Uptime: last.Uptime,
		}
	}
	if p.ask != nil {
		least.HeapLive = heap
	}
	return least, nil
}

// stir passes the time until the next look; a daemon gets questions to answer.
func (p *Process) stir(ctx context.Context) error {
	if p.ask == nil {
		wait := time.NewTimer(pause)
		defer wait.Stop()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-wait.C:
			return nil
		}
	}
	for range asks {
		if _, err := p.ask(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Compare settles a process until it holds no more than the limits allow beyond what it held at first, or until ctx ends: what ends by a timer
// of the daemon may take its time. It returns the last figures, and a text for each that is beyond its limit.
func (p *Process) Compare(ctx context.Context, first Figures, l Limits) (now Figures, grown []string, err error) {
	for {
		next, err := p.Settle(ctx)
		if err != nil && ctx.Err() != nil && len(grown) > 0 {
			return now, grown, nil
		} else if err != nil {
			return next, nil, err
		}
		now, grown = next, Growth(first, next, l)
		if len(grown) == 0 {
			return now, nil, nil
		}
		for i := range grown {
			grown[i] = fmt.Sprintf("%s (process %d): %s", p.name, p.pid, grown[i])
		}
		if now.Descriptors > first.Descriptors+l.Descriptors {
			grown[0] += fmt.Sprintf("; open are %v", Open(p.pid))
		}
	}
}

// Growth names the figures that are beyond their limits.
func Growth(first, now Figures, l Limits) (grown []string) {
	for _, f := range []struct {
		what              string
		first, now, limit int64
	}{
		{"descriptors", int64(first.Descriptors), int64(now.Descriptors), int64(l.Descriptors)},
		{"child processes", int64(first.Children), int64(now.Children), int64(l.Children)},
		{"goroutines", int64(first.Goroutines), int64(now.Goroutines), int64(l.Goroutines)},
		{"octets of live heap", int64(first.HeapLive), int64(now.HeapLive), int64(l.HeapLive)},
	} {
		if f.now > f.first+f.limit {
			grown = append(grown, fmt.Sprintf("%d %s, %d at first: %d more, %d are allowed", f.now, f.what, f.first, f.now-f.first, f.limit))
		}
	}
	if l.Resident > 0 && now.Resident > first.Resident+l.Resident {
		grown = append(grown, fmt.Sprintf("%d octets resident, %d at first: %d more, %d are allowed", now.Resident, first.Resident, now.Resident-first.Resident, l.Resident))
	}
	return grown
}
