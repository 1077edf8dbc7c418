package modem

import (
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"trunkline.example/modem/netport"
	"trunkline.example/modem/tty"
	"trunkline.example/shared/confine"
	"trunkline.example/shared/line"
)

// Where the system has its devices, and its pseudo-terminals.
const (
	devices   = "/dev"
	terminals = "/dev/pts"
)

// Files is what a driver of that dialect opens for a section, besides what every program does, as the machine is now. Devices may come and go: for one
// that can, it is the directory in which it appears.
func Files(d *Dialect, section line.Section) ([]confine.Rule, error) {
	configs, err := ParseSection(d, section)
	if err != nil {
		return nil, err
	}
	var rules []confine.Rule
	seen := map[confine.Rule]bool{}
	add := func(some ...confine.Rule) {
		for _, r := range some {
			if !seen[r] {
				seen[r] = true
				rules = append(rules, r)
			}
		}
	}
	for _, c := range configs {
		switch {
		case c.Bank != nil:
			add(bankFiles(c.Device)...)
		case netport.Names(c.Device):
			if named(c.Device) {
				add(confine.Names()...)
			}
			continue
		default:
			add(use(home(c.Device)))
		}
		add(confine.Rule{Path: tty.LockDirectory, Rights: confine.Read | confine.Change})
		add(confine.Rule{Path: "/sys/class/tty", Rights: confine.List}, confine.Rule{Path: "/sys/devices", Rights: confine.Read})
		if c.USBReset != USBResetOff {
			for _, hub := range tty.USBRoots() {
				add(confine.Rule{Path: hub, Rights: confine.Write})
			}
		}
	}
	return rules, nil
}

func use(path string) confine.Rule {
	return confine.Rule{Path: path, Rights: confine.Read | confine.Write}
}

// named says whether a device behind the network is given by the name of its host.
func named(device string) bool {
	u, err := url.Parse(device)
	if err != nil {
		return false
	}
	_, err = netip.ParseAddr(u.Hostname())
	return err != nil
}

// beneath says whether a path is a directory or lies in it.
func beneath(path, directory string) bool {
	return path == directory || strings.HasPrefix(path, directory+"/")
}

// bankFiles is where the devices of a bank are, and the names by which they are found.
func bankFiles(pattern string) []confine.Rule {
	if tty.IsUSBPattern(pattern) {
		return []confine.Rule{use(devices)}
	}
	named := pattern
	for strings.ContainsAny(named, `*?[\`) {
		named = filepath.Dir(named)
	}
	names := named
	for _, err := os.Stat(names); err != nil && len(names) > 1; _, err = os.Stat(names) {
		names = filepath.Dir(names) // it may be made yet
	}
	rules := []confine.Rule{{Path: names, Rights: confine.List}, use(appears(filepath.Join(named, "any")))}
	found, err := findPaths(pattern)
	if err != nil {
		return rules
	}
	for _, f := range found {
		rules = append(rules, use(home(f.Device)))
	}
	return rules
}

// home is what is opened for a device: itself, if it stays while the system runs, or the directory it appears in.
func home(device string) string {
	if beneath(device, "/proc") { // another process's directories, in which the names mean something else
		return device
	}
	real, err := filepath.EvalSymlinks(device)
	switch {
	case err != nil:
		if target, err := os.Readlink(device); err == nil && filepath.IsAbs(target) {
			return appears(target)
		}
		return appears(device)
	case tty.Fixed(real) || !beneath(real, devices) && !tty.IsTerminals(filepath.Dir(real)):
		return real
	}
	return filepath.Dir(real)
}

// appears is the directory in which a device will be that is not there yet, whatever links will lead to it: elsewhere than in /dev that is to a pseudo-terminal.
func appears(device string) string {
	if beneath(device, devices) && !beneath(device, terminals) {
		return devices
	}
	return terminals
}
