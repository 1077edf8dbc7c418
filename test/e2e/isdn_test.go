package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// newISDNBank makes a site whose pac answers by terminal adapters isdn1, isdn2, ... of a dialect, one for each of the keys that are its line's
// own. They have the numbers 4001, 4002, ... and 4000; ta1, ta2, ... are for callers.
func newISDNBank(t testing.TB, dialect string, keys ...string) *bank {
	t.Helper()
	b := newBankSite(t, overIPv4, len(keys), "")
	b.exchange = startDaemon(t, b.space, "pac", "exchange", "--dir", b.ports(), "--lines", "1", "--phones", "1", "--isdn", fmt.Sprint(len(keys)), "--isdn-dialect", dialect)
	driver := "kind = \"isdn\"\n[driver.options]\ncommand_gap = \"10ms\"\n"
	for i, own := range keys {
		driver += fmt.Sprintf("[[driver.options.line]]\nname = \"isdn%d\"\ndevice = \"%s/isdn%d\"\nnumbers = [\"%d\", \"4000\"]\n%s\n", i+1, b.ports(), i+1, 4001+i, own)
	}
	b.runPAC(overIPv4, "4000", driver, "50", "30")
	return b
}

// Two callers at once on both B channels, by adapters that convert to synchronous PPP: pns is told what the calls are, and both carry data.
func TestISDN(t *testing.T) {
	t.Parallel()
	b := newISDNBank(t, "elsa", `protocol = "ppp"`, `protocol = "ppp"`)
	stop := capture(t, b.space, "lo")
	b.pac.Kill() // its control connection is to be recorded from the beginning
	b.startPAC()
	x := b.exchangeDir()
	g := b.dialingFrom("ta", x, 2, `
call 0 4000 `+password+` require-mppe-128 unit 0
first=$pid
call 1 4000/7 `+password+` require-mppe-128 unit 1
second=$pid
up ppp1
pid=$first
up ppp0
touch /xchg/up
until_true 60 test -e /xchg/go
pinging=
for unit in 0 1; do
	through=ppp$unit pings `+innerAddress+` 64 1400 &
	pinging="$pinging $!"
done
for p in $pinging; do wait $p; done
down
pid=$second
down
`)
	awaitFile(t, g, x, "up")
	out, err := cli(t, "", "pns", "sessions", "-v", b.admin())
	if err != nil || strings.Count(out, "bearer digital, framing synchronous") != 2 {
		t.Errorf("pns sessions -v: %v\n%s", err, out)
	}
	write(t, x, "go", "")
	if out, status := g.Wait(t); status != 0 {
		t.Fatalf("the guest ended with %d:\n%s\n%s", status, out, readFile(t, path(x, "client0.log")))
	}
	b.awaitIdle()
	lines := map[any]bool{}
	for n := range 2 {
		r, p := b.record(n), b.pacRecord(n)
		lines[p["line"]] = true
		if r["dialed"] != "4000" || !strings.HasPrefix(fmt.Sprint(r["dialing"]), "500") || r["bearer"] != "digital" || r["framing"] != "synchronous" || r["speed_out"] != float64(64000) {
			t.Errorf("pns's call record: %v", r)
		}
		if p["bearer"] != "digital" || p["framing"] != "synchronous" || p["modulation"] != "HDLC" || p["errors"] != nil && len(p["errors"].(map[string]any)) > 0 {
			t.Errorf("pac's call record: %v", p)
		}
	}
	if !lines["isdn1"] || !lines["isdn2"] {
		t.Errorf("the calls came in by %v", lines)
	}
	b.pac.Stop()
	captured := stop("pptp.control_message_type == 4")
	judge(t, captured, "9", "10", "11", "13")
	for _, field := range []struct{ filter, name, want string }{
		{"pptp.control_message_type == 9", "pptp.bearer_type", "2"}, {"pptp.control_message_type == 11", "pptp.framing_type", "2"},
	} {
		got := strings.Fields(strings.ReplaceAll(strings.Join(tshark(t, captured, field.filter, "-T", "fields", "-e", field.name), " "), ",", " "))
		if len(got) != 2 || got[0] != field.want || got[1] != field.want {
			t.Errorf("%s: %v", field.name, got)
		}
	}
}

