package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"trunkline.example/test/guest"
)

// Eight callers, each its own user, all connected at once; while some ping, others hang up.
func TestEightCallsAtOnce(t *testing.T) {
	t.Parallel()
	const callers = 8
	b := newBank(t, callers, 57600, "")
	var secrets strings.Builder
	for i := range callers {
		name := fmt.Sprintf("caller%d", i)
		b.addUser(name)
		fmt.Fprintf(&secrets, " '%s * %s *'", name, password)
	}
	x := b.exchangeDir()
	g := b.dialing(x, callers, `
secrets`+secrets.String()+`
pids=
for line in 0 1 2 3 4 5 6 7; do
	pppd /dev/ttyS$line 115200 nodetach noauth noipv6 nodefaultroute debug unit $line user caller$line require-mppe-128 logfile /xchg/client$line.log \
		connect "chat -s ABORT BUSY ABORT 'NO CARRIER' ABORT 'NO ANSWER' TIMEOUT 60 '' ATZ OK ATDT1000 CONNECT ''" &
	pids="$pids $!"
done
for line in 0 1 2 3 4 5 6 7; do until_true 90 link_up ppp$line; done
touch /xchg/up
until_true 60 test -e /xchg/go
pings=
for line in 0 1 2 3 4 5 6 7; do
	ping -q -I ppp$line -c $((8 + 3 * line)) -i 0.3 -W 5 -s 64 `+innerAddress+` > /tmp/ping$line &
	pings="$pings $!"
done
# Each is hung up as soon as its own pings are done, while those of the next ones go on.
set -- $pids
for ping in $pings; do
	wait $ping
	kill -INT $1; shift
done
for pid in $pids; do wait $pid || :; done
for line in 0 1 2 3 4 5 6 7; do
	grep -q ' 0% packet loss' /tmp/ping$line || { cat /tmp/ping$line; exit 1; }
done
echo "all came back"
`)
	awaitFile(t, g, x, "up")
	var sessions []map[string]any
	shown(t, &sessions, "pns", "sessions", "--json", b.admin())
	users := map[any]bool{}
	for _, s := range sessions {
		users[s["user"]] = true
	}
	if len(users) != callers {
		t.Errorf("%d users are logged in: %v", len(users), sessions)
	}
	write(t, x, "go", "")
	if out, status := g.Wait(t); status != 0 || !strings.Contains(out, "all came back") {
		t.Errorf("the guest ended with %d:\n%s", status, out)
	}
	b.awaitIdle()
	b.leftBehind(callers)
}

// leftBehind checks that after so many calls nothing of them is left at either daemon.
func (b *bank) leftBehind(calls int) {
	b.t.Helper()
	for n := range calls {
		b.record(n)
		b.pacRecord(n)
	}
	var sessions, relayed []any
	shown(b.t, &sessions, "pns", "sessions", "--json", b.admin())
	shown(b.t, &relayed, "pac", "calls", "--json", "--admin", b.socket())
	if len(sessions) > 0 || len(relayed) > 0 {
		b.t.Errorf("sessions left behind: %v, calls: %v", sessions, relayed)
	}
}

// shown decodes what a command prints as JSON.
func shown(t testing.TB, into any, name string, args ...string) {
	t.Helper()
	out, err := cli(t, "", name, args...)
	if err == nil {
		err = json.Unmarshal([]byte(out), into)
	}
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// awaitFile waits until the guest has made a file in its exchange directory.
func awaitFile(t testing.TB, g *guest.Guest, exchange, name string) {
	t.Helper()
	eventually(t, "the guest has not come as far as "+name, 2*time.Minute, func() bool {
		select {
		case <-g.Done():
			t.Fatalf("the guest has ended before %s:\n%s", name, g.Output())
		default:
		}
		_, err := os.Stat(path(exchange, name))
		return err == nil
	})
}

// twoCalls is a guest that calls on its first serial line, waits for that call's end, and calls again on the second when it may.
const twoCalls = `
call 0 1000 ` + password + ` require-mppe-128 lcp-echo-interval 1 lcp-echo-failure 5
up ppp0
touch /xchg/up
wait $pid || echo "pppd ended: $?"
touch /xchg/gone
until_true 120 test -e /xchg/again
call 1 1000 ` + password + ` require-mppe-128
up ppp0
pings ` + innerAddress + ` 64
down
`

// troubled makes a call, does something to it, and shows that the caller notices and the next call is served.
func troubled(t *testing.T, harm func(*bank), repair func(*bank)) *bank {
	t.Helper()
	b := newBank(t, 2, 115200, "")
	x := b.exchangeDir()
	g := b.dialing(x, 2, twoCalls)
	awaitFile(t, g, x, "up")
	harm(b)
	awaitFile(t, g, x, "gone")
	repair(b)
	b.awaitIdle()
	write(t, x, "again", "")
	if out, status := g.Wait(t); status != 0 {
		t.Fatalf("the guest ended with %d:\n%s", status, out)
	}
	return b
}

func TestPACKilledInMidCall(t *testing.T) {
	t.Parallel()
	b := troubled(t, func(b *bank) { b.pac.Kill() }, (*bank).startPAC)
	if r := b.record(0); r["cause"] != "lower-down" {
		t.Errorf("pns's record of the call: %v", r)
	}
}

func TestPNSKilledInMidCall(t *testing.T) {
	t.Parallel()
	b := troubled(t, func(b *bank) { b.pns.Kill() }, func(b *bank) { b.start() })
	if r := b.pacRecord(0); r["ended_by"] != "peer" || !strings.Contains(fmt.Sprint(r["reason"]), "control connection lost") {
		t.Errorf("pac's record of the call: %v", r)
	}
}

func TestDriverKilledInMidCall(t *testing.T) {
	t.Parallel()
	b := troubled(t, func(b *bank) {
		b.confined()
		var drivers []struct{ PID int }
		shown(t, &drivers, "pac", "drivers", "--json", "--admin", b.socket())
		if err := syscall.Kill(drivers[0].PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}, func(*bank) {})
	if r := b.pacRecord(0); r["cause"] != "driver" || r["result"] != float64(2) {
		t.Errorf("pac's record of the call: %v", r)
	}
	if r := b.record(0); r["result"] != float64(2) {
		t.Errorf("pns's record of the call: %v", r)
	}
}

// The caller's port is closed without a word, as by a power cut.
func TestCallerVanishes(t *testing.T) {
	t.Parallel()
	b := newBank(t, 1, 115200, "")
	x := b.exchangeDir()
	g := b.dialing(x, 1, twoCalls)
	awaitFile(t, g, x, "up")
	g.Kill()
	if r := b.pacRecord(0); r["cause"] != "carrier-lost" || r["result"] != float64(1) || r["ended_by"] != "client" {
		t.Errorf("pac's record of the call: %v", r)
	}
	b.record(0)
	b.awaitIdle()
	b.leftBehind(1)
}
