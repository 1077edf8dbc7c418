package tun

import (
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"trunkline.example/pns/tun/gso"
	"trunkline.example/shared/loop"
)

// batchSize is how many packets are read at a time. While they are encrypted and sent nobody else can send on their calls, so that it should not be more
// than what makes system calls cheap; and whoever is in another queue waits for them.
const batchSize = 32

// reader is a Queue: it reads some of the kernel's queues in turn, a batch of each that has packets, and writes to the first of them.
type reader struct {
	*queue
	wait  func(func(fd uintptr) bool) error // calls again when there is something to read
	watch *loop.Watch                       // of the queues, if there are several

	mu    sync.Mutex
	read  readCall
	step  func(fd uintptr) bool // read.step, or turn
	event [1]unix.EpollEvent
}

func newReader(d *device, queues []*queue) (*reader, error) {
	r := &reader{queue: queues[0], wait: queues[0].raw.Read}
	r.read.init(d)
	r.step = r.read.step
	if len(queues) == 1 {
		return r, nil
	}
	fds := make([]int, len(queues))
	for i, q := range queues {
		if err := q.raw.Control(func(fd uintptr) { fds[i] = int(fd) }); err != nil {
			return nil, err
		}
	}
	watch, err := loop.NewWatch(fds...)
	if err != nil {
		return nil, err
	}
	r.watch, r.wait, r.step = watch, watch.Wait, r.turn
	return r, nil
}

// turn reads from the next queue that has something. Of those epoll names one after the other. That none of the descriptors is closed
// meanwhile is seen to by device.Close.
func (r *reader) turn(epoll uintptr) bool {
	for r.read.n < len(r.read.bufs) {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, epoll, uintptr(unsafe.Pointer(&r.event[0])), uintptr(len(r.event)), 0, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			r.read.err = errno
			return true
		case n == 0:
			return r.read.n > 0
		case r.read.step(uintptr(r.event[0].Fd)):
			return true
		}
	}
	return true
}

// readCall is the Read under way, and what is left of a run that did not fit into the last one.
type readCall struct {
	header   int
	memory   []byte // one read
	splitter gso.Splitter
	bufs     [][]byte
	sizes    []int
	offset   int
	n        int
	dropped  uint64
	err      error
}

func (r *readCall) init(d *device) {
	r.header, r.memory = d.header, make([]byte, gso.HeaderLength+gso.MaxPacket)
	clear(r.memory[:gso.HeaderLength]) // without virtio headers: one that says nothing
}

func (r *reader) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, d := &r.read, r.device
	c.bufs, c.sizes, c.offset, c.n, c.dropped, c.err = bufs, sizes, offset, 0, 0, nil
	c.split()
	err := r.wait(r.step)
	if c.dropped > 0 {
		d.readDropped.Add(c.dropped)
	}
	n := c.n
	if err == nil && n == 0 {
		err = c.err
	}
	c.bufs, c.sizes = nil, nil
	switch {
	case err == nil:
		return n, nil
	case d.closed.Load() || detached(r.raw): // a closed RawConn gives an error that nothing matches
		return 0, os.ErrClosed
	}
	return 0, fmt.Errorf("TUN interface %s: %w", d.name, err)
}

// step reads all that waits in a queue, as far as there are buffers; false means that nothing did, and that it is to be called again when something does.
func (r *readCall) step(fd uintptr) bool {
	for r.n < len(r.bufs) {
		room := r.memory[gso.HeaderLength-r.header:]
		n, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(room))), uintptr(len(room)))
		switch errno {
		case 0:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return r.n > 0 || r.dropped > 0
		default:
			r.err = errno
			return true
		}
		if r.splitter.Start(r.memory[:gso.HeaderLength-r.header+int(n)]) != nil {
			r.dropped++
			continue
		}
		r.split()
	}
	return true
}

// split puts what was read into buffers.
func (r *readCall) split() {
	for r.n < len(r.bufs) {
		buf := r.bufs[r.n][r.offset:]
		n := r.splitter.Next(buf)
		switch {
		case n == 0:
			return
		case n > len(buf):
			r.dropped++
			continue
		}
		r.sizes[r.n] = n
		r.n++
	}
}
