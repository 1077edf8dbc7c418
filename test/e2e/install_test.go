package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// make install puts both programs, their configuration and their units in place; the units are good and the configurations valid.
func TestInstall(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	cmd := exec.Command("make", "install", "DESTDIR="+root)
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make install: %v\n%s", err, out)
	}
	for _, name := range []string{"pac", "pns"} {
		program := filepath.Join(root, "usr/local/bin", name)
		if out, err := exec.Command(program, "version").CombinedOutput(); err != nil || !strings.HasPrefix(string(out), name+" ") {
			t.Errorf("%s version: %v\n%s", name, err, out)
		}
		if out, err := exec.Command(program, "check", filepath.Join(root, "etc/trunkline", name+".toml")).CombinedOutput(); err != nil {
			t.Errorf("%s check: %v\n%s", name, err, out)
		}
		verifyUnit(t, root, name+".service")
	}
	contains(t, "the udev rules", readFile(t, filepath.Join(root, "usr/lib/udev/rules.d/70-trunkline-modems.rules")), "ID_MM_DEVICE_IGNORE")
	// A second installation leaves a changed configuration alone.
	changed := filepath.Join(root, "etc/trunkline/pns.toml")
	write(t, filepath.Dir(changed), "pns.toml", "# mine\n")
	again := exec.Command("make", "install", "DESTDIR="+root)
	again.Dir = cmd.Dir
	if out, err := again.CombinedOutput(); err != nil {
		t.Fatalf("make install: %v\n%s", err, out)
	}
	if readFile(t, changed) != "# mine\n" {
		t.Error("make install overwrote a configuration")
	}
}

// verifyUnit has systemd judge an installed unit; its program is looked for below root.
func verifyUnit(t *testing.T, root, name string) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("needs systemd-analyze to judge the units:", err)
	}
	unit := strings.ReplaceAll(readFile(t, filepath.Join(root, "usr/lib/systemd/system", name)), "/usr/local/", root+"/usr/local/")
	file := write(t, t.TempDir(), name, unit)
	cmd := exec.Command("systemd-analyze", "verify", "--man=no", file)
	cmd.Env = append(os.Environ(), "SYSTEMD_LOG_LEVEL=warning")
	if out, err := cmd.CombinedOutput(); err != nil || len(strings.TrimSpace(string(out))) > 0 {
		t.Errorf("systemd-analyze verify %s: %v\n%s", name, err, out)
	}
}
