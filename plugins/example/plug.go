package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"time"

	"trunkline.example/shared/line"
)

// What Windows says over a direct cable.
const (
	question = "CLIENT"
	answer   = "CLIENTSERVER"
)

// retry is how long until the driver tries again to listen.
const retry = 5 * time.Second

// listen waits for the far end to be plugged in until ctx ends.
func (l *cable) listen(ctx context.Context) {
	for {
		err := l.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		if l.state == line.StateIdle || l.state == line.StateDown {
			l.send(0, line.Down{Cause: line.Cause{Code: line.CauseDevice, Text: err.Error()}, Retry: retry}, line.StateDown)
		}
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-time.After(retry):
		}
	}
}

// serve takes one connection after the other; there is one cable.
func (l *cable) serve(ctx context.Context) error {
	network, address, err := l.cfg.endpoint()
	if err != nil {
		return err
	}
	if network == "unix" {
		_ = os.Remove(address) // what a driver that was killed has left
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	defer listener.Close()
	l.mu.Lock()
	if l.state == line.StateDown {
		l.send(0, line.Up{Equipment: "cable to " + l.cfg.Listen}, line.StateIdle)
	}
	l.mu.Unlock()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		l.plugged(conn)
		_ = conn.Close()
	}
}

// plugged serves one connection: it waits for the caller's word, and then takes in what the caller sends until the end.
func (l *cable) plugged(conn net.Conn) {
	l.mu.Lock()
	if l.state != line.StateIdle {
		l.mu.Unlock()
		return
	}
	l.conn, l.heard, l.counters = conn, nil, line.Counters{}
	l.mu.Unlock()
	rest, err := l.await(conn)
	if err == nil && l.ring(conn, rest) {
		l.hear(conn)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == conn { // nobody has ended the call yet
		cause := line.Cause{Code: line.CauseCarrierLost, Text: "the cable was unplugged"}
		if l.state == line.StateRinging {
			cause.Code = line.CauseCallerGaveUp
		}
		l.end(cause)
		l.conn = nil
	}
}

// await reads until the caller asks for somebody, for as long as the cable is plugged in, and returns what came behind that.
func (l *cable) await(conn net.Conn) (rest []byte, err error) {
	var seen []byte
	buf := make([]byte, 256)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		seen = append(seen, buf[:n]...)
		if l.cfg.Silent {
			return seen, nil
		}
		if at := bytes.Index(seen, []byte(question)); at >= 0 {
			return seen[at+len(question):], nil
		}
		seen = seen[max(0, len(seen)-len(question)+1):]
	}
}

// ring tells the host of a call; false if it cannot be told now.
func (l *cable) ring(conn net.Conn, heard []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != line.StateIdle || l.conn != conn || !l.queue.Admit() {
		return false
	}
	l.last++
	l.call, l.heard, l.readable = l.last, heard, false
	l.send(l.call, line.Ringing{Dialed: l.cfg.Number, Bearer: line.BearerDigital, Since: time.Now()}, line.StateRinging)
	return true
}

// hear takes in what the caller sends, as long as there is room.
func (l *cable) hear(conn net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		l.mu.Lock()
		if l.conn != conn {
			l.mu.Unlock()
			return
		}
		l.heard = append(l.heard, buf[:n]...)
		if l.state == line.StateConnected {
			l.counters.RxOctets += uint64(n)
		}
		l.changed.Broadcast()
		for len(l.heard) >= heardLimit && l.conn == conn {
			l.changed.Wait()
		}
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}
