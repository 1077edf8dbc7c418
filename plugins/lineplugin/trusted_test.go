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
	if os.Getuid() == 0 {
		if err := errors.Join(os.Chmod(file, 0o755), os.Chmod(dir, 0o755), os.Chown(file, 12345, 0)); err != nil {
			t.Fatal(err)
		}
		if err := trusted(file); err == nil {
			t.Error("a file of another user is run by root")
		}
	}
}
