package pns

import (
	"sync"
	"sync/atomic"
)

// mailbox is how anything outside a shard reaches it. Requests (an accepted connection, an answer of AAA, a command of an operator)
// are bounded by what causes them and always get in; frames from the data plane come at the peers' pace, so there are at most
// frameLimit of them, and one that finds no room is dropped and counted.
//
// Both kinds keep their order among themselves. Safe for concurrent use; take is for the shard alone.
type mailbox struct {
	wake func()

	mu       sync.Mutex
	closed   bool
	requests []func()
	frames   []inboundFrame

	dropped atomic.Uint64 // frames
}

// inboundFrame is a PPP frame for a call; the octets belong to the receiver.
type inboundFrame struct {
	call  *call
	frame []byte
}

// frameLimit bounds the frames that wait for one shard. At this number a shard is a second or so behind.
const frameLimit = 8192

// post hands a request over. It reports false, and does not keep f, when the shard has ended.
func (m *mailbox) post(f func()) bool {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return false
	}
	wake := len(m.requests) == 0 && len(m.frames) == 0
	m.requests = append(m.requests, f)
	m.mu.Unlock()
	if wake {
		m.wake()
	}
	return true
}

// offer hands a frame over, or drops it.
func (m *mailbox) offer(f inboundFrame) bool {
	m.mu.Lock()
	if m.closed || len(m.frames) >= frameLimit {
		m.mu.Unlock()
		m.dropped.Add(1)
		return false
	}
	wake := len(m.requests) == 0 && len(m.frames) == 0
	m.frames = append(m.frames, f)
	m.mu.Unlock()
	if wake {
		m.wake()
	}
	return true
}

// take swaps what has come in for the two given slices, which must hold nothing that is still needed.
func (m *mailbox) take(requests []func(), frames []inboundFrame) ([]func(), []inboundFrame) {
	clear(requests)
	clear(frames)
	m.mu.Lock()
	defer m.mu.Unlock()
	requests, m.requests = m.requests, requests[:0]
	frames, m.frames = m.frames, frames[:0]
	return requests, frames
}

// close makes post and offer fail from now on, and returns the requests that have not been taken.
func (m *mailbox) close() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	rest := m.requests
	m.requests, m.frames = nil, nil
	return rest
}
