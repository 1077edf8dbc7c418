package hayes

import (
	"slices"
	"time"
)

// maxLine is the longest command line, without AT.
const maxLine = 255

// Input takes octets from the client and returns how many it took: fewer than
// offered while a command is executed, while the transmit buffer is full, or
// because the serial line has not brought them yet. The rest must be offered
// again when InputAt has come or anything else has happened.
func (m *Modem) Input(now time.Time, data []byte) int {
	taken := 0
	if m.s.Silent && m.s.Phase != Online { // whoever does not speak to the modem is heard when somebody listens
		return 0
	}
	for taken < len(data) && m.s.RunAt.IsZero() {
		rest := data[taken:]
		if m.s.Phase == Online {
			n := m.inputData(now, rest)
			taken += n
			if n == 0 || m.s.Phase == Online {
				break
			}
			continue
		}
		m.inputCommand(now, rest[0])
		taken++
	}
	return taken
}

// InputAt is when input that was offered and not taken will be taken, if
// nothing else happens; zero: only after something else has happened.
func (m *Modem) InputAt() time.Time {
	if m.s.Phase != Online || m.txRoom() <= 0 {
		return time.Time{}
	}
	return m.s.InClock.Next()
}

// inputCommand takes one octet outside data mode.
func (m *Modem) inputCommand(now time.Time, c byte) {
	if m.s.Phase == Dialing || m.s.Phase == Answering {
		if c != '\n' && !m.cfg.NoAbort {
			m.hangUp(now, "aborted by the client", true)
			m.result(codeNoCarrier)
		}
		return
	}
	if !slices.Contains(m.cfg.Speeds, m.s.Speed) {
		return // noise to it
	}
	c &= 0x7f
	switch m.s.Typing {
	case 0:
		if c == 'A' || c == 'a' {
			m.s.Typing, m.s.Line = 1, append(m.s.Line[:0], c)
		}
	case 1:
		m.inputPrefix(now, c)
	default:
		m.inputLine(now, c)
	}
}

// inputPrefix takes what follows an A.
func (m *Modem) inputPrefix(now time.Time, c byte) {
	switch c {
	case 'T', 't':
		m.echo(m.s.Line[0], c)
		m.s.Line, m.s.Typing, m.s.Overlong = m.s.Line[:0], 2, false
	case '/':
		m.echo(m.s.Line[0], c)
		m.s.Line = append(m.s.Line[:0], m.s.Repeat...)
		m.endLine(now)
	case 'A', 'a':
		m.s.Line = append(m.s.Line[:0], c)
	default:
		m.s.Line, m.s.Typing = m.s.Line[:0], 0
	}
}

// inputLine takes one octet of a command line.
func (m *Modem) inputLine(now time.Time, c byte) {
	switch {
	case c == m.reg(3):
		m.echo(c)
		if !m.s.Overlong {
			m.s.Repeat = string(m.s.Line)
		}
		m.endLine(now)
	case c == m.reg(5) || c == 0x7f:
		if n := len(m.s.Line); n > 0 {
			m.s.Line = m.s.Line[:n-1]
			m.echo(m.reg(5), ' ', m.reg(5))
		}
	case c < 0x20: // line feeds and other control characters mean nothing
	case len(m.s.Line) >= maxLine:
		m.s.Overlong = true
		m.echo(c)
	default:
		m.s.Line = append(m.s.Line, c)
		m.echo(c)
	}
}

// endLine has the line executed after the reply delay.
func (m *Modem) endLine(now time.Time) {
	m.s.Typing = 0
	if m.cfg.ReplyDelay < 0 {
		m.run(now)
		return
	}
	m.s.RunAt = now.Add(m.cfg.ReplyDelay)
}

func (m *Modem) echo(c ...byte) {
	if m.s.Active.Echo {
		m.out(c)
	}
}

// outcome is what a command leads to.
type outcome uint8

const (
	accepted outcome = iota // go on with the next command of the line
	refused                 // ERROR, the rest of the line is discarded
	finished                // the command gives its own result later; the rest is discarded
)

// run executes the command line.
func (m *Modem) run(now time.Time) {
	line := string(m.s.Line)
	overlong := m.s.Overlong
	m.abandonLine()
	if overlong {
		m.result(codeError)
		return
	}
	for p := (parser{rest: line, strict: m.cfg.Strict, numbers: m.cfg.Adapter == ISDN4Linux}); ; {
		cmd, ok := p.next()
		if !ok {
			m.result(codeOK)
			return
		}
		switch m.execute(now, cmd) {
		case refused:
			m.result(codeError)
			return
		case finished:
			return
		}
	}
}

// execute does one command.
func (m *Modem) execute(now time.Time, c command) outcome {
	if done, o := m.adapterCommand(c); done {
		return o
	}
	switch c.prefix {
	case 0:
		return m.basic(now, c)
	case '&':
		return m.ampersand(now, c)
	case '\\', '%':
		return m.slash(c)
	default:
		return m.extended(c)
	}
}

// unknown is the outcome of a command the modem does not have.
func (m *Modem) unknown() outcome {
	if m.cfg.Strict {
		return refused
	}
	return accepted
}
