package tty

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"trunkline.example/modem/port"
)

// The directories are as for a modem at port 2 of a root hub.
func TestUSBIdentity(t *testing.T) {
	root := t.TempDir()
	device := filepath.Join(root, "devices/usb1/1-2")
	tty := filepath.Join(device, "1-2:1.0/tty/ttyACM0")
	char := filepath.Join(root, "dev/char")
	for _, d := range []string{tty, char, filepath.Join(root, "devices/serial8250/tty/ttyS0")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"idVendor": "0BAF\n", "idProduct": "0303\n"} {
		if err := os.WriteFile(filepath.Join(device, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range [][2]string{
		{filepath.Join(device, "1-2:1.0"), filepath.Join(tty, "device")}, {tty, filepath.Join(char, "166:0")},
		{filepath.Join(root, "devices/serial8250"), filepath.Join(root, "devices/serial8250/tty/ttyS0/device")},
		{filepath.Join(root, "devices/serial8250/tty/ttyS0"), filepath.Join(char, "4:64")},
	} {
		if err := os.Symlink(link[0], link[1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		major, minor uint32
		want         string
	}{{166, 0, "0baf:0303"}, {4, 64, ""}, {188, 0, ""}} {
		got, dir := usbDevice(char, unix.Mkdev(c.major, c.minor))
		if got != c.want || c.want != "" && dir != device || c.want == "" && dir != "" {
			t.Errorf("%d:%d: %q in %q", c.major, c.minor, got, dir)
		}
	}
}

func TestUSBSwitch(t *testing.T) {
	root := t.TempDir()
	device, hubPort := filepath.Join(root, "usb1/1-2"), filepath.Join(root, "usb1/1-0:1.0/usb1-port2")
	for _, d := range []string{device, hubPort} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, power := range []bool{false, true} {
		if _, err := usbSwitch(device, power); !errors.Is(err, port.ErrUnsupported) {
			t.Errorf("power %v: %v", power, err)
		}
	}
	if err := os.Symlink(hubPort, filepath.Join(device, "port")); err != nil {
		t.Fatal(err)
	}
	authorized, disable := filepath.Join(device, "authorized"), filepath.Join(hubPort, "disable")
	for file, text := range map[string]string{authorized: "1", disable: "0"} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		power         bool
		file, off, on string
	}{{false, authorized, "0", "1"}, {true, disable, "1", "0"}} {
		use, err := usbSwitch(device, c.power)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			on   bool
			want string
		}{{false, c.off}, {true, c.on}} {
			err := use(step.on)
			if text, readErr := os.ReadFile(c.file); err != nil || readErr != nil || string(text) != step.want {
				t.Errorf("%s: %q instead of %q: %v", c.file, text, step.want, err)
			}
		}
	}
}
