package tty

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
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
		if got := usbIdentity(char, unix.Mkdev(c.major, c.minor)); got != c.want {
			t.Errorf("%d:%d: %q", c.major, c.minor, got)
		}
	}
}
