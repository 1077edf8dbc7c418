package exchange

import (
	"net"
	"sync"

	"trunkline.example/modem/exchange/hayes"
	"trunkline.example/modem/telnet"
)

// signature is what we call ourselves when a client asks (RFC 2217 section 3).
const signature = "Trunkline exchange"

// telnetPort is a client's connection over Telnet: the server's end of a serial
// port if COM-PORT-OPTION is in force. One goroutine reads, one writes, the loop
// tells the modem lines.
type telnetPort struct {
	conn    net.Conn
	control func(speed int) // tells the serial speed, 0 for DTR off
	line    byte

	wire    sync.Mutex // around writes to conn; may be held for long
	changed chan struct{}
	done    chan struct{}
	once    sync.Once

	mu     sync.Mutex // around what follows; held for moments
	telnet *telnet.Conn
	in     []byte
	speed  int
	format [3]byte // data size, parity, stop size
	dtr    bool
	rts    bool
	brk    bool
	flow   byte
	inflow byte          // flow control of what the client sends
	mask   byte          // of the modem lines that are notified
	modem  byte          // as they are
	told   byte          // as they were last notified
	held   chan struct{} // closed when the client lets us send; nil: it does
	purges int           // of what is for the client
}

// newTelnetPort begins the negotiation when it is bound.
func newTelnetPort(conn net.Conn, serial bool) *telnetPort {
	options := []telnet.Option{telnet.Binary, telnet.SGA}
	remote := options
	if serial {
		remote = append(remote[:2:2], telnet.ComPort)
	}
	return &telnetPort{
		conn: conn, changed: make(chan struct{}, 1), done: make(chan struct{}), speed: socketSpeed,
		format: [3]byte{telnet.DataBits8, telnet.ParityNone, telnet.StopBits1}, dtr: true, rts: true, flow: telnet.FlowHardware, inflow: telnet.InboundRTS,
		mask:   telnet.ModemSignals, // until the client says otherwise (RFC 2217 section 3)
		telnet: telnet.New(telnet.Config{Local: append(options[:2:2], telnet.Echo), Remote: remote, Ask: true}),
	}
}

// bind connects the port to the session it is tried with.
func (p *telnetPort) bind(e *Exchange, s *session) {
	p.control = func(speed int) { e.post(serial{s: s, speed: speed}) }
	s.signal = p.signal
	s.started = func() { e.work.Go(p.notify) }
}

// Close ends Read and Write.
func (p *telnetPort) Close() error {
	p.once.Do(func() { close(p.done) })
	return p.conn.Close()
}

