package pac

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"trunkline.example/shared/line"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/callstats"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/record"
)

// who ended a call.
type by uint8

const (
	nobody by = iota
	byCaller
	byPNS
	byOperator
	bySelf
)

// ending is why a call ends, in words and in the codes of Call-Disconnect-Notify.
type ending struct {
	by       by
	result   pptp.DisconnectResult
	error    pptp.ErrorCode
	outgoing pptp.OutgoingResult // answer to the request for a call that was not up yet; 0: as the line's cause says
	reason   string
}

const (
	lostCarrier   = pptp.DisconnectLostCarrier
	generalError  = pptp.DisconnectGeneralError
	adminShutdown = pptp.DisconnectAdminShutdown
	onRequest     = pptp.DisconnectRequest
)

// hangup is the operator's command.
func (o *owner) hangup(id string) error {
	c := o.call
	if c == nil || id != "" && id != c.id {
		return errNoCall
	}
	o.end(c, ending{by: byOperator, result: adminShutdown, reason: "an operator hung up"})
	return nil
}

// end begins the end of a call from our side: the line is hung up, and when it says that the call is over, so does over.
func (o *owner) end(c *call, e ending) {
	if c.stage == stageEnding {
		return
	}
	c.stage, c.ending = stageEnding, e
	if c.data != nil {
		c.data.Stop()
	}
	o.hangLine(c)
}

// hangLine tells the line to hang up, and sees to it that it is told again if that does not help.
func (o *owner) hangLine(c *call) {
	c.deadline = time.Now().Add(o.server.config().Timers.Hangup)
	o.schedule(c.deadline)
	ctx, cancel := lineCommand()
	defer cancel()
	if err := o.line.Hangup(ctx, c.number); err != nil && !errors.Is(err, line.ErrNoCall) {
		c.log.Warn("the line could not be hung up", zap.Error(err))
	}
}

// lineCommand bounds how long a line may take to accept a command; a driver that hangs is its supervisor's matter.
func lineCommand() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), commandLimit)
}

// over is the line's word that the call is over.
func (o *owner) over(cause line.Cause) {
	c := o.call
	if c == nil {
		return
	}
	o.call = nil
	o.timer.Stop()
	o.stopData(c)
	if c.ending.by == nobody {
		c.ending = endingOf(cause)
	}
	held := o.holds(c)
	if !held {
		o.disconnect(c, cause, statistics(c, cause))
	}
	if c.test != nil {
		o.testOver(c, cause)
	}
	o.server.traces.Over(time.Now(), o.about(c), fmt.Sprintf("%v, %s", cause, c.ending.reason))
	o.record(c, cause)
	if held {
		o.hold(c, cause)
	}
}

// disconnect tells the network server the end of the call, unless it knows.
func (o *owner) disconnect(c *call, cause line.Cause, s callstats.Statistics) {
	if !c.leg.valid() {
		return
	}
	if c.relay != nil {
		c.leg.notifyErrors(wanErrors(c)) // the counters as they stood at the end
	}
	if c.kind == record.KindOutgoing && c.connected.IsZero() && c.ending.by != byPNS {
		if err := c.leg.answer(outgoingFailure(c.ending, cause)); err == nil {
			c.leg = leg{}
			return
		}
		// It has been cleared meanwhile: that is answered by a Call-Disconnect-Notify.
	}
	d := control.Disconnect{Result: c.ending.result, Error: c.ending.error, Cause: pptp.CauseCode(cause.Q850), Statistics: s.String()}
	if err := c.leg.disconnect(d); err != nil {
		c.log.Warn("the network server could not be told of the end", zap.Error(err))
	}
	c.leg = leg{}
}

// stopData ends what uses the line and sees to it that it has let go of it: nothing may read what the next call receives.
func (o *owner) stopData(c *call) {
	if c.data == nil {
		return
	}
	c.data.Stop()
	timer := time.NewTimer(commandLimit)
	defer timer.Stop()
	select {
	case <-c.data.Done():
	case <-timer.C:
		c.log.Error("the line's driver breaks the contract: reading or writing goes on after the end of the call")
	}
}
