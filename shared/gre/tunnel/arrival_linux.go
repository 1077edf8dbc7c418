package tunnel

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// arrival tells when a socket has packets or errors to be read, by an epoll instance that Go's poller watches in place of the socket. Go's would be told
// of room to write as well, which is there again whenever the kernel is done with a packet: each one sent would wake a thread for nothing.
type arrival struct {
	file *os.File
	raw  syscall.RawConn
}

func newArrival(fd int) (*arrival, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
		if err == nil {
			err = unix.SetNonblock(epoll, true)
		}
		if err != nil {
			_ = unix.Close(epoll)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	a := &arrival{file: os.NewFile(uintptr(epoll), "epoll")}
	if a.raw, err = a.file.SyscallConn(); err != nil {
		_ = a.file.Close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return a, nil
}

// wait calls take until that says true, again when there is something. An error means that the arrival has been closed.
func (a *arrival) wait(take func(uintptr) bool) error { return a.raw.Read(take) }

// close ends wait, and returns when it has ended.
func (a *arrival) close() error { return a.file.Close() }
