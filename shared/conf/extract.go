package conf

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Extract returns one table of a document as a document of its own, for a part of a program that decodes its section by
// itself, perhaps in another process. key is the table's path, as in "driver[1].options"; the tables below it lose that
// prefix. Every other line is left empty, so lines keep their numbers. The table must be written with headers
// ([driver.options], [[driver.options.line]]), not inline. The document must be one that Parse accepts.
func Extract(data []byte, key string) []byte {
	lines := bytes.SplitAfter(data, []byte("\n"))
	out := make([][]byte, len(lines))
	for i := range lines {
		out[i] = []byte("\n")
	}
	next := len(lines)
	headers := headersOf(data)
	for i := len(headers) - 1; i >= 0; i-- {
		h := headers[i]
		rest, inside := strings.CutPrefix(h.path, key)
		if inside && (rest == "" || rest[0] == '.') {
			copy(out[h.line:next], lines[h.line:next])
			out[h.line] = []byte(h.shortened(strings.TrimPrefix(rest, ".")) + "\n")
		}
		next = h.line
	}
	return bytes.Join(out, nil)
}

// header is the line of a table or of an element of an array of tables.
type header struct {
	line  int    // counts from 0
	path  string // without the indexes of the last name
	array bool
}

var index = regexp.MustCompile(`\[\d+\]`)

func (h header) shortened(rest string) string {
	rest = index.ReplaceAllString(rest, "")
	switch {
	case rest == "":
		return ""
	case h.array:
		return "[[" + rest + "]]"
	}
	return "[" + rest + "]"
}

func headersOf(data []byte) []header {
	var all []header
	w := newWalker(data)
	for w.parser.NextExpression() {
		n := w.parser.Expression()
		if n.Kind != unstable.Table && n.Kind != unstable.ArrayTable {
			continue
		}
		h := header{array: n.Kind == unstable.ArrayTable}
		for it := n.Key(); it.Next(); {
			h.path = childKey(h.path, string(it.Node().Data))
			h.line = w.at(it.Node()).Line - 1
			last := it.IsLast()
			if last && h.array {
				w.arrays[h.path]++
			}
			// The table that is wanted may itself be an element; below it, indexes would only be in the way.
			if count := w.arrays[h.path]; count > 0 && !last {
				h.path = elementKey(h.path, count-1)
			}
		}
		all = append(all, h)
	}
	return all
}
