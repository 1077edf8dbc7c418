package netport

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/modem/port"
	"trunkline.example/modem/telnet"
)

// Info implements port.Port.
func (p *Port) Info() port.Info { return p.info }

// Read implements port.Port.
func (p *Port) Read(b []byte) (n int, err error) {
	for {
		p.mu.Lock()
		changed := p.changed
		if n = copy(b, p.in); n > 0 && !p.closed {
			p.in = p.in[:copy(p.in, p.in[n:])]
			close(p.changed)
			p.changed = make(chan struct{})
		} else {
			err = p.err()
		}
		p.mu.Unlock()
		if err != nil {
			return 0, err
		}
		if n > 0 {
			return n, nil
		}
		<-changed
	}
}

// Write implements port.Port.
func (p *Port) Write(b []byte) (n int, err error) {
	for n < len(b) {
		p.mu.Lock()
		changed, deadline := p.changed, p.deadline
		room := bufferSize - len(p.out)
		if err = p.err(); err == nil && room > 0 && !p.held {
			part := b[n:min(len(b), n+room)]
			if p.telnet == nil {
				p.out = append(p.out, part...)
			} else {
				p.out = p.telnet.Append(p.out, part)
			}
			n += len(part)
			close(p.changed)
			p.changed = make(chan struct{})
		}
		p.mu.Unlock()
		if err != nil {
			return n, err
		}
		if n < len(b) && !wait(changed, deadline) {
			return n, os.ErrDeadlineExceeded
		}
	}
	return n, nil
}

// wait waits for a change; false when the deadline has come. The zero deadline
// never comes.
func wait(changed <-chan struct{}, deadline time.Time) bool {
	if deadline.IsZero() {
		<-changed
		return true
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-changed:
		return true
	case <-timer.C:
		return false
	}
}

// SetWriteDeadline implements port.Port.
func (p *Port) SetWriteDeadline(t time.Time) error {
	p.change(func() { p.deadline = t })
	return nil
}

// order gives a command of COM-PORT-OPTION.
func (p *Port) order(c telnet.Command, value ...byte) error {
	if p.kind != comPort {
		return port.ErrUnsupported
	}
	var err error
	p.change(func() {
		if err = p.err(); err == nil {
			p.out = telnet.AppendCommand(p.out, c, value...)
		}
	})
	return err
}

// SetSpeed implements port.Port. Without COM-PORT-OPTION the speed is the
// server's matter. Speed 0 would ask the server for the speed it has (RFC 2217).
func (p *Port) SetSpeed(bps int) error {
	if bps == 0 {
		return port.ErrUnsupported
	}
	if p.kind != comPort {
		return nil
	}
	return p.order(telnet.SetBaudrate, telnet.Baudrate(bps)...)
}

// SetDTR implements port.Port.
func (p *Port) SetDTR(on bool) error {
	if on {
		return p.order(telnet.SetControl, telnet.DTROn)
	}
	return p.order(telnet.SetControl, telnet.DTROff)
}

// SetBreak implements port.Port.
func (p *Port) SetBreak(on bool) error {
	if on {
		return p.order(telnet.SetControl, telnet.BreakOn)
	}
	return p.order(telnet.SetControl, telnet.BreakOff)
}

// Lines implements port.Port. They are what the server last told; of a server
// that tells nothing they are not supported.
func (p *Port) Lines() (port.Lines, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.err(); err != nil {
		return port.Lines{}, err
	}
	if !p.told {
		return port.Lines{}, port.ErrUnsupported
	}
	on := func(bit byte) bool { return p.modem&bit != 0 }
	return port.Lines{CTS: on(telnet.ModemCTS), DSR: on(telnet.ModemDSR), DCD: on(telnet.ModemCD), RI: on(telnet.ModemRI)}, nil
}

// Counters implements port.Port. They count what the server has told since the
// port was opened.
func (p *Port) Counters() (port.Counters, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.err(); err != nil {
		return port.Counters{}, err
	}
	if p.kind != comPort {
		return port.Counters{}, port.ErrUnsupported
	}
	return p.counters, nil
}

// Unsent implements port.Port. What the server holds back is not counted.
func (p *Port) Unsent() (int, error) {
	p.mu.Lock()
	n, err := len(p.out)+p.sending, p.err()
	p.mu.Unlock()
	if err != nil {
		return 0, err
	}
	queued, err := p.unsentByKernel()
	return n + queued, err
}

// unsentByKernel is what the far end's TCP has not acknowledged.
func (p *Port) unsentByKernel() (n int, err error) {
	c, err := p.conn.SyscallConn()
	if err != nil {
		return 0, port.ErrClosed
	}
	var inner error
	if err := c.Control(func(fd uintptr) { n, inner = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); err != nil {
		return 0, port.ErrClosed
	}
	return n, inner
}

// Discard implements port.Port. Of a Telnet stream only what has been received
// is thrown away here; a server with COM-PORT-OPTION is told to do its part.
func (p *Port) Discard() error {
	var err error
	p.change(func() {
		if err = p.err(); err != nil {
			return
		}
		p.in = p.in[:0]
		if p.telnet == nil {
			p.out = nil
		}
	})
	if err == nil && p.kind == comPort {
		err = p.order(telnet.PurgeData, telnet.PurgeBoth)
	}
	return err
}

// Close implements port.Port. On a server with COM-PORT-OPTION, DTR drops
// first: it may keep its serial port open.
func (p *Port) Close() error {
	p.mu.Lock()
	again := p.closed
	p.mu.Unlock()
	if again {
		return nil
	}
	if p.kind == comPort {
		_ = p.order(telnet.SetControl, telnet.DTROff)
	}
	now := time.Now()
	limit := now
	p.change(func() {
		p.closed = true
		if p.kind == comPort {
			limit = now.Add(closeLimit)
		} else {
			p.out = nil
		}
	})
	_ = p.conn.SetWriteDeadline(limit)
	_ = p.conn.SetReadDeadline(now)
	p.work.Wait()
	return p.conn.Close()
}
