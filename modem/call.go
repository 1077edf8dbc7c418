package modem

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"trunkline.example/modem/at"
	"trunkline.example/shared/line"
	"trunkline.example/shared/logging"
)

// serve is the life of a line that is up. It returns why it is so no longer;
// then no call is in progress.
func (o *owner) serve() error {
	probe := time.Now().Add(o.config.ProbeInterval)
	for {
		err := o.turn(probe)
		switch {
		case err == nil:
		case errors.Is(err, errUnusable), errors.Is(err, errShutdown), errors.Is(err, errService):
			return err
		case errors.Is(err, errTimeout):
			o.garbage = 0 // whatever it was, the modem is asked now
			if err := o.alive(2); err != nil && !errors.Is(err, errGone) {
				return err
			}
		case errors.Is(err, errGone): // the next turn opens the device again
			continue
		default:
			return err
		}
		probe = time.Now().Add(o.config.ProbeInterval)
	}
}

// turn does the one thing that is to be done next, or waits for one.
func (o *owner) turn(probe time.Time) error {
	switch {
	case o.port == nil:
		return o.unusable(o.shielded(o.reopen))
	case o.stale:
		return o.unusable(o.shielded(func() error { return o.prepare(o.altered) }))
	case o.intent.kind == commandDial:
		return o.outgoing(o.taken())
	case o.intent.kind == commandService:
		return errService
	case o.ring.active(o.config.RingTimeout) && o.queue.Admit():
		return o.incoming()
	}
	err := o.idle(probe)
	if errors.Is(err, errIntent) {
		return nil
	}
	return err
}

// shielded runs f with intents waiting.
func (o *owner) shielded(f func() error) error {
	o.shield++
	defer func() { o.shield-- }()
	return f()
}

// unusable marks an error after which the line must be taken out of service.
func (o *owner) unusable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errUnusable, err)
}

// idle waits for something to do: it returns nil when there is.
func (o *owner) idle(probe time.Time) error {
	o.tok.Garbled() // not of an idle modem
	for {
		text, err := o.nextUnless(probe, o.garbled)
		if err != nil {
			return err
		}
		switch kind := o.note(text); {
		case o.ring.active(o.config.RingTimeout):
			return nil
		case kind == at.Numeric:
			o.stale = true // it has been reset
			return nil
		case kind == at.Connect: // nobody has been told of a call
			o.log.Warn("modem answered without being told", zap.String("said", at.Printable(text, 80)))
			return o.unusable(o.free(true))
		}
	}
}

// begin starts a call.
func (o *owner) begin() line.Call {
	o.lastCall++
	return o.lastCall
}

// incoming sees a call through that rings.
func (o *owner) incoming() error {
	for {
		now := time.Now()
		if !o.ring.active(o.config.RingTimeout) { // not worth reporting
			o.ring.reset()
			return nil
		}
		if o.mayHaveMissed() {
			if err := o.countRings(); err != nil {
				return err
			}
		}
		report := o.ring.reportAt(&o.config, o.callerID)
		if !report.IsZero() && !now.Before(report) {
			break
		}
		text, err := o.next(earliest(report, o.ring.last.Add(o.config.RingTimeout)))
		if err != nil && !errors.Is(err, errTimeout) {
			return err
		}
		o.note(text)
	}
	r := o.ring.report(&o.config)
	if len(o.config.Numbers) > 0 && r.Dialed != "" && !slices.ContainsFunc(o.config.Numbers, func(n string) bool { return sameNumber(n, r.Dialed) }) {
		o.log.Debug("a call for another number is left to ring", zap.String(logging.KeyDialed, r.Dialed))
		return o.ringOut()
	}
	call := o.begin()
	o.dialed = r.Dialed
	o.post(call, r)
	o.log.Info("ringing", callField(call), zap.String(logging.KeyDialed, r.Dialed), zap.String(logging.KeyDialing, r.Dialing))
	return o.decide(call)
}

func callField(call line.Call) zap.Field { return zap.Uint64(logging.KeyCall, uint64(call)) }

// earliest returns the earlier of two times; the zero time is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// decide waits for the host to answer or reject the call that rings, or for
// the caller to give up.
func (o *owner) decide(call line.Call) error {
	stopped := func(code line.CauseCode, text string) {
		o.post(call, line.RingingStopped{Cause: line.Cause{Code: code, Text: at.Printable(text, 200)}})
		o.log.Info("ringing stopped", callField(call), zap.Stringer(logging.KeyCause, code))
	}
	for {
		text, err := o.next(o.ring.last.Add(o.config.RingTimeout))
		kind, another := at.Information, false
		if err == nil {
			kind, another = o.noteRing(text)
		}
		switch {
		case another:
			stopped(line.CauseCallerGaveUp, "")
			return o.release(call, false)
		case errors.Is(err, errTimeout), o.ring.stopped:
			o.ring.reset()
			stopped(line.CauseCallerGaveUp, "")
			return o.release(call, false)
		case errors.Is(err, errGone):
			o.ring.reset()
			stopped(line.CauseDevice, o.reason())
			return o.release(call, false)
		case errors.Is(err, errIntent):
			c := o.taken()
			if c.kind == commandAnswer {
				o.ring.reset()
				return o.answer(call)
			}
			stopped(line.CauseRejected, c.cause.Text)
			return o.refuse(call)
		case err != nil: // shutdown
			stopped(line.CauseShutdown, "")
			return err
		case kind == at.Connect:
			o.ring.reset()
			stopped(line.CauseUnknown, "modem answered without being told")
			return o.release(call, true)
		}
	}
}

