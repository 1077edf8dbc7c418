package load

import (
	"errors"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/loop"
	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/ppp/mppe"
	"trunkline.example/shared/pptp/control"
)

// null is a server that does as little as can be done: one event loop on a thread of its own, no limit, no time-out, no address twice.
// It answers echo requests itself.
type null struct {
	t        testing.TB
	address  netip.AddrPort
	cfg      nullConfig
	poller   *loop.Poller
	listener int
	gre      *tunnel.Socket
	in, out  []tunnel.Packet
	used     int
	greNews  bool // of this round
	ids      *control.Pool
	conns    map[uint64]*nullConn
	calls    map[callKey]*nullCall // of the client's address
	random   [32]byte
	work     mppe.Worker
	next     uint32 // address to lease
	echoes   int
	stopping atomic.Bool
	done     chan struct{}
	cpu      atomic.Int64 // of the thread, in nanoseconds
}

// nullConfig is what the server does; the zero value asks for no password and no encryption.
type nullConfig struct {
	authentication []auth.Protocol
	encryption     ccp.Policy
	password       string
	dropEvery      int  // echo replies that are not sent: each one of so many
	dropFirst      int  // echo replies that are not sent
	mute           bool // does not answer a call
	hangUpAfter    int  // echo requests, after which the control connection is cut
}

type nullConn struct {
	server  *null
	fd      int
	token   uint64
	remote  netip.Addr
	machine *control.Connection
	calls   []*nullCall // that it has had
}

type nullCall struct {
	conn     *nullConn
	key      callKey
	sender   *gre.Sender
	receiver *gre.Receiver
	link     *link.Link
	net      link.NetworkUp
	seal     *mppe.Encryptor
	open     *mppe.Decryptor
}

const nullListener = 0

// startNull starts the server at an address of the loopback; port 0 of the system's choice.
func startNull(t testing.TB, address string, cfg nullConfig) *null {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT RUN: raw GRE sockets need root")
	}
	s := &null{t: t, cfg: cfg, conns: map[uint64]*nullConn{}, calls: map[callKey]*nullCall{}, done: make(chan struct{}), in: tunnel.NewBatch(128), out: tunnel.NewBatch(128)}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	local := netip.MustParseAddr(address)
	var err error
	s.poller, err = loop.NewPoller()
	must(err)
	s.ids, err = control.NewPool(control.PoolConfig{Quarantine: time.Nanosecond})
	must(err)
	s.gre, err = tunnel.Listen(tunnel.Config{Local: local, ReceiveBuffer: 32 << 20})
	must(err)
	s.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	must(err)
	must(unix.Bind(s.listener, &unix.SockaddrInet4{Addr: local.As4()}))
	must(unix.Listen(s.listener, 4096))
	name, err := unix.Getsockname(s.listener)
	must(err)
	s.address = netip.AddrPortFrom(local, uint16(name.(*unix.SockaddrInet4).Port))
	must(s.poller.Add(s.listener, nullListener))
	raw, err := s.gre.SyscallConn()
	must(err)
	must(raw.Control(func(fd uintptr) { err = s.poller.Add(int(fd), wholeGRE) }))
	must(err)
	go s.run()
	t.Cleanup(s.stop)
	return s
}

const wholeGRE = 1 // token of the GRE socket

func (s *null) stop() {
	s.stopping.Store(true)
	s.poller.Wake()
	<-s.done
}

