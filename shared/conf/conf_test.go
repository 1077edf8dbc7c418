package conf

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

type inner struct {
	Name  string `toml:"name"`
	Count uint8  `toml:"count"`
}

// SetDefaults implements Defaulter.
func (i *inner) SetDefaults() { i.Count = 7 }

type shared struct {
	Wait Duration `toml:"wait"`
}

type sample struct {
	Name    string            `toml:"name"`
	On      bool              `toml:"on"`
	Maybe   *bool             `toml:"maybe"`
	Number  int16             `toml:"number"`
	Big     uint64            `toml:"big"`
	Ratio   float64           `toml:"ratio"`
	List    []string          `toml:"list"`
	Size    Size              `toml:"size"`
	Inner   inner             `toml:"inner"`
	Items   []inner           `toml:"item"`
	Labels  map[string]string `toml:"labels"`
	Any     any               `toml:"any"`
	Section Section           `toml:"section"`
	Ignored string
	Never   string `toml:"-"`
	shared
}

func TestDecode(t *testing.T) {
	const text = `name = "n"
on = true
maybe = false
number = -5
big = 9007199254740993
ratio = 2
list = ["a", "b"]
size = "64KiB"
wait = "1m30s"
labels = { x = "1", "y z" = "2" }
any = [1, "two"]
inner.name = "dotted"
[[item]]
name = "first"
[[item]]
name = "second"
count = 9
[section]
free = 1
`
	got := sample{Ignored: "kept", Inner: inner{Count: 3}}
	if err := Decode("f.toml", []byte(text), &got); err != nil {
		t.Fatal(err)
	}
	no := false
	want := sample{Name: "n", On: true, Maybe: &no, Number: -5, Big: 9007199254740993, Ratio: 2, List: []string{"a", "b"}, Size: Size{64 << 10},
		Inner: inner{"dotted", 3}, Items: []inner{{"first", 7}, {"second", 9}}, Labels: map[string]string{"x": "1", "y z": "2"},
		Any: []any{int64(1), "two"}, Ignored: "kept", shared: shared{Duration{90 * time.Second}}, Section: got.Section}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got.Section.Key != "section" || !reflect.DeepEqual(got.Section.Values, map[string]any{"free": int64(1)}) {
		t.Errorf("section %+v", got.Section)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"nme = 1", `f.toml:1:1: nme: unknown key (did you mean "name"?)`},
		{"\n\n  NAME = 'x'", `f.toml:3:3: NAME: unknown key (did you mean "name"?)`},
		{"completely_different = 1", `f.toml:1:1: completely_different: unknown key`},
		{"Ignored = 'x'", `f.toml:1:1: Ignored: unknown key`},
		{"number = 40000", `f.toml:1:1: number: 40000 is out of range`},
		{"big = -1", `f.toml:1:1: big: -1 is out of range`},
		{"number = '5'", `f.toml:1:1: number: 5 must be a whole number, not a string`},
		{"number = 5.5", `number: 5.5 must be a whole number, not a number with a fraction`},
		{"on = 1", `on: 1 must be true or false, not a whole number`},
		{"name = 1979-05-27", `name: 1979-05-27 must be a string, not a date or time`},
		{"ratio = 'x'", `ratio: x must be a number, not a string`},
		{"size = 65536", `size: 65536 must be a string in quotes, not a whole number`},
		{"list = ['a',\n 3]", `f.toml:2:2: list[1]: 3 must be a string, not a whole number`},
		{"inner = 3", `inner: must be a table, not a whole number`},
		{"[item]\nname = 'x'", `f.toml:1:2: item: must be an array: write [[item]]`},
		{"[[item]]\n[[item]]\ncuont = 3", `f.toml:3:1: item[1].cuont: unknown key (did you mean "count"?)`},
		{"item = [{name = 'x'},\n {nam = 'y'}]", `f.toml:2:3: item[1].nam: unknown key (did you mean "name"?)`},
		{"inner = { count = 300 }", `f.toml:1:11: inner.count: 300 is out of range`},
		{"labels.x = 3", `f.toml:1:8: labels.x: 3 must be a string`},
		{`"odd key" = 1`, `f.toml:1:1: "odd key": unknown key`},
		{"name = 'x'\nname = 'y'", `f.toml:2:1: `},
		{"name = ", `f.toml:1:`},
		{"[inner", `f.toml:1:`},
	} {
		var into sample
		err := Decode("f.toml", []byte(c.text), &into)
		var all Errors
		if !errors.As(err, &all) || len(all) != 1 || !strings.HasPrefix(err.Error(), c.want) && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q:\n got %v\nwant %s", c.text, err, c.want)
		}
		if strings.Contains(c.want, "unknown") && !errors.Is(err, ErrUnknownKey) {
			t.Errorf("%q: %v is not ErrUnknownKey", c.text, err)
		}
	}
}

