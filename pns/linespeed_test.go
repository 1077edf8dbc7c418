package pns

import (
	"testing"

	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/pptp/fsm"
)

// A packet must not occupy a slow line for long, and few may be under way; of an Internet client's line nothing is known.
func TestSlowLine(t *testing.T) {
	for _, c := range []struct {
		role   fsm.Role
		speed  uint32
		stated uint16

		mtu    int
		window uint16
		hold   int
	}{
		{fsm.RolePNS, 2400, 16, 576, 2, 16},
		{fsm.RolePNS, 28_800, 16, 576, 2, 16},
		{fsm.RolePNS, 33_600, 16, 576, 2, 18},
		{fsm.RolePNS, 33_600, 1, 576, 1, 18},
		{fsm.RolePNS, 33_600, 0, 576, 0, 18},
		{fsm.RolePNS, 56_000, 16, 875, 2, 20},
		{fsm.RolePNS, 64_000, 16, 1000, 2, 20},
		{fsm.RolePNS, 115_200, 16, 1400, 2, 25},
		{fsm.RolePNS, 2_000_000, 64, 1400, 44, 64},
		{fsm.RolePNS, 0, 16, 1400, 16, 16},
		{fsm.RolePAC, 2400, 16, 1400, 16, 16},
	} {
		speed := (&call{conn: &conn{}, info: control.Call{Role: c.role, ConnectSpeed: c.speed}}).lineSpeed()
		mtu := lineMTU(speed, 1400)
		if window, hold := lineWindow(speed, mtu, c.stated), lineHold(speed, mtu); mtu != c.mtu || window != c.window || hold != c.hold {
			t.Errorf("%v at %d bit/s, %d stated: MTU %d, window %d, hold %d; want %d, %d, %d", c.role, c.speed, c.stated, mtu, window, hold, c.mtu, c.window, c.hold)
		}
	}
}
