package tty

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// plugged makes a USB device with one tty in a directory like sysfs.
func plugged(t *testing.T, root, port, tty, function, vendor, product, serial string) {
	t.Helper()
	device := filepath.Join(root, "devices/usb1", port)
	dir := filepath.Join(device, port+":1."+function, "tty", tty)
	for _, d := range []string{dir, filepath.Join(root, "class")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"idVendor": vendor, "idProduct": product, "serial": serial, port + ":1." + function + "/bInterfaceNumber": "0" + function,
	} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(device, name), []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range [][2]string{{filepath.Dir(filepath.Dir(dir)), filepath.Join(dir, "device")}, {dir, filepath.Join(root, "class", tty)}} {
		if err := os.Symlink(link[0], link[1]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFindUSB(t *testing.T) {
	root := t.TempDir()
	plugged(t, root, "1-1", "ttyACM1", "0", "0baf", "0303", "00000002")
	plugged(t, root, "1-2", "ttyACM0", "0", "0baf", "0303", "00000001")
	plugged(t, root, "1-3.1", "ttyACM2", "0", "0572", "1329", "24680246") // sticks of one make often have one serial number
	plugged(t, root, "1-3.2", "ttyACM3", "0", "0572", "1329", "24680246")
	plugged(t, root, "1-4", "ttyUSB0", "0", "0403", "6011", "") // an adapter with two ports
	plugged(t, root, "1-4", "ttyUSB1", "1", "0403", "6011", "")
	for _, c := range []struct {
		pattern string
		want    []Found
	}{
		{"usb:0BAF:*", []Found{{"0baf:0303:00000001 interface 00", "/dev/ttyACM0"}, {"0baf:0303:00000002 interface 00", "/dev/ttyACM1"}}},
		{"usb:0572:1329", []Found{{"port 1-3.1 interface 00", "/dev/ttyACM2"}, {"port 1-3.2 interface 00", "/dev/ttyACM3"}}},
		{"usb:0403:6011", []Found{{"port 1-4 interface 00", "/dev/ttyUSB0"}, {"port 1-4 interface 01", "/dev/ttyUSB1"}}},
		{"usb:0572:0000", nil},
		{"/dev/ttyACM0", nil},
	} {
		got, err := findUSB(filepath.Join(root, "class"), c.pattern)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v", c.pattern, got, err)
		}
	}
	if all, err := findUSB(filepath.Join(root, "class"), "usb:*:*"); err != nil || len(all) != 6 {
		t.Errorf("%v, %v", all, err)
	}
}
