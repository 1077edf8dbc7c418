package tun

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"trunkline.example/pns/tun/gso"
)

// queue is one of the kernel's queues of a TUN interface, a descriptor, with virtio headers or without. Its writes never wait, and are as much work as any
// other: so the runtime is not told of them (RawSyscall), nor of reads. It would take the processor away from a call of more than 20 µs, and have another
// thread wake up, for each.
type queue struct {
	device *device
	file   *os.File
	raw    syscall.RawConn

	mu    sync.Mutex
	write writeCall
	put   func(fd uintptr) // write.all, bound once so that Write does not allocate
}

// newQueue makes a queue of a descriptor.
func newQueue(d *device, file *os.File) (*queue, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	q := &queue{device: d, file: file, raw: raw}
	q.write.device = d
	q.put = q.write.all
	return q, nil
}

func (q *queue) Write(bufs [][]byte, offset int) (int, error) {
	if offset < Headroom {
		return 0, fmt.Errorf("TUN interface %s: write with an offset of %d, less than %d", q.device.name, offset, Headroom)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	w := &q.write
	w.bufs, w.packets, w.offset, w.taken, w.err = bufs, w.packets[:0], offset, 0, nil
	for _, b := range bufs {
		w.packets = append(w.packets, b[min(offset, len(b)):])
	}
	err := q.raw.Control(q.put)
	n := w.taken
	if err == nil {
		err = w.err
	}
	w.forget()
	switch {
	case err == nil:
		return n, nil
	case q.device.closed.Load() || errors.Is(err, unix.EBADFD):
		return n, os.ErrClosed
	}
	return n, fmt.Errorf("TUN interface %s: %w", q.device.name, err)
}

// writeCall is the Write under way.
type writeCall struct {
	device  *device
	merger  gso.Merger
	bufs    [][]byte
	packets [][]byte // the same, without what is in front of them
	offset  int
	taken   int
	err     error // the last one
	headers [gso.MaxHeaders]byte
	vectors []unix.Iovec

	// single is set once the kernel has refused a run of packets: kernels of 2024 with a broken check of virtio
	// headers do that. From then on every packet is written by itself, with an empty header.
	single bool
}

func (w *writeCall) forget() {
	clear(w.packets)
	clear(w.vectors)
	w.bufs, w.err = nil, nil
}

func (w *writeCall) all(fd uintptr) {
	if w.device.header == 0 || w.single {
		for i := range w.bufs {
			w.one(fd, i)
		}
		return
	}
	for _, r := range w.merger.Group(w.packets, w.device.udp) {
		if r.Count == 1 {
			w.one(fd, r.First)
			continue
		}
		w.run(fd, &r)
	}
}

// one writes a packet by itself, behind a header that asks for nothing.
func (w *writeCall) one(fd uintptr, i int) {
	if len(w.packets[i]) == 0 {
		w.refused(unix.EINVAL)
		return
	}
	out := w.bufs[i][w.offset-w.device.header:]
	clear(out[:w.device.header])
	for {
		switch _, _, errno := unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(out))), uintptr(len(out))); errno {
		case 0:
			w.taken++
		case unix.EINTR:
			continue
		default:
			w.refused(errno)
		}
		return
	}
}

// run writes several packets as one, or if the kernel does not want that, one by one.
func (w *writeCall) run(fd uintptr, r *gso.Run) {
	n, each := r.Headers(w.packets[r.First], w.headers[:])
	w.vectors = append(w.vectors[:0], vector(w.headers[:n]))
	for i, left := r.First, r.Count; left > 0; i, left = w.merger.Next(i), left-1 {
		w.vectors = append(w.vectors, vector(w.packets[i][each:]))
	}
	for {
		switch _, _, errno := unix.RawSyscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(unsafe.SliceData(w.vectors))), uintptr(len(w.vectors))); errno {
		case 0:
			w.taken += r.Count
			return
		case unix.EINTR:
			continue
		case unix.EINVAL:
			w.device.offloadRefused.Add(1)
			w.single = true
		}
		break
	}
	for i, left := r.First, r.Count; left > 0; i, left = w.merger.Next(i), left-1 {
		w.one(fd, i)
	}
}

func vector(b []byte) (v unix.Iovec) {
	v.Base = unsafe.SliceData(b)
	v.SetLen(len(b))
	return v
}

func (w *writeCall) refused(err error) {
	w.device.writeRefused.Add(1)
	w.err = err
}
