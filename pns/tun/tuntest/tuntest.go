// Package tuntest is a TUN interface in memory: queues of packets towards the server and one from it. It needs no
// rights and works in testing/synctest.
package tuntest

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"trunkline.example/pns/tun"
)

// BatchSize is what a Device's BatchSize returns.
const BatchSize = 128

// ErrFull is returned by TryInject when the queue is full.
var ErrFull = errors.New("tuntest: the queue is full")

// Device is the fake. The server under test uses it as a tun.Device; the test is the kernel: it injects the packets that
// would be routed to clients, and takes from Sent those that clients sent. Safe for concurrent use.
type Device struct {
	name string
	mtu  atomic.Int64

	in   []chan []byte
	out  chan []byte
	done chan struct{}
	once sync.Once

	mu     sync.Mutex
	refuse func(packet []byte) error

	readDropped, writeRefused, overflown atomic.Uint64
}

var _ tun.Device = (*Device)(nil)

// New makes an interface with a queue of that many packets each way.
func New(name string, mtu, queue int) *Device { return NewQueues(name, mtu, queue, 1) }

// NewQueues makes an interface with several queues towards the server, of that many packets each.
func NewQueues(name string, mtu, queue, count int) *Device {
	d := &Device{name: name, out: make(chan []byte, queue), done: make(chan struct{})}
	for range count {
		d.in = append(d.in, make(chan []byte, queue))
	}
	d.mtu.Store(int64(mtu))
	return d
}

// Inject queues a copy of a packet for Read; it blocks while the queue is full. The error is os.ErrClosed.
func (d *Device) Inject(packet []byte) error { return d.InjectInto(0, packet) }

// InjectInto is Inject for a queue other than the first.
func (d *Device) InjectInto(number int, packet []byte) error {
	select {
	case <-d.done:
		return os.ErrClosed
	case d.in[number] <- append([]byte(nil), packet...):
		return nil
	}
}

// TryInject is Inject that never blocks. The error is ErrFull or os.ErrClosed.
func (d *Device) TryInject(packet []byte) error {
	select {
	case <-d.done:
		return os.ErrClosed
	default:
	}
	select {
	case d.in[0] <- append([]byte(nil), packet...):
		return nil
	default:
		return ErrFull
	}
}

// Sent delivers the packets that were written, each with a buffer of its own. It is never closed.
func (d *Device) Sent() <-chan []byte { return d.out }

// Refuse makes Write fail for packets that refuse returns an error for; nil lets all pass again.
func (d *Device) Refuse(refuse func(packet []byte) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse = refuse
}

// SetMTU changes what MTU returns.
func (d *Device) SetMTU(mtu int) { d.mtu.Store(int64(mtu)) }

// Overflown counts packets written that nobody took from Sent while its queue was full.
func (d *Device) Overflown() uint64 { return d.overflown.Load() }

// Done is closed when the Device is.
func (d *Device) Done() <-chan struct{} { return d.done }

// queue is one that is read by itself; all are written to alike.
type queue struct {
	*Device
	in chan []byte
}

// Read implements tun.Queue.
func (q queue) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	return q.read(q.in, bufs, sizes, offset)
}

// Queues implements tun.Device.
func (d *Device) Queues() (all []tun.Queue) {
	for _, in := range d.in {
		all = append(all, queue{d, in})
	}
	return all
}

// Shared implements tun.Device.
func (d *Device) Shared() error { return nil }

// Read implements tun.Device.
func (d *Device) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	return d.read(d.in[0], bufs, sizes, offset)
}

func (d *Device) read(in <-chan []byte, bufs [][]byte, sizes []int, offset int) (int, error) {
	select {
	case <-d.done:
		return 0, os.ErrClosed
	default:
	}
	n := 0
	var packet []byte
	select {
	case <-d.done:
		return 0, os.ErrClosed
	case packet = <-in:
	}
	for {
		if len(packet) > len(bufs[n])-offset {
			d.readDropped.Add(1)
		} else {
			sizes[n] = copy(bufs[n][offset:], packet)
			n++
		}
		if n == len(bufs) {
			return n, nil
		}
		select {
		case packet = <-in:
		default:
			return n, nil
		}
	}
}

// Write implements tun.Device. Like the kernel's, it overwrites the octets in front of each packet.
func (d *Device) Write(bufs [][]byte, offset int) (int, error) {
	if offset < tun.Headroom {
		return 0, fmt.Errorf("tuntest: write with an offset of %d, less than %d", offset, tun.Headroom)
	}
	d.mu.Lock()
	refuse := d.refuse
	d.mu.Unlock()
	n, last := 0, error(nil)
	for _, b := range bufs {
		select {
		case <-d.done:
			return n, os.ErrClosed
		default:
		}
		if err := d.write(b, offset, refuse); err != nil {
			d.writeRefused.Add(1)
			last = err
			continue
		}
		n++
	}
	return n, last
}

func (d *Device) write(b []byte, offset int, refuse func([]byte) error) error {
	if len(b) <= offset {
		return errors.New("tuntest: empty packet")
	}
	for i := offset - tun.Headroom; i < offset; i++ {
		b[i] = 0xee
	}
	if refuse != nil {
		if err := refuse(b[offset:]); err != nil {
			return err
		}
	}
	select {
	case d.out <- append([]byte(nil), b[offset:]...):
	default:
		d.overflown.Add(1)
	}
	return nil
}

// BatchSize implements tun.Device.
func (d *Device) BatchSize() int { return BatchSize }

// Name implements tun.Device.
func (d *Device) Name() string { return d.name }

// MTU implements tun.Device.
func (d *Device) MTU() (int, error) { return int(d.mtu.Load()), nil }

// Files implements tun.Device: there are no descriptors.
func (d *Device) Files() []*os.File { return nil }

// Counters implements tun.Device.
func (d *Device) Counters() tun.Counters {
	return tun.Counters{ReadDropped: d.readDropped.Load(), WriteRefused: d.writeRefused.Load()}
}

// Close implements tun.Device.
func (d *Device) Close() error {
	d.once.Do(func() { close(d.done) })
	return nil
}
