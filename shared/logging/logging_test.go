package logging

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestFormats(t *testing.T) {
	var text, object bytes.Buffer
	for _, c := range []Config{{Output: &text}, {Format: FormatJSON, NoTime: true, Output: &object}} {
		l, _, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		l.Debug("not shown")
		l.Info("call ended", zap.String(KeyUser, "ann"), zap.Duration(KeyDuration, 90*time.Second))
	}
	if got := text.String(); !strings.HasSuffix(got, ` INFO call ended {"user": "ann", "duration": "1m30s"}`+"\n") {
		t.Errorf("text %q", got)
	} else if _, err := time.Parse("2006-01-02T15:04:05.000Z07:00", strings.Fields(got)[0]); err != nil {
		t.Error(err)
	}
	if got := object.String(); got != `{"level":"info","message":"call ended","user":"ann","duration":"1m30s"}`+"\n" {
		t.Errorf("JSON %q", got)
	}
}

func TestLevels(t *testing.T) {
	var out bytes.Buffer
	l, level, err := New(Config{Level: "warn", Output: &out, NoTime: true})
	if err != nil {
		t.Fatal(err)
	}
	child := l.With(zap.Int("n", 1))
	child.Info("hidden")
	if err := SetLevel(level, "debug"); err != nil {
		t.Fatal(err)
	}
	child.Debug("shown")
	if err := SetLevel(level, "loud"); err == nil {
		t.Error("a level of that name was accepted")
	}
	if got := out.String(); got != "DEBUG shown {\"n\": 1}\n" {
		t.Errorf("%q", got)
	}
	for _, c := range []Config{{Level: "fatal"}, {Level: "INFO"}, {Format: "xml"}} {
		if _, _, err := New(c); err == nil {
			t.Errorf("%+v accepted", c)
		}
	}
}

// One thing has one key, and one key one meaning.
func TestKeysAreDistinct(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "keys.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{"time": "zap", "level": "zap", "message": "zap", "error": "zap"}
	count := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		value := spec.Values[0].(*ast.BasicLit).Value
		if other, ok := seen[strings.Trim(value, `"`)]; ok {
			t.Errorf("%s and %s are both %s", spec.Names[0].Name, other, value)
		}
		seen[strings.Trim(value, `"`)] = spec.Names[0].Name
		count++
		return true
	})
	if count < 30 {
		t.Errorf("only %d keys found", count)
	}
}
