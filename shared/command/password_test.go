package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFirstLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	for text, want := range map[string]string{"one\ntwo\n": "one", "one\r\n": "one", "one": "one", "": "", "\nno": "", " a b \n": " a b "} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := FirstLine(file, nil); got != want || err != nil {
			t.Errorf("file %q: %q %v", text, got, err)
		}
		if got, err := FirstLine("-", strings.NewReader(text)); got != want || err != nil {
			t.Errorf("input %q: %q %v", text, got, err)
		}
	}
	if _, err := FirstLine(file+"-not", nil); err == nil {
		t.Error("a file that is not there")
	}
	if got, _ := FirstLine("-", strings.NewReader(strings.Repeat("x", 2*maxLine))); len(got) != maxLine {
		t.Errorf("%d octets of an endless line", len(got))
	}
}
