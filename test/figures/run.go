package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// figure is one row of the table.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Note  string  `json:"note,omitempty"`
}

// result is what came of a section.
type result struct {
	Figures []figure `json:"figures,omitempty"`
	Skipped string   `json:"skipped,omitempty"` // why
	Problem string   `json:"problem,omitempty"` // why it was not measured to the end
	Seconds float64  `json:"seconds,omitempty"` // that it took
}

// run is one section under way. It stands in for a test, since the namespaces and guests of the end-to-end tests want one.
type run struct {
	testing.TB // nil: what is not defined below must not be called

	mu       sync.Mutex
	result   result
	cleanups []func()
}

// measureSection measures one section to its end and cleans up after it.
func measureSection(s section) result {
	r, began := &run{}, time.Now()
	protect := func(f func()) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			f()
		}()
		<-done
	}
	protect(func() { s.measure(r) })
	for len(r.cleanups) > 0 {
		last := r.cleanups[len(r.cleanups)-1]
		r.cleanups = r.cleanups[:len(r.cleanups)-1]
		protect(last)
	}
	r.result.Seconds = time.Since(began).Seconds()
	return r.result
}

// add takes a figure down.
func (r *run) add(name string, value float64, unit, note string, args ...any) {
	if len(args) > 0 {
		note = fmt.Sprintf(note, args...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Figures = append(r.result.Figures, figure{name, value, unit, note})
}

func (r *run) problem(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.result.Problem == "" {
		r.result.Problem = strings.TrimSpace(text)
	}
}

// Helper is part of testing.TB, as are those that follow.
func (r *run) Helper() {}

// Cleanup has f called when the section is over, last come first.
func (r *run) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

// Failed says whether the section has a problem.
func (r *run) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.result.Problem != ""
}

// Fatal ends the section.
func (r *run) Fatal(args ...any) {
	r.problem(fmt.Sprintln(args...))
	runtime.Goexit()
}

// Fatalf ends the section.
func (r *run) Fatalf(format string, args ...any) {
	r.problem(fmt.Sprintf(format, args...))
	runtime.Goexit()
}

// Errorf takes a problem down.
func (r *run) Errorf(format string, args ...any) { r.problem(fmt.Sprintf(format, args...)) }

// Skip ends the section with the reason why it cannot be measured here.
func (r *run) Skip(args ...any) {
	r.mu.Lock()
	r.result.Skipped = strings.TrimSpace(fmt.Sprintln(args...))
	r.mu.Unlock()
	runtime.Goexit()
}

// logLines are as many of a daemon's log as are of use to somebody who wanted figures.
const logLines = 30

// Logf tells what has no place in the table, the end of it if it is long.
func (r *run) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "figures: %s\n", lastLines(fmt.Sprintf(format, args...), logLines))
}

// TempDir is a new directory; it goes with the namespaces.
func (r *run) TempDir() string {
	dir, err := os.MkdirTemp("", "section-*")
	if err != nil {
		r.Fatal(err)
	}
	return dir
}

// eventually polls until ok.
func (r *run) eventually(problem string, limit time.Duration, ok func() bool) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !ok(); <-tick.C {
		if time.Now().After(end) {
			r.Fatalf("%s within %v", problem, limit)
		}
	}
}

// quantile is the value below which the share q of the values lies.
func quantile[T ~int64 | ~float64](values []T, q float64) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func median[T ~int64 | ~float64](values []T) T { return quantile(values, 0.5) }

func mean(values []float64) (sum float64) {
	for _, v := range values {
		sum += v
	}
	return sum / float64(max(len(values), 1))
}
