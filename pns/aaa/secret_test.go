package aaa

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	write := func(text string, mode fs.FileMode) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]string{"hunter2": "hunter2", "hunter2\n": "hunter2", "hunter2\r\nrest\n": "hunter2", " a b \n": " a b "} {
		write(text, 0o600)
		secret, err := ReadSecret(file)
		if got, _ := secret.Reveal(); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "\nhunter2", strings.Repeat("hunter2", 40)} {
		write(text, 0o600)
		if secret, err := ReadSecret(file); err == nil || !secret.IsZero() || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", text, err)
		}
	}
	write("hunter2", 0o640)
	if _, err := ReadSecret(file); !errors.Is(err, ErrMode) {
		t.Error(err)
	}
	if _, err := ReadSecret(file + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
