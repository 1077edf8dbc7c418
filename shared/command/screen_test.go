package command

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestFit(t *testing.T) {
	lines := []string{"NAME  STATE", "ä     idle", "b     ringing"}
	for _, c := range []struct {
		columns, rows int
		want          []string
	}{
		{80, 24, lines},
		{13, 3, lines},
		{8, 3, []string{"NAME  ST", "ä     id", "b     ri"}},
		{80, 2, []string{"NAME  STATE", "(2 more lines: the terminal is too small)"}},
		{10, 1, []string{"(3 more li"}},
		{1, 3, []string{"N", "ä", "b"}},
	} {
		if got := fit(slices.Clone(lines), c.columns, c.rows); !slices.Equal(got, c.want) {
			t.Errorf("%d columns, %d rows: %q", c.columns, c.rows, got)
		}
	}
}

// On a terminal, hundreds of lines neither wrap nor scroll, whatever its size becomes; what is longer than the next text is gone.
func TestScreen(t *testing.T) {
	var out bytes.Buffer
	columns, rows := 40, 10
	var failure error
	s := &screen{out: &out, size: func() (int, int, error) { return columns, rows, failure }}
	var text strings.Builder
	for i := range 300 {
		fmt.Fprintf(&text, "line%d %s\n", i, strings.Repeat("x", 60))
	}
	for _, size := range [][2]int{{40, 10}, {20, 3}, {200, 50}} {
		columns, rows = size[0], size[1]
		out.Reset()
		if err := s.show(text.String()); err != nil {
			t.Fatal(err)
		}
		shown := strings.Split(strings.TrimSuffix(strings.TrimPrefix(out.String(), home), clearRest), "\r\n")
		if len(shown) != rows || !strings.HasPrefix(shown[0], clearLine+"line0 ") || !strings.HasPrefix(shown[rows-1], clearLine+fmt.Sprintf("(%d more", 301-rows)) {
			t.Errorf("%d rows of %d: %q", len(shown), rows, out.String())
		}
		for _, l := range shown {
			if len(strings.TrimPrefix(l, clearLine)) > columns {
				t.Errorf("longer than %d: %q", columns, l)
			}
		}
	}
	failure = errors.New("no size")
	out.Reset()
	if err := s.show("a\nb\n"); err != nil || out.String() != home+clearLine+"a\r\n"+clearLine+"b"+clearRest {
		t.Errorf("%q, %v", out.String(), err)
	}
	out.Reset()
	if s.leave(); out.String() != "\n" {
		t.Errorf("left with %q", out.String())
	}
}

// In a file there are the texts and nothing else.
func TestScreenIsNoTerminal(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out)
	for range 2 {
		if err := s.show("a\nb\n"); err != nil {
			t.Fatal(err)
		}
	}
	if s.leave(); out.String() != "a\nb\n\na\nb\n" {
		t.Errorf("%q", out.String())
	}
}
