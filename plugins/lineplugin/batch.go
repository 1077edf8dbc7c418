package lineplugin

import (
	"sync"
	"time"

	"trunkline.example/plugins/lineplugin/linepb"
)

const (
	// batchDelay is how long data waits for company: one message per line and read would cost a core at a few hundred lines.
	batchDelay = time.Millisecond
	// batchOctets sends a batch at once.
	batchOctets = 16 << 10
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
		b.mu.Lock()
		batch := b.pending
		b.pending, b.octets = nil, 0
		b.mu.Unlock()
		if len(batch) == 0 {
			continue
		}
		if err := send(&linepb.DataBatch{Data: batch}); err != nil {
			return err
		}
	}
}
