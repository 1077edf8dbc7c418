// Package soak has the daemons work for long, as real processes in network namespaces, while what can go wrong goes wrong; then it is quiet, and
// nothing may be left: no line that is stuck, no descriptor, goroutine, process or memory, and the counts at both ends agree.
//
// There is a file for each scenario. Without flags each is a short slice for `make test`; `make soak` runs long. What is chosen at random comes
// from a seed that is printed. It needs root.
package soak

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"trunkline.example/test/daemon"
)

var (
	duration = flag.Duration("duration", 0, "how long a scenario makes calls; 0: a short slice")
	seedFlag = flag.Uint64("seed", 0, "of all that is random; 0: a new one, in a slice 1")
	plain    = flag.Bool("plain", false, "build the daemons without the race detector")
)

// bin is the directory with pac and pns.
var bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "trunkline-soak-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	if err := daemon.Build(bin, !*plain); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// soak is one scenario under way.
type soak struct {
	*testing.T
	dir   string // of all files; kept when the scenario fails
	seed  uint64
	began time.Time

	mu     sync.Mutex
	faults int
}

// mostFaults is how many are told each by itself: the first ones say what is wrong.
const mostFaults = 40

func newSoak(t *testing.T) *soak {
	t.Helper()
	s := &soak{T: t, seed: *seedFlag, began: time.Now()}
	switch {
	case s.seed == 0 && *duration == 0:
		s.seed = 1
	case s.seed == 0:
		s.seed = rand.Uint64()>>32 | 1
	}
	var err error
	if s.dir, err = os.MkdirTemp("", "soak-*"); err != nil {
		t.Fatal(err)
	}
	s.say("seed %d, files in %s", s.seed, s.dir)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d; what the daemons printed and their call records are kept in %s", s.seed, s.dir)
			return
		}
		_ = os.RemoveAll(s.dir)
	})
	return s
}

// random is a generator for one part of the scenario, of its own so that the others do not change what it yields.
func (s *soak) random(part uint64) *rand.Rand { return rand.New(rand.NewPCG(s.seed, part)) }

// say prints a line with the time since the beginning, at once.
func (s *soak) say(format string, args ...any) {
	fmt.Printf("soak %7s  %s\n", time.Since(s.began).Round(100*time.Millisecond), fmt.Sprintf(format, args...))
}

// fault is something that must not be. The scenario goes on, to show what else there is.
func (s *soak) fault(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults++; s.faults <= mostFaults {
		s.Errorf("after %v: %s", time.Since(s.began).Round(time.Second), fmt.Sprintf(format, args...))
	}
}

// write puts a file that only we may read into the directory.
func (s *soak) write(name, text string) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

// await polls until there is no problem any more, and ends the scenario with the last one if that takes too long.
func (s *soak) await(what string, limit time.Duration, problem func() string) {
	s.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; <-tick.C {
		p := problem()
		if p == "" {
			return
		}
		if time.Now().After(end) {
			s.Fatalf("%s: not within %v: %s", what, limit, p)
		}
	}
}

// logs calls each with every line that the daemons have printed.
func (s *soak) logs(each func(file, line string)) {
	s.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "*.log"))
	if err != nil {
		s.Fatal(err)
	}
	for _, file := range files {
		all, err := os.ReadFile(file)
		if err != nil {
			s.Fatal(err)
		}
		for line := range strings.Lines(string(all)) {
			each(filepath.Base(file), strings.TrimSpace(line))
		}
	}
}
