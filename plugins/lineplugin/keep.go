package lineplugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"

	"trunkline.example/shared/line"
)

// Keep has a driver's process outlive its host: lines keep their carrier, data and events wait within their bounds, and the next host that
// loads the driver with the same directory takes it over. The driver must be able to (Capabilities.Recover). The zero value keeps nothing.
type Keep struct {
	Dir string        // of our own, for the socket and what the next host must know; one driver's alone
	For time.Duration // how long the process waits for its next host before it frees its lines and ends
}

func (k Keep) on() bool { return k.Dir != "" }

// keptFile is what the next host must know of a process.
const keptFile = "driver.json"

// kept identifies a process that waits for its next host. A process number alone may be another process's by then.
type kept struct {
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // in the kernel's units since its start, as /proc/PID/stat tells
	Socket  string `json:"socket"`
	Confinement
}

// hold makes the directory and locks it: no two hosts may have the same driver.
func (k Keep) hold() (*os.File, error) {
	if err := os.MkdirAll(k.Dir, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.OpenFile(k.Dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := dir.Stat()
	switch {
	case err != nil:
	case !isOurs(info) || info.Mode().Perm()&0o077 != 0:
		err = fmt.Errorf("%w: %s can be entered by others", line.ErrConfiguration, k.Dir)
	default:
		if err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("%w: another host has the driver of %s", line.ErrDriver, k.Dir)
		}
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

// waiting returns the process that waits in the directory, if there is one.
func (k Keep) waiting() (kept, bool) {
	var w kept
	data, err := os.ReadFile(filepath.Join(k.Dir, keptFile))
	if err != nil || json.Unmarshal(data, &w) != nil || w.PID <= 1 {
		return w, false
	}
	started, err := startOf(w.PID)
	return w, err == nil && started == w.Started
}

// note writes down what the next host must know.
func (k Keep) note(pid int, address net.Addr, c Confinement) error {
	started, err := startOf(pid)
	if err != nil {
		return err
	}
	data, err := json.Marshal(kept{pid, started, address.String(), c})
	if err != nil {
		return err
	}
	file := filepath.Join(k.Dir, keptFile)
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// clear removes what a process has left that is gone.
func (k Keep) clear() {
	all, _ := os.ReadDir(k.Dir)
	for _, one := range all {
		_ = os.RemoveAll(filepath.Join(k.Dir, one.Name()))
	}
}

// reattach tells go-plugin where the process is.
func (w kept) reattach() *plugin.ReattachConfig {
	return &plugin.ReattachConfig{
		Protocol: plugin.ProtocolGRPC, ProtocolVersion: int(handshake.ProtocolVersion), Pid: w.PID, Addr: &net.UnixAddr{Name: w.Socket, Net: "unix"},
	}
}

// startOf is when a process began (field 22 of /proc/PID/stat).
func startOf(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	const start = 22
	fields := statFields(string(stat))
	if len(fields) <= start-stateField {
		return 0, fmt.Errorf("/proc/%d/stat has only %d fields", pid, len(fields))
	}
	return strconv.ParseUint(fields[start-stateField], 10, 64)
}

// stateField is the first field that statFields returns.
const stateField = 3

// statFields are the fields of /proc/PID/stat behind the name, which may hold anything.
func statFields(stat string) []string {
	return strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
}
