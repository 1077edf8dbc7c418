package tunnel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/loop"
)

// PathMTU says what a Socket does about packets larger than the path takes.
type PathMTU uint8

const (
	// PathMTULearn sets the don't-fragment bit, learns the path's MTU, and fragments above it: nothing is refused.
	PathMTULearn PathMTU = iota
	// PathMTUHonour sets the don't-fragment bit and refuses what is too big with EMSGSIZE and a PathError, so that the
	// sender inside the tunnel can be told.
	PathMTUHonour
	// PathMTUIgnore never sets the don't-fragment bit: routers may fragment. IPv6 has no such bit: this host fragments.
	PathMTUIgnore
)

// Config describes a Socket.
type Config struct {
	// Local is the address to send from and to receive for; not unspecified. A link-local one needs its zone.
	Local netip.Addr
	// ReceiveBuffer and SendBuffer are the sizes of the kernel's buffers in octets; 0 = DefaultBuffer. The system's limit is
	// overridden if we may (CAP_NET_ADMIN), else it applies.
	ReceiveBuffer, SendBuffer int
	PathMTU                   PathMTU
	// Spread opens a socket of all addresses that the host has, for a program that plays many hosts: those of IPv6 if Local is one, else
	// those of IPv4.
	// Packet.Local is the destination of a packet read and the source of one to be written.
	Spread bool
	// Within leaves out packets for other addresses than those of a prefix, with Spread and over IPv4: another program that plays hosts wants them. The
	// zero Prefix leaves out none.
	Within netip.Prefix
	// Low and LowBits (at most 15) leave out packets whose Call ID does not end in these bits, so that several sockets of one
	// program share the packets instead of each getting all of them.
	Low     uint16
	LowBits uint8
	// SendWait bounds how long WriteBatch waits for room in the send buffer before it drops; 0 = DefaultSendWait.
	SendWait time.Duration
}

const (
	// DefaultBuffer is the default size of the kernel's buffers: some 20 ms of small packets at line rate.
	DefaultBuffer = 4 << 20
	// DefaultSendWait is long enough for a gigabit interface to empty a full send buffer.
	DefaultSendWait = 50 * time.Millisecond

	pathErrorQueue  = 64
	idleSenders     = 8
	memInfoDrops    = 8 // SK_MEMINFO_DROPS
	memInfoLength   = 9 // SK_MEMINFO_VARS
	errorQueueBatch = 64
)

// Socket is a raw socket of IP protocol 47 bound to one local address. It needs CAP_NET_RAW to be opened.
type Socket struct {
	file     *os.File
	raw      syscall.RawConn // of file; it cannot wait
	fd       int             // of file; for the reader, before whose end it is not closed
	watch    *loop.Watch
	local    netip.Addr // unspecified: of all addresses
	family   *family
	zones    zones
	sendWait time.Duration
	closed   atomic.Bool

	rx    receiver
	idle  chan *sender // senders nobody uses at the moment
	paths chan PathError
	count counters
}

var _ Conn = (*Socket)(nil)

// Listen opens the socket. The error is ErrAddressFamily, ErrAddressInUse, or the system's (EPERM without CAP_NET_RAW,
// EADDRNOTAVAIL when the address is not one of this host's), wrapped.
func Listen(cfg Config) (*Socket, error) {
	local := cfg.Local.Unmap()
	if cfg.Spread && local.Is6() {
		local = netip.IPv6Unspecified()
	} else if cfg.Spread {
		local = netip.IPv4Unspecified()
	} else if !local.IsValid() || local.IsUnspecified() {
		return nil, fmt.Errorf("listen on %q: %w", cfg.Local, ErrAddressFamily)
	}
	fd, err := unix.Socket(familyOf(local).domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, gre.IPProtocol)
	if err != nil {
		return nil, fmt.Errorf("tunnel: raw GRE socket: %w", err)
	}
	if err := configure(fd, local, cfg); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("tunnel: GRE socket on %s: %w", local, err)
	}
	if !cfg.Spread && inUse(local) {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("listen on %s: %w", local, ErrAddressInUse)
	}
	return newSocket(fd, "gre "+local.String(), local, cfg.SendWait)
}

