package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	ceilingProgram = "load.test" // the benchmarks of pns/load, among them that against a server that does nothing
	ceilingCalls   = 4000
	ceilingLimit   = time.Minute
	ceilingWhat    = "set-up by the generator, against a server that does nothing"
)

// buildCeiling builds the benchmarks of the generator into a directory.
func buildCeiling(dir string) error {
	cmd := exec.Command("go", "test", "-c", "-o", filepath.Join(dir, ceilingProgram), "./pns/load")
	cmd.Dir = top()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go test -c ./pns/load: %w\n%s", err, out)
	}
	return nil
}

// ceiling tells how fast the generator sets calls up when nobody holds it back: beside it, the server's figures can be believed.
func (g *generator) ceiling(o options) {
	program := filepath.Join(binDir, ceilingProgram)
	if _, err := os.Stat(program); err != nil {
		g.Logf("the generator's own ceiling is not measured: %v", err)
		return
	}
	calls := ceilingCalls
	if o.Quick {
		calls /= 10
	}
	cmd := g.startProgram(g.clients, nil, "", program, "-test.run", "^$", "-test.bench", "SetUp/MS-CHAPv2.*/as_PAC_false", "-test.benchtime", fmt.Sprintf("%dx", calls),
		"-test.timeout", ceilingLimit.String())
	<-cmd.Done()
	values := benchmarked(cmd.Log())
	if cmd.Err() != nil || values["calls/s"] == 0 {
		g.Errorf("the generator alone: %v\n%s", cmd.Err(), lastLines(cmd.Log(), logLines))
		return
	}
	g.add(ceilingWhat, values["calls/s"], "calls/s", "%d calls, 64 at once; the server has a thread in the same process, and the same processors", calls)
	g.add(ceilingWhat+": for each core that the generator uses", values["calls/s-of-a-core"], "calls/s", "%s µs a call, clearing it included", digits(values["own-us/call"]))
}

// benchmarked are the values by unit of the last benchmark that a test program has printed.
func benchmarked(text string) map[string]float64 {
	values := map[string]float64{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || !strings.HasPrefix(line, "Benchmark") {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				values[fields[i+1]] = v
			}
		}
	}
	return values
}
