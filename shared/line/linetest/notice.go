package linetest

import (
	"context"
	"sync"
)

// Notice is the lock of a far end whose state others wait for: whoever changes something does it in a Step, and they look again. Held only for
// moments. The zero value is ready.
type Notice struct {
	sync.Mutex
	changed chan struct{}
}

// Step changes something.
func (n *Notice) Step(change func()) {
	n.Lock()
	defer n.Unlock()
	change()
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

// Await waits until things are as wanted. The error is the context's.
func (n *Notice) Await(ctx context.Context, ready func() bool) error {
	for {
		n.Lock()
		ok := ready()
		if n.changed == nil {
			n.changed = make(chan struct{})
		}
		changed := n.changed
		n.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Shift waits for an element of a list, and takes it out.
func (n *Notice) Shift(ctx context.Context, list *[]string) (first string, err error) {
	err = n.Await(ctx, func() bool {
		if len(*list) == 0 {
			return false
		}
		first, *list = (*list)[0], (*list)[1:]
		return true
	})
	return first, err
}

// Take waits for so many octets, and takes them out.
func (n *Notice) Take(ctx context.Context, from *[]byte, octets int) (got []byte, err error) {
	err = n.Await(ctx, func() bool {
		if len(*from) < octets {
			return false
		}
		got, *from = (*from)[:octets], (*from)[octets:]
		return true
	})
	return got, err
}