// signal takes note of the modem lines. It does not block.
func (p *telnetPort) signal(s hayes.Signals) {
	var b byte
	for _, l := range []struct {
		on  bool
		bit byte
	}{{s.DCD, telnet.ModemCD}, {s.RI, telnet.ModemRI}, {s.DSR, telnet.ModemDSR}, {s.CTS, telnet.ModemCTS}} {
		if l.on {
			b |= l.bit
		}
	}
	p.mu.Lock()
	p.modem = b
	p.mu.Unlock()
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// notify tells the client of changes, and begins the negotiation.
func (p *telnetPort) notify() {
	for {
		p.mu.Lock()
		out := append(p.telnet.Output(), p.notice(false)...)
		p.mu.Unlock()
		if p.send(out) != nil {
			return
		}
		select {
		case <-p.changed:
		case <-p.done:
			return
		}
	}
}

// notice is NOTIFY-MODEMSTATE if something changed that the client wants to
// know, or in any case. The lock is held.
func (p *telnetPort) notice(always bool) []byte {
	delta := (p.modem ^ p.told) & p.mask
	if !p.telnet.On(telnet.ComPort, false) || p.mask == 0 || delta == 0 && !always {
		return nil
	}
	changes := delta >> 4
	if p.modem&telnet.ModemRI != 0 {
		changes &^= telnet.TrailingRI // only the fall is told
	}
	p.told = p.modem
	return telnet.AppendCommand(nil, telnet.Answer+telnet.NotifyModem, p.modem&p.mask|changes)
}

// send writes to the network.
func (p *telnetPort) send(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	p.wire.Lock()
	defer p.wire.Unlock()
	_, err := p.conn.Write(b)
	return err
}

// Write implements stream. What the client holds back when it has received data purged is never sent.
func (p *telnetPort) Write(b []byte) (int, error) {
	p.mu.Lock()
	purges := p.purges
	p.mu.Unlock()
	for {
		p.mu.Lock()
		held, purged := p.held, p.purges != purges
		var out []byte
		if held == nil && !purged {
			out = p.telnet.Append(nil, b)
		}
		p.mu.Unlock()
		if held == nil || purged {
			return len(b), p.send(out)
		}
		select {
		case <-held:
		case <-p.done:
			return 0, net.ErrClosed
		}
	}
}

// Read implements stream.
func (p *telnetPort) Read(b []byte) (int, error) {
	var buf [readSize]byte
	for {
		p.mu.Lock()
		n := copy(b, p.in)
		p.in = p.in[:copy(p.in, p.in[n:])]
		p.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		n, err := p.conn.Read(buf[:])
		if n > 0 {
			p.mu.Lock()
			p.in = p.telnet.Receive(p.in, buf[:n])
			answers, control := p.hear()
			p.mu.Unlock()
			for _, speed := range control {
				p.control(speed)
			}
			if err := p.send(answers); err != nil {
				return 0, err
			}
		}
		if err != nil {
			return 0, err
		}
	}
}

// hear does what the client asked for, and returns what is to be answered and
// what the modem is to be told. The lock is held.
func (p *telnetPort) hear() (answers []byte, control []int) {
	answers = p.telnet.Output()
	for _, e := range p.telnet.Events() {
		if e == (telnet.Changed{Option: telnet.ComPort, On: true}) {
			answers = append(answers, p.notice(true)...)
		}
		sub, ok := e.(telnet.Sub)
		if !ok {
			continue
		}
		c, value, ok := sub.ComPort()
		if !ok || c >= telnet.Answer || !p.telnet.On(telnet.ComPort, false) {
			continue
		}
		speed, dtr := p.speed, p.dtr
		answers = append(answers, p.obey(c, value)...)
		if p.speed != speed || p.dtr != dtr {
			control = append(control, map[bool]int{true: p.speed}[p.dtr])
		}
	}
	return answers, control
}

// fastest bounds the speeds that a client may choose.
const fastest = 4000000

// obey does one command of COM-PORT-OPTION and returns its answer (RFC 2217
// section 3): the value that is in force then.
func (p *telnetPort) obey(c telnet.Command, value []byte) []byte {
	answer := value
	switch c {
	case telnet.Signature:
		answer = []byte(signature)
		if len(value) > 0 {
			return nil // it tells us its own
		}
	case telnet.SetBaudrate:
		if n := telnet.BaudrateOf(value); n > 0 && n <= fastest {
			p.speed = n
		}
		answer = telnet.Baudrate(p.speed)
	case telnet.SetDataSize:
		answer = p.setFormat(0, value[0], telnet.DataBits5, telnet.DataBits8)
	case telnet.SetParity:
		answer = p.setFormat(1, value[0], telnet.ParityNone, telnet.ParitySpace)
	case telnet.SetStopSize:
		answer = p.setFormat(2, value[0], telnet.StopBits1, telnet.StopBits15)
	case telnet.SetControl:
		answer = []byte{p.setControl(value[0])}
	case telnet.SetModemMask:
		p.mask = value[0] & telnet.ModemSignals
		return append(telnet.AppendCommand(nil, telnet.Answer+c, value[0]), p.notice(true)...)
	case telnet.NotifyModem: // a client that asks
		return p.notice(true)
	case telnet.FlowSuspend:
		if p.held == nil {
			p.held = make(chan struct{})
		}
		return nil
	case telnet.FlowResume:
		p.release()
		return nil
	case telnet.SetLineMask: // no line errors happen here
		p.line = value[0]
	case telnet.PurgeData:
		p.purge(value[0])
	default:
		return nil
	}
	return telnet.AppendCommand(nil, telnet.Answer+c, answer...)
}

// release lets the writer go on, if it is held.
func (p *telnetPort) release() {
	if p.held != nil {
		close(p.held)
		p.held = nil
	}
}

// purge does PURGE-DATA. A server's buffers are this port's, not the modem's.
func (p *telnetPort) purge(what byte) {
	if what == telnet.PurgeUnsent || what == telnet.PurgeBoth {
		p.in = p.in[:0]
	}
	if p.held != nil && (what == telnet.PurgeReceived || what == telnet.PurgeBoth) {
		p.purges++
		p.release()
		p.held = make(chan struct{})
	}
}

// setFormat sets one of data size, parity and stop size, if the value is within bounds, and returns what is in force. Nothing is made of
// it: octets pass as they are.
func (p *telnetPort) setFormat(which int, v, low, high byte) []byte {
	if v >= low && v <= high {
		p.format[which] = v
	}
	return []byte{p.format[which]}
}

// setControl does SET-CONTROL and returns what is in force.
func (p *telnetPort) setControl(v byte) byte {
	is := func(on bool, yes, no byte) byte { return map[bool]byte{true: yes, false: no}[on] }
	switch v {
	case telnet.FlowNone, telnet.FlowXON, telnet.FlowHardware:
		// For both directions, until one is set by itself.
		p.flow, p.inflow = v, v+telnet.InboundNone-telnet.FlowNone
	case telnet.FlowDCD, telnet.FlowDSR:
		p.flow = v
	case telnet.InboundNone, telnet.InboundXON, telnet.InboundRTS, telnet.InboundDTR:
		p.inflow = v
		return v
	case telnet.AskInbound:
		return p.inflow
	case telnet.AskBreak, telnet.BreakOn, telnet.BreakOff:
		if v != telnet.AskBreak {
			p.brk = v == telnet.BreakOn
		}
		return is(p.brk, telnet.BreakOn, telnet.BreakOff)
	case telnet.AskDTR, telnet.DTROn, telnet.DTROff:
		if v != telnet.AskDTR {
			p.dtr = v == telnet.DTROn
		}
		return is(p.dtr, telnet.DTROn, telnet.DTROff)
	case telnet.AskRTS, telnet.RTSOn, telnet.RTSOff:
		if v != telnet.AskRTS {
			p.rts = v == telnet.RTSOn
		}
		return is(p.rts, telnet.RTSOn, telnet.RTSOff)
	}
	return p.flow // in force, also for what asks for it and what nobody knows
}
