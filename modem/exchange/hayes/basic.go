package hayes

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// letterLimits are the greatest numbers of the basic commands that are only
// stored.
var letterLimits = map[string]int{"B": 99, "C": 1, "F": 1, "L": 3, "M": 3, "N": 1, "Y": 1, "P": 0, "T": 0}

// basic does the commands without a prefix.
func (m *Modem) basic(now time.Time, c command) outcome {
	p := &m.s.Active
	switch c.name {
	case "A":
		return m.answer(now)
	case "D":
		return m.dial(now, c.value)
	case "H":
		return m.hook(now, c.n())
	case "I":
		return m.identify(c.n())
	case "O":
		return m.online(now, c.n())
	case "S":
		return m.register(c)
	case "Z":
		return m.reload(now, c)
	case "E":
		return setBool(&p.Echo, c.n())
	case "V":
		return setBool(&p.Verbose, c.n())
	case "Q":
		return setNumber(&p.Quiet, c.n(), 2)
	case "W":
		return setNumber(&p.Report, c.n(), 2)
	case "X":
		if c.n() > 4 && c.n() <= 7 && !m.cfg.Strict { // ZyXEL
			p.Extended = 4
			return accepted
		}
		return setNumber(&p.Extended, c.n(), 4)
	}
	limit, known := letterLimits[c.name]
	if !known {
		return m.unknown()
	}
	if c.n() > limit {
		return m.unknown()
	}
	p.Letters[c.name] = c.n()
	return accepted
}

func setBool(to *bool, n int) outcome {
	if n > 1 {
		return refused
	}
	*to = n == 1
	return accepted
}

func setNumber(to *uint8, n, limit int) outcome {
	if n > limit {
		return refused
	}
	*to = uint8(n)
	return accepted
}

// hook does ATH.
func (m *Modem) hook(now time.Time, n int) outcome {
	switch n {
	case 0:
		m.hangUp(now, "hung up by the client", true)
	case 1:
		if m.s.Phase == Command && !m.s.OffHook {
			m.s.OffHook = true
			m.do(Answer{})
		}
	default:
		return refused
	}
	return accepted
}

// online does ATO.
func (m *Modem) online(now time.Time, n int) outcome {
	if n > 3 {
		return refused
	}
	if m.s.Phase != Escaped {
		m.result(codeNoCarrier)
		return finished
	}
	m.s.Phase = Online
	m.s.LastData, m.s.Active30 = now, now
	m.setWireSpeed()
	m.connectResult()
	return finished
}

// reload does ATZ.
func (m *Modem) reload(now time.Time, c command) outcome {
	n := c.number
	if n < 0 {
		n = m.s.PowerOn
	}
	if n >= len(m.s.Stored) {
		return refused
	}
	m.hangUp(now, "reset by the client", true)
	m.s.Active = m.s.Stored[n].copy()
	return accepted
}

// register does ATS: set, query, bits, and the choice of a register.
func (m *Modem) register(c command) outcome {
	if c.number > 255 {
		return refused
	}
	if c.number >= 0 {
		m.s.Pointer = byte(c.number)
	}
	r := int(m.s.Pointer)
	switch {
	case c.verb == query && c.bit < 0:
		m.info(fmt.Sprintf("%03d", m.reg(r)))
	case c.verb == query:
		m.info(strconv.Itoa(int(m.reg(r)>>min(c.bit, 7)) & 1))
	case c.verb == set:
		v, err := strconv.Atoi(c.value)
		if c.value == "" {
			v, err = 0, nil
		}
		if err != nil || v < 0 || v > 255 || c.bit > 7 || c.bit >= 0 && v > 1 {
			return refused
		}
		if c.bit >= 0 {
			v = int(m.reg(r))&^(1<<c.bit) | v<<c.bit
		}
		m.setReg(r, byte(v))
	case c.verb == test:
		return m.unknown()
	}
	return accepted
}

// ampersand does the commands with &.
func (m *Modem) ampersand(now time.Time, c command) outcome {
	p := &m.s.Active
	n := c.n()
	switch c.name {
	case "A":
		return setNumber(&p.ARQ, n, 3)
	case "C":
		return setNumber(&p.CarrierMode, n, 1)
	case "D":
		return setNumber(&p.DTRMode, n, 3)
	case "F":
		if n > 9 {
			return refused
		}
		m.s.Active = m.factory()
		return accepted
	case "K":
		return m.flow(n)
	case "H": // USRobotics transmit flow control: hardware, software
		return m.flow(map[int]int{1: 3, 2: 4, 3: 3}[n])
	case "M":
		return m.errorControl(map[int]ErrorControl{0: ECOff, 4: ECAuto, 5: ECRequired}, n)
	case "Q":
		return m.errorControl(map[int]ErrorControl{0: ECOff, 5: ECAuto, 6: ECOff, 8: ECRequired, 9: ECAuto}, n)
	case "V":
		m.showProfiles()
		return accepted
	case "W":
		if n >= len(m.s.Stored) {
			return refused
		}
		m.s.Stored[n] = p.copy()
		return accepted
	case "Y":
		if n >= len(m.s.Stored) {
			return refused
		}
		m.s.PowerOn = n
		return accepted
	case "Z":
		if n >= len(m.s.Numbers) {
			return refused
		}
		if c.verb == query {
			m.info(m.s.Numbers[n])
		} else {
			m.s.Numbers[n] = c.value
		}
		return accepted
	}
	return m.store(c, "BGIJLNOPRSTUXE")
}

// errorControl sets the mode that number n stands for.
func (m *Modem) errorControl(modes map[int]ErrorControl, n int) outcome {
	if ec, known := modes[n]; known {
		m.s.Active.EC = ec
		return accepted
	}
	return m.unknown()
}

// flow does AT&K.
func (m *Modem) flow(n int) outcome {
	switch n {
	case 0, 3, 4:
		m.s.Active.FlowMode = uint8(n)
	case 5, 6:
		m.s.Active.FlowMode = 4
		if n == 6 {
			m.s.Active.FlowMode = 3
		}
	default:
		return m.unknown()
	}
	return accepted
}

// slash does the commands with \ and %.
func (m *Modem) slash(c command) outcome {
	p := &m.s.Active
	switch string(c.prefix) + c.name {
	case `\N`:
		return m.errorControl(map[int]ErrorControl{0: ECOff, 1: ECOff, 2: ECRequired, 3: ECAuto, 4: ECRequired, 5: ECRequired,
			6: ECAuto, 7: ECAuto}, c.n())
	case `\Q`:
		modes := map[int]int{0: 0, 1: 4, 2: 3, 3: 3}
		if k, known := modes[c.n()]; known {
			return m.flow(k)
		}
		return m.unknown()
	case `\V`:
		if c.n() > 8 {
			return refused
		}
		p.SingleLine = uint8(c.n())
		return accepted
	case `%C`:
		if c.n() > 3 {
			return refused
		}
		p.Compression = c.n() > 0
		return accepted
	}
	if c.prefix == '\\' {
		return m.store(c, "ABCGJKLTX")
	}
	return m.store(c, "ADEGLMNTU")
}

// store keeps the number of a command that has no effect here, if its letter
// is among those known.
func (m *Modem) store(c command, known string) outcome {
	if len(c.name) != 1 || !strings.Contains(known, c.name) {
		return m.unknown()
	}
	m.s.Active.Letters[string(c.prefix)+c.name] = c.n()
	return accepted
}
