package capture

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

const (
	etherHeader = 14
	etherIPv4   = 0x0800
	protocolTCP = 6
	protocolGRE = 47
	portPPTP    = 1723
)

// Call is a recording of PPTP between a client and a server.
type Call struct {
	Client, Server netip.Addr
	Control        []Chunk     // the TCP connection to port 1723, in order
	GRE            []GREPacket // as recorded, IP fragments put together
}

// Chunk is a run of octets of the control connection.
type Chunk struct {
	Time       time.Time
	FromClient bool
	Data       []byte
}

// GREPacket is one packet of IP protocol 47.
type GREPacket struct {
	Time       time.Time
	FromClient bool
	Data       []byte // header and payload, exactly
}

// Stream returns all octets of one direction of the control connection.
func (c *Call) Stream(fromClient bool) []byte {
	var out []byte
	for _, k := range c.Control {
		if k.FromClient == fromClient {
			out = append(out, k.Data...)
		}
	}
	return out
}

// Frames returns the PPP frames in the GRE packets, which must be in order in each
// direction.
func (c *Call) Frames() ([]Frame, error) {
	var out []Frame
	expected := map[bool]uint32{}
	for i, p := range c.GRE {
		d := p.Data
		if len(d) < 8 || binary.BigEndian.Uint16(d[2:]) != 0x880B || d[0]&0xEF != 0x20 || d[1]&0x7F != 1 {
			return nil, fmt.Errorf("GRE packet %d: header % x", i, d[:min(len(d), 8)])
		}
		if d[0]&0x10 == 0 {
			continue
		}
		header, length := 12, int(binary.BigEndian.Uint16(d[4:]))
		if d[1]&0x80 != 0 {
			header = 16
		}
		if len(d) != header+length {
			return nil, fmt.Errorf("GRE packet %d: payload length %d in %d octets", i, length, len(d))
		}
		f := Frame{Time: p.Time, FromClient: p.FromClient, Sequence: binary.BigEndian.Uint32(d[8:]),
			CallID: binary.BigEndian.Uint16(d[6:]), Data: d[header:]}
		if next, ok := expected[f.FromClient]; ok {
			if f.Lost = f.Sequence - next; int32(f.Lost) < 0 {
				return nil, fmt.Errorf("GRE packet %d: sequence number %d, expected %d", i, f.Sequence, next)
			}
		}
		expected[f.FromClient] = f.Sequence + 1
		out = append(out, f)
	}
	return out, nil
}

// ReadPPTP reads a recording that holds one control connection, whose client is
// who opened it.
func ReadPPTP(path string) (*Call, error) {
	link, packets, err := ReadPcap(path)
	if err != nil {
		return nil, err
	}
	if link != LinkEthernet {
		return nil, fmt.Errorf("%s: link type %d, want Ethernet", path, link)
	}
	r := reader{fragments: map[fragmentKey][]fragment{}}
	for i, p := range packets {
		if err := r.packet(p); err != nil {
			return nil, fmt.Errorf("%s: packet %d: %w", path, i, err)
		}
	}
	for n, d := range r.streams {
		if len(d.waiting) > 0 {
			return nil, fmt.Errorf("%s: control connection has a hole (direction %d)", path, n)
		}
	}
	return &r.call, nil
}

type reader struct {
	call      Call
	streams   [2]stream // from client, from server
	fragments map[fragmentKey][]fragment
}

// stream is one direction of the control connection.
type stream struct {
	started bool
	next    uint32
	waiting []segment
}

type segment struct {
	seq  uint32
	data []byte
}

type fragmentKey struct {
	source, destination netip.Addr
	id                  uint16
}

type fragment struct {
	offset int
	last   bool
	data   []byte
}

func (r *reader) packet(p Packet) error {
	if len(p.Data) < etherHeader || binary.BigEndian.Uint16(p.Data[12:]) != etherIPv4 {
		return nil
	}
	ip := p.Data[etherHeader:]
	if len(ip) < 20 || ip[0]>>4 != 4 {
		return fmt.Errorf("no IPv4 header")
	}
	header, total := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
	if header < 20 || total < header || total > len(ip) {
		return fmt.Errorf("IPv4 header %d, total %d of %d octets", header, total, len(ip))
	}
	source, destination := netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))
	payload, whole := r.reassemble(ip, source, destination, ip[header:total])
	if !whole {
		return nil
	}
	switch ip[9] {
	case protocolTCP:
		return r.tcp(p.Time, source, destination, payload)
	case protocolGRE:
		r.call.GRE = append(r.call.GRE, GREPacket{p.Time, source == r.call.Client, payload})
	}
	return nil
}

// reassemble puts the fragments of a datagram together once all are there.
func (r *reader) reassemble(ip []byte, source, destination netip.Addr, data []byte) ([]byte, bool) {
	flags := binary.BigEndian.Uint16(ip[6:])
	offset, more := int(flags&0x1FFF)*8, flags&0x2000 != 0
	if offset == 0 && !more {
		return data, true
	}
	key := fragmentKey{source, destination, binary.BigEndian.Uint16(ip[4:])}
	parts := append(r.fragments[key], fragment{offset, !more, data})
	slices.SortFunc(parts, func(a, b fragment) int { return a.offset - b.offset })
	r.fragments[key] = parts
	var all []byte
	for _, f := range parts {
		if f.offset != len(all) {
			return nil, false
		}
		all = append(all, f.data...)
		if f.last {
			delete(r.fragments, key)
			return all, true
		}
	}
	return nil, false
}

func (r *reader) tcp(at time.Time, source, destination netip.Addr, t []byte) error {
	if len(t) < 20 || len(t) < int(t[12]>>4)*4 {
		return fmt.Errorf("TCP header cut off")
	}
	var fromClient bool
	d := &r.streams[1]
	switch {
	case binary.BigEndian.Uint16(t[2:]) == portPPTP:
		fromClient, d = true, &r.streams[0]
		r.call.Client, r.call.Server = source, destination
	case binary.BigEndian.Uint16(t) != portPPTP:
		return nil
	}
	seq, data := binary.BigEndian.Uint32(t[4:]), t[int(t[12]>>4)*4:]
	if syn := t[13]&2 != 0; syn {
		if d.started && d.next != seq+1 {
			return fmt.Errorf("a second control connection")
		}
		d.started, d.next = true, seq+1
		return nil
	}
	if len(data) > 0 {
		d.waiting = append(d.waiting, segment{seq, data})
	}
	r.deliver(at, fromClient, d)
	return nil
}

// deliver moves what is in order from a direction to the call.
func (r *reader) deliver(at time.Time, fromClient bool, d *stream) {
	slices.SortFunc(d.waiting, func(a, b segment) int { return int(int32(a.seq - b.seq)) })
	for len(d.waiting) > 0 {
		s := d.waiting[0]
		old := int(int32(d.next - s.seq)) // octets delivered before
		if old < 0 {
			return
		}
		d.waiting = d.waiting[1:]
		if old >= len(s.data) {
			continue
		}
		r.call.Control = append(r.call.Control, Chunk{at, fromClient, s.data[old:]})
		d.next = s.seq + uint32(len(s.data))
	}
}
