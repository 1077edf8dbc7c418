package modem

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"trunkline.example/shared/line"
)

// errService: the operator wants something done with the line.
var errService = errors.New("the operator wants something")

// maintain does what the operator wants; the line is to be brought up after it.
// The error is a shutdown's.
func (o *owner) maintain(service line.Service) error {
	for {
		o.log.Info("service", zap.Stringer("what", service))
		o.post(0, line.Down{Cause: line.Cause{Code: line.CauseMaintenance, Text: service.String()}})
		o.ring.reset()
		switch service {
		case line.ServiceReset:
			return o.reset()
		case line.ServiceBusyOut:
			if err := o.busyOut(); !errors.Is(err, errService) {
				return err
			}
			service = o.taken().service
			o.closePort() // hangs up
			if err := o.pause(o.config.DTRLow); err != nil {
				return err
			}
		default:
			o.closePort()
			return nil
		}
	}
}

// reset has the modem start from scratch, as far as it notices.
func (o *owner) reset() error {
	if o.port != nil {
		for _, do := range []func() error{func() error { return o.dropDTR(longLow) }, o.sendBreak} {
			if err := do(); errors.Is(err, errShutdown) {
				return err
			}
			if o.port == nil {
				break
			}
		}
	}
	if err := o.resetUSB(); errors.Is(err, errShutdown) {
		return err
	}
	o.closePort()
	return o.pause(reopenPause)
}

// busyOut takes the modem off hook and waits for the next service. A modem that
// does not obey is reported, and the line is down nevertheless.
func (o *owner) busyOut() error {
	if o.port != nil {
		if _, err := o.ask(o.profile.OffHook, o.config.CommandTimeout); errors.Is(err, errShutdown) {
			return err
		} else if err != nil {
			o.log.Warn("modem cannot be taken off hook: callers hear it ring", zap.Error(err))
		}
	}
	for {
		err := o.block(time.Time{})
		switch {
		case errors.Is(err, errShutdown):
			_ = o.send(o.profile.HangUp + "\r")
			return err
		case errors.Is(err, errIntent):
			return errService
		}
		o.tok.Reset() // whatever it says
	}
}
