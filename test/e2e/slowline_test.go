package e2e

import (
	"strings"
	"testing"
)

// A bulk download through a modem line leaves room for others: pings go between its packets, and neither the window nor the line drops
// anything. How long the pings take is printed; idle, a ping takes about 70 ms.
func TestSlowLineUnderLoad(t *testing.T) {
	t.Parallel()
	b := newBank(t, 1, 33600, "")
	serveBulk(t, b.space.Listen(innerAddress+":7001"), b.space.Listen(innerAddress+":7002"), bulkData())
	x := b.exchangeDir()
	g := b.dialing(x, 1, `
call 0 1000 `+password+` require-mppe-128
up ppp0
socat -u TCP:`+innerAddress+`:7002 CREATE:/tmp/got & download=$!
until_true 20 test -s /tmp/got
sleep 3
ping -q -c 20 -i 0.5 -W 10 `+innerAddress+` > /xchg/loaded
size=$(stat -c %s /tmp/got)
head -c $size /xchg/data | cmp - /tmp/got -n $size
touch /xchg/loaded.done
until_true 60 test -e /xchg/seen
kill $download
down
echo "downloaded: $size octets"
`)
	writeBulk(t, x, bulkData())
	awaitFile(t, g, x, "loaded.done")
	var sessions []struct {
		MTU  int
		Data struct{ Held int }
		Flow struct {
			Window, Stalls int
			Enforcement    string
		}
	}
	shown(t, &sessions, "pns", "sessions", "--json", b.admin())
	if len(sessions) != 1 || sessions[0].MTU > 576 || sessions[0].Data.Held == 0 || sessions[0].Flow.Window > 2 || sessions[0].Flow.Enforcement != "on" || sessions[0].Flow.Stalls == 0 {
		t.Errorf("pns sessions: %+v", sessions)
	}
	write(t, x, "seen", "")
	out, status := g.Wait(t)
	if status != 0 {
		t.Fatalf("the guest ended with %d:\n%s\n%s", status, out, readFile(t, path(x, "client0.log")))
	}
	pings := strings.TrimSpace(readFile(t, path(x, "loaded")))
	contains(t, "ping", pings, "20 received, 0% packet loss")
	t.Logf("%s\n%s", pings, out)
	for daemon, r := range map[string]map[string]any{"pac": b.pacRecord(0), "pns": b.record(0)} {
		errors, _ := r["errors"].(map[string]any)
		if errors["lost"] != nil || daemon == "pac" && errors["dropped"] != nil {
			t.Errorf("%s's call record: %v", daemon, r)
		}
	}
}
