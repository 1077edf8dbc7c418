package lineplugin

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"trunkline.example/shared/line"
)

// trusted says why an executable must not be run as a driver: because others than root and our own user could have put something else in its
// place. Links are followed; every directory on either way counts.
func trusted(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("%w: %w", line.ErrConfiguration, err)
	}
	info, err := os.Stat(real)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", line.ErrConfiguration, err)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return fmt.Errorf("%w: it is no executable file", line.ErrConfiguration)
	}
	for _, at := range []string{filepath.Clean(path), real} {
		for ; ; at = filepath.Dir(at) {
			if err := changedByOthers(at); err != nil {
				return err
			}
			if at == filepath.Dir(at) {
				break
			}
		}
	}
	return nil
}

// changedByOthers says who else could change a file or directory. In a directory with the sticky bit only owners can replace things.
func changedByOthers(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("%w: %w", line.ErrConfiguration, err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return fmt.Errorf("%w: the owner of %s is unknown", line.ErrConfiguration, path)
	case stat.Uid != 0 && int(stat.Uid) != os.Getuid():
		return fmt.Errorf("%w: %s belongs to user %d, who could change it", line.ErrConfiguration, path, stat.Uid)
	case info.Mode()&0o022 != 0 && info.Mode()&(os.ModeSticky|os.ModeSymlink) == 0:
		return fmt.Errorf("%w: %s can be changed by others than its owner (mode %v)", line.ErrConfiguration, path, info.Mode().Perm())
	}
	return nil
}
