package tunnel

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/gre"
)

// mmsghdr is the kernel's struct mmsghdr; Go pads its end as C does.
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

// receiver is what ReadBatch needs in one piece, so that no call allocates.
type receiver struct {
	socket   *Socket
	messages [MaxBatch]mmsghdr
	vectors  [MaxBatch]unix.Iovec
	sources  [MaxBatch]unix.RawSockaddrInet6 // of IPv6 packets; those of IPv4 come with their header
	ours     []source                        // of a socket of all addresses of IPv6
	wanted   int
	got      int
	tried    bool
	errno    syscall.Errno
	read     func(fd uintptr) bool // made once, as is try
	try      func(fd uintptr)
}

func (r *receiver) init(s *Socket) {
	r.socket = s
	r.read = func(uintptr) bool { return r.receive(uintptr(s.fd)) }
	r.try = func(fd uintptr) { r.receive(fd) }
	if s.family == &ipv6 && s.local.IsUnspecified() {
		r.ours = make([]source, MaxBatch)
	}
	for i := range r.messages {
		r.messages[i].header.Iov = &r.vectors[i]
		r.messages[i].header.SetIovlen(1)
		if s.family == &ipv6 {
			r.messages[i].header.Name = (*byte)(unsafe.Pointer(&r.sources[i]))
		}
	}
}

// ReadBatch receives packets; see Conn.
func (s *Socket) ReadBatch(batch []Packet) (int, error) {
	if len(batch) == 0 {
		return 0, nil
	}
	for {
		s.rx.prepare(batch)
		if err := s.watch.Wait(s.rx.read); err != nil {
			return 0, s.failed(err)
		}
		if n, err := s.finish(batch); n > 0 || err != nil {
			return n, err
		}
	}
}

func (r *receiver) prepare(batch []Packet) {
	r.wanted = min(len(batch), MaxBatch)
	for i := range r.wanted {
		r.vectors[i].Base = unsafe.SliceData(batch[i].Buffer)
		r.vectors[i].SetLen(len(batch[i].Buffer))
		if r.socket.family == &ipv6 {
			r.messages[i].header.Namelen = unix.SizeofSockaddrInet6
		}
		if r.ours != nil {
			r.ours[i].receive(&r.messages[i].header)
		}
	}
	r.got, r.errno, r.tried = 0, 0, false
}

// finish says what receive has brought.
func (s *Socket) finish(batch []Packet) (int, error) {
	if r := &s.rx; r.errno != 0 {
		if s.drainErrors(); !pathErrno(r.errno) {
			return 0, s.failed(r.errno)
		}
	}
	return s.accept(batch, s.rx.got), nil
}

// receive is run when there is something to be received; false means to wait until the descriptor is ready. Neither this call nor that of send waits, and both
// are as much work as any other: so the runtime is not told of them (RawSyscall6). It would take the processor away from
// a call of more than 20 µs, and have another thread wake up, poll and ask for the time, for each.
func (r *receiver) receive(fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.messages[0])), uintptr(r.wanted),
			unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			r.got = int(n)
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			if r.tried {
				// Woken for no packet: there is something in the error queue.
				r.socket.drainErrors()
			}
			r.tried = true
			return false
		default:
			r.errno = errno
			return true
		}
	}
}

// accept finds source and payload of each packet, and moves what is sound to the front.
func (s *Socket) accept(batch []Packet, got int) int {
	var good int
	var octets, malformed, truncated uint64
	for i := range got {
		m := &s.rx.messages[i]
		if m.header.Flags&unix.MSG_TRUNC != 0 {
			truncated++
			continue
		}
		source, data, ok := s.parse(i, batch[i].Buffer[:m.length])
		if !ok {
			malformed++
			continue
		}
		if i != good {
			batch[i].Buffer, batch[good].Buffer = batch[good].Buffer, batch[i].Buffer
		}
		p := &batch[good]
		p.Remote, p.Data, p.Err = source, data, nil
		if s.local.IsUnspecified() {
			p.Local = s.destination(i, p.Buffer)
		}
		octets += uint64(len(data))
		good++
	}
	s.count.received.Add(uint64(good))
	s.count.receivedOctets.Add(octets)
	if malformed+truncated > 0 {
		s.count.malformed.Add(malformed)
		s.count.truncated.Add(truncated)
	}
	return good
}

