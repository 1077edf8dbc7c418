package gso

import (
	"bytes"
	"encoding/binary"
)

// Merger finds the packets of a batch that can be handed to the kernel as one: segments of a TCP connection that follow each other, and
// datagrams of a UDP flow with payloads of one length. It copies no payload. The packets of a connection or flow keep their order. The zero value is
// ready.
type Merger struct {
	runs []Run
	next []int // of each packet the one that follows it in its run
	open []int // runs that may still grow, by their number
}

// Run is one packet, or several that can be handed over as one.
type Run struct {
	First, Count int // number of the first packet in the batch; how many there are
	last         int
	octets       int // of the whole
	size         int // of the payload of each packet but the last
	header       int // of IP and transport
	tcp          bool
	checked      bool // the first packet's checksums are good
	push         bool
}

// segment is a packet as far as Merger looks at it.
type segment struct {
	packet  []byte
	flow    [12]byte // addresses and ports
	header  int      // of IP and transport
	tcp     bool
	payload int
	grows   bool // a run may begin with it, or be continued by it
}

// Group returns the runs of a batch in the order of their first packets; they are valid until the next call. Datagrams are put together if udp says so.
func (m *Merger) Group(packets [][]byte, udp bool) []Run {
	m.runs, m.open = m.runs[:0], m.open[:0]
	if cap(m.next) < len(packets) {
		m.next = make([]int, len(packets))
	}
	m.next = m.next[:len(packets)]
	for i, p := range packets {
		var s segment
		if !s.parse(p) { // it may be a fragment of any flow
			m.open = m.open[:0]
			m.runs = append(m.runs, Run{First: i, Count: 1, last: i})
			continue
		}
		at := m.find(packets, &s)
		if at >= 0 && m.join(packets, m.open[at], i, &s) {
			if r := &m.runs[m.open[at]]; r.push || s.payload < r.size || !s.tcp && r.Count == maxDatagrams {
				m.shut(at)
			}
			continue
		}
		if at >= 0 {
			m.shut(at)
		}
		m.runs = append(m.runs, Run{First: i, Count: 1, last: i, octets: len(p), size: s.payload, header: s.header, tcp: s.tcp})
		if s.grows && (s.tcp || udp) {
			m.open = append(m.open, len(m.runs)-1)
		}
	}
	return m.runs
}

// Next is the number of the packet that follows another one in its run.
func (m *Merger) Next(packet int) int { return m.next[packet] }

func (m *Merger) shut(at int) {
	m.open[at] = m.open[len(m.open)-1]
	m.open = m.open[:len(m.open)-1]
}

// parse looks at a packet; false if it cannot be told which flow it belongs to.
func (s *segment) parse(p []byte) bool {
	if len(p) < ipHeader+udpHeader || p[0] != 0x45 || int(binary.BigEndian.Uint16(p[2:])) != len(p) || binary.BigEndian.Uint16(p[6:])&fragmented != 0 {
		return false
	}
	transport := p[ipHeader:]
	switch p[9] {
	case protocolTCP:
		if len(transport) < tcpHeader {
			return false
		}
		s.tcp, s.header = true, ipHeader+int(transport[tcpOffset]>>4)*4
		s.payload = len(p) - s.header
		s.grows = s.header >= ipHeader+tcpHeader && s.payload > 0 && transport[tcpFlags] == tcpACK
	case protocolUDP:
		s.header = ipHeader + udpHeader
		s.payload = len(p) - s.header
		s.grows = s.payload > 0 && int(binary.BigEndian.Uint16(transport[udpLength:])) == len(transport) && binary.BigEndian.Uint16(transport[udpChecksum:]) != 0
	default:
		return false
	}
	s.packet = p
	copy(s.flow[:], p[sourceAndDest:ipHeader+4])
	return true
}

// find returns which of the open runs belongs to a packet's flow, -1 if none does.
func (m *Merger) find(packets [][]byte, s *segment) int {
	for at, n := range m.open {
		if r := &m.runs[n]; r.tcp == s.tcp && s.flow == [12]byte(packets[r.First][sourceAndDest:ipHeader+4]) {
			return at
		}
	}
	return -1
}

// join adds packet i to a run of its flow if it continues it.
func (m *Merger) join(packets [][]byte, n, i int, s *segment) bool {
	r := &m.runs[n]
	first := packets[r.First]
	if s.header != r.header || s.payload <= 0 || s.payload > r.size || r.octets+s.payload > MaxPacket || !s.follows(first, r) {
		return false
	}
	r.checked = r.checked || sound(first)
	if !r.checked || !sound(s.packet) {
		return false
	}
	m.next[r.last] = i
	r.last = i
	r.Count++
	r.octets += s.payload
	r.push = s.tcp && s.packet[ipHeader+tcpFlags]&tcpPSH != 0
	return true
}

// follows tells whether the headers of a packet are what the kernel would make of the run's first one.
func (s *segment) follows(first []byte, r *Run) bool {
	a, b := first, s.packet
	id := binary.BigEndian.Uint16(b[4:]) - binary.BigEndian.Uint16(a[4:])
	if a[1] != b[1] || a[6] != b[6] || a[8] != b[8] || a[6]&(flagDontFragment>>8) == 0 && int(id) != r.Count {
		return false
	}
	if !s.tcp {
		return s.grows
	}
	a, b = a[ipHeader:r.header], b[ipHeader:r.header]
	return b[tcpFlags]&^tcpPSH == tcpACK &&
		binary.BigEndian.Uint32(b[tcpSequence:]) == binary.BigEndian.Uint32(a[tcpSequence:])+uint32(r.octets-r.header) &&
		bytes.Equal(a[tcpAcknowledged:tcpOffset], b[tcpAcknowledged:tcpOffset]) &&
		bytes.Equal(a[tcpWindow:tcpChecksum], b[tcpWindow:tcpChecksum]) &&
		bytes.Equal(a[tcpUrgent:], b[tcpUrgent:]) // and the options
}

// sound tells whether the checksums of a packet are good: those of a run are made anew, which would make a damaged one good.
func sound(p []byte) bool {
	transport := p[ipHeader:]
	return fold(sum(p[:ipHeader], 0)) == 0xffff && fold(sum(transport, pseudo(p, p[9], len(transport)))) == 0xffff
}

// MaxHeaders is the room in octets that Headers needs.
const MaxHeaders = HeaderLength + maxHeader

// Headers writes what goes in front of the payloads of a run of several packets: its virtio header, and headers of IP and transport made of those of
// its first packet. It returns their length in octets, and that of the headers that each packet has.
func (r *Run) Headers(first, buf []byte) (n, each int) {
	b := buf[HeaderLength : HeaderLength+copy(buf[HeaderLength:], first[:r.header])]
	binary.BigEndian.PutUint16(b[2:], uint16(r.octets))
	putIPChecksum(b[:ipHeader])
	transport, length := b[ipHeader:], r.octets-ipHeader
	v := virtio{flags: flagNeedsChecksum, kind: kindTCPv4, header: uint16(r.header), size: uint16(r.size), checksumStart: ipHeader, checksumFromStart: tcpChecksum}
	if r.tcp {
		if r.push {
			transport[tcpFlags] |= tcpPSH
		}
	} else {
		v.kind, v.checksumFromStart = kindUDP, udpChecksum
		binary.BigEndian.PutUint16(transport[udpLength:], uint16(length))
	}
	binary.BigEndian.PutUint16(transport[v.checksumFromStart:], fold(pseudo(first, first[9], length)))
	v.put(buf)
	return HeaderLength + len(b), r.header
}
