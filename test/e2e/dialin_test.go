package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trunkline.example/test/daemon"
	"trunkline.example/test/guest"
)

// bank is a site with a pac and an exchange: line1, line2, ... answer under 1000; phone1, phone2, ... are for callers.
type bank struct {
	*site
	pac      *daemon.Daemon
	exchange *daemon.Daemon
	config   string
	lines    int
}

const pacAddress = "198.18.0.3"

// ends are the addresses of pns and pac towards each other.
type ends struct{ pns, pac string }

var (
	overIPv4 = ends{serverAddress, pacAddress}
	overIPv6 = ends{"2001:db8:18::1", "2001:db8:18::3"}
)

// newBank makes a site for dial-in calls with so many lines and phones. rate is in bit/s; extra configures pns.
func newBank(t testing.TB, lines, rate int, extra string) *bank {
	t.Helper()
	return newBankOn(t, overIPv4, lines, rate, extra, exchangeLine)
}

// exchangeLine is the device of pac's line i: that of the exchange.
func exchangeLine(b *bank, i int) string { return fmt.Sprintf("%s/line%d", b.ports(), i) }

// newBankOn is newBank with pac's lines, which count from 1, on devices of the test's choice; whatever those need can be started when they are asked for.
func newBankOn(t testing.TB, at ends, lines, rate int, extra string, device func(b *bank, i int) string) *bank {
	t.Helper()
	b := newBankSite(t, at, lines, extra)
	b.exchange = startDaemon(t, b.space, "pac", "exchange", "--dir", b.ports(), "--lines", fmt.Sprint(lines), "--phones", fmt.Sprint(lines), "--rate", fmt.Sprint(rate), "--training", "100ms")
	b.attachPAC(at, device)
	return b
}

// newBankSite makes the site of a bank, with pns and neither exchange nor pac.
func newBankSite(t testing.TB, at ends, lines int, extra string) *bank {
	t.Helper()
	s := newSite(t, 1, extra+`
[[listener]]
address = "0.0.0.0:1723"
[[listener]]
address = "[::]:1723"
[[pac]]
name = "bank"
address = ["`+at.pac+`"]
authentication = ["ms-chapv2", "chap-md5", "pap"]
encryption = "preferred"
dns = ["10.97.0.53"]
`)
	if s.space.Run("ip", "addr", "add", pacAddress+"/24", "dev", "br0"); at == overIPv6 {
		s.space.IPv6()
		s.space.Run("ip", "addr", "add", at.pns+"/128", "dev", "lo")
		s.space.Run("ip", "addr", "add", at.pac+"/128", "dev", "lo")
	}
	return &bank{site: s, lines: lines}
}

// attachPAC configures pac for the exchange's lines and starts it.
func (b *bank) attachPAC(at ends, device func(b *bank, i int) string) {
	b.t.Helper()
	lines := "kind = \"modem\"\n[driver.options]\ncommand_gap = \"10ms\"\nconnect_speed = \"line\"\n"
	for i := range b.lines {
		lines += fmt.Sprintf("[[driver.options.line]]\nname = \"line%d\"\ndevice = %q\nnumber = \"%d\"\n", i+1, device(b, i+1), 1001+i)
	}
	b.runPAC(at, "1000", lines, "20")
}

// runPAC starts pac with a driver; hunt is the number of its lines, and it may dial what begins with one of allowed.
func (b *bank) runPAC(at ends, hunt, driver string, allowed ...string) {
	b.t.Helper()
	b.config = write(b.t, b.dir, "pac.toml", fmt.Sprintf(`
[admin]
socket = %q
[records]
file = %q
[log]
level = "debug"
[timers]
reconnect = "200ms"
wan_errors = "1s"
[dialout]
allow = ["%s"]
state = %q
[[pns]]
name = "main"
address = %q
local = %q
[[hunt]]
name = "public"
number = %q
lines = ["*"]
[[driver]]
name = "bank"
%s`, b.socket(), b.callRecords(), strings.Join(allowed, `", "`), filepath.Join(b.dir, "dialled"), net.JoinHostPort(at.pns, "1723"), at.pac, hunt, driver))
	b.startPAC()
}

