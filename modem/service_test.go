package modem

import (
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/line"
)

func TestResetOfALineThatIsDown(t *testing.T) {
	inBubble(t, rig{down: true, before: func(h *host) { h.sim.silent = true }}, func(h *host) {
		want[line.Down](h)
		h.sim.set(func() { h.sim.silent = false })
		start := time.Now()
		h.must(h.line.Service(h.Context(), line.ServiceReset))
		if d := want[line.Down](h); d.Cause.Code != line.CauseMaintenance || d.Cause.Text != "reset" {
			t.Errorf("%+v", d)
		}
		want[line.Up](h)
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("took %v", took)
		}
		h.connect()
	})
}

func TestTestOfALineThatFails(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.sim.set(func() { h.sim.silent = true })
		h.must(h.line.Service(h.Context(), line.ServiceTest))
		want[line.Down](h)
		if d := want[line.Down](h); d.Cause.Code != line.CauseUnresponsive || d.Retry != time.Minute {
			t.Errorf("%+v", d)
		}
		h.sim.set(func() { h.sim.silent = false })
		h.must(h.line.Service(h.Context(), line.ServiceRestore))
		want[line.Down](h)
		want[line.Up](h)
	})
}

func TestBusyOut(t *testing.T) {
	inBubble(t, rig{}, func(h *host) {
		h.must(h.line.Service(h.Context(), line.ServiceBusyOut))
		want[line.Down](h)
		h.quiet(time.Hour)
		if seen := strings.Join(h.sim.seen, " "); !strings.HasSuffix(seen, " H1") {
			t.Errorf("%q", seen)
		}
		h.must(h.line.Service(h.Context(), line.ServiceRestore))
		want[line.Down](h)
		want[line.Up](h)
		h.connect()
		h.must(h.line.Hangup(h.Context(), h.status.Call))
		want[line.Lost](h)
		want[line.Idle](h)
		h.must(h.line.Service(h.Context(), line.ServiceBusyOut)) // and shut down like that
		want[line.Down](h)
	})
}

// A modem that hangs for good is switched off and on by its USB port, if that is allowed.
func TestUSBReset(t *testing.T) {
	for policy, helps := range map[string]bool{"off": false, "authorize": true, "power": true} {
		t.Run(policy, func(t *testing.T) {
			inBubble(t, rig{down: true, keys: "usb_reset = \"" + policy + "\"", before: func(h *host) {
				h.sim.silent = true
				h.device.SetSwitch(func() { h.sim.set(func() { h.sim.silent, h.sim.echo = false, true }) })
			}}, func(h *host) {
				if !helps {
					want[line.Down](h)
					return
				}
				want[line.Up](h)
				h.connect()
			})
		})
	}
}
