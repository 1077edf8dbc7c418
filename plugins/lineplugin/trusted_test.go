package lineplugin

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"trunkline.example/shared/line"
)

// What others than root and the host's own user could change is not run.
func TestTrusted(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "driver")
	if err := os.WriteFile(file, []byte("#!/bin/true\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		file, dir os.FileMode
		path      string
		ok        bool
	}{
		{"as installed", 0o755, 0o755, file, true},
		{"by a link", 0o755, 0o755, link, true},
		{"writable for a group", 0o775, 0o755, file, false},
		{"writable for all", 0o757, 0o755, link, false},
		{"no executable", 0o644, 0o755, file, false},
		{"in a directory of all", 0o755, 0o777, file, false},
		{"in a sticky directory", 0o755, 0o777 | os.ModeSticky, file, true},
		{"a directory", 0o755, 0o755, dir, false},
		{"nothing", 0o755, 0o755, filepath.Join(dir, "nothing"), false},
	} {
		if err := errors.Join(os.Chmod(file, c.file), os.Chmod(dir, c.dir)); err != nil {
			t.Fatal(err)
		}
		if err := trusted(c.path); (err == nil) != c.ok || err != nil && !errors.Is(err, line.ErrConfiguration) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	loop, between := filepath.Join(dir, "loop"), filepath.Join(t.TempDir(), "between")
	if err := errors.Join(os.Symlink(loop, loop), os.Mkdir(between, 0o755), os.Chmod(between, 0o777), os.Symlink(file, filepath.Join(between, "second")),
		os.Symlink(filepath.Join(between, "second"), filepath.Join(filepath.Dir(link), "first")), os.Chmod(file, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	for what, path := range map[string]string{"a link to itself": loop, "a link by way of a directory of all": filepath.Join(filepath.Dir(link), "first")} {
		if err := trusted(path); !errors.Is(err, line.ErrConfiguration) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := os.Chmod(between, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := trusted(filepath.Join(filepath.Dir(link), "first")); err != nil {
		t.Errorf("two links: %v", err)
	}
	if os.Getuid() == 0 {
		if err := errors.Join(os.Chmod(file, 0o755), os.Chmod(dir, 0o755), os.Chown(file, 12345, 0)); err != nil {
			t.Fatal(err)
		}
		if err := trusted(file); err == nil {
			t.Error("a file of another user is run by root")
		}
	}
}
