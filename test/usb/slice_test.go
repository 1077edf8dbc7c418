package usb

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCallsByRealPorts is the short one, for `make test`. pppd on an 8250 calls a modem behind another one, whose port counts a break; then one behind
// an FTDI adapter, which is unplugged in mid-call and plugged in again.
func TestCallsByRealPorts(t *testing.T) {
	b := newBench(t)
	b.await("the line of the card is up", patience, func() bool { return b.up("card") })
	// Debian's kernel has Landlock.
	b.await("the driver can open only what its lines need", patience, func() bool {
		var drivers []struct{ Confined bool }
		_ = json.Unmarshal([]byte(b.read("drivers.json")), &drivers)
		return len(drivers) == 1 && drivers[0].Confined
	})
	b.dialByPPPD(1, "1003")
	b.tell("chardev-send-break s4")
	b.await("the break is counted", patience, func() bool { return b.breaks() == 1 })
	b.put("hangup1", "")
	if r := b.awaitRecord("card", 1); r.Cause != "hangup" {
		t.Errorf("pppd has hung up: cause %q, reason %q, ended by %q", r.Cause, r.Reason, r.EndedBy)
	}
	if status := b.pppdEnds(1); status != "5" {
		t.Errorf("pppd that was told to hang up ended with %s, want 5", status)
	}

	line := b.plugAndAwait(patience, 1, "usb/1", "usb/2")
	b.dialByPPPD(2, "1001")
	b.unplug(1)
	if r := b.awaitRecord(line, 1); r.Cause != "device" {
		t.Errorf("unplugged in mid-call: cause %q, reason %q: want device", r.Cause, r.Reason)
	}
	// QEMU's 8250 has no carrier to lose: pppd finds out by LCP, and hangs up.
	b.pppdEnds(2)
	if log := b.read("client2.log"); !strings.Contains(log, "No response to 10 echo-requests") {
		t.Errorf("pppd whose call was cut says:\n%s", log)
	}
	b.plugAndAwait(patience, 1, line)
}

// put writes a file into the exchange directory.
func (b *bench) put(name, text string) {
	b.Helper()
	file := filepath.Join(b.dir, name)
	if err := errors.Join(os.WriteFile(file+".new", []byte(text), 0o600), os.Rename(file+".new", file)); err != nil {
		b.Fatal(err)
	}
}

// dialByPPPD has the guest's pppd make its nth call, and waits until pings have come back by it.
func (b *bench) dialByPPPD(n int, number string) {
	b.Helper()
	b.put(fmt.Sprintf("dial%d", n), number+"\n")
	answers := ""
	b.await("pings of pppd", patience, func() bool {
		answers = b.read(fmt.Sprintf("ping%d.txt", n))
		return answers != ""
	})
	if !strings.Contains(answers, "5 received") {
		b.Errorf("pings of call %d:\n%s", n, answers)
	}
}

// pppdEnds waits for the end of the nth pppd and returns its status.
func (b *bench) pppdEnds(n int) (status string) {
	b.Helper()
	b.await("pppd ends", patience, func() bool {
		status = strings.TrimSpace(b.read(fmt.Sprintf("pppd%d.status", n)))
		return status != ""
	})
	return status
}

// breaks are those that the line of the only call has counted.
func (b *bench) breaks() uint64 {
	var calls []struct {
		Device struct{ Breaks uint64 } `json:"device"`
	}
	if err := json.Unmarshal([]byte(b.read("calls.json")), &calls); err != nil || len(calls) != 1 {
		return 0
	}
	return calls[0].Device.Breaks
}
