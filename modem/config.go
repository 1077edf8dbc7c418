package modem

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"trunkline.example/modem/at"
	"trunkline.example/modem/netport"
	"trunkline.example/modem/profile"
	"trunkline.example/shared/conf"
	"trunkline.example/shared/line"
)

// Config is the whole configuration of one line. Settings documents its
// TOML keys.
type Config struct {
	Name    string
	Device  string // path, or the pattern of a bank's
	Bank    *Bank  // nil: it is a path
	Slot    int    // of the bank
	Channel uint32
	Number  string

	Profile       string      // name of one of Profiles, or profile.Auto
	Profiles      profile.Set // those there are
	Reset         string      // instead of the profile's; empty: its own
	CallerID      *[]string   // instead of the profile's; nil: its own
	LineSpeed     bool        // as in a profile
	MaxSpeed      uint32      // of the telephone line, bits per second; 0: any
	Speed         int
	FlowControl   bool
	Init          []string
	Pulse         bool
	AnswerTimeout time.Duration
	RingTimeout   time.Duration
	Rings         int               // before a call is reported
	Protocol      string            // of the profile's; empty: as the equipment has it
	Protocols     map[string]string // of incoming calls, by called number
	Numbers       []string          // called numbers that the line is for; empty: all
	Analog        bool              // an adapter with a modem: analog calls as well
	RingNumbers   map[string]string // called number by the cadence of its ring
	CallerIDWait  time.Duration
	ProbeInterval time.Duration
	CarrierLoss   time.Duration
	Escape        EscapePolicy
	RejectByHook  bool
	USBReset      USBResetPolicy
	AssumedSpeed  uint32
	Dialect       *Dialect

	CommandTimeout time.Duration
	CommandGap     time.Duration
	ResetPause     time.Duration
	DTRLow         time.Duration
	DeviceWait     time.Duration
	WriteStall     time.Duration
}

// Settings are the keys that stand either at the top of the section, for all
// its lines, or in a [[line]], for that one.
type Settings struct {
	Profile     *string   `toml:"profile"`      // family of the modem; "auto" recognises it
	Speed       *int      `toml:"speed"`        // of the serial port, bits per second; 115200
	FlowControl *bool     `toml:"flow_control"` // RTS/CTS; true
	Reset       *string   `toml:"reset"`        // command back to the factory profile; the profile's
	Init        *[]string `toml:"init"`         // command lines after the profile's own
	CallerID    *[]string `toml:"caller_id"`    // commands that switch caller identification on: alternatives; [] for none
	Dial        *string   `toml:"dial"`         // "tone" or "pulse"
	Rings       *int      `toml:"rings"`        // how often it rings before a call is dealt with; 1

	// Numbers are those of the line's own (MSN) where others ring as well: calls for another one are left to ring.
	Numbers  *[]string `toml:"numbers"`
	Protocol *string   `toml:"protocol"` // of a terminal adapter on the B channel: "ppp", "hdlc", "x75", "v120", "v110", "modem"; as it is set up
	// Protocols are those of calls for some numbers instead; the rest have Protocol.
	Protocols *map[string]string `toml:"protocols"`
	Analog    *bool              `toml:"analog"` // the terminal adapter is a modem as well; false

	// RingNumbers: distinctive ring. The called number by what the modem calls the cadence ("1", "B"), or by its long and
	// short bursts ("SS", "LSL"); "" is the plain ring.
	RingNumbers *map[string]string `toml:"ring_numbers"`

	AnswerTimeout *conf.Duration `toml:"answer_timeout"` // from ATA or the last digit to CONNECT (S7); 75s
	RingTimeout   *conf.Duration `toml:"ring_timeout"`   // silence after a RING that means that the caller gave up; 10s
	CallerIDWait  *conf.Duration `toml:"caller_id_wait"` // from the first RING, if no second one comes; 4s
	ProbeInterval *conf.Duration `toml:"probe_interval"` // between checks of an idle modem; 15m
	CarrierLoss   *conf.Duration `toml:"carrier_loss"`   // how long DCD may be off in a call; 2s

	Escape       *string `toml:"escape"`        // +++ leaves data state: "on", "off", or "auto": only if the modem cannot be proved to hang up by DTR
	Reject       *string `toml:"reject"`        // a rejected call: "ignore" (rings on) or "hook" (is answered and hung up at once)
	USBReset     *string `toml:"usb_reset"`     // of a modem that nothing else helps: "off", "authorize" (the system lets go of it and takes it anew) or "power" (of the hub's port)
	MaxSpeed     *uint32 `toml:"max_speed"`     // bound of the telephone line's speed, bits per second; 0: none
	AssumedSpeed *uint32 `toml:"assumed_speed"` // speed of the telephone line if the modem does not tell; 33600
	ConnectSpeed *string `toml:"connect_speed"` // what the number in CONNECT is: "auto", or "line" if it is always the telephone line's

	CommandTimeout *conf.Duration `toml:"command_timeout"` // for the reply to a command; 2s
	CommandGap     *conf.Duration `toml:"command_gap"`     // from a reply to the next command; 50ms
	ResetPause     *conf.Duration `toml:"reset_pause"`     // after a reset or the return of DTR, before the modem listens; 500ms
	DTRLow         *conf.Duration `toml:"dtr_low"`         // how long DTR drops, or the device is closed, to hang up; 500ms
	DeviceWait     *conf.Duration `toml:"device_wait"`     // for a device that is missing before the line is down; 5s
	WriteStall     *conf.Duration `toml:"write_stall"`     // how long the modem may take no data; 10s
}

