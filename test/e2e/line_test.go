package e2e

import (
	"testing"

	"trunkline.example/pac"
)

// An operator tests a line, makes it busy, and takes it back into use; real clients hear the difference.
func TestLineActions(t *testing.T) {
	t.Parallel()
	b := newBank(t, 1, 115200, "")
	x := b.exchangeDir()
	act := func(action, says string) {
		t.Helper()
		out, err := cli(t, "", "pac", "line", action, "line1", "--admin", b.socket())
		if err != nil {
			t.Fatalf("pac line %s: %v\n%s", action, err, out)
		}
		contains(t, "pac line "+action, out, says)
	}
	act("test", "line1: idle, Virtual Modem")
	act("reset", "line1: idle, Virtual Modem")
	act("disable", "line1: idle, disabled")
	var l pac.LineStatus
	if shown(t, &l, "pac", "line", "disable", "line1", "--json", "--admin", b.socket()); l.Name != "line1" || !l.Disabled {
		t.Errorf("pac line disable --json: %+v", l)
	}
	act("busy-out", "line1: down, disabled (maintenance: busy-out)")
	b.dial(x, 1, `
call 0 1001 `+password+`
! up ppp0
down
`)
	contains(t, "chat at a line that is busied out", readFile(t, path(x, "client0.log")), "BUSY")
	if n := b.calls(); n != 0 {
		t.Errorf("the line had %d calls", n)
	}
	act("enable", "line1: idle, Virtual Modem")
	b.awaitIdle()
	b.dial(x, 1, `
call 0 1001 `+password+`
up ppp0
pings `+innerAddress+` 64
down
`)
	if n := b.calls(); n != 1 {
		t.Errorf("the line had %d calls", n)
	}
	b.awaitIdle()
}
