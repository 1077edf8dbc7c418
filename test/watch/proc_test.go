package watch

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseCPU(t *testing.T) {
	const stat = "42 (a name) with) S 1 42 42 0 -1 4194560 100 0 0 0 250 17 0 0 20 0 9 0 1000 0 0"
	if d, err := parseCPU(stat); err != nil || d != 2670*time.Millisecond {
		t.Errorf("%v, %v", d, err)
	}
	for _, bad := range []string{"", "42 (pns) S 1 2 3", strings.Replace(stat, "250", "x", 1), strings.Replace(stat, " 17 ", " x ", 1)} {
		if d, err := parseCPU(bad); err == nil {
			t.Errorf("%q is read as %v", bad, d)
		}
	}
}

func TestFigures(t *testing.T) {
	self := os.Getpid()
	if used, err := CPUTime(self); err != nil || used < 0 || used > time.Hour {
		t.Errorf("%v, %v", used, err)
	}
	if threads, err := StatusField(self, "Threads"); err != nil || threads < 2 {
		t.Errorf("%d threads, %v", threads, err)
	}
	if n, err := StatusField(self, "Nothing"); err == nil {
		t.Errorf("a field that is not there: %d", n)
	}
	before, err := Descriptors(self)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if kinds := Open(self); kinds["pipe"] < 2 {
		t.Errorf("%v", kinds)
	}
	if after, err := Descriptors(self); err != nil || after != before+2 {
		t.Errorf("%d descriptors, %d before a pipe; %v", after, before, err)
	}
}

// A child counts also when it has ended, until somebody waits for it.
func TestChildren(t *testing.T) {
	child := exec.Command("cat")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	has := func() bool {
		all, err := Children(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		return slices.Contains(all, child.Process.Pid)
	}
	if !has() {
		t.Error("a child that runs is not among the children")
	}
	_ = in.Close()
	if !has() {
		t.Error("a child that nobody has waited for is not among the children")
	}
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	if has() {
		t.Error("a child that is gone is among the children")
	}
}
