package pac

import (
	"time"

	"trunkline.example/shared/line"
	"trunkline.example/shared/linkreport"
	"trunkline.example/shared/pptp/callstats"
)

// untold is the end of a call that its network server has not been told yet: the line's device is being asked about the call, and the
// Call-Disconnect-Notify shall have what it says.
type untold struct {
	call  *call
	cause line.Cause
	stats callstats.Statistics // as they stood at the end
	ended time.Time
}

// overtaken says whether a message ends the call for the network server: there is nothing to tell any more.
func (u *untold) overtaken(m message) bool {
	return u != nil && m.ended != nil && m.call == u.call.number && m.from == u.call.leg.connection && m.own == u.call.leg.own
}

// holds says whether the end of the call waits for the device's report.
func (o *owner) holds(c *call) bool {
	return o.server.config().Timers.Report > 0 && c.reporting && c.relay != nil && c.leg.valid() && o.status.State == line.StateReleasing
}

func (o *owner) hold(c *call, cause line.Cause) {
	now := time.Now()
	o.untold = &untold{call: c, cause: cause, stats: statistics(c, cause), ended: now}
	o.schedule(now.Add(o.server.config().Timers.Report))
}

// tell tells an end that was held back.
func (o *owner) tell(report string) {
	u := o.untold
	if u == nil {
		return
	}
	o.untold = nil
	u.stats.Link = linkreport.Parse(report)
	u.stats.Ago = uint64(time.Since(u.ended).Milliseconds())
	o.disconnect(u.call, u.cause, u.stats)
}
