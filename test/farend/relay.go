package farend

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/loop"
)

// Relay stands in for a pac between the lines of a Bank and its network server, after Bank.Bare: one event loop that does as little as can be done.
// By how much frames are late with it is what terminals, sockets and the machine add; what a pac adds is the rest.
type Relay struct {
	poller *loop.Poller
	gre    *tunnel.Socket
	lines  []*relayed
	remote netip.Addr
	in     []tunnel.Packet
	out    []tunnel.Packet
	used   int
}

// relayed is a line as the relay sees it.
type relayed struct {
	fd       int
	id       uint16 // of the call, at both ends
	sequence uint32
	deframer *hdlc.Deframer
	unsent   []byte // octets that the terminal did not take
	watching bool   // for it to take more
}

const (
	relayBatch = 128
	// mostUnsent bounds what waits for a terminal, to half a second of a line; frames beyond it are lost.
	mostUnsent = lineOctets / 2
)

// bareID is the Call ID of a line's call, at both ends, with a relay.
func bareID(line int) uint16 { return uint16(line + 1) }

// NewRelay opens the devices of the lines, and a GRE socket at a local address for calls with the network server at a remote one.
func NewRelay(paths []string, local, remote netip.Addr) (*Relay, error) {
	r := &Relay{remote: remote, in: tunnel.NewBatch(relayBatch), out: tunnel.NewBatch(relayBatch)}
	var err error
	if r.poller, err = loop.NewPoller(); err != nil {
		return nil, err
	}
	if r.gre, err = tunnel.Listen(tunnel.Config{Local: local}); err != nil {
		return nil, err
	}
	raw, err := r.gre.SyscallConn()
	if err != nil {
		return nil, err
	}
	var watched error
	err = raw.Control(func(fd uintptr) { watched = r.poller.Add(int(fd), uint64(len(paths))) })
	if err = errors.Join(err, watched); err != nil {
		return nil, err
	}
	for i, path := range paths {
		l := &relayed{id: bareID(i), deframer: hdlc.NewDeframer(0)}
		l.deframer.SetReceiveACCM(0)
		if l.fd, err = unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if err := r.poller.Add(l.fd, uint64(i)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		r.lines = append(r.lines, l)
	}
	return r, nil
}

// Run relays until ctx ends, and frees everything then.
func (r *Relay) Run(ctx context.Context) error {
	defer func() {
		for _, l := range r.lines {
			unix.Close(l.fd)
		}
		_ = r.gre.Close()
		r.poller.Close()
	}()
	defer context.AfterFunc(ctx, r.poller.Wake)()
	for ctx.Err() == nil {
		if err := r.poller.Wait(time.Time{}); err != nil {
			return err
		}
		var failed error
		r.poller.Each(func(news loop.Readiness) {
			if news.Token < uint64(len(r.lines)) {
				if err := r.serve(news); err != nil {
					failed = err
				}
				return
			}
			r.readGRE()
		})
		if failed != nil {
			return failed
		}
		_, _ = r.gre.WriteBatch(r.out[:r.used])
		r.used = 0
	}
	return nil
}

// serve reads a line, and writes what it did not take before.
func (r *Relay) serve(news loop.Readiness) error {
	l := r.lines[news.Token]
	if news.Writable {
		l.write(nil)
		if l.watching = len(l.unsent) > 0; !l.watching {
			if err := r.poller.Watch(l.fd, news.Token, false); err != nil {
				return err
			}
		}
	}
	var buf [4096]byte
	n, err := unix.Read(l.fd, buf[:])
	if err != nil || n <= 0 {
		return nil // another one reads what there was
	}
	for octets := buf[:n]; len(octets) > 0; {
		var frame []byte
		if frame, octets = l.deframer.Next(octets); frame == nil {
			continue
		}
		if r.used == len(r.out) {
			_, _ = r.gre.WriteBatch(r.out)
			r.used = 0
		}
		h := gre.Header{PayloadLength: uint16(len(frame)), CallID: l.id, HasSequence: true, Sequence: l.sequence}
		l.sequence++
		p := &r.out[r.used]
		p.Remote, p.Data = r.remote, append(h.Append(p.Buffer[:0]), frame...)
		r.used++
	}
	return nil
}

// readGRE passes on what the network server has sent.
func (r *Relay) readGRE() {
	n, _ := r.gre.TryReadBatch(r.in)
	for _, p := range r.in[:n] {
		h, frame, err := gre.Parse(p.Data)
		if i := int(h.CallID) - int(bareID(0)); err == nil && i >= 0 && i < len(r.lines) {
			l := r.lines[i]
			l.write(frame)
			if len(l.unsent) > 0 && !l.watching {
				l.watching = r.poller.Watch(l.fd, uint64(i), true) == nil
			}
		}
	}
}

// write writes a frame, behind what waits.
func (l *relayed) write(frame []byte) {
	if len(frame) > 0 && len(l.unsent) < mostUnsent {
		l.unsent = hdlc.AppendFrame(l.unsent, frame, 0)
	}
	for len(l.unsent) > 0 {
		n, err := unix.Write(l.fd, l.unsent)
		if err != nil || n <= 0 {
			return
		}
		l.unsent = append(l.unsent[:0], l.unsent[n:]...)
	}
}

// Bare has every line in a call at once, without a modem's commands and a control connection: with a Relay at the remote address.
func (b *Bank) Bare(remote netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for i, l := range b.lines {
		l.connect(now)
		b.calls[bareID(i)] = &call{remote: remote, id: bareID(i)}
	}
}

// Merge adds what was carried at another time.
func (t *Traffic) Merge(o *Traffic) {
	t.Up.Merge(&o.Up)
	t.Down.Merge(&o.Down)
	t.UpOctets, t.DownOctets = t.UpOctets+o.UpOctets, t.DownOctets+o.DownOctets
	t.UpLost, t.DownLost = t.UpLost+o.UpLost, t.DownLost+o.DownLost
}
