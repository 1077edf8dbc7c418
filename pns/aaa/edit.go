package aaa

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
	"golang.org/x/sys/unix"

	"trunkline.example/shared/conf"
	"trunkline.example/shared/ppp/auth"
)

// Errors of Add and Remove.
var (
	ErrExists     = errors.New("the user exists already")
	ErrNoSuchUser = errors.New("no such user")
	ErrInline     = errors.New("the users are not written as [[user]] tables: edit the file by hand")
)

// Entry is what Add writes of a user. Fields other than Name and Password that are zero leave the keys of an existing
// user as they are.
type Entry struct {
	Name           string
	Password       string
	Hashed         bool // store the NT hash instead of the password: then the user cannot log in with CHAP-MD5
	Address        netip.Addr
	Authentication []auth.Protocol
	Encryption     auth.EncryptionOverride
	Sessions       int
	Rates          Rates
	Filter         Filter
	Routes         []netip.Prefix
}

// Add puts a user into a users file, which it makes (mode 0600, directory 0755) if it is not there. A user of that name
// is an error of ErrExists, unless replace is true: then the password, and what else the Entry sets, take the place of
// what was there. Comments and all other entries stay as they are. The file is replaced at once, never half written.
func Add(path string, e Entry, replace bool) error {
	return edit(path, true, func(data []byte, users []User) ([]byte, error) {
		changed, err := e.change(data, users, replace)
		if errors.Is(err, ErrExists) {
			err = fmt.Errorf("%w in %s", err, path)
		}
		return changed, err
	})
}

func (e Entry) change(data []byte, users []User, replace bool) ([]byte, error) {
	lines, err := e.lines()
	if err != nil {
		return nil, err
	}
	i := indexOf(users, e.Name)
	switch {
	case i < 0 && isInline(data):
		return nil, ErrInline
	case i < 0:
		return appendUser(data, e.Name, lines), nil
	case !replace:
		return nil, fmt.Errorf("%w: %q", ErrExists, e.Name)
	}
	return replaceKeys(data, i, lines)
}

// Remove takes a user out of a users file. An unknown name is an error of ErrNoSuchUser.
func Remove(path, name string) error {
	return edit(path, false, func(data []byte, users []User) ([]byte, error) {
		i := indexOf(users, name)
		if i < 0 {
			return nil, fmt.Errorf("%w: %q in %s", ErrNoSuchUser, name, path)
		}
		blocks := blocksOf(data)
		if i >= len(blocks) {
			return nil, ErrInline
		}
		b := blocks[i]
		return append(bytes.Clone(data[:b.start]), data[b.end:]...), nil
	})
}

func indexOf(users []User, name string) int {
	for i, u := range users {
		if u.Name == name {
			return i
		}
	}
	return -1
}

// edit changes a users file under a lock, after checking that it can be read before and after.
func edit(path string, create bool, change func([]byte, []User) ([]byte, error)) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if create {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("users file: %w", err)
		}
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("users file: %w", err)
	}
	defer dir.Close()
	// The directory is locked, since the file will be another one afterwards.
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("users file: lock of %s: %w", dir.Name(), err)
	}
	data, info, err := readFile(path)
	if err != nil && !(create && errors.Is(err, fs.ErrNotExist)) {
		return fmt.Errorf("users file: %w", err)
	}
	users, err := ParseUsers(path, data)
	if err != nil {
		return err
	}
	changed, err := change(data, users)
	if err != nil {
		return err
	}
	if _, err := ParseUsers(path, changed); err != nil {
		return fmt.Errorf("the changed file would not be valid, and was not written: %w", err)
	}
	if err := replaceFile(path, changed, info); err != nil {
		return fmt.Errorf("users file: %w", err)
	}
	return dir.Sync()
}

// replaceFile writes a new file beside the old one and puts it in its place; old may be nil.
func replaceFile(path string, data []byte, old fs.FileInfo) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if old != nil {
		if stat, ok := old.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
			err = errors.Join(err, f.Chown(int(stat.Uid), int(stat.Gid)))
		}
		err = errors.Join(err, f.Chmod(old.Mode().Perm()))
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// line is a key with its value as TOML has it.
type line struct{ key, value string }

