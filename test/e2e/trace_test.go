package e2e

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	recording "trunkline.example/test/capture"
	"trunkline.example/test/output"
)

// tracing is a `pac trace` or `pns trace` that runs.
type tracing struct {
	t    testing.TB
	name string
	file string
	cmd  *exec.Cmd
	says output.Buffer
	done chan error
}

// startTrace starts one, and waits until it has begun.
func startTrace(t testing.TB, program string, args ...string) *tracing {
	t.Helper()
	x := &tracing{t: t, name: program + " trace " + strings.Join(args, " "), file: filepath.Join(t.TempDir(), "trace.pcapng"), done: make(chan error, 1)}
	x.cmd = exec.CommandContext(context.Background(), filepath.Join(bin, program), append([]string{"trace", "-w", x.file}, args...)...)
	x.cmd.Stdout, x.cmd.Stderr = &x.says, &x.says
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { x.done <- x.cmd.Wait() }()
	t.Cleanup(func() { _ = x.cmd.Process.Kill() })
	await(t, x.name, x.says.String, "tracing; Ctrl-C ends it", 30*time.Second)
	return x
}

// stop ends the trace by Ctrl-C.
func (x *tracing) stop(types ...string) {
	x.t.Helper()
	_ = x.cmd.Process.Signal(syscall.SIGINT)
	x.end("it was stopped", types...)
}

// end waits until the trace has ended for that reason, and checks its file: nothing is malformed, nothing was dropped, nobody else may read it, and
// if types of control messages are named, there are those.
func (x *tracing) end(reason string, types ...string) {
	x.t.Helper()
	select {
	case err := <-x.done:
		if err != nil || !strings.Contains(x.says.String(), "0 packets dropped; the trace has ended: "+reason) {
			x.t.Errorf("%s: %v, want %q\n%s", x.name, err, reason, x.says.String())
		}
	case <-time.After(30 * time.Second):
		x.t.Fatalf("%s does not end", x.name)
	}
	if info, err := os.Stat(x.file); err != nil || info.Mode() != fs.FileMode(0o600) {
		x.t.Errorf("%s: %v, %v", x.name, info, err)
	}
	f, err := recording.ReadTrace([]byte(readFile(x.t, x.file)))
	if err != nil {
		x.t.Fatalf("%s: %v", x.name, err)
	}
	for _, i := range f.Interfaces {
		if !i.Counted || i.Dropped > 0 {
			x.t.Errorf("%s: interface %+v", x.name, i)
		}
	}
	if len(types) > 0 {
		judge(x.t, x.file, types...)
	}
}

// secrets returns the CHAP values of responses and the PAP passwords that tshark finds.
func (x *tracing) secrets() (chap, pap []string) {
	x.t.Helper()
	return tshark(x.t, x.file, "chap.code == 2", "-T", "fields", "-e", "chap.value"), tshark(x.t, x.file, "pap.password", "-T", "fields", "-e", "pap.password")
}

// sees checks that packets match each of the filters.
func (x *tracing) sees(filters ...string) {
	x.t.Helper()
	for _, f := range filters {
		if len(tshark(x.t, x.file, f)) == 0 {
			x.t.Errorf("%s: nothing matches %s", x.name, f)
		}
	}
}

// startTraces starts traces of both ends of the control connection, before it is there, without and with secrets, and one of a line.
func (b *bank) startTraces() (pnsPeer, pnsSecrets, pacPeer, pacSecrets, pacLine *tracing) {
	b.t.Helper()
	b.pac.Kill()
	pnsPeer = startTrace(b.t, "pns", b.admin(), "--peer", pacAddress)
	pnsSecrets = startTrace(b.t, "pns", b.admin(), "--peer", pacAddress, "--secrets")
	b.startPAC()
	pacPeer = startTrace(b.t, "pac", "--admin", b.socket(), "--peer", "main")
	pacSecrets = startTrace(b.t, "pac", "--admin", b.socket(), "--peer", serverAddress, "--secrets")
	pacLine = startTrace(b.t, "pac", "--admin", b.socket(), "--line", "line1")
	return pnsPeer, pnsSecrets, pacPeer, pacSecrets, pacLine
}

