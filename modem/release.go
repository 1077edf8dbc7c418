package modem

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"trunkline.example/modem/port"
	"trunkline.example/shared/line"
)

// release frees the line after a call that has been reported as over, proves
// it, and reports the line idle. online: the modem may be in data state. The
// error says why the line is of no use any more.
func (o *owner) release(call line.Call, online bool) error {
	if o.intent.call == call { // it came too late
		o.taken()
	}
	if err := o.free(online); err != nil {
		return o.unusable(err)
	}
	o.post(call, line.Idle{Report: o.said})
	o.said = ""
	o.log.Debug("line is idle", callField(call))
	return nil
}

// free makes sure that the line is on hook and the modem obeys.
func (o *owner) free(online bool) error {
	o.shield++
	defer func() { o.shield-- }()
	if o.port == nil {
		if online { // the device went away in a call: the modem must notice too
			if err := o.pause(o.config.DTRLow); err != nil {
				return err
			}
		}
		return o.reopen()
	}
	there := o.onHook
	if o.ring.active(o.config.RingTimeout) { // on hook, and some adapters take ATH for a refusal of the call
		there = func() error { return o.alive(3) }
	}
	if !online && there() == nil {
		return o.prepare(o.altered)
	}
	if o.quit && !o.closing {
		return errShutdown
	}
	for _, step := range o.ladder() {
		err := step.do()
		if errors.Is(err, port.ErrUnsupported) || errors.Is(err, errSilent) {
			continue
		}
		if err != nil && !errors.Is(err, errGone) {
			return err
		}
		if o.port == nil {
			break
		}
		o.tok.Reset()
		if o.onHook() != nil {
			continue
		}
		if step.proves != wayUnproved && online && o.proved == wayUnproved {
			o.log.Info("modem hangs up", zap.Stringer("by", step.proves))
			o.proved = step.proves
		}
		return o.prepare(o.altered)
	}
	// It stays closed long enough to be noticed.
	o.closePort()
	if err := o.pause(o.config.DTRLow); err != nil {
		return err
	}
	if err := o.reopen(); err != nil {
		return err
	}
	if on, known := o.carrier(); known && on {
		o.log.Warn("DCD is on although the modem says it is on hook: is it wired, and is &C1 obeyed?")
	}
	return nil
}

// rung is one way to hang up in data state.
type rung struct {
	do     func() error
	proves way // what its success says about the modem
}

// ladder returns the ways to hang up, but for closing the device, in the order
// in which they are tried.
func (o *owner) ladder() []rung {
	dtr := func(low time.Duration) rung {
		return rung{func() error { return o.dropDTR(low) }, wayDTR}
	}
	b0 := func(low time.Duration) rung {
		return rung{func() error { return o.speedZero(low) }, wayB0}
	}
	switch o.proved {
	case wayClose:
		return nil
	case wayB0:
		return []rung{b0(o.config.DTRLow), b0(longLow)}
	}
	ladder := []rung{dtr(o.config.DTRLow)}
	if o.escaping() {
		ladder = append(ladder, rung{o.escape, wayUnproved})
	}
	if o.proved == wayUnproved {
		ladder = append(ladder, b0(o.config.DTRLow))
	}
	return append(ladder, dtr(longLow))
}

// onHook hangs up in command state. A nil error is the modem's word that it is
// on hook, and DCD does not contradict it.
func (o *owner) onHook() error {
	var err error
	for range 2 {
		if _, err = o.ask(o.profile.HangUp, o.config.CommandTimeout); err == nil || errors.Is(err, errGone) || errors.Is(err, errShutdown) {
			break
		}
	}
	if err != nil {
		return err
	}
	for range 10 { // DCD may lag
		on, known := o.carrier()
		if !known || !on || o.strapped {
			return nil
		}
		if err := o.pause(100 * time.Millisecond); err != nil {
			return err
		}
	}
	o.log.Debug("DCD stays on", zap.String("after", "ATH"))
	return errOnline
}

// farewell hangs up when the line is being shut down, as far as the time that
// Shutdown allows. Closing the device afterwards does the rest.
func (o *owner) farewell(online bool) {
	select {
	case <-o.line.abort:
		return
	default:
	}
	if o.port == nil || !online {
		return
	}
	o.closing = true
	defer func() { o.closing = false }()
	o.shield++
	defer func() { o.shield-- }()
	if err := o.dropDTR(o.config.DTRLow); errors.Is(err, port.ErrUnsupported) && o.escaping() {
		if o.escape() == nil {
			_, _ = o.ask(o.profile.HangUp, o.config.CommandTimeout)
		}
	}
}