// parse returns the source and the payload of packet i of the batch just received. Of an IPv6 packet the kernel hands over the
// payload only (RFC 3542 section 3).
func (s *Socket) parse(i int, b []byte) (source netip.Addr, payload []byte, ok bool) {
	if s.family == &ipv4 {
		return stripIPv4(b)
	}
	from := &s.rx.sources[i]
	if s.rx.messages[i].header.Namelen != unix.SizeofSockaddrInet6 || from.Family != unix.AF_INET6 {
		return netip.Addr{}, nil, false
	}
	source = netip.AddrFrom16(from.Addr)
	if source.IsLinkLocalUnicast() {
		source = source.WithZone(s.zoneName(from.Scope_id))
	}
	return source, b, true
}

// stripIPv4 returns the source and the payload of an IPv4 packet of protocol 47. The kernel has reassembled it and
// verified its checksum.
func stripIPv4(b []byte) (source netip.Addr, payload []byte, ok bool) {
	if len(b) < ipv4Header || b[0]>>4 != 4 || b[9] != gre.IPProtocol {
		return netip.Addr{}, nil, false
	}
	header, total := int(b[0]&0xF)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < ipv4Header || total < header || total > len(b) {
		return netip.Addr{}, nil, false
	}
	return netip.AddrFrom4([4]byte(b[12:16])), b[header:total:total], true
}

// sender is what one WriteBatch needs, so that no call allocates.
type sender struct {
	socket   *Socket
	messages [MaxBatch]mmsghdr
	vectors  [MaxBatch]unix.Iovec
	ipv4     [MaxBatch]unix.RawSockaddrInet4 // destinations, if the socket is of this family
	ipv6     [MaxBatch]unix.RawSockaddrInet6
	sources  []source // of a socket of all addresses
	batch    []Packet
	at       int // next of the batch
	sent     int
	octets   int
	write    func(fd uintptr)
}

func newSender(s *Socket) *sender {
	t := &sender{socket: s}
	if s.local.IsUnspecified() {
		t.sources = make([]source, MaxBatch)
	}
	t.write = t.send
	for i := range t.messages {
		h := &t.messages[i].header
		h.Iov = &t.vectors[i]
		h.SetIovlen(1)
		if s.family == &ipv4 {
			h.Name, h.Namelen = (*byte)(unsafe.Pointer(&t.ipv4[i])), unix.SizeofSockaddrInet4
			t.ipv4[i].Family = unix.AF_INET
		} else {
			h.Name, h.Namelen = (*byte)(unsafe.Pointer(&t.ipv6[i])), unix.SizeofSockaddrInet6
			t.ipv6[i].Family = unix.AF_INET6 // port and flow label stay 0
		}
		if t.sources != nil {
			t.sources[i].attach(s.family, h)
		}
	}
	return t
}

// WriteBatch sends packets; see Conn.
func (s *Socket) WriteBatch(batch []Packet) (int, error) {
	var t *sender
	select {
	case t = <-s.idle:
	default:
		t = newSender(s)
	}
	sent := 0
	var err error
	for len(batch) > 0 && err == nil {
		n := min(len(batch), MaxBatch)
		t.load(batch[:n])
		err = s.raw.Control(t.write)
		sent += t.sent
		s.count.sent.Add(uint64(t.sent))
		s.count.sentOctets.Add(uint64(t.octets))
		batch = batch[n:]
	}
	t.batch = nil
	select {
	case s.idle <- t:
	default:
	}
	if err != nil {
		return sent, s.failed(err)
	}
	return sent, nil
}

func (t *sender) load(batch []Packet) {
	t.batch, t.at, t.sent, t.octets = batch, 0, 0, 0
	for i := range batch {
		p := &batch[i]
		p.Err = nil
		t.vectors[i].Base = unsafe.SliceData(p.Data)
		t.vectors[i].SetLen(len(p.Data))
		remote := p.Remote.Unmap()
		switch {
		case !remote.IsValid() || familyOf(remote) != t.socket.family:
			p.Err = unix.EAFNOSUPPORT
		case remote.Is4():
			t.ipv4[i].Addr = remote.As4()
		default:
			t.ipv6[i].Addr, t.ipv6[i].Scope_id = remote.As16(), t.socket.zoneIndex(remote.Zone())
		}
		if t.sources != nil {
			t.sources[i].set(t.socket.family, p.Local)
		}
	}
}

