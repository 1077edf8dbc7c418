package pac

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"trunkline.example/pac/config"
)

func dialled(file string) config.Dialout {
	return config.Dialout{Allow: []string{""}, CallsPerHour: 3, State: file}
}

func TestBudgetOutlivesTheDaemon(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state", "dialled")
	now := time.Date(2026, 3, 1, 23, 50, 0, 0, time.UTC)
	for restart := range 3 {
		b := openBudget(dialled(file), now, zap.NewNop())
		if err := b.take(now, 3); err != nil {
			t.Fatalf("call %d: %v", restart+1, err)
		}
		now = now.Add(10 * time.Minute)
	}
	b := openBudget(dialled(file), now, zap.NewNop())
	err := b.take(now, 3)
	if err == nil || !strings.Contains(err.Error(), "possible at 00:50:00") {
		t.Errorf("the fourth call of the hour: %v", err)
	}
	b = openBudget(dialled(file), now.Add(30*time.Minute), zap.NewNop())
	if err := b.take(now.Add(30*time.Minute), 3); err != nil {
		t.Errorf("an hour after the first call: %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
}

// The file does not grow for ever, and holds what counts however often it was made anew.
func TestBudgetFileIsBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dialled")
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	b := openBudget(dialled(file), now, zap.NewNop())
	for range 1000 {
		now = now.Add(10 * time.Minute)
		if err := b.take(now, 10); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if lines := strings.Count(string(text), "\n"); err != nil || lines > 120 {
		t.Errorf("%d lines, %v", lines, err)
	}
	if again := openBudget(dialled(file), now, zap.NewNop()); len(again.made) != len(b.made) || len(b.made) != 6 {
		t.Errorf("%d calls count, after a restart %d", len(b.made), len(again.made))
	}
}

// What cannot be read, or was written under a wrong clock, neither stops the daemon nor bars calls for ever.
func TestBudgetOfABadFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dialled")
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if err := os.WriteFile(file, []byte("2031-01-01T00:00:00Z\nnever\n2026-03-01T11:30:00Z\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.WarnLevel)
	b := openBudget(dialled(file), now, zap.New(core))
	if len(b.made) != 1 || logs.Len() != 1 {
		t.Errorf("%v count, reported %v", b.made, logs.All())
	}
	b = openBudget(dialled(filepath.Join(file, "below-a-file")), now, zap.New(core))
	for range 2 {
		if err := b.take(now, 3); err != nil {
			t.Error(err)
		}
	}
	if len(b.made) != 2 || logs.Len() != 2 {
		t.Errorf("without a file %v count, reported %v", b.made, logs.All())
	}
}

// A file that is somebody else's, named by mistake, is not overwritten; what a crash leaves of our own is.
func TestBudgetLeavesOtherFilesAlone(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, kept := range map[string]bool{
		"name = \"pac\"\n[dialout]\nallow = [\"0\"]\n": true, "x": true, "2026-03-01T11": false, "\x00\x00\x00": false, "": false,
	} {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		core, logs := observer.New(zapcore.ErrorLevel)
		b := openBudget(dialled(file), now, zap.New(core))
		for range 3 {
			if err := b.take(now, 3); err != nil {
				t.Error(err)
			}
		}
		if b.take(now, 3) == nil {
			t.Errorf("%q: calls are not counted", text)
		}
		after, err := os.ReadFile(file)
		if same := string(after) == text; err != nil || same != kept || kept != (logs.Len() == 1) {
			t.Errorf("%q became %q, %v; reported %v", text, after, err, logs.All())
		}
	}
}
