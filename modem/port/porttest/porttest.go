// Package porttest is a port.Port in memory, with the modem's end of the cable
// in the hands of the test. It works in synctest bubbles.
package porttest

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"trunkline.example/modem/port"
)

// Capacity is how many octets the cable holds in each direction.
const Capacity = 4096

// Device is a device that can be opened, one at a time, and the modem at its
// other end. It is safe for concurrent use.
type Device struct {
	mu       sync.Mutex
	changed  chan struct{}
	host     *conn // nil while nobody has it open
	opened   int
	absent   bool
	real     bool // has modem lines and counters
	usb      string
	off      func() // is told
	dtr      bool
	b0       bool // speed 0 drops DTR
	brk      bool
	blocked  bool // takes nothing from the host
	lines    port.Lines
	counters port.Counters
	speed    int
	toHost   []byte
	toModem  []byte
}

// NewDevice returns a device. virtual: it has no modem lines, like a
// pseudo-terminal.
func NewDevice(virtual bool) *Device {
	return &Device{changed: make(chan struct{}), real: !virtual}
}

// Open is a port.Opener.
func (d *Device) Open(ctx context.Context, o port.Options) (port.Port, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case d.absent:
		return nil, fmt.Errorf("%s: %w", o.Device, fs.ErrNotExist)
	case d.host != nil:
		return nil, fmt.Errorf("%s: %w", o.Device, port.ErrBusy)
	}
	d.host = &conn{d: d, info: port.Info{Device: o.Device, Virtual: !d.real, USB: d.usb}}
	d.opened++
	d.dtr, d.speed = true, o.Speed
	d.toHost, d.toModem = nil, nil
	d.announce()
	return d.host, nil
}

func (d *Device) announce() {
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *Device) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
	d.announce()
}

