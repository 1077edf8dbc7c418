package hayes

import (
	"maps"
	"time"
)

// ErrorControl is what the client asked for with AT\N, AT&Q, AT&M or AT+ES.
type ErrorControl uint8

// The choices.
const (
	ECAuto     ErrorControl = iota // error control if the other side has it
	ECOff                          // none
	ECRequired                     // no call without
)

// Profile is what AT&W stores and AT&F resets.
type Profile struct {
	Echo        bool
	Quiet       uint8 // Q
	Verbose     bool  // V
	Extended    uint8 // X
	Report      uint8 // W: 0 serial speed, 1 progress lines, 2 line speed
	SingleLine  uint8 // \V
	ARQ         uint8 // &A, as on USRobotics modems
	CarrierMode uint8 // &C
	DTRMode     uint8 // &D
	FlowMode    uint8 // &K: 0 none, 3 RTS/CTS, 4 XON/XOFF
	EC          ErrorControl
	Compression bool
	CallerID    uint8             // 0 off, 1 formatted, 2 as received
	TagSpaces   bool              // NMBR = 1 instead of NMBR=1
	Registers   [256]byte         // S0 to S255
	Letters     map[string]int    // other commands with a number, as last given
	Extras      map[string]string // extended commands, as last given
}

// Factory returns the settings of AT&F.
func Factory() Profile {
	p := Profile{
		Echo: true, Verbose: true, Extended: 4, Report: 2, CarrierMode: 1, DTRMode: 2, FlowMode: 3,
		Letters: map[string]int{}, Extras: map[string]string{},
	}
	for r, v := range map[int]byte{2: '+', 3: '\r', 4: '\n', 5: '\b', 6: 2, 7: 50, 8: 2, 9: 6, 10: 14, 11: 95, 12: 50,
		25: 5, 36: 7, 37: 0, 38: 20, 46: 138, 48: 7} {
		p.Registers[r] = v
	}
	return p
}

func (p Profile) copy() Profile {
	p.Letters, p.Extras = maps.Clone(p.Letters), maps.Clone(p.Extras)
	if p.Letters == nil {
		p.Letters = map[string]int{}
	}
	if p.Extras == nil {
		p.Extras = map[string]string{}
	}
	return p
}

func (m *Modem) reg(n int) byte       { return m.s.Active.Registers[n] }
func (m *Modem) setReg(n int, v byte) { m.s.Active.Registers[n] = v }

// guard is the silence around the escape sequence.
func (m *Modem) guard() time.Duration { return time.Duration(m.reg(12)) * time.Second / 50 }

// Identity is what the modem says about itself.
type Identity struct {
	Manufacturer string   // +GMI
	Model        string   // +GMM
	Revision     string   // +GMR
	Info         []string // ATI0, ATI1, ...; beyond: only OK. I6 and I11 report the last call
}

// DefaultIdentity is that of a plain 33.6 kbit/s modem.
var DefaultIdentity = Identity{
	Manufacturer: "Trunkline",
	Model:        "Virtual Modem 33600",
	Revision:     "V1.0",
	Info: []string{
		0: "33600", 1: "042", 2: "", 3: "Trunkline Virtual Modem V1.0", 4: "Standard 33600 bps Modem",
		5: "000", 6: "", 7: "V1.0", 8: "000", 9: "00",
	},
}