type rawLine struct {
	Name    string  `toml:"name"`
	Device  string  `toml:"device"`
	Devices string  `toml:"devices"` // pattern of a bank's, instead of device
	Lines   int     `toml:"lines"`   // how many lines the bank has: NAME/1, NAME/2, ...
	Channel *uint32 `toml:"channel"`
	Number  string  `toml:"number"`
	Settings
}

type rawSection struct {
	Settings
	Profiles []conf.Section `toml:"family"`
	Lines    []rawLine      `toml:"line"`
}

// expandedLine is a line as written, or one of a bank.
type expandedLine struct {
	rawLine
	key  string
	bank *Bank
	slot int
}

// expand makes lines of banks.
func expand(raws []rawLine, fail func(key, format string, args ...any)) []expandedLine {
	var all []expandedLine
	for i, r := range raws {
		key := fmt.Sprintf("line[%d]", i)
		if r.Devices == "" && r.Lines == 0 {
			all = append(all, expandedLine{rawLine: r, key: key})
			continue
		}
		if err := checkPattern(r.Devices); err != nil {
			fail(key+".devices", "%v", err)
		}
		if r.Device != "" {
			fail(key+".device", "a line has either a device or, for a bank, devices")
		}
		if r.Lines < 1 || r.Lines > maxBank {
			fail(key+".lines", "%d is not between 1 and %d", r.Lines, maxBank)
			continue
		}
		shared := newBank(r.Devices, r.Lines)
		for slot := range r.Lines {
			one := r
			one.Device = r.Devices
			if r.Name != "" {
				one.Name = fmt.Sprintf("%s/%d", r.Name, slot+1)
			}
			if r.Channel != nil {
				channel := *r.Channel + uint32(slot)
				one.Channel = &channel
			}
			all = append(all, expandedLine{one, key, shared, slot})
		}
	}
	return all
}

// defaults are the values of every key that is not given.
func defaults(d *Dialect) Config {
	return Config{
		Dialect: d, Profile: profile.Auto, Profiles: d.Families(), Speed: 115200, FlowControl: true,
		AnswerTimeout: 75 * time.Second, // V.90 and V.34 take 25 s to train, plus ringing when dialing
		Rings:         1, Escape: EscapeAuto, USBReset: USBResetOff,
		RingTimeout:   10 * time.Second, // the longest pause between rings in any country is 4 s; mgetty waits 10
		CallerIDWait:  4 * time.Second,  // caller identification comes in the first pause
		ProbeInterval: 15 * time.Minute, CarrierLoss: 2 * time.Second, AssumedSpeed: d.AssumedSpeed,
		CommandTimeout: 2 * time.Second, CommandGap: 50 * time.Millisecond, ResetPause: 500 * time.Millisecond, DTRLow: 500 * time.Millisecond,
		DeviceWait: 5 * time.Second, WriteStall: 10 * time.Second,
	}
}

// ParseSection checks a section of a driver of that dialect and returns the configuration of its lines.
// The error is ErrConfiguration of package line, its text names the places.
func ParseSection(d *Dialect, section line.Section) ([]Config, error) {
	text := section.Text
	if section.Line > 0 { // so that positions are those of the file
		text = append(bytes.Repeat([]byte("\n"), section.Line), text...)
	}
	configs, err := parse(d, section.File, text)
	if err != nil {
		return nil, &line.Error{Code: line.CodeConfiguration, Text: err.Error()}
	}
	return configs, nil
}

