package netns

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Here moves the calling test, with its goroutine's thread and the processes it starts, into a network namespace without
// a name, whose loopback is down. Other goroutines, and subtests, stay outside. It needs root.
func Here(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	runtime.LockOSThread() // never unlocked: the thread, and the namespace, end with the goroutine
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("a network namespace of its own: %v", err)
	}
}
