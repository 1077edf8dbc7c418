package exchange

import (
	"context"
	"errors"
	"fmt"
	"net"

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
	e.work.Go(func() {
		<-ctx.Done()
		l.Close()
	})
	e.work.Go(func() { e.accept(l, line, policy) })
	return nil
}

// accept takes one client after the other; while the line has one, others are
// closed at once.
func (e *Exchange) accept(l *net.UnixListener, line int, policy CarrierPolicy) {
	for {
		conn, err := l.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			e.log.Warn("accepting a client failed", zap.String(logging.KeyFile, l.Addr().String()), zap.Error(err))
			return
		}
		if err := e.attach(newSession(line, socketSpeed, conn, policy)); err != nil {
			conn.Close()
		}
	}
}
