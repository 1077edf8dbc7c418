package soak

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"trunkline.example/test/watch"
)

// held is what one process holds.
type held struct {
	process *watch.Process
	limits  watch.Limits
	figures watch.Figures
}

// settleLimit is how long processes may take to be quiet and to collect their garbage.
const settleLimit = 90 * time.Second

// processes are all that are watched, in an order that does not change; a driver's goes by the name of its PAC.
func (b *bank) processes() (all []held) {
	b.Helper()
	for _, m := range b.machines() {
		all = append(all, m.held())
		if m.program != "pac" || m == b.exchange {
			continue
		}
		status, ok := tryRead[pacView](m, "/status")
		if !ok {
			b.Fatalf("%s does not answer", m.name)
		}
		for _, d := range status.Drivers {
			all = append(all, held{process: watch.New(m.name+" "+d.Name, d.PID, ""), limits: watch.Limits{Descriptors: 4, Resident: residentLimit}})
		}
	}
	return all
}

// held is a daemon to be watched.
func (m *machine) held() held {
	return held{process: watch.New(m.name, m.daemon.PID(), m.socket), limits: watch.Limits{Descriptors: 4, Goroutines: 8, HeapLive: heapLimit}}
}

// What processes may hold more than at first. Of the live heap, what a daemon keeps of the calls that ended (the lines' last ones, addresses that
// rest) is well within it; a resident process is still on its way to what its Go runtime likes to keep.
const (
	heapLimit     = 2 << 20  // octets
	residentLimit = 48 << 20 // octets; the race detector's shadow included
)

// hold takes down what processes hold, now that they are quiet.
func (s *soak) hold(all []held) []held {
	s.Helper()
	s.each(all, func(ctx context.Context, i int) (err error) {
		all[i].figures, err = all[i].process.Settle(ctx)
		return err
	})
	return all
}

// compare judges what they hold now, and prints it beside what they held.
func (s *soak) compare(first, now []held) {
	s.Helper()
	if len(now) != len(first) {
		s.Fatalf("%d processes, %d at first", len(now), len(first))
	}
	s.each(now, func(ctx context.Context, i int) (err error) {
		var grown []string
		now[i].figures, grown, err = now[i].process.Compare(ctx, first[i].figures, first[i].limits)
		for _, text := range grown {
			s.fault("not given back: %s", text)
		}
		return err
	})
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "process\tresident MiB\t\tdescriptors\t\tchildren\t\tgoroutines\t\tlive heap KiB\t\t")
	for i, n := range now {
		f, l := first[i].figures, n.figures
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", n.process.Name(), f.Resident>>20, l.Resident>>20, f.Descriptors, l.Descriptors,
			f.Children, l.Children, f.Goroutines, l.Goroutines, f.HeapLive>>10, l.HeapLive>>10)
	}
	_ = t.Flush()
	s.say("what the processes hold, at first and now:\n%s", text.String())
}

// each does something with all processes at once.
func (s *soak) each(all []held, do func(ctx context.Context, i int) error) {
	ctx, cancel := context.WithTimeout(context.Background(), settleLimit)
	defer cancel()
	var wait sync.WaitGroup
	for i := range all {
		wait.Go(func() {
			if err := do(ctx, i); err != nil {
				s.fault("%v", err)
			}
		})
	}
	wait.Wait()
}

// own is what the test's process, in which the callers are, holds.
func own() (goroutines, descriptors int, err error) {
	descriptors, err = watch.Descriptors(os.Getpid())
	return runtime.NumGoroutine(), descriptors, err
}
