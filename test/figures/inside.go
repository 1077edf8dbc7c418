package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	insideName = "figures-inside" // argument 0 of the process that measures
	reportFD   = 3                // where it writes messages
	workDir    = "/run/figures"   // of the namespace's own tmpfs
	tempDir    = workDir + "/tmp"
)

// binDir has our programs.
var binDir = workDir + "/bin"

// enter has the sections measured by process 1 of a PID namespace, with network and mounts of its own. When it ends, or when this process
// does, the kernel kills all that it has started, and with the last process go namespaces, interfaces and files.
func enter(o options, t *table) error {
	// Process 1 gets SIGKILL when the thread that started it ends: it must be one that stays.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	report, reportOut, err := os.Pipe()
	if err != nil {
		return err
	}
	defer report.Close()
	order, err := json.Marshal(o)
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", string(order))
	cmd.Args[0] = insideName
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.ExtraFiles = []*os.File{reportOut}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
	}
	err = cmd.Start()
	reportOut.Close()
	if err != nil {
		return fmt.Errorf("namespaces cannot be made: %w", err)
	}
	err = collect(report, t)
	if ended := cmd.Wait(); ended != nil {
		err = fmt.Errorf("the process that measures: %w", ended)
	}
	return err
}

// inside is the process that measures. It returns its exit status.
func inside() int {
	unix.CloseOnExec(reportFD)
	var o options
	err := json.Unmarshal([]byte(os.Args[1]), &o)
	if err == nil {
		err = prepare(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		return 1
	}
	report := json.NewEncoder(os.NewFile(reportFD, "report"))
	for _, s := range sections(o) {
		if s.outside || !o.wants(s.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "figures: measuring %s\n", s.name)
		if err := report.Encode(message{s.name, within(sectionLimit, s)}); err != nil {
			return 1
		}
	}
	return 0
}

// sectionLimit is longer than any section takes, on a machine that is busy with other things too.
const sectionLimit = 15 * time.Minute

// within measures a section. If it hangs, all processes that it has started are killed: this one is the first of its PID namespace.
func within(limit time.Duration, s section) result {
	measure := s.measure
	s.measure = func(r *run) {
		late := time.AfterFunc(limit, func() {
			r.problem(fmt.Sprintf("not over within %v", limit))
			if os.Getpid() == 1 { // else it would be everybody's
				_ = unix.Kill(-1, unix.SIGKILL)
			}
		})
		r.Cleanup(func() { late.Stop() })
		measure(r)
	}
	return measureSection(s)
}

// prepare gives the namespaces a /proc and a /run of their own, and copies the programs there: nobody rebuilds them meanwhile.
func prepare(o options) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("detaching the mounts: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	programs := map[string][]byte{}
	from := map[string]string{"pac": o.Bin, "pns": o.Bin}
	if o.Ceiling != "" {
		from[ceilingProgram] = o.Ceiling
	}
	for name, dir := range from {
		var err error
		if programs[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	var err error
	if programs[relayName], err = os.ReadFile("/proc/self/exe"); err != nil {
		return err
	}
	if err := unix.Mount("figures", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("a tmpfs over /run: %w", err)
	}
	for _, dir := range []string{binDir, tempDir, "/run/lock"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for name, octets := range programs {
		if err := os.WriteFile(filepath.Join(binDir, name), octets, 0o755); err != nil {
			return err
		}
	}
	return os.Setenv("TMPDIR", tempDir)
}