func TestAllErrorsInTheirOrder(t *testing.T) {
	var into sample
	err := Decode("", []byte("zzz = 1\nnumber = 'x'\n[inner]\ncount = -1\nyyy = 2\n"), &into)
	want := "1:1: zzz: unknown key\n2:1: number: x must be a whole number, not a string\n4:1: inner.count: -1 is out of range\n5:1: inner.yyy: unknown key"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestPositions(t *testing.T) {
	const text = "a = 1\n[b]\nc = { d = 1, e = [10,\n  20] }\n[[b.f]]\ng = 1\n[[b.f]]\n[b.f.h]\ni.j = 1\n"
	d, err := Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]Position{
		"a": {1, 1}, "b": {2, 2}, "b.c": {3, 1}, "b.c.d": {3, 7}, "b.c.e[1]": {4, 3}, "b.f[0]": {5, 5}, "b.f[0].g": {6, 1}, "b.f[1]": {7, 5},
		"b.f[1].h.i.j": {9, 3}, "b.f[1].h.i.absent": {9, 1}, "b.absent": {2, 2}, "absent": {}, "b.f[7].x": {5, 5},
	} {
		if got := d.Position(key); got != want {
			t.Errorf("%s: %v, want %v", key, got, want)
		}
	}
	if !d.Has("b.f[1].h") || d.Has("b.f[2]") {
		t.Error("Has is wrong")
	}
	if got := d.Errorf("b.x", "no %d", 5).Error(); got != "f:2:2: b.x: no 5" {
		t.Errorf("%q", got)
	}
}

// Where the last of many tables stands is found as soon as where the first does: a users file has tens of thousands.
func TestPositionsOfMany(t *testing.T) {
	const many = 100_000
	d, err := Parse("f", []byte(strings.Repeat("[[user]]\n  name = \"x\"\n\n", many)))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]Position{"user[0].name": {Line: 2, Column: 3}, fmt.Sprintf("user[%d].name", many-1): {Line: 3*many - 1, Column: 3}} {
		if got := d.Position(key); got != want {
			t.Errorf("%s at %v, want %v", key, got, want)
		}
	}
}

// A part of a program decodes its section by itself, with the same errors.
func TestSection(t *testing.T) {
	var into struct {
		Drivers []struct {
			Kind    string  `toml:"kind"`
			Options Section `toml:"options"`
		} `toml:"driver"`
	}
	const text = "[[driver]]\nkind = 'a'\n[driver.options]\nname = 'x'\n[[driver.options.item]]\nname = 'y'\ncount = 999\n[[driver]]\nkind = 'b'\noptions = { count = 3 }\n"
	if err := Decode("f.toml", []byte(text), &into); err != nil {
		t.Fatal(err)
	}
	var first struct {
		Name  string  `toml:"name"`
		Items []inner `toml:"item"`
	}
	err := into.Drivers[0].Options.Decode(&first)
	if err == nil || err.Error() != "f.toml:7:1: driver[0].options.item[0].count: 999 is out of range" || first.Name != "x" {
		t.Errorf("%v, %+v", err, first)
	}
	var second inner
	if err := into.Drivers[1].Options.Decode(&second); err != nil || second.Count != 3 {
		t.Errorf("%v, %+v", err, second)
	}
	if got := into.Drivers[1].Options.Errorf("count", "odd").Error(); got != "f.toml:10:13: driver[1].options.count: odd" {
		t.Errorf("%q", got)
	}
}

