package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// With connection = "per-call" each call of pac has a control connection of its own, beside the one that is kept for the next.
func TestControlConnectionPerCall(t *testing.T) {
	t.Parallel()
	b := newBank(t, 2, 115200, "")
	b.pac.Stop()
	text := strings.Replace(readFile(t, b.config), "[[pns]]\n", "[[pns]]\nconnection = \"per-call\"\n", 1)
	if err := os.WriteFile(b.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b.startPAC()
	connections := func(want, calls int) {
		t.Helper()
		eventually(t, "there are other control connections than those of the calls and one", time.Minute, func() bool {
			var status struct{ Connections, Calls int }
			out, err := cli(t, "", "pns", "status", "--json", b.admin())
			return err == nil && json.Unmarshal([]byte(out), &status) == nil && status.Connections == want && status.Calls == calls
		})
	}
	connections(1, 0)
	x := b.exchangeDir()
	g := b.dialing(x, 2, `
call 0 1000 `+password+` require-mppe-128
first=$pid
up ppp0
call 1 1000 `+password+` require-mppe-128
up ppp1
pings `+innerAddress+` 64
touch /xchg/both
until_true 100 test -e /xchg/one
down
touch /xchg/down
until_true 100 test -e /xchg/none
pid=$first
down
`)
	awaitFile(t, g, x, "both")
	connections(3, 2)
	write(t, x, "one", "")
	awaitFile(t, g, x, "down")
	connections(2, 1)
	write(t, x, "none", "")
	if out, status := g.Wait(t); status != 0 {
		t.Fatalf("the guest ended with %d:\n%s", status, out)
	}
	connections(1, 0)
	for n := range 2 {
		if r := b.record(n); r["kind"] != "incoming" || r["user"] != "alice" || r["pac"] != "bank" {
			t.Errorf("call record %d: %v", n, r)
		}
	}
}
