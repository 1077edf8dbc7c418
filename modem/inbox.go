package modem

import (
	"sync"

	"trunkline.example/shared/line"
)

// inboxCapacity is how many octets wait for the host before the owner stops
// reading the port, so that flow control holds the modem back. One read of the
// port may go over it.
const inboxCapacity = 16 << 10

// inbox holds what came from the far end until the host reads it. Any
// goroutine may use it.
type inbox struct {
	mu    sync.Mutex
	data  []byte // between start and the end it is unread
	start int
	end   error // what Read says when data is empty; nil: wait
	ready chan struct{}
	space chan struct{} // one token when there is room again
	full  bool
}

func newInbox() *inbox {
	return &inbox{end: line.ErrNotConnected, ready: make(chan struct{}, 1), space: make(chan struct{}, 1)}
}

// reset empties the inbox; reads fail with err, or wait if it is nil.
func (b *inbox) reset(err error) {
	b.mu.Lock()
	b.data, b.start, b.end, b.full = b.data[:0], 0, err, false
	b.mu.Unlock()
	b.wake()
}

// finish lets what is there be read, and err after it.
func (b *inbox) finish(err error) {
	b.mu.Lock()
	b.end = err
	b.mu.Unlock()
	b.wake()
}

func (b *inbox) wake() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// put appends data and says whether there is room for more.
func (b *inbox) put(data []byte) bool {
	b.mu.Lock()
	if b.start > 0 && len(b.data)+len(data) > cap(b.data) {
		b.data = b.data[:copy(b.data, b.data[b.start:])]
		b.start = 0
	}
	b.data = append(b.data, data...)
	b.full = len(b.data)-b.start >= inboxCapacity
	room := !b.full
	b.mu.Unlock()
	if len(data) > 0 {
		b.wake()
	}
	return room
}

// read implements Line.Read for one reader at a time.
func (b *inbox) read(p []byte) (int, error) {
	for {
		b.mu.Lock()
		if len(b.data) > b.start && b.end != line.ErrClosed {
			n := copy(p, b.data[b.start:])
			if b.start += n; b.start == len(b.data) {
				b.data, b.start = b.data[:0], 0
			}
			freed := b.full && len(b.data)-b.start <= inboxCapacity/2
			if freed {
				b.full = false
			}
			b.mu.Unlock()
			if freed {
				select {
				case b.space <- struct{}{}:
				default:
				}
			}
			return n, nil
		}
		end := b.end
		b.mu.Unlock()
		if end != nil {
			b.wake() // the token may be another reader's
			return 0, end
		}
		<-b.ready
	}
}
