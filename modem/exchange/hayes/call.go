package hayes

import (
	"strings"
	"time"
)

// Times of ringing.
const (
	ringBurst     = 2 * time.Second        // a burst
	callerIDDelay = 500 * time.Millisecond // from the first ring to the caller ID
	ringsStale    = 8 * time.Second        // after it S1 is zero again
)

// dial does ATD.
func (m *Modem) dial(now time.Time, s string) outcome {
	if m.s.Phase != Command {
		return refused
	}
	s = m.storedNumber(s)
	more := strings.HasSuffix(s, ";")
	tone := max(m.cfg.DialTone, 0)
	wait := tone
	var digits strings.Builder
	for i := range len(s) {
		switch ch := upper(s[i]); {
		case ch == '/' && m.isAdapter():
			digits.WriteByte(ch)
		case ch >= '0' && ch <= '9' || ch >= 'A' && ch <= 'C' || ch == '*' || ch == '#':
			digits.WriteByte(ch)
		case ch == ',':
			wait += time.Duration(m.reg(8)) * time.Second
		case ch == 'W':
			wait += tone
		case ch == '!':
			wait += 500 * time.Millisecond
		case ch == '/':
			wait += 125 * time.Millisecond
		case ch == '@':
			m.s.QuietWait = true
		}
	}
	m.s.Digits += digits.String()
	if more { // more digits will come in another command
		if !m.s.OffHook {
			m.s.OffHook = true
			m.do(Answer{})
		}
		return accepted
	}
	m.s.LastDialed = s
	m.s.Phase, m.s.OffHook, m.s.Heard, m.s.Cause = Dialing, true, 0, 0
	m.s.DialAt = now.Add(wait)
	return finished
}

// storedNumber replaces L and S=n at the front of a dial string by the last and
// by a stored number.
func (m *Modem) storedNumber(s string) string {
	t := strings.ToUpper(strings.ReplaceAll(s, " ", ""))
	if t == "L" {
		return m.s.LastDialed
	}
	if n, ok := strings.CutPrefix(t, "S="); ok && len(n) > 0 && n[0] >= '0' && int(n[0]-'0') < len(m.s.Numbers) {
		return m.s.Numbers[n[0]-'0']
	}
	return s
}

// sendDigits is when dialing really begins.
func (m *Modem) sendDigits(now time.Time) {
	m.s.GiveUp = now.Add(m.carrierWait())
	m.do(Dial{Digits: m.s.Digits})
	m.s.Digits = ""
}

// carrierWait is S7.
func (m *Modem) carrierWait() time.Duration { return time.Duration(max(m.reg(7), 1)) * time.Second }

// answer does ATA.
func (m *Modem) answer(now time.Time) outcome {
	if m.s.Phase != Command {
		return refused
	}
	if m.isAdapter() && m.s.Rings == 0 {
		m.result(m.nothingRings())
		return finished
	}
	m.s.Phase, m.s.OffHook, m.s.Heard, m.s.Cause = Answering, true, 0, 0
	m.s.GiveUp = now.Add(m.carrierWait())
	m.stopRings()
	m.do(Answer{})
	return finished
}

// stopRings forgets what was to be told about a ringing call.
func (m *Modem) stopRings() {
	m.s.Rings, m.s.CallerIDAt, m.s.CadenceAt, m.s.RingsStale, m.s.RingOff = 0, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	m.setReg(1, 0)
}

// Ring is one burst of ringing; the first one of a call has burst 1.
func (m *Modem) Ring(now time.Time, burst int, c Caller) {
	if m.s.OffHook || m.cfg.Adapter == ISDN4Linux && !m.listens(c.Dialed) {
		return
	}
	if burst == 1 {
		m.s.Rings = 0
		m.s.Caller, m.s.CallerSince, m.s.HaveCaller = c, now, true
	}
	m.s.Rings++
	m.setReg(1, byte(min(m.s.Rings, 255)))
	m.s.RingsStale, m.s.RingOff = now.Add(ringsStale), now.Add(ringBurst)
	if m.isAdapter() {
		m.tellRing()
	} else {
		m.result(codeRing)
	}
	if !m.isAdapter() && m.s.Rings == 1 && m.s.Active.CallerID > 0 {
		m.s.CallerIDAt = now.Add(callerIDDelay)
	}
	if strings.HasPrefix(m.extra("+VDR"), "1") {
		m.s.CadenceAt = now.Add(ringBurst)
	}
	if r := int(m.reg(0)); r > 0 && m.s.Rings >= r && (m.s.DTR || m.s.Active.DTRMode == 0) {
		m.abandonLine()
		m.answer(now)
	}
}

// RingEnd says that the caller gave up.
func (m *Modem) RingEnd(time.Time) {
	m.s.CallerIDAt, m.s.CadenceAt, m.s.RingOff = time.Time{}, time.Time{}, time.Time{}
	if m.isAdapter() {
		m.callerGone()
	}
}

// Hear is what a dialing modem hears from now on.
func (m *Modem) Hear(now time.Time, t Tone) {
	if m.s.Phase != Dialing {
		return
	}
	m.s.Heard = t
	if m.isAdapter() {
		m.adapterHears(now, t)
		return
	}
	x := m.s.Active.Extended
	switch {
	case t == NoDialTone && (x == 2 || x == 4):
		m.fail(now, codeNoDialTone)
	case t == Busy && x >= 3:
		m.fail(now, codeBusy)
	case t == Intercept:
		m.fail(now, codeNoCarrier)
	}
}

