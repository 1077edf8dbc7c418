package tun

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// device is a TUN interface: all queues that this process has of it.
type device struct {
	name    string
	header  int  // octets in front of each packet: gso.HeaderLength, or 0
	udp     bool // datagrams too come and go in runs
	queues  []*queue
	readers []*reader
	shared  error // why there is no queue of its own for each group of clients, though that was wanted

	closed atomic.Bool

	readDropped, writeRefused, offloadRefused atomic.Uint64
}

// add makes a queue of a descriptor that is attached to the interface; it is the device's from then on, also when add fails.
func (d *device) add(fd int) error {
	if err := d.prepare(fd); err != nil {
		_ = unix.Close(fd)
		return err
	}
	file := os.NewFile(uintptr(fd), clonePath)
	q, err := newQueue(d, file)
	if err != nil {
		_ = file.Close()
		return err
	}
	d.queues = append(d.queues, q)
	return nil
}

func (d *device) prepare(fd int) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	if d.header == 0 || len(d.queues) > 0 { // offload is the interface's
		return nil
	}
	// Kernels before 6.2 know nothing of datagrams.
	tcp := unix.TUN_F_CSUM | unix.TUN_F_TSO4
	if d.udp = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp|unix.TUN_F_USO4|unix.TUN_F_USO6) == nil; d.udp {
		return nil
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp); err != nil {
		return fmt.Errorf("segmentation offload: %w", err)
	}
	return nil
}

// divide makes so many readers of the queues at most, once all are there.
func (d *device) divide(readers int) error {
	readers = min(max(readers, 1), len(d.queues))
	shares := make([][]*queue, readers)
	for i, q := range d.queues {
		shares[i%readers] = append(shares[i%readers], q)
	}
	for _, queues := range shares {
		r, err := newReader(d, queues)
		if err != nil {
			return err
		}
		d.readers = append(d.readers, r)
	}
	return nil
}

func (d *device) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	return d.readers[0].Read(bufs, sizes, offset)
}

func (d *device) Write(bufs [][]byte, offset int) (int, error) {
	return d.queues[0].Write(bufs, offset)
}

func (d *device) Queues() []Queue {
	all := make([]Queue, len(d.readers))
	for i, r := range d.readers {
		all[i] = r
	}
	return all
}

func (d *device) Files() []*os.File {
	all := make([]*os.File, len(d.queues))
	for i, q := range d.queues {
		all[i] = q.file
	}
	return all
}

func (d *device) BatchSize() int    { return batchSize }
func (d *device) Name() string      { return d.name }
func (d *device) MTU() (int, error) { return getMTU(d.name) }
func (d *device) Shared() error     { return d.shared }

func (d *device) Close() error {
	d.closed.Store(true)
	var errs []error
	for _, r := range d.readers { // ends their reads, and waits until they have ended
		if r.watch != nil {
			errs = append(errs, r.watch.Close())
		}
	}
	for _, q := range d.queues {
		errs = append(errs, q.file.Close())
	}
	return errors.Join(errs...)
}

func (d *device) Counters() Counters {
	return Counters{ReadDropped: d.readDropped.Load(), WriteRefused: d.writeRefused.Load(), Unread: unread(d.name), OffloadRefused: d.offloadRefused.Load()}
}