func (b *bank) ports() string       { return filepath.Join(b.dir, "lines") }
func (b *bank) socket() string      { return filepath.Join(b.dir, "pac.sock") }
func (b *bank) callRecords() string { return filepath.Join(b.dir, "pac-records.jsonl") }

func (b *bank) startPAC() {
	b.t.Helper()
	b.pac = startDaemon(b.t, b.space, "pac", "run", "--config", b.config)
	b.awaitIdle()
}

// shownLine is what `pac lines --json` says of a line, as far as the tests look.
type shownLine struct {
	Name, State string
	Calls       int
}

func (b *bank) shown() []shownLine {
	b.t.Helper()
	var lines []shownLine
	if out, err := cli(b.t, "", "pac", "lines", "--json", "--admin", b.socket()); err == nil {
		_ = json.Unmarshal([]byte(out), &lines)
	}
	return lines
}

// awaitIdle waits until every line is idle and the control connection is up.
func (b *bank) awaitIdle() {
	b.t.Helper()
	eventually(b.t, "the lines are not idle, or there is no control connection", 60*time.Second, func() bool {
		idle := 0
		for _, l := range b.shown() {
			if l.State == "idle" {
				idle++
			}
		}
		out, _ := cli(b.t, "", "pac", "status", "--json", "--admin", b.socket())
		return idle == b.lines && strings.Contains(out, `"established": true`)
	})
}

// calls is how many calls all lines have had.
func (b *bank) calls() (n int) {
	for _, l := range b.shown() {
		n += l.Calls
	}
	return n
}

// pacRecord waits for the n-th call record of pac.
func (b *bank) pacRecord(n int) map[string]any {
	b.t.Helper()
	return recordOf(b.t, b.callRecords(), n)
}

// caller defines for a guest `call LINE NUMBER PASSWORD OPTION...`, a pppd on that serial line in the background, `up INTERFACE` and
// `down`; $init is what its modem is told before it dials.
const caller = bulkScript + `
user=${user:-alice} interval=0.3 init=ATZ
call() {
	line=$1 number=$2
	secrets "$user * $3 *"; shift 3
	pppd /dev/ttyS$line 115200 nodetach noauth noipv6 debug user "$user" logfile /xchg/client$line.log \
		connect "chat -v -s ABORT BUSY ABORT 'NO CARRIER' ABORT 'NO ANSWER' TIMEOUT 60 '' '$init' OK ATDT$number CONNECT ''" "$@" &
	pid=$!
}
up() { until link_up "$1"; do kill -0 $pid 2> /dev/null || return 1; sleep 0.1; done; }
down() { kill -INT $pid 2> /dev/null || :; wait $pid || echo "pppd ended: $?"; }
`

// dial runs a guest whose serial lines are the first phones; the test fails if the script does.
func (b *bank) dial(exchange string, phones int, script string) string {
	b.t.Helper()
	return b.dialFrom("phone", exchange, phones, script)
}

// dialFrom is dial for other lines than phones.
func (b *bank) dialFrom(line, exchange string, phones int, script string) string {
	b.t.Helper()
	out, status := b.dialingFrom(line, exchange, phones, script).Wait(b.t)
	if status != 0 {
		var logs strings.Builder
		for i := range phones {
			log, _ := os.ReadFile(path(exchange, fmt.Sprintf("client%d.log", i)))
			fmt.Fprintf(&logs, "pppd on line %d:\n%s\n", i, log)
		}
		b.t.Fatalf("the guest's script ended with status %d and printed:\n%s\n%s", status, out, logs.String())
	}
	return out
}

// dialing starts such a guest.
func (b *bank) dialing(exchange string, phones int, script string) *guest.Guest {
	b.t.Helper()
	return b.dialingFrom("phone", exchange, phones, script)
}