// refuse deals with a call that the host does not want: it is left to ring, or
// taken and hung up at once to stop it.
func (o *owner) refuse(call line.Call) error {
	o.shield++
	defer func() { o.shield-- }()
	if o.config.RejectByHook {
		_, err := o.ask(o.profile.OffHook, o.config.CommandTimeout)
		if err == nil {
			err = o.pause(time.Second)
		}
		if errors.Is(err, errShutdown) {
			return err
		}
		o.ring.reset()
		return o.release(call, false)
	}
	if err := o.ringOut(); errors.Is(err, errShutdown) {
		return err
	}
	return o.release(call, false)
}

// ringOut waits until a call rings no more that nobody wants, or another one rings in its place.
func (o *owner) ringOut() error {
	for o.ring.active(o.config.RingTimeout) {
		text, err := o.next(o.ring.last.Add(o.config.RingTimeout))
		if err != nil && !errors.Is(err, errTimeout) {
			o.ring.reset()
			return err
		}
		if err != nil {
			break
		}
		if _, another := o.noteRing(text); another {
			return nil
		}
	}
	o.ring.reset()
	return nil
}

// noteRing is note while a call rings. It says whether the line is of another call, which is all that is known of the ring then: on a busy line the next
// caller comes before the silence that would tell the two apart. His number tells, or that he does not keep the beat.
func (o *owner) noteRing(text string) (kind at.Kind, another bool) {
	before, now := o.ring, time.Now()
	kind = o.note(text)
	rings := kind == at.Ring
	unnamed := before.beat.steady() && !before.id.Known() // until now, though a caller is told behind the first ring
	if !(rings && before.beat.broken(now, before.last)) && !before.id.Contradicts(&o.ring.id) && !(unnamed && o.ring.id.Known()) {
		return kind, false
	}
	o.ring.reset()
	if !rings || before.beat.late != 0 { // the last ring was his already
		o.ring.add(before.last, "RING", o.config.RingTimeout)
	}
	o.note(text)
	return kind, true
}

// sameNumber compares called numbers: an exchange may tell one with or without the digits in front.
func sameNumber(own, called string) bool {
	return strings.HasSuffix(called, own) || strings.HasSuffix(own, called)
}

// answer takes the call that rings.
func (o *owner) answer(call line.Call) error {
	o.post(call, line.Answering{})
	var r result
	if err := o.speak(o.config.protocolFor(o.dialed)); err != nil {
		r = o.unspoken(err)
	} else {
		r = o.handshake(o.profile.Answer, o.config.AnswerTimeout+5*time.Second)
	}
	if r.connected {
		return o.connected(call, r)
	}
	o.post(call, line.Lost{Cause: r.cause})
	o.log.Info("call lost before it was connected", callField(call), zap.Stringer(logging.KeyCause, r.cause))
	if r.err != nil {
		o.farewell(r.online)
		return r.err
	}
	return o.release(call, r.online)
}

// outgoing dials.
func (o *owner) outgoing(c command) error {
	o.ring.reset()
	o.post(c.call, line.Dialing{Number: c.dial.Number})
	o.log.Info("dialing", callField(c.call), zap.String(logging.KeyDialed, c.dial.Number))
	r := o.place(c)
	if r.connected {
		slowest, fastest := min(r.report.RxSpeed, r.report.TxSpeed), max(r.report.RxSpeed, r.report.TxSpeed)
		if slowest < c.dial.MinimumBPS || c.dial.MaximumBPS != 0 && fastest > c.dial.MaximumBPS {
			r.connected, r.online = false, true
			r.cause = line.Cause{Code: line.CauseNotAllowed, Text: "speed is outside the bounds: " + r.report.Raw}
		} else {
			return o.connected(c.call, r)
		}
	}
	o.post(c.call, line.DialFailed{Cause: r.cause})
	o.log.Info("dialing failed", callField(c.call), zap.Stringer(logging.KeyCause, r.cause))
	if r.err != nil {
		o.farewell(r.online)
		return r.err
	}
	return o.release(c.call, r.online)
}

// place gives the command to dial and waits for what comes of it.
func (o *owner) place(c command) result {
	digits, ok := o.profile.Called(c.number, c.dial.Subaddress)
	if !ok {
		return result{cause: line.Cause{Code: line.CauseNotSupported, Text: o.config.Dialect.Noun + " of this family cannot send a subaddress"}}
	}
	if err := o.speak(o.config.protocolTo(c.dial.Bearer)); err != nil {
		return o.unspoken(err)
	}
	if err := o.slow(c.dial.MaximumBPS); err != nil {
		return o.failed(err)
	}
	command := o.profile.DialTone
	if o.config.Pulse {
		command = o.profile.DialPulse
	}
	return o.handshake(command+digits, o.config.AnswerTimeout+at.DialTime(c.number, 2*time.Second)+5*time.Second)
}

