package lineplugin

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/zap/zaptest"

	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

// privileges tells what the kernel says of its process as its version.
type privileges struct{ *linetest.Fake }

func (p privileges) Info() line.Info {
	info := p.Fake.Info()
	status, _ := os.ReadFile("/proc/self/status")
	info.Version = string(status)
	return info
}

// field returns a number of /proc/PID/status, in hexadecimal.
func field(t *testing.T, status, name string) uint64 {
	t.Helper()
	_, rest, found := strings.Cut(status, "\n"+name+":\t")
	value, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseUint(value, 16, 64)
	if !found || err != nil {
		t.Fatalf("%s: %q, %v in\n%s", name, value, err, status)
	}
	return n
}

// A driver has no more of our capabilities than its devices need, and gets no more by what it starts; we keep ours.
func TestDriverHasLittlePrivilege(t *testing.T) {
	before, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	d, _ := supervised(t, zaptest.NewLogger(t), "serve-privileges")
	theirs := d.Info().Version
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
		if n := field(t, theirs, set); n&^keptCapabilities != 0 {
			t.Errorf("the driver's %s is %x", set, n)
		}
	}
	if field(t, theirs, "NoNewPrivs") != 1 {
		t.Error("what the driver starts may have more privileges")
	}
	after, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{"CapPrm", "CapEff", "NoNewPrivs"} {
		if is, was := field(t, string(after), set), field(t, string(before), set); is != was {
			t.Errorf("our own %s was %x and is %x", set, was, is)
		}
	}
}
