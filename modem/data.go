package modem

import (
	"errors"
	"io"
	"time"

	"go.uber.org/zap"

	"trunkline.example/modem/at"
	"trunkline.example/modem/port"
	"trunkline.example/shared/line"
	"trunkline.example/shared/logging"
)

const (
	// textGuard is how long nothing may follow a NO CARRIER in the data for it
	// to be the modem's.
	textGuard = time.Second
	// textHold is how long the beginning of a NO CARRIER is held back.
	textHold = 50 * time.Millisecond
	// carrierPoll is how often DCD is looked at. A port has no way to wait for
	// it that costs less than a thread.
	carrierPoll = 100 * time.Millisecond
	// counterPoll is how often error counters are looked at.
	counterPoll = 5 * time.Second
	// drainTime is how long the host's last words may take to leave before the
	// line hangs up.
	drainTime = 500 * time.Millisecond
)

// session is a call in data state.
type session struct {
	intake  *intake
	base    port.Counters // of the port when the call began
	counts  bool          // the port has counters
	last    line.Counters // last reported
	carrier bool          // DCD has been seen to come up with this call: it can be believed
	off     time.Time     // since when it is off again
	pollAt  time.Time     // of DCD
	countAt time.Time     // of the counters
}

// connected carries the data of a call until it ends, and releases the line.
func (o *owner) connected(call line.Call, r result) error {
	s := &session{intake: newIntake(o.line.inbox, &o.tok)}
	base, err := o.port.Counters()
	s.base, s.counts = base, err == nil
	now := time.Now()
	s.countAt = now.Add(counterPoll)
	if _, known := o.carrier(); known && !o.strapped {
		s.pollAt = now
	}
	o.owed = true
	o.line.inbox.reset(nil)
	o.line.connect(o.port, o.escaping())
	o.post(call, r.report)
	o.log.Info("connected", callField(call), zap.Uint32(logging.KeySpeed, r.report.RxSpeed), zap.String("said", r.report.Raw))

	s.intake.feed(now, nil) // what came with CONNECT
	o.reader.direct(s.intake)
	cause, online, err := o.carry(s)
	s.intake.end()
	if o.reader != nil {
		o.reader.direct(nil)
	}

	o.line.disconnect()
	if cause.Code == line.CauseHangup || cause.Code == line.CauseShutdown {
		o.drain()
	}
	counters := o.counters(s)
	o.line.inbox.finish(io.EOF)
	o.tok.Reset()
	for _, text := range s.intake.followed() {
		o.note(text)
	}
	o.post(call, line.Lost{Cause: cause, Counters: counters, Report: o.tells})
	o.log.Info("call ended", callField(call), zap.Stringer(logging.KeyCause, cause), zap.Duration(logging.KeyDuration, time.Since(now)),
		zap.Uint64(logging.KeyOctetsIn, counters.RxOctets), zap.Uint64(logging.KeyOctetsOut, counters.TxOctets))
	if err != nil {
		o.farewell(online)
		return err
	}
	return o.release(call, online)
}

// carry moves data until the call ends, and says why, and whether the modem
// may still be in data state.
func (o *owner) carry(s *session) (cause line.Cause, online bool, err error) {
	for {
		select {
		case err := <-o.reader.failed:
			virtual := o.port.Info().Virtual
			said := s.intake.close()
			_ = o.vanished(err)
			switch {
			case !virtual:
				return line.Cause{Code: line.CauseDevice, Text: at.Printable(err.Error(), 200)}, true, nil
			case said != "":
				return o.lost(said), false, nil
			} // the far end of a pseudo-terminal is a modem that hung up
			return line.Cause{Code: line.CauseCarrierLost, Text: "the device hung up"}, true, nil
		case <-s.intake.kick:
		case c := <-o.line.commands:
			o.take(c)
		case <-o.line.abort:
			o.quit = true
		case <-o.alarm(earliest(s.intake.deadline(), earliest(s.pollAt, s.countAt))):
			if lost, text := o.look(s); lost {
				return o.lost(text), false, nil
			}
		}
		switch err := o.interrupted(); {
		case errors.Is(err, errShutdown):
			return line.Cause{Code: line.CauseShutdown}, true, err
		case errors.Is(err, errIntent):
			o.taken()
			return line.Cause{Code: line.CauseHangup}, true, nil
		}
	}
}

// lost is the cause of a call whose end the equipment has told, or shown.
func (o *owner) lost(text string) line.Cause {
	return line.Cause{Code: line.CauseCarrierLost, Q850: o.config.Dialect.Q850(text), Text: at.Printable(text, 80)}
}

// look does what is due: it believes or disbelieves a NO CARRIER or RING, watches DCD
// and reports counters.
func (o *owner) look(s *session) (lost bool, text string) {
	now := time.Now()
	said := s.intake.tick(now)
	if !s.pollAt.IsZero() && !now.Before(s.pollAt) {
		s.pollAt = now.Add(carrierPoll)
		on, known := o.carrier()
		switch {
		case on && known:
			s.carrier, s.off = true, time.Time{}
		case s.carrier && s.off.IsZero():
			s.off = now
		}
		if !s.off.IsZero() && now.Sub(s.off) >= o.config.CarrierLoss {
			return true, "DCD is off"
		}
	}
	if said != "" {
		if s.carrier && s.off.IsZero() { // it was the caller's: the carrier is there
			s.intake.flush()
		} else {
			return true, said
		}
	}
	if !now.Before(s.countAt) {
		s.countAt = now.Add(counterPoll)
		if c := o.counters(s); withoutOctets(c) != withoutOctets(s.last) {
			s.last = c
			o.post(o.status.Call, line.CountersChanged{Counters: c})
		}
	}
	return false, ""
}

// counters returns the totals of the call.
func (o *owner) counters(s *session) line.Counters {
	c := s.last
	c.RxOctets, c.TxOctets, c.Stalls = s.intake.total(), o.line.tx.Load(), o.line.stalls.Load()
	if !s.counts || o.port == nil {
		return c
	}
	p, err := o.port.Counters()
	if err != nil {
		return c
	}
	c.FramingErrors, c.ParityErrors = since(p.Framing, s.base.Framing), since(p.Parity, s.base.Parity)
	c.HardwareOverruns, c.BufferOverruns = since(p.Overrun, s.base.Overrun), since(p.BufferOverrun, s.base.BufferOverrun)
	c.Breaks = since(p.Break, s.base.Break)
	return c
}

// withoutOctets leaves the counts of errors.
func withoutOctets(c line.Counters) line.Counters {
	c.RxOctets, c.TxOctets = 0, 0
	return c
}

// since subtracts counters of 32 bits that wrap.
func since(now, base uint64) uint64 { return uint64(uint32(now) - uint32(base)) }

// drain gives the host's last words a moment to leave.
func (o *owner) drain() {
	o.shield++
	defer func() { o.shield-- }()
	for deadline := time.Now().Add(drainTime); o.port != nil && time.Now().Before(deadline); {
		if n, err := o.port.Unsent(); err != nil || n == 0 {
			return
		}
		select {
		case <-o.line.abort:
			return
		case <-o.alarm(time.Now().Add(10 * time.Millisecond)):
		}
	}
}