// Calls of pppd are traced at both daemons: from the first control message to the last, on the network and on the line, and what was secret in
// the logins can be read only where that was asked for.
func TestTrace(t *testing.T) {
	t.Parallel()
	b := newBank(t, 2, 115200, `
[timers]
echo = "2s"
`)
	pnsPeer, pnsSecrets, pacPeer, pacSecrets, pacLine := b.startTraces()
	x := b.exchangeDir()
	g := b.dialing(x, 2, `
call 0 1000 `+password+` require-mppe-128
up ppp0
touch /xchg/up
until_true 120 test -e /xchg/traced
pings `+innerAddress+` 64 1400
down
call 1 1002 `+password+` refuse-chap refuse-mschap refuse-mschap-v2 refuse-eap
up ppp0
pings `+innerAddress+` 64
down
`)
	awaitFile(t, g, x, "up")
	var calls []struct{ ID string }
	shown(t, &calls, "pac", "calls", "--json", "--admin", b.socket())
	if len(calls) != 1 {
		t.Fatalf("pac has the calls %v", calls)
	}
	pacCall := startTrace(t, "pac", "--admin", b.socket(), "--call", calls[0].ID)
	pnsCall := startTrace(t, "pns", b.admin(), "--user", "alice")
	write(t, x, "traced", "")
	if out, status := g.Wait(t); status != 0 {
		t.Fatalf("the guest ended with %d:\n%s", status, out)
	}
	pacCall.end("the call is over", "13")
	pnsCall.end("the call is over", "13")
	b.record(1)
	b.awaitIdle()
	// Start, Stop, Echo, Incoming-Call, Call-Disconnect, Set-Link-Info.
	pacPeer.stop("5", "6", "9", "10", "11", "13", "15")
	pacSecrets.stop()
	pacLine.stop("9", "10", "11", "13", "15")
	b.pac.Stop()
	pnsPeer.stop("1", "2", "3", "4", "5", "6", "9", "10", "11", "13", "15")
	pnsSecrets.stop()
	pnsPeer.sees("gre && lcp", "gre && chap.code == 3", "gre && ipcp", "gre && comp_data", "ip.src == "+serverAddress+" && ip.dst == "+pacAddress,
		`frame.comment contains "logged in as alice"`, `frame.comment contains "the call is over"`, `frame.comment contains "secrets are blanked"`)
	line := `frame.interface_name == "line1" && `
	pacLine.sees(line+"lcp", line+"chap.code == 2", line+"ipcp", line+"comp_data", "gre && chap.code == 2", `frame.comment contains "line1: ringing: 2001 calls"`,
		`frame.comment contains "line1: connected at 115200"`, `frame.comment contains "the line is idle"`)
	pacPeer.sees(`frame.interface_name == "line2" && pap`, "gre && pap", line+"chap", `frame.comment contains "line2: the call is over"`)

	// Each Response is seen on the network, and by pac on the line as well.
	for _, c := range []struct {
		trace   *tracing
		times   int
		secrets bool
	}{{pnsPeer, 1, false}, {pnsSecrets, 1, true}, {pacPeer, 2, false}, {pacSecrets, 2, true}} {
		chap, pap := c.trace.secrets()
		if len(chap) < c.times || len(pap) < c.times { // some may come twice
			t.Errorf("%s: responses %q, passwords %q, want %d of each", c.trace.name, chap, pap, c.times)
		}
		for _, value := range chap {
			if hidden := strings.Trim(strings.ReplaceAll(value, ":", ""), "2a") == ""; hidden == c.secrets {
				t.Errorf("%s shows the response %s", c.trace.name, value)
			}
		}
		for _, word := range pap {
			if word != map[bool]string{true: password, false: strings.Repeat("*", len(password))}[c.secrets] {
				t.Errorf("%s shows the password %s", c.trace.name, word)
			}
		}
		if strings.Contains(readFile(t, c.trace.file), password) != c.secrets {
			t.Errorf("%s: the password is in the file, or is not: want %v", c.trace.name, c.secrets)
		}
	}
}
