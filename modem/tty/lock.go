package tty

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"trunkline.example/modem/port"
)

// lockFile is a UUCP lock file: LCK..NAME with the number of the process in
// ten characters (FHS 3.0 section 5.9). A nil lockFile is none.
type lockFile struct{ path string }

// acquire locks a device. Where there is no such directory, or we may not
// write to it, there is no lock file: flock and TIOCEXCL must do.
func acquire(directory, device string) (*lockFile, error) {
	name := strings.ReplaceAll(strings.TrimPrefix(device, "/dev/"), "/", "_")
	l := &lockFile{filepath.Join(directory, "LCK.."+name)}
	temporary, err := os.CreateTemp(directory, "LTMP..")
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
			return nil, nil
		}
		return nil, fmt.Errorf("lock file: %w", err)
	}
	defer os.Remove(temporary.Name())
	_, err = fmt.Fprintf(temporary, "%10d\n", os.Getpid())
	if err = errors.Join(err, temporary.Chmod(0o644), temporary.Close()); err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	for range 3 {
		err = os.Link(temporary.Name(), l.path)
		if !errors.Is(err, fs.ErrExist) {
			break
		}
		if holder := l.holder(); holder != 0 {
			return nil, fmt.Errorf("%w: %s names process %d", port.ErrBusy, l.path, holder)
		}
		if err := os.Remove(l.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("stale lock file: %w", err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	return l, nil
}

// holder returns the other living process that a lock file names; 0 if there
// is none, or the file is no lock file at all. Our own number is that of a
// predecessor: what this process holds, flock knows.
func (l *lockFile) holder() int {
	text, err := os.ReadFile(l.path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 0 || pid == os.Getpid() || errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return 0
	}
	return pid
}

func (l *lockFile) release() error {
	if l == nil {
		return nil
	}
	if err := os.Remove(l.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