func (s *null) run() {
	defer close(s.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := threadTime()
	for !s.stopping.Load() {
		if err := s.poller.Wait(time.Time{}); err != nil {
			s.t.Error(err)
			return
		}
		now := time.Now()
		s.greNews = false
		s.poller.Each(func(r loop.Readiness) { s.ready(now, r) })
		if s.greNews { // after TCP, which tells of the calls
			s.readGRE(now)
		}
		s.flush()
		s.cpu.Store(threadTime() - began)
	}
	for _, c := range s.conns {
		unix.Close(c.fd)
	}
	unix.Close(s.listener)
	_ = s.gre.Close()
	s.poller.Close()
}

// threadTime is the processor time of this thread, in nanoseconds.
func threadTime() int64 {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_THREAD, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

func (s *null) ready(now time.Time, r loop.Readiness) {
	switch r.Token {
	case nullListener:
		s.accept(now)
	case wholeGRE:
		s.greNews = true
	default:
		if c := s.conns[r.Token]; c != nil {
			c.read(now)
		}
	}
}

func (s *null) readGRE(now time.Time) {
	for range greRounds {
		n, _ := s.gre.TryReadBatch(s.in)
		for _, p := range s.in[:n] {
			if h, payload, err := gre.Parse(p.Data); err == nil {
				if k := s.calls[callKey{p.Remote, h.CallID}]; k != nil {
					k.receive(now, h, payload)
				}
			}
		}
		if n < len(s.in) {
			return
		}
	}
}

func (s *null) accept(now time.Time) {
	for {
		fd, from, err := unix.Accept4(s.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil {
			s.t.Error(err)
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		c := &nullConn{server: s, fd: fd, token: uint64(fd)<<1 | 1<<40, remote: netip.AddrFrom4(from.(*unix.SockaddrInet4).Addr)}
		const plenty = 1 << 16
		c.machine = control.New(now, control.Config{CallIDs: s.ids.For(control.Pair{Ours: s.address.Addr(), Theirs: c.remote}),
			Limits: control.Limits{Calls: plenty, HalfOpen: plenty, MessagesPerSecond: plenty, Burst: plenty}})
		s.conns[c.token] = c
		if err := s.poller.Add(fd, c.token); err != nil {
			s.t.Error(err)
		}
	}
}

func (c *nullConn) read(now time.Time) {
	var buf [4096]byte
	n, err := unix.Read(c.fd, buf[:])
	switch {
	case errors.Is(err, unix.EAGAIN):
	case err != nil, n == 0:
		c.close()
	default:
		c.machine.Receive(now, buf[:n])
		c.step(now)
	}
}

func (c *nullConn) close() {
	for _, k := range c.calls {
		if c.server.calls[k.key] == k {
			delete(c.server.calls, k.key)
		}
	}
	delete(c.server.conns, c.token)
	unix.Close(c.fd)
}

func (c *nullConn) step(now time.Time) {
	for actions := c.machine.Actions(); len(actions) > 0; actions = c.machine.Actions() {
		for _, a := range actions {
			switch a := a.(type) {
			case control.Send:
				_, _ = unix.Write(c.fd, a.Bytes)
			case control.OutgoingRequested:
				if !c.server.cfg.mute {
					_ = c.machine.AnswerOutgoing(now, a.Call.Own(), control.OutgoingAnswer{ConnectSpeed: 1e8, Window: 64})
					c.server.call(now, c, a.Call)
				}
			case control.IncomingOffered:
				_ = c.machine.AnswerIncoming(now, a.Call.Own(), control.IncomingAnswer{Window: 64})
			case control.IncomingConnected:
				c.server.call(now, c, a.Call)
			case control.ClearRequested:
				_ = c.machine.DisconnectCall(now, a.Call.Own(), control.Disconnect{})
			case control.CallEnded:
				delete(c.server.calls, callKey{c.remote, a.Call.Own()})
			}
		}
	}
}

func (s *null) call(now time.Time, c *nullConn, info control.Call) {
	theirs, _ := info.Theirs()
	k := &nullCall{conn: c, key: callKey{c.remote, info.Own()}, sender: gre.NewSender(now, gre.SenderConfig{CallID: theirs}),
		receiver: gre.NewReceiver(gre.ReceiverConfig{})}
	s.calls[k.key] = k
	c.calls = append(c.calls, k)
	s.next++
	s.random[s.next&31]++
	k.link = link.New(now, link.Config{Side: link.Server, Name: "null", Seed: s.random, Authentication: s.cfg.authentication, Encryption: s.cfg.encryption,
		LocalAddress: netip.AddrFrom4([4]byte{10, 0, 0, 1}), PeerAddress: netip.AddrFrom4([4]byte{10, byte(s.next>>16) + 1, byte(s.next >> 8), byte(s.next)})})
	k.link.Up(now)
	k.perform(now)
}

func (k *nullCall) receive(now time.Time, h gre.Header, payload []byte) {
	k.receiver.Receive(now, h, payload)
	for f, ok := k.receiver.Next(); ok; f, ok = k.receiver.Next() {
		k.frame(now, f)
	}
	k.sender.Owe(now, k.receiver.Ack())
	if h, due := k.sender.AckDue(now); due {
		k.conn.server.queue(k.key.local, h, nil)
	}
}

func (k *nullCall) frame(now time.Time, f gre.Frame) {
	proto, info, err := ppp.Split(f.Payload)
	if err != nil || !proto.Data() {
		k.link.Receive(now, f.Payload)
		k.perform(now)
		return
	}
	if k.open != nil {
		plain, err := k.open.Open(&k.conn.server.work, info[mppe.HeaderLength:mppe.HeaderLength], info, f.Lost)
		if err == nil {
			_, info, err = ppp.Split(plain)
		}
		if err != nil {
			k.conn.server.t.Error(err)
			return
		}
	}
	k.echo(now, info)
}

// echo turns an echo request into its reply.
func (k *nullCall) echo(now time.Time, ip []byte) {
	s := k.conn.server
	if p, ok := parseIP(ip); !ok || p.protocol != protocolICMP || checksum(p.payload, 0) != 0 || checksum(ip[:ipHeader], 0) != 0 {
		s.t.Errorf("no sound echo request: % X", ip)
		return
	}
	if s.echoes++; s.echoes <= s.cfg.dropFirst || s.cfg.dropEvery > 0 && s.echoes%s.cfg.dropEvery == 0 {
		return
	}
	if s.cfg.hangUpAfter > 0 && s.echoes == s.cfg.hangUpAfter {
		k.conn.close()
		return
	}
	var from [4]byte
	copy(from[:], ip[12:])
	copy(ip[12:16], ip[16:20])
	copy(ip[16:20], from[:])
	m := ip[ipHeader:]
	m[0], m[2], m[3] = icmpEchoReply, 0, 0
	sum := checksum(m, 0)
	m[2], m[3] = byte(sum>>8), byte(sum)
	var frame []byte
	if k.seal == nil {
		frame = append(ppp.AppendHeader(nil, ppp.IPv4, k.net.ACFC, k.net.PFC), ip...)
	} else {
		frame = k.seal.Seal(&s.work, ppp.AppendHeader(make([]byte, 0, len(ip)+16), mppe.Protocol, k.net.ACFC, k.net.PFC), append(ppp.AppendHeader(nil, ppp.IPv4, true, k.net.PFC), ip...))
	}
	s.queue(k.key.local, k.sender.NextUrgent(now, len(frame)), frame)
}

func (k *nullCall) perform(now time.Time) {
	for actions := k.link.Actions(); len(actions) > 0; actions = k.link.Actions() {
		for _, a := range actions {
			switch a := a.(type) {
			case link.Send:
				k.conn.server.queue(k.key.local, k.sender.NextUrgent(now, len(a.Frame)), a.Frame)
			case link.Authenticate:
				k.link.Authenticated(now, auth.Verify(a.Attempt, auth.PlainSecret(k.conn.server.cfg.password)))
			case link.NetworkUp:
				if k.net = a; a.Encryption != nil {
					k.seal, _ = mppe.NewEncryptor(*a.Encryption)
					k.open, _ = mppe.NewDecryptor(*a.Encryption)
				}
			}
		}
	}
}

func (s *null) queue(to netip.Addr, h gre.Header, payload []byte) {
	if s.used == len(s.out) {
		s.flush()
	}
	p := &s.out[s.used]
	p.Remote, p.Data = to, append(h.Append(p.Buffer[:0]), payload...)
	s.used++
}

func (s *null) flush() {
	_, _ = s.gre.WriteBatch(s.out[:s.used])
	s.used = 0
}
