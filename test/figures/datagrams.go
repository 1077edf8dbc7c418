package main

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// datagrams sends or receives small datagrams many at a time: with a system call for each one, the program that floods would take much of the time of a
// slow machine for itself.
type datagrams struct {
	conn     syscall.RawConn
	messages [datagramBatch]message64
	vectors  [datagramBatch]unix.Iovec
}

const datagramBatch = 32

// message64 is a mmsghdr of recvmmsg(2) and sendmmsg(2).
type message64 struct {
	header unix.Msghdr
	octets uint32
}

// newDatagrams takes a UDP socket, connected if it is to send. All datagrams share one buffer of that size.
func newDatagrams(c *net.UDPConn, size int) (*datagrams, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	d := &datagrams{conn: raw}
	buffer := make([]byte, size)
	for i := range d.messages {
		d.vectors[i].Base = unsafe.SliceData(buffer)
		d.vectors[i].SetLen(size)
		d.messages[i].header.Iov = &d.vectors[i]
		d.messages[i].header.SetIovlen(1)
	}
	return d, nil
}

// send sends so many, datagramBatch at most, and tells how many of them were taken or refused: what the network does not take is lost, as a datagram may be.
func (d *datagrams) send(count int) (int, error) {
	n, err := d.batch(unix.SYS_SENDMMSG, count, d.conn.Write)
	return max(n, 1), err
}

// receive waits for datagrams and tells how many came.
func (d *datagrams) receive() (int, error) {
	return d.batch(unix.SYS_RECVMMSG, datagramBatch, d.conn.Read)
}

func (d *datagrams) batch(call uintptr, count int, when func(func(uintptr) bool) error) (n int, err error) {
	err = when(func(fd uintptr) bool {
		got, _, errno := unix.Syscall6(call, fd, uintptr(unsafe.Pointer(&d.messages[0])), uintptr(count), unix.MSG_DONTWAIT, 0, 0)
		if errno == 0 {
			n = int(got)
		}
		return errno != unix.EAGAIN
	})
	return n, err
}