// send hands the batch to the kernel, over the heads of packets that it refuses. A raw socket reports only errors of the packet
// itself here; those of ICMP go to the reader.
func (t *sender) send(fd uintptr) {
	tooBig := t.socket.count.sendTooBig.Load()
	for t.at < len(t.batch) {
		if t.batch[t.at].Err != nil { // an address of another family
			t.refuse(unix.EAFNOSUPPORT)
			continue
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&t.messages[t.at])),
			uintptr(t.run()), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			for range n {
				t.octets += len(t.batch[t.at].Data)
				t.sent++
				t.at++
			}
		case unix.EINTR:
		case unix.EAGAIN, unix.ENOBUFS:
			t.full(fd, errno)
		default:
			t.refuse(errno)
		}
	}
	if t.socket.count.sendTooBig.Load() != tooBig {
		t.socket.drainErrors() // the path's MTU is there
	}
}

// run returns how many packets from the present one on can be handed over together.
func (t *sender) run() int {
	n := t.at + 1
	for n < len(t.batch) && t.batch[n].Err == nil {
		n++
	}
	return n - t.at
}

// full deals with a packet for which there is no room. Either a queue below the socket was full: then the packet is
// gone, as it would be anywhere in a network. Or the socket's own buffer is: then it is worth a short wait, and without
// success the rest of the batch is dropped.
func (t *sender) full(fd uintptr, errno syscall.Errno) {
	if t.poll(fd, 0) {
		t.refuse(errno)
		return
	}
	end := time.Now().Add(t.socket.sendWait)
	for wait := t.socket.sendWait; wait > 0; wait = time.Until(end) {
		if t.poll(fd, wait) {
			return
		}
	}
	for t.at < len(t.batch) {
		t.refuse(errno)
	}
}

// poll waits for room in the socket's buffer and reports whether there is. It may return early without.
func (t *sender) poll(fd uintptr, wait time.Duration) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	// Rounded up, lest the last millisecond is spent spinning.
	n, _ := unix.Poll(fds[:], int((wait+time.Millisecond-1)/time.Millisecond))
	if n > 0 && fds[0].Revents&unix.POLLERR != 0 {
		// Else poll would return at once again and again.
		t.socket.drainErrors()
		_, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
	}
	return n > 0 && fds[0].Revents&unix.POLLOUT != 0
}

// refuse passes over one packet that the kernel would not send.
func (t *sender) refuse(errno syscall.Errno) {
	t.batch[t.at].Err = errno
	t.at++
	c := &t.socket.count
	switch errno {
	case unix.ENOBUFS, unix.EAGAIN, unix.ENOMEM:
		c.sendFull.Add(1)
	case unix.EPERM, unix.EACCES:
		c.sendRefused.Add(1)
	case unix.EMSGSIZE:
		c.sendTooBig.Add(1)
	default:
		c.sendFailed.Add(1)
	}
}

// pathErrno says whether an error is about some destination or interface and not about the socket.
func pathErrno(errno syscall.Errno) bool {
	switch errno {
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENETDOWN, unix.ENONET, unix.ENOPROTOOPT,
		unix.EPROTO, unix.EMSGSIZE, unix.EOPNOTSUPP, unix.EACCES, unix.ENOBUFS, unix.ENOMEM:
		return true
	}
	return false
}

// drainErrors reads the error queue and passes its contents on. Of the same again and again, as a batch of packets
// that are too big leaves, one is enough.
func (s *Socket) drainErrors() {
	_ = s.raw.Control(func(fd uintptr) {
		var last PathError
		for range errorQueueBatch {
			e, err := readError(int(fd))
			if err != nil {
				return
			}
			if e == last {
				continue
			}
			last = e
			s.count.pathErrors.Add(1)
			select {
			case s.paths <- e:
			default:
				s.count.pathErrorsLost.Add(1)
			}
		}
	})
}

// readError reads one entry of the error queue.
func readError(fd int) (PathError, error) {
	var oob [128]byte
	_, n, _, from, err := unix.Recvmsg(fd, nil, oob[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	if err != nil {
		return PathError{}, err
	}
	var e PathError
	e.Remote = AddrPort(fd, from).Addr()
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return PathError{}, fmt.Errorf("control message: %w", err)
	}
	for _, m := range messages {
		ours := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR ||
			m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if ours && len(m.Data) >= int(unsafe.Sizeof(unix.SockExtendedErr{})) {
			// The kernel's own byte order and alignment: the data begins at a word.
			x := (*unix.SockExtendedErr)(unsafe.Pointer(&m.Data[0]))
			e.Err = syscall.Errno(x.Errno)
			if e.Err == unix.EMSGSIZE {
				e.MTU = int(x.Info)
			}
		}
	}
	return e, nil
}
