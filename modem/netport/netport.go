// Package netport opens modems behind the network as port.Port: a serial port of
// a terminal server such as ser2net, or a modem that speaks TCP itself.
//
//	tcp://HOST:PORT       octets as they are
//	telnet://HOST:PORT    Telnet (RFC 854) without a serial port's lines
//	rfc2217://HOST:PORT   Telnet with COM-PORT-OPTION: speed, DTR, break, flow control, modem lines, line errors
//
// A port without COM-PORT-OPTION has no modem lines, like a pseudo-terminal:
// closing it is all that the far end sees.
package netport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"trunkline.example/modem/port"
	"trunkline.example/modem/telnet"
)

// Sizes and times.
const (
	bufferSize   = 4096 // octets on their way in each direction, besides the kernel's
	dialLimit    = 10 * time.Second
	optionLimit  = 5 * time.Second // for the server to agree to COM-PORT-OPTION
	stateLimit   = time.Second     // for the first word on the modem lines
	closeLimit   = time.Second     // for what is still to be said at the end
	keepIdle     = 15 * time.Second
	keepInterval = 5 * time.Second
	keepCount    = 4
)

// kind is a scheme.
type kind uint8

const (
	raw kind = iota
	plainTelnet
	comPort
)

var kinds = map[string]kind{"tcp": raw, "telnet": plainTelnet, "rfc2217": comPort}

// Names tells whether a device is one of this package's: whether it begins with
// one of its schemes.
func Names(device string) bool {
	u, err := url.Parse(device)
	if err != nil {
		return false
	}
	_, known := kinds[u.Scheme]
	return known
}

// Check says what is wrong with the name of a device.
func Check(device string) error {
	_, _, err := parse(device)
	return err
}

func parse(device string) (kind, string, error) {
	u, err := url.Parse(device)
	if err != nil {
		return 0, "", err
	}
	k, known := kinds[u.Scheme]
	if !known || u.Path != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return 0, "", fmt.Errorf("%q is not tcp://HOST:PORT, telnet://HOST:PORT or rfc2217://HOST:PORT", device)
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 || u.Hostname() == "" {
		return 0, "", fmt.Errorf("%q: host and port are needed", device)
	}
	return k, u.Host, nil
}

// Port is an open connection. It implements port.Port.
type Port struct {
	conn *net.TCPConn
	kind kind
	info port.Info
	work sync.WaitGroup

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at every change
	telnet   *telnet.Conn  // nil: raw
	in       []byte        // data from the modem
	out      []byte        // for the network, encoded
	sending  int           // octets taken from out that the kernel is taking
	failure  error         // why the connection is over
	closed   bool
	deadline time.Time // of writes
	agreed   bool      // COM-PORT-OPTION is in force
	refused  bool      // the server has no COM-PORT-OPTION
	held     bool      // the server said FLOWCONTROL-SUSPEND
	modem    byte      // NotifyModem
	told     bool      // modem is known
	counters port.Counters
}

var _ port.Port = (*Port)(nil)

// Open connects to a device. It implements port.Opener.
func Open(ctx context.Context, o port.Options) (port.Port, error) {
	p, err := open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", o.Device, err)
	}
	return p, nil
}

func open(ctx context.Context, o port.Options) (*Port, error) {
	k, address, err := parse(o.Device)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialLimit, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepIdle, Interval: keepInterval, Count: keepCount}}
	c, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", port.ErrGone, err)
	}
	p := &Port{conn: c.(*net.TCPConn), kind: k, info: port.Info{Device: o.Device, Virtual: k != comPort}, changed: make(chan struct{})}
	_ = p.conn.SetWriteBuffer(bufferSize) // what lies in the kernel cannot be taken back
	if k != raw {
		local, remote := []telnet.Option{telnet.Binary, telnet.SGA}, []telnet.Option{telnet.Binary, telnet.SGA, telnet.Echo}
		if k == comPort {
			local = append(local, telnet.ComPort)
		}
		p.telnet = telnet.New(telnet.Config{Local: local, Remote: remote, Ask: true})
		p.out = p.telnet.Output()
	}
	p.work.Go(p.read)
	p.work.Go(p.write)
	if k == comPort {
		if err := p.configure(ctx, o); err != nil {
			_ = p.Close()
			return nil, err
		}
	}
	return p, nil
}

