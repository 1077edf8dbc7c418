package capture

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Trace is a pcapng file of one section, with time stamps in nanoseconds, as the daemons write it.
type Trace struct {
	Application string
	Comment     string
	Interfaces  []TraceInterface
	Packets     []TracePacket
}

// TraceInterface is an interface with its statistics.
type TraceInterface struct {
	Link       uint16
	SnapLength int
	Name       string
	Counted    bool // there were statistics
	Received   uint64
	Dropped    uint64
	Comment    string // of the statistics
}

// TracePacket is a packet.
type TracePacket struct {
	Interface int
	Time      time.Time
	Sent      bool
	Data      []byte
	Length    int
	Dropped   uint64
	Comment   string
}

// block is a block's body behind what is of a fixed length, and its options.
type block struct {
	kind    uint32
	fixed   []byte
	options map[uint16][]byte
}

// ReadTrace reads a whole pcapng file, and fails on anything odd in it.
func ReadTrace(b []byte) (*Trace, error) {
	t := &Trace{}
	for n := 0; len(b) > 0; n++ {
		one, rest, err := nextBlock(b)
		if err == nil && (n == 0) != (one.kind == 0x0A0D0D0A) {
			err = fmt.Errorf("type %08x", one.kind)
		}
		if err == nil {
			err = t.add(one)
		}
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", n, err)
		}
		b = rest
	}
	return t, nil
}

// fixedLengths are those of the blocks' bodies before the options; a packet's data comes in addition.
var fixedLengths = map[uint32]int{0x0A0D0D0A: 16, 1: 8, 5: 12, 6: 20}

func nextBlock(b []byte) (one block, rest []byte, err error) {
	if len(b) < 12 {
		return one, nil, fmt.Errorf("cut off after %d octets", len(b))
	}
	length := binary.LittleEndian.Uint32(b[4:])
	if length < 12 || length%4 != 0 || int64(length) > int64(len(b)) || binary.LittleEndian.Uint32(b[length-4:]) != length {
		return one, nil, fmt.Errorf("length %d of %d octets", length, len(b))
	}
	one.kind = binary.LittleEndian.Uint32(b)
	body := b[8 : length-4]
	fixed, ok := fixedLengths[one.kind]
	if ok && one.kind == 6 && len(body) >= fixed {
		fixed += int(binary.LittleEndian.Uint32(body[12:])+3) &^ 3
	}
	if !ok || fixed > len(body) {
		return one, nil, fmt.Errorf("type %08x with %d octets", one.kind, len(body))
	}
	one.fixed = body[:fixed]
	one.options, err = readOptions(body[fixed:])
	return one, b[length:], err
}

func readOptions(b []byte) (map[uint16][]byte, error) {
	all := map[uint16][]byte{}
	for {
		if len(b) < 4 {
			return nil, fmt.Errorf("options without an end")
		}
		code, length := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		padded := 4 + (length+3)&^3
		switch {
		case code == 0 && (length != 0 || len(b) != 4) || padded > len(b):
			return nil, fmt.Errorf("option %d of %d octets, %d left", code, length, len(b))
		case code == 0:
			return all, nil
		}
		all[code] = b[4 : 4+length]
		b = b[padded:]
	}
}

func (t *Trace) add(b block) error {
	le := binary.LittleEndian
	at := func() time.Time {
		return time.Unix(0, int64(uint64(le.Uint32(b.fixed[4:]))<<32|uint64(le.Uint32(b.fixed[8:])))).UTC()
	}
	number := func(code uint16) uint64 {
		if v := b.options[code]; len(v) == 8 {
			return le.Uint64(v)
		}
		return 0
	}
	if b.kind != 0x0A0D0D0A && b.kind != 1 && int(le.Uint32(b.fixed)) >= len(t.Interfaces) {
		return fmt.Errorf("interface %d of %d", le.Uint32(b.fixed), len(t.Interfaces))
	}
	switch b.kind {
	case 0x0A0D0D0A:
		if le.Uint32(b.fixed) != 0x1A2B3C4D {
			return fmt.Errorf("octet order %08x", le.Uint32(b.fixed))
		}
		t.Application, t.Comment = string(b.options[4]), string(b.options[1])
	case 1:
		if r := b.options[9]; len(r) != 1 || r[0] != 9 {
			return fmt.Errorf("resolution % x", r)
		}
		t.Interfaces = append(t.Interfaces, TraceInterface{Link: le.Uint16(b.fixed), SnapLength: int(le.Uint32(b.fixed[4:])), Name: string(b.options[2])})
	case 5:
		i := &t.Interfaces[le.Uint32(b.fixed)]
		i.Counted, i.Received, i.Dropped, i.Comment = true, number(4), number(5), string(b.options[1])
	case 6:
		p := TracePacket{
			Interface: int(le.Uint32(b.fixed)), Time: at(), Length: int(le.Uint32(b.fixed[16:])), Data: b.fixed[20:][:le.Uint32(b.fixed[12:])],
			Dropped: number(4), Comment: string(b.options[1]),
		}
		if flags := b.options[2]; len(flags) == 4 {
			p.Sent = le.Uint32(flags)&3 == 2
		}
		t.Packets = append(t.Packets, p)
	}
	return nil
}
