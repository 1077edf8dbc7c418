package tun

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"trunkline.example/pns/tun/gso"
)

const clonePath = "/dev/net/tun"

// Open makes an interface, or joins a persistent one that nobody uses. It needs CAP_NET_ADMIN in the user namespace of
// the network namespace, and /dev/net/tun.
func Open(o Options) (Device, error) {
	d, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("TUN interface %s: %w", o.Name, err)
	}
	return d, nil
}

func open(o Options) (Device, error) {
	fd, err := unix.Open(clonePath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, explainOpen(err)
	}
	request, err := unix.NewIfreq(o.Name)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("the name does not suit an interface: %w", err)
	}
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if !o.NoOffload {
		flags |= unix.IFF_VNET_HDR
	}
	request.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		_ = unix.Close(fd)
		return nil, explainAttach(err)
	}
	d, err := wrap(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	if o.MTU > 0 {
		if err := setMTU(d.Name(), o.MTU); err != nil {
			_ = d.Close()
			return nil, err
		}
	}
	return d, nil
}

func explainOpen(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is not there: load the kernel's tun module, or give the container the device (%w)", clonePath, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be opened: run as root, or allow the device in the container or unit (%w)", clonePath, err)
	}
	return fmt.Errorf("%s: %w", clonePath, err)
}

func explainAttach(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("needs CAP_NET_ADMIN over this network namespace (%w)", err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("another process uses the interface; is another pns running? (%w)", err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("exists with other properties, or the name does not suit an interface (%w)", err)
	}
	return err
}

// Adopt takes over a descriptor of an interface that a predecessor opened. The file is closed, also when Adopt fails.
func Adopt(file *os.File) (Device, error) {
	defer file.Close()
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("TUN interface: %w", err)
	}
	fd := -1
	if controlErr := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); controlErr != nil {
		err = controlErr
	}
	if err != nil {
		return nil, fmt.Errorf("TUN interface: %w", err)
	}
	d, err := wrap(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("TUN interface: %w", err)
	}
	return d, nil
}

// wrap makes a Device of a descriptor that is attached to an interface; on an error the descriptor stays the caller's.
func wrap(fd int) (Device, error) {
	request, err := unix.NewIfreq("")
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlIfreq(fd, unix.TUNGETIFF, request); err != nil {
		return nil, fmt.Errorf("the descriptor is not that of a TUN interface: %w", err)
	}
	switch flags := request.Uint16(); {
	case flags&unix.IFF_TUN == 0 || flags&unix.IFF_NO_PI == 0:
		return nil, errors.New("the descriptor is that of a TAP interface, or of one with a protocol header")
	case flags&unix.IFF_VNET_HDR == 0:
		return newDevice(fd, request.Name(), 0)
	}
	return newDevice(fd, request.Name(), gso.HeaderLength)
}

// unread is how many packets the kernel has dropped before we read them, as it counts for the interface; 0 if it does not tell.
func unread(name string) uint64 {
	link, err := netlink.LinkByName(name)
	if err != nil || link.Attrs().Statistics == nil {
		return 0
	}
	return link.Attrs().Statistics.TxDropped
}

// detached tells whether the descriptor has lost its interface, because that was deleted, or is closed. The error that a
// read gives then depends on whether it was waiting.
func detached(raw syscall.RawConn) bool {
	gone := false
	err := raw.Control(func(fd uintptr) {
		request, err := unix.NewIfreq("")
		gone = err == nil && errors.Is(unix.IoctlIfreq(int(fd), unix.TUNGETIFF, request), unix.EBADFD)
	})
	return gone || err != nil
}

// ioctlInterface runs an ioctl about an interface by its name.
func ioctlInterface(name string, request uint, prepare, result func(*unix.Ifreq)) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	prepare(r)
	if err := unix.IoctlIfreq(fd, request, r); err != nil {
		return err
	}
	result(r)
	return nil
}

func setMTU(name string, mtu int) error {
	err := ioctlInterface(name, unix.SIOCSIFMTU, func(r *unix.Ifreq) { r.SetUint32(uint32(mtu)) }, func(*unix.Ifreq) {})
	if err != nil {
		return fmt.Errorf("MTU %d: %w", mtu, err)
	}
	return nil
}

func getMTU(name string) (mtu int, err error) {
	err = ioctlInterface(name, unix.SIOCGIFMTU, func(*unix.Ifreq) {}, func(r *unix.Ifreq) { mtu = int(r.Uint32()) })
	if err != nil {
		return 0, fmt.Errorf("MTU of TUN interface %s: %w", name, err)
	}
	return mtu, nil
}
