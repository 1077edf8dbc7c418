package tty

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// sysTTY is where the kernel shows the ttys.
const sysTTY = "/sys/class/tty"

// Found is a device that matches a pattern.
type Found struct {
	Identity string // stays when the device is plugged in again
	Device   string // path
}

var usbPattern = regexp.MustCompile(`^usb:([0-9a-fA-F]{4}|\*):([0-9a-fA-F]{4}|\*)$`)

// IsUSBPattern says whether it is one of FindUSB.
func IsUSBPattern(pattern string) bool { return usbPattern.MatchString(pattern) }

// FindUSB returns the ttys of USB devices, in the order of their identities.
// pattern is usb:VENDOR:PRODUCT, each * for any. The identity of one is vendor,
// product and serial number; of one without a serial number, or that has it in
// common with others, the port it is plugged into; and the interface.
func FindUSB(pattern string) ([]Found, error) { return findUSB(sysTTY, pattern) }

func findUSB(sys, pattern string) ([]Found, error) {
	wanted := usbPattern.FindStringSubmatch(strings.ToLower(pattern))
	entries, err := os.ReadDir(sys)
	if err != nil || wanted == nil {
		return nil, err
	}
	type tty struct{ name, port, serial, function string }
	var ttys []tty
	ports := map[string][]string{} // by serial number
	for _, e := range entries {
		dir, err := filepath.EvalSymlinks(filepath.Join(sys, e.Name(), "device"))
		if err != nil {
			continue
		}
		id, device, function := climb(dir)
		vendor, product, ok := strings.Cut(id, ":")
		if !ok || wanted[1] != "*" && wanted[1] != vendor || wanted[2] != "*" && wanted[2] != product {
			continue
		}
		one := tty{name: e.Name(), port: filepath.Base(device), function: function}
		if serial := attribute(device, "serial"); serial != "" {
			one.serial = id + ":" + serial
			if !slices.Contains(ports[one.serial], one.port) {
				ports[one.serial] = append(ports[one.serial], one.port)
			}
		}
		ttys = append(ttys, one)
	}
	var found []Found
	for _, one := range ttys {
		identity := "port " + one.port
		if len(ports[one.serial]) == 1 {
			identity = one.serial
		}
		found = append(found, Found{Identity: identity + " interface " + one.function, Device: "/dev/" + one.name})
	}
	slices.SortFunc(found, func(a, b Found) int { return strings.Compare(a.Identity, b.Identity) })
	return found, nil
}

// climb goes up from a directory in sysfs to that of the USB device it belongs to,
// and returns vendor:product, the directory, and the number of the interface on
// the way; nothing if it belongs to none.
func climb(dir string) (id, device, function string) {
	for ; len(dir) > 1; dir = filepath.Dir(dir) {
		if number := attribute(dir, "bInterfaceNumber"); number != "" {
			function = number
		}
		vendor, product := attribute(dir, "idVendor"), attribute(dir, "idProduct")
		if vendor != "" && product != "" {
			return strings.ToLower(vendor + ":" + product), dir, function
		}
	}
	return "", "", ""
}

// attribute reads a file of sysfs; empty if there is none.
func attribute(dir, name string) string {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
