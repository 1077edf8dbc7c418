package ptyport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Watch hears when clients open and close terminals, which a master does not
// announce: opening makes no event there, and a close that is followed by an
// open at once cannot be seen at all. Wait may be called beside the other
// methods; those are for one goroutine. The Port's own methods open and close
// the client's side, too, always in pairs.
type Watch struct {
	file *os.File // inotify
	raw  syscall.RawConn
	ids  map[int32]int // watch descriptors to the caller's names
	buf  [4096]byte
}

// Lost is passed to Drain's function as the name when events have been lost.
const Lost = -1

// NewWatch returns a Watch of nothing.
func NewWatch() (*Watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	w := &Watch{file: os.NewFile(uintptr(fd), "inotify"), ids: map[int32]int{}}
	if w.raw, err = w.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("inotify: %w", err), w.file.Close())
	}
	return w, nil
}

// Add watches a terminal from now on; id is what Drain calls it. A terminal
// that is gone is forgotten by itself.
func (w *Watch) Add(p *Port, id int) error {
	var wd int
	var err error
	cerr := w.raw.Control(func(fd uintptr) {
		wd, err = unix.InotifyAddWatch(int(fd), p.Path(), unix.IN_OPEN|unix.IN_CLOSE)
	})
	if err = errors.Join(cerr, err); err != nil {
		return fmt.Errorf("inotify: watch %s: %w", p.Path(), err)
	}
	w.ids[int32(wd)] = id
	return nil
}

// Wait blocks until something has happened or ctx is done.
func (w *Watch) Wait(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { w.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err := w.raw.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		return n > 0 || err != nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Drain tells what has happened, in order, and does not block.
func (w *Watch) Drain(tell func(id int, opened bool)) error {
	for {
		n, err := 0, error(nil)
		if cerr := w.raw.Control(func(fd uintptr) { n, err = unix.Read(int(fd), w.buf[:]) }); cerr != nil {
			return cerr
		}
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("inotify: %w", err)
		}
		for b := w.buf[:max(n, 0)]; len(b) >= unix.SizeofInotifyEvent; {
			wd, mask := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:])
			b = b[unix.SizeofInotifyEvent+binary.NativeEndian.Uint32(b[12:]):]
			w.tell(wd, mask, tell)
		}
	}
}

func (w *Watch) tell(wd int32, mask uint32, tell func(id int, opened bool)) {
	id, known := w.ids[wd]
	switch {
	case mask&unix.IN_Q_OVERFLOW != 0:
		tell(Lost, false)
	case mask&unix.IN_IGNORED != 0:
		delete(w.ids, wd)
	case !known:
	case mask&unix.IN_OPEN != 0:
		tell(id, true)
	case mask&unix.IN_CLOSE != 0:
		tell(id, false)
	}
}

// Close ends the watch.
func (w *Watch) Close() error { return w.file.Close() }
