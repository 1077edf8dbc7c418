package fsm

import (
	"bytes"
	"slices"
	"time"

	"trunkline.example/shared/ppp"
)

// Up tells that the lower layer is up.
func (m *Machine) Up(now time.Time) {
	m.d.NaksSent, m.d.NaksReceived, m.d.Heard = 0, 0, false
	m.step(now, EventUp, nil)
}

// Down tells that the lower layer is down.
func (m *Machine) Down(now time.Time) { m.step(now, EventDown, nil) }

// Open wishes the layer to be up.
func (m *Machine) Open(now time.Time) { m.step(now, EventOpen, nil) }

// Close wishes the layer to be down. text goes into the Terminate-Request.
func (m *Machine) Close(now time.Time, text string) {
	m.d.Farewell = text
	m.step(now, EventClose, nil)
}

// Rejected tells that the peer sent a Protocol-Reject for this protocol: fatal
// when the protocol is LCP itself, otherwise for a protocol that can be done without.
func (m *Machine) Rejected(now time.Time, fatal bool) {
	if fatal {
		m.step(now, EventRXJMinus, nil)
		return
	}
	m.step(now, EventRXJPlus, nil)
}

// Deadline is when the restart timer runs out; zero if it does not run.
func (m *Machine) Deadline() time.Time {
	if m.timed() {
		return m.d.RestartAt
	}
	return time.Time{}
}

// timed: the restart timer runs in states 4 to 8 (RFC 1661 section 4.6).
func (m *Machine) timed() bool { return m.d.State >= Closing && m.d.State <= AckSent }

// Tick runs the restart timer; early calls do nothing.
func (m *Machine) Tick(now time.Time) {
	if !m.timed() || now.Before(m.d.RestartAt) {
		return
	}
	if m.d.RestartCount > 0 {
		m.step(now, EventTOPlus, nil)
		return
	}
	m.step(now, EventTOMinus, nil)
}

// event is what a step needs to know of the packet that caused it.
type event struct {
	packet Packet
	info   []byte // the packet as it came
	reply  Packet // for sca and scn
}

// Receive takes the information field of a packet of this protocol. A packet with an
// extension code that came while the layer is Opened is handed back for the protocol
// to deal with; info is not kept.
func (m *Machine) Receive(now time.Time, info []byte) (Packet, bool) {
	p, err := ParsePacket(info)
	if err != nil || m.d.State <= Starting {
		m.d.Discarded++
		return Packet{}, false
	}
	m.d.Heard = true
	ev := &event{packet: p, info: info[:HeaderLength+len(p.Data)]}
	switch p.Code {
	case ConfigureRequest:
		m.receiveRequest(now, ev)
	case ConfigureAck, ConfigureNak, ConfigureReject:
		m.receiveAnswer(now, ev)
	case TerminateRequest:
		m.actions = append(m.actions, Terminating{ppp.Text(p.Data), m.d.State})
		m.step(now, EventRTR, ev)
	case TerminateAck:
		negotiating := m.d.State >= ReqSent && m.d.State <= AckSent
		m.step(now, EventRTA, ev)
		m.d.Refused = negotiating
	case CodeReject:
		m.receiveCodeReject(now, ev)
	default:
		if !slices.Contains(m.cfg.Extensions, p.Code) {
			m.step(now, EventRUC, ev)
			break
		}
		// RXR has an effect only in Opened (RFC 1661 sections 5.7 to 5.9).
		if m.d.State == Opened {
			return p, true
		}
		m.d.Discarded++
	}
	return Packet{}, false
}

func (m *Machine) receiveCodeReject(now time.Time, ev *event) {
	if len(ev.packet.Data) == 0 {
		m.d.Discarded++
		return
	}
	code := Code(ev.packet.Data[0])
	m.actions = append(m.actions, CodeRejected{code})
	if code >= ConfigureRequest && code <= CodeReject {
		m.step(now, EventRXJMinus, ev)
		return
	}
	m.step(now, EventRXJPlus, ev)
}

// receiveRequest judges a Configure-Request and answers it.
func (m *Machine) receiveRequest(now time.Time, ev *event) {
	if CheckOptions(ev.packet.Data) != nil {
		m.d.Discarded++
		return
	}
	switch m.d.State {
	case Closed, Closing, Stopping:
		// The row is the same for RCR+ and RCR-: nothing to judge.
		m.step(now, EventRCRPlus, ev)
		return
	}
	ev.reply = m.judge(ev.packet)
	former := m.d.State
	if ev.reply.Code == ConfigureAck {
		m.step(now, EventRCRPlus, ev)
	} else {
		m.step(now, EventRCRMinus, ev)
	}
	m.nudge(now, former)
}

