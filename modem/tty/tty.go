// Package tty opens serial ports and pseudo-terminals as port.Port, on Linux.
//
// The library go.bug.st/serial opens and configures the device. It switches
// RTS/CTS off, blocks in Write beyond Close, and leaves its descriptor to child
// processes; so a descriptor of our own, opened before it and non-blocking,
// carries the data with deadlines, sets flow control and hang-up on close, and
// asks for modem lines and counters. The library's object stays for changes of
// speed.
//
// A device is ours alone: a UUCP lock file keeps other programs off that know
// it, flock those that lock the device, TIOCEXCL everybody else but root. A
// pseudo-terminal has neither the first, for its name means nothing outside the
// mount and PID namespace it was made in, nor the last.
package tty

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"sync"
	"syscall"
	"time"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"

	"trunkline.example/modem/port"
)

// LockDirectory is where UUCP lock files are, as the FHS has it (section 5.9).
const LockDirectory = "/var/lock"

// Port is an open tty. It implements port.Port.
type Port struct {
	file *os.File
	raw  syscall.RawConn
	info port.Info
	lock *lockFile
	usb  string // directory of its USB device in sysfs; empty if it is none

	mu     sync.Mutex // around mode, and Close against everything that sets something up
	mode   serial.Port
	closed bool
}

var (
	_ port.Port     = (*Port)(nil)
	_ port.Switcher = (*Port)(nil)
)

// Open opens a device. It implements port.Opener.
func Open(ctx context.Context, o port.Options) (port.Port, error) {
	p, err := open(ctx, o, LockDirectory)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", o.Device, err)
	}
	return p, nil
}

func open(ctx context.Context, o port.Options, locks string) (*Port, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	device, err := resolve(o.Device)
	if err != nil {
		return nil, err
	}
	var stat unix.Stat_t
	if err := unix.Stat(device, &stat); err != nil {
		return nil, err
	}
	p := &Port{info: port.Info{Device: device, Virtual: isPTY(stat.Rdev)}}
	p.info.USB, p.usb = usbDevice(sysDevices, stat.Rdev)
	if !p.info.Virtual {
		if p.lock, err = acquire(locks, device); err != nil {
			return nil, err
		}
	}
	if err := p.start(o); err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

// resolve follows symbolic links to the device's own name. The kernel does it: links of /proc into another process's
// directories (/proc/PID/root, as to the ports of a lab) lead where their text does not.
func resolve(device string) (string, error) {
	fd, err := unix.Open(device, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: device, Err: err}
	}
	defer unix.Close(fd)
	return os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
}

// start opens both descriptors and configures the device.
func (p *Port) start(o port.Options) error {
	fd, err := unix.Open(p.info.Device, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return opening(err)
	}
	p.file = os.NewFile(uintptr(fd), p.info.Device)
	if p.raw, err = p.file.SyscallConn(); err != nil {
		return err
	}
	if err := p.control(func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) }); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("%w: locked by another process", port.ErrBusy)
		}
		return err
	}
	if p.mode, err = openSerial(p.info.Device, o.Speed); err != nil {
		return err
	}
	if p.info.Virtual {
		// The library makes the terminal exclusive. A pseudo-terminal stays so when
		// we are killed, as long as the other side has it: nobody but root could open
		// it again. Our lock does not outlive us.
		if err := p.control(func(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCNXCL, 0) }); err != nil {
			return err
		}
	}
	return p.termios(func(t *unix.Termios) {
		t.Cflag |= unix.HUPCL
		if p.info.Virtual {
			// The library sets CLOCAL. A real port keeps it: DCD may blink. A
			// pseudo-terminal has no DCD; whoever emulates a modem there reads
			// from CLOCAL off that its client wants to be hung up with the carrier.
			t.Cflag &^= unix.CLOCAL
		}
		if o.FlowControl {
			t.Cflag |= unix.CRTSCTS
		}
	})
}

// openSerial opens the library's descriptor, without leaving it to children
// that are started meanwhile: as long as a child holds it, closing the device
// hangs nothing up. Nor are children left the pipe that the library has beside it.
func openSerial(device string, speed int) (serial.Port, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	s, err := serial.Open(device, &serial.Mode{BaudRate: speed, DataBits: 8, Parity: serial.NoParity, StopBits: serial.OneStopBit})
	if err != nil {
		var pe *serial.PortError
		if errors.As(err, &pe) && pe.Code() == serial.PortBusy {
			return nil, fmt.Errorf("%w: opened exclusively by another process", port.ErrBusy)
		}
		return nil, opening(err)
	}
	for _, path := range [][]string{{"handle"}, {"closeSignal", "rd"}, {"closeSignal", "wr"}} {
		fd, known := inside(s, path)
		if !known {
			_ = s.Close()
			return nil, errors.New("tty: this version of go.bug.st/serial is not known")
		}
		unix.CloseOnExec(fd)
	}
	return s, nil
}

