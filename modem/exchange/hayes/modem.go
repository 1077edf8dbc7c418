// Package hayes is a virtual modem: the Hayes and V.250 command set, the
// S-registers, result codes in all their forms, caller ID, the escape sequence,
// data buffers and what DTR does. It is one telephone's worth of intelligence;
// the telephone network is the owner's (package office).
//
// On one side stands the computer (DTE): Input takes its octets, Output gives
// it octets, SetDTR and SetSpeed say what its serial port does. On the other
// side stands the line: Ring, Hear, Train, Connect, Lose, Receive and the
// actions Dial, Answer, HangUp.
//
//	command -ATD-> dialing --Connect-> online -+++-> escaped -ATO-> online
//	command -ATA-> answering -Connect-> online -Lose, DTR, ATH-> command
//
// With Config.Adapter it is an ISDN terminal adapter in one of two dialects: its
// line is a B channel, and calls are set up by messages instead of tones.
//
// The package is pure: time comes in, effects are drained by Actions, all that
// changes is one State. A Modem is owned by one goroutine.
//
// Left out: fax and voice (+FCLASS 1, 2, 8 are refused), voice calls, and what
// only a DSP would notice.
package hayes

import (
	"fmt"
	"time"

	"trunkline.example/modem/exchange/pace"
	"trunkline.example/shared/hdlc"
)

// Config is what stays the same about a modem; zero values give the default named.
type Config struct {
	Strict     bool          // unknown commands are refused; else they are accepted and ignored
	Adapter    Adapter       // a terminal adapter of this dialect; NoAdapter: a modem
	Identity   Identity      // empty: DefaultIdentity, or that of the adapter
	Speeds     []int         // serial speeds at which it understands commands; none: 300 to 230400
	ReplyDelay time.Duration // from the end of a command line to its result; 20 ms; negative: none
	DialTone   time.Duration // how long it listens before it dials; 100 ms, an adapter not at all; negative: none
	NoAbort    bool          // octets sent while it dials or answers do not end the attempt
	Unpaced    bool          // the serial side takes no time
	Buffer     int           // octets of each data buffer; 2048
	Step       time.Duration // wake-ups of data are multiples of it; zero: exact
}

func (c Config) withDefaults() Config {
	if c.Identity.Model == "" {
		c.Identity = DefaultIdentity
		if id, adapter := adapterIdentities[c.Adapter]; adapter {
			c.Identity = id
		}
	}
	if len(c.Speeds) == 0 {
		c.Speeds = []int{300, 600, 1200, 2400, 4800, 9600, 14400, 19200, 28800, 38400, 57600, 115200, 230400}
	}
	delay := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	delay(&c.ReplyDelay, 20*time.Millisecond)
	if c.Adapter != NoAdapter {
		c.DialTone = -1 // a number is a message
	}
	delay(&c.DialTone, 100*time.Millisecond)
	if c.Buffer <= 0 {
		c.Buffer = 2048
	}
	return c
}

// Phase is what the modem is doing.
type Phase uint8

// The phases.
const (
	Command   Phase = iota // takes commands, no call
	Dialing                // from ATD to CONNECT
	Answering              // from ATA to CONNECT
	Online                 // data passes
	Escaped                // takes commands, the call goes on
)

