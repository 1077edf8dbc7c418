package lineplugin

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"trunkline.example/shared/confine"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

// curious tells as its version which files it could open.
type curious struct {
	*linetest.Fake
	files []string
}

func (c curious) Info() line.Info {
	info := c.Fake.Info()
	var opened []string
	for _, name := range c.files {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrPermission) {
			continue
		}
		opened = append(opened, filepath.Base(name))
		_ = f.Close()
	}
	info.Version = strings.Join(opened, " ")
	return info
}

// A driver that is confined opens no files but its own, and goes on so when it is started again. Where the kernel cannot confine it, it runs all the same, and that is told.
func TestConfinedDriver(t *testing.T) {
	dir := t.TempDir()
	secret, device := filepath.Join(dir, "secrets", "secret"), filepath.Join(dir, "devices", "device")
	for _, file := range []string{secret, device} {
		if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	command, err := Self("fake", "serve-curious", secret, device)
	if err != nil {
		t.Fatal(err)
	}
	_, missing := confine.Version()
	for _, wanted := range []bool{true, false} {
		command.Confine, command.Files = wanted, []confine.Rule{{Path: filepath.Dir(device), Rights: confine.Read}}
		core, logs := observer.New(zap.WarnLevel)
		d, l := supervise(t, zap.New(core), command)
		confined, opens := wanted && missing == nil, "secret device"
		if confined {
			opens = "device"
		}
		if got := d.Info().Version; got != opens {
			t.Errorf("confined %v: it opens %q, want %q", confined, got, opens)
		}
		told := logs.FilterMessage("the driver's process can open whatever its user can").Len() > 0
		if told != (wanted && !confined) {
			t.Errorf("wanted %v, confined %v: told %v", wanted, confined, told)
		}
		check := func() {
			t.Helper()
			if c := d.Status().Confinement; c.Confined != confined || (c.Why == "") != confined {
				t.Errorf("wanted %v: %+v", wanted, c)
			}
		}
		check()
		send(t, d.Status().PID, syscall.SIGKILL)
		within(t, 20*time.Second, "the return of the line", func() {
			for e := range l.Events() {
				if e.Body.Kind() == line.KindUp {
					return
				}
			}
		})
		check()
	}
}
