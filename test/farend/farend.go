// Package farend plays what is around a pac with many lines, for measurements: the modems, by pseudo-terminals, each with a serial line of 115,200
// bit/s behind it, and the network server. Frames go both ways at the speed of the line; each tells when it was sent, so that one knows how much
// later than a serial line alone it arrives. Nothing of a frame is PPP but its header: a pac does not look further.
//
// One goroutine serves all lines, one reads GRE, and the control connection has its own.
package farend

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/loop"
	"trunkline.example/shared/measure"
	"trunkline.example/shared/pptp/control"
)

const (
	// lineOctets is what a line carries in a second: 10 bits each.
	lineOctets = 115200 / 10
	// downShare is how much of that the network server offers: a line that is offered all falls behind whenever it has rested.
	downShare = 0.97
	// tick is how often a part of the lines gets what a UART has received meanwhile; each is served once in groups ticks.
	tick   = time.Millisecond
	groups = 5
	// mostLag bounds what either end makes up for when it was late: a line that has rested does not run faster afterwards.
	mostLag = 50 * time.Millisecond
	// callWindow is what each end buffers.
	callWindow = 64
)

// Bank is a bank of modems and their network server.
type Bank struct {
	poller   *loop.Poller
	gre      *tunnel.Socket
	listener net.Listener
	out      []tunnel.Packet

	mu    sync.Mutex // guards what follows
	lines []*line
	calls map[uint16]*call // by our Call ID
	size  int              // of the frames; 0: none are sent
	since Traffic
}

// Traffic is what was carried since Reset.
type Traffic struct {
	Up, Down             measure.Histogram // by how much frames came later than the line alone would have brought them
	UpOctets, DownOctets uint64            // of frames that came, as on the line
	UpLost, DownLost     uint64            // frames that never came, of those that others came after
}

// New makes the bank and listens for the control connection at an address of this network namespace, TCP 1723.
func New(lines int, local netip.Addr) (*Bank, error) {
	b := &Bank{out: tunnel.NewBatch(tunnel.MaxBatch), calls: map[uint16]*call{}}
	var err error
	if b.poller, err = loop.NewPoller(); err != nil {
		return nil, err
	}
	if b.gre, err = tunnel.Listen(tunnel.Config{Local: local}); err != nil {
		return nil, err
	}
	if b.listener, err = net.Listen("tcp", netip.AddrPortFrom(local, 1723).String()); err != nil {
		return nil, err
	}
	for i := range lines {
		l, err := newLine(i)
		if err != nil {
			return nil, err
		}
		b.lines = append(b.lines, l)
		if err := b.poller.Add(l.master, uint64(i)); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Paths are the devices of the lines.
func (b *Bank) Paths() (all []string) {
	for _, l := range b.lines {
		all = append(all, l.path)
	}
	return all
}

// Run serves until ctx ends, and frees everything then.
func (b *Bank) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { b.serveControl(ctx) })
	wg.Go(b.readGRE)
	defer func() {
		_ = b.listener.Close()
		_ = b.gre.Close()
		for _, l := range b.lines {
			unix.Close(l.master)
			unix.Close(l.slave)
		}
		b.poller.Close()
	}()
	next := time.Now()
	for turn := 0; ctx.Err() == nil; {
		if err := b.poller.Wait(next); err != nil {
			return err
		}
		now := time.Now()
		b.mu.Lock()
		b.poller.Each(func(r loop.Readiness) {
			if r.Token < uint64(len(b.lines)) {
				b.lines[r.Token].receive(b, now)
			}
		})
		for ; !now.Before(next); next = next.Add(tick) {
			b.serve(now, turn)
			turn = (turn + 1) % groups
		}
		b.mu.Unlock()
	}
	return nil
}

// serve gives a part of the lines, and their calls, what is due.
func (b *Bank) serve(now time.Time, turn int) {
	n := 0
	for i := turn; i < len(b.lines); i += groups {
		l := b.lines[i]
		l.transmit(now, b.size)
		if l.call == nil || b.size == 0 {
			continue
		}
		for l.call.due(now) {
			p := &b.out[n]
			p.Remote, p.Data = l.call.remote, l.call.append(now, p.Buffer[:0], b.size)
			if n++; n == len(b.out) {
				_, _ = b.gre.WriteBatch(b.out)
				n = 0
			}
		}
	}
	_, _ = b.gre.WriteBatch(b.out[:n])
}

// Ring has every line ring once; those that are in a call do not.
func (b *Bank) Ring() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lines {
		if !l.online {
			if _, err := unix.Write(l.master, []byte("\r\nRING\r\n")); err != nil {
				return fmt.Errorf("%s: %w", l.path, err)
			}
		}
	}
	return nil
}

// Send has both ends of every call send frames of so many octets; 0: none.
func (b *Bank) Send(size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.size = size
	now := time.Now()
	for _, l := range b.lines {
		l.begin(now)
	}
}

// Calls tells how many calls are connected, and how many of them have been heard of at both ends.
func (b *Bank) Calls() (connected, both int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lines {
		if l.call != nil {
			both++
		}
	}
	return len(b.calls), both
}

// Reset forgets what was carried, and returns it.
func (b *Bank) Reset() Traffic {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.since
	b.since = Traffic{}
	return was
}

// readGRE takes what pac sends through the tunnel.
func (b *Bank) readGRE() {
	batch := tunnel.NewBatch(tunnel.MaxBatch)
	for {
		n, err := b.gre.ReadBatch(batch)
		if err != nil {
			return
		}
		now := time.Now()
		b.mu.Lock()
		for _, p := range batch[:n] {
			if h, payload, err := gre.Parse(p.Data); err == nil {
				if c := b.calls[h.CallID]; c != nil {
					c.receive(b, now, h, payload)
				}
			}
		}
		b.mu.Unlock()
	}
}

// serveControl is the network server's control connection, one after the other.
func (b *Bank) serveControl(ctx context.Context) {
	ids, err := control.NewPool(control.PoolConfig{})
	if err != nil {
		return
	}
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		remote := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
		const plenty = 1 << 16
		machine := control.New(time.Now(), control.Config{CallIDs: ids.For(control.Pair{Ours: b.gre.Local(), Theirs: remote}),
			Limits: control.Limits{Calls: plenty, HalfOpen: plenty, MessagesPerSecond: plenty, Burst: plenty}})
		handle := func(now time.Time, c *control.Connection, a control.Action) { b.control(now, remote, c, a) }
		_ = control.NewRunner(conn, machine, handle, control.RunnerConfig{}).Run(ctx)
	}
}

// control answers the calls that pac offers.
func (b *Bank) control(now time.Time, remote netip.Addr, c *control.Connection, a control.Action) {
	switch a := a.(type) {
	case control.IncomingOffered:
		_ = c.AnswerIncoming(now, a.Call.Own(), control.IncomingAnswer{Window: callWindow})
	case control.IncomingConnected:
		_ = c.SetLinkInfo(now, a.Call.Own(), 0, 0)
		theirs, _ := a.Call.Theirs()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.calls[a.Call.Own()] = &call{remote: remote, id: theirs}
	case control.CallEnded:
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.calls, a.Call.Own())
	}
}
