package tty

import (
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The device numbers of serial ports (Linux Documentation/admin-guide/devices.txt: ttyS0 and on).
const (
	serialMajor = 4
	serialMinor = 64
)

// devpts is the type of file systems with pseudo-terminals (linux/magic.h).
const devpts = 0x1cd1

// Fixed says whether a device, by its own name, is a serial port of the machine itself: its file is the same for as long as the system runs. Those on cards
// and on USB can be plugged in again, and get another one.
func Fixed(device string) bool {
	var stat unix.Stat_t
	if err := unix.Stat(device, &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFCHR ||
		unix.Major(stat.Rdev) != serialMajor || unix.Minor(stat.Rdev) < serialMinor {
		return false
	}
	parent, err := filepath.EvalSymlinks(filepath.Join(sysDevices, fmt.Sprintf("%d:%d", unix.Major(stat.Rdev), unix.Minor(stat.Rdev)), "device"))
	return err == nil && !strings.Contains(parent, "/pci") && !strings.Contains(parent, "/usb")
}

// IsTerminals says whether a directory is one of pseudo-terminals, wherever it is mounted.
func IsTerminals(directory string) bool {
	var s unix.Statfs_t
	return unix.Statfs(directory, &s) == nil && s.Type == devpts
}
