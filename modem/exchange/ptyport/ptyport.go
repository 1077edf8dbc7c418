// Package ptyport is the exchange's end of a pseudo-terminal that a client opens
// as a serial port: what of a serial port's signals can be seen and shown there.
//
// DTR is the client holding the terminal open (Held) and its speed (Settings);
// loss of carrier is HangUp. Linux only.
package ptyport

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultSpeed is the speed of a terminal that nobody has configured.
const DefaultSpeed = 115200

// ErrNotPermitted is an error for processes that lack CAP_SYS_ADMIN in the
// initial user namespace: they may not hang up terminals, nor open one that its
// client holds exclusively (TIOCEXCL).
var ErrNotPermitted = errors.New("not permitted")

// Port is the master of one pseudo-terminal. Read and Write may be called from
// different goroutines, and all methods together with Close.
type Port struct {
	master *os.File
	raw    syscall.RawConn
	path   string

	mu     sync.Mutex // of closed, and while the client's side is opened by its path
	closed bool
	opened atomic.Int64 // times that happened
}

// Open makes a pseudo-terminal in raw mode at DefaultSpeed.
func Open() (*Port, error) {
	fd, err := openMaster()
	if err != nil {
		return nil, err
	}
	p := &Port{master: os.NewFile(uintptr(fd), "ptmx")}
	if err := p.set(); err != nil {
		p.master.Close()
		return nil, err
	}
	return p, nil
}

func openMaster() (int, error) {
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := unix.Open("/dev/ptmx", flags, 0)
	if err != nil {
		if fd, err = unix.Open("/dev/pts/ptmx", flags, 0); err != nil {
			return -1, fmt.Errorf("open a pseudo-terminal: %w", err)
		}
	}
	return fd, nil
}

