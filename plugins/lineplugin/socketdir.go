package lineplugin

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketDirPrefix is how the directories begin in which drivers have their sockets.
const socketDirPrefix = "trunkline-driver-"

// socketDirEnv is how go-plugin tells a driver where to put its socket.
const socketDirEnv = "PLUGIN_UNIX_SOCKET_DIR"

// settled is how old such a directory is before its lock is believed: its owner has had the time to take it.
const settled = time.Minute

// makeSocketDir makes a directory that only we can enter, and holds it by a lock that ends with this process. Directories whose host and
// driver were both killed are removed by the next one.
func makeSocketDir() (*os.File, error) {
	reclaimSocketDirs(os.TempDir(), time.Now())
	path, err := os.MkdirTemp("", socketDirPrefix+"*")
	if err != nil {
		return nil, err
	}
	dir, err := os.Open(path)
	if err == nil {
		err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		_ = os.RemoveAll(path)
		return nil, err
	}
	return dir, nil
}

// reclaimSocketDirs removes the directories of ours in parent that nobody holds any more.
func reclaimSocketDirs(parent string, now time.Time) {
	left, err := filepath.Glob(filepath.Join(parent, socketDirPrefix+"*"))
	if err != nil {
		return
	}
	for _, path := range left {
		dir, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		if info, err := dir.Stat(); err == nil && now.Sub(info.ModTime()) >= settled && isOurs(info) &&
			unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(path)
		}
		_ = dir.Close()
	}
}

func isOurs(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}

// removeOwnSocketDir is for a driver whose host has died without removing it. The directory of Keep stays, empty.
func removeOwnSocketDir() {
	switch dir := os.Getenv(socketDirEnv); {
	case strings.HasPrefix(filepath.Base(dir), socketDirPrefix): // os.RemoveAll would open the directory that it lies in, which we may not
		Keep{Dir: dir}.clear()
		_ = os.Remove(dir)
	case os.Getenv(keepEnv) != "":
		Keep{Dir: dir}.clear()
	}
}
