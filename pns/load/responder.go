package load

import (
	"context"
	"errors"
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
	"time"

	"trunkline.example/shared/measure"
)

// Responder is the far end of UDP traffic: it counts what clients send, and sends what they ask for. It answers nothing that is
// longer than the question until the client has shown, by a cookie, that its address is its own, and sends only as long as the client
// goes on asking.
type Responder struct {
	conn  *net.UDPConn
	seed  maphash.Seed
	began time.Time

	mu    sync.Mutex
	flows map[netip.AddrPort]*answered
	wake  chan struct{} // somebody wants datagrams
}

// answered is a client, as the responder sees it.
type answered struct {
	to      netip.AddrPort
	heard   time.Time // its last request
	ask     request
	since   time.Time // of ask.rate
	due     uint64    // sent since, or passed over
	report  report
	transit measure.Transit
	count   measure.Count
}

const (
	// maxAnswered bounds the clients that are remembered, forgetAfter for how long.
	maxAnswered = 1 << 16
	forgetAfter = time.Minute
	// stopAfter is when nothing is sent any more to a client that does not ask.
	stopAfter = 3 * time.Second
	// sendEvery is how often datagrams that are due are sent.
	sendEvery    = time.Millisecond
	socketBuffer = 8 << 20
)

// NewResponder makes a responder of a socket, which it then owns.
func NewResponder(conn *net.UDPConn) *Responder {
	_ = errors.Join(conn.SetReadBuffer(socketBuffer), conn.SetWriteBuffer(socketBuffer)) // the system's limit applies
	return &Responder{conn: conn, seed: maphash.MakeSeed(), began: time.Now(), flows: map[netip.AddrPort]*answered{}, wake: make(chan struct{}, 1)}
}

// Run answers until ctx ends, and returns nil then, or the socket's error.
func (r *Responder) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = r.conn.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { r.send(sending) })
	buf := make([]byte, 2048)
	for {
		n, from, err := r.conn.ReadFromUDPAddrPort(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err == nil: // others are about datagrams sent before
			r.receive(time.Now(), from, buf[:n])
		}
	}
}

func (r *Responder) receive(now time.Time, from netip.AddrPort, b []byte) {
	if kindOf(b) == kindData {
		r.mu.Lock()
		if f := r.flows[from]; f != nil {
			f.transit.Add(&f.count, 0, now.Sub(r.began)-stampOf(b))
		}
		r.mu.Unlock()
		return
	}
	q, ok := parseRequest(b)
	if !ok {
		return
	}
	cookie := maphash.Comparable(r.seed, from) | 1 // never 0
	if q.kind == kindHello {
		_, _ = r.conn.WriteToUDPAddrPort(appendCookie(nil, cookie), from) // a client that hears nothing asks again
		return
	}
	if q.cookie != cookie {
		return
	}
	if answer := r.asked(now, from, q); answer != nil {
		_, _ = r.conn.WriteToUDPAddrPort(answer, from)
	}
}

// asked takes note of what a client wants and returns the report.
func (r *Responder) asked(now time.Time, from netip.AddrPort, q request) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.flows[from]
	if f == nil || f.ask.run != q.run {
		if f == nil && len(r.flows) >= maxAnswered {
			return nil
		}
		f = &answered{to: from}
		r.flows[from] = f
	}
	if q.rate != f.ask.rate || q.size != f.ask.size {
		f.since, f.due = now, 0
	}
	f.heard, f.ask = now, q
	f.report.asked++
	f.report.received, f.report.jitter, f.report.jitters = f.count.Received, f.count.Jitter, f.count.Jitters
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return f.report.append(nil)
}

// send sends what clients have asked for.
func (r *Responder) send(ctx context.Context) {
	tick := time.NewTicker(sendEvery)
	defer tick.Stop()
	buf := make([]byte, maxSize)
	var round []*answered
	for {
		round = r.wanting(time.Now(), round[:0])
		busy := false
		for _, f := range round {
			busy = r.sendTo(f, buf) || busy
		}
		var ready <-chan time.Time
		switch {
		case busy:
			if ctx.Err() != nil {
				return
			}
			continue
		case len(round) > 0:
			ready = tick.C
		}
		select {
		case <-ctx.Done():
			return
		case <-ready:
		case <-r.wake:
		}
	}
}

// wanting appends the clients that want datagrams, and forgets those that are gone.
func (r *Responder) wanting(now time.Time, round []*answered) []*answered {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, f := range r.flows {
		switch silent := now.Sub(f.heard); {
		case silent > forgetAfter:
			delete(r.flows, key)
		case silent <= stopAfter && f.ask.rate > 0:
			round = append(round, f)
		}
	}
	return round
}

// sendTo sends what is due to a client, a burst at most, and reports whether it would take more at once.
func (r *Responder) sendTo(f *answered, buf []byte) (more bool) {
	now := time.Now()
	r.mu.Lock()
	n, size, to, first := uint64(burst), f.ask.size, f.to, f.report.sent
	if more = f.ask.rate == asManyAsGoes; !more {
		want := uint64(now.Sub(f.since).Seconds() * float64(f.ask.rate))
		n = min(max(want, f.due)-f.due, burst)
		f.due = max(want, f.due)
	}
	if f.ask.rate == 0 {
		n = 0
	}
	f.report.sent += n
	r.mu.Unlock()
	b := buf[:int(size)-ipHeader-udpHeader]
	for i := range n {
		putStamp(b, kindData, uint32(first+i), time.Since(r.began))
		_, _ = r.conn.WriteToUDPAddrPort(b, to) // one that the kernel does not take is lost
	}
	return more && n > 0
}
