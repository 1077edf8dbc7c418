package tty

import (
	"bytes"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// kernelGroup is the multicast group of the kernel's own messages
// (NETLINK_KOBJECT_UEVENT).
const kernelGroup = 1

// Watch tells when a tty has been plugged in, as the kernel reports it; it may
// tell more often. Several reports that nobody has taken are one. Where the
// kernel does not report, as in a container, the error or the silence means that
// one has to look. stop ends it.
func Watch() (plugged <-chan struct{}, stop func(), err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		_ = unix.Close(fd)
		return nil, nil, err
	}
	file := os.NewFile(uintptr(fd), "uevent")
	told, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		buffer := make([]byte, 8192)
		for {
			n, err := file.Read(buffer)
			lost := errors.Is(err, unix.ENOBUFS) // there was no room for all that the kernel had to say
			if err != nil && !lost {
				return
			}
			if !lost && !isPlug(buffer[:n]) {
				continue
			}
			select {
			case told <- struct{}{}:
			default:
			}
		}
	}()
	return told, func() {
		_ = file.Close()
		<-ended
	}, nil
}

// isPlug says whether a message of the kernel is that of a new tty: strings that
// end with a zero octet, KEY=VALUE but for the first.
func isPlug(message []byte) bool {
	added, tty := false, false
	for field := range bytes.SplitSeq(message, []byte{0}) {
		switch string(field) {
		case "ACTION=add":
			added = true
		case "SUBSYSTEM=tty":
			tty = true
		}
	}
	return added && tty
}