// giveUp is the end of S7 without a carrier.
func (m *Modem) giveUp(now time.Time) {
	if m.s.Phase == Dialing && m.isAdapter() {
		m.Refused(now, Intercept, causeNoResponse)
		return
	}
	if m.s.Phase == Dialing && m.s.Heard == Ringback && (m.s.QuietWait || m.s.Active.Extended >= 3) {
		m.fail(now, codeNoAnswer)
		return
	}
	m.fail(now, codeNoCarrier)
}

// fail ends an attempt.
func (m *Modem) fail(now time.Time, c code) {
	m.hangUp(now, codeTexts[c], true)
	m.resultText(int(c), codeTexts[c]+m.causeText())
}

// Fail says that the two modems found no common mode.
func (m *Modem) Fail(now time.Time) {
	if m.s.Phase == Dialing || m.s.Phase == Answering {
		if m.isAdapter() {
			m.s.Cause = causeIncompatible
		}
		m.fail(now, codeNoCarrier)
	}
}

// Training reports whether the modem seeks a carrier and in which role; the
// owner trains the pair when one originates and the other answers.
func (m *Modem) Training() (seeking, answering bool) {
	return m.s.Phase == Dialing && m.s.DialAt.IsZero() || m.s.Phase == Answering, m.s.Phase == Answering
}

// Offer is what the modem brings to the negotiation.
type Offer struct {
	EC          ErrorControl
	Compression bool
	MaxTransmit int // bits per second; zero: no limit of its own
	MinTransmit int
	MaxReceive  int
	MinReceive  int
}

// Offer returns what the client's settings allow.
func (m *Modem) Offer() Offer {
	p := &m.s.Active
	o := Offer{EC: p.EC, Compression: p.Compression}
	v, chosen := p.Extras["+MS"]
	if !chosen {
		return o
	}
	f := strings.Split(v, ",")
	field := func(i int) int {
		n := 0
		if i < len(f) {
			for _, c := range f[i] {
				n = n*10 + int(c-'0')
			}
		}
		return n
	}
	o.MinTransmit, o.MaxTransmit, o.MinReceive, o.MaxReceive = field(2), field(3), field(4), field(5)
	if len(f) <= 4 { // no values for the other direction
		o.MinReceive, o.MaxReceive = o.MinTransmit, o.MaxTransmit
	}
	if limit := carriers[f[0]]; limit > 0 {
		o.MaxTransmit, o.MaxReceive = lower(o.MaxTransmit, limit), lower(o.MaxReceive, limit)
	}
	return o
}

// lower returns the smaller of two limits, where zero is none.
func lower(a, b int) int {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// Connect says that the carrier is up.
func (m *Modem) Connect(now time.Time, l Link) {
	if m.s.Phase != Dialing && m.s.Phase != Answering {
		return
	}
	m.setWireSpeed()
	m.s.Link = l
	m.s.Last = LastCall{Link: l, Began: now, Answered: m.s.Phase == Answering}
	m.s.GiveUp, m.s.DialAt, m.s.QuietWait = time.Time{}, time.Time{}, false
	m.s.Transmit, m.s.Held, m.s.Flow = m.s.Transmit[:0], false, Flow{}
	m.s.Pluses, m.s.EscapeAt, m.s.LastData, m.s.Active30 = 0, time.Time{}, now, now
	if l.Convert {
		m.startConversion()
	}
	m.s.InClock.Rest()
	m.connectResult()
	m.s.Phase = Online
}

// Lose says that the carrier is gone. With error control the other side can say
// goodbye in order: that counts at once, all else after S10. Octets that
// arrived before are still given to the client.
func (m *Modem) Lose(now time.Time, orderly bool) {
	switch m.s.Phase {
	case Dialing, Answering:
		m.fail(now, codeNoCarrier)
	case Online, Escaped:
		if m.isAdapter() { // ISDN tells the end of a call beside the channel
			m.cleared(now, orderly)
			return
		}
		if orderly && m.s.Link.ErrorControl {
			m.carrierGone(now, "the other side hung up")
			return
		}
		if m.s.LostAt.IsZero() && m.reg(10) < 255 {
			m.s.LostAt = now.Add(time.Duration(m.reg(10)) * 100 * time.Millisecond)
		}
	}
}

// carrierGone ends a call whose carrier is lost.
func (m *Modem) carrierGone(now time.Time, reason string) {
	m.hangUp(now, reason, false)
	m.result(codeNoCarrier)
}

// hangUp goes on hook and back to command state, whatever went on.
func (m *Modem) hangUp(now time.Time, reason string, wished bool) {
	online := m.s.Phase == Online
	call := online || m.s.Phase == Escaped
	if m.s.OffHook {
		m.do(HangUp{})
	}
	if call {
		m.s.Last.Ended, m.s.Last.Reason = now, reason
	}
	if call || m.s.Direct {
		m.do(CarrierOff{DropsClient: m.s.Direct || online && !wished && m.s.Active.CarrierMode == 1})
	}
	m.s.Direct = false
	m.s.Phase, m.s.OffHook, m.s.Heard, m.s.Digits, m.s.QuietWait = Command, false, 0, "", false
	m.s.DialAt, m.s.GiveUp, m.s.LostAt, m.s.EscapeAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	m.s.Transmit, m.s.Held, m.s.Pluses, m.s.Flow = m.s.Transmit[:0], false, 0, Flow{}
	m.setWireSpeed()
}
