package modem

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"

	"trunkline.example/modem/tty"
)

// maxBank is the most lines that a bank may have.
const maxBank = 256

// Bank is devices that come and go, found by a pattern, and the lines that share
// them: a line keeps the device that it has found, so that an identity stays with
// a serial number or a port. It is safe for concurrent use.
type Bank struct {
	pattern string
	find    func(pattern string) ([]tty.Found, error)

	mu   sync.Mutex
	held []string // identity by line; empty: none yet
}

func newBank(pattern string, lines int) *Bank {
	b := &Bank{pattern: pattern, held: make([]string, lines), find: findPaths}
	if tty.IsUSBPattern(pattern) {
		b.find = tty.FindUSB
	}
	return b
}

// claim returns the device of a line: the one it has had before, or one that no
// other line has. fs.ErrNotExist: there is none now.
func (b *Bank) claim(slot int) (string, error) {
	found, err := b.find(b.pattern)
	if err != nil {
		return "", err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range found {
		if f.Identity == b.held[slot] {
			return f.Device, nil
		}
	}
	// A line whose device has gone leaves another one to lines that have none yet.
	if b.held[slot] != "" && slices.Contains(b.held, "") {
		return "", fmt.Errorf("%s: %w", b.held[slot], fs.ErrNotExist)
	}
	for _, f := range found {
		if !slices.Contains(b.held, f.Identity) {
			b.held[slot] = f.Identity
			return f.Device, nil
		}
	}
	return "", fmt.Errorf("%s, for this line: %w", b.pattern, fs.ErrNotExist)
}

// findPaths finds devices by the names of their files, as those of udev in
// /dev/serial. One that has two names counts once.
func findPaths(pattern string) ([]tty.Found, error) {
	names, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	var found []tty.Found
	targets := map[string]bool{}
	for _, name := range names { // sorted
		target, err := filepath.EvalSymlinks(name)
		if err == nil && !targets[target] {
			targets[target] = true
			found = append(found, tty.Found{Identity: name, Device: name})
		}
	}
	return found, nil
}

// checkPattern says what is wrong with the pattern of a bank.
func checkPattern(pattern string) error {
	if tty.IsUSBPattern(pattern) {
		return nil
	}
	if _, err := filepath.Match(pattern, ""); err != nil || !filepath.IsAbs(pattern) {
		return fmt.Errorf("%q is neither an absolute path with * and ?, nor usb:VENDOR:PRODUCT in hexadecimal with * for any", pattern)
	}
	return nil
}
