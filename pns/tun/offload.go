package tun

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
	wireguard "golang.zx2c4.com/wireguard/tun"
)

// offload is an interface with virtio headers: bursts of one stream come and go as one packet of up to 64 KB.
type offload struct {
	device wireguard.Device
	raw    syscall.RawConn
	name   string

	writeMu sync.Mutex
	lengths []int // of the packets of the Write under way

	// single is set once the kernel has refused a run of packets as one: kernels of 2024 with a broken check of virtio
	// headers do that. From then on every packet is written by itself, with an empty header.
	single atomic.Bool

	readDropped, writeRefused, offloadRefused atomic.Uint64
}

func (d *offload) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	n, err := d.device.Read(bufs, sizes, offset)
	if err != nil {
		var failed *fs.PathError
		switch {
		case errors.Is(err, os.ErrClosed) || detached(d.raw):
			return 0, os.ErrClosed
		case errors.As(err, &failed):
			return 0, fmt.Errorf("TUN interface %s: %w", d.name, err)
		}
		d.readDropped.Add(1) // of the packet, or of the run of packets, not of the interface
	}
	kept := 0
	for i := range n {
		if sizes[i] > len(bufs[i])-offset { // a run cut into packets that are longer than the buffers
			d.readDropped.Add(1)
			continue
		}
		if kept < i {
			sizes[kept] = copy(bufs[kept][offset:], bufs[i][offset:offset+sizes[i]])
		}
		kept++
	}
	return kept, nil
}

func (d *offload) Write(bufs [][]byte, offset int) (int, error) {
	if offset < Headroom {
		return 0, fmt.Errorf("TUN interface %s: write with an offset of %d, less than %d", d.name, offset, Headroom)
	}
	d.writeMu.Lock()
	defer d.writeMu.Unlock()
	if d.single.Load() {
		return d.writeSingly(bufs, offset)
	}
	d.lengths = d.lengths[:0]
	for _, b := range bufs {
		d.lengths = append(d.lengths, len(b))
	}
	_, err := d.device.Write(bufs, offset)
	if err == nil {
		return len(bufs), nil
	}
	if errors.Is(err, os.ErrClosed) {
		return 0, os.ErrClosed
	}
	if errors.Is(err, unix.EINVAL) && d.grown(bufs) {
		d.offloadRefused.Add(1)
		d.single.Store(true)
	}
	refused := countErrors(err)
	d.writeRefused.Add(uint64(refused))
	return max(0, len(bufs)-refused), fmt.Errorf("TUN interface %s: %w", d.name, err)
}

// grown tells whether the last Write made one packet of several.
func (d *offload) grown(bufs [][]byte) bool {
	for i, b := range bufs {
		if len(b) > d.lengths[i] {
			return true
		}
	}
	return false
}

// countErrors counts the writes that failed: their errors have been joined one by one.
func countErrors(err error) int {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return 1
	}
	n := 0
	for _, e := range joined.Unwrap() {
		n += countErrors(e)
	}
	return n
}

// writeSingly writes each packet with a virtio header that asks for nothing.
func (d *offload) writeSingly(bufs [][]byte, offset int) (int, error) {
	return writeEach(d.device.File(), d.name, bufs, offset, Headroom, &d.writeRefused)
}

// writeEach writes packets one by one, each behind so many zero octets.
func writeEach(f *os.File, name string, bufs [][]byte, offset, header int, refused *atomic.Uint64) (int, error) {
	n, last := 0, error(nil)
	for _, b := range bufs {
		if len(b) <= offset {
			refused.Add(1)
			last = fmt.Errorf("TUN interface %s: empty packet", name)
			continue
		}
		out := b[offset-header:]
		clear(out[:header])
		if _, err := f.Write(out); err != nil {
			if errors.Is(err, os.ErrClosed) || errors.Is(err, unix.EBADFD) {
				return n, os.ErrClosed
			}
			refused.Add(1)
			last = fmt.Errorf("TUN interface %s: %w", name, err)
			continue
		}
		n++
	}
	return n, last
}

func (d *offload) BatchSize() int    { return d.device.BatchSize() }
func (d *offload) Name() string      { return d.name }
func (d *offload) MTU() (int, error) { return getMTU(d.name) }
func (d *offload) File() *os.File    { return d.device.File() }
func (d *offload) Close() error      { return d.device.Close() }

func (d *offload) Counters() Counters {
	return Counters{ReadDropped: d.readDropped.Load(), WriteRefused: d.writeRefused.Load(), Unread: unread(d.name), OffloadRefused: d.offloadRefused.Load()}
}
