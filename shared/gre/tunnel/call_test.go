package tunnel_test

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/gre/tunnel/gretest"
)

// end is one end of a call as a daemon has it: the receiving half belongs to the goroutine of the Mux, the sending half
// to the lock; the acknowledgements cross as numbers.
type end struct {
	t        *testing.T
	call     *tunnel.Call
	receiver *gre.Receiver
	owed     atomic.Uint64 // gre.Ack

	mu     sync.Mutex // guards what follows and the order of packets
	sender *gre.Sender

	last    int // number in the last frame, -1 before the first; of the Mux's goroutine
	frames  int
	missing uint64 // by Frame.Lost
}

func newEnd(t *testing.T, m *tunnel.Mux, from *gretest.Conn, callID, peersCallID uint16) *end {
	t.Helper()
	e := &end{
		t: t, last: -1, receiver: gre.NewReceiver(gre.ReceiverConfig{}),
		sender: gre.NewSender(time.Now(), gre.SenderConfig{CallID: peersCallID, First: 1<<32 - 500, Enforce: true, Window: 32, Advertised: 32}),
	}
	var err error
	if e.call, err = m.Register(from.Local(), callID, e.deliver); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *end) deliver(now time.Time, h gre.Header, payload []byte) {
	if h.HasAck {
		e.mu.Lock()
		e.sender.Acknowledged(now, h.Ack)
		e.mu.Unlock()
	}
	e.receiver.Tick(now)
	e.drain()
	e.receiver.Receive(now, h, payload)
	e.drain()
	e.owed.Store(uint64(e.receiver.Ack()))
	e.acknowledge(now)
}

func (e *end) drain() {
	for f, ok := e.receiver.Next(); ok; f, ok = e.receiver.Next() {
		n := int(binary.BigEndian.Uint32(f.Payload))
		if e.last >= 0 && n != e.last+1+int(f.Lost) {
			e.t.Errorf("%d after %d with %d lost", n, e.last, f.Lost)
		}
		e.last = n
		e.frames++
		e.missing += uint64(f.Lost)
	}
}

func (e *end) acknowledge(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sender.Owe(now, gre.Ack(e.owed.Load()))
	if h, ok := e.sender.AckDue(now); ok {
		e.send(h, nil)
	}
}

// data sends frame n unless the window is full.
func (e *end) data(now time.Time, n int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sender.Owe(now, gre.Ack(e.owed.Load()))
	payload := binary.BigEndian.AppendUint32(nil, uint32(n))
	h, ok := e.sender.Next(now, len(payload))
	if ok {
		e.send(h, payload)
	}
	return ok
}

func (e *end) send(h gre.Header, payload []byte) {
	if err := e.call.Send(h, payload); err != nil {
		e.t.Error(err)
	}
}

// A call through a bad network: both ways at once, over the wrap of the sequence numbers, with a window. Nothing comes out of order or
// twice, what is lost is known, and the windows never stall.
func TestCallThroughLossyNetwork(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			n := gretest.New(gretest.Config{
				Seed: seed, Loss: 0.03, Duplication: 0.02, Delay: 15 * time.Millisecond, Jitter: 5 * time.Millisecond,
				Reorder: 0.05, ReorderDelay: 20 * time.Millisecond,
			})
			pac, pns := listen(t, n, pacAddress), listen(t, n, pnsAddress)
			pacMux, pnsMux := tunnel.NewMux(pac, tunnel.MuxConfig{}), tunnel.NewMux(pns, tunnel.MuxConfig{})
			ends := [2]*end{newEnd(t, pacMux, pns, 7, 9), newEnd(t, pnsMux, pac, 9, 7)}
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for _, m := range []*tunnel.Mux{pacMux, pnsMux} {
				wg.Go(func() {
					if err := m.Run(ctx); err != nil {
						t.Error(err)
					}
				})
			}
			var sent [2]int
			for i, e := range ends {
				wg.Go(func() {
					for range 5000 {
						time.Sleep(time.Millisecond)
						if e.data(time.Now(), sent[i]) {
							sent[i]++
						}
					}
				})
			}
			time.Sleep(time.Minute)
			cancel()
			wg.Wait()
			for i, e := range ends {
				other := ends[1-i]
				c, r := e.sender.Counters(), other.receiver.Counters()
				if sent[i] < 1500 || uint64(sent[i]) != c.Packets || c.Acks < 100 || c.BogusAcks > 0 || c.Refused == 0 {
					t.Errorf("seed %d, end %d: %d sent, %+v", seed, i, sent[i], c)
				}
				// Of the last packets the loss may not be noticed.
				if lost := sent[i] - other.frames; lost < sent[i]/100 || lost > sent[i]*6/100 || uint64(lost) < other.missing || uint64(lost) > other.missing+40 {
					t.Errorf("seed %d, end %d: %d sent, %d came out, %d missing, %+v", seed, i, sent[i], other.frames, other.missing, r)
				}
				if r.Duplicates == 0 || r.Reordered == 0 || r.Restarts+r.Strays > 0 {
					t.Errorf("seed %d, end %d: %+v", seed, i, r)
				}
			}
		})
	}
}
