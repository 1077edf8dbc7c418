package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"trunkline.example/shared/admin"
	"trunkline.example/shared/conf"
)

var errDriver = errors.New("driver's section")

// tree is a daemon's commands.
func tree() *cobra.Command {
	group := &cobra.Command{Use: "user", Args: NoSuchCommand, RunE: func(*cobra.Command, []string) error { return nil }}
	group.AddCommand(&cobra.Command{Use: "add NAME", Args: cobra.ExactArgs(1), RunE: func(*cobra.Command, []string) error { return nil }})
	asker := NewAsker("pns")
	ask := asker.Watched(asker.Flags(&cobra.Command{Use: "calls", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return Show(cmd, asker, "/calls", func(calls []string) *admin.Table {
			t := &admin.Table{Columns: admin.Columns("call")}
			for _, c := range calls {
				t.Add(c)
			}
			return t
		})
	}}))
	check := Check("default.toml", func(file string) (string, error) {
		switch file {
		case "default.toml":
			return "defaults", nil
		case "wrong.toml":
			return "", conf.Errors{&conf.Error{Err: errors.New("unknown key")}}
		case "driver.toml":
			return "", fmt.Errorf("line 3: %w", errDriver)
		}
		return "", Configuration(&fs.PathError{Op: "open", Path: file, Err: fs.ErrPermission})
	})
	fail := &cobra.Command{Use: "fail", RunE: func(*cobra.Command, []string) error { return errors.New("it failed") }}
	return Root("pns", "a daemon", group, ask, check, fail, Version("pns", "1.2"))
}

func execute(args ...string) (out string, status int) {
	var printed bytes.Buffer
	root := tree()
	root.SetArgs(args)
	root.SetOut(&printed)
	root.SetErr(&printed)
	status = ExitStatus(&printed, "pns", root.Execute(), errDriver)
	return printed.String(), status
}

func TestExitStatus(t *testing.T) {
	nobody := "--admin=" + filepath.Join(t.TempDir(), "none.sock")
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"", StatusDone, "Available Commands"},
		{"version", StatusDone, "pns 1.2"},
		{"version now", StatusUsage, "now"},
		{"versoin", StatusUsage, `pns: unknown command "versoin" (did you mean "version"?); see pns help`},
		{"user ad alice", StatusUsage, `unknown command "user ad" (did you mean "add"?)`},
		{"user add", StatusUsage, "accepts 1 arg(s)"},
		{"user add alice", StatusDone, ""},
		{"calls --color", StatusUsage, "--color"},
		{"calls " + nobody, StatusFailed, "pns is not running"},
		{"check", StatusDone, "defaults"},
		{"check wrong.toml", StatusUsage, "unknown key"},
		{"check driver.toml", StatusUsage, "driver's section"},
		{"check closed.toml", StatusUsage, "permission denied"},
		{"fail", StatusFailed, "pns: it failed"},
	} {
		if out, status := execute(strings.Fields(c.args)...); status != c.status || !strings.Contains(out, c.says) {
			t.Errorf("pns %s: status %d, want %d and %q:\n%s", c.args, status, c.status, c.says, out)
		}
	}
	if Usage(nil) != nil || Configuration(nil) != nil {
		t.Error("no error is none of usage")
	}
}

func TestShow(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "pns.sock")
	server := admin.NewServer(admin.ServerOptions{Socket: socket})
	server.Get("/calls", func(_ context.Context, _ *admin.Request) (any, error) { return []string{"first", "second"}, nil })
	stop, err := server.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if out, status := execute("calls", "--admin="+socket); status != StatusDone || !strings.Contains(out, "first") || strings.Contains(out, "[") {
		t.Errorf("status %d: %s", status, out)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	asked := 0
	root, printed := tree(), &bytes.Buffer{}
	root.SetArgs([]string{"calls", "-w", "--admin=" + socket})
	root.SetOut(writer(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("second")) {
			if asked++; asked == 2 {
				interrupt()
			}
		}
		return printed.Write(p)
	}))
	if err := root.ExecuteContext(ctx); err != nil || asked != 2 {
		t.Errorf("shown %d times: %v\n%s", asked, err, printed)
	}
	if out, status := execute("calls", "--json", "--admin="+socket); status != StatusDone || !strings.Contains(out, `"second"`) {
		t.Errorf("status %d: %s", status, out)
	}
}

// writer is a function that is an io.Writer.
type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
