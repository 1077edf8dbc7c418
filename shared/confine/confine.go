// Package confine keeps a program from files that are none of its business, by Landlock: what the kernel has for processes that restrict themselves,
// whoever they run as (Linux 5.13, Documentation/userspace-api/landlock.rst; since 6.12 signals to other processes can be restricted as well).
//
// A thread is restricted, not a process: a host restricts one that it throws away afterwards, and starts the program from there. All threads
// that the program will ever have are restricted then, however it was built, and the host is not.
package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrUnsupported says that the kernel has no Landlock, or that it is switched off there.
var ErrUnsupported = errors.New("the kernel has no Landlock")

// ErrElsewhere says that a path leads through the directories of /proc into another process: nobody who is confined can follow it.
var ErrElsewhere = errors.New("the path leads into another process")

// Rights are what may be done with a file, a set of bits as the kernel has them (LANDLOCK_ACCESS_FS_...).
type Rights uint64

// The rights.
const (
	List   Rights = unix.LANDLOCK_ACCESS_FS_READ_DIR                                                                          // the names in a directory
	Read          = List | unix.LANDLOCK_ACCESS_FS_READ_FILE                                                                  // and what is in the files
	Write  Rights = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV // what is there, devices included
	Run    Rights = unix.LANDLOCK_ACCESS_FS_EXECUTE                                                                           // as a program
	Empty  Rights = unix.LANDLOCK_ACCESS_FS_REMOVE_DIR                                                                        // remove directories in which nothing is
	Change        = Write | Empty | making | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_REFER              // and make, rename and remove
	making Rights = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
)

// ofFiles are the rights that a file can have that is no directory.
const ofFiles Rights = unix.LANDLOCK_ACCESS_FS_READ_FILE | Write | Run

// Rule allows something with a file, or with a directory and all that lies in it now or later, at any depth.
type Rule struct {
	Path   string // absolute; what is not there when the rule is made allows nothing
	Rights Rights
}

// since says which version of Landlock brought the rights that not all have.
var since = map[int]Rights{2: unix.LANDLOCK_ACCESS_FS_REFER, 3: unix.LANDLOCK_ACCESS_FS_TRUNCATE, 5: unix.LANDLOCK_ACCESS_FS_IOCTL_DEV}

// scopes is the version that can keep signals and abstract sockets to those who are confined together.
const scopes = 6

// Version is which version of Landlock the kernel has, counted from 1; ErrUnsupported if none.
func Version() (int, error) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0, fmt.Errorf("%w: %w", ErrUnsupported, errno)
	}
	return int(abi), nil
}

// Thread restricts the calling thread for good, and what it starts, to what the rules allow; files that are open already are not touched. The goroutine
// is locked to the thread and stays so, and the thread can get no new privileges (PR_SET_NO_NEW_PRIVS). After an error nothing is restricted.
func Thread(rules []Rule) error {
	abi, err := Version()
	if err != nil {
		return err
	}
	handled := List | Read | Change | Run
	for version, rights := range since {
		if abi < version {
			handled &^= rights
		}
	}
	attributes := unix.LandlockRulesetAttr{Handled_access_fs: uint64(handled)}
	if abi >= scopes {
		attributes.Scoped = unix.LANDLOCK_SCOPE_SIGNAL | unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
	}
	ruleset, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attributes)), unsafe.Sizeof(attributes), 0)
	if errno != 0 {
		return fmt.Errorf("landlock_create_ruleset: %w", errno)
	}
	defer unix.Close(int(ruleset))
	for _, r := range rules {
		if err := r.add(int(ruleset), handled); err != nil {
			return fmt.Errorf("%s: %w", r.Path, err)
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0); errno != 0 {
		return fmt.Errorf("landlock_restrict_self: %w", errno)
	}
	return nil
}

// OnThread runs f on a thread that is thrown away afterwards, and waits for it. It is never the first one of the process: the kernel takes that one's
// restrictions for the process's where others send it signals, or look at it in /proc.
func OnThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			OnThread(f) // elsewhere, as long as we are here
			return
		}
		f() // and never unlocked: the thread ends with the goroutine
	}()
	<-done
}

// add puts the rule into a set that knows the handled rights.
func (r Rule) add(ruleset int, handled Rights) error {
	if rest, ok := strings.CutPrefix(r.Path, "/proc/"); ok && strings.ContainsAny(rest[:min(len(rest), 1)], "0123456789") {
		return ErrElsewhere
	}
	fd, err := unix.Open(r.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil // nobody could open it
	default:
		return &os.PathError{Op: "open", Path: r.Path, Err: err}
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return fmt.Errorf("fstat: %w", err)
	}
	rights := r.Rights & handled
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= ofFiles
	}
	if rights == 0 {
		return nil
	}
	beneath := unix.LandlockPathBeneathAttr{Allowed_access: uint64(rights), Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&beneath)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("landlock_add_rule: %w", errno)
	}
	return nil
}
