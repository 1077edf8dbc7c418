// Package telnet carries octets over the Telnet protocol (RFC 854, 855), with
// the options that make it transparent (RFC 856, 858) and the one that makes it
// a serial port (RFC 2217).
//
// The package is pure. A Conn is one end of a connection: Receive takes what
// the network brought and returns the data in it, Append encodes data, Output
// drains what is to be sent in answer, and Events what the far end asked for.
package telnet

import "slices"

// Octets of the protocol (RFC 854).
const (
	se   = 240
	sb   = 250
	will = 251
	wont = 252
	do   = 253
	dont = 254
	iac  = 255
)

// Option is a Telnet option.
type Option byte

// The options that are understood.
const (
	Binary  Option = 0  // RFC 856
	Echo    Option = 1  // RFC 857
	SGA     Option = 3  // Suppress Go Ahead, RFC 858
	ComPort Option = 44 // RFC 2217
)

// longestSub bounds what a subnegotiation may hold; a longer one is ignored.
const longestSub = 256

// Config says what an end is willing to do.
type Config struct {
	Local  []Option // options of ours: they may be in force for what we send
	Remote []Option // options of the far end's: for what it sends
	Ask    bool     // we propose all of them; else we wait to be asked
}

// side is the state of one option at one end (RFC 1143, without its queue:
// nothing is ever withdrawn).
type side struct {
	allowed, on, asked bool
}

// state is all that changes about a connection.
type state struct {
	local, remote map[Option]*side

	command byte   // the octet after IAC whose option is still to come
	phase   phase  // of the decoder
	sub     []byte // of a subnegotiation
	cr      bool   // the last octet of data was CR, without BINARY
}

type phase uint8

const (
	inData   phase = iota
	afterIAC       // IAC has been read
	inOption       // WILL, WONT, DO or DONT has been read
	inSub          // in a subnegotiation
	inSubIAC       // in a subnegotiation, after IAC
)

// Event is what the far end did besides sending data.
type Event interface{ event() }

// Changed says that an option came into force, or was refused or withdrawn.
type Changed struct {
	Option Option
	Local  bool // it concerns what we send
	On     bool
}

// Sub is a subnegotiation.
type Sub struct {
	Option Option
	Data   []byte
}

func (Changed) event() {}
func (Sub) event()     {}

// Conn is one end of a Telnet connection. It is owned by one goroutine.
type Conn struct {
	s      state
	output []byte
	events []Event
}

// New returns an end at the beginning of a connection.
func New(cfg Config) *Conn {
	c := &Conn{s: state{local: map[Option]*side{}, remote: map[Option]*side{}}}
	for _, o := range cfg.Local {
		c.s.local[o] = &side{allowed: true, asked: cfg.Ask}
		if cfg.Ask {
			c.say(will, o)
		}
	}
	for _, o := range cfg.Remote {
		c.s.remote[o] = &side{allowed: true, asked: cfg.Ask}
		if cfg.Ask {
			c.say(do, o)
		}
	}
	return c
}

// On tells whether an option is in force for what we send (local) or receive.
func (c *Conn) On(o Option, local bool) bool {
	s := c.s.remote[o]
	if local {
		s = c.s.local[o]
	}
	return s != nil && s.on
}

// Output drains what is to be sent to the far end now.
func (c *Conn) Output() []byte {
	b := c.output
	c.output = nil
	return b
}

// Events drains what the far end did.
func (c *Conn) Events() []Event {
	e := c.events
	c.events = nil
	return e
}

func (c *Conn) say(command byte, o Option) { c.output = append(c.output, iac, command, byte(o)) }

// Append appends data as it is sent to the far end. Without BINARY, a CR is
// followed by NUL (RFC 854), whatever follows it. As long as the far end has not
// answered our offer of BINARY it is not: if it agrees, it takes all that came
// behind the offer for binary, and if it never does, it is no Telnet at all.
func (c *Conn) Append(dst, data []byte) []byte {
	offer := c.s.local[Binary]
	text := offer == nil || !offer.on && !offer.asked
	for _, b := range data {
		dst = append(dst, b)
		switch {
		case b == iac:
			dst = append(dst, iac)
		case b == '\r' && text:
			dst = append(dst, 0)
		}
	}
	return dst
}