func parse(d *Dialect, file string, text []byte) ([]Config, error) {
	document, err := conf.Parse(file, text)
	if err != nil {
		return nil, err
	}
	var raw rawSection
	if err := document.Decode(&raw); err != nil {
		return nil, err
	}
	var configs []Config
	var problems []error
	seen := map[string]string{}
	fail := func(key, format string, args ...any) {
		problems = append(problems, document.Errorf(key, format, args...))
	}
	if len(raw.Lines) == 0 {
		fail("line", "there is no [[line]]")
	}
	common := defaults(d)
	if common.Profiles, err = common.Profiles.Extend(raw.Profiles); err != nil {
		problems = append(problems, err)
	}
	apply(&common, "", raw.Settings, fail)
	for i, r := range expand(raw.Lines, fail) {
		key := r.key
		c := common
		c.Bank, c.Slot = r.bank, r.slot
		apply(&c, key+".", r.Settings, fail)
		c.Name, c.Device, c.Number, c.Channel = r.Name, r.Device, at.Number(r.Number), uint32(i+1)
		if r.Channel != nil {
			c.Channel = *r.Channel
		}
		if c.Name == "" || at.Printable(c.Name, 64) != c.Name {
			fail(key+".name", "a line needs a name of at most 64 printable characters")
		}
		if err := checkDevice(c.Device); err != nil && c.Bank == nil {
			fail(key+".device", "%v", err)
		}
		if c.Number != r.Number {
			fail(key+".number", "%q is not a telephone number: write digits only", r.Number)
		}
		c.checkProfile(key, fail)
		for _, unique := range [][2]string{{"name", c.Name}, {"device", c.Device}, {"channel", fmt.Sprint(c.Channel)}} {
			what, value := unique[0], unique[1]
			if what == "device" && c.Bank != nil {
				continue
			}
			if other, ok := seen[what+" "+value]; ok {
				fail(key+"."+what, "%s %s is that of %s already", what, value, other)
			}
			seen[what+" "+value] = key
		}
		configs = append(configs, c)
	}
	return configs, errors.Join(problems...)
}

// checkProfile refuses what a profile that is named cannot do; one that is yet to be recognised may.
func (c *Config) checkProfile(key string, fail func(key, format string, args ...any)) {
	p, ok := c.Profiles.Get(c.Profile)
	if !ok {
		return
	}
	if c.Protocol != "" && !p.Has(c.Protocol) {
		fail(key+".protocol", "profile %q has no commands for %q", c.Profile, c.Protocol)
	}
	for _, protocol := range c.Protocols {
		if !p.Has(protocol) {
			fail(key+".protocols", "profile %q has no commands for %q", c.Profile, protocol)
		}
	}
	if c.MaxSpeed != 0 && p.CapAt(c.MaxSpeed) == "" {
		fail(key+".max_speed", "profile %q has no command for a bound of %d", c.Profile, c.MaxSpeed)
	}
}

// checkDevice refuses what names neither a device nor a port behind the network.
func checkDevice(device string) error {
	if netport.Names(device) {
		return netport.Check(device)
	}
	if !filepath.IsAbs(device) {
		return fmt.Errorf("%q is not an absolute path of a device, and no tcp://, telnet:// or rfc2217://HOST:PORT", device)
	}
	return nil
}

// apply overrides what a set of settings gives.
func apply(c *Config, prefix string, s Settings, fail func(key, format string, args ...any)) {
	if s.Profile != nil {
		if _, ok := c.Profiles.Get(*s.Profile); !ok && *s.Profile != profile.Auto {
			fail(prefix+"profile", "there is no profile %q; there are %q and %s", *s.Profile, profile.Auto, strings.Join(c.Profiles.Names(), ", "))
		}
		c.Profile = *s.Profile
	}
	if s.Speed != nil {
		if *s.Speed < 300 || *s.Speed > 4000000 {
			fail(prefix+"speed", "%d is no speed of a serial port", *s.Speed)
		}
		c.Speed = *s.Speed
	}
	set(&c.FlowControl, s.FlowControl)
	applyCalls(c, prefix, s, fail)
	if s.Escape != nil {
		c.Escape = EscapePolicy(*s.Escape)
		if c.Escape != EscapeAuto && c.Escape != EscapeOn && c.Escape != EscapeOff {
			fail(prefix+"escape", "%q is neither %q, %q nor %q", c.Escape, EscapeAuto, EscapeOn, EscapeOff)
		}
	}
	set(&c.MaxSpeed, s.MaxSpeed)
	set(&c.AssumedSpeed, s.AssumedSpeed)
	applyCommands(c, prefix, s, fail)
	choose(&c.Pulse, s.Dial, prefix+"dial", "tone", "pulse", fail)
	if s.USBReset != nil {
		c.USBReset = USBResetPolicy(*s.USBReset)
		if c.USBReset != USBResetOff && c.USBReset != USBResetAuthorize && c.USBReset != USBResetPower {
			fail(prefix+"usb_reset", "%q is neither %q, %q nor %q", c.USBReset, USBResetOff, USBResetAuthorize, USBResetPower)
		}
	}
	choose(&c.RejectByHook, s.Reject, prefix+"reject", "ignore", "hook", fail)
	choose(&c.LineSpeed, s.ConnectSpeed, prefix+"connect_speed", "auto", "line", fail)
	times(c, prefix, s, fail)
}

