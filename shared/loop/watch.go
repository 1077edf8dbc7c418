package loop

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Watch is an epoll instance that is itself a descriptor of Go's own poller, so that who waits for it is a parked goroutine and not a thread. It stands between that
// poller and descriptors that Go must not watch itself: it would watch for room to write as well, which a socket has again whenever the kernel is done with a packet, and each
// packet sent would wake a thread for nothing.
//
// Wait and SetDeadline belong to one goroutine; Close may be called by anybody.
type Watch struct {
	fd   int
	file *os.File
	raw  syscall.RawConn
}

// NewWatch returns one that watches descriptors for what can be read, each by its number; the error is the system's. They are not closed before it.
func NewWatch(fds ...int) (*Watch, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err := unix.SetNonblock(epoll, true); err != nil {
		_ = unix.Close(epoll)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	w := &Watch{fd: epoll, file: os.NewFile(uintptr(epoll), "epoll")}
	w.raw, err = w.file.SyscallConn()
	for _, fd := range fds {
		if err == nil {
			err = w.control(unix.EPOLL_CTL_ADD, fd, uint64(fd), unix.EPOLLIN)
		}
	}
	if err != nil {
		_ = w.file.Close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return w, nil
}

// control adds, changes or removes what is watched for; token comes with its news.
func (w *Watch) control(op, fd int, token uint64, events uint32) error {
	e := unix.EpollEvent{Events: events, Fd: int32(token), Pad: int32(token >> 32)}
	return unix.EpollCtl(w.fd, op, fd, &e)
}

// Wait calls take with the epoll instance's descriptor until that says true, again whenever there may be news. The error is os.ErrDeadlineExceeded, or that of a
// Watch that was closed.
func (w *Watch) Wait(take func(epoll uintptr) bool) error { return w.raw.Read(take) }

// SetDeadline is until when Wait waits; the zero time is for ever.
func (w *Watch) SetDeadline(t time.Time) error { return w.file.SetReadDeadline(t) }

// Close ends Wait, and returns when it has ended.
func (w *Watch) Close() error { return w.file.Close() }
