package tty

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const ueventText = "add@/devices/usb1/1-2/1-2:1.0/tty/ttyACM0|ACTION=add|DEVPATH=/devices/usb1/1-2/1-2:1.0/tty/ttyACM0|SUBSYSTEM=tty|MAJOR=166|DEVNAME=ttyACM0|"

func uevent(text string) []byte { return []byte(strings.ReplaceAll(text, "|", "\x00")) }

func TestPlugMessages(t *testing.T) {
	for text, want := range map[string]bool{
		ueventText: true, strings.ReplaceAll(ueventText, "add", "remove"): false, strings.Replace(ueventText, "=tty|", "=usb|", 1): false,
		"": false, "|": false, "ACTION=add": false, "XACTION=add|SUBSYSTEM=tty": false,
	} {
		if got := isPlug(uevent(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestWatch(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to report a device as the kernel does")
	}
	plugged, stop, err := Watch()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, uevent(ueventText), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-plugged:
	case <-time.After(10 * time.Second):
		t.Error("nothing is told")
	}
	stop()
}
