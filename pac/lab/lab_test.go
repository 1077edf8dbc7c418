package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		o  Options
		ok bool
	}{
		{Options{Lines: 8, Phones: 8}, true},
		{Options{Lines: 1, Phones: 500}, true},
		{Options{Lines: 0, Phones: 8}, false},
		{Options{Lines: 8, Phones: 501}, false},
		{Options{Lines: 8, Phones: 8, ISDN: 2, Dialect: "isdn4linux"}, true},
		{Options{Lines: 8, Phones: 8, ISDN: -1}, false},
	} {
		if err := c.o.check(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.o, err)
		} else if c.ok && (c.o.Number != HuntNumber || c.o.Password != Password) {
			t.Errorf("%+v: what was left out is not filled in", c.o)
		}
	}
	if err := Launch(Options{}); !errors.Is(err, ErrUsage) {
		t.Error("a lab without lines:", err)
	}
}

func TestVerdict(t *testing.T) {
	killed := exec.Command("sh", "-c", "kill -9 $$").Run()
	failed := exec.Command("sh", "-c", "exit 1").Run()
	for _, c := range []struct {
		report string
		err    error
		want   string
	}{
		{"", nil, ""},
		{"no such luck", failed, "no such luck"},
		{"", killed, "the lab was killed (signal: killed)"},
		{"", failed, "the lab ended: exit status 1"},
	} {
		if got := fmt.Sprint(verdict(c.report, c.err)); got != c.want && (c.want != "" || got != "<nil>") {
			t.Errorf("%q, %v: %s, want %s", c.report, c.err, got, c.want)
		}
	}
}

// Where namespaces are forbidden, people are told what to do.
func TestExplain(t *testing.T) {
	for _, c := range []struct {
		err  error
		root bool
		want string
	}{
		{unix.EPERM, false, "run it as root"},
		{unix.EPERM, true, "CAP_SYS_ADMIN"},
		{unix.ENOSPC, false, "user.max_user_namespaces"},
		{unix.EINVAL, false, "this kernel has no"},
		{unix.ENOMEM, true, "namespaces of its own"},
	} {
		err := explain(&os.PathError{Op: "fork/exec", Path: "/proc/self/exe", Err: c.err}, c.root)
		if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q in it", c.err, err, c.want)
		}
	}
	if explain(nil, true) != nil {
		t.Error("no error is explained")
	}
	for _, err := range []error{unix.EPERM, unix.EACCES} {
		if got := mountError("x", err); !errors.Is(got, err) || !strings.Contains(got.Error(), "as root") {
			t.Error(got)
		}
	}
}

func TestAccess(t *testing.T) {
	for _, c := range []struct {
		a     access
		lines int
		first string
		sudo  string
	}{
		{accessRoot, 1, "nsenter -t 7 -m -n -p " + shellFile, ""},
		{accessUser, 1, "nsenter -t 7 -U --preserve-credentials -m -n -p " + shellFile, "sudo "},
		{accessNested, 2, "nsenter -t 7 -m -n -p " + shellFile, "sudo "},
	} {
		lines := c.a.enter(7)
		if len(lines) != c.lines || !strings.HasPrefix(lines[0], c.first) || c.a.sudo() != c.sudo {
			t.Errorf("%s: %q, %q", c.a, lines, c.a.sudo())
		}
	}
}

// Orders come after each other; the end of the pipe is the launcher's death.
func TestReceive(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	stops, gone := make(chan string, 1), make(chan struct{})
	if _, err := w.WriteString(`{"start":{"options":{"lines":3,"once":true},"pid":7}}` + "\n" + `{"stop":"interrupt"}` + "\n"); err != nil {
		t.Fatal(err)
	}
	s, err := receive(r, func(why string) { stops <- why }, func() { close(gone) })
	if err != nil || s.Options.Lines != 3 || !s.Options.Once || s.PID != 7 {
		t.Fatalf("%+v, %v", s, err)
	}
	if why := <-stops; why != "interrupt" {
		t.Errorf("stopped by %q", why)
	}
	w.Close()
	<-gone
	for _, text := range []string{"", "nonsense", `{"stop":"terminated"}`} {
		if _, err := receive(strings.NewReader(text), nil, nil); err == nil {
			t.Errorf("%q starts a lab", text)
		}
	}
}

// The reaper tells how its own children ended, and buries those of others.
func TestReaper(t *testing.T) {
	if os.Getenv("LAB_REAPER") == "" { // in a process of its own: it waits for every child
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestReaper$")
		cmd.Env = append(os.Environ(), "LAB_REAPER=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	r := newReaper()
	done := make(chan struct{})
	defer close(done)
	go r.run(done)
	// The orphan is a grandchild: its parent ends at once.
	first, err := r.start(exec.Command("sh", "-c", "sleep 0.05 & exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.start(exec.Command("sh", "-c", "sleep 0.2; kill -TERM $$"))
	if err != nil {
		t.Fatal(err)
	}
	if s := <-first; s.ExitStatus() != 3 {
		t.Errorf("the first child: %v", s)
	}
	if s := <-second; s.Signal() != syscall.SIGTERM {
		t.Errorf("the second child: %v", s)
	}
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		t.Error("the orphan has not been buried:", err)
	}
	if _, err := r.start(exec.Command("/nonexistent")); err == nil {
		t.Error("a program that is not there starts")
	}
}
