package tty

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"trunkline.example/modem/port"
)

// sysDevices is where the kernel shows character devices by number.
const sysDevices = "/sys/dev/char"

// usbDevice returns vendor:product of the USB device that a tty belongs to, and
// its directory, as the kernel shows it in sysfs; empty if there is none.
func usbDevice(sys string, rdev uint64) (id, dir string) {
	dir, err := filepath.EvalSymlinks(filepath.Join(sys, fmt.Sprintf("%d:%d", unix.Major(rdev), unix.Minor(rdev)), "device"))
	if err != nil {
		return "", ""
	}
	id, dir, _ = climb(dir)
	return id, dir
}

// Switch implements port.Switcher for USB devices. The power is that of the hub's
// port, where hub and kernel (6.0) can. It takes root.
func (p *Port) Switch(power bool) (func(on bool) error, error) { return usbSwitch(p.usb, power) }

// usbSwitch is Switch for the USB device with that directory in sysfs
// (Documentation/ABI/testing/sysfs-bus-usb); an empty one is none.
func usbSwitch(dir string, power bool) (func(on bool) error, error) {
	if dir == "" {
		return nil, fmt.Errorf("%w: it is no USB device", port.ErrUnsupported)
	}
	file, off, on := filepath.Join(dir, "authorized"), "0", "1"
	if power {
		portDir, err := filepath.EvalSymlinks(filepath.Join(dir, "port")) // the link vanishes with the device
		if err != nil {
			return nil, fmt.Errorf("%w: %w", port.ErrUnsupported, err)
		}
		file, off, on = filepath.Join(portDir, "disable"), "1", "0"
	}
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("%w: %w", port.ErrUnsupported, err)
	}
	return func(up bool) error {
		text := off
		if up {
			text = on
		}
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString(text)
		return errors.Join(err, f.Close())
	}, nil
}

// USBRoots are the directories in sysfs of the USB controllers there are; all that is plugged in lies below them.
func USBRoots() []string {
	links, _ := filepath.Glob("/sys/bus/usb/devices/usb*") // its only error is a bad pattern
	var roots []string
	for _, link := range links {
		if root, err := filepath.EvalSymlinks(link); err == nil {
			roots = append(roots, root)
		}
	}
	return roots
}
