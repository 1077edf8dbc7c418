package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/measure"
)

// loadCalls runs `pac caller --load` on the bank's phones and returns its report.
func (b *bank) loadCalls(input string, args ...string) (r measure.Report, err error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "pac"), append([]string{"caller", "1000", "--load", "--json", "--user", "alice", "--port", b.ports() + "/phone%d",
		"--sessions", fmt.Sprint(b.lines)}, args...)...)
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(input+"\n"), &errs
	out, err := cmd.Output()
	if e := json.Unmarshal(out, &r); e != nil || strings.Contains(errs.String(), "DATA RACE") {
		b.t.Fatalf("pac caller --load %q: %v, %v\n%s%s", args, err, e, out, errs.String())
	}
	return r, err
}

// The generator through the exchange, pac and pns: calls together that carry echoes without a loss; calls in a row; a password that is refused.
func TestCallerLoad(t *testing.T) {
	t.Parallel()
	b := newBank(t, 4, 115200, "")
	r, err := b.loadCalls(password, "--duration", "3s", "--traffic", "echo", "--interval", "200ms", "--size", "64,600", "--timeout", "30s")
	if err != nil || r.Up != b.lines || r.SetUp.Latency.Count != uint64(b.lines) || r.SetUp.Connect == nil || r.SetUp.Network == nil || r.SetUp.PerSecond <= 0 {
		t.Fatalf("%v: %+v", err, r)
	}
	if c, n := r.SetUp.Connect.Median, r.SetUp.Network.Median; c < 100 || n <= 0 || c > r.SetUp.Latency.Max || n > r.SetUp.Latency.Max {
		t.Errorf("dial to CONNECT %v ms, CONNECT to network up %v ms, both %+v", c, n, r.SetUp.Latency)
	}
	if c := r.Traffic; c == nil || c.Up.Sent < 4*5 || c.Down.Received != c.Up.Sent || c.Down.Lost != 0 || c.Down.Damaged != 0 || c.Down.Mbps <= 0 || c.RoundTrip == nil {
		t.Errorf("traffic: %+v", c)
	}
	b.awaitIdle()

	r, err = b.loadCalls(password, "--calls", "3", "--hold", "500ms", "--traffic", "echo", "--timeout", "30s")
	if c := r.Traffic; err != nil || r.Up != 3*b.lines || c == nil || c.Down.Received == 0 || c.Down.Received != c.Up.Sent {
		t.Errorf("calls in a row: %v: %+v %+v", err, r, c)
	}
	b.awaitIdle()

	r, err = b.loadCalls("wrong")
	if err == nil || r.Failed != b.lines || len(r.Failures) != 1 || !strings.Contains(r.Failures[0].Reason, "auth-failed (by peer)") {
		t.Errorf("with a wrong password: %v: %+v", err, r)
	}
}