// nudge shortens the restart timer when a request of the peer shows that the peer is
// there: ours should be answered within a third of the restart period, or very soon if
// it is older than that. A caller whose PPP starts a moment after ours would otherwise
// wait for the whole period. Not at once, as our request may have waited in the
// caller's serial buffer: repeated in vain it would start the negotiation again. But at
// once if the peer was not ready for it (a Terminate-Ack came), which is all that a
// Patient machine does.
func (m *Machine) nudge(now time.Time, former State) {
	negotiating := (former == ReqSent || former == AckSent) && (m.d.State == ReqSent || m.d.State == AckSent)
	if !negotiating || m.d.RestartCount <= 0 || m.cfg.Patient && !m.d.Refused {
		return
	}
	due, soon := m.d.RequestedAt.Add(m.cfg.Timers.Restart/3), now.Add(m.cfg.Timers.Restart/6)
	if due.Before(soon) {
		due = soon
	}
	if m.d.Refused {
		due = now
	}
	if due.Before(m.d.RestartAt) {
		m.d.RestartAt = due
		m.Tick(now)
	}
}

// judge makes the answer to a Configure-Request whose option list is well formed.
func (m *Machine) judge(request Packet) Packet {
	m.neg.Begin()
	firm := m.d.NaksSent >= m.cfg.Timers.MaxFailure // no more Naks (RFC 1661 section 4.6)
	var seen [4]uint64
	var naks, rejects []byte
	for list := request.Data; len(list) > 0; {
		o, rest, err := NextOption(list)
		if err != nil {
			break
		}
		raw := list[:len(list)-len(rest)]
		list = rest
		bit := uint64(1) << (o.Type & 63)
		if seen[o.Type>>6]&bit != 0 {
			rejects = append(rejects, raw...)
			continue
		}
		seen[o.Type>>6] |= bit
		switch r := m.neg.Judge(o); {
		case r.Verdict == Ack:
		case r.Verdict == Nak && !firm:
			naks = AppendOption(naks, r.Wanted)
		default:
			rejects = append(rejects, raw...)
		}
	}
	if rejects != nil {
		return Packet{ConfigureReject, request.Identifier, rejects}
	}
	if !firm {
		naks = m.neg.Missing(naks)
	}
	if len(naks) > 0 {
		return Packet{ConfigureNak, request.Identifier, naks}
	}
	return Packet{ConfigureAck, request.Identifier, request.Data}
}

// receiveAnswer takes Configure-Ack, -Nak and -Reject.
func (m *Machine) receiveAnswer(now time.Time, ev *event) {
	kind := EventRCN
	if ev.packet.Code == ConfigureAck {
		kind = EventRCA
	}
	if m.d.State < ReqSent {
		m.step(now, kind, ev)
		return
	}
	// The identifier must be that of the last request, and an answer counts once: a
	// second one is a repetition, not the crossed connection of the RFC's note (x).
	if ev.packet.Identifier != m.d.RequestID || m.d.Answered || !m.plausible(ev.packet) {
		m.d.Discarded++
		return
	}
	m.d.Answered = true
	if kind == EventRCN {
		m.takeRefusal(ev.packet)
	}
	m.step(now, kind, ev)
}

// plausible checks the option list of an answer against our request: an Ack repeats
// it exactly, a Reject names only options of it, unchanged.
func (m *Machine) plausible(p Packet) bool {
	if p.Code == ConfigureAck {
		return bytes.Equal(p.Data, m.d.Request)
	}
	if len(p.Data) == 0 || CheckOptions(p.Data) != nil {
		return false
	}
	if p.Code == ConfigureNak {
		return true
	}
	for list := p.Data; len(list) > 0; {
		_, rest, _ := NextOption(list)
		if !m.requested(list[:len(list)-len(rest)]) {
			return false
		}
		list = rest
	}
	return true
}

// requested tells whether an option, as it stands on the wire, is in our request;
// with only a type, whether an option of that type is.
func (m *Machine) requested(option []byte) bool {
	for list := m.d.Request; len(list) > 0; {
		_, rest, err := NextOption(list)
		if err != nil {
			return false
		}
		raw := list[:len(list)-len(rest)]
		if bytes.Equal(raw, option) || len(option) == 1 && raw[0] == option[0] {
			return true
		}
		list = rest
	}
	return false
}