func (e Entry) lines() ([]line, error) {
	if err := checkName(e.Name); err != nil {
		return nil, fmt.Errorf("user name: %w", err)
	}
	if e.Password == "" {
		return nil, errors.New("the password is empty")
	}
	if !utf8.ValidString(e.Password) {
		return nil, errors.New("the password is no UTF-8")
	}
	lines := []line{{"password", quote(e.Password)}}
	if e.Hashed {
		h, err := auth.NTHash(e.Password)
		if err != nil {
			return nil, err
		}
		lines = []line{{"nt_hash", quote(hex.EncodeToString(h[:]))}}
	}
	if e.Address.IsValid() {
		lines = append(lines, line{"address", quote(e.Address.String())})
	}
	if e.Authentication != nil {
		var names []string
		for _, p := range e.Authentication {
			name, err := Protocol{p}.MarshalText()
			if err != nil {
				return nil, err
			}
			names = append(names, quote(string(name)))
		}
		lines = append(lines, line{"authentication", "[" + strings.Join(names, ", ") + "]"})
	}
	for word, override := range encryptionWords {
		if override == e.Encryption {
			lines = append(lines, line{"encryption", quote(word)})
		}
	}
	if e.Sessions > 0 {
		lines = append(lines, line{"sessions", fmt.Sprint(e.Sessions)})
	}
	for key, rate := range map[string]Rate{"rate_in": e.Rates.In, "rate_out": e.Rates.Out} {
		if rate.Own {
			lines = append(lines, line{key, quote(rate.String())})
		}
	}
	if e.Filter.Own {
		lines = append(lines, line{"filter", quote(e.Filter.Name)})
	}
	if len(e.Routes) > 0 {
		var all []string
		for _, p := range e.Routes {
			all = append(all, quote(p.String()))
		}
		lines = append(lines, line{"routes", "[" + strings.Join(all, ", ") + "]"})
	}
	return lines, nil
}

// quote writes a basic string of TOML.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func appendUser(data []byte, name string, lines []line) []byte {
	out := bytes.Clone(data)
	if len(out) == 0 {
		out = append(out, "# Users of the Trunkline network server. Passwords: keep this file to its owner.\n"...)
	} else if out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	out = fmt.Appendf(out, "\n[[user]]\nname = %s\n", quote(name))
	for _, l := range lines {
		out = fmt.Appendf(out, "%s = %s\n", l.key, l.value)
	}
	return out
}

// replaceKeys changes keys of the i-th user. A password and an NT hash take each other's place.
func replaceKeys(data []byte, i int, lines []line) ([]byte, error) {
	blocks := blocksOf(data)
	if i >= len(blocks) {
		return nil, ErrInline
	}
	out, tail := bytes.Clone(data[:blocks[i].start]), data[blocks[i].end:]
	body := data[blocks[i].start:blocks[i].end]
	at := blocks[i].start
	written := map[string]bool{}
	for _, k := range blocks[i].keys {
		l, ok := replacement(k.name, lines)
		if !ok {
			continue
		}
		out = append(out, body[at-blocks[i].start:k.start-blocks[i].start]...)
		out = append(out, l.key+" = "+l.value...)
		at = k.end
		written[l.key] = true
	}
	out = append(out, body[at-blocks[i].start:]...)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	for _, l := range lines {
		if !written[l.key] {
			out = fmt.Appendf(out, "%s = %s\n", l.key, l.value)
		}
	}
	return append(out, tail...), nil
}

func replacement(key string, lines []line) (line, bool) {
	for _, l := range lines {
		secret := func(k string) bool { return k == "password" || k == "nt_hash" }
		if l.key == key || secret(l.key) && secret(key) {
			return l, true
		}
	}
	return line{}, false
}

// isInline tells whether a valid users file has its users in an array of inline tables, or an empty array.
func isInline(data []byte) bool {
	d, err := conf.Parse("", data)
	return err == nil && d.Has("user") && len(blocksOf(data)) == 0
}

// block is where a [[user]] table stands: from its header to the end of the line of its last key.
type block struct {
	start, end int
	keys       []span
}

// span is where a key with its value stands.
type span struct {
	name       string
	start, end int
}

// blocksOf finds the [[user]] tables of a valid users file.
func blocksOf(data []byte) []block {
	var p unstable.Parser
	p.Reset(data)
	var blocks []block
	lineEnd := func(from int) int {
		if n := bytes.IndexByte(data[from:], '\n'); n >= 0 {
			return from + n + 1
		}
		return len(data)
	}
	for p.NextExpression() {
		n := p.Expression()
		it := n.Key()
		it.Next()
		first := int(it.Node().Raw.Offset)
		switch {
		case n.Kind == unstable.ArrayTable:
			start := bytes.LastIndexByte(data[:first], '[') - 1
			blocks = append(blocks, block{start: start, end: lineEnd(first)})
		case n.Kind == unstable.KeyValue && len(blocks) > 0:
			b := &blocks[len(blocks)-1]
			end := int(n.Raw.Offset + n.Raw.Length)
			b.keys = append(b.keys, span{name: string(it.Node().Data), start: first, end: end})
			b.end = lineEnd(end)
		}
	}
	return blocks
}
