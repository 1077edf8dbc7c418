package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"trunkline.example/pns"
)

// callOut has pns make a call by the bank.
func (b *bank) callOut(number string) (r pns.CallResult, err error) {
	b.t.Helper()
	out, err := cli(b.t, "", "pns", "call", number, "--pac", "bank", "--json", b.admin())
	start := 0
	for start < len(out) && out[start] != '{' {
		start++
	}
	if jsonErr := json.NewDecoder(strings.NewReader(out[start:])).Decode(&r); jsonErr != nil {
		b.t.Fatalf("pns call %s: %v\n%s", number, jsonErr, out)
	}
	return r, err
}

// answered is the far end of a call that pac dials: a real pppd answers it, logs in and pings.
const answered = `
secrets "$user * ` + password + ` *"
touch /xchg/booted
pppd /dev/ttyS0 115200 nodetach noauth noipv6 debug user "$user" logfile /xchg/client0.log require-mppe-128 \
	connect "chat -v -s TIMEOUT 100 '' ATZ OK '\c' RING ATA CONNECT ''" &
pid=$!
up ppp0
pings ` + innerAddress + ` 64 1400
touch /xchg/pinged`

// pns has pac dial; a real pppd answers, logs in and is reached from the server's side. A number that is busy and one that is not
// allowed are told as what they are.
func TestOutgoingCall(t *testing.T) {
	t.Parallel()
	b := newBank(t, 1, 115200, "")
	x := b.exchangeDir()
	g := b.dialing(x, 1, answered+`
wait $pid || echo "pppd ended: $?"
`)
	awaitFile(t, g, x, "booted")
	r, err := b.callOut("2001")
	if err != nil || !r.Up || r.User != "alice" || r.Address != "10.97.0.2" || r.Speed != 115200 {
		t.Fatalf("the call: %+v, %v", r, err)
	}
	awaitFile(t, g, x, "pinged") // both at once are more than the line carries
	contains(t, "ping from the server's side", b.space.Run("ping", "-q", "-c", "20", "-i", "0.2", "-W", "5", "-s", "1400", r.Address), "20 received, 0% packet loss")
	if out, err := cli(t, "", "pns", "kick", b.admin(), "alice"); err != nil {
		t.Errorf("pns kick: %v\n%s", err, out)
	}
	if out, status := g.Wait(t); status != 0 {
		t.Fatalf("the guest ended with %d:\n%s", status, out)
	}
	contains(t, "pppd", readFile(t, path(x, "client0.log")), "CHAP authentication succeeded", "MPPE 128-bit stateless compression enabled", "LCP terminated by peer")
	b.awaitIdle()
	if r := b.record(0); r["kind"] != "outgoing" || r["user"] != "alice" || r["dialed"] != "2001" || r["ended_by"] != "operator" {
		t.Errorf("pns's call record: %v", r)
	}
	if r := b.pacRecord(0); r["kind"] != "outgoing" || r["line"] != "line1" || r["dialed"] != "2001" || r["result"] != float64(4) {
		t.Errorf("pac's call record: %v", r)
	}
	for number, result := range map[string]uint8{"2099": 3, "0900": 7} {
		if r, err := b.callOut(number); err == nil || r.Up || r.Result != result || r.Reason == "" {
			t.Errorf("a call to %s: %+v, %v; want result %d", number, r, err, result)
		}
	}
	b.awaitIdle()
}