// applyCalls overrides what says which calls the line has and how they are recognised.
func applyCalls(c *Config, prefix string, s Settings, fail func(key, format string, args ...any)) {
	if s.Rings != nil {
		if *s.Rings < 1 || *s.Rings > 20 {
			fail(prefix+"rings", "%d is not between 1 and 20", *s.Rings)
		}
		c.Rings = *s.Rings
	}
	if s.Numbers != nil {
		c.Numbers = *s.Numbers
		for _, number := range c.Numbers {
			if number == "" || at.Number(number) != number {
				fail(prefix+"numbers", "%q is not a telephone number: write digits only", number)
			}
		}
	}
	if s.Protocol != nil {
		if !c.Profiles.Has(*s.Protocol) {
			fail(prefix+"protocol", "no profile has commands for %q; there are %s", *s.Protocol, strings.Join(c.Profiles.Protocols(), ", "))
		}
		c.Protocol = *s.Protocol
	}
	if s.Protocols != nil {
		c.Protocols = *s.Protocols
		for number, protocol := range c.Protocols {
			if number == "" || at.Number(number) != number || !c.Profiles.Has(protocol) {
				fail(prefix+"protocols", "%q = %q is not a telephone number and one of %s", number, protocol, strings.Join(c.Profiles.Protocols(), ", "))
			}
		}
	}
	set(&c.Analog, s.Analog)
	if s.RingNumbers != nil {
		c.RingNumbers = *s.RingNumbers
		for cadence, number := range c.RingNumbers {
			if len(cadence) > 8 || number == "" || at.Number(number) != number {
				fail(prefix+"ring_numbers", "%q = %q is not a cadence and a telephone number", cadence, number)
			}
		}
	}
}

// applyCommands overrides what the equipment is told.
func applyCommands(c *Config, prefix string, s Settings, fail func(key, format string, args ...any)) {
	check := func(key string, commands ...string) {
		for _, command := range commands {
			if err := profile.CheckCommand(command); err != nil {
				fail(prefix+key, "%v", err)
			}
		}
	}
	if s.Reset != nil {
		c.Reset = *s.Reset
		check("reset", *s.Reset)
	}
	if s.CallerID != nil {
		c.CallerID = s.CallerID
		check("caller_id", *s.CallerID...)
	}
	if s.Init != nil {
		c.Init = *s.Init
		check("init", *s.Init...)
	}
}

// times overrides the durations that a set of settings gives.
func times(c *Config, prefix string, s Settings, fail func(key, format string, args ...any)) {
	for _, d := range []struct {
		key      string
		to       *time.Duration
		from     *conf.Duration
		min, max time.Duration
	}{
		{"answer_timeout", &c.AnswerTimeout, s.AnswerTimeout, time.Second, s7},
		{"ring_timeout", &c.RingTimeout, s.RingTimeout, 100 * time.Millisecond, time.Minute},
		{"caller_id_wait", &c.CallerIDWait, s.CallerIDWait, 0, time.Minute},
		{"probe_interval", &c.ProbeInterval, s.ProbeInterval, time.Second, 24 * time.Hour},
		{"carrier_loss", &c.CarrierLoss, s.CarrierLoss, 0, time.Minute},
		{"command_timeout", &c.CommandTimeout, s.CommandTimeout, 100 * time.Millisecond, time.Minute},
		{"command_gap", &c.CommandGap, s.CommandGap, 0, 5 * time.Second},
		{"reset_pause", &c.ResetPause, s.ResetPause, 0, 10 * time.Second},
		{"dtr_low", &c.DTRLow, s.DTRLow, 50 * time.Millisecond, 10 * time.Second},
		{"device_wait", &c.DeviceWait, s.DeviceWait, 0, time.Hour},
		{"write_stall", &c.WriteStall, s.WriteStall, 100 * time.Millisecond, 10 * time.Minute},
	} {
		if d.from == nil {
			continue
		}
		if *d.to = d.from.Duration; *d.to < d.min || *d.to > d.max {
			fail(prefix+d.key, "%v is not between %v and %v", *d.to, d.min, d.max)
		}
	}
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// choose sets a switch that is written as one of two words.
func choose(to *bool, from *string, key, off, on string, fail func(key, format string, args ...any)) {
	if from == nil {
		return
	}
	if *from != off && *from != on {
		fail(key, "%q is neither %q nor %q", *from, off, on)
	}
	*to = *from == on
}