// Adopt makes a Socket of a descriptor that another process opened with Listen and handed over. It takes the file.
func Adopt(file *os.File, sendWait time.Duration) (*Socket, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("tunnel: adopt %s: %w", file.Name(), err)
	}
	var local netip.Addr
	var failure error
	err = raw.Control(func(fd uintptr) {
		var protocol int
		if protocol, failure = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL); failure != nil {
			return
		}
		var name unix.Sockaddr
		if name, failure = unix.Getsockname(int(fd)); failure != nil {
			return
		}
		local = AddrPort(int(fd), name).Addr()
		if protocol != gre.IPProtocol || !local.IsValid() || local.IsUnspecified() {
			failure = errors.New("not a GRE socket bound to an IP address")
			return
		}
		failure = unix.SetNonblock(int(fd), false)
	})
	if err = errors.Join(err, failure); err != nil {
		return nil, fmt.Errorf("tunnel: adopt %s: %w", file.Name(), err)
	}
	fd, err := duplicate(raw) // the file may be one that Go's poller watches
	if err != nil {
		return nil, fmt.Errorf("tunnel: adopt %s: %w", file.Name(), err)
	}
	name := file.Name()
	_ = file.Close()
	return newSocket(fd, name, local, sendWait)
}

// newSocket takes the descriptor. It is one that blocks, so that Go's poller does not watch it; no call here waits (MSG_DONTWAIT).
func newSocket(fd int, name string, local netip.Addr, sendWait time.Duration) (*Socket, error) {
	file := os.NewFile(uintptr(fd), name)
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("tunnel: %w", err)
	}
	watch, err := loop.NewWatch(fd)
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("tunnel: %w", err)
	}
	if sendWait <= 0 {
		sendWait = DefaultSendWait
	}
	s := &Socket{
		file: file, raw: raw, fd: fd, watch: watch, local: local, family: familyOf(local), sendWait: sendWait,
		idle: make(chan *sender, idleSenders), paths: make(chan PathError, pathErrorQueue),
	}
	s.rx.init(s)
	return s, nil
}

// configure sets the options and binds. The filter comes first: whatever arrives between the making of the socket and
// its binding is of all addresses of the host.
func configure(fd int, local netip.Addr, cfg Config) error {
	f := familyOf(local)
	filter := f.filter(cfg)
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
		return fmt.Errorf("attach filter: %w", err)
	}
	for _, o := range []struct {
		name          string
		option, value int
	}{{"path MTU discovery", f.discover, f.policies[cfg.PathMTU]}, {"reporting of errors", f.receiveErrors, 1}} {
		if err := unix.SetsockoptInt(fd, f.level, o.option, o.value); err != nil {
			return fmt.Errorf("set %s: %w", o.name, err)
		}
	}
	for _, o := range []struct{ size, force, option int }{
		{cfg.ReceiveBuffer, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {cfg.SendBuffer, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF},
	} {
		if o.size <= 0 {
			o.size = DefaultBuffer
		}
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, o.force, o.size) == nil {
			continue
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, o.option, o.size); err != nil {
			return fmt.Errorf("set buffer size: %w", err)
		}
	}
	if cfg.Spread {
		if err := f.spread(fd); err != nil {
			return err
		}
	}
	if err := unix.Bind(fd, Sockaddr(fd, local, 0)); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// Local returns the local address, 0.0.0.0 or :: for all.
func (s *Socket) Local() netip.Addr { return s.local }

// PathErrors delivers what the network says about destinations.
func (s *Socket) PathErrors() <-chan PathError { return s.paths }

// File returns a duplicate of the descriptor, to be handed to another process for Adopt.
func (s *Socket) File() (*os.File, error) {
	dup, err := duplicate(s.raw)
	if err != nil {
		return nil, fmt.Errorf("tunnel: duplicate socket: %w", err)
	}
	return os.NewFile(uintptr(dup), s.file.Name()), nil
}

func duplicate(raw syscall.RawConn) (dup int, err error) {
	var failure error
	err = raw.Control(func(fd uintptr) {
		dup, failure = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	})
	return dup, errors.Join(err, failure)
}

// Close ends ReadBatch and all further use.
func (s *Socket) Close() error {
	if s.closed.Swap(true) {
		return net.ErrClosed
	}
	if err := errors.Join(s.watch.Close(), s.file.Close()); err != nil {
		return fmt.Errorf("tunnel: close: %w", err)
	}
	return nil
}

// Counters returns the counters so far.
func (s *Socket) Counters() Counters {
	c := s.count.load()
	_ = s.raw.Control(func(fd uintptr) {
		var info [memInfoLength]uint32
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if errno == 0 {
			c.ReceiveDrops = uint64(info[memInfoDrops])
		}
	})
	return c
}

// failed turns an error of the descriptor into the one the interface promises.
func (s *Socket) failed(err error) error {
	if s.closed.Load() {
		return net.ErrClosed
	}
	return fmt.Errorf("tunnel: GRE socket on %s: %w", s.local, err)
}
