package tty

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"trunkline.example/modem/port"
)

// icounter is struct serial_icounter_struct of linux/serial.h.
type icounter struct {
	CTS, DSR, RNG, DCD, RX, TX                   int32
	Frame, Overrun, Parity, Break, BufferOverrun int32
	_                                            [9]int32
}

// Counters implements port.Port (TIOCGICOUNT). The kernel's counters have 32
// bits and wrap.
func (p *Port) Counters() (port.Counters, error) {
	var c icounter
	err := p.control(func(fd int) error {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGICOUNT, uintptr(unsafe.Pointer(&c))); errno != 0 {
			return errno
		}
		return nil
	})
	if err != nil {
		return port.Counters{}, err
	}
	return port.Counters{Framing: count(c.Frame), Parity: count(c.Parity), Overrun: count(c.Overrun), BufferOverrun: count(c.BufferOverrun),
		Break: count(c.Break), CarrierChanges: count(c.DCD)}, nil
}

func count(n int32) uint64 { return uint64(uint32(n)) }
