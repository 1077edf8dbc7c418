package tty

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// sysDevices is where the kernel shows character devices by number.
const sysDevices = "/sys/dev/char"

// usbIdentity returns vendor:product of the USB device that a tty belongs to,
// as the kernel shows it in sysfs; empty if there is none.
func usbIdentity(sys string, rdev uint64) string {
	dir, err := filepath.EvalSymlinks(filepath.Join(sys, fmt.Sprintf("%d:%d", unix.Major(rdev), unix.Minor(rdev)), "device"))
	if err != nil {
		return ""
	}
	for ; len(dir) > 1; dir = filepath.Dir(dir) {
		vendor, err := os.ReadFile(filepath.Join(dir, "idVendor"))
		if err != nil {
			continue
		}
		product, err := os.ReadFile(filepath.Join(dir, "idProduct"))
		if err != nil {
			return ""
		}
		return strings.ToLower(strings.TrimSpace(string(vendor)) + ":" + strings.TrimSpace(string(product)))
	}
	return ""
}
