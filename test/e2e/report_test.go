package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// pac may wait for what its modem says about a call: pns has it in its record, and knows when the call has ended. The first call of a modem is not waited for:
// nobody knows yet that it says anything.
func TestReportReachesPNS(t *testing.T) {
	t.Parallel()
	b := newBank(t, 2, 115200, "")
	x := b.exchangeDir()
	write(t, b.dir, "pac.toml", strings.Replace(readFile(t, b.config), "[timers]\n", "[timers]\nreport = \"10s\"\n", 1))
	b.reconfigure("")
	g := b.dialing(x, 2, `
for round in 0 1; do
	until_true 100 test -e /xchg/idle$round
	call $round 1001 `+password+` require-mppe-128
	up ppp0
	pings `+innerAddress+` 64
	down
	touch /xchg/over$round
done
`)
	for round := range 2 {
		write(t, x, fmt.Sprintf("idle%d", round), "")
		awaitFile(t, g, x, fmt.Sprintf("over%d", round))
		b.awaitIdle()
	}
	if out, status := g.Wait(t); status != 0 {
		t.Fatalf("the guest ended with %d:\n%s", status, out)
	}
	for round := range 2 {
		ours, theirs := b.pacRecord(round), b.record(round)
		link, _ := ours["link"].(map[string]any)
		if link["reason"] == nil || link["speed_in"] != float64(115200) || !strings.Contains(fmt.Sprint(ours["line_report"]), "Ended:") {
			t.Errorf("call %d: pac's record: %v", round, ours)
		}
		statistics := fmt.Sprint(theirs["statistics"])
		if round == 0 {
			if theirs["link"] != nil || strings.Contains(statistics, "ago=") {
				t.Errorf("the first call was waited for: %v", theirs)
			}
			continue
		}
		if far, _ := theirs["link"].(map[string]any); far["reason"] != link["reason"] || !strings.Contains(statistics, " ago=") || !strings.Contains(statistics, " why=") {
			t.Errorf("pns's record: %v, pac's: %v", theirs, ours)
		}
	}
}