// Await waits until ready, called under the device's lock, says so.
func (d *Device) await(ctx context.Context, ready func() bool) error {
	for {
		d.mu.Lock()
		if ready() {
			d.announce()
			d.mu.Unlock()
			return nil
		}
		changed := d.changed
		d.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// State is what the modem's end sees of the host.
type State struct {
	Open   bool
	Opened int // times it was opened so far
	DTR    bool
	Break  bool
	Speed  int
}

func (d *Device) state() State {
	return State{Open: d.host != nil, Opened: d.opened, DTR: d.host != nil && d.dtr && (d.speed != 0 || !d.b0), Break: d.brk, Speed: d.speed}
}

// Await waits until the host's end is as wanted.
func (d *Device) Await(ctx context.Context, wanted func(State) bool) error {
	return d.await(ctx, func() bool { return wanted(d.state()) })
}

// State returns how the host's end is now.
func (d *Device) State() State {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state()
}

// Send sends octets to the host. They are lost while nobody has the device
// open, as from a modem whose cable is not plugged in.
func (d *Device) Send(ctx context.Context, b []byte) error {
	return d.await(ctx, func() bool {
		if d.host == nil {
			return true
		}
		n := min(len(b), Capacity-len(d.toHost))
		if n > 0 {
			d.toHost = append(d.toHost, b[:n]...)
			b = b[n:]
			d.announce()
		}
		return len(b) == 0
	})
}

// Receive waits for octets from the host, or until the host's end changes as
// stop wants (nil: never); then it returns none.
func (d *Device) Receive(ctx context.Context, stop func(State) bool) ([]byte, error) {
	var got []byte
	err := d.await(ctx, func() bool {
		got, d.toModem = d.toModem, nil
		return len(got) > 0 || stop != nil && stop(d.state())
	})
	return got, err
}

// SetLines sets the modem lines.
func (d *Device) SetLines(l port.Lines) { d.change(func() { d.lines = l }) }

// Count adds to the error counters.
func (d *Device) Count(add port.Counters) {
	d.change(func() {
		d.counters.Framing += add.Framing
		d.counters.Parity += add.Parity
		d.counters.Overrun += add.Overrun
		d.counters.BufferOverrun += add.BufferOverrun
		d.counters.Break += add.Break
	})
}

// Block makes the device take nothing from the host any more, as when CTS is
// stuck, or ends that.
func (d *Device) Block(on bool) { d.change(func() { d.blocked = on }) }

// HangUp makes the open port useless; the device can be opened again at once,
// unless absent is set, until Plug.
func (d *Device) HangUp(absent bool) {
	d.change(func() {
		d.absent = absent
		if d.host != nil {
			d.host.gone = true
			d.host = nil
		}
		d.toModem = nil
	})
}

// SetSwitch lets the device be switched off and on; off is told.
func (d *Device) SetSwitch(off func()) { d.change(func() { d.off = off }) }

// SetB0 has speed 0 drop DTR, also on a device without modem lines.
func (d *Device) SetB0() { d.change(func() { d.b0 = true }) }

// SetUSB makes it a USB device, vendor:product, for those who open it from now on.
func (d *Device) SetUSB(id string) { d.change(func() { d.usb = id }) }

// Plug makes an absent device available.
func (d *Device) Plug() { d.change(func() { d.absent = false }) }

// conn is one opening of a Device. Its fields are under the device's lock.
type conn struct {
	d        *Device
	info     port.Info
	gone     bool
	closed   bool
	deadline time.Time
	epoch    int // of deadline
}

var _ port.Port = (*conn)(nil)

func (c *conn) check() error {
	switch {
	case c.closed:
		return port.ErrClosed
	case c.gone:
		return port.ErrGone
	}
	return nil
}

func (c *conn) Read(p []byte) (n int, err error) {
	_ = c.d.await(context.Background(), func() bool {
		if !c.closed && len(c.d.toHost) > 0 && (c.d.host == c || c.gone) {
			n = copy(p, c.d.toHost)
			c.d.toHost = c.d.toHost[n:]
			return true
		}
		err = c.check()
		return err != nil
	})
	return n, err
}

func (c *conn) Write(p []byte) (n int, err error) {
	for {
		var wait time.Duration
		c.d.mu.Lock()
		deadline, epoch := c.deadline, c.epoch
		c.d.mu.Unlock()
		ctx, cancel := context.Background(), func() {}
		if !deadline.IsZero() {
			wait = time.Until(deadline)
			ctx, cancel = context.WithTimeout(ctx, max(wait, 0))
		}
		again := false
		waited := c.d.await(ctx, func() bool {
			if err = c.check(); err != nil {
				return true
			}
			if k := min(len(p)-n, Capacity-len(c.d.toModem)); k > 0 && !c.d.blocked && (deadline.IsZero() || wait > 0) {
				c.d.toModem = append(c.d.toModem, p[n:n+k]...)
				n += k
				c.d.announce()
			}
			again = c.epoch != epoch
			return n == len(p) || again
		})
		cancel()
		switch {
		case err != nil || n == len(p):
			return n, err
		case waited != nil && !again:
			return n, os.ErrDeadlineExceeded
		}
	}
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	return c.control(func() { c.deadline, c.epoch = t, c.epoch+1 })
}

func (c *conn) control(f func()) error {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	if err := c.check(); err != nil {
		return err
	}
	f()
	c.d.announce()
	return nil
}

// hardware runs f if the device has modem lines.
func (c *conn) hardware(f func()) error {
	if !c.d.real {
		return port.ErrUnsupported
	}
	return c.control(f)
}

func (c *conn) SetSpeed(bps int) error { return c.control(func() { c.d.speed = bps }) }
func (c *conn) SetDTR(on bool) error   { return c.hardware(func() { c.d.dtr = on }) }
func (c *conn) SetBreak(on bool) error { return c.hardware(func() { c.d.brk = on }) }

func (c *conn) Lines() (l port.Lines, err error) {
	err = c.hardware(func() { l = c.d.lines })
	return l, err
}

func (c *conn) Counters() (n port.Counters, err error) {
	err = c.hardware(func() { n = c.d.counters })
	return n, err
}

func (c *conn) Unsent() (n int, err error) {
	err = c.control(func() { n = len(c.d.toModem) })
	return n, err
}

func (c *conn) Discard() error {
	return c.control(func() { c.d.toHost, c.d.toModem = nil, nil })
}

func (c *conn) Info() port.Info { return c.info }

// Switch implements port.Switcher for devices with SetSwitch.
func (c *conn) Switch(bool) (func(on bool) error, error) {
	if c.d.off == nil {
		return nil, port.ErrUnsupported
	}
	return func(on bool) error {
		if on {
			c.d.Plug()
			return nil
		}
		c.d.HangUp(true)
		c.d.off()
		return nil
	}, nil
}

func (c *conn) Close() error {
	c.d.change(func() {
		c.closed = true
		if c.d.host == c {
			c.d.host = nil
			c.d.toHost = nil
		}
	})
	return nil
}

// Virtual says whether the device has no modem lines.
func (d *Device) Virtual() bool { return !d.real }
