package main

import (
	"strings"
	"testing"
	"time"

	"trunkline.example/pac"
	"trunkline.example/pac/selftest"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/line"
)

// What network servers and strangers do wrong is shown by name, and what nobody has done is not.
func TestStatusTable(t *testing.T) {
	s := pac.Status{
		PNS: []pac.PNSStatus{
			{Name: "central", Address: "192.0.2.1:1723", Since: time.Now(), Faults: map[string]uint64{"bad-magic": 2}, Refused: map[string]uint64{"number": 3}},
			{Name: "good", Address: "192.0.2.2:1723", Since: time.Now()},
		},
		GRE: map[string]tunnel.MuxCounters{"192.0.2.9": {UnknownCall: 1, EarlyExpired: 3, ForeignAddress: 5}},
	}
	var b strings.Builder
	if err := statusTable(s).Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"its fault: bad-magic (2)", "its call refused: number (3)", "(GRE on 192.0.2.9)", "GRE of unknown calls (4)", "GRE into calls of other addresses (5)"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "malformed") || strings.Count(b.String(), "good") != 1 {
		t.Errorf("too much in\n%s", b.String())
	}
}

// Every counter of a line's hardware stands beneath its call, by name.
func TestErrorsOfACallAreShown(t *testing.T) {
	c := &pac.CallView{Connected: time.Now(), Device: line.Counters{HardwareOverruns: 11, BufferOverruns: 12, FramingErrors: 13, ParityErrors: 14, Breaks: 15, Stalls: 16}}
	for verbose, want := range map[bool]int{false: 0, true: 1} {
		var b strings.Builder
		if err := callTable([]*pac.CallView{c}, verbose).Write(&b); err != nil {
			t.Fatal(err)
		}
		if strings.Count(b.String(), "11 hardware overruns, 12 buffer overruns, 13 framing, 14 parity, 15 breaks, 16 stalls") != want {
			t.Errorf("verbose %v:\n%s", verbose, b.String())
		}
	}
}

// What `pac line` answers says why a line is down, and only then.
func TestLineText(t *testing.T) {
	for want, l := range map[string]pac.LineStatus{
		"line1: down, disabled (maintenance: busy-out), V.34": {Name: "line1", State: line.StateDown, Disabled: true, Cause: "maintenance: busy-out", Equipment: "V.34"},
		"line1: idle, in quarantine":                          {Name: "line1", State: line.StateIdle, Quarantined: true},
		"line1: idle":                                         {Name: "line1", State: line.StateIdle, Cause: "hangup"},
	} {
		if got := lineText(l); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The last self-test stands beneath its line, and its outcome in a table.
func TestSelfTestIsShown(t *testing.T) {
	bad := pac.SelfTestResult{
		Line: "b", With: "a", Role: pac.RoleAnswerer, At: time.Now().Add(-time.Hour), Grade: selftest.Failed, Reason: "150 of 200 frames did not arrive whole",
		SpeedIn: 31200, SpeedOut: 33600, ErrorControl: "LAPM", FramesSent: 200, FramesReceived: 50, FramesLost: 150, OctetsLost: 20000, Damaged: 140, RoundTrip: 151.4,
	}
	lines := lineTable([]pac.LineStatus{{Name: "a"}, {Name: "b", SelfTest: &pac.SelfTestStatus{SelfTestResult: bad, Failures: 3}}}, true)
	outcome := selfTestTable(pac.SelfTestOutcome{Caller: pac.SelfTestResult{Line: "a", Reason: "it was given up"}, Answerer: bad})
	for want, table := range map[string]*admin.Table{
		"self-test  never": lines,
		"failed, 1h00m ago, as answerer with a; 150 of 200 frames did not arrive whole; 3 failures in a row; 31200/33600 bit/s, error control LAPM, 150 of the other line's frames (20000 octets) lost, 140 damaged, 0 line errors, round trip 151 ms": lines,
		"151 ms": outcome, "none": outcome, "it was given up": outcome, "31200/33600": outcome,
	} {
		var b strings.Builder
		if err := table.Write(&b); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s%v", want, b.String(), err)
		}
	}
}