// inside returns a descriptor that the library's object holds, for which it has no method.
func inside(s serial.Port, path []string) (fd int, known bool) {
	v := reflect.ValueOf(s)
	for _, name := range path {
		if v = reflect.Indirect(v); v.Kind() != reflect.Struct {
			return 0, false
		}
		v = v.FieldByName(name)
	}
	if !v.IsValid() || !v.CanInt() {
		return 0, false
	}
	return int(v.Int()), true
}

// isPTY says whether a device number is that of a pseudo-terminal slave
// (Linux Documentation/admin-guide/devices.txt: major 136 to 143, and the old 3).
func isPTY(rdev uint64) bool {
	major := unix.Major(rdev)
	return major >= 136 && major <= 143 || major == 3
}

// opening maps what open says when the other side of a pseudo-terminal is gone
// or a USB adapter is being removed.
func opening(err error) error {
	switch {
	case errors.Is(err, unix.EIO), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: %w", port.ErrGone, err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w: %w", port.ErrBusy, err)
	}
	return err
}

// failure maps errors of an open device.
func failure(err error) error {
	switch {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, port.ErrUnsupported):
		return err
	case errors.Is(err, os.ErrClosed):
		return port.ErrClosed
	case errors.Is(err, io.EOF), errors.Is(err, unix.EIO), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: %w", port.ErrGone, err)
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: %w", port.ErrUnsupported, err)
	}
	return err
}

// control runs f with our descriptor, which stays open meanwhile.
func (p *Port) control(f func(fd int) error) error {
	var inner error
	if err := p.raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return port.ErrClosed // Control itself has no other reason to fail
	}
	return failure(inner)
}

func (p *Port) termios(change func(*unix.Termios)) error {
	return p.control(func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
		if err != nil {
			return err
		}
		change(t)
		return unix.IoctlSetTermios(fd, unix.TCSETS2, t)
	})
}

// Info implements port.Port.
func (p *Port) Info() port.Info { return p.info }

// Read implements port.Port.
func (p *Port) Read(b []byte) (int, error) {
	n, err := p.file.Read(b)
	if n > 0 {
		return n, nil
	}
	return 0, failure(err)
}

// Write implements port.Port.
func (p *Port) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	return n, failure(err)
}

// SetWriteDeadline implements port.Port.
func (p *Port) SetWriteDeadline(t time.Time) error { return failure(p.file.SetWriteDeadline(t)) }

// SetSpeed implements port.Port.
func (p *Port) SetSpeed(bps int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return port.ErrClosed
	}
	if bps == 0 { // the library would take it for its default
		return p.termios(func(t *unix.Termios) { t.Cflag = t.Cflag&^(unix.CBAUD|unix.CIBAUD) | unix.B0 })
	}
	return failure(p.mode.SetMode(&serial.Mode{BaudRate: bps, DataBits: 8, Parity: serial.NoParity, StopBits: serial.OneStopBit}))
}

// SetDTR implements port.Port.
func (p *Port) SetDTR(on bool) error {
	request := uint(unix.TIOCMBIC)
	if on {
		request = unix.TIOCMBIS
	}
	return p.control(func(fd int) error { return unix.IoctlSetPointerInt(fd, request, unix.TIOCM_DTR) })
}

// SetBreak implements port.Port. A pseudo-terminal takes it and does nothing.
func (p *Port) SetBreak(on bool) error {
	if p.info.Virtual {
		return port.ErrUnsupported
	}
	request := uint(unix.TIOCCBRK)
	if on {
		request = unix.TIOCSBRK
	}
	return p.control(func(fd int) error { return unix.IoctlSetInt(fd, request, 0) })
}

// Lines implements port.Port.
func (p *Port) Lines() (port.Lines, error) {
	var l port.Lines
	err := p.control(func(fd int) error {
		bits, err := unix.IoctlGetInt(fd, unix.TIOCMGET)
		l = port.Lines{CTS: bits&unix.TIOCM_CTS != 0, DSR: bits&unix.TIOCM_DSR != 0, DCD: bits&unix.TIOCM_CD != 0, RI: bits&unix.TIOCM_RI != 0}
		return err
	})
	if err != nil {
		return port.Lines{}, err
	}
	return l, nil
}

// Unsent implements port.Port.
func (p *Port) Unsent() (n int, err error) {
	err = p.control(func(fd int) error {
		n, err = unix.IoctlGetInt(fd, unix.TIOCOUTQ)
		return err
	})
	return n, err
}

// Discard implements port.Port.
func (p *Port) Discard() error {
	return p.control(func(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH) })
}

// Close implements port.Port.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	var err error
	if p.raw != nil {
		// What is unsent would hold the last close back for up to 30 s.
		_ = p.Discard()
	}
	if p.mode != nil {
		err = p.mode.Close()
	}
	if p.file != nil {
		err = errors.Join(err, p.file.Close())
	}
	return errors.Join(err, p.lock.release())
}