// dialingFrom is dialing for other lines than phones.
func (b *bank) dialingFrom(line, exchange string, phones int, script string) *guest.Guest {
	b.t.Helper()
	serials := map[int]string{}
	for i := range phones {
		serials[i] = "unix:" + filepath.Join(b.ports(), fmt.Sprintf("%s%d.sock", line, i+1))
	}
	return guest.Start(b.t, guest.Config{Serials: serials, Exchange: exchange, Timeout: 4 * time.Minute}, caller+script)
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// One call after the other: ended by the caller, then by the network server's operator; the line answers each time.
func TestDialIn(t *testing.T) {
	t.Parallel()
	b := newBank(t, 2, 115200, "")
	x := b.exchangeDir()
	g := b.dialing(x, 2, `
call 0 1000 `+password+` require-mppe-128 asyncmap 000a0000 usepeerdns
up ppp0
pings `+innerAddress+` 64 1400
touch /xchg/up0
until_true 120 test -e /xchg/pinged
down
call 1 1000 `+password+` require-mppe-128
up ppp0
touch /xchg/up1
wait $pid || echo "pppd ended: $?"
`)
	awaitFile(t, g, x, "up0")
	for _, size := range []string{"64", "1400"} {
		out := b.space.Run("ping", "-q", "-c", "20", "-i", "0.2", "-W", "5", "-s", size, "10.97.0.2")
		contains(t, "ping from the server's side", out, "20 received, 0% packet loss")
	}
	write(t, x, "pinged", "")
	awaitFile(t, g, x, "up1")
	if out, err := cli(t, "", "pns", "kick", b.admin(), "alice"); err != nil {
		t.Errorf("pns kick: %v\n%s", err, out)
	}
	if out, status := g.Wait(t); status != 0 {
		t.Fatalf("the guest ended with %d:\n%s", status, out)
	}
	first := readFile(t, path(x, "client0.log"))
	contains(t, "pppd", first, "CHAP authentication succeeded", "MPPE 128-bit stateless compression enabled", "asyncmap 0xa0000", "primary   DNS address 10.97.0.53")
	contains(t, "the second pppd", readFile(t, path(x, "client1.log")), "LCP terminated by peer")
	b.awaitIdle()
	if r := b.record(0); r["user"] != "alice" || r["ended_by"] != "client" || r["kind"] != "incoming" || r["dialed"] != "1000" || r["dialing"] != "2001" {
		t.Errorf("the first call record: %v", r)
	}
	if r := b.record(1); r["ended_by"] != "operator" {
		t.Errorf("the second call record: %v", r)
	}
	if r := b.pacRecord(0); r["line"] != "line1" || r["speed_out"] != float64(115200) || r["errors"] != nil && r["errors"].(map[string]any)["fcs"] != nil {
		t.Errorf("pac's first call record: %v", r)
	}
	if report, _ := b.pacRecord(0)["line_report"].(string); !strings.Contains(report, "Last call ANSWER") {
		t.Errorf("the modem said of the first call: %q", report)
	}
	if r := b.pacRecord(1); r["result"] != float64(4) {
		t.Errorf("pac's second call record: %v", r)
	}
}

func (b *bank) exchangeDir() string { return b.site.exchange() }

func TestDialInWithOtherProtocols(t *testing.T) {
	t.Parallel()
	b := newBank(t, 3, 115200, "")
	x := b.exchangeDir()
	b.dial(x, 3, `
call 0 1000 `+password+` refuse-chap refuse-mschap refuse-mschap-v2 refuse-eap
up ppp0
pings `+innerAddress+` 64
down
call 1 1000 `+password+` refuse-pap refuse-mschap refuse-mschap-v2 refuse-eap
up ppp0
pings `+innerAddress+` 64
down
call 2 1000 `+wrongPassword+`
! up ppp0
down
`)
	contains(t, "pppd with PAP", readFile(t, path(x, "client0.log")), "PAP authentication succeeded")
	contains(t, "pppd with CHAP-MD5", readFile(t, path(x, "client1.log")), "auth chap MD5", "CHAP authentication succeeded")
	contains(t, "pppd with a wrong password", readFile(t, path(x, "client2.log")), "authentication failed")
	for n, login := range []string{"PAP", "CHAP-MD5", "MS-CHAPv2"} {
		if r := b.record(n); r["login"] != login {
			t.Errorf("call record %d: %v, want login %s", n, r, login)
		}
	}
	b.awaitIdle()
}

func TestBusyAndUnansweredNumbers(t *testing.T) {
	t.Parallel()
	b := newBank(t, 1, 115200, "")
	x := b.exchangeDir()
	b.dial(x, 1, `
call 0 3001 `+password+`
! up ppp0
down
mv /xchg/client0.log /xchg/busy.log
call 0 3003 `+password+`
! up ppp0
down
mv /xchg/client0.log /xchg/reorder.log
call 0 3002 `+password+`
! up ppp0
down
`)
	contains(t, "chat at a busy number", readFile(t, path(x, "busy.log")), "BUSY")
	contains(t, "chat at a number that the network has no way to", readFile(t, path(x, "reorder.log")), "BUSY")
	contains(t, "chat at a number that nobody answers", readFile(t, path(x, "client0.log")), "NO ANSWER")
	if n := b.calls(); n != 0 {
		t.Errorf("the lines had %d calls", n)
	}
}

// wvdial is a script for a guest: wvdial calls a number, and pings come back.
func wvdial(number string) string {
	return `
secrets "alice * ` + password + ` *"
cat > /etc/wvdial.conf <<-end
	[Dialer Defaults]
	Modem = /dev/ttyS0
	Baud = 115200
	Init1 = ATZ
	Init2 = ATQ0 V1 E1
	Phone = ` + number + `
	Username = alice
	Password = ` + password + `
	Stupid Mode = 1
	Carrier Check = no
end
# wvdial 1.61 fails an assertion of its own at some layouts of its stack.
setarch -R wvdial > /xchg/wvdial.log 2>&1 &
pid=$!
until_true 90 link_up ppp0
pings ` + innerAddress + ` 64
down
`
}

func TestWvdial(t *testing.T) {
	t.Parallel()
	b := newBank(t, 1, 115200, "")
	x := b.exchangeDir()
	b.dial(x, 1, wvdial("1000"))
	contains(t, "wvdial", readFile(t, path(x, "wvdial.log")), "Carrier detected", "remote IP address")
	if r := b.record(0); r["user"] != "alice" {
		t.Errorf("the call record: %v", r)
	}
	b.awaitIdle()
}

// Frames that are damaged on the line are counted by pac, told to pns, and stand in both call records.
func TestDamagedFramesAreReported(t *testing.T) {
	t.Parallel()
	b := newBank(t, 1, 115200, "")
	x := b.exchangeDir()
	g := b.dialing(x, 1, `
call 0 1000 `+password+` require-mppe-128
up ppp0
touch /xchg/up
until test -e /xchg/done; do ping -q -c 5 -i 0.2 -W 1 `+innerAddress+` > /dev/null || :; done
down
`)
	awaitFile(t, g, x, "up")
	if out, err := cli(t, "", "pac", "exchange", "inject", "line1", "--frames", "3", "--dir", b.ports()); err != nil {
		t.Fatalf("pac exchange inject: %v\n%s", err, out)
	}
	eventually(t, "pac has not counted the damaged frames", 30*time.Second, func() bool {
		var calls []struct {
			Counters struct {
				FCSErrors int `json:"fcs_errors"`
			}
		}
		shown(t, &calls, "pac", "calls", "--json", "--admin", b.socket())
		return len(calls) == 1 && calls[0].Counters.FCSErrors == 3
	})
	await(b.t, "pns's log", b.pns.Log, `WAN-Error-Notify.*[1-3] CRC`, 30*time.Second)
	write(t, x, "done", "")
	if out, status := g.Wait(t); status != 0 {
		t.Fatalf("the guest ended with %d:\n%s", status, out)
	}
	if r := b.pacRecord(0); fmt.Sprint(r["errors"]) != "map[fcs:3]" {
		t.Errorf("pac's record of the call: %v", r)
	}
	if r := b.record(0); !strings.Contains(fmt.Sprint(r), "fcs:") {
		t.Errorf("pns's record of the call: %v", r)
	}
}
