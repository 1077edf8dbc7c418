// Package pcapng encodes the blocks of a pcapng file (draft-ietf-opsawg-pcapng), as Wireshark reads it: a section header,
// then interfaces, packets and statistics in any order in which an interface precedes what refers to it. Time stamps have
// nanoseconds, octet order is little-endian.
//
// The package is pure.
package pcapng

import (
	"encoding/binary"
	"math"
	"time"
)

// LinkType says what the packets of an interface begin with (the LINKTYPE_ values of tcpdump.org).
type LinkType uint16

// The link types that a trace has.
const (
	LinkRaw          LinkType = 101 // an IPv4 or IPv6 header
	LinkPPPDirection LinkType = 204 // one octet, 0 for received and 1 for sent, then a PPP frame
	LinkUpperPDU     LinkType = 252 // tags that name a dissector of Wireshark, then what is for that
)

// Block types, and the magic that tells the octet order.
const (
	blockSection    = 0x0A0D0D0A
	blockInterface  = 1
	blockStatistics = 5
	blockPacket     = 6
	orderMagic      = 0x1A2B3C4D
)

// Option codes. Those of one block type mean nothing in another, but for the first two.
const (
	optionEnd     = 0
	optionComment = 1

	sectionHardware    = 2
	sectionSystem      = 3
	sectionApplication = 4

	interfaceName        = 2
	interfaceDescription = 3
	interfaceResolution  = 9

	packetFlags   = 2
	packetDropped = 4

	statisticsStart    = 2
	statisticsEnd      = 3
	statisticsReceived = 4
	statisticsDropped  = 5
)

// nanoseconds is the value of interfaceResolution for 10^-9 s.
const nanoseconds = 9

// Section begins a file. Empty texts are left out, here as in the other blocks.
type Section struct {
	Hardware    string
	System      string
	Application string
	Comment     string
}

// Interface is one source of packets. Its number is how many were before it.
type Interface struct {
	Link        LinkType
	SnapLength  int // octets kept of a packet; 0: all
	Name        string
	Description string
	Comment     string
}

// Direction is which way a packet went.
type Direction uint32

// The directions.
const (
	Received Direction = 1
	Sent     Direction = 2
)

// Packet is one packet.
type Packet struct {
	Interface int
	Time      time.Time
	Direction Direction // 0: not said
	Data      []byte    // what is kept
	Length    int       // octets that the packet had
	Dropped   uint64    // packets of the interface lost before this one and after the one before
	Comment   string
}

// Statistics are those of an interface, at the end.
type Statistics struct {
	Interface  int
	Start, End time.Time
	Received   uint64 // packets, with those dropped
	Dropped    uint64 // of these: not in the file
	Comment    string
}

// Append appends the section header block.
func (s Section) Append(dst []byte) []byte {
	b := begin(dst, blockSection)
	b = binary.LittleEndian.AppendUint32(b, orderMagic)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint64(b, math.MaxUint64) // its length is not known
	b = appendText(b, optionComment, s.Comment)
	b = appendText(b, sectionHardware, s.Hardware)
	b = appendText(b, sectionSystem, s.System)
	b = appendText(b, sectionApplication, s.Application)
	return end(b, len(dst))
}

// Append appends the interface description block.
func (i Interface) Append(dst []byte) []byte {
	b := begin(dst, blockInterface)
	b = binary.LittleEndian.AppendUint16(b, uint16(i.Link))
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(i.SnapLength))
	b = appendText(b, optionComment, i.Comment)
	b = appendText(b, interfaceName, i.Name)
	b = appendText(b, interfaceDescription, i.Description)
	b = appendOption(b, interfaceResolution, []byte{nanoseconds})
	return end(b, len(dst))
}

// Append appends the enhanced packet block.
func (p Packet) Append(dst []byte) []byte {
	b := begin(dst, blockPacket)
	b = binary.LittleEndian.AppendUint32(b, uint32(p.Interface))
	b = appendTime(b, p.Time)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(p.Data)))
	b = binary.LittleEndian.AppendUint32(b, uint32(max(p.Length, len(p.Data))))
	b = pad(append(b, p.Data...), len(p.Data))
	b = appendText(b, optionComment, p.Comment)
	if p.Direction != 0 {
		b = appendOption(b, packetFlags, binary.LittleEndian.AppendUint32(nil, uint32(p.Direction)))
	}
	if p.Dropped > 0 {
		b = appendOption(b, packetDropped, binary.LittleEndian.AppendUint64(nil, p.Dropped))
	}
	return end(b, len(dst))
}

// Append appends the interface statistics block.
func (s Statistics) Append(dst []byte) []byte {
	b := begin(dst, blockStatistics)
	b = binary.LittleEndian.AppendUint32(b, uint32(s.Interface))
	b = appendTime(b, s.End)
	b = appendText(b, optionComment, s.Comment)
	b = appendOption(b, statisticsStart, appendTime(nil, s.Start))
	b = appendOption(b, statisticsEnd, appendTime(nil, s.End))
	b = appendOption(b, statisticsReceived, binary.LittleEndian.AppendUint64(nil, s.Received))
	b = appendOption(b, statisticsDropped, binary.LittleEndian.AppendUint64(nil, s.Dropped))
	return end(b, len(dst))
}

// begin appends a block's type and room for its length.
func begin(dst []byte, kind uint32) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, kind), 0, 0, 0, 0)
}

// end ends the options of the block that begins at start, and writes its length at both of its ends.
func end(b []byte, start int) []byte {
	b = append(b, optionEnd, 0, 0, 0)
	length := uint32(len(b) - start + 4)
	binary.LittleEndian.PutUint32(b[start+4:], length)
	return binary.LittleEndian.AppendUint32(b, length)
}

// appendTime appends the high and the low half of a time stamp.
func appendTime(b []byte, t time.Time) []byte {
	n := uint64(t.UnixNano())
	b = binary.LittleEndian.AppendUint32(b, uint32(n>>32))
	return binary.LittleEndian.AppendUint32(b, uint32(n))
}

// appendText appends an option of text; what is longer than an option can be is cut off.
func appendText(b []byte, code uint16, text string) []byte {
	if text == "" {
		return b
	}
	return appendOption(b, code, []byte(text[:min(len(text), math.MaxUint16)]))
}

func appendOption(b []byte, code uint16, value []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...), len(value))
}

// pad fills up n octets to a multiple of four.
func pad(b []byte, n int) []byte { return append(b, make([]byte, -n&3)...) }
