package exchange

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"go.uber.org/zap"

	"trunkline.example/shared/logging"
)

// openSocket listens on a line's socket.
func (e *Exchange) openSocket(ctx context.Context, line int, policy CarrierPolicy) error {
	path, err := e.books.claimSocket(line)
	if err != nil {
		return err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	e.books.socketOpen(line)
	e.accept(ctx, l, func(conn net.Conn) error { return e.attach(newSession(line, socketSpeed, conn, policy)) })
	return nil
}

// acceptPause is before the next attempt to take a client, when it could not be done, as for want of descriptors.
const acceptPause = 100 * time.Millisecond

// accept takes clients, in the background, until the exchange ends. Those that attach does not take are closed at once.
func (e *Exchange) accept(ctx context.Context, l net.Listener, attach func(net.Conn) error) {
	e.work.Go(func() {
		<-ctx.Done()
		l.Close()
	})
	e.work.Go(func() {
		for {
			conn, err := l.Accept()
			switch {
			case errors.Is(err, net.ErrClosed):
				return
			case err != nil:
				e.log.Warn("accepting a client failed", zap.Stringer(logging.KeyAddress, l.Addr()), zap.Error(err))
				select {
				case <-ctx.Done():
				case <-time.After(acceptPause):
				}
				continue
			}
			if err := attach(conn); err != nil {
				conn.Close()
			}
		}
	})
}
