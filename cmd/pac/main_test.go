package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// execute runs the CLI as main does and returns what it prints and its exit status.
func execute(t *testing.T, args ...string) (out string, status int) {
	t.Helper()
	cmd := root()
	var printed bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(""))
	cmd.SetOut(&printed)
	cmd.SetErr(&printed)
	err := cmd.ExecuteContext(context.Background())
	status = exitStatus(&printed, err)
	return printed.String(), status
}

func TestExitStatus(t *testing.T) {
	dir := t.TempDir()
	nobody := "--admin=" + filepath.Join(dir, "no-such.sock")
	wrong := filepath.Join(dir, "wrong.toml")
	if err := os.WriteFile(wrong, []byte("[[driver]]\nname = \"d\"\nkind = \"modem\"\n[[driver.options.line]]\nname = \"x\"\ndevic = \"/dev/x\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sample := filepath.Join("..", "..", "etc", "pac.toml")
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"", 0, "Available Commands"},
		{"help", 0, "Available Commands"},
		{"version", 0, "pac development"},
		{"check " + sample, 0, "[[driver.options.line]]"},
		{"lnes", 2, `unknown command "lnes" (did you mean "line"?)`},
		{"nonsense", 2, `unknown command "nonsense"`},
		{"version now", 2, "now"},
		{"lines --color", 2, "--color"},
		{"hangup", 2, "accepts 1 arg(s)"},
		{"line reset", 2, "accepts 1 arg(s)"},
		{"line retset line1", 2, `unknown command "line retset" (did you mean "reset"?)`},
		{"line", 2, "say what to do"},
		{"line test line1 " + nobody, 1, "pac is not running"},
		{"hangup a b", 2, "accepts 1 arg(s)"},
		{"check a b", 2, "accepts at most 1 arg(s)"},
		{"check " + wrong, 2, wrong + `:6:1: line[0].devic: unknown key (did you mean "device"?)`},
		{"check " + dir, 2, "is a directory"},
		{"check " + filepath.Join(dir, "no-such.toml"), 2, "no such file"},
		{"run --config " + wrong, 2, wrong + ":6:1:"},
		{"run --config " + filepath.Join(dir, "no-such.toml"), 2, "pac.toml in the sources is a sample"},
		{"driver telex", 2, `no driver "telex"`},
		{"caller", 2, "accepts 1 arg(s)"},
		{"caller 1000 --encryption=some", 2, "none of required, preferred, none"},
		{"caller 1000 --auth=chap", 2, "none of ms-chapv2, chap-md5, pap"},
		{"caller 1000 --target=example", 2, "--target"},
		{"caller 1000 --password-file=" + filepath.Join(dir, "no-such"), 2, "no such file"},
		{"caller 1000 --rate=3", 2, "--rate is for --load"},
		{"caller 1000 --load --pings=3", 2, "--pings is for one call"},
		{"caller 1000 --load --traffic=jam", 2, "none of idle, echo"},
		{"caller 1000 --load --traffic=echo --target=example", 2, "--target"},
		{"caller 1000 --load --sessions=0", 2, "not between 1 and 4096"},
		{"caller 1000 --load --sessions=2 --port=/dev/null", 2, "must have a \"%d\""},
		{"caller 1000 --load --sessions=2 --port=" + dir + "/phone%d --duration=1s --hold=1s", 2, "unusable load"},
		{"caller 1000 --load --port=" + dir + "/phone%d", 1, "1 of 1 calls failed"},
		{"exchange nonsense", 2, "nonsense"},
		{"exchange --dir=" + dir + " --lines=-1", 2, "lines"},
		{"exchange --dir=" + dir + " --log-level=loud", 2, "loud"},
		{"exchange --dir=" + dir + " --impair=perfect", 2, "none of bad, cable, clean"},
		{"exchange --config=" + filepath.Join(dir, "no-such.toml"), 2, "no such file"},
		{"exchange --config=" + wrong, 2, wrong + ":1:3: driver: unknown key"},
		{"exchange --config=" + wrong + " --lines=3", 2, "--lines and --config exclude each other"},
		{"lab --impair=perfect", 2, "none of bad, cable, clean"},
		{"exchange fault line1 broken", 2, "none of none, dead, busy"},
		{"lines " + nobody, 1, "pac is not running: there is no socket"},
		{"calls " + nobody, 1, "pac is not running"},
		{"drivers " + nobody, 1, "pac is not running"},
		{"status " + nobody, 1, "pac is not running"},
		{"hangup line1 " + nobody, 1, "pac is not running"},
		{"exchange status --dir=" + dir, 1, "exchange is not running"},
	} {
		if out, status := execute(t, strings.Fields(c.args)...); status != c.status || !strings.Contains(out, c.says) {
			t.Errorf("pac %s: status %d, want %d and %q:\n%s", c.args, status, c.status, c.says, out)
		}
	}
}
