package command

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"trunkline.example/shared/admin"
)

// What a terminal is told (ECMA-48).
const (
	home      = "\x1b[H" // cursor to the first column of the first line
	clearLine = "\x1b[K" // from the cursor on
	clearRest = "\x1b[J" // the same, with all lines beneath
)

// screen shows a text that changes: in place on a terminal, cut to the size that this has at the moment, and anywhere else one after the other.
type screen struct {
	out   io.Writer
	size  func() (columns, lines int, err error) // nil: no terminal
	shown bool
}

func newScreen(out io.Writer) *screen {
	s := &screen{out: out}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.size = func() (columns, lines int, err error) { return term.GetSize(int(f.Fd())) }
	}
	return s
}

// show replaces the text.
func (s *screen) show(text string) error {
	again := s.shown
	s.shown = true
	if s.size == nil {
		if again {
			text = "\n" + text
		}
		_, err := io.WriteString(s.out, text)
		return err
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if columns, rows, err := s.size(); err == nil && columns > 0 && rows > 0 {
		lines = fit(lines, columns, rows)
	}
	// Each line is emptied before it is written: behind its last column some terminals would erase that.
	_, err := io.WriteString(s.out, home+clearLine+strings.Join(lines, "\r\n"+clearLine)+clearRest)
	return err
}

// table replaces the text by a table.
func (s *screen) table(t *admin.Table) error {
	var text strings.Builder
	if err := t.Write(&text); err != nil {
		return err
	}
	return s.show(text.String())
}

// leave puts the cursor beneath the text, for whoever writes to the terminal next.
func (s *screen) leave() {
	if s.size != nil && s.shown {
		fmt.Fprintln(s.out)
	}
}

// fit cuts lines to what a terminal has room for: it neither wraps nor scrolls then. The last one tells how many are missing.
func fit(lines []string, columns, rows int) []string {
	if missing := len(lines) - rows + 1; missing > 1 {
		lines = append(lines[:rows-1:rows-1], fmt.Sprintf("(%d more lines: the terminal is too small)", missing))
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		if utf8.RuneCountInString(l) > columns {
			l = string([]rune(l)[:columns])
		}
		out[i] = l
	}
	return out
}
