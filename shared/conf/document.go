package conf

import (
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Document is a parsed TOML document that remembers where each key stood. Not safe for concurrent use.
type Document struct {
	file      string
	tree      map[string]any
	positions map[string]Position
}

// Parse reads a document; file only serves the error texts. The error, if any, is of type Errors and concerns syntax or
// keys given twice.
func Parse(file string, data []byte) (*Document, error) {
	d := &Document{file: file, tree: map[string]any{}, positions: map[string]Position{}}
	if err := toml.Unmarshal(data, &d.tree); err != nil {
		return nil, Errors{syntaxError(file, err)}
	}
	d.index(data)
	return d, nil
}

func syntaxError(file string, err error) *Error {
	out := &Error{File: file, Err: err}
	var at *toml.DecodeError
	if errors.As(err, &at) {
		out.Position.Line, out.Position.Column = at.Position()
		out.Key = joinKey(at.Key())
		out.Err = errors.New(strings.TrimPrefix(at.Error(), "toml: "))
	}
	return out
}

// Decode stores the document in the struct that into points to and returns every misfit as Errors.
func (d *Document) Decode(into any) error {
	return d.decodeAt("", d.tree, into)
}

// Has tells whether the document gives the key, as in Has("pac[1].name").
func (d *Document) Has(key string) bool {
	_, ok := d.positions[key]
	return ok
}

// Same tells whether the document says the same as a table of another one (Section.Values).
func (d *Document) Same(table map[string]any) bool {
	return len(d.tree) == 0 && len(table) == 0 || reflect.DeepEqual(d.tree, table)
}

// Position returns where the key stands, or else the nearest table around it that does stand in the document.
func (d *Document) Position(key string) Position {
	for {
		if p, ok := d.positions[key]; ok {
			return p
		}
		cut := strings.LastIndexAny(key, ".[")
		if cut < 0 {
			return Position{}
		}
		key = key[:cut]
	}
}

// Errorf makes an Error about a key of the document, for checks that come after decoding.
func (d *Document) Errorf(key, format string, args ...any) *Error {
	return &Error{File: d.file, Position: d.Position(key), Key: key, Err: fmt.Errorf(format, args...)}
}

// index fills positions by walking the syntax tree.
func (d *Document) index(data []byte) {
	w := newWalker(data)
	w.positions = d.positions
	for w.parser.NextExpression() {
		w.expression(w.parser.Expression())
	}
}

type walker struct {
	parser    unstable.Parser
	positions map[string]Position
	arrays    map[string]int // elements seen so far of each array of tables
	prefix    string         // path of the table that the next key-values belong to
	lines     []int          // where each begins: the parser counts from the first one, which among the users of a file is long
}

// newWalker makes one that stands before the first expression.
func newWalker(data []byte) *walker {
	w := &walker{positions: map[string]Position{}, arrays: map[string]int{}, lines: []int{0}}
	w.parser.Reset(data)
	for i, c := range data {
		if c == '\n' {
			w.lines = append(w.lines, i+1)
		}
	}
	return w
}

func (w *walker) expression(n *unstable.Node) {
	switch n.Kind {
	case unstable.Table, unstable.ArrayTable:
		path := ""
		for it := n.Key(); it.Next(); {
			path = childKey(path, string(it.Node().Data))
			at := w.at(it.Node())
			w.record(path, at)
			last := it.IsLast()
			if last && n.Kind == unstable.ArrayTable {
				w.arrays[path]++
			}
			if count := w.arrays[path]; count > 0 {
				path = elementKey(path, count-1)
				w.record(path, at)
			}
		}
		w.prefix = path
	case unstable.KeyValue:
		w.keyValue(w.prefix, n)
	}
}

func (w *walker) keyValue(path string, n *unstable.Node) {
	var at Position
	for it := n.Key(); it.Next(); {
		path = childKey(path, string(it.Node().Data))
		at = w.at(it.Node())
		w.record(path, at)
	}
	w.value(path, at, n.Value())
}

func (w *walker) value(path string, around Position, n *unstable.Node) {
	switch n.Kind {
	case unstable.Array:
		i := 0
		for it := n.Children(); it.Next(); i++ {
			element, at := elementKey(path, i), around
			if it.Node().Raw.Length > 0 {
				at = w.at(it.Node())
			}
			w.record(element, at)
			w.value(element, at, it.Node())
		}
	case unstable.InlineTable:
		for it := n.Children(); it.Next(); {
			w.keyValue(path, it.Node())
		}
	}
}

func (w *walker) at(n *unstable.Node) Position {
	offset := int(n.Raw.Offset)
	line := sort.SearchInts(w.lines, offset+1)
	return Position{Line: line, Column: offset - w.lines[line-1] + 1}
}

func (w *walker) record(path string, at Position) {
	if _, seen := w.positions[path]; !seen {
		w.positions[path] = at
	}
}

func childKey(path, name string) string {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		name = fmt.Sprintf("%q", name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func elementKey(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func joinKey(key []string) string {
	path := ""
	for _, name := range key {
		path = childKey(path, name)
	}
	return path
}

func (e Errors) sorted() Errors {
	sort.SliceStable(e, func(i, j int) bool {
		a, b := e[i].Position, e[j].Position
		return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
	})
	return e
}
