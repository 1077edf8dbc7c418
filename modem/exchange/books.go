package exchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"trunkline.example/modem/exchange/office"
)

// books is the directory on disk. It is safe for concurrent use.
type books struct {
	dir string

	mu    sync.Mutex
	lock  *os.File // held while we run: one exchange per directory
	made  bool     // we made the directory
	files []string // to be removed
	d     Directory
}

func newBooks(cfg Config, o office.Config) *books {
	b := &books{dir: cfg.Dir, d: Directory{Lines: []DirectoryLine{}, Hunts: []DirectoryHunt{}, Busy: o.Busy, NoAnswer: o.NoAnswer, Reorder: o.Reorder, Listeners: []DirectoryListener{}}}
	for _, l := range o.Lines {
		b.d.Lines = append(b.d.Lines, DirectoryLine{Name: l.Name, Number: l.Number, Speed: l.Speed(), Digital: l.Digital()})
	}
	for _, h := range o.Hunts {
		b.d.Hunts = append(b.d.Hunts, DirectoryHunt(h))
	}
	for _, l := range cfg.Listeners {
		b.d.Listeners = append(b.d.Listeners, DirectoryListener{Address: l.Address, Protocol: l.Protocol.String(), Lines: l.Lines, Dial: l.Dial})
	}
	return b
}

// open makes the directory and locks it. What an exchange that was killed left
// behind is removed as its names are taken again.
func (b *books) open() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	dir, err := filepath.Abs(b.dir)
	if err != nil {
		return fmt.Errorf("exchange: directory: %w", err)
	}
	b.dir = dir
	if err := os.Mkdir(dir, 0o755); err == nil {
		b.made = true
	} else if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("exchange: directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("exchange: directory: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("exchange: another exchange runs in %s", dir)
		}
		return fmt.Errorf("exchange: lock %s: %w", dir, err)
	}
	b.lock, b.files = lock, []string{lock.Name()}
	return nil
}

// claim removes what is left of an older exchange at a path, and remembers that
// the path is ours. A file of another kind is not touched.
func (b *books) claim(path string, kind fs.FileMode) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("exchange: %w", err)
	case info.Mode().Type() != kind:
		return fmt.Errorf("exchange: %s is in the way: it is none of the exchange's files", path)
	case kind != fs.ModeSymlink: // a link is replaced at once
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("exchange: %w", err)
		}
	}
	if !slices.Contains(b.files, path) {
		b.files = append(b.files, path)
	}
	return nil
}

// link points a line's link to a terminal.
func (b *books) link(line int, tty string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := &b.d.Lines[line]
	path := filepath.Join(b.dir, l.Name)
	if err := b.claim(path, fs.ModeSymlink); err != nil {
		return err
	}
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("exchange: %w", err)
	}
	if err := os.Symlink(tty, fresh); err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	l.Port, l.TTY = path, tty
	return nil
}

// claimSocket returns the path of a line's socket, free to listen on.
func (b *books) claimSocket(line int) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	path := filepath.Join(b.dir, b.d.Lines[line].Name+".sock")
	if err := b.claim(path, fs.ModeSocket); err != nil {
		return "", err
	}
	return path, nil
}

// claimPath frees a path of an older exchange's socket, and removes ours at the
// end.
func (b *books) claimPath(path string, kind fs.FileMode) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.claim(path, kind)
}

// listens notes where a listener listens.
func (b *books) listens(i int, address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.d.Listeners[i].Address = address
}

// socketOpen notes that a line's socket listens.
func (b *books) socketOpen(line int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.d.Lines[line].Socket = filepath.Join(b.dir, b.d.Lines[line].Name+".sock")
}

// write writes directory.json in one piece.
func (b *books) write() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	data, err := json.MarshalIndent(b.d, "", "  ")
	if err != nil {
		return fmt.Errorf("exchange: directory: %w", err)
	}
	path := filepath.Join(b.dir, "directory.json")
	fresh := path + ".new"
	if err := os.WriteFile(fresh, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("exchange: directory: %w", err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("exchange: directory: %w", err)
	}
	if !slices.Contains(b.files, path) {
		b.files = append(b.files, path)
	}
	return nil
}

// close removes all that is ours.
func (b *books) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var failed []error
	for _, f := range slices.Backward(b.files) {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	b.files = nil
	if b.lock != nil {
		failed = append(failed, b.lock.Close())
	}
	if b.made {
		if err := os.Remove(b.dir); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// directory returns what directory.json says.
func (e *Exchange) directory() Directory {
	b := e.books
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.d
	d.Lines, d.Hunts, d.Listeners = slices.Clone(d.Lines), slices.Clone(d.Hunts), slices.Clone(d.Listeners)
	return d
}
