package exchange

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"
)

// scarce is a listener that has no descriptor for its first clients.
type scarce struct {
	failures atomic.Int32
	clients  chan net.Conn
	closed   chan struct{}
}

func (s *scarce) Addr() net.Addr { return &net.TCPAddr{} }

func (s *scarce) Close() error {
	close(s.closed)
	return nil
}

func (s *scarce) Accept() (net.Conn, error) {
	if s.failures.Add(-1) >= 0 {
		return nil, unix.EMFILE
	}
	select {
	case c := <-s.clients:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// A listener that could not take a client goes on.
func TestListenerOutlivesAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := New(Lab("", 1, 1))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		l := &scarce{clients: make(chan net.Conn), closed: make(chan struct{})}
		l.failures.Store(3)
		taken := 0
		e.accept(ctx, l, func(net.Conn) error {
			taken++
			return errors.New("not wanted")
		})
		ours, theirs := net.Pipe()
		l.clients <- theirs
		if _, err := ours.Read(make([]byte, 1)); err == nil || taken != 1 {
			t.Errorf("%d clients taken, %v", taken, err)
		}
		cancel()
		e.work.Wait()
	})
}
