package tun

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"trunkline.example/pns/tun/gso"
)

// batchSize is how many packets are read at a time. While they are encrypted and sent nobody else can send on their calls, so that it should not be more
// than what makes system calls cheap.
const batchSize = 32

// device is a TUN interface, with virtio headers or without. Its reads and writes never wait, and are as much work as any other: so the runtime
// is not told of them (RawSyscall). It would take the processor away from a call of more than 20 µs, and have another thread wake up, for each.
type device struct {
	file   *os.File
	raw    syscall.RawConn
	name   string
	header int  // octets in front of each packet: gso.HeaderLength, or 0
	udp    bool // datagrams too come and go in runs

	readMu sync.Mutex
	read   readCall
	step   func(fd uintptr) bool // read.step, bound once so that Read does not allocate

	writeMu sync.Mutex
	write   writeCall
	put     func(fd uintptr) // write.all

	closed atomic.Bool

	readDropped, writeRefused, offloadRefused atomic.Uint64
}

func newDevice(fd int, name string, header int) (*device, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	udp := false
	if header > 0 {
		// Kernels before 6.2 know nothing of datagrams.
		tcp := unix.TUN_F_CSUM | unix.TUN_F_TSO4
		if udp = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp|unix.TUN_F_USO4|unix.TUN_F_USO6) == nil; !udp {
			if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp); err != nil {
				return nil, fmt.Errorf("segmentation offload: %w", err)
			}
		}
	}
	file := os.NewFile(uintptr(fd), clonePath)
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	d := &device{file: file, raw: raw, name: name, header: header, udp: udp}
	d.read.init(d)
	d.step = d.read.step
	d.write.device = d
	d.put = d.write.all
	return d, nil
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

func (d *device) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	d.readMu.Lock()
	defer d.readMu.Unlock()
	r := &d.read
	r.bufs, r.sizes, r.offset, r.n, r.dropped, r.err = bufs, sizes, offset, 0, 0, nil
	r.split()
	err := d.raw.Read(d.step)
	if r.dropped > 0 {
		d.readDropped.Add(r.dropped)
	}
	n := r.n
	if err == nil && n == 0 {
		err = r.err
	}
	r.bufs, r.sizes = nil, nil
	switch {
	case err == nil:
		return n, nil
	case d.closed.Load() || detached(d.raw): // a closed RawConn gives an error that nothing matches
		return 0, os.ErrClosed
	}
	return 0, fmt.Errorf("TUN interface %s: %w", d.name, err)
}

// step reads all that waits, as far as there are buffers; false means that nothing did, and that it is to be called again when something does.
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

func (d *device) Write(bufs [][]byte, offset int) (int, error) {
	if offset < Headroom {
		return 0, fmt.Errorf("TUN interface %s: write with an offset of %d, less than %d", d.name, offset, Headroom)
	}
	d.writeMu.Lock()
	defer d.writeMu.Unlock()
	w := &d.write
	w.bufs, w.packets, w.offset, w.taken, w.err = bufs, w.packets[:0], offset, 0, nil
	for _, b := range bufs {
		w.packets = append(w.packets, b[min(offset, len(b)):])
	}
	err := d.raw.Control(d.put)
	n := w.taken
	if err == nil {
		err = w.err
	}
	w.forget()
	switch {
	case err == nil:
		return n, nil
	case d.closed.Load() || errors.Is(err, unix.EBADFD):
		return n, os.ErrClosed
	}
	return n, fmt.Errorf("TUN interface %s: %w", d.name, err)
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

func (d *device) BatchSize() int    { return batchSize }
func (d *device) Name() string      { return d.name }
func (d *device) MTU() (int, error) { return getMTU(d.name) }
func (d *device) File() *os.File    { return d.file }

func (d *device) Close() error {
	d.closed.Store(true)
	return d.file.Close()
}

func (d *device) Counters() Counters {
	return Counters{ReadDropped: d.readDropped.Load(), WriteRefused: d.writeRefused.Load(), Unread: unread(d.name), OffloadRefused: d.offloadRefused.Load()}
}
