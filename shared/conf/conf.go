// Package conf reads strict TOML: a key that no struct field claims, a value of the wrong kind and a value that its
// type refuses are errors that name file, line, column and key, and for an unknown key the nearest valid one. All
// errors of a document are reported together.
//
// Keys are matched exactly against `toml` struct tags; a field without a tag, or with "-", is not a key. Fields that the
// document does not mention keep the value they had, so defaults are filled in before decoding. Types that implement
// encoding.TextUnmarshaler are decoded from TOML strings only: a duration or a size without a unit is refused.
package conf

import (
	"fmt"
	"os"
	"strings"
)

// Position is a place in a document. Lines and columns count from 1; columns count octets. The zero Position is unknown.
type Position struct {
	Line, Column int
}

// Error is one thing wrong with one key of a document.
type Error struct {
	File     string   // as given to Parse; may be empty
	Position Position // of the key, of the nearest table around it, or zero
	Key      string   // path of the key: "pac[1].authentication"; empty for errors of syntax
	Nearest  string   // for an unknown key: the valid key it was probably meant to be, or empty
	Err      error    // what is wrong
}

// Error renders "file:line:column: key: what is wrong (did you mean "nearest"?)".
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File + ":")
	}
	if e.Position.Line > 0 {
		fmt.Fprintf(&b, "%d:%d:", e.Position.Line, e.Position.Column)
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Err.Error())
	if e.Nearest != "" {
		fmt.Fprintf(&b, " (did you mean %q?)", e.Nearest)
	}
	return b.String()
}

// Unwrap returns what is wrong, without the place.
func (e *Error) Unwrap() error { return e.Err }

// Errors holds everything found wrong with one document, in the order of the document.
type Errors []*Error

// Error renders one error per line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the single errors, for errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// Decode parses a document and stores it in the struct that into points to. file only serves the error texts. The error,
// if any, is of type Errors.
func Decode(file string, data []byte, into any) error {
	d, err := Parse(file, data)
	if err != nil {
		return err
	}
	return d.Decode(into)
}

// Load reads a file and parses it. An unreadable file gives the error of os.ReadFile, anything else Errors.
func Load(file string) (*Document, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return Parse(file, data)
}