// configure makes the far end the serial port that is wanted.
func (p *Port) configure(ctx context.Context, o port.Options) error {
	err := p.await(ctx, optionLimit, func() bool { return p.agreed || p.refused })
	p.mu.Lock()
	agreed, failure := p.agreed, p.failure
	p.mu.Unlock()
	switch {
	case failure != nil: // ser2net says so in words and closes
		return fmt.Errorf("%w: the server closed the connection at once: %w", port.ErrBusy, failure)
	case err != nil:
		return fmt.Errorf("the server did not agree to COM-PORT-OPTION (RFC 2217): %w", err)
	case !agreed:
		return errors.New("the server has no COM-PORT-OPTION (RFC 2217): use tcp:// or telnet://")
	}
	flow := byte(telnet.FlowNone)
	if o.FlowControl {
		flow = telnet.FlowHardware
	}
	for _, c := range []struct {
		command telnet.Command
		value   []byte
	}{
		{telnet.SetBaudrate, telnet.Baudrate(o.Speed)}, {telnet.SetDataSize, []byte{telnet.DataBits8}},
		{telnet.SetParity, []byte{telnet.ParityNone}}, {telnet.SetStopSize, []byte{telnet.StopBits1}},
		{telnet.SetControl, []byte{flow}}, {telnet.SetControl, []byte{telnet.DTROn}}, {telnet.SetControl, []byte{telnet.RTSOn}},
		{telnet.SetLineMask, []byte{telnet.LineBreak | telnet.LineFraming | telnet.LineParity | telnet.LineOverrun}},
		{telnet.SetModemMask, []byte{0xff}},
	} {
		if err := p.order(c.command, c.value...); err != nil {
			return err
		}
	}
	// Servers answer inaccurately or not at all; only for the modem lines a wait is worth it, once.
	err = p.await(ctx, stateLimit, func() bool { return p.told })
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// change does something under the lock and wakes those who wait.
func (p *Port) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// await waits until ready, called under the lock, says so; until the connection
// is over or the limit is reached.
func (p *Port) await(ctx context.Context, limit time.Duration, ready func() bool) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		p.mu.Lock()
		done, failure, changed := ready(), p.err(), p.changed
		p.mu.Unlock()
		if done || failure != nil {
			return failure
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return os.ErrDeadlineExceeded
		}
	}
}

// err is why the port is of no use any more. The lock is held.
func (p *Port) err() error {
	if p.closed {
		return port.ErrClosed
	}
	return p.failure
}

// read takes what the network brings.
func (p *Port) read() {
	var buf [1024]byte
	for {
		n, err := p.conn.Read(buf[:])
		p.change(func() {
			p.take(buf[:n])
			if err != nil && p.failure == nil && !p.closed {
				if errors.Is(err, io.EOF) {
					err = errors.New("closed by the far end")
				}
				p.failure = fmt.Errorf("%w: %w", port.ErrGone, err)
			}
		})
		if err != nil {
			return
		}
		for full := true; full; {
			p.mu.Lock()
			full = (len(p.in) >= bufferSize || len(p.out) >= 4*bufferSize) && p.err() == nil
			changed := p.changed
			p.mu.Unlock()
			if full {
				<-changed
			}
		}
	}
}

// take decodes octets of the network. The lock is held.
func (p *Port) take(b []byte) {
	if p.telnet == nil {
		p.in = append(p.in, b...)
		return
	}
	p.in = p.telnet.Receive(p.in, b)
	p.out = append(p.out, p.telnet.Output()...)
	for _, e := range p.telnet.Events() {
		switch e := e.(type) {
		case telnet.Changed:
			if e.Option == telnet.ComPort && e.Local {
				p.agreed, p.refused = e.On, !e.On
			}
		case telnet.Sub:
			if c, value, ok := e.ComPort(); ok {
				p.hear(c, value)
			}
		}
	}
}

// hear takes an answer or a notice of the server. Answers to what we set are of
// no use: some servers give them wrong.
func (p *Port) hear(c telnet.Command, value []byte) {
	switch c {
	case telnet.Answer + telnet.NotifyModem:
		if (value[0]^p.modem)&telnet.ModemCD != 0 && p.told {
			p.counters.CarrierChanges++
		}
		p.modem, p.told = value[0]&telnet.ModemSignals, true
	case telnet.Answer + telnet.NotifyLine:
		for _, n := range []struct {
			bit byte
			to  *uint64
		}{{telnet.LineBreak, &p.counters.Break}, {telnet.LineFraming, &p.counters.Framing}, {telnet.LineParity, &p.counters.Parity}, {telnet.LineOverrun, &p.counters.Overrun}} {
			if value[0]&n.bit != 0 {
				*n.to++
			}
		}
	case telnet.Answer + telnet.FlowSuspend:
		p.held = true
	case telnet.Answer + telnet.FlowResume:
		p.held = false
	}
}

// write gives the network what is due.
func (p *Port) write() {
	var buf [512]byte
	for {
		p.mu.Lock()
		n := copy(buf[:], p.out)
		p.out = p.out[:copy(p.out, p.out[n:])]
		p.sending = n
		over, changed := p.failure != nil || p.closed && n == 0, p.changed
		p.mu.Unlock()
		if over {
			_ = p.conn.CloseWrite()
			return
		}
		if n == 0 {
			<-changed
			continue
		}
		_, err := p.conn.Write(buf[:n])
		p.change(func() {
			p.sending = 0
			if err != nil && p.failure == nil {
				p.failure = fmt.Errorf("%w: %w", port.ErrGone, err)
			}
		})
	}
}
