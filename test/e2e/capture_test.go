package e2e

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"trunkline.example/test/netns"
)

// capture records what crosses the interfaces of a namespace until the returned function is called, which waits for a packet that matches
// last (packets reach the file a while after they have crossed) and returns the file's name.
func capture(t testing.TB, space *netns.Space, interfaces ...string) (stop func(last string) string) {
	t.Helper()
	file := t.TempDir() + "/capture.pcapng"
	args := []string{"-q", "-w", file, "-f", "tcp port 1723 or proto 47"}
	for _, i := range interfaces {
		args = append(args, "-i", i)
	}
	cmd := space.Command(context.Background(), "dumpcap", args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	eventually(t, "dumpcap has not begun", 20*time.Second, func() bool {
		info, err := os.Stat(file)
		return err == nil && info.Size() > 0
	})
	return func(last string) string {
		t.Helper()
		eventually(t, "no packet was recorded that matches "+last, 30*time.Second, func() bool {
			out, _ := exec.Command("tshark", "-n", "-r", file, "-Y", last).Output() // fails while the file ends within a packet
			return len(out) > 0
		})
		_ = cmd.Process.Signal(syscall.SIGINT)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatal("dumpcap does not end")
		}
		return file
	}
}

// tshark returns the lines that tshark prints of the packets that match.
func tshark(t testing.TB, file, filter string, args ...string) []string {
	t.Helper()
	cmd := exec.Command("tshark", append([]string{"-n", "-r", file, "-Y", filter}, args...)...)
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark -Y %q: %v\n%s", filter, err, errors.String())
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
}

// judge has tshark look for anything malformed or worth a warning in PPTP, GRE and PPP.
func judge(t testing.TB, file string, types ...string) {
	t.Helper()
	const warning = "0x00600000"
	for _, bad := range tshark(t, file, "_ws.malformed || ((pptp || gre) && _ws.expert.severity >= "+warning+" && !tcp.analysis.flags)") {
		t.Errorf("tshark finds fault with: %s", bad)
	}
	for _, bad := range tshark(t, file, "(pptp || ppp) && _ws.expert.severity >= "+warning, "-T", "fields", "-e", "frame.number", "-e", "frame.protocols", "-e", "_ws.expert.message") {
		// What tshark says of TCP as such (a client that resets its connection at the end) is not ours.
		if strings.Contains(bad, "Connection reset") || strings.Contains(bad, "retransmission") {
			continue
		}
		t.Errorf("tshark warns: %s", bad)
	}
	seen := strings.Join(tshark(t, file, "pptp", "-T", "fields", "-e", "pptp.control_message_type"), " ")
	for _, kind := range types {
		if !strings.Contains(" "+strings.ReplaceAll(seen, ",", " ")+" ", " "+kind+" ") {
			t.Errorf("there is no control message of type %s among %s", kind, seen)
		}
	}
	if n := len(tshark(t, file, "gre && ppp")); n < 40 {
		t.Errorf("only %d GRE packets with PPP were recorded", n)
	}
}

func TestDirectCallDecodes(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, "")
	stop := capture(t, s.space, "br0")
	traced := startTrace(t, "pns", s.admin(), "--peer", clientAddress, "--secrets")
	s.run(s.exchange(), `
dial `+password+` require-mppe-128
up
pings `+innerAddress+` 64 1400
down
`)
	s.record(0)
	// Start, Outgoing-Call, Call-Clear and Call-Disconnect.
	types := []string{"1", "2", "7", "8", "12", "13"}
	captured := stop("pptp.control_message_type == 13")
	judge(t, captured, types...)
	traced.stop(types...)
	same(t, captured, traced.file)
}

// same checks that a trace has what was captured on the network: each GRE packet, and the octets of the control connection.
func same(t testing.TB, captured, traced string) {
	t.Helper()
	packets := func(file string) []string {
		return tshark(t, file, "gre", "-T", "fields", "-e", "ip.src", "-e", "ip.dst", "-e", "gre.key.call_id", "-e", "gre.sequence_number", "-e", "gre.ack_number",
			"-e", "gre.key.payload_length", "-e", "data.data")
	}
	seen := map[string]bool{}
	for _, p := range packets(traced) {
		seen[p] = true
	}
	n := 0
	for _, p := range packets(captured) {
		if n++; !seen[p] {
			t.Errorf("the trace has no packet %s", p)
		}
	}
	if n < 40 {
		t.Errorf("only %d GRE packets were captured", n)
	}
	for _, from := range []string{"tcp.srcport == 1723", "tcp.dstport == 1723"} {
		if a, b := stream(t, captured, from), stream(t, traced, from); a != b || len(a) < 300 {
			t.Errorf("%s: captured %s, traced %s", from, a, b)
		}
	}
}

// stream returns, in hexadecimal digits, the octets of the only TCP connection in a file that go one way, each once though it was sent again.
func stream(t testing.TB, file, from string) string {
	t.Helper()
	var octets string
	for _, segment := range tshark(t, file, from+" && tcp.len > 0", "-T", "fields", "-e", "tcp.seq", "-e", "tcp.payload") {
		number, payload, _ := strings.Cut(segment, "\t")
		seq, err := strconv.Atoi(number)
		if start := 2 * (seq - 1); err != nil || start < 0 || start > len(octets) { // tshark numbers the first octet 1
			t.Fatalf("%s: %s: segment %s after %d octets: %v", file, from, number, len(octets)/2, err)
		} else if end := start + len(payload); end > len(octets) {
			octets = octets[:start] + payload
		}
	}
	return octets
}

func TestDialInCallDecodes(t *testing.T) {
	t.Parallel()
	b := newBank(t, 1, 115200, `
[timers]
echo = "2s"
`)
	stop := capture(t, b.space, "lo")
	b.pac.Kill()
	b.startPAC()
	b.dial(b.exchangeDir(), 1, `
call 0 1000 `+password+` require-mppe-128
up ppp0
pings `+innerAddress+` 64
sleep 3
down
`)
	b.record(0)
	b.awaitIdle()
	b.pac.Stop()
	// Start, Stop, Echo, Incoming-Call, Call-Disconnect, Set-Link-Info.
	judge(t, stop("pptp.control_message_type == 4"), "1", "2", "3", "4", "5", "6", "9", "10", "11", "13", "15")
}