// String names the phase.
func (p Phase) String() string {
	names := [...]string{"command", "dialing", "answering", "online", "escaped"}
	if int(p) < len(names) {
		return names[p]
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// Link is what two modems agreed on.
type Link struct {
	Transmit     int    `json:"transmit"`      // bits per second on the line; zero: unlimited, reported as the serial speed
	Receive      int    `json:"receive"`       // bits per second on the line; zero: unlimited, reported as the serial speed
	ErrorControl bool   `json:"error_control"` // LAPM
	Compression  bool   `json:"compression"`   // V.42bis; only reported, data passes as it is
	Modulation   string `json:"modulation"`    // V34, V90, ...; of an adapter the protocol: HDLC, X.75, ...
	Convert      bool   `json:"convert"`       // an adapter's: synchronous PPP on the line
}

// Caller is what the network says of a call that rings.
type Caller struct {
	Number     string // empty: out of area; "P": withheld
	Name       string // may be empty
	Dialed     string // the number that was called
	Subaddress string // of the called party, on ISDN; may be empty
}

// Tone is what a dialing modem hears.
type Tone uint8

// The tones.
const (
	NoDialTone Tone = iota + 1
	Ringback
	Busy
	Intercept
)

// Action is an effect on the line's side.
type Action interface{ action() }

// Dial goes off hook, if it is not yet, and sends digits. An adapter's may be
// followed by a slash and a subaddress.
type Dial struct{ Digits string }

// Answer goes off hook. What rings is answered by it.
type Answer struct{}

// HangUp goes on hook.
type HangUp struct{}

// CarrierOff says that a call ended. DropsClient is set if the data carrier
// detect signal fell with it in data mode and not at the client's own wish: a
// serial port would then hang its user up.
type CarrierOff struct{ DropsClient bool }

func (Dial) action()       {}
func (Answer) action()     {}
func (HangUp) action()     {}
func (CarrierOff) action() {}

// outSlack is how far a client that reads late may catch up.
const outSlack = 50 * time.Millisecond

// State is all that changes.
type State struct {
	Phase     Phase
	OffHook   bool
	DTR       bool
	Speed     int // of the serial port
	WireSpeed int // the speed data is paced by: Speed when the call came up

	Active  Profile    // in force
	Stored  [2]Profile // AT&W0, AT&W1
	PowerOn int        // AT&Y: the profile that ATZ without number loads
	Numbers [4]string  // AT&Z
	Pointer byte       // the register that AT=n and AT? mean

	Line     []byte    // the command line being typed
	Typing   uint8     // 0: before A, 1: A seen, 2: collecting
	Overlong bool      // the command line is longer than it may be
	Repeat   string    // for A/
	RunAt    time.Time // when the command line is executed; zero: none waits

	DialAt     time.Time // when the digits are sent
	Digits     string
	LastDialed string
	QuietWait  bool      // @ was in the dial string
	Heard      Tone      // the last tone
	Cause      uint8     // why the network refuses the call (ITU-T Q.850); 0: not told
	GiveUp     time.Time // S7
	LostAt     time.Time // when the loss of the carrier counts (S10)

	Direct bool // the client does not speak to the modem: see Originate
	Silent bool // the settings are those of Originate

	Rings       int       // bursts of the present call
	RingsStale  time.Time // when S1 is forgotten
	Caller      Caller    // of the present or last call
	CallerIDAt  time.Time // when the caller ID is told
	CadenceAt   time.Time // when the cadence is told (+VDR)
	RingOff     time.Time // the end of the burst that rings; zero: it is silent
	HaveCaller  bool      // Caller was received, for +VRID
	CallerSince time.Time // when Caller began to ring

	Link     Link
	Last     LastCall
	DTRDue   time.Time // when the fall of DTR counts (S25)
	LastData time.Time // last octet from the client in data mode
	Active30 time.Time // last octet in either direction, for S30
	Pluses   uint8     // escape characters seen
	EscapeAt time.Time // end of the trailing guard time
	Held     bool      // the transmit buffer is full: silence now is not the client's

	Transmit  []byte             // data for the line
	Converter hdlc.DeframerState // the frame that the client is sending, of a call with Link.Convert; only in a State that was taken
	Out       []byte             // octets for the client
	InClock   pace.Clock
	OutClock  pace.Clock
	Flow      Flow
	Dropped   uint64 // octets for the client that were thrown away because it read none
}

// Flow is in-band flow control with the client (AT&K4).
type Flow struct {
	Stopped bool   // the client sent XOFF
	Sent    bool   // we sent XOFF
	Urgent  []byte // XON or XOFF to send before all else
}

// LastCall is for the reports of ATI6, ATI11 and AT#UD.
type LastCall struct {
	Link     Link
	Began    time.Time
	Ended    time.Time
	Sent     uint64 // octets to the line
	Received uint64
	Reason   string
	Answered bool
}

// Modem is one virtual modem.
type Modem struct {
	cfg       Config
	s         State
	actions   []Action
	converter *hdlc.Deframer // of a call with Link.Convert
}

// New returns a modem with factory settings, on hook, DTR off.
func New(cfg Config) *Modem {
	m := &Modem{cfg: cfg.withDefaults()}
	m.s.Active = m.factory()
	m.s.Stored = [2]Profile{m.factory(), m.factory()}
	m.s.Speed = 115200
	m.setWireSpeed()
	return m
}

// Restore goes on from a state.
func Restore(cfg Config, s State) (*Modem, error) {
	if s.Phase > Escaped {
		return nil, fmt.Errorf("hayes: state: unknown %v", s.Phase)
	}
	if s.PowerOn < 0 || s.PowerOn >= len(s.Stored) {
		return nil, fmt.Errorf("hayes: state: there is no stored profile %d", s.PowerOn)
	}
	m := &Modem{cfg: cfg.withDefaults(), s: s.copy()}
	if s.Link.Convert {
		var err error
		if m.converter, err = hdlc.RestoreDeframer(s.Converter); err != nil {
			return nil, fmt.Errorf("hayes: state: %w", err)
		}
		m.s.Converter = hdlc.DeframerState{}
	}
	return m, nil
}

// State returns a copy of all that changes. Actions must have been drained.
func (m *Modem) State() State {
	s := m.s.copy()
	if s.Link.Convert {
		s.Converter = m.converter.State()
	}
	return s
}

func (s State) copy() State {
	s.Line = append([]byte(nil), s.Line...)
	s.Transmit = append([]byte(nil), s.Transmit...)
	s.Out = append([]byte(nil), s.Out...)
	s.Flow.Urgent = append([]byte(nil), s.Flow.Urgent...)
	s.Active = s.Active.copy()
	s.Stored = [2]Profile{s.Stored[0].copy(), s.Stored[1].copy()}
	return s
}

// Actions drains the effects in order.
func (m *Modem) Actions() []Action {
	a := m.actions
	m.actions = nil
	return a
}

// HasActions reports whether Actions would return any.
func (m *Modem) HasActions() bool { return len(m.actions) > 0 }

func (m *Modem) do(a Action) { m.actions = append(m.actions, a) }

// Phase returns what the modem is doing.
func (m *Modem) Phase() Phase { return m.s.Phase }

// Dropped returns how many octets for the client were thrown away because it
// read none.
func (m *Modem) Dropped() uint64 { return m.s.Dropped }

// Deadline is the next instant the modem cares about, but for Output, which
// has OutputAt, and held input, which has InputAt; zero: none.
func (m *Modem) Deadline() time.Time {
	var d time.Time
	for _, t := range [...]time.Time{m.s.RunAt, m.s.DialAt, m.s.GiveUp, m.s.LostAt, m.s.RingsStale, m.s.CallerIDAt,
		m.s.CadenceAt, m.s.RingOff, m.s.DTRDue, m.escapeAt(), m.idleAt()} {
		d = pace.Earlier(d, t)
	}
	return d
}

// Tick does what is due.
func (m *Modem) Tick(now time.Time) {
	due := func(t *time.Time) bool {
		if t.IsZero() || t.After(now) {
			return false
		}
		*t = time.Time{}
		return true
	}
	if due(&m.s.DTRDue) {
		m.dtrFell(now)
	}
	if due(&m.s.RunAt) {
		m.run(now)
	}
	if due(&m.s.DialAt) {
		m.sendDigits(now)
	}
	if due(&m.s.LostAt) {
		m.carrierGone(now, "lost carrier")
	}
	if due(&m.s.GiveUp) {
		m.giveUp(now)
	}
	if due(&m.s.CallerIDAt) {
		m.tellCaller()
	}
	if due(&m.s.CadenceAt) {
		m.tellCadence()
	}
	due(&m.s.RingOff)
	if due(&m.s.RingsStale) {
		m.s.Rings = 0
		m.setReg(1, 0)
	}
	if e := m.escapeAt(); !e.IsZero() && !e.After(now) {
		m.escaped(now)
	}
	if i := m.idleAt(); !i.IsZero() && !i.After(now) {
		m.hangUp(now, "inactivity", true)
		m.result(codeNoCarrier)
	}
}

// SetSpeed says how fast the client's serial port runs, in bits per second. A
// call that is up keeps the speed it began with.
func (m *Modem) SetSpeed(bps int) {
	if bps <= 0 {
		return // B0 is DTR, not a speed
	}
	m.s.Speed = bps
	if m.s.Phase != Online {
		m.setWireSpeed()
	}
}

// setWireSpeed lets data be paced by the present serial speed.
func (m *Modem) setWireSpeed() {
	m.s.WireSpeed = m.s.Speed
	var o time.Duration
	if !m.cfg.Unpaced {
		o = pace.OctetTime(m.s.WireSpeed, 10)
	}
	m.s.InClock.Octet, m.s.OutClock.Octet = o, o
	m.s.InClock.Step, m.s.OutClock.Step, m.s.OutClock.Slack = m.cfg.Step, m.cfg.Step, outSlack
}

// SetDTR says whether the client holds its port open and ready. A fall counts
// when it has lasted for S25.
func (m *Modem) SetDTR(now time.Time, on bool) {
	if on == m.s.DTR {
		return
	}
	m.s.DTR, m.s.DTRDue = on, time.Time{}
	if !on {
		m.s.DTRDue = now.Add(time.Duration(m.reg(25)) * 10 * time.Millisecond)
	}
}

// SettleDTR makes a fall of DTR count at once. A closed port holds DTR down
// long enough, however soon it is opened again.
func (m *Modem) SettleDTR(now time.Time) {
	if !m.s.DTRDue.IsZero() {
		m.s.DTRDue = time.Time{}
		m.dtrFell(now)
	}
}

// dtrFell does what AT&D asks for.
func (m *Modem) dtrFell(now time.Time) {
	busy := m.s.Phase != Command || m.s.OffHook
	switch m.s.Active.DTRMode {
	case 1:
		if m.s.Phase == Online {
			m.escaped(now)
		}
	case 2, 3:
		if busy {
			m.hangUp(now, "DTR fell", true)
			m.result(codeNoCarrier)
		}
		if m.s.Active.DTRMode == 3 {
			m.s.Active = m.s.Stored[m.s.PowerOn].copy()
		}
		m.abandonLine()
	}
}

// abandonLine forgets what was typed.
func (m *Modem) abandonLine() {
	m.s.Line, m.s.Typing, m.s.Overlong, m.s.RunAt = m.s.Line[:0], 0, false, time.Time{}
}
