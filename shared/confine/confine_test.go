package confine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The test's binary is a program that tries what it is told, and says what came of each.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "try" {
		for _, deed := range os.Args[2:] {
			what, path, _ := strings.Cut(deed, " ")
			fmt.Println(errors.Is(deeds[what](path), os.ErrPermission))
		}
		return
	}
	os.Exit(m.Run())
}

var deeds = map[string]func(path string) error{
	"list":  func(path string) error { _, err := os.ReadDir(path); return err },
	"read":  func(path string) error { _, err := os.ReadFile(path); return err },
	"write": func(path string) error { return os.WriteFile(path, nil, 0o600) },
	"make":  func(path string) error { return os.Mkdir(path, 0o700) },
	"clear": os.Remove,
	"run":   func(path string) error { return exec.Command(path).Run() },
	"kill":  func(string) error { return unix.Kill(os.Getppid(), 0) },
}

// try runs a program that is confined by the rules, and says which of its deeds the kernel refused. unconfined is why it was not confined.
func try(t *testing.T, rules []Rule, tries ...string) (refused []bool, unconfined error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	OnThread(func() {
		if err = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return
		}
		unconfined = Thread(append(append(System(), Rule{self, Read | Run}), rules...))
		cmd := exec.Command(self, append([]string{"try"}, tries...)...)
		cmd.Env = []string{}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		out, err = cmd.CombinedOutput()
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, word := range strings.Fields(string(out)) {
		refused = append(refused, word == "true")
	}
	return refused, unconfined
}

func touch(t *testing.T, path ...string) string {
	t.Helper()
	file := filepath.Join(path...)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("#!/bin/sh\n"), 0o700)); err != nil {
		t.Fatal(err)
	}
	return file
}

// What no rule allows is refused, whoever the program runs as, and what one allows is not; where the kernel has no Landlock, all is as it was.
func TestRules(t *testing.T) {
	dir := t.TempDir()
	touch(t, dir, "read", "in", "file")
	touch(t, dir, "use", "file")
	touch(t, dir, "change", "file")
	touch(t, dir, "run", "file")
	touch(t, dir, "secret", "file")
	single, other := touch(t, dir, "single", "one"), touch(t, dir, "single", "other")
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "list", "empty"), 0o700), os.Symlink(other, filepath.Join(dir, "single", "link"))); err != nil {
		t.Fatal(err)
	}
	rules := []Rule{
		{filepath.Join(dir, "list"), List | Empty}, {filepath.Join(dir, "read"), Read}, {filepath.Join(dir, "use"), Read | Write},
		{filepath.Join(dir, "change"), Read | Change}, {filepath.Join(dir, "run"), Read | Run}, {single, Read | Write | Change}, {filepath.Join(dir, "nothing"), Read},
	}
	tries := []struct {
		deed, path string
		refused    bool
	}{
		{"read", "secret/file", true}, {"list", "secret", true}, {"write", "secret/file", true}, {"write", "secret/new", true}, {"list", "", true},
		{"read", "read/in/file", false}, {"list", "read/in", false}, {"write", "read/in/file", true}, {"write", "read/new", true}, {"make", "read/made", true},
		{"read", "use/file", false}, {"write", "use/file", false}, {"write", "use/new", true}, {"clear", "use/file", true},
		{"run", "change/file", true}, {"write", "change/new", false}, {"make", "change/made", false}, {"clear", "change/file", false},
		{"run", "run/file", false}, {"write", "run/file", true},
		{"read", "single/one", false}, {"write", "single/one", false}, {"read", "single/other", true}, {"read", "single/link", true}, {"clear", "single/one", true},
		{"list", "list", false}, {"clear", "list/empty", false}, {"make", "list/made", true},
	}
	var args []string
	for _, c := range tries {
		args = append(args, c.deed+" "+filepath.Join(dir, c.path))
	}
	abi, missing := Version()
	refused, unconfined := try(t, rules, append(args, "kill", "read /proc/self/status", "write /dev/null")...)
	if (missing == nil) != (unconfined == nil) || missing != nil && !errors.Is(unconfined, ErrUnsupported) {
		t.Fatalf("confined: %v; the kernel: %v", unconfined, missing)
	}
	if len(refused) != len(tries)+3 {
		t.Fatalf("%d deeds were done", len(refused))
	}
	for i, c := range tries {
		if refused[i] != (c.refused && missing == nil) {
			t.Errorf("%s %s: refused %v", c.deed, c.path, refused[i])
		}
	}
	if rest := refused[len(tries):]; rest[0] != (abi >= scopes) || rest[1] || rest[2] {
		t.Errorf("signals, /proc/self/status and /dev/null are refused: %v", rest)
	}
	if _, err := os.ReadFile(filepath.Join(dir, "secret", "file")); err != nil {
		t.Errorf("we are restricted ourselves: %v", err)
	}
}

// Nobody who is confined could follow a path into another process, so the program is not confined, and it is said why.
func TestElsewhere(t *testing.T) {
	file := touch(t, t.TempDir(), "secret")
	refused, unconfined := try(t, []Rule{{fmt.Sprintf("/proc/%d/root/dev/pts/1", os.Getpid()), Write}}, "read "+file)
	if _, missing := Version(); missing == nil && !errors.Is(unconfined, ErrElsewhere) || unconfined == nil || refused[0] {
		t.Errorf("confined: %v, refused: %v", unconfined, refused)
	}
}

// The first thread of a process is the process to others: it is not the one that is thrown away, however often one is.
func TestOnThread(t *testing.T) {
	for range 100 {
		OnThread(func() {
			if unix.Gettid() == unix.Getpid() {
				t.Error("it was the first thread")
			}
		})
	}
}