// slow bounds the speed of the next call where it is to be slower than the line's own bound, and the modem can. What it connects at is checked all
// the same.
func (o *owner) slow(limit uint32) error {
	if limit == 0 || limit >= o.config.fastest() {
		return nil
	}
	command := o.profile.CapAt(limit)
	if command == "" {
		return nil
	}
	o.altered = true
	_, err := o.firstOf([]string{command})
	return err
}

// result is what came of ATA or ATD.
type result struct {
	connected bool
	report    line.Connected
	cause     line.Cause // if not connected
	online    bool       // the modem may be in data state
	err       error      // shutdown
}

// failures maps what a modem says instead of CONNECT.
var failures = map[at.Kind]line.CauseCode{
	at.NoCarrier: line.CauseNoCarrier, at.NoDialtone: line.CauseNoDialtone, at.Busy: line.CauseBusy, at.NoAnswer: line.CauseNoAnswer,
	at.NotData: line.CauseNotData, at.Delayed: line.CauseNotAllowed, at.Error: line.CauseUnknown,
}

// handshake gives ATA or ATD and waits for CONNECT or what is said instead. An
// OK is not an answer: some modems say OK and then CONNECT.
func (o *owner) handshake(command string, limit time.Duration) result {
	if err := o.settle(); err != nil {
		return o.failed(err)
	}
	o.ring.reset() // it may have rung once more before it was answered
	if err := o.send(command + "\r"); err != nil {
		return o.failed(err)
	}
	var details []string
	for deadline := time.Now().Add(limit); ; {
		text, err := o.next(deadline)
		if err != nil {
			return o.failed(err)
		}
		if at.IsEcho(text, command) {
			continue
		}
		switch kind := at.Classify(text); kind {
		case at.Connect:
			return result{connected: true, report: o.report(text, details)}
		case at.Detail:
			if len(details) < maxInformation {
				details = append(details, text)
			}
		case at.Progress:
			o.post(o.status.Call, line.Progress{Text: at.Printable(text, 80)})
		default:
			if code, ok := failures[kind]; ok {
				return result{cause: line.Cause{Code: code, Q850: o.config.Dialect.Q850(text), Text: at.Printable(text, 80)}}
			}
		}
	}
}

// settle keeps the distance from the modem's last word.
func (o *owner) settle() error { return o.pause(time.Until(o.heard.Add(o.config.CommandGap))) }

// failed turns the end of a handshake that the modem did not bring about into
// a result, and stops the modem.
func (o *owner) failed(err error) result {
	var r result
	switch {
	case errors.Is(err, errTimeout):
		r.cause = line.Cause{Code: line.CauseTimeout, Text: "no CONNECT in time"}
	case errors.Is(err, errIntent):
		o.taken()
		r.cause = line.Cause{Code: line.CauseHangup}
	case errors.Is(err, errGone):
		r.cause = line.Cause{Code: line.CauseDevice, Text: o.reason()}
		r.online = true
		return r
	case errors.Is(err, errShutdown):
		r.cause, r.err = line.Cause{Code: line.CauseShutdown}, err
		r.online = true
		return r
	default:
		r.cause = line.Cause{Code: line.CauseUnresponsive, Text: at.Printable(err.Error(), 200)}
	}
	r.online = !o.stopHandshake()
	return r
}

// stopHandshake makes the modem give the handshake up, as any character does,
// and says whether it is in command state.
func (o *owner) stopHandshake() bool {
	o.shield++
	defer func() { o.shield-- }()
	if o.send("\r") != nil {
		return false
	}
	for deadline := time.Now().Add(o.config.CommandTimeout); ; {
		text, err := o.next(deadline)
		if err != nil {
			return false
		}
		switch kind := at.Classify(text); {
		case kind == at.Connect:
			return false
		case kind.Final():
			return true
		}
	}
}

// report builds the event of a connection.
func (o *owner) report(connect string, details []string) line.Connected {
	c := at.ParseConnect(connect, details, o.profile.LineSpeed)
	r := line.Connected{RxSpeed: c.RxSpeed, TxSpeed: c.TxSpeed, SpeedKnown: c.TxSpeed != 0, DTESpeed: uint32(o.config.Speed),
		Framing: line.FramingAsync, Modulation: c.Modulation, ErrorControl: c.ErrorControl, Compression: c.Compression,
		Raw: at.Printable(strings.Join(append(append([]string(nil), details...), connect), "; "), 200)}
	if !r.SpeedKnown {
		r.RxSpeed, r.TxSpeed = o.config.AssumedSpeed, o.config.AssumedSpeed
	}
	o.config.Dialect.Connected(c, o.protocol, &r)
	return r
}
