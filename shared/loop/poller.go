package loop

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Poller waits for many descriptors at the cost of one, by a Watch. An eventfd in it wakes the waiter.
//
// Wake may be called by anybody; all else belongs to the one goroutine that waits.
type Poller struct {
	watch  *Watch
	wakeFD int
	events [128]unix.EpollEvent
	count  int
	err    error
	check  func(fd uintptr) bool // made once, so that waiting does not allocate
}

// Readiness is one descriptor's news.
type Readiness struct {
	Token    uint64 // what Add was given
	Readable bool   // data, end of file, or an error to be read
	Writable bool
}

// wakeToken is that of the eventfd; no descriptor may use it.
const wakeToken = ^uint64(0)

// NewPoller returns a Poller that watches nothing yet; the error is the system's.
func NewPoller() (*Poller, error) {
	watch, err := NewWatch()
	if err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = watch.Close()
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	p := &Poller{watch: watch, wakeFD: wake}
	if err := p.Add(wake, wakeToken); err != nil {
		p.Close()
		return nil, err
	}
	p.check = p.poll
	return p, nil
}

// poll is called by Go's poller whenever the epoll instance may have news.
func (p *Poller) poll(epoll uintptr) bool {
	p.count, p.err = unix.EpollWait(int(epoll), p.events[:], 0)
	if errors.Is(p.err, unix.EINTR) {
		p.count, p.err = 0, nil
	}
	return p.count > 0 || p.err != nil
}

// Wait blocks until there is news, somebody called Wake, or the deadline (zero: none) has passed; Each tells the news.
// Several calls of Wake may count as one.
func (p *Poller) Wait(deadline time.Time) error {
	if err := p.watch.SetDeadline(deadline); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	p.count = 0
	switch err := p.watch.Wait(p.check); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		// With a deadline that had passed already nobody has looked. A shard that is always late must not become deaf.
		p.poll(uintptr(p.watch.fd))
	case err != nil:
		return fmt.Errorf("epoll: %w", err)
	}
	if p.err != nil {
		return fmt.Errorf("epoll_wait: %w", p.err)
	}
	return nil
}

// Each hands the news of the last wait to f.
func (p *Poller) Each(f func(Readiness)) {
	for _, e := range p.events[:p.count] {
		token := uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32
		if token == wakeToken {
			var b [8]byte
			unix.Read(p.wakeFD, b[:]) // nothing to read is as good: it was only a signal
			continue
		}
		f(Readiness{
			Token:    token,
			Readable: e.Events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR|unix.EPOLLRDHUP) != 0,
			Writable: e.Events&unix.EPOLLOUT != 0,
		})
	}
}

// Add watches fd for reading; its news carries token.
func (p *Poller) Add(fd int, token uint64) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, token, unix.EPOLLIN|unix.EPOLLRDHUP)
}

// Watch sets whether news of fd's being writable is wanted as well.
func (p *Poller) Watch(fd int, token uint64, writable bool) error {
	events := uint32(unix.EPOLLIN | unix.EPOLLRDHUP)
	if writable {
		events |= unix.EPOLLOUT
	}
	return p.control(unix.EPOLL_CTL_MOD, fd, token, events)
}

// Remove stops watching fd, which must still be open.
func (p *Poller) Remove(fd int) error {
	return p.control(unix.EPOLL_CTL_DEL, fd, 0, 0)
}

func (p *Poller) control(op, fd int, token uint64, events uint32) error {
	if err := p.watch.control(op, fd, token, events); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

var wakeValue = []byte{1, 0, 0, 0, 0, 0, 0, 0}

// Wake ends the wait that is going on, or the next one.
func (p *Poller) Wake() {
	unix.Write(p.wakeFD, wakeValue) // full means that a wake-up is pending already
}

// Close frees both descriptors; nobody may call Wake any more.
func (p *Poller) Close() {
	_ = p.watch.Close()
	unix.Close(p.wakeFD)
}
