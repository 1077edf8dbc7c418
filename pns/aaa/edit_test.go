package aaa

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"trunkline.example/shared/ppp/auth"
)

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func open(t *testing.T, path string) *File {
	t.Helper()
	f, err := OpenFile(path, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAddMakesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "etc", "users.toml")
	for i, password := range []string{"first", `quo"te\ and` + "\ttab\x7f", "größe €"} {
		name := fmt.Sprint("user ", i)
		if err := Add(path, Entry{Name: name, Password: password}, false); err != nil {
			t.Fatal(err)
		}
		if a := pap(open(t, path), name, password); !a.OK {
			t.Errorf("%q with %q: %+v\n%s", name, password, a, read(t, path))
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAddWritesWhatTheEntrySays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.toml")
	e := Entry{Name: "x", Password: "pw", Hashed: true, Address: netip.MustParseAddr("10.0.0.9"),
		Authentication: []auth.Protocol{auth.MSCHAPv2, auth.PAP}, Encryption: auth.EncryptionAllowed, Sessions: 3,
		Rates: Rates{In: Rate{true, 64_000}, Out: Rate{true, 0}}, Filter: Filter{true, "guests"}, Routes: []netip.Prefix{netip.MustParsePrefix("192.168.5.0/24"), netip.MustParsePrefix("172.16.0.0/12")}}
	if err := Add(path, e, false); err != nil {
		t.Fatal(err)
	}
	u := open(t, path).Users()[0]
	if _, plain := u.Secret.Reveal(); plain || u.Address != e.Address || len(u.Authentication) != 2 || u.Encryption != e.Encryption || u.Sessions != 3 || u.Rates != e.Rates || u.Filter != e.Filter || !slices.Equal(u.Routes, e.Routes) {
		t.Errorf("%+v\n%s", u, read(t, path))
	}
	if strings.Contains(read(t, path), "pw") {
		t.Error("the password is in the file")
	}
	if a := pap(open(t, path), "x", "pw"); !a.OK {
		t.Errorf("%+v", a)
	}
}

func TestAddRefuses(t *testing.T) {
	_, path := sampleFile(t, FileOptions{})
	if err := Add(path, Entry{Name: "ann", Password: "new"}, false); !errors.Is(err, ErrExists) {
		t.Errorf("a name that is taken: %v", err)
	}
	for _, e := range []Entry{{Name: "", Password: "x"}, {Name: "a\nb", Password: "x"}, {Name: "z"}, {Name: "z", Password: "\xff"},
		{Name: "z", Password: "x", Address: netip.MustParseAddr("10.0.0.7")}, // bob's
		{Name: "z", Password: "x", Authentication: []auth.Protocol{auth.EAP}},
		{Name: "z", Password: "x", Authentication: []auth.Protocol{auth.PAP}, Encryption: auth.EncryptionRequired}} {
		if err := Add(path, e, false); err == nil {
			t.Errorf("%+v was added", e)
		}
	}
	if got := read(t, path); got != sample {
		t.Errorf("the file changed:\n%s", got)
	}
	write(t, path, "[[user]]\nname = 1\n")
	if err := Add(path, Entry{Name: "z", Password: "x"}, true); err == nil {
		t.Error("a bad file was changed")
	}
}

func TestReplaceKeepsEverythingElse(t *testing.T) {
	_, path := sampleFile(t, FileOptions{})
	if err := Add(path, Entry{Name: "bob", Password: "new", Sessions: 5}, true); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(sample, `nt_hash = "8846F7EAEE8FB117AD06BDD830B7586C" # "password"`, `password = "new" # "password"`, 1)
	want = strings.Replace(want, "sessions = 2", "sessions = 5", 1)
	if got := read(t, path); got != want {
		t.Errorf("got\n%s", got)
	}
	if err := Add(path, Entry{Name: "ann", Password: "new", Hashed: true, Encryption: auth.EncryptionRequired}, true); err != nil {
		t.Fatal(err)
	}
	want = strings.Replace(want, "password = \"secret\"\n", "nt_hash = \"XXX\"\nencryption = \"required\"\n", 1)
	hash, err := auth.NTHash("new")
	if err != nil {
		t.Fatal(err)
	}
	want = strings.Replace(want, "XXX", fmt.Sprintf("%x", hash), 1)
	if got := read(t, path); got != want {
		t.Errorf("got\n%s", got)
	}
	if a := pap(open(t, path), "ann", "new"); !a.OK {
		t.Errorf("ann: %+v", a)
	}
}

func TestReplaceOfStrangeLayouts(t *testing.T) {
	for _, text := range []string{
		"[[user]]\npassword = '''\nold\n[[user]]\nname = \"x\"'''\nname = \"a\"",
		"[[ user ]] # a\n  \"name\" = 'a'\n  \"password\"   =   \"old\"   # why\n\n\n[[user]]\nname='b'\npassword='b'",
		"[[user]]\nname = \"a\"\nnt_hash = '8846F7EAEE8FB117AD06BDD830B7586C'",
	} {
		path := filepath.Join(t.TempDir(), "users.toml")
		write(t, path, text)
		before := open(t, path).Len()
		if err := Add(path, Entry{Name: "a", Password: "new"}, true); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		f := open(t, path)
		if a := pap(f, "a", "new"); !a.OK || f.Len() != before {
			t.Errorf("%q became\n%s", text, read(t, path))
		}
	}
	path := filepath.Join(t.TempDir(), "users.toml")
	write(t, path, `user = [{name = "a", password = "old"}]`)
	if err := Add(path, Entry{Name: "a", Password: "new"}, true); !errors.Is(err, ErrInline) {
		t.Errorf("inline tables: %v", err)
	}
	if err := Add(path, Entry{Name: "b", Password: "new"}, false); err == nil {
		t.Error("a table was added to an inline array")
	}
}

func TestRemove(t *testing.T) {
	_, path := sampleFile(t, FileOptions{})
	if err := Remove(path, "nobody"); !errors.Is(err, ErrNoSuchUser) {
		t.Errorf("an unknown name: %v", err)
	}
	if err := Remove(path, "bob"); err != nil {
		t.Fatal(err)
	}
	begin, end := strings.Index(sample, "[[user]]\nname = \"bob\""), strings.Index(sample, "sessions = 2\n")+len("sessions = 2\n")
	if got := read(t, path); got != sample[:begin]+sample[end:] {
		t.Errorf("got\n%s", got)
	}
	for _, u := range open(t, path).Users() {
		if err := Remove(path, u.Name); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, path); strings.Contains(got, "user") {
		t.Errorf("left:\n%s", got)
	}
	if err := Remove(filepath.Join(t.TempDir(), "none"), "x"); err == nil {
		t.Error("removed from a file that is not there")
	}
}

func TestSymbolicLinkStays(t *testing.T) {
	_, path := sampleFile(t, FileOptions{})
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := Add(link, Entry{Name: "new", Password: "pw"}, false); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); err != nil || to != path || open(t, path).Len() != 5 {
		t.Errorf("link to %q, %v", to, err)
	}
}

func TestConcurrentAddsLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.toml")
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			if err := Add(path, Entry{Name: fmt.Sprint("user", i), Password: "pw"}, false); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if n := open(t, path).Len(); n != 20 {
		t.Errorf("%d users", n)
	}
}
