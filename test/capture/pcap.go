// Package capture reads the recordings in test/captures for tests: classic pcap
// files of PPTP calls (Ethernet) and of PPP frames on a serial line, and the index
// of both. It fails on anything odd, since the recordings are known to be good.
package capture

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"
)

// Link types (the "network" field of a pcap file).
const (
	LinkEthernet = 1
	LinkPPPDir   = 204 // one octet before each frame: 0 received, 1 sent by this host
)

// Packet is one record of a pcap file.
type Packet struct {
	Time time.Time
	Data []byte
}

const (
	pcapHeader   = 24
	recordHeader = 16
	magicMicro   = 0xA1B2C3D4
	magicNano    = 0xA1B23C4D
)

// ReadPcap reads a whole classic pcap file of either octet order.
func ReadPcap(path string) (linkType uint32, packets []Packet, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, nil, err
	}
	if len(b) < pcapHeader {
		return 0, nil, fmt.Errorf("%s: %d octets are no pcap file", path, len(b))
	}
	var order binary.ByteOrder = binary.LittleEndian
	magic := order.Uint32(b)
	if magic != magicMicro && magic != magicNano {
		order = binary.BigEndian
		magic = order.Uint32(b)
	}
	unit := time.Microsecond
	switch magic {
	case magicMicro:
	case magicNano:
		unit = time.Nanosecond
	default:
		return 0, nil, fmt.Errorf("%s: magic %08x is not classic pcap", path, magic)
	}
	linkType = order.Uint32(b[20:])
	for rest := b[pcapHeader:]; len(rest) > 0; {
		if len(rest) < recordHeader {
			return 0, nil, fmt.Errorf("%s: record %d: cut off", path, len(packets))
		}
		captured, full := int(order.Uint32(rest[8:])), int(order.Uint32(rest[12:]))
		if captured != full || captured > len(rest)-recordHeader {
			return 0, nil, fmt.Errorf("%s: record %d: %d of %d octets, %d left", path, len(packets), captured, full, len(rest)-recordHeader)
		}
		at := time.Unix(int64(order.Uint32(rest)), int64(order.Uint32(rest[4:]))*int64(unit)).UTC()
		packets = append(packets, Packet{at, rest[recordHeader : recordHeader+captured]})
		rest = rest[recordHeader+captured:]
	}
	return linkType, packets, nil
}

// Frame is one PPP frame, from address and control or protocol on, without flags,
// stuffing or FCS. A serial recording has no sequence numbers.
type Frame struct {
	Time       time.Time
	FromClient bool   // or from the caller
	Sequence   uint32 // of its GRE packet
	Lost       uint32 // packets missing before it in its direction, by the sequence numbers
	CallID     uint16 // of its GRE packet: the receiver's
	Data       []byte
}

// ReadSerial reads the frames of a serial recording.
func ReadSerial(path string) ([]Frame, error) {
	link, packets, err := ReadPcap(path)
	if err != nil {
		return nil, err
	}
	if link != LinkPPPDir {
		return nil, fmt.Errorf("%s: link type %d, want PPP with direction", path, link)
	}
	frames := make([]Frame, 0, len(packets))
	for i, p := range packets {
		if len(p.Data) < 1 || p.Data[0] > 1 {
			return nil, fmt.Errorf("%s: frame %d: no direction", path, i)
		}
		frames = append(frames, Frame{Time: p.Time, FromClient: p.Data[0] == 1, Data: p.Data[1:]})
	}
	return frames, nil
}