// Every protocol of the two dialects that a pppd can use carries its PPP; what is asynchronous is told so.
func TestISDNProtocols(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dialect   string
		protocols [][3]string // of the line; the command for the caller's adapter; what the call is then
	}{
		{"elsa", [][3]string{{"hdlc", "AT$IBP=HDLC", "HDLC transparent"}, {"v120", "AT$IBP=V120", "V.120"}}},
		{"isdn4linux", [][3]string{{"hdlc", "ATS14=3", "HDLC transparent"}, {"x75", "ATS14=0", "X.75"}}},
	} {
		t.Run(c.dialect, func(t *testing.T) {
			t.Parallel()
			var keys []string
			script := ""
			for i, p := range c.protocols {
				keys = append(keys, fmt.Sprintf("protocol = %q", p[0]))
				script += fmt.Sprintf("init='%s'\ncall %d %d %s require-mppe-128\nup ppp0\npings %s 64 1400\ndown\n", p[1], i, 4001+i, password, innerAddress)
			}
			b := newISDNBank(t, c.dialect, keys...)
			b.dialFrom("ta", b.exchangeDir(), len(c.protocols), script)
			b.awaitIdle()
			for n, p := range c.protocols {
				r := b.pacRecord(n)
				if r["modulation"] != p[2] || r["bearer"] != "digital" || r["framing"] != "asynchronous" || r["dialed"] != fmt.Sprint(4001+n) || r["dialing"] != fmt.Sprint(5001+n) {
					t.Errorf("the call record of %s: %v", p[0], r)
				}
			}
		})
	}
}

// wvdial calls by an adapter as by a modem.
func TestWvdialByISDN(t *testing.T) {
	t.Parallel()
	b := newISDNBank(t, "elsa", `protocol = "ppp"`)
	x := b.exchangeDir()
	b.dialFrom("ta", x, 1, wvdial("4000"))
	contains(t, "wvdial", readFile(t, path(x, "wvdial.log")), "CONNECT 64000/ISDN/HDLC", "remote IP address")
	if r := b.pacRecord(0); r["line"] != "isdn1" || r["framing"] != "synchronous" {
		t.Errorf("the call record: %v", r)
	}
	b.awaitIdle()
}

// pns has pac dial by ISDN: a pppd answers by its adapter; and what the network refuses is told by its cause of Q.850, in the codes of RFC 2637.
func TestOutgoingCallByISDN(t *testing.T) {
	t.Parallel()
	b := newISDNBank(t, "isdn4linux", `protocol = "x75"`)
	x := b.exchangeDir()
	g := b.dialingFrom("ta", x, 1, answered+`
until_true 60 test -e /xchg/done
down
`)
	awaitFile(t, g, x, "booted")
	r, err := b.callOut("5001")
	if err != nil || !r.Up || r.User != "alice" || r.Speed != 64000 {
		t.Fatalf("the call: %+v, %v", r, err)
	}
	awaitFile(t, g, x, "pinged")
	contains(t, "ping from the server's side", b.space.Run("ping", "-q", "-c", "20", "-w", "40", "-i", "0.3", "-s", "1400", r.Address), "20 received")
	write(t, x, "done", "")
	if out, status := g.Wait(t); status != 0 {
		t.Fatalf("the guest ended with %d:\n%s", status, out)
	}
	b.awaitIdle()
	if r := b.pacRecord(0); r["kind"] != "outgoing" || r["line"] != "isdn1" || r["dialed"] != "5001" || r["bearer"] != "digital" || r["modulation"] != "X.75" {
		t.Errorf("pac's call record: %v", r)
	}
	for n, c := range []struct {
		number string
		result uint8
		cause  float64
	}{{"5099", 2, 1}, {"3001", 4, 17}, {"3003", 5, 34}} {
		if r, err := b.callOut(c.number); err == nil || r.Up || r.Result != c.result || r.Reason == "" {
			t.Errorf("a call to %s: %+v, %v; want result %d", c.number, r, err, c.result)
		}
		if r := b.pacRecord(n + 1); r["q931"] != c.cause {
			t.Errorf("pac's record of the call to %s: %v; want cause %v", c.number, r, c.cause)
		}
	}
	b.awaitIdle()
}
