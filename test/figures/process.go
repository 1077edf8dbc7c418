package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"trunkline.example/test/netns"
	"trunkline.example/test/output"
	"trunkline.example/test/watch"
)

// process is a running program of ours.
type process struct {
	r    *run
	name string
	cmd  *exec.Cmd
	out  output.Buffer
	done chan struct{}
	err  error
}

// start starts pac or pns in a namespace; it is stopped when the section is over.
func (r *run) start(space *netns.Space, input, name string, args ...string) *process {
	return r.startProgram(space, nil, input, filepath.Join(binDir, name), args...)
}

// startProgram does so with any program.
func (r *run) startProgram(space *netns.Space, env []string, input, program string, args ...string) *process {
	p := &process{r: r, name: filepath.Base(program), done: make(chan struct{})}
	p.cmd = space.Command(context.Background(), program, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdin = strings.NewReader(input)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		r.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	r.Cleanup(p.stop)
	return p
}

// daemon starts a daemon and waits until it says that it is ready (sd_notify).
func (r *run) daemon(space *netns.Space, name string, args ...string) *process {
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(r.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		r.Fatal(err)
	}
	defer notify.Close()
	p := r.startProgram(space, []string{"NOTIFY_SOCKET=" + notify.LocalAddr().String()}, "", filepath.Join(binDir, name), args...)
	buf := make([]byte, 4096)
	r.eventually(name+" is not ready", 30*time.Second, func() bool {
		select {
		case <-p.done:
			r.Fatalf("%s has ended: %v\n%s", name, p.err, p.out.String())
		default:
		}
		_ = notify.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := notify.Read(buf)
		return err == nil && bytes.Contains(buf[:n], []byte("READY=1"))
	})
	return p
}

// stop ends the program, orderly if it can.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	select {
	case <-p.done:
	case <-limit.C:
		p.r.Errorf("%s did not stop within 20 s of SIGTERM", p.name)
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// pid is the program's own: `ip netns exec` has become it.
func (p *process) pid() int { return p.cmd.Process.Pid }

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
