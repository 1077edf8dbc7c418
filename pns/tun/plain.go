package tun

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// plainBatch is the number of packets that a plain interface reads at a time.
const plainBatch = 64

// plain is an interface without virtio headers: one system call per packet, in batches only as far as packets wait.
type plain struct {
	file *os.File
	raw  syscall.RawConn
	name string

	readMu sync.Mutex
	read   readCall
	step   func(fd uintptr) bool // read.step, bound once so that Read does not allocate

	writeMu sync.Mutex
	closed  atomic.Bool

	readDropped, writeRefused atomic.Uint64
}

// readCall is the Read under way.
type readCall struct {
	bufs    [][]byte
	sizes   []int
	offset  int
	n       int
	dropped uint64
	err     error
}

func newPlain(fd int, name string) (Device, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), clonePath)
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	d := &plain{file: file, raw: raw, name: name}
	d.step = d.read.step
	return d, nil
}

func (d *plain) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	d.readMu.Lock()
	defer d.readMu.Unlock()
	d.read = readCall{bufs: bufs, sizes: sizes, offset: offset}
	err := d.raw.Read(d.step)
	d.readDropped.Add(d.read.dropped)
	n := d.read.n
	if err == nil && n == 0 {
		err = d.read.err
	}
	d.read = readCall{}
	switch {
	case err == nil:
		return n, nil
	case d.closed.Load() || detached(d.raw): // a closed RawConn gives an error that nothing matches
		return 0, os.ErrClosed
	}
	return 0, fmt.Errorf("TUN interface %s: %w", d.name, err)
}

// step reads what waits; false means that nothing did, and that it is to be called again when something does.
func (r *readCall) step(fd uintptr) bool {
	for r.n < len(r.bufs) {
		buf := r.bufs[r.n][r.offset:]
		n, err := unix.Read(int(fd), buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return r.n > 0 || r.dropped > 0
		case err != nil:
			r.err = err
			return true
		case n == len(buf) && truncated(buf):
			r.dropped++
			continue
		}
		r.sizes[r.n] = n
		r.n++
	}
	return true
}

// truncated tells whether the packet that fills the buffer goes on beyond it: the kernel cuts without telling.
func truncated(packet []byte) bool {
	switch {
	case len(packet) >= 4 && packet[0]>>4 == 4:
		return int(binary.BigEndian.Uint16(packet[2:])) > len(packet)
	case len(packet) >= 6 && packet[0]>>4 == 6:
		return int(binary.BigEndian.Uint16(packet[4:]))+40 > len(packet)
	}
	return true
}

func (d *plain) Write(bufs [][]byte, offset int) (int, error) {
	if offset < Headroom {
		return 0, fmt.Errorf("TUN interface %s: write with an offset of %d, less than %d", d.name, offset, Headroom)
	}
	d.writeMu.Lock()
	defer d.writeMu.Unlock()
	return writeEach(d.file, d.name, bufs, offset, 0, &d.writeRefused)
}

func (d *plain) BatchSize() int    { return plainBatch }
func (d *plain) Name() string      { return d.name }
func (d *plain) MTU() (int, error) { return getMTU(d.name) }
func (d *plain) File() *os.File    { return d.file }

func (d *plain) Close() error {
	d.closed.Store(true)
	return d.file.Close()
}

func (d *plain) Counters() Counters {
	return Counters{ReadDropped: d.readDropped.Load(), WriteRefused: d.writeRefused.Load(), Unread: unread(d.name)}
}
