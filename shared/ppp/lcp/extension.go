package lcp

import (
	"encoding/binary"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/fsm"
)

// magicLength is the size of the magic number that leads the data of Echo, Discard,
// Identification and Time-Remaining, in octets.
const magicLength = 4

// rejectsPerSecond bounds the Protocol-Rejects we answer garbage with.
const rejectsPerSecond = 10

// receiveExtension takes a packet of codes 8 to 13; LCP is Opened.
func (m *Machine) receiveExtension(now time.Time, p fsm.Packet) {
	switch p.Code {
	case fsm.ProtocolReject:
		if len(p.Data) < 2 {
			return
		}
		proto := ppp.Protocol(binary.BigEndian.Uint16(p.Data))
		if proto == ppp.LCP {
			m.actions = append(m.actions, Refused{proto.String()})
			m.fsm.Rejected(now, true)
			return
		}
		m.fsm.Rejected(now, false)
		m.actions = append(m.actions, ProtocolRejected{proto})
	case fsm.EchoRequest:
		if len(p.Data) < magicLength || m.ownMagic(p.Data) {
			return
		}
		m.reply(fsm.EchoReply, p.Identifier, p.Data[magicLength:])
	case fsm.EchoReply:
		if len(p.Data) >= magicLength && !m.ownMagic(p.Data) {
			m.takeReply(now, p.Identifier)
		}
	case fsm.Identification:
		if len(p.Data) > magicLength {
			m.s.Identification = ppp.Text(p.Data[magicLength:])
		}
	case fsm.DiscardRequest, fsm.TimeRemaining: // nothing to do
	}
}

// ownMagic tells whether a packet carries our magic number, which only a loop
// explains.
func (m *Machine) ownMagic(data []byte) bool {
	own := m.s.AskMagic && binary.BigEndian.Uint32(data) == m.s.Magic
	if own {
		m.sawOwnMagic()
	}
	return own
}

// reply sends a packet that starts with our magic number, cut to what the peer takes.
func (m *Machine) reply(code fsm.Code, id uint8, data []byte) {
	most := int(m.s.PeerMRU) - fsm.HeaderLength - magicLength
	data = data[:min(len(data), max(most, 0))]
	body := make([]byte, magicLength, magicLength+len(data))
	if m.s.AskMagic {
		binary.BigEndian.PutUint32(body, m.s.Magic)
	}
	packet := fsm.AppendPacket(make([]byte, 0, fsm.HeaderLength+cap(body)), fsm.Packet{Code: code, Identifier: id, Data: append(body, data...)})
	m.actions = append(m.actions, Send{packet})
}

// takeReply notes that the peer lives, and how long the way is.
func (m *Machine) takeReply(now time.Time, id uint8) {
	if id == m.s.EchoID && !m.s.EchoSentAt.IsZero() {
		m.s.Statistics.RoundTrip, m.s.EchoSentAt = now.Sub(m.s.EchoSentAt), time.Time{}
	}
	m.s.Statistics.EchoReplies++
	m.s.EchoPending = 0
}

// Heard tells that the peer is alive by other signs: the next Echo-Request is put off.
func (m *Machine) Heard(now time.Time) {
	m.s.EchoPending, m.s.EchoAt = 0, now.Add(m.cfg.EchoInterval)
}

// Echo sends an Echo-Request now, unless the peer does not know it or LCP is not open.
func (m *Machine) Echo(now time.Time) {
	if m.echoing() {
		m.s.EchoAt = now
		m.tickEcho(now)
	}
}

func (m *Machine) echoing() bool {
	return m.cfg.EchoInterval > 0 && !m.s.EchoOff && m.Opened()
}

// tickEcho sends Echo-Requests, and tells when too many went unanswered.
func (m *Machine) tickEcho(now time.Time) {
	if !m.echoing() || now.Before(m.s.EchoAt) {
		return
	}
	if m.s.EchoPending >= m.cfg.EchoFailures {
		m.actions = append(m.actions, Silent{m.s.EchoPending})
		m.Heard(now) // once is enough
		return
	}
	m.s.EchoPending++
	m.s.Statistics.EchoesSent++
	m.s.EchoID++
	m.s.EchoSentAt, m.s.EchoAt = now, now.Add(m.cfg.EchoInterval)
	m.reply(fsm.EchoRequest, m.s.EchoID, nil)
}

// RejectProtocol answers a packet of a protocol we do not know (RFC 1661 section 5.7).
// info is what it carried. It does nothing unless LCP is Opened, and little for a
// flood.
func (m *Machine) RejectProtocol(now time.Time, proto ppp.Protocol, info []byte) {
	if !m.Opened() {
		return
	}
	if now.Sub(m.s.RejectsFrom) >= time.Second {
		m.s.RejectsFrom, m.s.Rejects = now, 0
	}
	if m.s.Rejects >= rejectsPerSecond {
		m.s.Statistics.RejectsSuppressed++
		return
	}
	m.s.Rejects++
	most := max(int(m.s.PeerMRU)-fsm.HeaderLength-2, 0)
	body := binary.BigEndian.AppendUint16(make([]byte, 0, 2+min(len(info), most)), uint16(proto))
	body = append(body, info[:min(len(info), most)]...)
	m.actions = append(m.actions, Send{fsm.AppendPacket(make([]byte, 0, fsm.HeaderLength+len(body)),
		fsm.Packet{Code: fsm.ProtocolReject, Identifier: m.fsm.NextIdentifier(), Data: body})})
}
