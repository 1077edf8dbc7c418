package modem

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/modem/port"
	"trunkline.example/modem/port/porttest"
	"trunkline.example/shared/line"
)

func TestBankKeepsIdentities(t *testing.T) {
	dir := t.TempDir()
	plug := func(names ...string) {
		t.Helper()
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	unplug := func(name string) {
		t.Helper()
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	b := newBank(dir+"/modem*", 3)
	check := func(slot int, want string) {
		t.Helper()
		got, err := b.claim(slot)
		if want == "" && !errors.Is(err, fs.ErrNotExist) || want != "" && (err != nil || got != filepath.Join(dir, want)) {
			t.Errorf("line %d has %q, %v instead of %q", slot, got, err, want)
		}
	}
	check(0, "")
	plug("modem2", "other")
	if err := os.Symlink("modem2", filepath.Join(dir, "modem3")); err != nil { // another name of it
		t.Fatal(err)
	}
	check(1, "modem2")
	check(0, "")
	unplug("modem3")
	plug("modem1")
	check(0, "modem1")
	check(1, "modem2")
	unplug("modem1")
	plug("modem4")
	check(0, "") // it is left to line 2, which has none
	check(2, "modem4")
	plug("modem1")
	check(0, "modem1")
	unplug("modem1")
	plug("modem5")
	check(0, "modem5") // all have had one: it takes the place of the one that is gone
}

// Modems of a bank come and go while the lines of others work.
func TestHotPlug(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		devices, sims := map[string]*porttest.Device{}, map[string]*sim{}
		one, two := filepath.Join(dir, "tty1"), filepath.Join(dir, "tty2")
		for _, name := range []string{one, two} {
			devices[name] = porttest.NewDevice(false)
			sims[name] = newSim(t, cable{devices[name]})
			sims[name].run(t)
		}
		plug := func(name string) {
			devices[name].Plug()
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		text := "[[line]]\nname = \"usb\"\ndevices = \"" + dir + "/tty*\"\nlines = 2\n"
		open := func(ctx context.Context, o port.Options) (port.Port, error) { return devices[o.Device].Open(ctx, o) }
		lines, err := New(Options{Logger: testLogger(t), Open: open}).Open(t.Context(), line.Section{Text: []byte(text)})
		if err != nil || len(lines) != 2 || lines[0].Identity().Name != "usb/1" || lines[1].Identity().PhysicalChannel != 2 {
			t.Fatal(lines, err)
		}
		first, second := &host{T: t, line: lines[0]}, &host{T: t, line: lines[1]}
		for _, h := range []*host{first, second} {
			if d := want[line.Down](h); d.Cause.Code != line.CauseDevice {
				t.Errorf("%+v", d)
			}
		}
		up := func(h *host) {
			for deadline := time.Now().Add(time.Minute); h.status.State != line.StateIdle; h.next() {
				if time.Now().After(deadline) {
					t.Fatal("the line does not come up")
				}
			}
		}
		plug(one)
		var has, other *host
		select { // whichever looks first
		case e := <-first.line.Events():
			first.apply(e)
			has, other = first, second
		case e := <-second.line.Events():
			second.apply(e)
			has, other = second, first
		}
		if has.status.State != line.StateIdle {
			has, other = other, has
		}
		up(has)
		has.device, has.sim = devices[one], sims[one]
		has.connect()
		plug(two)
		up(other)
		if err := os.Remove(one); err != nil {
			t.Fatal(err)
		}
		has.sim.set(func() { has.sim.state, has.sim.offHook = simCommand, false })
		has.device.HangUp(true)
		want[line.Lost](has)
		want[line.Down](has)
		other.device, other.sim = devices[two], sims[two]
		other.connect()
		plug(one)
		up(has)
		has.connect()
		for _, h := range []*host{first, second} {
			h.close()
		}
	})
}

func TestMistakesInABank(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"name = \"a\"\ndevices = \"tty*\"\nlines = 2", "is neither an absolute path"},
		{"name = \"a\"\ndevices = \"/dev/[\"\nlines = 2", "is neither an absolute path"},
		{"name = \"a\"\ndevices = \"usb:0baf\"\nlines = 2", "is neither an absolute path"},
		{"name = \"a\"\ndevices = \"usb:0baf:*\"", "line[0].lines: 0 is not between 1 and 256"},
		{"name = \"a\"\ndevices = \"usb:0baf:*\"\nlines = 300", "line[0].lines: 300 is not"},
		{"name = \"a\"\ndevice = \"/dev/a\"\ndevices = \"usb:0baf:*\"\nlines = 2", "line[0].device: a line has either"},
		{"devices = \"usb:0baf:*\"\nlines = 2", "line[0].name: a line needs a name"},
	} {
		_, err := ParseSection(Analog, line.Section{Text: []byte("[[line]]\n" + c.text + "\n")})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}

// A line that is down looks for its device as soon as one is plugged in.
func TestDeviceIsLookedForWhenOneIsPluggedIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device := porttest.NewDevice(false)
		device.HangUp(true)
		h := &host{T: t, device: device, sim: newSim(t, cable{device})}
		h.sim.run(t)
		news := &news{plugged: make(chan struct{})}
		lines, err := New(Options{Logger: testLogger(t), Open: device.Open, Watch: news.watch}).Open(t.Context(), section(""))
		h.must(err)
		h.line = lines[0]
		for want[line.Down](h).Retry < 30*time.Second {
		}
		device.Plug()
		start := time.Now()
		news.plugged <- struct{}{}
		want[line.Up](h)
		news.came(h, start)
	})
}

// news are those of devices that come.
type news struct {
	plugged  chan struct{}
	watching int
}

func (n *news) watch() (<-chan struct{}, func(), error) {
	n.watching++
	return n.plugged, func() { n.watching-- }, nil
}

// came says that the line is up, soon after its device has come, that it works and looks for no device any more.
func (n *news) came(h *host, at time.Time) {
	h.Helper()
	if took := time.Since(at); took > 10*time.Second {
		h.Errorf("took %v", took)
	}
	h.connect()
	synctest.Wait()
	if n.watching != 0 {
		h.Error("a line that is up watches still")
	}
	h.close()
}

// A device that is plugged in just when its line has looked in vain, and before it waits, is not left for the next look.
func TestDevicePluggedInBehindALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device := porttest.NewDevice(false)
		device.HangUp(true)
		h := &host{T: t, device: device, sim: newSim(t, cable{device})}
		h.sim.run(t)
		news, looks := &news{plugged: make(chan struct{}, 1)}, 0
		var at time.Time
		open := func(ctx context.Context, o port.Options) (port.Port, error) {
			p, err := device.Open(ctx, o)
			if looks++; looks == len(deviceRetries)+1 { // the longest pause follows
				device.Plug()
				at = time.Now()
				if news.watching > 0 { // who does not listen is not told
					news.plugged <- struct{}{}
				}
			}
			return p, err
		}
		lines, err := New(Options{Logger: testLogger(t), Open: open, Watch: news.watch}).Open(t.Context(), section("device_wait = \"0s\""))
		h.must(err)
		h.line = lines[0]
		for up := false; !up; {
			e := h.next()
			_, up = e.Body.(line.Up)
		}
		news.came(h, at)
	})
}
