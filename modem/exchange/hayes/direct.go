package hayes

import "time"

// Signals are the lines of a serial port that the modem drives.
type Signals struct {
	DCD bool // data carrier detect, as AT&C has it
	RI  bool // ring indicator: on during each burst
	DSR bool
	CTS bool
}

// Signals returns the lines as they are now.
func (m *Modem) Signals() Signals {
	carrier := m.s.Phase == Online || m.s.Phase == Escaped
	return Signals{DCD: carrier || m.s.Active.CarrierMode == 0, RI: !m.s.RingOff.IsZero() && !m.s.OffHook, DSR: true, CTS: true}
}

// Originate makes the modem dial for a client that does not speak to it: one
// whose connection is the call. The modem says nothing, and takes data once the
// carrier is up; when there is no call, or none any more, CarrierOff asks to
// hang the client up. The modem must have no call.
func (m *Modem) Originate(now time.Time, digits string) {
	m.abandonLine()
	m.stopRings()
	m.s.Active = m.factory()
	m.s.Active.Echo, m.s.Active.Quiet = false, 1
	m.setReg(2, 255)
	m.setReg(7, 90)
	m.s.Direct, m.s.Silent = true, true
	m.dial(now, digits)
}

// Attended ends what Originate set: the next client speaks to the modem again.
func (m *Modem) Attended() {
	if m.s.Silent {
		m.s.Silent, m.s.Active = false, m.s.Stored[m.s.PowerOn].copy()
	}
}
