package pac

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/pac/config"
	"trunkline.example/shared/line"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/callstats"
	"trunkline.example/shared/pptp/control"
)

func waiting(c *config.Config) { c.Timers.Report = 3 * time.Second }

const usrReport = "Retrains Requested 2 Retrains Granted 0; Speed 28800/26400; Disconnect Reason is Loss of carrier"

// The end of a call waits for what the modem says about it, but not for ever, and not where nothing is to be expected.
func TestEndWaitsForTheReport(t *testing.T) {
	for name, c := range map[string]struct {
		change    func(*config.Config)
		announced bool
		fails     bool
		after     time.Duration // until the line is idle, or fails
		told      time.Duration // when the network server is told
		why       string
	}{
		"report":         {change: waiting, announced: true, after: 1500 * time.Millisecond, told: 1500 * time.Millisecond, why: "loss-of-carrier"},
		"too late":       {change: waiting, announced: true, after: 5 * time.Second, told: 3 * time.Second},
		"line goes down": {change: waiting, announced: true, fails: true, after: time.Second, told: time.Second},
		"not announced":  {change: waiting, after: 1500 * time.Millisecond},
		"not wanted":     {announced: true, after: 1500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := start(t, accept, accept, c.change)
				defer x.end()
				far, _ := x.up()
				far.SetReport(usrReport, c.announced)
				far.Hold()
				ended := time.Now()
				x.must(far.HangUp(t.Context()))
				time.AfterFunc(c.after, func() {
					if c.fails {
						far.Fail(line.Cause{Code: line.CauseDevice})
					} else {
						far.Release()
					}
				})
				why := next[control.CallEnded](x.pns["a"]).Why
				if took := time.Since(ended); took != c.told {
					t.Errorf("told after %v", took)
				}
				told, ok := callstats.Parse(why.Statistics)
				if !ok || why.Disconnect != pptp.DisconnectLostCarrier || told.Cause != "carrier-lost" || told.Ago != uint64(c.told.Milliseconds()) || told.Link.Reason != c.why {
					t.Errorf("told is %+v, %q", told, why.Statistics)
				}
				if c.why != "" && (told.Link.Retrains != 2 || told.Link.SpeedIn != 28800 || told.Link.SpeedOut != 26400) {
					t.Errorf("told is %+v", told.Link)
				}
				<-time.After(10 * time.Second) // nothing else is said of it
				select {
				case a := <-x.pns["a"].actions:
					t.Errorf("told after that: %+v", a)
				default:
				}
			})
		})
	}
}

// Who asked for the end is told that way too; and when the control connection goes there is nobody to be told any more.
func TestEndThatWaitsIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, waiting)
		defer x.end()
		far, call := x.up()
		far.SetReport(usrReport, true)
		far.Hold()
		p := x.pns["a"]
		p.do(func(now time.Time, c *control.Connection) error { return c.ClearCall(now, call.Own()) })
		time.AfterFunc(time.Second, far.Release)
		if why := next[control.CallEnded](p).Why; why.Disconnect != pptp.DisconnectRequest || !strings.Contains(why.Statistics, "why=loss-of-carrier") || !strings.Contains(why.Statistics, "ago=1000") {
			t.Errorf("told is %q", why.Statistics)
		}
		far.Hold()
		x.up()
		x.must(far.HangUp(t.Context()))
		synctest.Wait()
		_ = p.runner.Do(t.Context(), func(now time.Time, c *control.Connection) { c.Abandon(now, errors.New("power cut")) })
		synctest.Wait()
		if o := x.server.owners[0]; o.untold != nil {
			t.Error("an end is kept for a control connection that is gone")
		}
		far.Release()
	})
}
