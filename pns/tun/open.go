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
// the network namespace, and /dev/net/tun; for several queues CAP_BPF as well, and Linux 5.8 (without them there is one, and Shared tells why).
func Open(o Options) (Device, error) {
	d, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("TUN interface %s: %w", o.Name, err)
	}
	return d, nil
}

func open(o Options) (*device, error) {
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if !o.NoOffload {
		flags |= unix.IFF_VNET_HDR
	}
	if o.Queues > 1 {
		flags |= unix.IFF_MULTI_QUEUE
	}
	if err := inUse(o.Name, 0); err != nil {
		return nil, err
	}
	fd, err := attach(o.Name, flags)
	if errors.Is(err, unix.EINVAL) { // a persistent interface was made for one queue or for several, and stays so
		fd, err = attach(o.Name, flags^unix.IFF_MULTI_QUEUE)
	}
	if err != nil {
		return nil, err
	}
	d, several, err := wrap(fd)
	if err != nil {
		return nil, err
	}
	if several {
		err = d.multiply(o, flags|unix.IFF_MULTI_QUEUE)
	} else if o.Queues > 1 {
		d.shared = errors.New("the interface was made for one queue")
	}
	if err == nil {
		err = d.divide(o.Readers)
	}
	if err == nil && o.MTU > 0 {
		err = setMTU(d.Name(), o.MTU)
	}
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// attach opens a queue of an interface.
func attach(name string, flags uint16) (int, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return -1, fmt.Errorf("the name does not suit an interface: %w", err)
	}
	fd, err := unix.Open(clonePath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, explainOpen(err)
	}
	request.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		_ = unix.Close(fd)
		return -1, explainAttach(err)
	}
	return fd, nil
}

// multiply opens the other queues, if the kernel lets us say what comes by which.
func (d *device) multiply(o Options, flags uint16) error {
	if err := inUse(d.name, 1); err != nil { // by somebody who was as quick
		return err
	}
	if o.Queues < 2 {
		return nil
	}
	if d.shared = steer(d.queues[0].raw, steering(o.Clients, o.Queues)); d.shared != nil {
		return nil
	}
	for len(d.queues) < o.Queues {
		fd, err := attach(d.name, flags)
		if err == nil {
			err = d.add(fd)
		}
		if err != nil {
			return fmt.Errorf("queue %d: %w", len(d.queues), err)
		}
	}
	return nil
}

// inUse refuses an interface that has more queues attached than are ours, if it may have several: only where it has one does the kernel
// itself refuse a second process. The others would not be told what is changed for all.
func inUse(name string, ours int) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil // there is none yet, or the kernel will say what is wrong
	}
	if t, ok := link.(*netlink.Tuntap); ok && t.Queues > ours {
		return explainAttach(unix.EBUSY)
	}
	return nil
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

// Adopt takes over the descriptors of an interface that a predecessor opened, in the order in which Files had them: which packets come by which
// stays as it was. They are closed, also when Adopt fails. readers is Options.Readers.
func Adopt(readers int, files ...*os.File) (Device, error) {
	var d *device
	err := errors.New("no descriptor")
	for _, file := range files {
		if d == nil {
			d, err = adopt(file)
		} else if err == nil {
			err = d.adopt(file)
		}
		_ = file.Close()
	}
	if err == nil {
		err = d.divide(readers)
	}
	if err == nil {
		return d, nil
	}
	if d != nil {
		_ = d.Close()
	}
	return nil, fmt.Errorf("TUN interface: %w", err)
}

func adopt(file *os.File) (*device, error) {
	fd, err := duplicate(file)
	if err != nil {
		return nil, err
	}
	d, _, err := wrap(fd)
	return d, err
}

// adopt takes over another queue.
func (d *device) adopt(file *os.File) error {
	fd, err := duplicate(file)
	if err != nil {
		return err
	}
	name, _, err := identify(fd)
	if err == nil && name != d.name {
		err = fmt.Errorf("a descriptor is that of %s, another one that of %s", d.name, name)
	}
	if err != nil {
		_ = unix.Close(fd)
		return err
	}
	return d.add(fd)
}

func duplicate(file *os.File) (fd int, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return -1, err
	}
	if controlErr := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); controlErr != nil {
		return -1, controlErr
	}
	return fd, err
}

// wrap makes a device of a descriptor that is attached to an interface, and tells whether that may have several queues. On an error the descriptor is
// closed.
func wrap(fd int) (d *device, several bool, err error) {
	name, flags, err := identify(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, false, err
	}
	d = &device{name: name}
	if flags&unix.IFF_VNET_HDR != 0 {
		d.header = gso.HeaderLength
	}
	if err := d.add(fd); err != nil {
		return nil, false, err
	}
	return d, flags&unix.IFF_MULTI_QUEUE != 0, nil
}

// identify returns the name and the properties of the interface that a descriptor is attached to.
func identify(fd int) (name string, flags uint16, err error) {
	request, err := unix.NewIfreq("")
	if err != nil {
		return "", 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.TUNGETIFF, request); err != nil {
		return "", 0, fmt.Errorf("the descriptor is not that of a TUN interface: %w", err)
	}
	if flags = request.Uint16(); flags&unix.IFF_TUN == 0 || flags&unix.IFF_NO_PI == 0 {
		return "", 0, errors.New("the descriptor is that of a TAP interface, or of one with a protocol header")
	}
	return request.Name(), flags, nil
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
