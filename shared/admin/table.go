package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Table is rows of text under headings, for people.
type Table struct {
	Columns []Column
	Rows    [][]string
	Empty   string // printed instead of a table without rows; empty means nothing is

	notes map[int][]note // by row
}

// note is a line beneath a row.
type note struct{ label, text string }

// Column is a heading.
type Column struct {
	Title string
	Right bool // numbers: flush right
}

// Columns makes headings from titles; one that begins with ">" is flush right.
func Columns(titles ...string) []Column {
	columns := make([]Column, len(titles))
	for i, t := range titles {
		name, right := strings.CutPrefix(t, ">")
		columns[i] = Column{Title: name, Right: right}
	}
	return columns
}

// Add appends a row; values are rendered with fmt.Sprint, nothing is shown as "-".
func (t *Table) Add(values ...any) {
	row := make([]string, len(t.Columns))
	for i := range row {
		if i < len(values) {
			row[i] = fmt.Sprint(values[i])
		}
		if row[i] = printable(row[i]); row[i] == "" {
			row[i] = "-"
		}
	}
	t.Rows = append(t.Rows, row)
}

// Note puts a line beneath the row that was added last: what does not fit into columns.
func (t *Table) Note(label, format string, args ...any) {
	if t.notes == nil {
		t.notes = make(map[int][]note)
	}
	row := len(t.Rows) - 1
	t.notes[row] = append(t.notes[row], note{label, printable(fmt.Sprintf(format, args...))})
}

// printable makes control characters visible: names come from peers, and must not steer the operator's terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

// Write prints the table.
func (t *Table) Write(w io.Writer) error {
	if len(t.Rows) == 0 {
		if t.Empty != "" {
			_, err := fmt.Fprintln(w, printable(t.Empty))
			return err
		}
		return nil
	}
	widths := make([]int, len(t.Columns))
	titles := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		titles[i] = strings.ToUpper(c.Title)
		widths[i] = utf8.RuneCountInString(titles[i])
		for _, row := range t.Rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	var b strings.Builder
	for r, row := range append([][]string{titles}, t.Rows...) {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if t.Columns[i].Right {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
			line.WriteString("  ")
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		for _, n := range t.notes[r-1] {
			fmt.Fprintf(&b, "    %-*s  %s\n", t.labelWidth(), n.label, n.text)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// labelWidth is that of the longest label of a note.
func (t *Table) labelWidth() (width int) {
	for _, notes := range t.notes {
		for _, n := range notes {
			width = max(width, utf8.RuneCountInString(n.label))
		}
	}
	return width
}

// Print shows an answer: as indented JSON for programs, or as the table that describe makes of it.
func Print(w io.Writer, asJSON bool, v any, describe func() *Table) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	return describe().Write(w)
}

// Octets renders a number of octets for a table: "0", "999", "12.3k", "4.0M", "1.2G" in powers of 1000.
func Octets(n uint64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	v, unit := float64(n), ""
	for _, u := range []string{"k", "M", "G", "T", "P", "E"} {
		v, unit = v/1000, u
		if v < 999.95 {
			break
		}
	}
	return fmt.Sprintf("%.1f%s", v, unit)
}

// Age renders a duration for a table, in its two largest units: "45s", "3m10s", "2h05m", "4d07h".
func Age(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}
