package modem

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/creack/pty"

	"trunkline.example/modem/tty"
	"trunkline.example/shared/confine"
	"trunkline.example/shared/line"
)

// What a driver may write to follows from its lines' devices: where they are, or will be.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer slave.Close()
	for name, target := range map[string]string{"link": slave.Name(), "gone": "/dev/pts/99999", "usb": "/dev/ttyUSB99"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	lock := tty.LockDirectory
	for keys, want := range map[string][]string{
		`device = "` + slave.Name() + `"`:              {lock, "/dev/pts"},
		`device = "` + dir + `/link"`:                  {lock, "/dev/pts"},
		`device = "` + dir + `/gone"`:                  {lock, "/dev/pts"},
		`device = "` + dir + `/not/yet"`:               {lock, "/dev/pts"},
		`device = "` + dir + `/usb"`:                   {lock, "/dev"},
		`device = "/dev/null"`:                         {lock, "/dev"},
		`device = "/dev/serial/by-id/usb-none"`:        {lock, "/dev"},
		`device = "/proc/4711/root/run/lines/line1"`:   {lock, "/proc/4711/root/run/lines/line1"},
		"devices = \"usb:0baf:*\"\nlines = 2":          {lock, "/dev"},
		"devices = \"/dev/serial/by-id/*\"\nlines = 2": {lock, "/dev"},
		"devices = \"" + dir + "/line*\"\nlines = 2":   {lock, "/dev/pts"},
		`device = "tcp://192.0.2.1:7001"`:              nil,
		`device = "rfc2217://[2001:db8::1]:7001"`:      nil,
		"device = \"tcp://modems.example:7001\"":       nil,
	} {
		rules, err := Files(Analog, line.Section{Text: []byte("[[line]]\nname = \"one\"\n" + keys + "\n")})
		if err != nil {
			t.Fatal(err)
		}
		var writes []string
		reads := map[string]confine.Rights{}
		for _, r := range rules {
			reads[r.Path] = r.Rights
			if r.Rights&confine.Write == confine.Write {
				writes = append(writes, r.Path)
			}
			if changes := r.Rights&confine.Change == confine.Change; changes != (r.Path == lock) {
				t.Errorf("%s: files are made in %s: %v", keys, r.Path, changes)
			}
		}
		slices.Sort(writes)
		slices.Sort(want)
		if !slices.Equal(writes, want) {
			t.Errorf("%s: it writes to %q, want %q", keys, writes, want)
		}
		if strings.Contains(keys, "line*") && reads[dir] != confine.List {
			t.Errorf("%s: the bank's names cannot be read: %v", keys, rules)
		}
		if network := want == nil; network == (reads["/sys/devices"] != 0) {
			t.Errorf("%s: %v", keys, rules)
		}
		if named := slices.Contains(rules, confine.Rule{Path: "/etc", Rights: confine.Read}); named != (strings.Contains(keys, "modems.example") && len(confine.Names()) > 0) {
			t.Errorf("%s: reads what resolves names: %v", keys, named)
		}
	}
	if _, err := Files(Analog, line.Section{}); err == nil {
		t.Error("a section without lines")
	}
}
