package exchange

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"trunkline.example/modem/exchange/hayes"
)

// readSize is how many octets are read from a client at once, and writeSize how
// many are given to it.
const (
	readSize  = 512
	writeSize = 512
)

// socketSpeed is the serial speed of clients that have no serial port.
const socketSpeed = 115200

// ErrInUse says that a line has a client already.
var ErrInUse = errors.New("the line has a client already")

// stream is what a session needs of a port. Close ends Read and Write for good.
type stream interface {
	Read(b []byte) (int, error)
	Write(b []byte) (int, error)
	Close() error
}

// session is one client that holds a line's port, from opening to closing it.
// Its reader and its writer are goroutines; the loop tells them when to move.
type session struct {
	line   int
	speed  int // of the serial port when it was opened; zero: B0
	conn   stream
	policy CarrierPolicy

	dial     string              // not empty: the connection is a call to this number
	onlyFree bool                // a line that is in a call, or rings, will not do
	signal   func(hayes.Signals) // is told the modem lines when they change; nil: nobody is
	started  func()              // is called once the session has its line; nil: nothing

	read  chan struct{} // the reader may read once
	write chan int      // so many octets of outgoing are to be written
	stop  chan struct{}
	once  sync.Once
	done  chan struct{} // closed when reader and writer are over
	drop  func()        // hang the client up, after what has been written

	// Owned by the loop.
	reading, writing, hangUp bool
	outgoing                 [writeSize]byte // the writer's while writing
	signals                  hayes.Signals   // as last told
}

func newSession(line, speed int, conn stream, policy CarrierPolicy) *session {
	s := &session{
		line: line, speed: speed, conn: conn, policy: policy,
		read: make(chan struct{}, 1), write: make(chan int, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	s.drop = s.end
	return s
}

// end closes the port. It may be called from anywhere, and again.
func (s *session) end() {
	s.once.Do(func() {
		close(s.stop)
		s.conn.Close()
	})
}

// attach gives a line to a session and starts it; ErrInUse if the line has one.
func (e *Exchange) attach(s *session) error {
	return e.call(func(now time.Time) error {
		if e.sessions[s.line] != nil || s.onlyFree && !e.office.Free(s.line) {
			return fmt.Errorf("%s: %w", e.cfg.Office.Lines[s.line].Name, ErrInUse)
		}
		e.sessions[s.line] = s
		if s.dial != "" {
			e.office.AttachCall(now, s.line, s.dial)
		} else {
			e.office.Attach(now, s.line, s.speed)
		}
		if s.started != nil {
			s.started()
		}
		var pair sync.WaitGroup
		pair.Go(func() { e.readFrom(s) })
		pair.Go(func() { e.writeTo(s) })
		e.work.Go(func() {
			pair.Wait()
			close(s.done)
		})
		return nil
	})
}

// readFrom is the reader: one read each time the loop has room.
func (e *Exchange) readFrom(s *session) {
	defer e.post(closed{s})
	var buf [readSize]byte
	for {
		select {
		case <-s.read:
		case <-s.stop:
			return
		}
		n, err := s.conn.Read(buf[:])
		if n > 0 && !e.post(input{s: s, data: buf[:n]}) {
			return
		}
		if err != nil {
			return
		}
	}
}

// writeTo is the writer.
func (e *Exchange) writeTo(s *session) {
	for {
		var n int
		select {
		case n = <-s.write:
		case <-s.stop:
			return
		}
		if _, err := s.conn.Write(s.outgoing[:n]); err != nil {
			s.end() // the reader reports it
			return
		}
		if !e.post(written{s}) {
			return
		}
	}
}

// Serve attaches a client by any stream to a line, given by name or number, and
// blocks until one of them ends it. It closes conn. The line's client is gone
// when conn is at its end; when the carrier is lost, conn is closed as on a
// socket.
func (e *Exchange) Serve(line string, conn net.Conn) error {
	n := 0
	if err := e.onLine(line, func(_ time.Time, i int) error { n = i; return nil }); err != nil {
		return errors.Join(err, conn.Close())
	}
	s := newSession(n, socketSpeed, conn, e.cfg.Ports[e.cfg.Office.Lines[n].Name].Carrier)
	if err := e.attach(s); err != nil {
		return errors.Join(err, conn.Close())
	}
	<-s.done
	return nil
}
