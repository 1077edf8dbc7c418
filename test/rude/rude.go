// Package rude is a peer that does what RFC 2637 does not let one do, to a pns or a pac that is alive: a table of deeds, each with the names
// under which the victim must count it. Sockets or pipes, and what is asked of the victim meanwhile, are the test's.
package rude

import (
	"errors"
	"fmt"
	"net"
	"time"

	"trunkline.example/shared/pptp"
)

// Peer is where the rude one sits.
type Peer struct {
	// Open opens a control connection to the victim; if Called, it waits for the one that the victim opens.
	Open   func() (net.Conn, error)
	Called bool
	// GRE sends one GRE packet to the victim, from an address that has no call there.
	GRE func(packet []byte) error
	// Call is the Call ID that the victim has assigned to the call of somebody else.
	Call uint16
	// Patience is how long the victim may take to react. It must be longer than the victim's own timers.
	Patience time.Duration
	// Pause is between two octets of a message that never ends.
	Pause time.Duration
}

// Do does the deed, and returns an error if the victim does not react to it as it must: by going on, or by closing the connection.
func (d Deed) Do(p Peer) error {
	v := &visit{Peer: p}
	err := d.do(v)
	for _, c := range v.conns {
		_ = c.nc.Close()
		<-c.gone
	}
	if err != nil {
		return fmt.Errorf("%s: %w", d.Name, err)
	}
	return nil
}

// visit is one deed being done.
type visit struct {
	Peer
	conns []*conn
}

// conn is a control connection whose every message is read at once, so that the victim is never held up by us.
type conn struct {
	v    *visit
	nc   net.Conn
	seen chan pptp.Message // the latest
	gone chan struct{}     // closed when the victim has closed, or we have
}

// open opens a control connection without a word.
func (v *visit) open() (*conn, error) {
	nc, err := v.Open()
	if err != nil {
		return nil, err
	}
	c := &conn{v: v, nc: nc, seen: make(chan pptp.Message, 64), gone: make(chan struct{})}
	v.conns = append(v.conns, c)
	go c.read()
	return c, nil
}

// start opens a control connection and exchanges the Start messages.
func (v *visit) start() (*conn, error) {
	c, err := v.open()
	if err != nil {
		return nil, err
	}
	if v.Called {
		if _, err := await[*pptp.StartControlConnectionRequest](c); err != nil {
			return nil, err
		}
		return c, c.say(&pptp.StartControlConnectionReply{ProtocolVersion: pptp.Version10, ResultCode: pptp.ControlOK})
	}
	if err := c.say(&pptp.StartControlConnectionRequest{ProtocolVersion: pptp.Version10}); err != nil {
		return nil, err
	}
	reply, err := await[*pptp.StartControlConnectionReply](c)
	if err == nil && !reply.ResultCode.Success() {
		err = fmt.Errorf("the control connection is refused: %v", reply.ResultCode)
	}
	return c, err
}

func (c *conn) read() {
	defer close(c.gone)
	var framer pptp.Framer
	buf := make([]byte, 4096)
	for {
		n, err := c.nc.Read(buf)
		if err != nil {
			return
		}
		framer.Feed(buf[:n])
		for raw, ok, err := framer.Next(); ok && err == nil; raw, ok, err = framer.Next() {
			if m, err := pptp.Decode(raw); err == nil {
				c.keep(m)
			}
		}
	}
}

// keep keeps a message for await, instead of the oldest one if there are too many.
func (c *conn) keep(m pptp.Message) {
	for {
		select {
		case c.seen <- m:
			return
		default:
		}
		select {
		case <-c.seen:
		default:
		}
	}
}

// write writes octets; that the victim may have closed already is no error.
func (c *conn) write(octets []byte) error {
	if len(octets) == 0 {
		return nil
	}
	if err := c.nc.SetWriteDeadline(time.Now().Add(c.v.Patience)); err != nil {
		return nil // closed
	}
	_, err := c.nc.Write(octets)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return errors.New("the victim neither reads nor closes")
	}
	return nil
}

func (c *conn) say(all ...pptp.Message) error {
	var octets []byte
	for _, m := range all {
		octets = m.Append(octets)
	}
	return c.write(octets)
}

// await waits for a message of one type and skips others.
func await[T pptp.Message](c *conn) (T, error) {
	limit := time.NewTimer(c.v.Patience)
	defer limit.Stop()
	var none T
	for {
		select {
		case m := <-c.seen:
			if want, ok := m.(T); ok {
				return want, nil
			}
		case <-c.gone:
			return none, fmt.Errorf("the connection is closed instead of %v", none.Type())
		case <-limit.C:
			return none, fmt.Errorf("no %v", none.Type())
		}
	}
}

// closed waits for the victim to close the connection.
func (c *conn) closed() error {
	limit := time.NewTimer(c.v.Patience)
	defer limit.Stop()
	select {
	case <-c.gone:
		return nil
	case <-limit.C:
		return errors.New("the connection stays open")
	}
}

// lives checks that the connection goes on: an Echo-Request is answered.
func (c *conn) lives(identifier uint32) error {
	if err := c.say(&pptp.EchoRequest{Identifier: identifier}); err != nil {
		return err
	}
	for {
		reply, err := await[*pptp.EchoReply](c)
		if err != nil || reply.Identifier == identifier {
			return err
		}
	}
}
