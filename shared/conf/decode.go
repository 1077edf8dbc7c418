package conf

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Defaulter is implemented (on the pointer) by struct types whose elements in an array of tables start from defaults
// other than zero.
type Defaulter interface{ SetDefaults() }

// Section is a table of a document in plain data, with the place of each of its keys: what a part of a program that is
// configured elsewhere (a driver, perhaps in another process) gets handed to decode by itself. A struct field of type
// Section takes any table.
type Section struct {
	File      string
	Key       string              // path of the table in its document
	Values    map[string]any      // as go-toml yields them: string, int64, float64, bool, time types, []any, map[string]any
	Positions map[string]Position // by full path
}

// Decode stores the section in the struct that into points to, strictly; errors are of type Errors.
func (s Section) Decode(into any) error {
	d := Document{file: s.File, tree: s.Values, positions: s.Positions}
	return d.decodeAt(s.Key, s.Values, into)
}

// Errorf makes an Error about a key of the section, for checks that come after decoding.
func (s Section) Errorf(key, format string, args ...any) *Error {
	d := Document{file: s.File, positions: s.Positions}
	if s.Key != "" {
		key = s.Key + "." + key
	}
	return d.Errorf(key, format, args...)
}

func (d *Document) decodeAt(path string, tree map[string]any, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("conf: cannot decode into %T: not a pointer to a struct", into)
	}
	c := decoder{document: d}
	c.table(path, tree, v.Elem())
	if len(c.errors) > 0 {
		return c.errors.sorted()
	}
	return nil
}

type decoder struct {
	document *Document
	errors   Errors
}

func (c *decoder) fail(path string, err error) {
	c.errors = append(c.errors, &Error{File: c.document.file, Position: c.document.Position(path), Key: path, Err: err})
}

// ErrUnknownKey is wrapped by the error about a key that is none.
var ErrUnknownKey = errors.New("unknown key")

func (c *decoder) table(path string, tree map[string]any, v reflect.Value) {
	fields := fieldsOf(v)
	for name, value := range tree {
		key := childKey(path, name)
		field, ok := fields[name]
		if !ok {
			c.unknown(key, name, fields)
			continue
		}
		c.value(key, value, field)
	}
}

func (c *decoder) unknown(key, name string, fields map[string]reflect.Value) {
	c.fail(key, ErrUnknownKey)
	names := make([]string, 0, len(fields))
	for valid := range fields {
		names = append(names, valid)
	}
	c.errors[len(c.errors)-1].Nearest = nearest(name, names)
}

// fieldsOf maps key names to fields; embedded structs without a tag lend their keys to the struct around them.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		switch {
		case name == "-":
		case f.Anonymous && f.Type.Kind() == reflect.Struct && name == "":
			for inner, field := range fieldsOf(v.Field(i)) {
				fields[inner] = field
			}
		case name != "" && f.IsExported():
			fields[name] = v.Field(i)
		}
	}
	return fields
}

var sectionType = reflect.TypeFor[Section]()

func (c *decoder) value(key string, in any, out reflect.Value) {
	if out.Kind() == reflect.Pointer {
		if out.IsNil() {
			out.Set(reflect.New(out.Type().Elem()))
		}
		out = out.Elem()
	}
	if out.Type() == sectionType {
		c.section(key, in, out)
		return
	}
	if text, ok := out.Addr().Interface().(encoding.TextUnmarshaler); ok {
		c.text(key, in, text)
		return
	}
	switch out.Kind() {
	case reflect.Struct:
		if tree, ok := c.asTable(key, in); ok {
			c.table(key, tree, out)
		}
	case reflect.Slice:
		c.slice(key, in, out)
	case reflect.Map:
		c.mapping(key, in, out)
	case reflect.Interface:
		out.Set(reflect.ValueOf(in))
	default:
		if err := scalar(in, out); err != nil {
			c.fail(key, err)
		}
	}
}

func (c *decoder) section(key string, in any, out reflect.Value) {
	tree, ok := c.asTable(key, in)
	if !ok {
		return
	}
	positions := map[string]Position{key: c.document.Position(key)}
	for path, at := range c.document.positions {
		if strings.HasPrefix(path, key+".") {
			positions[path] = at
		}
	}
	out.Set(reflect.ValueOf(Section{File: c.document.file, Key: key, Values: tree, Positions: positions}))
}

func (c *decoder) text(key string, in any, out encoding.TextUnmarshaler) {
	s, ok := in.(string)
	if !ok {
		c.fail(key, fmt.Errorf("%v must be a string in quotes, not %s", in, kindOf(in)))
		return
	}
	if err := out.UnmarshalText([]byte(s)); err != nil {
		c.fail(key, err)
	}
}

func (c *decoder) asTable(key string, in any) (map[string]any, bool) {
	tree, ok := in.(map[string]any)
	if !ok {
		c.fail(key, fmt.Errorf("must be a table, not %s", kindOf(in)))
	}
	return tree, ok
}

// slice decodes an array; a value that is no array is taken as an array of one, except where tables are wanted.
func (c *decoder) slice(key string, in any, out reflect.Value) {
	elements, ok := in.([]any)
	if !ok {
		if _, isTable := in.(map[string]any); isTable {
			c.fail(key, fmt.Errorf("must be an array: write [[%s]]", key))
			return
		}
		elements = []any{in}
	}
	made := reflect.MakeSlice(out.Type(), len(elements), len(elements))
	for i, element := range elements {
		if d, ok := made.Index(i).Addr().Interface().(Defaulter); ok {
			d.SetDefaults()
		}
		at := key
		if ok {
			at = elementKey(key, i)
		}
		c.value(at, element, made.Index(i))
	}
	out.Set(made)
}

func (c *decoder) mapping(key string, in any, out reflect.Value) {
	tree, ok := c.asTable(key, in)
	if !ok {
		return
	}
	made := reflect.MakeMapWithSize(out.Type(), len(tree))
	for name, element := range tree {
		v := reflect.New(out.Type().Elem()).Elem()
		c.value(childKey(key, name), element, v)
		made.SetMapIndex(reflect.ValueOf(name).Convert(out.Type().Key()), v)
	}
	out.Set(made)
}

func scalar(in any, out reflect.Value) error {
	mismatch := fmt.Errorf("%v must be %s, not %s", in, wanted(out.Kind()), kindOf(in))
	switch out.Kind() {
	case reflect.String:
		if s, ok := in.(string); ok {
			out.SetString(s)
			return nil
		}
	case reflect.Bool:
		if b, ok := in.(bool); ok {
			out.SetBool(b)
			return nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n, ok := in.(int64); ok {
			if out.OverflowInt(n) {
				return fmt.Errorf("%d is out of range", n)
			}
			out.SetInt(n)
			return nil
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n, ok := in.(int64); ok {
			if n < 0 || out.OverflowUint(uint64(n)) {
				return fmt.Errorf("%d is out of range", n)
			}
			out.SetUint(uint64(n))
			return nil
		}
	case reflect.Float32, reflect.Float64:
		switch n := in.(type) {
		case float64:
			out.SetFloat(n)
			return nil
		case int64:
			out.SetFloat(float64(n))
			return nil
		}
	}
	return mismatch
}

func wanted(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	}
	return "a " + k.String()
}

func kindOf(in any) string {
	switch in.(type) {
	case string:
		return "a string"
	case int64:
		return "a whole number"
	case float64:
		return "a number with a fraction"
	case bool:
		return "true or false"
	case []any:
		return "an array"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}