func TestDecodeIntoSomethingElse(t *testing.T) {
	for _, into := range []any{nil, sample{}, new(int), (*sample)(nil)} {
		if err := Decode("", nil, into); err == nil {
			t.Errorf("%T accepted", into)
		}
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.toml")
	if _, err := Load(path); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("name = 3"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Decode(&sample{}); err == nil || !strings.HasPrefix(err.Error(), path+":1:1: name") {
		t.Error(err)
	}
}

func TestNearest(t *testing.T) {
	valid := []string{"listener", "policy", "limits", "messages_per_second", "dns"}
	for name, want := range map[string]string{
		"listner": "listener", "Listener": "listener", "polciy": "policy", "limit": "limits", "messages-per-second": "messages_per_second",
		"message_per_seconds": "messages_per_second", "dn": "dns", "x": "", "completely": "", "": "",
	} {
		if got := nearest(name, append([]string{}, valid...)); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

type text interface {
	UnmarshalText([]byte) error
	fmt.Stringer
}

func TestTypes(t *testing.T) {
	for _, c := range []struct {
		into text
		good map[string]string // text -> what String says
		bad  []string
	}{
		{&Duration{}, map[string]string{"60s": "1m", "1h30m": "1h30m", "250ms": "250ms", "0": "0s", "2h": "2h", "1h0m5s": "1h0m5s", "10m": "10m", "100h0m": "100h"},
			[]string{"60", "", "-1s", "1 day", "s"}},
		{&Size{}, map[string]string{"0": "0", "512B": "512B", "64KiB": "64KiB", "64 KiB": "64KiB", "10MB": "10MB", "1GiB": "1GiB", "1024B": "1KiB", "1500B": "1500B"},
			[]string{"64", "", "-1KiB", "1.5MB", "KiB", "9223372036854775807GB", "1TB"}},
		{&BitRate{}, map[string]string{"0": "0", "9600bit/s": "9600bit/s", "512kbit/s": "512kbit/s", "1000 kbit/s": "1Mbit/s", "2Gbit/s": "2Gbit/s", "1000Gbit/s": "1000Gbit/s"},
			[]string{"", "64", "-1kbit/s", "1.5Mbit/s", "Mbit/s", "1001Gbit/s", "18446744073709551616bit/s", "1MB/s"}},
		{&AddrPort{}, map[string]string{"192.0.2.1:1723": "192.0.2.1:1723", ":80": "0.0.0.0:80", "[::1]:2": "[::1]:2", "[::ffff:192.0.2.1]:5": "192.0.2.1:5", "[fe80::1%eth0]:5": "[fe80::1%eth0]:5"},
			[]string{"", "192.0.2.1", "host:80", "192.0.2.1:99999", "80"}},
		{&Addr{}, map[string]string{"192.0.2.1": "192.0.2.1", "": "invalid IP", "::1": "::1", "::ffff:192.0.2.1": "192.0.2.1"}, []string{"x", "192.0.2.256", "192.0.2.1:1"}},
		{&Prefix{}, map[string]string{"10.0.0.0/8": "10.0.0.0/8", "10.0.0.1": "10.0.0.1/32", "fd00::/64": "fd00::/64", "fd00::1": "fd00::1/128",
			"::ffff:10.0.0.0/104": "10.0.0.0/8", "::ffff:10.0.0.1": "10.0.0.1/32", "::/0": "::/0"},
			[]string{"", "fe80::1%eth0", "fd00::1/64", "::ffff:10.0.0.1/104", "10.0.0.1/8", "10.0.0.0/33", "x/8"}},
		{&Range{}, map[string]string{"10.0.0.0/24": "10.0.0.0/24", "10.0.0.1-10.0.0.9": "10.0.0.1-10.0.0.9", "10.0.0.1 - 10.0.0.9": "10.0.0.1-10.0.0.9",
			"10.0.0.5": "10.0.0.5", "10.0.0.0-10.0.0.255": "10.0.0.0-10.0.0.255", "10.0.0.7/32": "10.0.0.7/32", "0.0.0.0/0": "0.0.0.0/0"},
			[]string{"", "10.0.0.9-10.0.0.1", "10.0.0.1-", "10.0.0.1-fd00::1", "10.0.0.1/24", "a-b"}},
	} {
		for in, want := range c.good {
			if err := c.into.UnmarshalText([]byte(in)); err != nil || c.into.String() != want {
				t.Errorf("%T %q: %v, %v; want %s", c.into, in, c.into, err, want)
			}
		}
		for _, in := range c.bad {
			if err := c.into.UnmarshalText([]byte(in)); err == nil || len(in) > 0 && !strings.Contains(err.Error(), in) {
				t.Errorf("%T %q: %v, %v", c.into, in, c.into, err)
			}
		}
	}
}

func TestCheckHost(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "", "127.0.0.1": "", "2001:db8::1": "", "::1": "", "fe80::1%eth0": "", "169.254.1.1": "",
		"0.0.0.0": "not the address of a host", "255.255.255.255": "not the address", "224.0.0.1": "not the address", "::": "not the address",
		"ff02::1%eth0": "not the address", "fe80::1": "as in \"fe80::1%eth0\"", "fe80::1%2": "as in \"fe80::1%eth0\"", "2001:db8::1%eth0": "takes no interface",
	} {
		if err := CheckHost(netip.MustParseAddr(address)); fmt.Sprint(err) != "<nil>" && want == "" || want != "" && !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: %v; want %q", address, err, want)
		}
	}
	if CheckHost(netip.Addr{}) == nil {
		t.Error("no address is the address of a host")
	}
}

func TestRangeContains(t *testing.T) {
	var r Range
	if err := r.UnmarshalText([]byte("10.0.0.250-10.0.1.5")); err != nil {
		t.Fatal(err)
	}
	for a, want := range map[string]bool{"10.0.0.249": false, "10.0.0.250": true, "10.0.1.0": true, "10.0.1.5": true, "10.0.1.6": false, "::1": false} {
		if got := r.Contains(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
	if (Range{}).Contains(netip.MustParseAddr("10.0.0.1")) {
		t.Error("the zero range contains something")
	}
	if _, err := (Range{}).MarshalText(); err == nil {
		t.Error("the zero range has a text")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("name = \"n\"\n[[item]]\ncount = 3\n[labels]\nx = \"y\"\n[section]\na.b = [1, {c = 2}]\n"))
	f.Add([]byte("item = [{name = 'x'}, 3]\n\"\" = 1\nany = 1979-05-27T07:32:00Z\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var into sample
		err := Decode("f", data, &into)
		var all Errors
		if err != nil && !errors.As(err, &all) {
			t.Fatalf("%T", err)
		}
		for _, e := range all {
			if e.Position.Line < 1 && !strings.Contains(e.Error(), "toml") {
				t.Errorf("no position in %q", e)
			}
		}
		if err == nil {
			Extract(data, "section")
			_ = into.Section.Decode(&inner{})
		}
	})
}
