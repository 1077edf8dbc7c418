// Command figures measures both daemons, built as for a release, and prints one table: how soon a dial-in call answers a ping, what
// processor time and memory calls cost, and what throughput and delay the network server has. docs/performance.md explains the figures.
//
//	go run ./test/figures [--json] [--only SECTION,...] [--bin DIR]
//
// It needs root, and for one section user-mode-linux and its clients; what it cannot measure it names, with the reason. Everything
// runs in a network, a PID and a mount namespace of its own, so nothing stays behind, whoever is killed.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// options are what the command line says.
type options struct {
	JSON     bool     `json:"-"`
	Bin      string   `json:"bin"`
	Only     []string `json:"only"`
	Sessions int      `json:"sessions"`
	Quick    bool     `json:"quick"`
	Save     string   `json:"-"` // directory for figures.json and the plots; "" is none
	From     string   `json:"-"` // a figures.json to show instead of measuring

	Ceiling string `json:"ceiling"` // directory of the generator's benchmarks; "" if they could not be built
}

// time is how long something is measured.
func (o options) time(full time.Duration) time.Duration {
	if o.Quick {
		return full / 10
	}
	return full
}

// section is one group of figures.
type section struct {
	name    string
	outside bool // needs no namespaces
	measure func(*run)
}

func sections(o options) []section {
	return []section{
		{name: "binaries", outside: true, measure: func(r *run) { measureBinaries(r, o.Bin) }},
		{name: "dial", measure: func(r *run) { measureDial(r, o) }},
		{name: "lines", measure: func(r *run) { measureLines(r, o) }},
		{name: "bank", measure: func(r *run) { measureFull(r, o) }},
		{name: "client", measure: func(r *run) { measureClient(r, o) }},
		{name: "kernel", measure: func(r *run) { measureKernel(r, o) }},
		{name: "sessions", measure: func(r *run) { measureSessions(r, o) }},
		{name: "speed", measure: func(r *run) { measureSpeed(r, o) }},
		{name: "load", measure: func(r *run) { measureLoaded(r, o) }},
		{name: "relayed", measure: func(r *run) { measureRelayed(r, o) }},
	}
}

func main() {
	switch filepath.Base(os.Args[0]) {
	case relayName:
		os.Exit(relay(os.Args[1:]))
	case insideName:
		os.Exit(inside())
	case guestName:
		os.Exit(insideGuest())
	}
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = outside(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("figures", flag.ContinueOnError)
	f.BoolVar(&o.JSON, "json", false, "print JSON")
	f.StringVar(&o.Bin, "bin", "", "directory of pac and pns (default: they are built by `make build`)")
	only := f.String("only", "", "sections, separated by commas (default: all)")
	f.IntVar(&o.Sessions, "sessions", manySessions, "direct sessions that are held")
	f.BoolVar(&o.Quick, "quick", false, "measure for a tenth of the time, to try the program out")
	f.StringVar(&o.Save, "save", "", "write "+savedName+" and plots (SVG) into this directory")
	f.StringVar(&o.From, "from", "", "show what a "+savedName+" has, without measuring")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if *only != "" {
		o.Only = strings.Split(*only, ",")
	}
	var names []string
	for _, s := range sections(o) {
		names = append(names, s.name)
	}
	for _, name := range o.Only {
		if !slices.Contains(names, name) {
			return o, fmt.Errorf("--only %s is none of %s", name, strings.Join(names, ", "))
		}
	}
	if o.Sessions < 1 || o.Sessions > maxSessions {
		return o, fmt.Errorf("--sessions must be between 1 and %d", maxSessions)
	}
	return o, nil
}

// outside measures, or reads what was measured, and shows it.
func outside(o options) error {
	var t table
	var err error
	if o.From != "" {
		err = t.load(o.From)
	} else {
		err = t.measure(o)
	}
	if err != nil {
		return err
	}
	t.judgeAll(goals)
	if o.Save != "" {
		if err := t.save(o.Save); err != nil {
			return err
		}
	}
	if err := t.print(os.Stdout, o.JSON); err != nil {
		return err
	}
	if len(t.Problems) > 0 {
		return fmt.Errorf("%d sections could not be measured to the end", len(t.Problems))
	}
	return nil
}

// measure builds the daemons, measures what needs no namespaces, and has the rest measured inside.
func (t *table) measure(o options) error {
	began := time.Now()
	var err error
	if o.Bin == "" {
		o.Bin, err = build()
	} else {
		o.Bin, err = filepath.Abs(o.Bin)
	}
	if err != nil {
		return err
	}
	t.Machine = describeMachine(o.Bin)
	root := os.Getuid() == 0
	for _, s := range sections(o) {
		switch {
		case !o.wants(s.name):
		case s.outside:
			t.take(s.name, measureSection(s))
		case !root:
			t.take(s.name, result{Skipped: "needs root to make network namespaces and a TUN"})
		}
	}
	if root {
		if o.wants("sessions") {
			dir, err := os.MkdirTemp("", "ceiling-*")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			if err = buildCeiling(dir); err == nil {
				o.Ceiling = dir
			} else {
				fmt.Fprintln(os.Stderr, "figures: the generator's own ceiling cannot be measured:", err)
			}
		}
		if err := enter(o, t); err != nil {
			t.Problems = append(t.Problems, err.Error())
		}
	}
	t.Seconds = time.Since(began).Seconds()
	if len(o.Only) == 0 && !o.Quick {
		t.take(wholeRun, result{Figures: []figure{{wholeRun, t.Seconds, "s", "builds included"}}})
	}
	return nil
}

func (o options) wants(name string) bool { return len(o.Only) == 0 || slices.Contains(o.Only, name) }

// build makes the release builds as `make build` does and returns their directory.
func build() (string, error) {
	cmd := exec.Command("make", "-s", "-C", top(), "build")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("make build: %w", err)
	}
	return filepath.Join(top(), "bin"), nil
}

// top is the directory of the module.
func top() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// measureBinaries tells the sizes of the two programs.
func measureBinaries(r *run, bin string) {
	for _, name := range []string{"pac", "pns"} {
		info, err := os.Stat(filepath.Join(bin, name))
		if err != nil {
			r.Fatal(err)
		}
		r.add("size of "+name, float64(info.Size())/(1<<20), "MiB", "stripped, no cgo, no shared libraries")
	}
}

// message is what the process inside reports, section by section.
type message struct {
	Name   string
	Result result
}

// collect reads what is reported inside.
func collect(in io.Reader, t *table) error {
	for d := json.NewDecoder(in); ; {
		var m message
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		t.take(m.Name, m.Result)
	}
}
