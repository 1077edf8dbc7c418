// Package usb has pac drive modems on USB that are plugged and unplugged while calls run: QEMU's FTDI adapters, Debian's own kernel with its ftdi_sio
// and its uevents, and an exchange behind them. It needs root, Debian's packages qemu-system-x86 and cpio, and a kernel of Debian's. `make usb` runs
// all, `make test` what is short.
package usb

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// pollInterval is how often pac looks for a modem that nothing reports. A modem is plugged in when more than enough of it is left.
	pollInterval = 30 * time.Second
	// plugTime is from plugging in to the line being up: the kernel's probing of the device and the modem's bring-up, in a machine that is emulated in software.
	plugTime = 15 * time.Second
	// patience is for what must come at last, on a machine that may have much else to do.
	patience = 3 * time.Minute
)

// record is what a call record of pac says, as far as the test looks.
type record struct {
	Line, Cause, Reason string
	EndedBy             string `json:"ended_by"`
}

// endless is more pings than a test has time for.
const endless = "10000"

// TestUnpluggedInMidCall has two calls, and unplugs the modem of one.
func TestUnpluggedInMidCall(t *testing.T) {
	b := newBench(t)
	for _, line := range []string{"usb/1", "usb/2"} {
		b.awaitPoll(line)
	}
	first := b.plugAndAwait(plugTime, 1, "usb/1", "usb/2")
	second := b.plugAndAwait(plugTime, 2, "usb/1", "usb/2")
	if first == second {
		t.Fatalf("both modems are line %s", first)
	}

	other := b.dial(2, "1002", endless)
	victim := b.dial(1, "1001", endless)
	other.awaitPing()
	victim.awaitPing()
	b.unplug(1)
	victim.awaitEnd()
	if !strings.Contains(victim.out.String(), "carrier-lost") {
		t.Error("the caller whose call's modem was unplugged did not lose the carrier")
	}
	r := b.awaitRecord(first, 1)
	t.Logf("unplugged in mid-call: cause %q, reason %q, ended by %q", r.Cause, r.Reason, r.EndedBy)
	if r.Cause != "device" {
		t.Errorf("the call ended with cause %q, reason %q: want device", r.Cause, r.Reason)
	}

	b.awaitPoll(first)
	b.plugAndAwait(plugTime, 1, first)
	again := b.dial(1, "1001", "3")
	again.awaitEnd()
	if again.err != nil {
		t.Errorf("a call after the modem was plugged in again: %v", again.err)
	}
	b.awaitRecord(first, 2)

	other.awaitPing()
	if n := len(b.records(second)); n != 0 {
		t.Errorf("the call on the other line has ended")
	}
	other.hangUp()
	b.awaitRecord(second, 1)
}

// lineState is what `pac lines --json` says, as far as the test looks.
type lineState struct{ Name, State string }

// up says whether a line is ready for calls.
func (b *bench) up(name string) bool {
	var lines []lineState
	_ = json.Unmarshal([]byte(b.read("lines.json")), &lines)
	for _, l := range lines {
		if l.Name == name {
			return l.State == "idle"
		}
	}
	return false
}

// awaitPoll waits until a line is down and looks for its modem only every pollInterval by itself.
func (b *bench) awaitPoll(line string) {
	b.Helper()
	b.await(line+" is down for some time", 2*time.Minute, func() bool {
		retry := ""
		for one := range strings.Lines(b.read("pac.log")) {
			var said struct{ Line, Message, Retry string }
			if json.Unmarshal([]byte(one), &said) == nil && said.Line == line && strings.HasPrefix(said.Message, "line ") {
				retry = said.Retry
			}
		}
		return retry == pollInterval.String()
	})
}

// plugAndAwait plugs a modem in and waits until one of the lines, which was not, is up.
func (b *bench) plugAndAwait(limit time.Duration, modem int, lines ...string) string {
	b.Helper()
	lines = slices.DeleteFunc(slices.Clone(lines), b.up)
	found, start := "", time.Now()
	b.plug(modem)
	b.await(fmt.Sprintf("modem %d is up", modem), limit, func() bool {
		if i := slices.IndexFunc(lines, b.up); i >= 0 {
			found = lines[i]
		}
		return found != ""
	})
	b.Logf("modem %d is line %s, up %v after it was plugged in", modem, found, time.Since(start).Round(time.Millisecond))
	return found
}

// awaitRecord waits for the nth call record of a line.
func (b *bench) awaitRecord(line string, n int) record {
	b.Helper()
	b.await("record of the call on "+line, patience, func() bool { return len(b.records(line)) >= n })
	return b.records(line)[n-1]
}

// records are the call records of a line so far.
func (b *bench) records(line string) []record {
	text, err := os.ReadFile(filepath.Join(b.dir, "records.jsonl"))
	if err != nil && !os.IsNotExist(err) {
		b.Fatal(err)
	}
	var found []record
	for one := range strings.Lines(string(text)) {
		var r record
		if err := json.Unmarshal([]byte(one), &r); err == nil && r.Line == line {
			found = append(found, r)
		}
	}
	return found
}
