package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"trunkline.example/pac"
	"trunkline.example/pac/selftest"
)

// selfTest has line2 call another line and returns, when both are done with it, what came of it.
func (b *bank) selfTest(to string) func() pac.SelfTestOutcome {
	b.t.Helper()
	cmd := exec.Command(filepath.Join(bin, "pac"), "line", "selftest", "line2", "--to", to, "--json", "--admin", b.socket())
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	var out, errors strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errors
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return func() (o pac.SelfTestOutcome) {
		b.t.Helper()
		select {
		case err := <-done:
			if jsonErr := json.Unmarshal([]byte(out.String()), &o); jsonErr != nil {
				b.t.Fatalf("pac line selftest: %v, %v\n%s%s", err, jsonErr, out.String(), errors.String())
			}
		case <-time.After(3 * time.Minute):
			_ = cmd.Process.Kill()
			b.t.Fatal("the self-test has no end")
		}
		return o
	}
}

// reconfigure adds to pac's configuration and has it read again.
func (b *bank) reconfigure(text string) {
	b.t.Helper()
	write(b.t, b.dir, "pac.toml", readFile(b.t, b.config)+text)
	before := strings.Count(b.pac.Log(), "configuration reloaded")
	b.pac.Signal(syscall.SIGHUP)
	eventually(b.t, "pac has not read its configuration again", 30*time.Second, func() bool {
		return strings.Count(b.pac.Log(), "configuration reloaded") > before
	})
}

func (b *bank) stateOf(line string) string {
	for _, l := range b.shown() {
		if l.Name == line {
			return l.State
		}
	}
	return ""
}

// One line calls another one, whose line is noisy, while a real pppd's call goes on: the noisy one has the worse grade, and nothing of the call is lost. Then
// a pppd calls a line that waits for a self-test: once it is known by its number, once it is not, and has its call either way.
func TestSelfTest(t *testing.T) {
	t.Parallel()
	b := newBank(t, 4, 115200, "")
	x := b.exchangeDir()
	b.reconfigure("[selftest]\nduration = \"6s\"\n")
	if out, err := cli(t, "", "pac", "exchange", "impair", "line3", "--frame-error-rate", "0.1", "--dir", b.ports()); err != nil {
		t.Fatalf("pac exchange impair: %v\n%s", err, out)
	}
	g := b.dialing(x, 4, `
call 0 1001 `+password+` require-mppe-128
up ppp0
first=$pid
touch /xchg/up
for round in 0 1; do
	until_true 200 test -e /xchg/stranger$round
	call $((2 + round)) 1003 `+password+` require-mppe-128
	up ppp1
	ping -q -c 10 -i 0.2 -W 10 -I ppp1 `+innerAddress+` > /tmp/ping || :
	grep -q '10 received, 0% packet loss' /tmp/ping || { cat /tmp/ping; exit 1; }
	down
	touch /xchg/served$round
done
kill -INT $first; wait $first || echo "pppd ended: $?"
`)
	awaitFile(t, g, x, "up")
	ping := b.space.Command(t.Context(), "ping", "-q", "-c", "60", "-i", "0.2", "-W", "10", "10.97.0.2")
	pinged := make(chan string, 1)
	go func() {
		out, err := ping.CombinedOutput()
		pinged <- fmt.Sprint(string(out), err)
	}()
	o := b.selfTest("line3")()
	if r := o.Caller; r.Line != "line2" || r.Grade != selftest.Good || r.FramesLost != 0 || r.SpeedIn != 115200 || r.RoundTrip == 0 {
		t.Errorf("the clean line: %+v", r)
	}
	if r := o.Answerer; r.Line != "line3" || r.Grade != selftest.Poor || r.FramesLost == 0 || r.Damaged == 0 || r.OctetsLost == 0 {
		t.Errorf("the noisy line: %+v", r)
	}
	contains(t, "ping during the self-test", <-pinged, "60 received, 0% packet loss")
	if state := b.stateOf("line1"); state != "connected" {
		t.Errorf("the line with the call is %s", state)
	}
	for i := range 2 {
		if r := b.pacRecord(i); r["kind"] != "self-test" || r["line"] == "line1" {
			t.Errorf("pac's call record: %v", r)
		}
	}
	lines, err := cli(t, "", "pac", "lines", "-v", "--admin", b.socket())
	if err != nil {
		t.Error(err)
	}
	contains(t, "pac lines -v", lines, "good, ", "poor, ", "as answerer with line2", "frames did not arrive whole")
	if out, err := cli(t, "", "pac", "exchange", "impair", "line3", "--dir", b.ports()); err != nil {
		t.Fatalf("pac exchange impair: %v\n%s", err, out)
	}
	b.strangers(x, func(round int) { awaitFile(t, g, x, fmt.Sprintf("served%d", round)) })
	if out, status := g.Wait(t); status != 0 {
		t.Fatalf("the guest ended with %d:\n%s", status, out)
	}
	b.awaitIdle()
}

// strangers begins self-tests that ring a telephone that nobody answers, and has the guest call the line that waits.
func (b *bank) strangers(x string, served func(round int)) {
	b.t.Helper()
	b.reconfigure("[selftest.numbers]\nline3 = \"2002\"\n")
	for round := range 2 {
		if round == 1 { // the caller's number could be ours
			text := strings.Replace(readFile(b.t, b.config), "[selftest]\n", "[selftest]\ncaller_ids = [\"2004\"]\n", 1)
			write(b.t, b.dir, "pac.toml", text)
			b.reconfigure("")
		}
		outcome := b.selfTest("line3")
		eventually(b.t, "line2 does not dial", 60*time.Second, func() bool { return b.stateOf("line2") == "dialing" })
		write(b.t, x, fmt.Sprintf("stranger%d", round), "")
		if o := outcome(); o.Caller.Grade != "" || o.Answerer.Grade != "" || !strings.Contains(o.Answerer.Reason, "called by somebody else") {
			b.t.Errorf("round %d: the self-test: %+v", round, o)
		}
		served(round)
		eventually(b.t, "the lines are not idle", 60*time.Second, func() bool { return b.stateOf("line2") == "idle" && b.stateOf("line3") == "idle" })
		eventually(b.t, "the stranger's call has left no record", 30*time.Second, func() bool {
			served := 0
			for _, r := range strings.Split(readFile(b.t, b.callRecords()), "\n") {
				if strings.Contains(r, `"kind":"incoming"`) && strings.Contains(r, `"line":"line3"`) && strings.Contains(r, `"pns":"main"`) {
					served++
				}
			}
			return served == round+1
		})
	}
}