// takeRefusal hands the options of a Nak or Reject to the negotiator. After
// Max-Failure Naks a Nak of something we ask for counts as its rejection, so that a
// peer that never agrees cannot keep us negotiating.
func (m *Machine) takeRefusal(p Packet) {
	reject := p.Code == ConfigureReject
	if !reject {
		m.d.NaksReceived++
	}
	for list := p.Data; len(list) > 0; {
		o, rest, err := NextOption(list)
		if err != nil {
			return
		}
		list = rest
		o.Data = bytes.Clone(o.Data)
		switch {
		case reject:
			m.neg.Rejected(o)
		case m.d.NaksReceived < m.cfg.Timers.MaxFailure:
			m.neg.Naked(o)
		case m.requested([]byte{o.Type}):
			m.neg.Rejected(o)
		}
	}
}

// step performs one cell of the table.
func (m *Machine) step(now time.Time, e Event, ev *event) {
	next, actions, ok := Transition(m.d.State, e)
	if !ok {
		m.d.Discarded++
		return
	}
	former := m.d.State
	if next == Opened && former != Opened {
		m.d.NaksReceived = 0
	}
	m.d.State = next
	for _, a := range actions {
		m.perform(now, a, e, former, ev)
	}
}

func (m *Machine) perform(now time.Time, a Step, e Event, former State, ev *event) {
	switch a {
	case TLU:
		m.actions = append(m.actions, LayerUp{})
	case TLD:
		m.actions = append(m.actions, LayerDown{})
	case TLS:
		m.actions = append(m.actions, LayerStarted{})
	case TLF:
		m.actions = append(m.actions, LayerFinished{m.finish(e, former)})
	case IRC:
		m.d.RestartCount = m.cfg.Timers.MaxConfigure
		if m.d.State == Closing || m.d.State == Stopping {
			m.d.RestartCount = m.cfg.Timers.MaxTerminate
		}
	case ZRC:
		m.d.RestartCount = 0
		m.d.RestartAt = now.Add(m.cfg.Timers.Restart)
	case SCR:
		m.sendRequest(now, e == EventTOPlus)
	case STR:
		m.restart(now)
		m.send(Packet{TerminateRequest, m.NextIdentifier(), []byte(m.d.Farewell)})
	case SCA:
		m.d.NaksSent = 0
		m.send(ev.reply)
	case SCN:
		if ev.reply.Code == ConfigureNak {
			m.d.NaksSent++
		}
		m.send(ev.reply)
	case STA:
		m.send(Packet{TerminateAck, ev.packet.Identifier, nil})
	case SCJ:
		m.sendCodeReject(ev.info)
	}
}

// sendRequest sends a Configure-Request: the last one again after a time-out, else a
// new one with a new identifier.
func (m *Machine) sendRequest(now time.Time, again bool) {
	if !again || m.d.Answered {
		m.d.RequestID = m.NextIdentifier()
		m.d.Request = m.neg.Request(make([]byte, 0, 32))
	}
	m.d.Answered, m.d.Refused = false, false
	m.d.RequestedAt = now
	m.restart(now)
	m.send(Packet{ConfigureRequest, m.d.RequestID, m.d.Request})
}

func (m *Machine) restart(now time.Time) {
	m.d.RestartCount--
	m.d.RestartAt = now.Add(m.cfg.Timers.Restart)
}

func (m *Machine) sendCodeReject(info []byte) {
	most := m.d.ReplyMax
	if most <= HeaderLength {
		most = ppp.DefaultMRU
	}
	m.send(Packet{CodeReject, m.NextIdentifier(), info[:min(len(info), most-HeaderLength)]})
}

func (m *Machine) send(p Packet) {
	m.actions = append(m.actions, Send{AppendPacket(make([]byte, 0, HeaderLength+len(p.Data)), p)})
}

// finish says how the layer came to its end by the event that ended it.
func (m *Machine) finish(e Event, former State) Finish {
	switch {
	case e == EventRXJMinus:
		return FinishRejected
	case e == EventTOMinus && former >= ReqSent && m.d.Heard:
		return FinishUnsettled
	case e == EventTOMinus && former >= ReqSent:
		return FinishSilent
	case former == Stopping:
		return FinishPeer
	}
	return FinishClosed
}
