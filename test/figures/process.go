package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"trunkline.example/test/daemon"
	"trunkline.example/test/netns"
	"trunkline.example/test/watch"
)

// start starts pac or pns in a namespace; it is stopped when the section is over.
func (r *run) start(space *netns.Space, input, name string, args ...string) *daemon.Daemon {
	return r.startProgram(space, nil, input, filepath.Join(binDir, name), args...)
}

// startProgram does so with any program.
func (r *run) startProgram(space *netns.Space, env []string, input, program string, args ...string) *daemon.Daemon {
	return daemon.Start(r, daemon.Options{Space: space, Program: program, Args: args, Env: env, Input: input})
}

// daemon starts a daemon and waits until it says that it is ready. It writes its log to a file itself: where calls are many it would else wait for us.
func (r *run) daemon(space *netns.Space, name string, args ...string) *daemon.Daemon {
	return daemon.Run(r, daemon.Options{Space: space, Program: filepath.Join(binDir, name), Args: args, Log: filepath.Join(r.TempDir(), name+".log")})
}

// ask runs one of our commands to its end and decodes what it prints.
func (r *run) ask(into any, name string, args ...string) {
	out, err := exec.Command(filepath.Join(binDir, name), args...).Output()
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		r.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
}

// cpuTime is the processor time, user and system, that a process has used, in all its threads, living and dead.
func (r *run) cpuTime(pid int) time.Duration { return got(r, pid, watch.CPUTime) }

// descriptors is how many files a process has open.
func (r *run) descriptors(pid int) int { return got(r, pid, watch.Descriptors) }

// field is a number of /proc/PID/status.
func (r *run) field(pid int, field string) float64 {
	return float64(got(r, pid, func(pid int) (int64, error) { return watch.StatusField(pid, field) }))
}

// memory is the resident memory of a process in KiB.
func (r *run) memory(pid int) float64 { return r.field(pid, "VmRSS") }

// got is a figure of a process, which must have it.
func got[T any](r *run, pid int, figure func(pid int) (T, error)) T {
	v, err := figure(pid)
	if err != nil {
		r.Fatal(err)
	}
	return v
}

// usage is the processor time of some processes between two looks.
type usage struct {
	r     *run
	pids  map[string]int
	began time.Time
	used  map[string]time.Duration
}

func (r *run) watch(pids map[string]int) *usage {
	l := &usage{r: r, pids: pids, began: time.Now(), used: map[string]time.Duration{}}
	for name, pid := range pids {
		l.used[name] = r.cpuTime(pid)
	}
	return l
}

// share is what a process has used since, in per cent of one processor.
func (l *usage) share(name string) float64 {
	return 100 * l.seconds(name) / time.Since(l.began).Seconds()
}

// seconds is the same in seconds.
func (l *usage) seconds(name string) float64 {
	return (l.r.cpuTime(l.pids[name]) - l.used[name]).Seconds()
}
