package lineplugin

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"trunkline.example/shared/line"
)

// mostLinks is how many links may lie on the way to an executable, as in the kernel.
const mostLinks = 40

// trusted says why an executable, named by an absolute path, must not be run as a driver: because others than root and our own user could have
// put something else in its place. Links are followed one by one, as the kernel does; everything on the way to each counts.
func trusted(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%w: %q is no absolute path", line.ErrConfiguration, path)
	}
	links, at := 0, string(filepath.Separator)
	if err := changedByOthers(at); err != nil {
		return err
	}
	for rest := strings.Split(path, "/"); len(rest) > 0; {
		next := filepath.Join(at, rest[0]) // at has no links in it, so ".." is the directory that it lies in
		rest = rest[1:]
		if err := changedByOthers(next); err != nil {
			return err
		}
		target, err := os.Readlink(next)
		if err != nil { // no link
			at = next
			continue
		}
		if links++; links > mostLinks {
			return fmt.Errorf("%w: too many links on the way to %s", line.ErrConfiguration, path)
		}
		if filepath.IsAbs(target) {
			at = string(filepath.Separator)
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return executable(at)
}

func executable(path string) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", line.ErrConfiguration, err)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return fmt.Errorf("%w: it is no executable file", line.ErrConfiguration)
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
