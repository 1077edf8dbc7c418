package lineplugin

import (
	"slices"
	"sync"
	"time"

	"trunkline.example/plugins/lineplugin/linepb"
)

const (
	// batchDelay is how long data waits for company: one message per line and read would cost a core at a few hundred lines.
	batchDelay = time.Millisecond
	// batchOctets sends a batch at once. None gets much longer: gRPC refuses messages of more than 4 MiB.
	batchOctets = 16 << 10
	// writeOctets is how much of a Write travels at once, except for a frame, which stays whole.
	writeOctets = batchOctets
	// dataHeader is about what a Data needs besides its octets.
	dataHeader = 16
	// lineWindow is how many octets of one line may be under way from the driver to a host that does not read.
	lineWindow = 32 << 10
	// readSize is the driver's buffer for one Read.
	readSize = 4096
)

// batcher collects data of all lines and sends it on one stream. What it holds is bounded by what its callers are allowed to have
// under way: lineWindow octets of each line, and one Write.
type batcher struct {
	mu      sync.Mutex
	pending []*linepb.Data
	octets  int
	wake    chan struct{}
	full    chan struct{}
}

func newBatcher() *batcher {
	return &batcher{wake: make(chan struct{}, 1), full: make(chan struct{}, 1)}
}

// add queues data, whose octets it takes over.
func (b *batcher) add(d *linepb.Data) {
	b.mu.Lock()
	b.pending = append(b.pending, d)
	b.octets += len(d.GetOctets())
	full := b.octets >= batchOctets
	b.mu.Unlock()
	notify(b.wake)
	if full {
		notify(b.full)
	}
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// rehost drops what concerns the writes of the last host, and returns how many octets of each line wait for the next one.
func (b *batcher) rehost() map[uint32]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	waiting := map[uint32]int{}
	b.pending = slices.DeleteFunc(b.pending, func(d *linepb.Data) bool {
		waiting[d.GetLine()] += len(d.GetOctets())
		return len(d.GetOctets()) == 0 && !d.GetEnd()
	})
	if len(b.pending) > 0 {
		notify(b.wake)
	}
	return waiting
}

// run sends until done is closed or send fails.
func (b *batcher) run(done <-chan struct{}, send func(*linepb.DataBatch) error) error {
	delay := time.NewTimer(batchDelay)
	delay.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-b.wake:
		}
		delay.Reset(batchDelay)
		select {
		case <-done:
			return nil
		case <-delay.C:
		case <-b.full:
			delay.Stop()
		}
		for batch := b.take(); len(batch) > 0; batch = b.take() {
			if err := send(&linepb.DataBatch{Data: batch}); err != nil {
				return err
			}
		}
	}
}

// take removes the next batch from what is pending.
func (b *batcher) take() []*linepb.Data {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for octets := 0; n < len(b.pending) && octets < batchOctets; n++ {
		octets += len(b.pending[n].GetOctets()) + dataHeader
	}
	batch := b.pending[:n:n]
	if b.pending = b.pending[n:]; len(b.pending) == 0 {
		b.pending, b.octets = nil, 0
	}
	return batch
}
