package e2e

import (
	"fmt"
	"testing"
	"time"
)

// lineCounters are what the exchange has done to one direction of a call.
type lineCounters struct {
	FramesDamaged int `json:"frames_damaged"`
	FramesAborted int `json:"frames_aborted"`
	GarbageOctets int `json:"garbage_octets"`
}

// calls are those of a running exchange, present and past.
type exchangeCalls struct {
	Calls, Recent []struct {
		Caller, Callee    string
		Forward, Backward lineCounters
	}
}

func (b *bank) exchangeStatus() (s exchangeCalls) {
	b.t.Helper()
	shown(b.t, &s, "pac", "exchange", "status", "--json", "--dir", b.ports())
	return s
}

// What a noisy line does to frames is what pac counts, what WAN-Error-Notify tells pns, and what both call records say: number for number.
func TestNoisyLineIsReportedNumberForNumber(t *testing.T) {
	t.Parallel()
	b := newBank(t, 1, 115200, "")
	x := b.exchangeDir()
	g := b.dialing(x, 1, `
call 0 1000 `+password+` require-mppe-128 lcp-echo-interval 0
up ppp0
touch /xchg/up
until test -e /xchg/done; do ping -q -c 20 -i 0.05 -W 1 `+innerAddress+` > /dev/null || :; done
down
`)
	awaitFile(t, g, x, "up")
	impair := func(args ...string) {
		t.Helper()
		if out, err := cli(t, "", "pac", append([]string{"exchange", "impair", "line1", "--dir", b.ports()}, args...)...); err != nil {
			t.Fatalf("pac exchange impair: %v\n%s", err, out)
		}
	}
	impair("--frame-error-rate", "0.1", "--frame-abort-rate", "0.05")
	eventually(t, "the exchange damages no frames", 60*time.Second, func() bool {
		s := b.exchangeStatus()
		return len(s.Calls) == 1 && s.Calls[0].Forward.FramesDamaged >= 10 && s.Calls[0].Forward.FramesAborted >= 5
	})
	impair()
	done := b.exchangeStatus().Calls[0].Forward
	await(b.t, "pns's log", b.pns.Log, fmt.Sprintf(`WAN-Error-Notify.* %d CRC, %d framing`, done.FramesDamaged, done.FramesAborted), 60*time.Second)
	write(t, x, "done", "")
	if out, status := g.Wait(t); status != 0 {
		t.Fatalf("the guest ended with %d:\n%s", status, out)
	}
	if r := b.pacRecord(0); fmt.Sprint(r["errors"]) != fmt.Sprintf("map[aborts:%d fcs:%d]", done.FramesAborted, done.FramesDamaged) {
		t.Errorf("the exchange did %+v, pac's record of the call says %v", done, r["errors"])
	}
	r, _ := b.record(0)["errors"].(map[string]any)
	if r["fcs"] != float64(done.FramesDamaged) || r["framing"] != float64(done.FramesAborted) {
		t.Errorf("the exchange did %+v, pns's record of the call says %v", done, r)
	}
	var lines []struct {
		Errors struct{ CRC, Framing int }
	}
	shown(t, &lines, "pns", "lines", "--json", b.admin())
	if len(lines) != 1 || lines[0].Errors.CRC != done.FramesDamaged || lines[0].Errors.Framing != done.FramesAborted {
		t.Errorf("the exchange did %+v, pns lines says %+v", done, lines)
	}
	if s := b.exchangeStatus(); len(s.Recent) != 1 || s.Recent[0].Forward != done || s.Recent[0].Backward != (lineCounters{}) {
		t.Errorf("the exchange's own account: %+v", s)
	}
}
