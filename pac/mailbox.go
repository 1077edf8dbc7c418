package pac

import (
	"sync"

	"trunkline.example/shared/line"
	"trunkline.example/shared/pptp/control"
)

// message is what a network server's control connection says about a call of a line. Exactly one field of what follows call
// says something, or dial or tested does alone.
type message struct {
	dial     *dialOrder
	tested   *testEnd    // its self-test is over, whatever the line has heard of that
	call     line.Call   // on the line
	from     *connection // Call IDs are unique on one control connection only
	own      uint16      // our Call ID
	accepted *control.Call
	cleared  bool // Call-Clear-Request
	ended    *control.CallEnded
	linkInfo *control.LinkInfoSet
}

// mailbox carries messages to the one goroutine that owns a line. put never blocks: a call gets few messages, and of
// Set-Link-Info only the last one is kept, so a peer cannot make it grow.
type mailbox struct {
	mu   sync.Mutex
	all  []message
	wake chan struct{}
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

func (m *mailbox) put(one message) {
	m.mu.Lock()
	if last := len(m.all) - 1; one.linkInfo != nil && last >= 0 && m.all[last].linkInfo != nil && m.all[last].from == one.from && m.all[last].own == one.own {
		m.all[last] = one
	} else {
		m.all = append(m.all, one)
	}
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() []message {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.all
	m.all = nil
	return all
}
