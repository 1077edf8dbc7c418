package pac

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"trunkline.example/shared/line"
)

// LineAction is what an operator can do to a line.
type LineAction string

// The actions. Disabling is the concentrator's own: the line works, and takes no new calls until it is enabled again or the concentrator
// is started anew. The others are the line's.
const (
	LineEnable  LineAction = "enable" // also ends busy-out and quarantine
	LineDisable LineAction = "disable"
	LineBusyOut LineAction = "busy-out"
	LineReset   LineAction = "reset"
	LineTest    LineAction = "test"
)

// LineRequest is the body of POST /line.
type LineRequest struct {
	Line   string     `json:"line"`
	Action LineAction `json:"action"`
}

var (
	errNoLineOfName = errors.New("there is no such line")
	errNoAction     = errors.New("there is no such action")
	errActing       = errors.New("another action is under way, or it rings: try again in a moment")
	errHasCall      = errors.New("it has a call: hang it up, or disable the line and wait for its end")
	errReserved     = errors.New("a self-test is about to call it: wait for its end")
)

// LineCommand does something to a line and returns how the line stands after it.
func (s *Server) LineCommand(ctx context.Context, r LineRequest) (LineStatus, error) {
	o := s.lineOf(r.Line)
	if o == nil {
		return LineStatus{}, errNoLineOfName
	}
	done := make(chan error, 1)
	if err := o.order(ctx, func() error { return o.act(r.Action, done) }); err != nil {
		return LineStatus{}, fmt.Errorf("line %s: %w", r.Line, err)
	}
	select {
	case err := <-done:
		return *o.shown.Load(), err
	case <-ctx.Done():
		return *o.shown.Load(), ctx.Err()
	}
}

// act begins an action. What comes of it goes to done, which has room.
func (o *owner) act(action LineAction, done chan error) error {
	services := map[LineAction]line.Service{LineBusyOut: line.ServiceBusyOut, LineReset: line.ServiceReset, LineTest: line.ServiceTest}
	service := services[action]
	switch {
	case action == LineEnable && (o.busiedOut() || o.waiting != nil && o.serving == line.ServiceBusyOut):
		o.disabled, o.quarantined = false, false
		service = line.ServiceRestore
	case action == LineEnable || action == LineDisable:
		if o.disabled = action == LineDisable; !o.disabled {
			o.quarantined = false
		}
		o.log.Info("operator", zap.String("action", string(action)))
		o.show()
		done <- nil
		return nil
	case service == 0:
		return errNoAction
	case o.reserved != nil:
		return errReserved
	}
	ctx, cancel := lineCommand()
	defer cancel()
	if err := o.line.Service(ctx, service); errors.Is(err, line.ErrBusy) {
		if o.call == nil {
			return errActing
		}
		return errHasCall
	} else if err != nil {
		return err
	}
	o.log.Info("operator", zap.String("action", string(action)))
	if o.waiting != nil {
		o.waiting <- errors.New("another action has taken its place")
	}
	o.serving, o.waiting = service, done
	return nil
}

// busiedOut says whether an operator has made the line busy.
func (o *owner) busiedOut() bool {
	return o.status.State == line.StateDown && o.status.Cause == line.Cause{Code: line.CauseMaintenance, Text: line.ServiceBusyOut.String()}
}

// served tells who waits for an action what has come of it, when the line says so.
func (o *owner) served(body line.Body) {
	if o.waiting == nil {
		return
	}
	var err error
	switch b := body.(type) {
	case line.Up:
	case line.Down:
		switch {
		case b.Cause.Code != line.CauseMaintenance:
			err = fmt.Errorf("line %s is down: %v", o.identity.Name, b.Cause)
		case o.serving != line.ServiceBusyOut:
			return
		}
	default:
		return
	}
	o.show()
	o.waiting <- err
	o.waiting = nil
}

// disabledWhy is the reason of a call that is refused by a disabled line.
const disabledWhy = "the line is disabled"

// lineErrors sums what the line's hardware got wrong in its present or last call.
func lineErrors(c line.Counters) uint64 {
	return c.FramingErrors + c.ParityErrors + c.HardwareOverruns + c.BufferOverruns + c.Stalls
}
