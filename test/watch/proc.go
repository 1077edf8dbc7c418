package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ticks is how many of the kernel's units of processor time there are in a second (USER_HZ, 100 everywhere).
const ticks = 100

// Fields of /proc/PID/stat that are read, counted from 0 and from the one behind the name, which is the third.
const (
	statParent = 4 - 3
	statUser   = 14 - 3
	statSystem = 15 - 3
)

// CPUTime is the processor time, user and system, that a process has used, in all its threads, living and dead.
func CPUTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	d, err := parseCPU(string(stat))
	if err != nil {
		return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	return d, nil
}

func parseCPU(stat string) (time.Duration, error) {
	fields, err := parseStat(stat)
	if err != nil {
		return 0, err
	}
	u, err := strconv.ParseInt(fields[statUser], 10, 64)
	if err != nil {
		return 0, err
	}
	s, err := strconv.ParseInt(fields[statSystem], 10, 64)
	return time.Duration(u+s) * time.Second / ticks, err
}

// parseStat returns the fields behind the name, which may hold anything itself.
func parseStat(stat string) ([]string, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) <= statSystem {
		return nil, fmt.Errorf("only %d fields", len(fields))
	}
	return fields, nil
}

// StatusField is a number of /proc/PID/status, in the unit that it has there: kB for memory.
func StatusField(pid int, field string) (int64, error) {
	all, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(all)) {
		name, value, _ := strings.Cut(line, ":")
		if words := strings.Fields(value); name == field && len(words) > 0 {
			return strconv.ParseInt(words[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no %s", pid, field)
}

// Descriptors is how many files a process has open.
func Descriptors(pid int) (int, error) {
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(all), err
}

// Open counts the files that a process has open, by what they are: "socket", "anon_inode", a path.
func Open(pid int) map[string]int {
	kinds := map[string]int{}
	all, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return kinds
	}
	for _, path := range all {
		if to, err := os.Readlink(path); err == nil { // else it was closed meanwhile
			kind, _, _ := strings.Cut(to, ":[") // without the number
			kinds[kind]++
		}
	}
	return kinds
}

// Children are the processes whose parent this one is, those that have ended and were not waited for included.
func Children(pid int) ([]int, error) {
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var children []int
	for _, path := range all {
		stat, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // it has ended meanwhile
		} else if err != nil {
			return nil, err
		}
		fields, err := parseStat(string(stat))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if fields[statParent] != strconv.Itoa(pid) {
			continue
		}
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	return children, nil
}