// AppendSub appends a subnegotiation.
func AppendSub(dst []byte, o Option, data ...byte) []byte {
	dst = append(dst, iac, sb, byte(o))
	for _, b := range data {
		if dst = append(dst, b); b == iac {
			dst = append(dst, iac)
		}
	}
	return append(dst, iac, se)
}

// Receive appends the data in what the network brought to dst.
func (c *Conn) Receive(dst, in []byte) []byte {
	for _, b := range in {
		switch c.s.phase {
		case inData:
			dst = c.data(dst, b)
		case afterIAC:
			dst = c.afterIAC(dst, b)
		case inOption:
			c.s.phase = inData
			c.negotiate(c.s.command, Option(b))
		case inSub:
			if b == iac {
				c.s.phase = inSubIAC
			} else if len(c.s.sub) <= longestSub {
				c.s.sub = append(c.s.sub, b)
			}
		case inSubIAC:
			c.endSub(b)
		}
	}
	return dst
}

// data takes an octet outside commands.
func (c *Conn) data(dst []byte, b byte) []byte {
	if b == iac {
		c.s.phase = afterIAC
		return dst
	}
	padding := b == 0 && c.s.cr
	c.s.cr = b == '\r' && !c.On(Binary, false)
	if padding {
		return dst
	}
	return append(dst, b)
}

func (c *Conn) afterIAC(dst []byte, b byte) []byte {
	c.s.phase = inData
	switch b {
	case iac:
		c.s.cr = false
		return append(dst, iac)
	case will, wont, do, dont:
		c.s.phase, c.s.command = inOption, b
	case sb:
		c.s.phase, c.s.sub = inSub, c.s.sub[:0]
	}
	return dst // NOP, GA, AYT and the like mean nothing to a serial line
}

// endSub takes what follows an IAC in a subnegotiation.
func (c *Conn) endSub(b byte) {
	switch b {
	case iac:
		c.s.phase = inSub
		if len(c.s.sub) <= longestSub {
			c.s.sub = append(c.s.sub, iac)
		}
	case se:
		c.s.phase = inData
		if n := len(c.s.sub); n > 0 && n <= longestSub {
			c.used(Option(c.s.sub[0]))
			c.events = append(c.events, Sub{Option: Option(c.s.sub[0]), Data: slices.Clone(c.s.sub[1:])})
		}
	default: // a subnegotiation that is not ended: what follows is a command
		c.s.phase = inData
		c.afterIAC(nil, b)
	}
}

// used takes the use of an option that we have asked for as agreement to it: a far end that was about to propose it itself may take our word
// for the answer, and say nothing.
func (c *Conn) used(o Option) {
	for _, local := range []bool{false, true} {
		sides := c.s.remote
		if local {
			sides = c.s.local
		}
		if s := sides[o]; s != nil && s.asked {
			s.on, s.asked = true, false
			c.events = append(c.events, Changed{Option: o, Local: local, On: true})
		}
	}
}

// negotiate answers a WILL, WONT, DO or DONT (RFC 1143).
func (c *Conn) negotiate(command byte, o Option) {
	local := command == do || command == dont
	yes, no := byte(do), byte(dont)
	sides := c.s.remote
	if local {
		yes, no, sides = will, wont, c.s.local
	}
	s := sides[o]
	if s == nil || !s.allowed {
		if command == will || command == do {
			c.say(no, o)
		}
		return
	}
	on := command == will || command == do
	if on == s.on {
		s.asked = false
		if !on {
			c.events = append(c.events, Changed{Option: o, Local: local}) // a refusal of what we asked for
		}
		return
	}
	if !s.asked {
		c.say(map[bool]byte{true: yes, false: no}[on], o)
	}
	s.on, s.asked = on, false
	c.events = append(c.events, Changed{Option: o, Local: local, On: on})
}
