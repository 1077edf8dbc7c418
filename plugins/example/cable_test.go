package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"trunkline.example/plugins/lineplugin"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

// serveArgument makes the test binary the process of the driver.
const serveArgument = "serve-cable-driver"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == serveArgument {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// far is the computer at the other end of the cable. It implements linetest.FarEnd.
type far struct {
	socket string
	conn   net.Conn
}

func (f *far) Ring(ctx context.Context, _ linetest.Caller) error {
	var err error
	if f.conn, err = (&net.Dialer{}).DialContext(ctx, "unix", f.socket); err != nil {
		return err
	}
	_, err = io.WriteString(f.conn, "noise"+question)
	return err
}

func (f *far) GiveUp(context.Context) error                 { return f.conn.Close() }
func (f *far) HangUp(context.Context) error                 { return f.conn.Close() }
func (f *far) Plan(context.Context, linetest.Outcome) error { return errors.ErrUnsupported }
func (f *far) Dialed(context.Context) (string, error)       { return "", errors.ErrUnsupported }

func (f *far) Connected(ctx context.Context) error {
	got, err := f.Receive(ctx, len(answer))
	if err == nil && string(got) != answer {
		err = fmt.Errorf("the answer was %q", got)
	}
	return err
}

// within lets an operation on the connection end with ctx.
func (f *far) within(ctx context.Context, do func() error) error {
	defer context.AfterFunc(ctx, func() { _ = f.conn.SetDeadline(time.Unix(1, 0)) })()
	return do()
}

func (f *far) Send(ctx context.Context, data []byte) error {
	return f.within(ctx, func() error { _, err := f.conn.Write(data); return err })
}

func (f *far) Receive(ctx context.Context, n int) ([]byte, error) {
	got := make([]byte, n)
	return got, f.within(ctx, func() error { _, err := io.ReadFull(f.conn, got); return err })
}

func (f *far) Released(ctx context.Context) error {
	return f.within(ctx, func() error {
		if _, err := io.Copy(io.Discard, f.conn); err != nil && ctx.Err() != nil {
			return err
		}
		return nil // closed, with or without courtesy
	})
}

// fixture is a cable whose socket lies in a directory of its own.
func fixture(t *testing.T, driver line.Driver) linetest.Fixture {
	t.Helper()
	dir, err := os.MkdirTemp("", "cable")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f := &far{socket: filepath.Join(dir, "far")}
	t.Cleanup(func() {
		if f.conn != nil {
			_ = f.conn.Close()
		}
	})
	text := fmt.Sprintf("[[line]]\nname = \"cable1\"\nlisten = \"unix:%s\"\nnumber = \"1\"\n", f.socket)
	return linetest.Fixture{Driver: driver, Section: line.Section{Name: "cables", File: "test.toml", Text: []byte(text)}, Far: f}
}

func TestConformance(t *testing.T) {
	linetest.Run(t, func(t *testing.T) linetest.Fixture { return fixture(t, Driver{}) })
}

func TestConformanceBehindGRPC(t *testing.T) {
	linetest.Run(t, func(t *testing.T) linetest.Fixture {
		b, err := lineplugin.InProcess(Driver{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return fixture(t, b)
	})
}

// asProcess runs the suite on a driver that is a process of its own, started as pac starts it.
func asProcess(t *testing.T, command lineplugin.Command) {
	linetest.Run(t, func(t *testing.T) linetest.Fixture {
		d, err := lineplugin.Load(t.Context(), command, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		return fixture(t, d)
	})
}

func TestConformanceAsProcess(t *testing.T) {
	command, err := lineplugin.Self("cable", serveArgument)
	if err != nil {
		t.Fatal(err)
	}
	asProcess(t, command)
}

// What is wrong in a section is told, and nothing is opened.
func TestSection(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "there is none",
		"[[line]]\nlisten = \"unix:/x\"":         "line[0].name: missing",
		"[[line]]\nname = \"a\"\nlisten = \"x\"": `line[0].listen: "x" is neither`,
		"[[line]]\nname = \"a\"\nlisen = \"x\"":  "line 3: line.lisen: unknown key",
		"[[line]]\nname = a":                     "line 2, column 8: ",
		"[[line]]\nname = \"a\"\nlisten = \"unix:/x\"\n[[line]]\nname = \"a\"\nlisten = \"unix:/y\"": `"a" is used twice`,
	} {
		lines, err := Driver{}.Open(t.Context(), line.Section{File: "pac.toml", Text: []byte(text)})
		if !errors.Is(err, line.ErrConfiguration) || !strings.Contains(err.Error(), "pac.toml: ") || !strings.Contains(err.Error(), want) || lines != nil {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// A driver of somebody else needs the contract and what serves it, and nothing more of this project.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{join .Imports \" \"}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(string(out)) {
		if strings.HasPrefix(path, "trunkline.example/") && path != "trunkline.example/shared/line" && path != "trunkline.example/plugins/lineplugin" {
			t.Errorf("it imports %s", path)
		}
	}
}
