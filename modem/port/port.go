// Package port is what the AT dialogue needs of whatever carries it: a serial
// port, a pseudo-terminal, or memory in tests. It holds an interface and plain
// data.
package port

import (
	"context"
	"errors"
	"time"
)

// Errors of ports, for errors.Is. A Write or Discard past its deadline fails
// with os.ErrDeadlineExceeded.
var (
	// ErrUnsupported: this kind of port has no such thing.
	ErrUnsupported = errors.New("not supported by the port")
	// ErrGone: the device hung up or vanished. The port stays useless; a new
	// Open may succeed, perhaps at once.
	ErrGone = errors.New("device is gone")
	// ErrBusy: somebody else uses the device.
	ErrBusy = errors.New("device is in use")
	// ErrClosed: we closed the port.
	ErrClosed = errors.New("port is closed")
)

// Port is an open device. Reading, writing and everything else may go on in
// different goroutines at once; two must not read, nor two write.
type Port interface {
	// Read blocks until there is at least one octet; it fails with ErrGone
	// or ErrClosed and never returns 0, nil.
	Read(p []byte) (int, error)
	// Write blocks until the device has taken all of p, or to the deadline.
	Write(p []byte) (int, error)
	// SetWriteDeadline bounds blocked and future writes; the zero time means
	// no bound.
	SetWriteDeadline(t time.Time) error
	// SetSpeed sets the speed in bits per second, 8 data bits, no parity. Speed
	// 0 (B0) hangs up: until another one is set the system drops DTR and RTS, and
	// the other side of a pseudo-terminal can see it. It is ErrUnsupported behind
	// the network.
	SetSpeed(bps int) error
	// SetDTR raises or drops Data Terminal Ready.
	SetDTR(on bool) error
	// SetBreak begins or ends a break.
	SetBreak(on bool) error
	// Lines returns the state of the modem lines.
	Lines() (Lines, error)
	// Counters returns the error counters of the device since it was found.
	Counters() (Counters, error)
	// Unsent returns how many octets written are still in the computer.
	Unsent() (int, error)
	// Discard throws away what is queued in both directions.
	Discard() error
	// Info says what the port is. It does not change.
	Info() Info
	// Close frees the device. On a serial port it drops DTR, on a
	// pseudo-terminal the other side sees a hang-up: both mean that the modem
	// hangs up, as far as it is told to. It frees blocked reads and writes and
	// does not wait for octets unsent. Later calls do nothing.
	Close() error
}

// Lines are the lines of RS-232 that a modem drives.
type Lines struct {
	CTS bool // clear to send
	DSR bool // data set ready
	DCD bool // data carrier detect
	RI  bool // ring indicator
}

// Counters count errors of a UART.
type Counters struct {
	Framing        uint64
	Parity         uint64
	Overrun        uint64 // in the UART
	BufferOverrun  uint64 // in the kernel
	Break          uint64
	CarrierChanges uint64
}

// Info says what a port is.
type Info struct {
	Device string // path of the device itself, symlinks resolved
	// Virtual: a pseudo-terminal. It has no modem lines and no speed; when
	// the other side hangs up, the device is gone.
	Virtual bool
	// USB is vendor:product in lower-case hexadecimal if it is a USB device,
	// else empty. An adapter tells its own, not that of the modem behind it.
	USB string
}

// Switcher is a Port that may be able to switch its device off and on.
type Switcher interface {
	// Switch returns what switches the device's power, or else only the
	// system's use of it. It may be called, and what it returns be used, after
	// Close; the device is gone and comes back. ErrUnsupported: it cannot be
	// done with this device.
	Switch(power bool) (func(on bool) error, error)
}

// Options are how a port is opened.
type Options struct {
	Device      string // path; may be a symlink, which is followed anew at each Open
	Speed       int    // bits per second
	FlowControl bool   // RTS/CTS
}

// Opener opens a port with DTR raised. It fails with ErrBusy if somebody else
// uses the device, with fs.ErrNotExist or ErrGone if there is none now.
type Opener func(ctx context.Context, options Options) (Port, error)
