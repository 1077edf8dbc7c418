package hayes

import "time"

// In-band flow control characters.
const (
	xon  = 0x11
	xoff = 0x13
)

// txRoom is how many octets the transmit buffer takes.
func (m *Modem) txRoom() int { return m.cfg.Buffer - len(m.s.Transmit) }

// inputData takes octets from the client in data mode.
func (m *Modem) inputData(now time.Time, data []byte) int {
	room := m.txRoom()
	if room <= 0 {
		m.s.Held = true
		m.s.InClock.Rest()
		return 0
	}
	n := min(m.s.InClock.Allow(now, len(data)), room)
	if n == 0 {
		return 0
	}
	m.s.InClock.Spend(n)
	m.watchEscape(now, data[:n])
	m.s.LastData, m.s.Active30 = now, now
	m.s.Held = n == room
	if n == len(data) {
		m.s.InClock.Rest()
	}
	if m.s.Link.Convert {
		m.convert(data[:n])
	} else {
		m.transmit(data[:n])
	}
	if m.s.Active.FlowMode == 4 && !m.s.Flow.Sent && m.txRoom() < m.cfg.Buffer/4 {
		m.s.Flow.Sent, m.s.Flow.Urgent = true, append(m.s.Flow.Urgent, xoff)
	}
	return n
}

// transmit queues octets for the line, without the flow control meant for us.
func (m *Modem) transmit(data []byte) {
	if m.s.Active.FlowMode != 4 {
		m.s.Transmit = append(m.s.Transmit, data...)
		return
	}
	for _, c := range data {
		switch c {
		case xon, xoff:
			m.s.Flow.Stopped = c == xoff
		default:
			m.s.Transmit = append(m.s.Transmit, c)
		}
	}
}

// watchEscape looks for three escape characters with silence before them; the
// silence after them is up to escapeAt.
func (m *Modem) watchEscape(now time.Time, data []byte) {
	m.s.EscapeAt = time.Time{}
	c := m.reg(2)
	if c >= 128 || len(data) > 3 {
		m.s.Pluses = 0
		return
	}
	for _, b := range data {
		if b != c {
			m.s.Pluses = 0
			return
		}
	}
	quiet := now.Sub(m.s.LastData)
	switch {
	case m.s.Pluses > 0 && int(m.s.Pluses)+len(data) <= 3 && quiet < m.guardOr(time.Second):
		m.s.Pluses += uint8(len(data))
	case !m.s.Held && quiet >= m.guard():
		m.s.Pluses = uint8(len(data))
	default:
		m.s.Pluses = 0
	}
	if m.s.Pluses == 3 {
		m.s.EscapeAt = now.Add(m.guard())
	}
}

// guardOr is the guard time, or d if there is none.
func (m *Modem) guardOr(d time.Duration) time.Duration {
	if g := m.guard(); g > 0 {
		return g
	}
	return d
}

// escapeAt is when the escape sequence is complete; zero while it is not, or
// while a full buffer keeps us from hearing whether the client is silent.
func (m *Modem) escapeAt() time.Time {
	if m.s.Phase != Online || m.s.Held {
		return time.Time{}
	}
	return m.s.EscapeAt
}

// escaped goes to command state and keeps the call.
func (m *Modem) escaped(time.Time) {
	m.s.Phase, m.s.Pluses, m.s.EscapeAt = Escaped, 0, time.Time{}
	m.abandonLine()
	m.result(codeOK)
}

// idleAt is when a call without data is ended (S30).
func (m *Modem) idleAt() time.Time {
	if m.reg(30) == 0 || m.s.Phase != Online {
		return time.Time{}
	}
	return m.s.Active30.Add(time.Duration(m.reg(30)) * 10 * time.Second)
}

// ToLine returns the octets that wait for the line. They stay the modem's until
// Sent.
func (m *Modem) ToLine() []byte {
	if m.s.Phase != Online && m.s.Phase != Escaped {
		return nil
	}
	return m.s.Transmit
}

// Sent removes n octets of those that ToLine returned: the line has them.
func (m *Modem) Sent(now time.Time, n int) {
	if n == 0 {
		return
	}
	m.s.Transmit = m.s.Transmit[:copy(m.s.Transmit, m.s.Transmit[n:])]
	m.s.Last.Sent += uint64(n)
	if m.s.Held {
		m.s.Held = false
		m.s.LastData = now // what the client sent meanwhile is only seen now
		if !m.s.EscapeAt.IsZero() {
			m.s.EscapeAt = now.Add(m.guard())
		}
	}
	if m.s.Flow.Sent && m.txRoom() > m.cfg.Buffer/2 {
		m.s.Flow.Sent, m.s.Flow.Urgent = false, append(m.s.Flow.Urgent, xon)
	}
}

// FromLine takes octets from the line and returns how many it took: as many as
// the receive buffer holds, none in command state.
func (m *Modem) FromLine(now time.Time, data []byte) int {
	if m.s.Phase != Online {
		return 0
	}
	n := min(len(data), m.cfg.Buffer-len(m.s.Out))
	if n <= 0 {
		return 0
	}
	m.s.Out = append(m.s.Out, data[:n]...)
	m.s.Last.Received += uint64(n)
	m.s.Active30 = now
	return n
}

// Output moves octets for the client to p, as many as the serial line has
// brought by now, and returns how many.
func (m *Modem) Output(now time.Time, p []byte) int {
	if n := len(m.s.Flow.Urgent); n > 0 {
		n = copy(p, m.s.Flow.Urgent)
		m.s.Flow.Urgent = m.s.Flow.Urgent[n:]
		return n
	}
	if m.s.Flow.Stopped && m.s.Phase == Online {
		return 0
	}
	n := m.s.OutClock.Allow(now, min(len(p), len(m.s.Out)))
	if n == 0 {
		return 0
	}
	m.s.OutClock.Spend(n)
	copy(p, m.s.Out[:n])
	m.s.Out = m.s.Out[:copy(m.s.Out, m.s.Out[n:])]
	if len(m.s.Out) == 0 {
		m.s.OutClock.Rest()
	}
	return n
}

// OutputWaiting returns how many octets wait for the client.
func (m *Modem) OutputWaiting() int { return len(m.s.Out) + len(m.s.Flow.Urgent) }

// OutputAt is when Output has something for a client that reads; zero: when
// something else happens.
func (m *Modem) OutputAt() time.Time {
	if len(m.s.Flow.Urgent) > 0 {
		return m.s.OutClock.Free
	}
	if len(m.s.Out) == 0 || m.s.Flow.Stopped && m.s.Phase == Online {
		return time.Time{}
	}
	if m.s.OutClock.Octet == 0 || !m.s.OutClock.Busy {
		return m.s.OutClock.Free
	}
	return m.s.OutClock.Next()
}

// ClearOutput throws away what waits for the client: it has closed its port,
// and the next one must not see it.
func (m *Modem) ClearOutput() {
	m.s.Out, m.s.Flow.Urgent = m.s.Out[:0], nil
	m.s.OutClock.Rest()
}
