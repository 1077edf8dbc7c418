// Command gate runs `go test` with the given arguments (in another module's directory: first -C DIR) and reports for people: a line per package, the whole
// output of what failed, what was skipped and why, and the totals. Where nothing may be skipped (as root, or
// with CI=true in the environment) a skipped test fails the run.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sort"
	"strings"
)

// event is one line of `go test -json` (see `go doc test2json`).
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

// run collects the events of one `go test`.
type run struct {
	output                  map[string][]string // by package and test
	passed, failed, skipped int
	skips                   []string
	failures                []string
}

func main() {
	args, dir := os.Args[1:], ""
	if len(args) > 1 && args[0] == "-C" {
		args, dir = args[2:], args[1]
	}
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gate:", err)
		os.Exit(1)
	}
	r := &run{output: map[string][]string{}}
	r.read(pipe)
	failed := cmd.Wait() != nil || r.failed > 0
	r.report(os.Stdout)
	if r.skipped > 0 && (os.Getuid() == 0 || os.Getenv("CI") == "true") {
		fmt.Println("gate: nothing may be skipped here")
		failed = true
	}
	if r.passed+r.failed == 0 {
		fmt.Println("gate: no test ran")
		failed = true
	}
	if failed {
		os.Exit(1)
	}
}

func (r *run) read(in io.Reader) {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		if json.Unmarshal(line, &e) == nil {
			r.add(e)
		} else {
			fmt.Print(string(line))
		}
		if err != nil {
			return
		}
	}
}

func (r *run) add(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		r.output[key] = append(r.output[key], e.Output)
		return
	case "build-output":
		fmt.Print(e.Output)
		return
	case "pass", "fail", "skip":
	default:
		return
	}
	if e.Test == "" {
		r.addPackage(e, key)
		return
	}
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		r.failures = append(r.failures, key)
	case "skip":
		r.skipped++
		r.skips = append(r.skips, key+": "+reason(r.output[key]))
	}
	if e.Action != "fail" {
		delete(r.output, key)
	}
}

func (r *run) addPackage(e event, key string) {
	if e.Action == "skip" {
		return // no test files
	}
	fmt.Printf("%-4s %s (%.1f s)\n", e.Action, e.Package, e.Elapsed)
	if e.Action != "fail" {
		delete(r.output, key)
		return
	}
	// A panic and a time-out end tests without a verdict; what they printed is the most important.
	for other := range r.output {
		if strings.HasPrefix(other, key) && !slices.Contains(r.failures, other) {
			r.failures = append(r.failures, other)
		}
	}
}

// reason is the text that a skipped test gave: the last one it printed.
func reason(output []string) string {
	for _, line := range slices.Backward(output) {
		if !strings.Contains(line, "=== ") && !strings.Contains(line, "--- SKIP") {
			return strings.TrimSpace(line)
		}
	}
	return "no reason given"
}

func (r *run) report(w io.Writer) {
	sort.Strings(r.failures)
	for _, key := range r.failures {
		fmt.Fprintf(w, "\nFAILED %s\n%s", key, strings.Join(r.output[key], ""))
	}
	sort.Strings(r.skips)
	for _, s := range r.skips {
		fmt.Fprintln(w, "skipped", s)
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
}