// set unlocks the client's side and finds its path.
func (p *Port) set() error {
	var err error
	if p.raw, err = p.master.SyscallConn(); err != nil {
		return fmt.Errorf("pseudo-terminal: %w", err)
	}
	var number int
	var peer unix.Stat_t
	err = p.control(func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return fmt.Errorf("unlock the pseudo-terminal: %w", err)
		}
		if number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN); err != nil {
			return fmt.Errorf("number of the pseudo-terminal: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.path = "/dev/pts/" + strconv.Itoa(number)
	if err := p.statPeer(&peer); err != nil {
		return fmt.Errorf("set up %s: %w", p.path, err)
	}
	var seen unix.Stat_t
	if err := unix.Stat(p.path, &seen); err != nil || seen.Rdev != peer.Rdev || seen.Ino != peer.Ino || seen.Dev != peer.Dev {
		return fmt.Errorf("%s is not the pseudo-terminal that was made: /dev/pts and /dev/ptmx belong to different devpts file systems", p.path)
	}
	return p.withPeer(setRaw)
}

// statPeer describes the client's side as the master knows it, without its path.
func (p *Port) statPeer(st *unix.Stat_t) error {
	return p.control(func(master int) error {
		fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
		if errno != 0 {
			return errno
		}
		return errors.Join(unix.Fstat(int(fd), st), unix.Close(int(fd)))
	})
}

// control runs f with the master's descriptor.
func (p *Port) control(f func(fd int) error) error {
	var err error
	if cerr := p.raw.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// withPeer runs f with a descriptor of the client's side, opened for it. It is
// opened by its path, since a Watch would not hear it opened otherwise, only
// closed, on kernels before 6.8.
func (p *Port) withPeer(f func(fd int) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed { // the path may be another's already
		return os.ErrClosed
	}
	fd, err := unix.Open(p.path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("open %s: %w: its client holds it exclusively", p.path, ErrNotPermitted)
	case err != nil:
		return fmt.Errorf("open %s: %w", p.path, err)
	}
	p.opened.Add(1)
	return errors.Join(f(fd), unix.Close(fd))
}

// Opened returns how often the Port itself has opened, and closed, the client's side: a Watch hears that as well.
func (p *Port) Opened() int64 { return p.opened.Load() }

// setRaw gives the terminal the settings of a serial port that nobody has
// configured, so that it echoes nothing before its client has.
func setRaw(fd int) error {
	t := &unix.Termios{
		Cflag:  unix.CS8 | unix.CREAD | unix.HUPCL | unix.CLOCAL | unix.B115200,
		Ispeed: DefaultSpeed, Ospeed: DefaultSpeed,
	}
	t.Cc[unix.VMIN] = 1
	return unix.IoctlSetTermios(fd, unix.TCSETS2, t)
}

// Path returns the path that a client opens.
func (p *Port) Path() string { return p.path }

// Read reads what the client sends. After the client's last close it returns
// what is left, then EIO.
func (p *Port) Read(b []byte) (int, error) { return p.master.Read(b) }

// Write writes to the client. It blocks while the terminal is full.
func (p *Port) Write(b []byte) (int, error) { return p.master.Write(b) }

// SetDeadline ends Read and Write at t; the zero time ends them never.
func (p *Port) SetDeadline(t time.Time) error { return p.master.SetDeadline(t) }

// Close removes the terminal: a client that holds it reads end of file.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return p.master.Close()
}

// State reports whether a client holds the terminal open, and whether it has
// written something that is not read yet. After HangUp a terminal counts as
// held until the client closes its dead descriptors.
func (p *Port) State() (held, readable bool, err error) {
	err = p.control(func(fd int) error {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if err := pollNow(fds); err != nil {
			return fmt.Errorf("poll %s: %w", p.path, err)
		}
		held, readable = fds[0].Revents&unix.POLLHUP == 0, fds[0].Revents&unix.POLLIN != 0
		return nil
	})
	return held, readable, err
}

// pollNow polls without waiting.
func pollNow(fds []unix.PollFd) error {
	for {
		if _, err := unix.Poll(fds, 0); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Settings is what the client made of its port.
type Settings struct {
	Speed int  // bits per second; 0 is B0: drop DTR
	Local bool // CLOCAL: do not follow the carrier
}

// Settings returns what the client made of its port.
func (p *Port) Settings() (s Settings, err error) {
	err = p.control(func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
		if err != nil {
			return fmt.Errorf("settings of %s: %w", p.path, err)
		}
		s = Settings{Speed: int(t.Ospeed), Local: t.Cflag&unix.CLOCAL != 0}
		if t.Cflag&unix.CBAUD == unix.B0 {
			s.Speed = 0
		}
		return nil
	})
	return s, err
}

// Unread returns how many octets the client has not read yet; there may be more
// than a terminal shows at once, so only zero is exact. ErrNotPermitted if that
// cannot be seen.
func (p *Port) Unread() (n int, err error) {
	err = p.withPeer(func(fd int) error {
		// Polling has the kernel move to the client's side what is under way.
		if err := pollNow([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}); err != nil {
			return err
		}
		n, err = unix.IoctlGetInt(fd, unix.TIOCINQ)
		return err
	})
	return n, err
}

// Reset throws away what the last client did not read, and puts the settings
// back unless a new client holds the terminal already.
func (p *Port) Reset() error {
	if held, _, err := p.State(); err != nil || held {
		return errors.Join(err, p.Flush())
	}
	return p.withPeer(func(fd int) error {
		return errors.Join(unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH), setRaw(fd))
	})
}

// Discard throws away what a client wrote before it closed the terminal.
func (p *Port) Discard() error {
	return p.control(func(fd int) error {
		for buf := make([]byte, 4096); ; {
			n, err := unix.Read(fd, buf)
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EIO) || err == nil && n == 0 {
				return nil
			}
			if err != nil && !errors.Is(err, unix.EINTR) {
				return fmt.Errorf("read %s: %w", p.path, err)
			}
		}
	})
}

// Flush throws away what the client did not read.
func (p *Port) Flush() error {
	return p.withPeer(func(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH) })
}

// HangUp is the loss of the carrier: every descriptor of the client reads end of
// file from now on, its session leader gets SIGHUP, and the terminal can be
// opened anew. ErrNotPermitted if the process may not do that.
func (p *Port) HangUp() error {
	err := p.withPeer(func(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCVHANGUP, 0) })
	if errors.Is(err, unix.EPERM) {
		err = ErrNotPermitted
	}
	if err != nil {
		return fmt.Errorf("hang up %s: %w", p.path, err)
	}
	return p.withPeer(setRaw) // a hang-up puts the terminal back into line mode with echo
}
